"""Build calendar feeds: appointments for the calendar apps of staff."""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db.models import Prefetch, Q
from icalendar import Calendar, Event, vDuration, vText

from django_meetergo.models import (
    Appointment,
    Attendee,
    CalendarFeed,
    Host,
    may_see_appointments,
    sees_own_only,
)
from django_meetergo.services.calendar_files import PRODUCT_ID
from django_meetergo.transactions import DATABASE_ERRORS, is_database_away

logger = logging.getLogger(__name__)

#: What a feed contains. Calendar apps replace all they have with the present content.
DAYS_BEFORE, DAYS_AHEAD = 30, 365
MAX_EVENTS = 5000
#: How often calendar apps are asked to fetch a feed, and how often a fetch is recorded at most.
REFRESH_INTERVAL = timedelta(minutes=15)
#: Initials that a group appointment names.
MAX_INITIALS = 5


def is_readable(feed: CalendarFeed) -> bool:
    """Whether the user who created the feed may still see appointments, which only the admin shows.

    A user model of the site may have no column ``is_staff``.
    """
    user: Any = feed.user
    may_enter = user.is_active and getattr(user, "is_staff", True)
    return bool(may_enter) and may_see_appointments(user)


def build_feed(*, feed: CalendarFeed, site: str, now: datetime) -> bytes:
    """Return the feed as an iCalendar file, the same bytes until an appointment or the feed changes.

    Times are in UTC. An appointment keeps its UID; the sequence grows with every change of time or state, and
    a cancelled one stays in the feed with the status CANCELLED, so that every app strikes it out.
    """
    calendar = Calendar()
    calendar.add("prodid", PRODUCT_ID)
    calendar.add("version", "2.0")
    calendar.add("method", "PUBLISH")
    # icalendar writes the values of names that it does not know as they are.
    calendar.add("x-wr-calname", vText(feed.name))
    calendar.add("refresh-interval", REFRESH_INTERVAL, parameters={"VALUE": "DURATION"})
    calendar.add("x-published-ttl", vDuration(REFRESH_INTERVAL))
    for appointment in list_appointments(feed, now):
        calendar.add_component(build_event(appointment, feed, site))
    return bytes(calendar.to_ical())


def list_appointments(feed: CalendarFeed, now: datetime) -> list[Appointment]:
    """Return the appointments of the feed's host, or of all, that the feed's user may see."""
    today = now.replace(hour=0, minute=0, second=0, microsecond=0)
    rows = Appointment.objects.filter(
        start__gte=today - timedelta(days=DAYS_BEFORE), start__lt=today + timedelta(days=DAYS_AHEAD)
    )
    if sees_own_only(feed.user):
        rows = rows.of_host_user(feed.user)
    if feed.host_id is not None:
        rows = rows.filter(hosts=feed.host_id)
    rows = rows.select_related("meeting_type").defer("raw", "secret", "meeting_type__raw")
    attending = Attendee.objects.filter(~Q(status=Attendee.Status.REMOVED)).defer("raw")
    rows = rows.prefetch_related(
        Prefetch("attendees", attending), Prefetch("hosts", Host.objects.defer("raw"))
    )
    return list(rows.order_by("start", "pk")[:MAX_EVENTS])


def build_event(appointment: Appointment, feed: CalendarFeed, site: str) -> Event:
    is_gone = appointment.is_cancelled or appointment.missing_since is not None
    changed_at = appointment.remote_updated_at or appointment.remote_created_at or feed.created_at
    if appointment.missing_since is not None:
        changed_at = max(changed_at, appointment.missing_since)
    event = Event()
    event.add("uid", f"{appointment.public_id}@{site}")
    event.add("sequence", appointment.revision)
    event.add("status", "CANCELLED" if is_gone else "CONFIRMED")
    event.add("transp", "TRANSPARENT" if is_gone else "OPAQUE")
    event.add("class", "PRIVATE")
    event.add("dtstamp", changed_at.astimezone(UTC))
    event.add("last-modified", changed_at.astimezone(UTC))
    event.add("dtstart", appointment.start.astimezone(UTC))
    event.add("dtend", appointment.end.astimezone(UTC))
    event.add("summary", describe_appointment(appointment, feed))
    if feed.shows_details:
        add_details(event, appointment)
    return event


def describe_appointment(appointment: Appointment, feed: CalendarFeed) -> str:
    """Return the type and who comes; in a feed of all hosts also the hosts."""
    people = [
        attendee.full_name if feed.shows_details else get_initials(attendee)
        for attendee in appointment.attendees.all()
    ]
    shown = ", ".join(filter(None, people[:MAX_INITIALS]))
    if len(people) > MAX_INITIALS:
        shown += f" +{len(people) - MAX_INITIALS}"
    name = appointment.meeting_type.display_name if appointment.meeting_type else ""
    hosts = ", ".join(str(host) for host in appointment.hosts.all()) if feed.host_id is None else ""
    return " – ".join(filter(None, [name, shown, hosts]))


def get_initials(attendee: Attendee) -> str:
    """Return such as "J.D."; without names an empty text, never a part of the e-mail address."""
    return "".join(f"{name[0]}." for name in (attendee.first_name, attendee.last_name) if name).upper()


def add_details(event: Event, appointment: Appointment) -> None:
    """Add the contact of each attendee, and where the appointment takes place."""
    lines = [
        ", ".join(filter(None, [one.full_name, one.email, one.phone])) for one in appointment.attendees.all()
    ]
    event.add("description", "\n".join(lines))
    if place := appointment.location or appointment.meeting_link:
        event.add("location", place)
    if appointment.meeting_link.startswith(("https://", "http://")):
        event.add("url", appointment.meeting_link)


def record_fetch(*, feed: CalendarFeed, now: datetime) -> None:
    """Store when the feed was last fetched, at most once in ``REFRESH_INTERVAL``.

    A database that cannot be written, such as a replica, keeps nobody from reading the feed.
    """
    if feed.fetched_at is not None and feed.fetched_at >= now - REFRESH_INTERVAL:
        return
    try:
        CalendarFeed.objects.filter(pk=feed.pk).update(fetched_at=now)
    except DATABASE_ERRORS as error:
        if not is_database_away(error):
            raise
        logger.warning("The fetch of calendar feed %s could not be recorded.", feed.pk)
