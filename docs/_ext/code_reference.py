"""``.. from-code:: WHAT [ARGUMENT]``: parts of the reference that are read from the code.

Each function in ``GENERATORS`` yields lines of reStructuredText. Settings become targets where their page
describes them: ``:ref:`API_KEY <settings-api_key>```.
"""

from __future__ import annotations

import argparse
import ast
import inspect
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import yaml
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.errors import ExtensionError
from sphinx.util.docutils import SphinxDirective

PACKAGE = Path(__file__).resolve().parents[2] / "django_meetergo"
#: Pages whose terms are targets.
PAGES_WITH_TERMS = ("reference/settings",)


class FromCode(SphinxDirective):
    """Insert what a generator yields."""

    required_arguments = 1
    optional_arguments = 1

    def run(self) -> list[nodes.Node]:
        generate = GENERATORS[self.arguments[0]]
        return self.parse_text_to_nodes("\n".join(generate(*self.arguments[1:])))


def build_table(
    headings: Iterable[str], rows: Iterable[Iterable[str]], widths: str = "auto"
) -> Iterator[str]:
    yield from (".. list-table::", "   :header-rows: 1", f"   :widths: {widths}", "")
    for row in (headings, *rows):
        for number, cell in enumerate(row):
            yield f"   {'*' if number == 0 else ' '} - {cell}"
    yield ""


def get_summary(thing: Any) -> str:
    """Return the first sentence of a docstring on one line."""
    text = " ".join((inspect.getdoc(thing) or "").partition("\n\n")[0].split())
    return text.replace("*", "\\*")


# Checks


def list_checks() -> list[tuple[str, str, str]]:
    """Return (id, message, hint) of every system check, in the order of the ids."""
    found: dict[str, tuple[str, str]] = {}
    for path in [*PACKAGE.glob("checks.py"), *PACKAGE.glob("checks/*.py")]:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call):
                found |= read_call(node)
            elif isinstance(node, ast.Tuple) and len(node.elts) == 2:
                found |= read_hint(*node.elts)
    return [(name, *found[name]) for name in sorted(found)]


def read_call(call: ast.Call) -> dict[str, tuple[str, str]]:
    """Return the check that a call makes: ``Error(text, hint=…, id="meetergo.E001")``."""
    keywords = {keyword.arg: keyword.value for keyword in call.keywords}
    number = keywords.get("id")
    if call.args and isinstance(call.args[0], ast.Constant) and CHECK.fullmatch(str(call.args[0].value)):
        # make_error("E001", text, hint)
        return {f"meetergo.{call.args[0].value}": (read_text(call.args[1]), read_text(call.args[2]))}
    if isinstance(number, ast.Constant):
        return {str(number.value): (read_text(call.args[0]), read_text(keywords["hint"]))}
    return {}


def read_hint(number: ast.expr, hint: ast.expr) -> dict[str, tuple[str, str]]:
    """Return a check of keys and values. All share one message, which is put together from the setting."""
    if not isinstance(number, ast.Constant) or not CHECK.fullmatch(str(number.value)):
        return {}
    text = PROBLEMS.get(str(number.value), 'MEETERGO["…"] must be …, not ….')
    return {f"meetergo.{number.value}": (text, read_text(hint))}


CHECK = re.compile(r"[EW]\d{3}")
PROBLEMS = {"E001": "MEETERGO must be a dictionary.", "E002": "MEETERGO has no key …; its keys are …."}


def read_text(node: ast.AST) -> str:
    """Return the text of a string or an f-string; what is put into it later is “…”."""
    if isinstance(node, ast.Constant):
        return str(node.value)
    if isinstance(node, ast.JoinedStr):
        return "".join(read_text(part) for part in node.values)
    if isinstance(node, ast.FormattedValue) and isinstance(node.value, ast.Name):
        return {"SETTING_NAME": "MEETERGO", "place": 'MEETERGO["…"]'}.get(node.value.id, "…")
    return "…"


def generate_check_help() -> Iterator[str]:
    """An entry for each id. Raises ExtensionError unless they are those of the table of checks."""
    page = (PACKAGE.parent / "docs" / "reference" / "checks.rst").read_text()
    listed = set(re.findall(r"^_`(meetergo\.[EW]\d{3})`", page, re.MULTILINE))
    if different := listed ^ {name for name, _, _ in list_checks()}:
        raise ExtensionError(f"In the code or in checks.rst only: {', '.join(sorted(different))}")
    for name, message, hint in list_checks():
        yield from (f".. _fix-{name}:", "", f"``{name}``", f"   ``{message}``", "", f"   {escape(hint)}", "")


def escape(text: str) -> str:
    return re.sub(r"([*`|_\\])", r"\\\1", text)


# Commands


def generate_command(name: str) -> Iterator[str]:
    """The help text and the options of a management command."""
    from django.core.management import load_command_class

    command = load_command_class("django_meetergo", name)
    parser = command.create_parser("manage.py", name)
    yield from (escape(command.help), "")
    own = argparse.ArgumentParser(add_help=False)
    command.add_arguments(own)
    names = {action.dest for action in own._actions}
    rows = [describe_option(action) for action in parser._actions if action.dest in names]
    if rows:
        yield from build_table(("argument", "what it does"), rows, "35 65")


def describe_option(action: argparse.Action) -> tuple[str, str]:
    shown = ", ".join(action.option_strings) or action.dest
    if action.choices:
        shown += f" {{{','.join(map(str, action.choices))}}}"
    elif action.nargs != 0 and action.option_strings:
        metavar = action.metavar or action.dest.upper()
        shown += f" {' '.join(metavar) if isinstance(metavar, tuple) else metavar}"
    text = action.help or ""
    is_default_shown = action.default not in (None, False, argparse.SUPPRESS) and "default" not in text
    if is_default_shown and action.nargs != 0:
        text = f"{text}{' ' if text else ''}(default: {action.default})"
    return f"``{shown}``", escape(text) or "–"


# Models


def generate_model(name: str) -> Iterator[str]:
    """The columns of a model, with what a site reads: not leases and keys."""
    from django.apps import apps

    model = apps.get_model("meetergo", name)
    rows = []
    # Columns first, then what other models point here with.
    for field in sorted(
        model._meta.get_fields(), key=lambda field: field.auto_created and not field.concrete
    ):
        if field.auto_created and not field.concrete:
            kind, text = f"reverse: ``{field.related_model.__name__}``", ""
            name_shown = field.get_accessor_name()
        else:
            name_shown, kind = field.name, f"``{type(field).__name__}``"
            if field.is_relation and field.related_model:
                kind += f" to ``{field.related_model._meta.label}``"
            text = str(getattr(field, "verbose_name", ""))
            text = "" if text == field.name.replace("_", " ") else text
        if name_shown.endswith("+") or name_shown in HIDDEN_COLUMNS:
            continue
        choices = getattr(field, "choices", None)
        if choices and len(choices) < 20:
            text += ": " + ", ".join(f'``"{value}"``' for value, _ in choices)
        rows.append((f"``{name_shown}``", kind, text.lstrip(": ") or "–"))
    return build_table(("field", "type", "meaning"), rows, "25 30 45")


HIDDEN_COLUMNS = {"lease_token", "lease_until", "tries", "polls", "failing_since", "digest", "id"}


def generate_permissions() -> Iterator[str]:
    from django.apps import apps

    rows = [
        (f"``meetergo.{codename}``", model.__name__, text)
        for model in apps.get_app_config("meetergo").get_models()
        for codename, text in model._meta.permissions
    ]
    return build_table(("permission", "model", "meaning"), rows, "40 20 40")


# Addresses


def generate_urls(kind: str) -> Iterator[str]:
    from importlib import import_module

    module = {"pages": "django_meetergo.urls", "rest": "django_meetergo.contrib.rest_framework.urls"}[kind]
    urls = import_module(module)
    for pattern in urls.urlpatterns:
        if kind == "rest" and str(pattern.pattern).endswith("/"):
            continue  # the same address for clients that always send a slash
        path = f"``{pattern.pattern}``" if str(pattern.pattern) else "(the address itself)"
        yield from (f"``{urls.app_name}:{pattern.name}``", f"   {path}", "")
        if kind == "pages":
            yield from (f"   {get_summary(inspect.unwrap(pattern.callback))}", "")


def generate_operations() -> Iterator[str]:
    """The operations of the REST API, from its OpenAPI file."""
    document = yaml.safe_load((PACKAGE / "contrib" / "rest_framework" / "openapi.yaml").read_text())
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            if method == "parameters":
                continue
            answers = ", ".join(sorted(operation["responses"]))
            text = operation.get("description", "").replace("`", "``")
            yield from (f"``{method.upper()} {path}``", f"   {text}", "")
            if parameters := [one["name"] for one in operation.get("parameters", []) if one["in"] == "query"]:
                yield from (f"   Query: {', '.join(f'``{name}``' for name in parameters)}.", "")
            if reference := get_body_schema(operation):
                yield from (f"   Body: ``{reference}``.", "")
            yield from (f"   Answers: {answers}. Operation id: ``{operation['operationId']}``.", "")


def get_body_schema(operation: dict[str, Any]) -> str:
    content = operation.get("requestBody", {}).get("content", {})
    references = [one["schema"].get("$ref", "") for one in content.values()]
    return references[0].rpartition("/")[2] if references else ""


def generate_problems() -> Iterator[str]:
    from django_meetergo.contrib.rest_framework import problems

    rows = [(str(int(one.status)), f"``{one.name}``", one.title) for one in problems.PROBLEM_TYPES]
    return build_table(("status", "type", "title"), rows, "10 35 55")


def generate_rates() -> Iterator[str]:
    from django_meetergo.contrib.rest_framework.throttling import RATES

    return build_table(("name", "rate"), [(f"``{name}``", f"``{rate}``") for name, rate in RATES.items()])


def generate_exceptions() -> Iterator[str]:
    from django_meetergo import exceptions

    for name, found in vars(exceptions).items():
        if isinstance(found, type) and found.__module__ == exceptions.__name__:
            yield from (f".. autoexception:: django_meetergo.exceptions.{name}", "   :show-inheritance:", "")


# Templates, styles, tasks


def generate_templates(folder: str) -> Iterator[str]:
    """Every template below a folder, relative to ``templates``."""
    root = PACKAGE / "templates"
    for path in sorted((root / folder).rglob("*")):
        if path.is_file():
            yield f"- ``{path.relative_to(root).as_posix()}``"
    yield ""


def generate_tokens() -> Iterator[str]:
    """The CSS custom properties with their values in light and dark."""
    rows = [(f"``{name}``", f"``{light}``", f"``{dark}``") for name, light, dark in list_tokens()]
    return build_table(("property", "light", "dark"), rows)


#: A custom property and its value, which may contain nested parentheses.
TOKEN = re.compile(r"(--mg-[\w-]+): ((?:[^;()]|\([^()]*(?:\([^()]*\))?[^()]*\))+)")


def list_tokens() -> list[tuple[str, str, str]]:
    found = []
    for name in ("meetergo.css", "pages.css"):
        css = (PACKAGE / "static" / "meetergo" / name).read_text()
        _, _, text = css.partition(":where(.meetergo")
        for token, value in TOKEN.findall(text.partition("}")[0]):
            pair = re.fullmatch(r"light-dark\((.+), (.+)\)", value.strip())
            found.append((token, *(pair.groups() if pair else (value.strip(), value.strip()))))
    return found


def generate_tasks() -> Iterator[str]:
    from django_meetergo import tasks

    found = [tasks.run_due, tasks.poll_availability]
    return build_table(("task", "what it does"), [(f"``{one.name}``", get_summary(one.run)) for one in found])


GENERATORS: dict[str, Callable[..., Iterator[str]]] = {
    "check-help": generate_check_help,
    "command": generate_command,
    "exceptions": generate_exceptions,
    "model": generate_model,
    "operations": generate_operations,
    "permissions": generate_permissions,
    "problems": generate_problems,
    "rates": generate_rates,
    "tasks": generate_tasks,
    "templates": generate_templates,
    "tokens": generate_tokens,
    "urls": generate_urls,
}


# Terms as targets


def add_term_targets(app: Sphinx, doctree: nodes.document) -> None:
    """Make each literal in capitals in a term of a definition list a target of ``:ref:``."""
    name = app.env.current_document.docname
    if name not in PAGES_WITH_TERMS:
        return
    domain = app.env.domains.standard_domain
    prefix = name.rpartition("/")[2]
    for term in doctree.findall(nodes.term):
        for literal in term.findall(nodes.literal):
            if re.fullmatch(r"[A-Z_]+", literal.astext()):
                label = f"{prefix}-{literal.astext()}".lower()
                term["ids"].append(label)
                domain.anonlabels[label] = name, label
                domain.labels[label] = name, label, literal.astext()


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_directive("from-code", FromCode)
    app.connect("doctree-read", add_term_targets)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
