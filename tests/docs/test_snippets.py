"""Every snippet of the documentation can be used as printed: it parses, and all that it names exists."""

from __future__ import annotations

import ast
import importlib
import re
import shlex
from collections.abc import Iterator

import pytest
from django.core.management import get_commands, load_command_class
from django.template import Template

from django_meetergo.conf import list_problems
from tests.docs.documents import ROOT, Block, list_pages, read_blocks

BLOCKS = [block for page in list_pages() for block in read_blocks(page)]


def select(*languages: str) -> list[object]:
    return [pytest.param(block, id=block.place) for block in BLOCKS if block.language in languages]


def parse(block: Block) -> ast.Module:
    """Parse Python in which ``{..., "KEY": 1}`` stands for a dictionary with other keys."""
    return ast.parse(re.sub(r"\{\.\.\., ", "{", re.sub(r"^ +\.\.\.,?$", "", block.text, flags=re.MULTILINE)))


def import_all(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """Yield (module, name) for everything of this package that a snippet imports."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("django_meetergo"):
            yield from ((node.module or "", alias.name) for alias in node.names)


@pytest.mark.parametrize("block", select("python"))
def test_python_parses_and_imports_what_exists(block: Block) -> None:
    for module, name in import_all(parse(block)):
        if ".wagtail." in module:
            # Wagtail has an environment of its own.
            path = ROOT / f"{module.replace('.', '/')}.py"
            assert f"class {name}(" in path.read_text("utf-8")
            continue
        found = importlib.import_module(module)
        is_module = not hasattr(found, name) and importlib.util.find_spec(f"{module}.{name}")
        assert hasattr(found, name) or is_module, f"{module} has no {name}"


def list_settings() -> Iterator[object]:
    for block in BLOCKS:
        for node in ast.walk(parse(block)) if block.language == "python" else ():
            is_setting = isinstance(node, ast.Assign | ast.AugAssign) and isinstance(node.value, ast.Dict)
            if is_setting and "MEETERGO" in ast.unparse(node).partition("=")[0]:
                yield pytest.param(node.value, id=block.place)


@pytest.mark.parametrize("given", list(list_settings()))
def test_settings_have_keys_and_values_that_exist(given: ast.Dict) -> None:
    values = {}
    for key, value in zip(given.keys, given.values, strict=True):
        if key is None:
            continue  # "**settings.MEETERGO": the others as they are
        assert isinstance(key, ast.Constant)
        try:
            values[key.value] = ast.literal_eval(value)
        except ValueError:
            values[key.value] = None  # an expression
    wrong = [(key, text) for key, text in list_problems(values) if "not None" not in text]
    assert wrong == []


@pytest.mark.parametrize("block", select("django"))
def test_templates_compile(block: Block) -> None:
    assert Template(block.text)


def list_commands() -> Iterator[object]:
    for block in BLOCKS:
        for line in block.text.splitlines() if block.language in {"console", "bash", "text", "ini"} else ():
            if found := re.search(r"manage\.py (meetergo_\w+[^#`]*)", line):
                yield pytest.param(found[1].strip(), id=block.place)


@pytest.mark.parametrize("line", list(list_commands()))
def test_commands_and_their_arguments_exist(line: str) -> None:
    name, *arguments = shlex.split(line)
    assert get_commands().get(name) == "django_meetergo", f"there is no command {name}"
    parser = load_command_class("django_meetergo", name).create_parser("manage.py", name)
    parser.parse_args(arguments)


def test_literals_in_the_text_name_commands_that_exist() -> None:
    texts = [page.read_text("utf-8") for page in list_pages()]
    named = {name for text in texts for name in re.findall(r"``(?:manage\.py )?(meetergo_[a-z_]+)[ `]", text)}
    fixtures = {"meetergo_sandbox", "meetergo_tz", "meetergo_details", "meetergo_browser", "meetergo_rest"}
    tags = {name for name in named if name in import_tags()}
    assert (
        named - fixtures - tags - {name for name in get_commands() if name.startswith("meetergo_")} == set()
    )


def import_tags() -> set[str]:
    from django_meetergo.templatetags.meetergo import register

    return {*register.tags, *register.filters}
