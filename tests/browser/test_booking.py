"""What attendees do, from the free times to the calendar file, with script and without."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Any

import pytest
from playwright.sync_api import expect

from django_meetergo.models import Booking
from tests.browser.person import TIMES

BOOK = "POST /v4/booking"


def only_booking() -> Booking:
    return Booking.objects.get()


def test_somebody_books_moves_and_cancels(service: Any, person: Any) -> None:
    """The whole way; each page says in its heading where one is, and the focus is there."""
    person.book()
    person.expect_title("You are booked")
    person.expect_focus(person.heading)
    assert person.page.title().startswith("You are booked")
    assert len(service.appointments()) == 1

    person.press("Change or cancel", role="link")
    person.expect_title("Your appointment")
    person.press("Choose another time", role="link")
    person.expect_title("Choose another time")
    person.page.locator(TIMES).nth(3).click()
    person.press("Continue")
    expect(person.heading).to_have_text(re.compile("^Move to .*\\?$"))
    person.expect_focus(person.heading)
    person.press("Move appointment")
    person.expect_title("Your appointment")
    expect(person.page.locator(".mg-ticket")).to_contain_text("Moved from")

    person.press("Cancel appointment", role="link")
    person.page.get_by_label("Reason (optional)").fill("I am travelling.")
    person.press("Cancel appointment")
    expect(person.heading).to_contain_text("This appointment was cancelled on")
    expect(person.page.locator("blockquote")).to_have_text("I am travelling.")
    assert service.appointments() == []


def test_an_address_to_be_confirmed_is_waited_for(service: Any, person: Any) -> None:
    """Not booked until the link in the mail is opened; then the page finds out."""
    person.book("checkup")
    person.expect_title("One more step: confirm your e-mail")
    expect(person.page.locator(".mg-lead")).to_contain_text("Your time is not booked yet.")

    service.confirm(only_booking())
    person.press("I have confirmed – check again")

    person.expect_title("You are booked")


def test_a_lost_time_is_told_and_one_click_books_another(service: Any, person: Any) -> None:
    """Nothing typed is lost, and nothing is chosen for anybody."""
    person.choose_time()
    person.fill_in()
    start = datetime.fromisoformat(person.page.locator("[name=start]").input_value())
    service.occupy_slot(start)
    person.press("Book this time")

    expect(person.heading).to_contain_text("Someone else has just taken")
    person.expect_focus(person.heading)
    choices = person.page.get_by_role("radio")
    expect(choices).to_have_count(4)
    assert not any(radio.is_checked() for radio in choices.all())
    choices.first.check()
    person.press("Book this time instead")

    person.expect_title("You are booked")
    assert only_booking_that_stands().first_name == "Jane"


def test_who_agreed_to_another_time_gets_it_and_is_told(
    service: Any, person: Any, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ticked by the visitor, tried by us, and named beside the time it became."""
    settings.MEETERGO = {**settings.MEETERGO, "REBOOK": {"days": 7}}
    monkeypatch.setattr("django_meetergo.services.bookings.draw_pause", timedelta)
    time = person.choose_time()
    person.fill_in()
    person.page.get_by_label("If this time has just gone, book the nearest free time for me").check()
    service.occupy_slot(datetime.fromisoformat(person.page.locator("[name=start]").input_value()))
    person.press("Book this time")

    person.expect_title("We are booking your time")
    expect(person.page.locator(".mg-note")).to_contain_text(f"{time} was taken. We are trying")
    person.press("Check again")
    person.expect_title("You are booked")
    expect(person.page.locator(".mg-note")).to_contain_text(f"{time} was taken, so we booked the nearest")
    expect(person.page.locator(".mg-row-when")).not_to_contain_text(f"{time}–")
    assert len(service.appointments_of(only_booking())) == 1


def only_booking_that_stands() -> Booking:
    return Booking.objects.get(state=Booking.State.CONFIRMED)


def test_an_answer_that_was_lost_ends_as_booked(service: Any, person: Any) -> None:
    """The page says that it is being checked, then that it is booked; one appointment exists."""
    service.fail_next(BOOK, "drop_after")
    person.book()
    person.expect_title("We are checking your booking")
    expect(person.page.locator(".mg-lead strong")).to_have_text("Please do not book again yet")

    person.press("Check again")

    person.expect_title("You are booked")
    assert len(service.appointments()) == 1


def test_what_is_wrong_is_said_on_top_and_at_its_field(person: Any) -> None:
    person.choose_time()
    person.press("Book this time")

    summary = person.page.get_by_role("heading", name="There is a problem")
    person.expect_focus(summary)
    assert person.page.title().startswith("Error: ")
    person.press("Enter your first name", role="link")
    person.expect_focus(person.page.get_by_label("First name"))


def test_no_time_chosen_is_an_error_in_words(person: Any) -> None:
    person.open("/book/intro-call/")
    person.press("Continue")

    expect(person.page.get_by_role("heading", name="There is a problem")).to_be_visible()
    expect(person.page.locator(".mg-errors a")).to_have_text("Choose a time")


def test_the_keyboard_alone_books(service: Any, person: Any) -> None:
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

    person.expect_title("You are booked")
    assert len(service.appointments()) == 1


def tab_to(person: Any, selector: str) -> None:
    for _ in range(80):
        person.page.keyboard.press("Tab")
        if person.page.locator(selector).locator("visible=true").and_(person.page.locator(":focus")).count():
            return
    pytest.fail(f"The keyboard does not reach {selector}.")
