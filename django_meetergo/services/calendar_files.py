"""An appointment as a file for somebody's own calendar."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parseaddr

from django.conf import settings as django_settings
from django.utils.translation import gettext
from icalendar import Alarm, Calendar, Event, vCalAddress, vText

from django_meetergo.conf import get_settings
from django_meetergo.models import Attendee

PRODUCT_ID = "-//django-meetergo//appointments//EN"


@dataclass(frozen=True, kw_only=True)
class CalendarFile:
    """What to send, and the method that its content type names."""

    body: bytes
    method: str


def build_calendar(
    *, attendee: Attendee, title: str, host_name: str, manage_url: str, now: datetime
) -> CalendarFile:
    """Return the calendar file of the appointment for this attendee.

    The identifier never changes, whatever the site's address, and the sequence grows with every change of
    time or state: a calendar that has read an earlier file replaces its entry, or marks it as cancelled.
    """
    gone = is_cancelled(attendee)
    method = "CANCEL" if gone else "PUBLISH"
    calendar = Calendar()
    calendar.add("prodid", PRODUCT_ID)
    calendar.add("version", "2.0")
    calendar.add("method", method)
    calendar.add_component(
        build_event(attendee, title=title, host_name=host_name, manage_url=manage_url, now=now)
    )
    return CalendarFile(body=calendar.to_ical(), method=method)


def is_cancelled(attendee: Attendee) -> bool:
    """Whether the appointment no longer takes place for this attendee, or no longer exists at meetergo."""
    return attendee.is_cancelled or attendee.appointment.missing_since is not None


def build_event(attendee: Attendee, *, title: str, host_name: str, manage_url: str, now: datetime) -> Event:
    appointment, gone = attendee.appointment, is_cancelled(attendee)
    event = Event()
    event.add("uid", f"{appointment.public_id}@django-meetergo")
    event.add("sequence", appointment.revision)
    event.add("status", "CANCELLED" if gone else "CONFIRMED")
    event.add("summary", f"{title} – {host_name}" if host_name else title)
    event.add("dtstamp", now.astimezone(UTC))
    event.add("dtstart", appointment.start.astimezone(UTC))
    event.add("dtend", appointment.end.astimezone(UTC))
    if place := appointment.location or appointment.meeting_link:
        event.add("location", place)
    if appointment.meeting_link.startswith(("https://", "http://")):
        event.add("url", appointment.meeting_link)
    event.add("description", describe_event(attendee, host_name, manage_url))
    if organizer := build_organizer(host_name):
        event.add("organizer", organizer)
    minutes = get_settings().CALENDAR_ALARM_MINUTES
    if minutes and not gone:
        event.add_component(build_alarm(title, minutes))
    return event


def describe_event(attendee: Attendee, host_name: str, manage_url: str) -> str:
    """Return with whom the appointment is, the link to the call, and the link to change or cancel."""
    link = attendee.appointment.meeting_link
    lines = [
        gettext("With %(host)s") % {"host": host_name} if host_name else "",
        gettext("Join: %(url)s") % {"url": link} if link else "",
        gettext("Change or cancel: %(url)s") % {"url": manage_url},
    ]
    return "\n".join(filter(None, lines))


def build_organizer(host_name: str) -> vCalAddress | None:
    """Return the address that the site's mails come from, under the host's name; None if unset."""
    address = parseaddr(str(django_settings.DEFAULT_FROM_EMAIL))[1]
    if not address or address == "webmaster@localhost":
        return None
    organizer = vCalAddress(f"mailto:{address}")
    if host_name:
        organizer.params["CN"] = vText(host_name)
    return organizer


def build_alarm(title: str, minutes: int) -> Alarm:
    alarm = Alarm()
    alarm.add("action", "DISPLAY")
    alarm.add("description", title)
    alarm.add("trigger", timedelta(minutes=-minutes))
    return alarm
