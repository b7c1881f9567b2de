"""A parser for the heading, links and forms of a page, as a browser without scripts uses them."""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser

CHOICES = frozenset({"radio", "checkbox"})
BUTTONS = frozenset({"submit", "button", "reset", "image"})


@dataclass(kw_only=True)
class Form:
    """A form: the values it would send, and the options of its radio buttons and checkboxes."""

    method: str
    action: str
    values: dict[str, str] = field(default_factory=dict)
    choices: dict[str, list[str]] = field(default_factory=dict)

    def has_fields(self, *names: str) -> bool:
        return {*names} <= {*self.values, *self.choices}


class Page(HTMLParser):
    """A page. ``heading`` is the text of its first ``h1``."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.heading = ""
        self.links: list[str] = []
        self.forms: list[Form] = []
        self._form: Form | None = None
        self._in_heading = False
        self._textarea = ""
        self.feed(html)
        self.close()

    def find_form(self, *names: str) -> Form | None:
        """Return the first form with all these fields."""
        return next((form for form in self.forms if form.has_fields(*names)), None)

    def find_link(self, part: str, *, end: str = "") -> str | None:
        """Return the first link whose address contains ``part`` and ends with ``end``."""
        return next((link for link in self.links if part in link and link.endswith(end)), None)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        match tag:
            case "h1":
                self._in_heading = not self.heading
            case "a" if "href" in given:
                self.links.append(given["href"])
            case "form":
                self._form = Form(method=given.get("method", "get").lower(), action=given.get("action", ""))
                self.forms.append(self._form)
            case "input" if self._form:
                self._read_input(self._form, given)
            case "textarea" if self._form:
                self._textarea = given.get("name", "")
                self._form.values[self._textarea] = ""

    def handle_endtag(self, tag: str) -> None:
        match tag:
            case "h1":
                self._in_heading = False
            case "form":
                self._form = None
            case "textarea":
                self._textarea = ""

    def handle_data(self, data: str) -> None:
        if self._in_heading:
            self.heading = " ".join(f"{self.heading} {data}".split())
        elif self._form and self._textarea:
            self._form.values[self._textarea] += data.removeprefix("\n")

    def _read_input(self, form: Form, given: dict[str, str]) -> None:
        name, kind, value = given.get("name"), given.get("type", "text"), given.get("value", "on")
        if not name or kind in BUTTONS:
            return
        if kind in CHOICES:
            form.choices.setdefault(name, []).append(value)
            if "checked" not in given:
                return
        form.values[name] = given.get("value", "on" if kind in CHOICES else "")
