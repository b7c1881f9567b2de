"""Every screen and state, looked at by axe in five ways; the pictures are for people."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest
from playwright.sync_api import expect

from django_meetergo.models import Attendee, Booking
from tests.browser.person import TIMES

BOOK = "POST /v4/booking"
WAYS: dict[str, dict[str, Any]] = {
    "360-light": {"width": 360},
    "360-dark": {"width": 360, "color_scheme": "dark"},
    "320-rtl": {"width": 320, "language": "ar"},
    "1280": {"width": 1280},
    "forced": {"width": 1280, "forced_colors": "active"},
}
Look = Callable[[Any, str], None]


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def visitor(make_person: Any, way: str) -> Any:
    return make_person(**WAYS[way])


@pytest.fixture
def look(visitor: Any, way: str) -> Any:
    """See a screen: no fault for axe, nothing wider than the window, a picture."""
    faults: list[str] = []

    def look(name: str) -> None:
        faults.extend(f"{name}: {fault}" for fault in visitor.list_faults())
        if visitor.page.evaluate("document.documentElement.scrollWidth > innerWidth"):
            faults.append(f"{name}: scrolls sideways")
        visitor.shoot(f"{name}-{way}")

    yield look
    assert faults == []


def test_choosing_a_time(service: Any, visitor: Any, look: Any) -> None:
    visitor.open("/book/")
    look("index")
    visitor.open("/book/intro-call/")
    look("book")
    visitor.page.locator(".mg-zone a").click()
    visitor.page.locator(TIMES).nth(1).click()
    look("book-chosen")
    visitor.open("/book/intro-call/?date=2026-01-01")
    look("book-no-times")
    visitor.open("/book/consultation/?zones=all")
    look("book-durations")
    visitor.open("/book/group-class/")
    look("book-group")
    visitor.open("/book/intro-call/details/")
    look("book-error")


@pytest.mark.urls("tests.browser.site")
def test_a_site_built_with_our_tags(service: Any, visitor: Any, look: Any, django_user_model: Any) -> None:
    visitor.open("/site/times/")
    look("site-times")
    visitor.send("/book/intro-call/")
    Attendee.objects.update(user=django_user_model.objects.create_user("jane"))
    visitor.open("/site/mine/")
    look("site-mine")
    visitor.friends = ("https://cdn.meetergo.com/", "https://cal.meetergo.com/")
    visitor.context.route("https://*.meetergo.com/**", lambda route: route.fulfill(body=""))
    visitor.open("/site/contact/")
    look("site-contact")


def test_no_times(service: Any, visitor: Any, look: Any) -> None:
    service.clear_availability()
    service.fail_next("*", "status_before", times=20, status=503)
    visitor.open("/book/intro-call/")
    look("book-failed")
    visitor.open("/book/manage/nonsense/")
    look("not-found")


def test_saying_who_one_is(service: Any, visitor: Any, look: Any) -> None:
    visitor.choose("/book/consultation/")
    look("details")
    visitor.page.locator(".mg-form .mg-button").click()
    expect(visitor.page.locator("#mg-errors")).to_be_focused()
    look("details-errors")


def test_a_form_whose_cookie_has_gone(service: Any, visitor: Any, look: Any) -> None:
    visitor.choose("/book/intro-call/")
    visitor.fill_in_by_name()
    visitor.context.clear_cookies()
    visitor.page.locator(".mg-form .mg-button").click()
    expect(visitor.page.locator("#mg-errors")).to_be_focused()
    look("details-no-cookie")
    visitor.page.locator(".mg-form .mg-button").click()
    expect(visitor.page.locator("article")).to_have_attribute("data-screen", "confirmed")
    visitor.page.locator(".mg-actions .mg-button").first.click()
    expect(visitor.page.locator("article")).to_have_attribute("data-screen", "upcoming")
    visitor.page.goto(f"{visitor.page.url}reschedule/")
    visitor.page.locator(TIMES).nth(2).click()
    visitor.page.locator(".mg-bar button").click()
    expect(visitor.page.locator(".mg-swap")).to_be_visible()
    visitor.context.clear_cookies()
    visitor.page.locator(".mg-card .mg-button").click()
    expect(visitor.page.locator("#mg-errors")).to_be_focused()
    look("reschedule-no-cookie")
    visitor.page.locator(".mg-card .mg-button").click()
    expect(visitor.page.locator(".mg-ticket")).to_be_visible()


def test_a_lost_time(service: Any, visitor: Any, look: Any) -> None:
    visitor.choose("/book/intro-call/")
    visitor.fill_in_by_name()
    start = visitor.page.locator("[name=start]").input_value()
    service.occupy_slot(datetime.fromisoformat(start))
    visitor.page.locator(".mg-form .mg-button").click()
    expect(visitor.page.locator(".mg-alternatives")).to_be_visible()
    look("lost")


def test_waiting_screens(service: Any, visitor: Any, look: Any, settings: Any) -> None:
    visitor.send("/book/checkup/")
    look("outcome-attendee")
    booking = Booking.objects.get()
    for state, reason in (
        ("pending", "host"), ("pending", "both"), ("sending", ""), ("received", "deferred"), ("unknown", ""),
        ("unknown", "needs_staff"), ("closed", "refused"), ("closed", "unreachable"), ("closed", "lapsed"),
        ("closed", "declined"), ("closed", "not_booked"),
    ):  # fmt: skip
        Booking.objects.filter(pk=booking.pk).update(state=state, reason=reason)
        visitor.page.reload()
        look(f"outcome-{state}-{reason}".rstrip("-"))


def test_a_request_for_later(service: Any, visitor: Any, look: Any, settings: Any) -> None:
    settings.MEETERGO = {
        **settings.MEETERGO,
        "DEFER_WHEN_DOWN": True,
        "REBOOK": {"days": 7, "hours": [8, 18]},
    }
    visitor.choose("/book/intro-call/")
    visitor.page.locator(".mg-form summary").click()
    look("details-rebook")
    visitor.fill_in_by_name()
    service.fail_next(BOOK, "status_before", times=20, status=429)
    visitor.page.locator(".mg-form .mg-button").click()
    expect(visitor.page.locator(".mg-queue h2")).to_be_focused()
    look("details-queue")
    visitor.page.locator(".mg-queue button").click()
    expect(visitor.page.locator("article")).to_have_attribute("data-screen", "deferred")


def test_booked_moved_and_cancelled(service: Any, visitor: Any, look: Any) -> None:
    visitor.send("/book/intro-call/")
    look("outcome-confirmed")
    visitor.page.locator(".mg-actions .mg-button").first.click()
    expect(visitor.page.locator("article")).to_have_attribute("data-screen", "upcoming")
    look("manage")
    address = visitor.page.url
    visitor.page.goto(f"{address}reschedule/")
    look("reschedule")
    visitor.page.locator(TIMES).nth(2).click()
    visitor.page.locator(".mg-bar button").click()
    expect(visitor.page.locator(".mg-swap")).to_be_visible()
    look("reschedule-confirm")
    visitor.page.locator(".mg-card .mg-button").click()
    expect(visitor.page.locator(".mg-ticket")).to_be_visible()
    look("manage-moved")
    visitor.page.goto(f"{address}cancel/")
    look("cancel")
    visitor.page.locator(".mg-button-danger").click()
    expect(visitor.page.locator("article")).to_have_attribute("data-screen", "cancelled")
    look("manage-cancelled")
