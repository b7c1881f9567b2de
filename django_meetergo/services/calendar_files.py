"""An appointment as a file for somebody's own calendar."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from icalendar import Calendar, Event

from django_meetergo.models import Attendee

PRODUCT_ID = "-//django-meetergo//appointments//EN"


@dataclass(frozen=True, kw_only=True)
class CalendarFile:
    """What to send, and the method that its content type names."""

    body: bytes
    method: str


def build_calendar(
    *, attendee: Attendee, title: str, host_name: str, site: str, now: datetime
) -> CalendarFile:
    """The appointment as it stands for this attendee.

    The name stays the same for ever and the sequence grows with every change, so that a calendar which has
    read an earlier file replaces what it has, or strikes it out.
    """
    gone = is_cancelled(attendee)
    method = "CANCEL" if gone else "PUBLISH"
    calendar = Calendar()
    calendar.add("prodid", PRODUCT_ID)
    calendar.add("version", "2.0")
    calendar.add("method", method)
    calendar.add_component(build_event(attendee, title=title, host_name=host_name, site=site, now=now))
    return CalendarFile(body=calendar.to_ical(), method=method)


def is_cancelled(attendee: Attendee) -> bool:
    return attendee.appointment.is_cancelled or attendee.status == Attendee.Status.REMOVED


def build_event(attendee: Attendee, *, title: str, host_name: str, site: str, now: datetime) -> Event:
    appointment, gone = attendee.appointment, is_cancelled(attendee)
    event = Event()
    event.add("uid", f"{appointment.public_id}@{site}")
    event.add("sequence", appointment.reschedule_count + gone)
    event.add("status", "CANCELLED" if gone else "CONFIRMED")
    event.add("summary", f"{title} – {host_name}" if host_name else title)
    event.add("dtstamp", now.astimezone(UTC))
    event.add("dtstart", appointment.start.astimezone(UTC))
    event.add("dtend", appointment.end.astimezone(UTC))
    if place := appointment.location or appointment.meeting_link:
        event.add("location", place)
    if appointment.meeting_link.startswith(("https://", "http://")):
        event.add("url", appointment.meeting_link)
    return event
