"""The iCalendar file of an appointment, and the links to calendars on the web."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from django.utils import timezone
from icalendar import Calendar

from django_meetergo import links
from django_meetergo.models import Appointment, Attendee


@pytest.fixture
def attendee(visitor: Any) -> Attendee:
    visitor.book()
    return Attendee.objects.get()


def read_event(visitor: Any, attendee: Attendee) -> tuple[Any, Any, Any]:
    answer = visitor.get(f"{links.get_manage_path(attendee)}appointment.ics")
    calendar = Calendar.from_ical(answer.content)
    return answer, calendar, calendar.walk("VEVENT")[0]


def test_the_file_contains_title_time_and_status(visitor: Any, attendee: Attendee) -> None:
    answer, calendar, event = read_event(visitor, attendee)
    appointment = attendee.appointment

    assert answer["Content-Type"] == "text/calendar; charset=utf-8; method=PUBLISH"
    assert "attachment" in answer["Content-Disposition"]
    assert answer["Cache-Control"] == "no-store"
    assert event["UID"] == f"{appointment.public_id}@django-meetergo"
    assert (event["DTSTART"].dt, event["DTEND"].dt) == (appointment.start, appointment.end)
    assert str(event["SUMMARY"]) == "Intro call – Anna Weber"
    assert (calendar["METHOD"], event["STATUS"], event["SEQUENCE"]) == ("PUBLISH", "CONFIRMED", 0)


def test_the_file_says_with_whom_where_and_how_to_change_it(
    visitor: Any, attendee: Attendee, settings: Any
) -> None:
    settings.DEFAULT_FROM_EMAIL = "Clinic <desk@clinic.example>"
    link = "https://zoom.example/j/1"
    Appointment.objects.update(meeting_link=link)
    event = read_event(visitor, attendee)[2]

    assert str(event["LOCATION"]) == link
    assert "With Anna Weber\n" in event["DESCRIPTION"]
    assert f"Join: {link}\n" in event["DESCRIPTION"]
    assert event["DESCRIPTION"].endswith(f"http://testserver{links.get_manage_path(attendee)}")
    assert (str(event["ORGANIZER"]), event["ORGANIZER"].params["CN"]) == (
        "mailto:desk@clinic.example", "Anna Weber",
    )  # fmt: skip


def test_the_calendar_reminds_an_hour_before_unless_the_site_switches_it_off(
    visitor: Any, attendee: Attendee, settings: Any
) -> None:
    (alarm,) = read_event(visitor, attendee)[2].walk("VALARM")
    assert alarm["TRIGGER"].dt == timedelta(hours=-1)
    settings.MEETERGO = {**settings.MEETERGO, "CALENDAR_ALARM_MINUTES": 0}
    assert read_event(visitor, attendee)[2].walk("VALARM") == []


def test_the_uid_does_not_follow_the_host_header(visitor: Any, attendee: Attendee) -> None:
    address = f"{links.get_manage_path(attendee)}appointment.ics"
    texts = [visitor.client.get(address, headers={"host": host}).content for host in ("a.test", "b.test")]
    first, second = (Calendar.from_ical(text).walk("VEVENT")[0]["UID"] for text in texts)
    assert first == second


def test_a_move_keeps_the_uid_and_raises_the_sequence(visitor: Any, attendee: Attendee) -> None:
    before = read_event(visitor, attendee)[2]
    address = f"{links.get_manage_path(attendee)}reschedule/"
    start = visitor.list_later_starts("intro-call")[3]
    assert visitor.post(address, start=start).status_code == 303
    attendee.appointment.refresh_from_db()

    after = read_event(visitor, attendee)[2]

    assert after["UID"] == before["UID"]
    assert after["SEQUENCE"] > before["SEQUENCE"]
    assert after["DTSTART"].dt == datetime.fromisoformat(start)


def test_a_cancelled_appointment_cancels_its_event(visitor: Any, attendee: Attendee) -> None:
    before = read_event(visitor, attendee)[2]
    visitor.post(f"{links.get_manage_path(attendee)}cancel/", reason="")

    answer, calendar, event = read_event(visitor, attendee)

    assert "method=CANCEL" in answer["Content-Type"]
    assert (calendar["METHOD"], event["STATUS"]) == ("CANCEL", "CANCELLED")
    assert event["UID"] == before["UID"]
    assert event["SEQUENCE"] > before["SEQUENCE"]


def test_a_forged_link_gets_no_file(visitor: Any) -> None:
    assert visitor.get("/book/manage/nonsense/appointment.ics").status_code == 404


def test_calendar_links_contain_no_personal_data(visitor: Any, attendee: Attendee) -> None:
    page = visitor.get(links.get_manage_path(attendee))
    calendars = page.context["calendars"]
    google = parse_qs(urlsplit(calendars.google).query)
    outlook = parse_qs(urlsplit(calendars.outlook).query)
    start = attendee.appointment.start.astimezone(timezone.get_fixed_timezone(0))

    assert google["dates"][0].startswith(f"{start:%Y%m%dT%H%M%SZ}/")
    assert outlook["startdt"] == [f"{start:%Y-%m-%dT%H:%M:%SZ}"]
    for url in (calendars.google, calendars.outlook):
        assert "jane" not in url.lower()
        assert "manage" not in url
    text = page.content.decode()
    assert text.index("appointment.ics") < text.index("calendar.google.com") < text.index("outlook.live.com")
