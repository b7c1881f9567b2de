"""Book, move and cancel in a browser, with script and without."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any

import pytest
from django.utils import timezone
from playwright.sync_api import expect

from django_meetergo.models import Booking
from tests.browser.person import TIMES

BOOK = "POST /v4/booking"


def get_booking() -> Booking:
    return Booking.objects.get()


def test_a_visitor_books_moves_and_cancels(service: Any, person: Any) -> None:
    """Each page has its heading, which has the focus."""
    person.book()
    person.expect_title("Your appointment is booked")
    person.expect_focus(person.heading)
    assert person.page.title().startswith("Your appointment is booked")
    assert len(service.appointments()) == 1

    person.press("Change or cancel", role="link")
    person.expect_title("Your appointment")
    person.press("Choose another time", role="link")
    person.expect_title("Choose another time")
    person.open_whole_day(person.page.url)
    person.page.locator(TIMES).nth(3).click()
    person.press("Continue")
    expect(person.heading).to_have_text(re.compile("^Move to .*\\?$"))
    person.expect_focus(person.heading)
    person.press("Move appointment")
    person.expect_title("Your appointment has been moved")
    expect(person.page.locator(".mg-ticket")).to_contain_text(re.compile("Moved on .*, from "))

    person.press("Cancel appointment", role="link")
    person.page.get_by_label("Reason (optional)").fill("I am travelling.")
    person.press("Cancel appointment")
    expect(person.heading).to_contain_text("This appointment was cancelled on")
    expect(person.page.locator("blockquote")).to_have_text("I am travelling.")
    assert service.appointments() == []


def test_a_booking_waits_for_the_confirmation_by_email(service: Any, person: Any) -> None:
    """It is not called booked until the link in the mail was opened."""
    person.book("checkup")
    person.expect_title("One more step: confirm your e-mail")
    expect(person.page.locator(".mg-lead")).to_contain_text("Your time is not booked yet.")

    service.confirm(get_booking())
    person.press("I have confirmed – check again")

    person.expect_title("Your appointment is booked")


def test_after_a_taken_time_one_click_books_another(service: Any, person: Any) -> None:
    """Nothing typed is lost, and no time is preselected."""
    person.choose_time()
    person.fill_in()
    start = datetime.fromisoformat(person.page.locator("[name=start]").input_value())
    service.occupy_slot(start)
    person.press("Book this time")

    expect(person.heading).to_contain_text("is no longer free")
    person.expect_focus(person.heading)
    choices = person.page.get_by_role("radio")
    expect(choices).to_have_count(4)
    assert not any(radio.is_checked() for radio in choices.all())
    choices.first.check()
    person.press("Book this time instead")

    person.expect_title("Your appointment is booked")
    assert get_confirmed_booking().first_name == "Jane"


def test_a_visitor_who_agreed_to_another_time_gets_it(service: Any, person: Any, settings: Any) -> None:
    """The page names the time that was taken and the one that was booked."""
    settings.MEETERGO = {**settings.MEETERGO, "REBOOK": {"days": 7}}
    time = person.choose_time()
    person.fill_in()
    person.page.get_by_label("If this time is no longer free, book the nearest free time for me").check()
    service.occupy_slot(datetime.fromisoformat(person.page.locator("[name=start]").input_value()))
    person.press("Book this time")

    person.expect_title("We are booking your time")
    expect(person.page.locator(".mg-note")).to_contain_text(f"{time} was taken. We are trying")
    Booking.objects.update(next_at=timezone.now())
    person.press("Check again")
    person.expect_title("Your appointment is booked")
    expect(person.page.locator(".mg-note")).to_contain_text(f"{time} was taken, so we booked the nearest")
    expect(person.page.locator(".mg-row-when")).not_to_contain_text(f"{time}–")
    assert len(service.appointments_of(get_booking())) == 1


def get_confirmed_booking() -> Booking:
    return Booking.objects.get(state=Booking.State.CONFIRMED)


def test_a_lost_answer_ends_as_booked(service: Any, person: Any) -> None:
    """The page shows "checking", then "booked"; one appointment exists."""
    service.fail_next(BOOK, "drop_after")
    person.book()
    person.expect_title("We are checking your booking")
    expect(person.page.locator(".mg-lead strong")).to_have_text("Please do not book again yet")

    person.press("Check again")

    person.expect_title("Your appointment is booked")
    assert len(service.appointments()) == 1


def test_errors_are_listed_on_top_and_link_to_their_fields(person: Any) -> None:
    person.choose_time()
    person.press("Book this time")

    summary = person.page.get_by_role("heading", name="There is a problem")
    person.expect_focus(summary)
    assert person.page.title().startswith("Error: ")
    person.press("Enter your first name", role="link")
    person.expect_focus(person.page.get_by_label("First name"))


def test_continue_without_a_time_shows_an_error(person: Any) -> None:
    person.open("/book/intro-call/")
    person.press("Continue")

    expect(person.page.get_by_role("heading", name="There is a problem")).to_be_visible()
    expect(person.page.locator(".mg-errors a")).to_have_text("Choose a time")


def test_a_booking_is_possible_with_the_keyboard_alone(service: Any, person: Any) -> None:
    """Tab, arrows, Space and Enter, from the first page to the last."""
    page = person.page
    person.open("/book/intro-call/")
    tab_to(person, f"{TIMES} input")
    page.keyboard.press("Space")
    tab_to(person, ".mg-bar button")
    page.keyboard.press("Enter")
    person.expect_title("Your details")
    for field, value in (("first_name", "Jane"), ("last_name", "Doe"), ("email", "jane@example.com")):
        tab_to(person, f"[name={field}]")
        page.keyboard.type(value)
    tab_to(person, ".mg-form .mg-actions button")
    page.keyboard.press("Enter")

    person.expect_title("Your appointment is booked")
    assert len(service.appointments()) == 1


def tab_to(person: Any, selector: str) -> None:
    for _ in range(80):
        person.page.keyboard.press("Tab")
        if person.page.locator(selector).locator("visible=true").and_(person.page.locator(":focus")).count():
            return
    pytest.fail(f"The keyboard does not reach {selector}.")
