"""Check every screen and state with axe in five display modes, and take screenshots."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest
from playwright.sync_api import expect

from django_meetergo.models import Attendee, Booking
from tests.browser.person import TIMES

BOOK = "POST /v4/booking"
MODES: dict[str, dict[str, Any]] = {
    "360-light": {"width": 360},
    "360-dark": {"width": 360, "color_scheme": "dark"},
    "320-rtl": {"width": 320, "language": "ar"},
    "1280": {"width": 1280},
    "forced": {"width": 1280, "forced_colors": "active"},
}
#: Every control is at least 44 px high; no text overlaps another or sticks out of its box; no button breaks
#: a word. Links within a sentence and elements for screen readers are left out.
FIND_FLAWS = r"""() => {
    const left_out = ".mg-hidden, .mg-trap, .mg-status:not(.mg-loud), .mg-month span, .mg-times span, option,"
        + "summary + .mg-field > label";
    const list = (selector) => [...document.querySelectorAll(`.meetergo ${selector}`)]
        .filter((element) => element.checkVisibility() && !element.closest(left_out));
    const name = (e) => `${e.className || e.localName} "${e.textContent.trim().slice(0, 30)}"`;
    const measure = (node, start, end) => {
        const range = new Range();
        range.setStart(node, start);
        range.setEnd(node, end);
        return [...range.getClientRects()];
    };
    const isBroken = (node) => [...node.data.matchAll(/[\p{L}\p{N}]+/gu)]
        .some((word) => measure(node, word.index, word.index + word[0].length).length > 1);
    const overlap = (a, b) => Math.min(a.right, b.right) - Math.max(a.left, b.left) > 2
        && Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > 5;

    const links = "a:not(.mg-type-link, .mg-tick a, .mg-contact a)";
    const small = list(`:is(${links}, button, select, textarea, summary)`)
        .filter((e) => e.getBoundingClientRect().height < 43.5);
    const wide = list(":is(.mg-button, .mg-choice, .mg-times bdi, .mg-month th, .mg-next-slot, p)")
        .filter((e) => e.clientWidth && e.scrollWidth > e.clientWidth + 1);
    const texts = list("*").flatMap((element) => [...element.childNodes])
        .filter((node) => node.nodeType === Node.TEXT_NODE && node.data.trim());
    const broken = texts.filter((node) => node.parentNode.closest(".mg-button, .mg-times, th"))
        .filter(isBroken);
    // The bar with the chosen time lies above the times on purpose.
    const rects = texts.filter((node) => !node.parentNode.closest(".mg-bar"))
        .flatMap((node) => measure(node, 0, node.length).map((rect) => [rect, node]));
    const overlapping = rects
        .filter(([a, node]) => rects.some(([b, other]) => node !== other && overlap(a, b)));
    return [
        ...small.map((element) => `lower than 44 px: ${name(element)}`),
        ...wide.map((element) => `wider than its box: ${name(element)}`),
        ...broken.map((node) => `broken word: ${node.data.trim()}`),
        ...overlapping.map(([, node]) => `overlaps: ${node.data.trim().slice(0, 30)}`),
    ];
}"""


@pytest.fixture(params=MODES)
def mode(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def visitor(make_person: Any, mode: str) -> Any:
    return make_person(**MODES[mode])


@pytest.fixture
def check(visitor: Any, mode: str) -> Any:
    """Return a function that checks a screen: no violation, no flaw, no horizontal scrolling; a "
    "screenshot."""
    problems: list[str] = []

    def check(name: str) -> None:
        problems.extend(f"{name}: {violation}" for violation in visitor.list_violations())
        if visitor.page.evaluate("document.documentElement.scrollWidth > innerWidth"):
            problems.append(f"{name}: scrolls sideways")
        problems.extend(f"{name}: {flaw}" for flaw in visitor.page.evaluate(FIND_FLAWS))
        visitor.take_screenshot(f"{name}-{mode}")

    yield check
    assert problems == []


def test_choosing_a_time(service: Any, visitor: Any, check: Any) -> None:
    visitor.open("/book/")
    check("index")
    visitor.open_whole_day("/book/intro-call/")
    check("book")
    visitor.page.locator(".mg-zone a").click()
    visitor.page.locator(TIMES).nth(1).click()
    check("book-chosen")
    visitor.open("/book/intro-call/?date=2026-01-01")
    check("book-no-times")
    visitor.open("/book/consultation/?zones=all")
    check("book-durations")
    visitor.open("/book/group-class/")
    check("book-group")
    visitor.open("/book/intro-call/details/")
    check("book-error")


@pytest.mark.urls("tests.browser.site")
def test_a_site_with_the_template_tags(
    service: Any, visitor: Any, check: Any, django_user_model: Any
) -> None:
    visitor.open("/site/times/")
    check("site-times")
    visitor.send("/book/intro-call/")
    Attendee.objects.update(user=django_user_model.objects.create_user("jane"))
    visitor.open("/site/upcoming/")
    check("site-upcoming")
    visitor.allowed_hosts = ("https://cdn.meetergo.com/", "https://cal.meetergo.com/")
    visitor.context.route("https://*.meetergo.com/**", lambda route: route.fulfill(body=""))
    visitor.open("/site/contact/")
    check("site-contact")


def test_no_times(service: Any, visitor: Any, check: Any) -> None:
    service.clear_availability()
    service.fail_next("*", "status_before", times=20, status=503)
    visitor.open("/book/intro-call/")
    check("book-failed")
    visitor.open("/book/manage/nonsense/")
    check("not-found")


def test_the_booking_form(service: Any, visitor: Any, check: Any) -> None:
    visitor.choose("/book/consultation/")
    check("details")
    visitor.page.locator(".mg-form .mg-button").click()
    expect(visitor.page.locator("#mg-errors")).to_be_focused()
    check("details-errors")


def test_a_form_without_its_cookie(service: Any, visitor: Any, check: Any) -> None:
    visitor.choose("/book/intro-call/")
    visitor.fill_in_by_name()
    visitor.context.clear_cookies()
    visitor.page.locator(".mg-form .mg-button").click()
    expect(visitor.page.locator("#mg-errors")).to_be_focused()
    check("details-no-cookie")
    visitor.page.locator(".mg-form .mg-button").click()
    expect(visitor.page.locator("article")).to_have_attribute("data-screen", "confirmed")
    visitor.page.locator(".mg-actions .mg-button").first.click()
    expect(visitor.page.locator("article")).to_have_attribute("data-screen", "upcoming")
    visitor.open_whole_day(f"{visitor.page.url}reschedule/")
    visitor.page.locator(TIMES).nth(2).click()
    visitor.page.locator(".mg-bar button").click()
    expect(visitor.page.locator(".mg-swap")).to_be_visible()
    visitor.context.clear_cookies()
    visitor.page.locator(".mg-card .mg-button").click()
    expect(visitor.page.locator("#mg-errors")).to_be_focused()
    check("reschedule-no-cookie")
    visitor.page.locator(".mg-card .mg-button").click()
    expect(visitor.page.locator(".mg-ticket")).to_be_visible()


def test_a_taken_time(service: Any, visitor: Any, check: Any) -> None:
    visitor.choose("/book/intro-call/")
    visitor.fill_in_by_name()
    start = visitor.page.locator("[name=start]").input_value()
    service.occupy_slot(datetime.fromisoformat(start))
    visitor.page.locator(".mg-form .mg-button").click()
    expect(visitor.page.locator(".mg-alternatives")).to_be_visible()
    check("slot-taken")


def test_waiting_screens(service: Any, visitor: Any, check: Any, settings: Any) -> None:
    visitor.send("/book/checkup/")
    check("outcome-attendee")
    booking = Booking.objects.get()
    for state, reason in (
        ("pending", "host"), ("pending", "both"), ("sending", ""), ("received", "deferred"), ("unknown", ""),
        ("unknown", "needs_staff"), ("closed", "refused"), ("closed", "unreachable"), ("closed", "lapsed"),
        ("closed", "declined"), ("closed", "not_booked"),
    ):  # fmt: skip
        Booking.objects.filter(pk=booking.pk).update(state=state, reason=reason)
        visitor.page.reload()
        check(f"outcome-{state}-{reason}".rstrip("-"))


def test_a_deferred_request(service: Any, visitor: Any, check: Any, settings: Any) -> None:
    settings.MEETERGO = {
        **settings.MEETERGO,
        "DEFER_WHEN_DOWN": True,
        "REBOOK": {"days": 7, "hours": [8, 18]},
    }
    visitor.choose("/book/intro-call/")
    visitor.page.get_by_text("Only some days or hours").click()
    check("details-rebook")
    visitor.fill_in_by_name()
    service.fail_next(BOOK, "status_before", times=20, status=429)
    visitor.page.locator(".mg-form .mg-button").click()
    expect(visitor.page.locator(".mg-defer h2")).to_be_focused()
    check("details-defer")
    visitor.page.locator(".mg-defer button").click()
    expect(visitor.page.locator("article")).to_have_attribute("data-screen", "deferred")


def test_booked_moved_and_cancelled(service: Any, visitor: Any, check: Any) -> None:
    visitor.send("/book/intro-call/")
    check("outcome-confirmed")
    visitor.page.locator(".mg-actions .mg-button").first.click()
    expect(visitor.page.locator("article")).to_have_attribute("data-screen", "upcoming")
    check("manage")
    address = visitor.page.url
    visitor.open_whole_day(f"{address}reschedule/")
    check("reschedule")
    visitor.page.locator(TIMES).nth(2).click()
    visitor.page.locator(".mg-bar button").click()
    expect(visitor.page.locator(".mg-swap")).to_be_visible()
    check("reschedule-confirm")
    visitor.page.locator(".mg-card .mg-button").click()
    expect(visitor.page.locator(".mg-ticket")).to_be_visible()
    check("manage-moved")
    visitor.page.goto(f"{address}cancel/")
    check("cancel")
    visitor.page.locator(".mg-button-danger").click()
    expect(visitor.page.locator("article")).to_have_attribute("data-screen", "cancelled")
    check("manage-cancelled")
