"""Markup as values: text is escaped unless it was built by ``tag``."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from typing import Any

VOID = frozenset({"br", "input", "link", "meta"})
COMPANY = "Praxis am Lindenhof"


class Html(str):
    """Markup, which is not escaped again."""

    __slots__ = ()


def tag(name: str, /, *children: object, **attributes: object) -> Html:
    """Return an element. ``class_`` is ``class`` and ``aria_label`` is ``aria-label``.

    An attribute that is ``None`` or ``False`` is left out, one that is ``True`` has no value.
    """
    written = "".join(_print_attribute(key, value) for key, value in attributes.items())
    if name in VOID:
        return Html(f"<{name}{written}>")
    return Html(f"<{name}{written}>{join(children)}</{name}>")


def join(children: Iterable[object]) -> Html:
    """Return the children one after the other; ``None`` is nothing, a list or generator is its items."""
    return Html("".join(map(_print_child, children)))


def _print_attribute(key: str, value: object) -> str:
    if value is None or value is False:
        return ""
    name = key.rstrip("_").replace("_", "-")
    return f" {name}" if value is True else f' {name}="{escape(str(value))}"'


def _print_child(child: object) -> str:
    if child is None:
        return ""
    if isinstance(child, Html):
        return child
    if isinstance(child, Iterable) and not isinstance(child, str):
        return join(child)
    return escape(str(child))


def hidden_text(text: str) -> Html:
    """Return text for screen readers only."""
    return tag("span", text, class_="unseen")


def hidden_fields(fields: dict[str, object]) -> list[Html]:
    """Return the hidden inputs of a form."""
    return [tag("input", type="hidden", name=name, value=value) for name, value in fields.items()]


def post_form(action: str, /, *children: object, class_: str | None = None, **fields: Any) -> Html:
    """Return a form that is sent by POST, with hidden fields."""
    return tag("form", hidden_fields(fields), *children, method="post", action=action, class_=class_)


def post_button(
    action: str, label: object, /, *, class_: str = "quiet", detail: str = "", **fields: Any
) -> Html:
    """Return a form that is one button. ``detail`` completes the label for screen readers."""
    button = tag("button", label, hidden_text(f" {detail}") if detail else None, class_=class_)
    return post_form(action, button, **fields)


def select(name: str, label: str, choices: dict[str, str], chosen: str = "") -> Html:
    """Return a labelled list of choices."""
    options = [tag("option", text, value=value, selected=value == chosen) for value, text in choices.items()]
    return tag("label", label, tag("select", options, name=name))


def build_document(title: str, body: Iterable[object], *, body_class: str | None = None) -> str:
    """Return a page with the sandbox's stylesheet and script."""
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("title", title),
        tag("link", rel="icon", href="data:,"),
        tag("link", rel="stylesheet", href="/_sandbox/static/sandbox.css"),
        tag("script", src="/_sandbox/static/sandbox.js", defer=True),
    )
    return "<!doctype html>" + tag("html", head, tag("body", *body, class_=body_class), lang="en")


def build_hosted_page(title: str, *content: object) -> str:
    """Return a page as meetergo would host it: narrow, with a way back to the sandbox."""
    bar = tag(
        "p",
        tag("span", "Sandbox", class_="mark"),
        tag("a", "Back to the sandbox", href="/"),
        class_="hosted-bar",
    )
    main = tag("main", tag("p", COMPANY, class_="company"), tag("h1", title), *content, class_="hosted")
    return build_document(f"{title} – {COMPANY}", [tag("header", bar), main], body_class="is-hosted")
