"""What happened to an appointment or a booking, from every record that knows, soonest first."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.contrib.admin.models import LogEntry
from django.contrib.contenttypes.models import ContentType
from django.db import models
from django.template.loader import render_to_string
from django.utils.safestring import SafeString
from django.utils.text import capfirst
from django.utils.translation import gettext

from django_meetergo.admin.base import format_moment
from django_meetergo.models import (
    Appointment,
    AppointmentChange,
    Booking,
    BookingAttempt,
    Event,
    WebhookDelivery,
)

#: So many lines of each kind of record are shown.
MAX_ENTRIES = 50


@dataclass(frozen=True, kw_only=True)
class TimelineEntry:
    at: datetime
    what: str
    who: str = ""
    detail: str = ""


def render_timeline(lines: Iterable[TimelineEntry]) -> SafeString:
    ordered = sorted(lines, key=lambda line: line.at)
    return render_to_string("admin/meetergo/timeline.html", {"lines": ordered})


def list_appointment_lines(appointment: Appointment) -> Iterator[TimelineEntry]:
    events = appointment.events.select_related("attendee").order_by("-pk")[:MAX_ENTRIES]
    yield from map(describe_event, events)
    changes = appointment.changes.select_related("user").order_by("-pk")[:MAX_ENTRIES]
    yield from map(describe_change, changes)
    knocks = WebhookDelivery.objects.filter(
        connection=appointment.connection, remote_id=appointment.remote_id
    )
    yield from map(describe_delivery, knocks.order_by("-pk")[:MAX_ENTRIES])
    booked = Booking.objects.filter(attendee__appointment=appointment)
    attempts = BookingAttempt.objects.filter(booking__in=booked).order_by("-pk")[:MAX_ENTRIES]
    yield from map(describe_attempt, attempts)
    yield from list_own_events(booked)
    yield from list_log_entries(appointment)
    if appointment.synced_at:
        yield TimelineEntry(at=appointment.synced_at, what=gettext("Last read from meetergo"))


def list_booking_lines(booking: Booking) -> Iterator[TimelineEntry]:
    yield from map(describe_event, booking.events.order_by("-pk")[:MAX_ENTRIES])
    yield from map(describe_attempt, booking.attempts.order_by("-pk")[:MAX_ENTRIES])
    yield from list_log_entries(booking)


def list_own_events(bookings: models.QuerySet[Booking]) -> Iterator[TimelineEntry]:
    """What happened to the wish before it became an appointment."""
    events = Event.objects.filter(booking__in=bookings, appointment=None)
    yield from map(describe_event, events.order_by("-pk")[:MAX_ENTRIES])


def list_log_entries(row: models.Model) -> Iterator[TimelineEntry]:
    """Who of the staff did what."""
    kind = ContentType.objects.get_for_model(row)
    entries = LogEntry.objects.filter(content_type=kind, object_id=str(row.pk)).select_related("user")
    for entry in entries.order_by("-pk")[:MAX_ENTRIES]:
        yield TimelineEntry(
            at=entry.action_time,
            what=gettext("In the admin"),
            who=str(entry.user),
            detail=entry.get_change_message(),
        )


def describe_event(event: Event) -> TimelineEntry:
    told = "" if event.dispatched_at else gettext("the site has not been told yet")
    before = event.data.get("previous_start")
    moved = (
        gettext("before: %(start)s") % {"start": format_moment(datetime.fromisoformat(before))}
        if before
        else ""
    )
    return TimelineEntry(
        at=event.created_at,
        what=capfirst(event.get_kind_display()),
        who=str(event.attendee or ""),
        detail=", ".join(filter(None, [moved, told])),
    )


def describe_change(change: AppointmentChange) -> TimelineEntry:
    target = format_moment(change.target_start) if change.target_start else ""
    return TimelineEntry(
        at=change.created_at,
        what=gettext("Asked to %(kind)s: %(state)s")
        % {"kind": change.get_kind_display(), "state": change.get_state_display()},
        who=str(change.user or change.get_requested_by_display()),
        detail=", ".join(filter(None, [target, change.reason, change.outcome, change.message])),
    )


def describe_delivery(delivery: WebhookDelivery) -> TimelineEntry:
    receive_count = f"× {delivery.receive_count}" if delivery.receive_count > 1 else ""
    return TimelineEntry(
        at=delivery.received_at,
        what=gettext("Webhook: %(state)s") % {"state": delivery.get_state_display()},
        detail=", ".join(filter(None, [delivery.event_type, receive_count, delivery.message])),
    )


def describe_attempt(attempt: BookingAttempt) -> TimelineEntry:
    code = str(attempt.status_code or "")
    return TimelineEntry(
        at=attempt.sent_at,
        what=gettext("Attempt %(number)d: %(outcome)s")
        % {"number": attempt.number, "outcome": attempt.get_outcome_display()},
        detail=", ".join(filter(None, [format_moment(attempt.start), code, attempt.error_type])),
    )


def describe(row: Any) -> SafeString:
    """The timeline of either kind of record."""
    if isinstance(row, Booking):
        return render_timeline(list_booking_lines(row))
    return render_timeline(list_appointment_lines(row))
