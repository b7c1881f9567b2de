"""What a visitor sees at each step of the booking flow, on a phone and on a laptop."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone
from playwright.sync_api import expect

from tests.browser.person import TIMES


def choose_duration(person: Any, minutes: int) -> None:
    person.page.locator(f'[name="duration"][value="{minutes}"]').check(force=True)


def test_the_picked_duration_reaches_the_form(service: Any, person: Any) -> None:
    """With script the times change at once; without script the duration is sent with the time."""
    person.open("/book/consultation/")
    choose_duration(person, 60)
    if person.has_script:
        expect(person.status).to_have_text(re.compile("days? with free times"))
        expect(person.page.get_by_role("button", name="Show times")).to_be_hidden()
    person.page.locator(TIMES).first.click()
    person.press("Continue")
    person.expect_title("Your details")
    expect(person.page.locator(".mg-summary")).to_contain_text("60 minutes")
    expect(person.page.locator("[type=hidden][name=duration]")).to_have_value("60")


def test_back_takes_the_picked_duration_back_with_its_times(service: Any, scripted: Any) -> None:
    """Else the times of 30 minutes are sent with 60."""
    scripted.open("/book/consultation/")
    day = scripted.page.locator("a[data-date]:not(.mg-day-chosen)").first
    day.click()
    expect(scripted.page.locator(".mg-slots .mg-title")).to_be_focused()
    with scripted.page.expect_response("**duration=60**"):
        choose_duration(scripted, 60)
    scripted.page.go_back()
    expect(scripted.page.locator('[name="duration"][value="60"]')).not_to_be_checked()
    form = scripted.page.locator("[name=duration]:checked").get_attribute("form")
    assert form == scripted.page.locator(".mg-times-form").get_attribute("id")


def test_a_duration_that_has_times_later_reaches_the_form(service: Any, scripted: Any) -> None:
    """The day that was opened has none, so there was no form with times to send the duration with."""
    today = timezone.localdate()
    sunday = today + timedelta(days=6 - today.weekday())
    scripted.open(f"/book/consultation/?date={sunday:%Y-%m-%d}")
    expect(scripted.page.locator(".mg-times-form")).to_have_count(0)

    scripted.page.locator(".mg-slots a.mg-button").click()
    choose_duration(scripted, 60)
    expect(scripted.status).to_have_text(re.compile("days? with free times"))
    scripted.page.locator(TIMES).first.click()
    scripted.press("Continue")

    scripted.expect_title("Your details")
    expect(scripted.page.locator(".mg-summary")).to_contain_text("60 minutes")


def test_enter_on_a_time_leads_to_the_form(service: Any, person: Any) -> None:
    """Also where "Show times" belongs to the same form and comes first."""
    person.open("/book/consultation/")
    person.page.locator(f"{TIMES} input").first.focus()
    person.page.keyboard.press("Space")
    person.page.keyboard.press("Enter")

    person.expect_title("Your details")


@pytest.mark.parametrize("width", [360, 1280])
def test_times_and_continue_come_into_view(make_person: Any, width: int) -> None:
    """The times when a day is tapped, the button when a time is chosen."""
    person = make_person(width=width, has_touch=True)
    person.page.set_viewport_size({"width": width, "height": 720})
    person.open("/book/intro-call/")
    person.page.locator("a[data-date]").nth(1).tap()
    expect(person.page.locator(".mg-slots .mg-title")).to_be_focused()
    expect(person.page.locator(TIMES).first).to_be_in_viewport()
    label = person.page.locator(TIMES).first
    label.tap()
    expect(person.page.get_by_role("button", name="Continue")).to_be_in_viewport(ratio=1)
    color = "face => getComputedStyle(face).backgroundColor"
    assert label.locator("bdi").evaluate(color) == "rgb(11, 92, 171)", "a tapped time looks chosen"
    person.take_screenshot(f"flow-chosen-{width}")


def test_on_a_phone_the_calendar_is_near_the_top(make_person: Any) -> None:
    person = make_person(width=360)
    person.open("/book/intro-call/")
    box = person.page.locator(".mg-monthbar").bounding_box()
    assert box["y"] < 400


def test_a_move_is_confirmed(person: Any) -> None:
    person.book()
    person.press("Change or cancel", role="link")
    person.press("Choose another time", role="link")
    person.expect_title("Choose another time")
    person.open_whole_day(person.page.url)
    person.page.locator(TIMES).nth(3).click()
    person.press("Continue")
    person.press("Move appointment")
    person.expect_title("Your appointment has been moved")
    assert person.page.title().startswith("Your appointment has been moved")
    expect(person.page.locator(".mg-lead")).to_have_text(re.compile("^From .* to .*$"))
