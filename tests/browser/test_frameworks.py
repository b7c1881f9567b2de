"""In a site with a CSS framework the widget and the pages look as on a plain page and are readable."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from django.http import HttpRequest, HttpResponse
from django.template import engines
from django.urls import path

from tests.urls import urlpatterns as booking_pages

PACKAGES = Path(__file__).parent / "frameworks" / "node_modules"
SHEETS = {
    "bootstrap": "bootstrap/dist/css/bootstrap.min.css",
    "tailwind": "tailwindcss/lib/css/preflight.css",
    "bulma": "bulma/css/bulma.min.css",
    "pico": "@picocss/pico/css/pico.min.css",
    "foundation": "foundation-sites/dist/css/foundation.min.css",
    "milligram": "milligram/dist/milligram.min.css",
}
#: How each framework's documentation says to switch to dark.
DARK = {"bootstrap": 'data-bs-theme="dark"', "bulma": 'data-theme="dark"', "pico": 'data-theme="dark"'}

WIDGETS = """{% extends "framework.html" %}{% load meetergo %}{% block content %}
{% meetergo_assets %}<h1>A site</h1>
{% meetergo_booking_widget "consultation" %}<h2>Soon</h2>
{% meetergo_next_slots "intro-call" 3 %}{% endblock %}"""
PAGES = ["/widgets/", "/book/", "/book/consultation/", "/book/consultation/details/?start=START"]

#: What the site of the running test uses; a context processor hands it to the template.
site = {"framework": "plain", "order": "first", "attributes": ""}

#: What frameworks set on elements; sizes are compared too, so that nothing wraps, grows or moves.
PROPERTIES = [
    "align-items", "animation-name", "appearance", "background-color", "background-image",
    "border-block-start-color", "border-block-start-style", "border-block-start-width",
    "border-collapse", "border-inline-start-width", "border-spacing", "border-start-start-radius",
    "box-shadow", "box-sizing", "color", "cursor", "display", "flex-wrap", "font-size", "font-style",
    "font-weight", "grid-template-columns", "height", "justify-content", "letter-spacing", "line-height",
    "list-style-type", "margin-block-end", "margin-block-start", "margin-inline-start", "min-height",
    "opacity", "outline-style", "padding-block-start", "padding-inline-start", "position", "text-align",
    "text-decoration-line", "text-transform", "transition-duration", "vertical-align", "visibility",
    "white-space-collapse", "width",
]  # fmt: skip
READ_STYLES = """properties =>
    [...document.querySelectorAll(".meetergo :not(svg *)")].flatMap((element, index) =>
    [null, "::before", "::after"].flatMap((pseudo) => {
        const style = getComputedStyle(element, pseudo);
        if (pseudo && style.content === "none") return [];
        const name = `${index} ${element.localName}.${element.getAttribute("class") ?? ""}${pseudo ?? ""}`;
        return [[name, properties.map((property) => style.getPropertyValue(property))]];
    }))"""


def read_sheet(name: str) -> str:
    """Return the framework's stylesheet. Tailwind's ``theme(key, default)`` becomes the default."""
    file = PACKAGES / SHEETS[name]
    if not file.exists():
        pytest.fail(f"{file} is missing: run npm install --ignore-scripts in {PACKAGES.parent}")
    return re.sub(r"theme\('[^']+',\s*([^)]*)\)", r"\1", file.read_text())


def serve_sheet(request: HttpRequest, name: str) -> HttpResponse:
    # The same font and width for all sites, so that sizes can be compared.
    common = """html { font: 16px/1.5 sans-serif; overflow-y: scroll } body { font-family: sans-serif }
        html, body, main { max-width: none !important; padding: 0 !important; margin: 0 !important }"""
    sheet = "" if name == "plain" else read_sheet(name)
    return HttpResponse(f"{sheet}\n{common}", content_type="text/css")


def show_widgets(request: HttpRequest) -> HttpResponse:
    return HttpResponse(engines["django"].from_string(WIDGETS).render({}, request))


def show_overridden(request: HttpRequest) -> HttpResponse:
    page = WIDGETS.replace("meetergo_assets", "meetergo_assets layered=True").replace(
        "<h1>", '<link rel="stylesheet" href="/override.css"><h1>'
    )
    return HttpResponse(engines["django"].from_string(page).render({}, request))


def serve_override(request: HttpRequest) -> HttpResponse:
    return HttpResponse(".mg-button { border-radius: 3px }", content_type="text/css")


def show_unstyled(request: HttpRequest) -> HttpResponse:
    button = '<div class="mg-unstyled"><a class="btn btn-primary" href="#">x</a></div>'
    page = WIDGETS.replace("<h1>A site</h1>", f'<div class="meetergo">{button}</div>')
    return HttpResponse(engines["django"].from_string(page).render({}, request))


urlpatterns = [
    *booking_pages,
    path("sheets/<name>.css", serve_sheet),
    path("override.css", serve_override),
    path("widgets/", show_widgets),
    path("overridden/", show_overridden),
    path("unstyled/", show_unstyled),
]


def add_site(request: HttpRequest) -> dict[str, Any]:
    return {"site": site}


@pytest.fixture
def visitor(make_person: Any, service: Any, settings: Any) -> Any:
    """A visitor of a site whose base template loads a framework."""
    (templates,) = settings.TEMPLATES
    processors = [*templates["OPTIONS"]["context_processors"], f"{__name__}.add_site"]
    folder = Path(__file__).parent / "templates"
    settings.TEMPLATES = [{**templates, "DIRS": [folder], "OPTIONS": {"context_processors": processors}}]
    settings.MEETERGO = {**settings.MEETERGO, "BASE_TEMPLATE": "framework.html"}
    settings.ROOT_URLCONF = __name__
    return make_person(width=1000)


def open_page(visitor: Any, url: str, **changes: str) -> None:
    site.update({"framework": "plain", "order": "first", "attributes": "", **changes})
    visitor.open(url)


def list_pages(service: Any) -> list[str]:
    start = quote(service.list_free_starts("consultation")[0].isoformat())
    return [page.replace("START", start) for page in PAGES]


def read_styles(visitor: Any) -> dict[str, list[str]]:
    visitor.wait_for_animations()
    return dict(visitor.page.evaluate(READ_STYLES, PROPERTIES))


def list_differences(expected: dict[str, list[str]], found: dict[str, list[str]]) -> list[str]:
    assert expected.keys() == found.keys()
    return [
        f"{element}: {name} is {is_now}, not {should_be}"
        for element, values in expected.items()
        for name, should_be, is_now in zip(PROPERTIES, values, found[element], strict=True)
        if not is_close(should_be, is_now)
    ]


def is_close(first: str, second: str) -> bool:
    """Return whether two values are equal; lengths may differ by rounding."""
    if first == second:
        return True
    numbers = [re.findall(r"-?[\d.]+", value) for value in (first, second)]
    is_same_shape = re.sub(r"-?[\d.]+", "", first) == re.sub(r"-?[\d.]+", "", second)
    pairs = zip(*numbers, strict=False)
    return is_same_shape and "px" in first and all(abs(float(a) - float(b)) < 0.6 for a, b in pairs)


@pytest.mark.parametrize("order", ["first", "last"])
@pytest.mark.parametrize("framework", SHEETS)
def test_pages_and_widgets_look_the_same_in_a_framework(
    visitor: Any, service: Any, framework: str, order: str
) -> None:
    """Whether the framework is loaded before or after the package's stylesheets."""
    for page in list_pages(service):
        open_page(visitor, page)
        expected = read_styles(visitor)
        open_page(visitor, page, framework=framework, order=order)
        differences = list_differences(expected, read_styles(visitor))
        assert differences == [], f"{page}: {differences[:20]}"


@pytest.mark.parametrize("framework", SHEETS)
def test_pages_and_widgets_are_readable_in_a_framework(visitor: Any, service: Any, framework: str) -> None:
    """In light and in dark mode axe finds no violation in our elements, contrast included."""
    for attributes in filter(None, ["class='light'", DARK.get(framework, "class='dark'")]):
        for page in list_pages(service):
            open_page(visitor, page, framework=framework, attributes=attributes)
            found = [one for one in visitor.list_violations() if ".mg-" in one or "meetergo" in one]
            assert found == [], f"{page} {attributes}"
        visitor.take_screenshot(f"{framework}-{attributes.partition('=')[2].strip(chr(34) + chr(39))}")


@pytest.mark.parametrize(
    ("setting", "attributes", "is_dark"),
    [
        ("inherit", "", False),
        ("inherit", 'data-theme="dark"', True),
        ("inherit", 'data-bs-theme="dark"', True),
        ("inherit", 'class="dark"', True),
        ("light", 'data-theme="dark"', False),
        ("dark", "", True),
        ("auto", "", True),
        ("auto", 'data-theme="light"', False),
    ],
)
def test_the_colour_scheme_follows_the_setting_and_the_site(
    make_person: Any, visitor: Any, settings: Any, setting: str, attributes: str, is_dark: bool
) -> None:
    """The visitor's system is dark; it counts only with "auto", because most sites are light only."""
    settings.MEETERGO = {**settings.MEETERGO, "COLOR_SCHEME": setting}
    person = make_person(color_scheme="dark")
    open_page(person, "/widgets/", attributes=attributes)
    background = person.page.locator(".mg-panel").first.evaluate("e => getComputedStyle(e).backgroundColor")
    assert background == ("rgb(20, 23, 26)" if is_dark else "rgb(255, 255, 255)")
    assert [one for one in person.list_violations() if "contrast" in one] == []


def test_a_site_can_override_rules_of_the_layered_stylesheets(visitor: Any) -> None:
    """And elements inside ``mg-unstyled`` keep the site's styles in any case."""
    open_page(visitor, "/overridden/")
    style = "e => getComputedStyle(e).borderStartStartRadius"
    assert visitor.page.locator(".mg-bar .mg-button").first.evaluate(style) == "3px"
    open_page(visitor, "/unstyled/", framework="bootstrap")
    assert (
        visitor.page.locator(".btn").evaluate("e => getComputedStyle(e).backgroundColor")
        == "rgb(13, 110, 253)"
    )
