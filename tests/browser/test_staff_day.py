"""A day at the front desk: what a receptionist does from the calendar, in every size and colour scheme."""

from __future__ import annotations

import csv
import re
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import requests
from django.core.management import call_command
from django.utils import timezone
from icalendar import Calendar
from playwright.sync_api import expect

from django_meetergo.admin.display import midnight
from django_meetergo.models import Appointment, Attendee, Host, MeetingType
from django_meetergo.sandbox.seed import INTRO_CALL
from tests.browser.test_staff import (  # noqa: F401 - fixtures
    add_appointment,
    choose_action,
    find_shared_day,
    open_list,
    receptionist,
    row,
    select_rows,
    show_today,
    today,
)

CALENDAR = "/admin/meetergo/appointment/calendar/"
#: Width and colour scheme.
SCREENS = [(1280, "light"), (1280, "dark"), (768, "light"), (768, "dark"), (360, "light"), (360, "dark")]


@pytest.fixture(params=SCREENS, ids=lambda screen: f"{screen[0]}-{screen[1]}")
def desk(request: pytest.FixtureRequest, receptionist: Any) -> Any:  # noqa: F811
    """The receptionist's browser in one size and colour scheme."""
    width, scheme = request.param
    receptionist.page.set_viewport_size({"width": width, "height": 800})
    receptionist.page.emulate_media(color_scheme=scheme)
    return receptionist


def open_day(desk: Any, start: datetime) -> None:
    """Open the calendar of a day by its links."""
    open_list(desk)
    desk.press("Calendar", role="link")
    desk.open(f"{CALENDAR}?view=day&date={timezone.localdate(start)}")
    desk.expect_title("Calendar")


def expect_no_sideways_scroll(desk: Any) -> None:
    assert not desk.page.evaluate("document.documentElement.scrollWidth > innerWidth")


def test_a_day_at_the_front_desk(service: Any, desk: Any, tmp_path: Path) -> None:
    starts = service.list_free_starts("intro-call")
    book_into_a_free_time(desk, starts[-1])
    hand_over_the_day(service, desk)
    record_a_no_show(desk)
    read_export(desk, tmp_path)
    feed = subscribe(desk)
    confirmed = read_feed(feed)
    cancel_three(desk)

    changed = {uid: status for uid, status in read_feed(feed).items() if status != confirmed[uid]}
    assert list(changed.values()) == ["CANCELLED"] * 3


def book_into_a_free_time(desk: Any, start: datetime) -> None:
    """A free time opens "Book for somebody"; where the calendar is a list, its button does."""
    open_day(desk, start)
    expect_no_sideways_scroll(desk)
    free = desk.page.get_by_role("link", name=f"Book {timezone.localtime(start):%H:%M} with Anna Weber")
    if free.is_visible():
        free.click()
        desk.press("Intro call", role="link")
    else:
        desk.press("Book for somebody", role="link")
        desk.press("Intro call", role="link")
        desk.page.locator("#content .module a.button").first.click()
    desk.page.get_by_label("First name").fill("Cleo")
    desk.page.get_by_label("Last name").fill("Caller")
    desk.page.get_by_label("E-mail").first.fill("cleo@example.com")
    expect_no_sideways_scroll(desk)
    desk.press("Book")
    expect(desk.page.locator(".messagelist .success")).to_contain_text("Booked:")
    assert Appointment.objects.get(attendees__last_name="Caller").attendees.get().email == "cleo@example.com"


def hand_over_the_day(service: Any, desk: Any) -> None:
    """Two of Anna's appointments go to Ben; the one for which he is busy stays and is named."""
    day = find_shared_day(service)
    for name, start in zip(("Uma Weber", "Vera Lang", "Willi Roth"), day, strict=True):
        add_appointment(service, name, start, INTRO_CALL)
    service.occupy_slot(day[1], "consultation")
    call_command("meetergo_sync", "--kind", "full", verbosity=0)

    open_day(desk, day[0])
    desk.page.get_by_role("link", name="Hand over the day of Anna").click()
    desk.page.get_by_label(re.compile("Ben .*free for")).check()
    expect_no_sideways_scroll(desk)
    desk.page.get_by_role("button", name=re.compile("Yes, hand over")).click()
    desk.expect_title("Partly done")
    expect(row(desk, "Vera Lang")).to_contain_text("is not free at this time")
    expect(row(desk, "Willi Roth")).to_contain_text("Handed over to Ben")
    expect_no_sideways_scroll(desk)


def record_a_no_show(desk: Any) -> None:
    show_today(desk)
    select_rows(desk, "Ida Sommer")
    choose_action(desk, "Record: did not come")
    show_today(desk)
    expect(row(desk, "Ida Sommer")).to_contain_text("did not come")


def read_export(desk: Any, folder: Path) -> None:
    show_today(desk)
    with desk.page.expect_download() as download:
        desk.press("Export (CSV)", role="link")
    path = folder / "appointments.csv"
    download.value.save_as(path)
    with path.open(encoding="utf-8-sig", newline="") as file:
        lines = list(csv.DictReader(file))
    assert {line["Attendance"] for line in lines if line["Last name"] == "Sommer"} == {"did not come"}
    assert len(lines) >= 6


def subscribe(desk: Any) -> str:
    """Create a feed and return its address."""
    open_list(desk)
    desk.press("Subscribe in a calendar app", role="link")
    desk.page.get_by_role("textbox", name="Name").fill("My phone")
    desk.press("Save")
    desk.page.get_by_role("link", name="My phone").first.click()
    return str(desk.page.get_by_label("address", exact=True).input_value())


def read_feed(address: str) -> dict[str, str]:
    """Return the status of each event by UID, as a calendar app parses them."""
    response = requests.get(address, timeout=10)
    assert response.status_code == 200
    events = Calendar.from_ical(response.content).walk("VEVENT")
    return {str(event["uid"]): str(event["status"]) for event in events}


def cancel_three(desk: Any) -> None:
    show_today(desk)
    select_rows(desk, "Jonas Berg", "Noah Lindqvist", "Olga Petrova")
    choose_action(desk, "Cancel…")
    desk.page.get_by_label("Reason").fill("Water damage in the practice.")
    desk.press("Yes, cancel 3 appointments")
    expect(desk.page.locator("#content")).to_contain_text("3 of 3")
    expect_no_sideways_scroll(desk)


@pytest.mark.parametrize("view", ["day", "week", "month"])
def test_axe_finds_nothing_in_the_calendar(desk: Any, view: str) -> None:
    desk.open(f"{CALENDAR}?view={view}")
    assert desk.list_violations(".mg-calendar") == []


def fill_week() -> None:
    """Give each of ten hosts eight appointments on five days of this week."""
    meeting_type = MeetingType.objects.get(slug="intro-call")
    Host.objects.bulk_create(Host(remote_id=f"h{number}", name=f"Host {number}") for number in range(7))
    today = timezone.localdate()  # noqa: F811
    monday = midnight(today - timedelta(days=today.weekday()))
    for host in Host.objects.all():
        starts = [monday + timedelta(days=day, hours=9 + hour) for day in range(5) for hour in range(8)]
        rows = Appointment.objects.bulk_create(
            Appointment(
                remote_id=f"{host.pk}-{number}",
                meeting_type=meeting_type,
                start=start,
                end=start + timedelta(minutes=30),
            )
            for number, start in enumerate(starts)
        )
        host.appointments.add(*rows)
        Attendee.objects.bulk_create(
            Attendee(appointment=row, remote_id=row.remote_id, first_name="Mia", last_name="Kowalski")
            for row in rows
        )


@pytest.mark.parametrize("view", ["day", "week", "month"])
def test_a_full_calendar_is_printed_on_one_sheet(receptionist: Any, view: str) -> None:  # noqa: F811
    """Ten hosts with 400 appointments in a week."""
    fill_week()
    receptionist.open(f"{CALENDAR}?view={view}")
    printed = receptionist.page.pdf(prefer_css_page_size=True)
    assert len(re.findall(rb"/Type\s*/Page\b", printed)) == 1
