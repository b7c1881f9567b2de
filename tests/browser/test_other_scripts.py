"""The script beside those of a site: htmx, Turbo, single-page navigation, shadow roots, anchors."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path
from typing import Any

import pytest
from django import shortcuts
from django.http import FileResponse, HttpRequest, HttpResponse
from django.template import engines
from django.urls import path
from playwright.sync_api import expect

from django_meetergo.models import Booking
from tests.browser.person import TIMES
from tests.browser.policy import POLICY_WITHOUT_TRUSTED_TYPES, PolicyMiddleware
from tests.urls import urlpatterns as booking_pages

FOLDER = Path(__file__).parent
PACKAGES = FOLDER / "frameworks" / "node_modules"
HTMX_2, HTMX_4 = "/packages/htmx2/dist/htmx.min.js", "/packages/htmx4/dist/htmx.min.js"
TURBO = "/packages/@hotwired/turbo/dist/turbo.es2017-umd.js"
#: htmx and Turbo parse strings, and Turbo adds a style.
LOOSE_POLICY = POLICY_WITHOUT_TRUSTED_TYPES.replace("style-src", "style-src 'unsafe-inline'")
WIDGET = '{% load meetergo %}{% meetergo_booking_widget "intro-call" %}'
PAGE = '{% extends "scripted.html" %}{% load meetergo %}{% block content %}BODY{% endblock %}'
BASE = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>A site</title>
<meta name="htmx-config" content='{"includeIndicatorStyles": false}'>
{% for script in site.scripts %}<script src="{{ script }}" defer></script>{% endfor %}
{% block head %}{% endblock %}
</head><body>{% block content %}{% endblock %}</body></html>"""
CHANGE_ZONE = "Use this time zone"

#: What the site of the running test uses; a context processor hands it to the template.
site: dict[str, Any] = {"scripts": [], "attributes": ""}

#: A router as single-page applications have one: it changes the address, and draws on ``popstate``.
ROUTER = """
const show = () => { document.querySelector("#route").textContent = location.pathname; };
document.querySelector("#next").onclick = () => { history.pushState({ page: 2 }, "", "/app/next/"); show(); };
addEventListener("popstate", show);
addEventListener("meetergo:slot-chosen", (event) => { window.received = event.detail.start; });
"""
#: A component with a shadow root, into which it moves the widget.
COMPONENT = """
customElements.define("site-panel", class extends HTMLElement {
    connectedCallback() { this.attachShadow({ mode: "open" }).append(...this.childNodes); }
});
addEventListener("meetergo:slot-chosen", (event) => { window.received = event.detail.start; });
"""


def read_example(caption: str) -> str:
    """Return the block of the documentation with this caption."""
    text = (FOLDER.parents[1] / "docs" / "howto" / "scripts.rst").read_text()
    block = text.partition(f":caption: {caption}\n\n")[2]
    return textwrap.dedent(re.match(r"(   .*\n|\n)+", block)[0])  # type: ignore[index]


def render(request: HttpRequest, body: str) -> HttpResponse:
    return HttpResponse(engines["django"].from_string(body).render({}, request))


def serve(text: str, content_type: str = "text/javascript") -> Any:
    return lambda request: HttpResponse(text, content_type=content_type)


def show(body: str) -> Any:
    return lambda request, **_: render(request, PAGE.replace("BODY", body))


example: dict[str, Any] = {"__name__": "practice.views"}
exec(read_example("practice/views.py, at the end"), example)
APP = '{% meetergo_assets %}<button id="next">Next</button><p id="route"></p>' + WIDGET
urlpatterns = [
    *booking_pages,
    path("packages/<path:name>", lambda request, name: FileResponse((PACKAGES / name).open("rb"))),
    path("router.js", serve(ROUTER)),
    path("component.js", serve(COMPONENT)),
    path("home/", show("<h1>Home</h1>")),
    path("fragment/", lambda request: render(request, WIDGET)),
    path(
        "htmx/", show('<h1>A site</h1>{% meetergo_assets %}<div hx-get="/fragment/" hx-trigger="load"></div>')
    ),
    path("app/", show(APP)),
    path("app/next/", show(APP)),
    path("shadow/", show("<site-panel>{% meetergo_assets %}" + WIDGET + "</site-panel>")),
    path("choose/", lambda request: shortcuts.render(request, "practice/choose.html")),
    path("times/<slug>/", example["times"], name="times"),
    path("twice/", show("{% meetergo_assets %}" + WIDGET)),
]


def add_site(request: HttpRequest) -> dict[str, Any]:
    return {"site": site}


@pytest.fixture
def open_site(service: Any, make_person: Any, settings: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a function that opens a page of a site with these scripts, in a browser in Berlin."""
    (templates,) = settings.TEMPLATES
    processors = [*templates["OPTIONS"]["context_processors"], f"{__name__}.add_site"]
    options = {"context_processors": processors}
    settings.TEMPLATES = [{**templates, "DIRS": [FOLDER / "templates"], "OPTIONS": options}]
    settings.MEETERGO = {**settings.MEETERGO, "BASE_TEMPLATE": "scripted.html"}
    settings.ROOT_URLCONF = __name__

    def open_site(url: str, *scripts: str, attributes: str = "") -> Any:
        if any(script.startswith("/packages/") for script in scripts):
            monkeypatch.setattr(PolicyMiddleware, "policy", LOOSE_POLICY)
        site.update(scripts=scripts, attributes=attributes)
        person = make_person()
        person.open(url)
        return person

    return open_site


@pytest.fixture
def requests_of() -> Any:
    """Return a function that lists the requests a page makes from now on."""

    def record(person: Any) -> list[str]:
        found: list[str] = []
        person.page.on("request", lambda request: found.append(f"{request.method} {request.url}"))
        return found

    return record


def turn_month(person: Any) -> None:
    person.page.locator(".mg-on").click()
    expect(person.status).to_have_text(re.compile(r"^\w+ \d{4}, \d+ days with free times$"))


def choose_zone(person: Any) -> None:
    person.page.get_by_role("link", name="Change time zone").click()
    person.page.get_by_label("Time zone").select_option("Asia/Kolkata")
    person.press(CHANGE_ZONE)
    expect(person.status).to_have_text("Times are now shown in Kolkata time (GMT+5:30).")
    expect(person.page.locator(".mg-zone p")).to_contain_text("Kolkata time")
    assert person.page.locator("[name=start]").first.get_attribute("value").endswith("+05:30")


# htmx and Turbo


@pytest.mark.parametrize("htmx", [HTMX_2, HTMX_4], ids=["htmx 2", "htmx 4"])
def test_a_widget_in_an_htmx_fragment_works(open_site: Any, htmx: str) -> None:
    """It asks for its own address, not for that of the page."""
    person = open_site("/htmx/", htmx)
    turn_month(person)
    choose_zone(person)
    expect(person.page).to_have_url(re.compile("/htmx/$"))
    person.page.locator(TIMES).first.click()
    person.press("Continue")
    person.expect_title("Your details")


NAVIGATIONS = {
    "htmx 2": (HTMX_2, 'hx-boost="true"'),
    "htmx 4": (HTMX_4, 'hx-boost:inherited="true"'),
    "Turbo": (TURBO, ""),
}


@pytest.mark.parametrize(("script", "attributes"), NAVIGATIONS.values(), ids=NAVIGATIONS.keys())
def test_a_site_that_replaces_pages_can_be_booked_at(
    open_site: Any, requests_of: Any, script: str, attributes: str
) -> None:
    """A month costs one request, a form with errors is shown, and the booking is announced once."""
    person = open_site("/home/", script, attributes=attributes)
    person.page.add_init_script(
        "addEventListener('meetergo:booked', () => {localStorage.booked = +(localStorage.booked ?? 0) + 1; })"
    )
    person.page.evaluate("window.isSamePage = true")
    person.press("Book online", role="link")
    expect(person.page.get_by_role("grid")).to_be_visible()
    assert person.page.evaluate("window.isSamePage")
    made = requests_of(person)
    turn_month(person)
    assert len(made) == 1

    person.page.locator(TIMES).first.click()
    person.press("Continue")
    person.expect_title("Your details")
    person.press("Book this time")
    expect(person.page.get_by_role("heading", name="There is a problem")).to_be_visible()
    expect(person.page.get_by_role("button", name="Book this time")).to_be_visible()
    person.fill_in()
    person.press("Book this time")
    person.expect_title("Your appointment is booked")
    assert Booking.objects.count() == 1

    person.press("Book online", role="link")
    expect(person.page.get_by_role("grid")).to_be_visible()
    person.page.go_back()
    person.expect_title("Your appointment is booked")
    person.page.reload()
    person.expect_title("Your appointment is booked")
    assert person.page.evaluate("localStorage.booked") == "1"


@pytest.fixture
def open_example(open_site: Any, settings: Any, tmp_path: Path) -> Any:
    """Return a function that opens the site of the documentation's example."""
    (tmp_path / "practice").mkdir()
    for name in ("choose", "times"):
        text = read_example(f"practice/templates/practice/{name}.html")
        (tmp_path / "practice" / f"{name}.html").write_text(text)
    (tmp_path / "practice" / "base.html").write_text(BASE)
    (templates,) = settings.TEMPLATES
    settings.TEMPLATES = [{**templates, "DIRS": [*templates["DIRS"], tmp_path]}]
    return lambda: open_site("/choose/", HTMX_2)


def test_the_example_with_htmx_works(open_example: Any) -> None:
    person = open_example()
    person.press("Choose a time")
    choose_zone(person)
    person.page.locator(TIMES).first.click()
    person.press("Continue")
    person.expect_title("Your details")


# Single-page applications and components


def test_the_back_button_of_a_router_leaves_the_widget_alone(open_site: Any, requests_of: Any) -> None:
    person = open_site("/app/", "/router.js")
    turn_month(person)
    month = person.page.locator(".mg-month-name").inner_text()
    expect(person.page).to_have_url(re.compile("/app/$"))
    made = requests_of(person)
    person.press("Next")
    person.page.go_back()
    expect(person.page.locator("#route")).to_have_text("/app/")

    assert person.page.locator(".mg-month-name").inner_text() == month
    person.page.wait_for_timeout(300)
    assert made == []


def test_a_widget_that_is_moved_in_the_page_goes_on(open_site: Any) -> None:
    person = open_site("/app/", "/router.js")
    person.page.evaluate("document.querySelector('main').prepend(document.querySelector('.meetergo'))")
    turn_month(person)
    person.page.locator(TIMES).first.click()
    assert person.page.evaluate("received")


def test_a_widget_in_a_shadow_root_works(open_site: Any) -> None:
    """With the keyboard as well; the chosen time is announced to the document."""
    person = open_site("/shadow/", "/component.js")
    turn_month(person)
    days = person.page.locator("[data-date]")
    days.nth(8).focus()
    person.page.keyboard.press("PageDown")
    expect(person.status).to_have_text(re.compile(r"^\w+ \d{4}, \d+ days with free times$"))
    expect(person.page.locator("[data-date]:focus")).to_have_count(1)
    choose_zone(person)
    label = person.page.locator(TIMES).first
    label.click()
    assert person.page.evaluate("received") == label.locator("input").input_value()


def test_the_script_may_be_loaded_twice(open_site: Any) -> None:
    """Under two addresses; the page has no error."""
    person = open_site("/twice/")
    for name in ("meetergo", "pages"):
        person.page.evaluate(f"import('/static/meetergo/{name}.js?again')")
    turn_month(person)


# Anchors


def test_an_anchor_leaves_the_calendar_and_the_focus_alone(open_site: Any, requests_of: Any) -> None:
    person = open_site("/book/intro-call/")
    turn_month(person)
    month = person.page.locator(".mg-month-name").inner_text()
    made = requests_of(person)
    person.press("Skip to content", role="link")
    person.expect_focus(person.page.locator("#content"))
    person.page.wait_for_timeout(300)
    person.expect_focus(person.page.locator("#content"))
    person.page.go_back()
    person.page.wait_for_timeout(300)
    assert person.page.locator(".mg-month-name").inner_text() == month
    assert made == []

    person.page.go_back()
    expect(person.page.locator(".mg-month-name")).not_to_have_text(month)
    person.expect_focus(person.page.locator(".mg-on"))


def test_history_entries_of_another_script_are_left_alone(open_site: Any, requests_of: Any) -> None:
    person = open_site("/book/intro-call/")
    turn_month(person)
    made = requests_of(person)
    for number in (1, 2):
        person.page.evaluate("number => history.pushState({ number }, '', `?tab=${number}`)", number)
    person.page.go_back()
    person.page.wait_for_timeout(300)
    assert made == []
