"""What a receptionist does in a day, from the calendar; a theme of the admin has other ways to some pages."""

from __future__ import annotations

import csv
import re
from datetime import datetime
from pathlib import Path
from typing import Any

import requests
from django.core.management import call_command
from django.utils import timezone
from icalendar import Calendar
from playwright.sync_api import expect

from django_meetergo.models import Appointment
from django_meetergo.sandbox.seed import INTRO_CALL
from tests.browser.person import Person
from tests.browser.test_staff import (
    add_appointment,
    choose_action,
    find_shared_day,
    open_list,
    row,
    select_rows,
    show_today,
)

CALENDAR = "/admin/meetergo/appointment/calendar/"
#: Width and colour scheme.
SCREENS = [(1280, "light"), (1280, "dark"), (768, "light"), (768, "dark"), (360, "light"), (360, "dark")]


class FrontDesk:
    """The ways of a signed-in receptionist through Django's own admin."""

    def __init__(self, person: Person) -> None:
        self.person, self.page = person, person.page
        self.open, self.press, self.expect_title = person.open, person.press, person.expect_title
        self.list_violations = person.list_violations

    def open_list(self) -> None:
        open_list(self.person)

    def show_today(self) -> None:
        show_today(self.person)

    def choose_action(self, action: str, *names: str) -> None:
        """Select the rows with these names and start an action on them."""
        select_rows(self.person, *names)
        choose_action(self.person, action)

    def expect_row(self, name: str, text: str) -> None:
        expect(row(self.person, name)).to_contain_text(text)

    def expect_success(self, text: str) -> None:
        expect(self.page.locator(".messagelist .success")).to_contain_text(text)

    def expect_no_sideways_scroll(self) -> None:
        assert not self.page.evaluate("document.documentElement.scrollWidth > innerWidth")


def open_day(desk: FrontDesk, start: datetime) -> None:
    """Open the calendar of a day by its links."""
    desk.open_list()
    desk.press("Calendar", role="link")
    desk.open(f"{CALENDAR}?view=day&date={timezone.localdate(start)}")
    desk.expect_title("Calendar")


def spend_a_day(service: Any, desk: FrontDesk, tmp_path: Path) -> None:
    """Book, hand over, record a no-show, export, subscribe and cancel; every result is looked up."""
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


def book_into_a_free_time(desk: FrontDesk, start: datetime) -> None:
    """A free time opens "Book for somebody"; where the calendar is a list, its button does."""
    open_day(desk, start)
    desk.expect_no_sideways_scroll()
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
    desk.expect_no_sideways_scroll()
    desk.press("Book")
    desk.expect_success("Booked:")
    assert Appointment.objects.get(attendees__last_name="Caller").attendees.get().email == "cleo@example.com"


def hand_over_the_day(service: Any, desk: FrontDesk) -> None:
    """Two of Anna's appointments go to Ben; the one for which he is busy stays and is named."""
    day = find_shared_day(service)
    for name, start in zip(("Uma Weber", "Vera Lang", "Willi Roth"), day, strict=True):
        add_appointment(service, name, start, INTRO_CALL)
    service.occupy_slot(day[1], "consultation")
    call_command("meetergo_sync", "--kind", "full", verbosity=0)

    open_day(desk, day[0])
    desk.page.get_by_role("link", name="Hand over the day of Anna").click()
    desk.page.get_by_label(re.compile("Ben .*free for")).check()
    desk.expect_no_sideways_scroll()
    desk.page.get_by_role("button", name=re.compile("Yes, hand over")).click()
    desk.expect_title("Partly done")
    desk.expect_row("Vera Lang", "is not free at this time")
    desk.expect_row("Willi Roth", "Handed over to Ben")
    desk.expect_no_sideways_scroll()


def record_a_no_show(desk: FrontDesk) -> None:
    desk.show_today()
    desk.choose_action("Record: did not come", "Ida Sommer")
    desk.show_today()
    desk.expect_row("Ida Sommer", "did not come")


def read_export(desk: FrontDesk, folder: Path) -> None:
    desk.show_today()
    with desk.page.expect_download() as download:
        desk.press("Export (CSV)", role="link")
    path = folder / "appointments.csv"
    download.value.save_as(path)
    with path.open(encoding="utf-8-sig", newline="") as file:
        lines = list(csv.DictReader(file))
    assert {line["Attendance"] for line in lines if line["Last name"] == "Sommer"} == {"did not come"}
    assert len(lines) >= 6


def subscribe(desk: FrontDesk) -> str:
    """Create a feed and return its address."""
    desk.open_list()
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


def cancel_three(desk: FrontDesk) -> None:
    desk.show_today()
    desk.choose_action("Cancel…", "Jonas Berg", "Noah Lindqvist", "Olga Petrova")
    desk.page.get_by_label("Reason").fill("Water damage in the practice.")
    desk.press("Yes, cancel 3 appointments")
    expect(desk.page.locator("#content")).to_contain_text("3 of 3")
    desk.expect_no_sideways_scroll()
