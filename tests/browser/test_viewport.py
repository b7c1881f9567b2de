"""On a small phone and on a small laptop every control is in sight when it is needed."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest
from playwright.sync_api import Locator, expect

from django_meetergo.models import Appointment, Booking
from tests.browser.person import TIMES, Person

pytestmark = pytest.mark.django_db(transaction=True)

SIZES = {"phone": (360, 640), "laptop": (1280, 720)}


@pytest.fixture(params=SIZES)
def visitor(request: pytest.FixtureRequest, make_person: Any) -> Person:
    width, height = SIZES[request.param]
    person: Person = make_person(width=width, has_touch=request.param == "phone")
    person.page.set_viewport_size({"width": width, "height": height})
    return person


def use(visitor: Person, control: Locator) -> None:
    """Tap or click a control that is in sight already."""
    expect(control).to_be_in_viewport(ratio=1)
    visitor.wait_for_animations()
    if visitor.page.evaluate("navigator.maxTouchPoints"):
        control.tap()
    else:
        control.click()


def test_booking_and_moving(visitor: Person) -> None:
    page = visitor.page
    visitor.open("/book/consultation/")
    expect(page.locator("a[data-date]").first).to_be_in_viewport(ratio=1)
    use(visitor, page.locator("a[data-date]").nth(1))
    visitor.expect_focus(page.locator(".mg-slots .mg-title"))
    time = page.locator(TIMES).first
    use(visitor, time)
    chosen = time.locator("bdi").evaluate("face => getComputedStyle(face).backgroundColor")
    accent = page.locator(".mg-bar button").evaluate("e => getComputedStyle(e).backgroundColor")
    assert chosen == accent
    use(visitor, page.get_by_role("button", name="Continue"))
    visitor.expect_title("Your details")
    visitor.fill_in()
    page.locator("[name=location]").first.check()
    visitor.press("Book this time")
    visitor.expect_title("Your appointment is booked")
    expect(page.locator(".mg-ticket strong")).to_be_in_viewport(ratio=1)
    visitor.press("Change or cancel", "link")
    use(visitor, page.get_by_role("link", name="Choose another time"))
    expect(page.locator(".mg-day-chosen")).to_be_in_viewport(ratio=1)
    use(visitor, page.locator("a[data-date]").nth(2))
    visitor.expect_focus(page.locator(".mg-slots .mg-title"))
    use(visitor, page.locator(TIMES).first)
    use(visitor, page.get_by_role("button", name="Continue"))
    use(visitor, page.get_by_role("button", name="Move appointment"))
    visitor.expect_title("Your appointment has been moved")


def test_cancelling(visitor: Person) -> None:
    page = visitor.page
    visitor.book()
    visitor.expect_title("Your appointment is booked")
    visitor.press("Change or cancel", "link")
    visitor.expect_title("Your appointment")
    expect(page.get_by_role("link", name="Choose another time")).to_be_in_viewport(ratio=1)
    use(visitor, page.get_by_role("link", name="Cancel appointment"))
    visitor.expect_title("Cancel this appointment?")
    expect(page.get_by_label("Reason (optional)")).to_be_in_viewport(ratio=1)
    use(visitor, page.get_by_role("button", name="Cancel appointment"))
    expect(page.locator("article")).to_have_attribute("data-screen", "cancelled")
    expect(page.locator("h1")).to_be_in_viewport(ratio=1)


def test_a_taken_time(service: Any, visitor: Person) -> None:
    page = visitor.page
    visitor.choose_time()
    visitor.fill_in()
    service.occupy_slot(datetime.fromisoformat(page.locator("[name=start]").input_value()))
    visitor.press("Book this time")
    visitor.expect_focus(visitor.heading)
    use(visitor, page.locator(".mg-alternatives label").first)
    visitor.press("Book this time instead")
    visitor.expect_title("Your appointment is booked")


def test_an_error_leads_to_its_field(visitor: Person) -> None:
    page = visitor.page
    visitor.choose_time()
    visitor.press("Book this time")
    visitor.expect_focus(page.locator("#mg-errors"))
    use(visitor, page.get_by_role("link", name="Enter your e-mail address"))
    expect(page.get_by_label("E-mail address")).to_be_in_viewport(ratio=1)
    visitor.expect_focus(page.get_by_label("E-mail address"))


def test_a_zone_is_chosen(visitor: Person) -> None:
    page = visitor.page
    visitor.open("/book/intro-call/")
    use(visitor, page.get_by_role("link", name="Change time zone"))
    expect(page.get_by_role("searchbox")).to_be_in_viewport(ratio=1)
    page.get_by_role("searchbox").fill("Kolkata")
    use(visitor, page.get_by_role("button", name="Use this time zone"))
    expect(page.get_by_text("Times are shown in Kolkata time")).to_be_in_viewport(ratio=1)


def test_the_place_is_asked_for_only_where_the_attendee_comes(visitor: Person) -> None:
    visitor.choose_time("consultation")
    place = visitor.page.get_by_role("group", name="Place")
    visitor.page.get_by_label("On site").check()
    expect(place).to_be_visible()
    visitor.page.get_by_label("Video call").check()
    expect(place).to_be_hidden()
    expect(visitor.page.get_by_label("Invite other people (optional)")).to_be_hidden()


def test_a_mistyped_mail_domain_is_only_hinted_at(scripted: Person) -> None:
    scripted.choose_time()
    email = scripted.page.get_by_label("E-mail address")
    hint = scripted.page.locator(".mg-meant")
    for typed, meant in [
        ("jo@gmial.com", "jo@gmail.com"),
        ("jo@gmx.d", "jo@gmx.de"),
        ("Jo@outlokk.com", "Jo@outlook.com"),
    ]:
        email.fill(typed)
        email.blur()
        expect(hint).to_have_text(f"Did you mean {meant}?")
    hint.click()
    expect(email).to_have_value("Jo@outlook.com")
    expect(hint).to_have_count(0)
    for right in ("jo@gmail.com", "jo@example.com", "jo@gmx.at"):
        email.fill(right)
        email.blur()
        expect(hint).to_have_count(0)
    email.fill("jo@gmial.com")
    scripted.fill_in(**{"E-mail address": "jo@gmial.com"})
    scripted.press("Book this time")
    scripted.expect_title("Your appointment is booked")


def test_time_zones_can_be_searched(scripted: Person) -> None:
    scripted.open("/book/intro-call/")
    scripted.press("Change time zone", "link")
    search = scripted.page.get_by_role("searchbox", name="Search this list")
    scripted.expect_focus(search)
    search.fill("kolk")
    scripted.press("Use this time zone")
    expect(scripted.page.get_by_text("Times are shown in Kolkata time")).to_be_visible()


def test_a_time_chosen_before_the_zone_is_known_stays_chosen(make_person: Any) -> None:
    """On a slow network the times come again in the browser's own zone after the visitor has tapped."""
    person = make_person(zone="America/New_York")
    released: list[Any] = []
    asked = 0

    def delay(route: Any) -> None:
        nonlocal asked
        asked += 1
        if asked == 1:
            route.continue_()
        else:
            released.append(route)

    person.page.route("**/book/intro-call/**", delay)
    person.open("/book/intro-call/")
    person.page.locator(TIMES).first.click()
    instant = person.page.locator(".mg-slots :checked").evaluate("e => Date.parse(e.value)")
    released[0].continue_()
    expect(person.page.get_by_text("Times are shown in New York time")).to_be_visible()
    assert person.page.locator(".mg-slots :checked").evaluate("e => Date.parse(e.value)") == instant


def test_the_join_link_appears_without_a_reload(scripted: Person) -> None:
    scripted.book()
    scripted.expect_title("Your appointment is booked")
    link = Appointment.objects.get().meeting_link
    Appointment.objects.update(meeting_link="")
    scripted.page.reload()
    join = scripted.page.get_by_role("link", name="Join")
    expect(join).to_have_count(0)
    Appointment.objects.update(meeting_link=link or "https://zoom.example/j/1")
    expect(join).to_be_visible()


def test_pages_of_closed_requests_do_not_look_like_a_booking(scripted: Person) -> None:
    scripted.book()
    scripted.expect_title("Your appointment is booked")
    url = scripted.page.url
    for reason in (Booking.Reason.LAPSED, Booking.Reason.DECLINED):
        Booking.objects.update(state=Booking.State.CLOSED, reason=reason, attendee=None)
        scripted.page.goto(url)
        expect(scripted.page.locator(".mg-ticket")).to_have_count(0)
        expect(scripted.page.get_by_text("You had chosen Intro call")).to_be_visible()


def test_a_wrong_link_offers_a_way_on(scripted: Person) -> None:
    scripted.open("/book/manage/nonsense/")
    scripted.press("Book an appointment", "link")
    scripted.expect_title("Book an appointment")
