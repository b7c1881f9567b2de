"""The history of an appointment or a booking, collected from all records about it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

from django.contrib.admin.models import LogEntry
from django.contrib.contenttypes.models import ContentType
from django.db import models
from django.template.loader import render_to_string
from django.utils.safestring import SafeString
from django.utils.text import capfirst
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from django_meetergo.admin.display import format_moment
from django_meetergo.admin.errors import describe_error_type, describe_outcome
from django_meetergo.models import (
    Appointment,
    AppointmentChange,
    Booking,
    BookingAttempt,
    Connection,
    Event,
    WebhookDelivery,
)

#: Entries of each kind of record that are shown.
MAX_ENTRIES = 50

#: What meetergo's webhook types mean.
DELIVERY_TYPES = {
    "booking_created": _("an appointment was booked"),
    "booking_rescheduled": _("an appointment was rescheduled"),
    "booking_cancelled": _("an appointment was cancelled"),
}


@dataclass(frozen=True, kw_only=True)
class TimelineEntry:
    at: datetime
    what: str
    who: str = ""
    detail: str = ""


def render_timeline(entries: Iterable[TimelineEntry]) -> SafeString:
    """Return the entries as a table, oldest first."""
    ordered = sorted(entries, key=lambda entry: entry.at)
    return render_to_string("admin/meetergo/timeline.html", {"entries": ordered})


def list_appointment_entries(appointment: Appointment) -> Iterator[TimelineEntry]:
    events = appointment.events.select_related("attendee").order_by("-pk")[:MAX_ENTRIES]
    yield from map(describe_event, events)
    changes = appointment.changes.select_related("user", "target_host").order_by("-pk")[:MAX_ENTRIES]
    yield from map(describe_change_request, changes)
    # Every connection of a company has an address of its own.
    siblings = Connection.objects.filter(mirror=appointment.connection).values_list("connection", flat=True)
    deliveries = WebhookDelivery.objects.filter(
        connection__in={appointment.connection, *siblings}, remote_id=appointment.remote_id
    )
    yield from map(describe_delivery, deliveries.order_by("-pk")[:MAX_ENTRIES])
    bookings = Booking.objects.filter(attendee__appointment=appointment)
    attempts = BookingAttempt.objects.filter(booking__in=bookings).order_by("-pk")[:MAX_ENTRIES]
    yield from map(describe_attempt, attempts)
    # The events of the bookings from before they became an appointment.
    early = Event.objects.filter(booking__in=bookings, appointment=None)
    yield from map(describe_event, early.order_by("-pk")[:MAX_ENTRIES])
    yield from list_log_entries(appointment)
    if appointment.synced_at:
        yield TimelineEntry(at=appointment.synced_at, what=gettext("Last read from meetergo"))


def list_booking_entries(booking: Booking) -> Iterator[TimelineEntry]:
    yield from map(describe_event, booking.events.order_by("-pk")[:MAX_ENTRIES])
    yield from map(describe_attempt, booking.attempts.order_by("-pk")[:MAX_ENTRIES])
    yield from list_log_entries(booking)


def list_log_entries(row: models.Model) -> Iterator[TimelineEntry]:
    """Return what staff did in the admin."""
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
    undelivered = "" if event.dispatched_at else gettext("not yet processed by this site")
    before = event.data.get("previous_start")
    previous = (
        gettext("before: %(start)s") % {"start": format_moment(datetime.fromisoformat(before))}
        if before
        else ""
    )
    return TimelineEntry(
        at=event.created_at,
        what=capfirst(event.get_kind_display()),
        who=str(event.attendee or ""),
        detail=", ".join(filter(None, [previous, undelivered])),
    )


def describe_change_request(change: AppointmentChange) -> TimelineEntry:
    target = format_moment(change.target_start) if change.target_start else str(change.target_host or "")
    return TimelineEntry(
        at=change.created_at,
        what=gettext("Request to %(kind)s: %(state)s")
        % {"kind": change.get_kind_display(), "state": change.get_state_display()},
        who=str(change.user or change.get_requested_by_display()),
        detail=", ".join(filter(None, [target, change.reason, describe_outcome(change.outcome)])),
    )


def describe_delivery(delivery: WebhookDelivery) -> TimelineEntry:
    receive_count = f"× {delivery.receive_count}" if delivery.receive_count > 1 else ""
    kind = str(DELIVERY_TYPES.get(delivery.event_type, ""))
    return TimelineEntry(
        at=delivery.received_at,
        what=gettext("Notification from meetergo: %(state)s") % {"state": delivery.get_state_display()},
        detail=", ".join(filter(None, [kind, receive_count])),
    )


def describe_attempt(attempt: BookingAttempt) -> TimelineEntry:
    code = gettext("HTTP status %(code)d") % {"code": attempt.status_code} if attempt.status_code else ""
    problem = describe_error_type(attempt.error_type) if attempt.error_type else ""
    return TimelineEntry(
        at=attempt.sent_at,
        what=gettext("Attempt %(number)d: %(outcome)s")
        % {"number": attempt.number, "outcome": attempt.get_outcome_display()},
        detail=", ".join(filter(None, [format_moment(attempt.start), problem, code])),
    )
