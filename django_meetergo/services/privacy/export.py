"""Export what this site stores about a person."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from django.db import models

from django_meetergo.fields import EncryptedTextField
from django_meetergo.models import Attendee, Booking, fold_email
from django_meetergo.services.privacy.people import find_person, list_log_entries

#: Columns that say nothing about a person: keys, digests, and the state of background work.
TECHNICAL_COLUMNS = frozenset({
    "id", "connection", "digest", "content_digest", "email_folded", "first_folded", "last_folded", "raw",
    "idempotency_key", "open_booking_key", "slot_hold_key", "open_change_key", "key", "batch", "booking",
    "lease_token", "lease_until", "next_at", "tries", "synced_at", "outcome_deadline", "first_absent_at",
})  # fmt: skip


def export_person(*, email: str, now: datetime) -> dict[str, Any]:
    """Return everything this site stores about the person with this address, ready for JSON.

    Bookings and attendees are followed both ways, so data under an earlier address is included. Secrets and
    the data of other people are not. The data at meetergo has to be requested there.
    """
    person = find_person(email)
    return {
        "exported_at": now.isoformat(),
        "addresses": sorted(person.addresses),
        "appointments": [describe_attendance(attendee) for attendee in person.attendees],
        "bookings": [describe_booking(booking) for booking in person.bookings],
        "invitations": [
            {
                "meeting_type": booking.meeting_type.name,
                "start": booking.start,
                "addresses": [each for each in booking.other_emails if fold_email(each) in person.addresses],
            }
            for booking in person.invitations
        ],
        "named_in_appointments": [
            {"meetergo_id": appointment.remote_id, "start": appointment.start}
            for appointment in person.mentions
        ],
    }


def describe_attendance(attendee: Attendee) -> dict[str, Any]:
    """Return an attendee with the appointment, its changes and its events."""
    appointment = attendee.appointment
    is_only_attendee = not appointment.attendees.exclude(pk=attendee.pk).exists()
    shared = () if is_only_attendee else ("note", "cancellation_reason")
    changes = appointment.changes.all() if is_only_attendee else appointment.changes.filter(attendee=attendee)
    return {
        "attendee": {**describe_row(attendee, exclude=("appointment",)), "raw": attendee.raw},
        "appointment": {
            **describe_row(appointment, exclude=shared),
            "meeting_type": appointment.meeting_type.name if appointment.meeting_type else "",
            "hosts": [host.name for host in appointment.hosts.all()],
            "raw": appointment.raw if is_only_attendee else {},
        },
        "changes": [describe_row(change, exclude=("appointment", "attendee")) for change in changes],
        "events": [
            *describe_events(appointment.events.filter(attendee=attendee)),
            # What receivers have raised for all attendees may name any of them.
            *describe_events(
                appointment.events.filter(attendee=None), exclude=() if is_only_attendee else ("receivers",)
            ),
        ],
        "log_entries": describe_log([attendee, *([appointment, *changes] if is_only_attendee else [])]),
    }


def describe_booking(booking: Booking) -> dict[str, Any]:
    return {
        "booking": {
            **describe_row(booking, exclude=("attendee", "replaced_by")),
            "meeting_type": booking.meeting_type.name,
        },
        "attempts": [describe_row(attempt) for attempt in booking.attempts.all()],
        "events": describe_events(booking.events.all()),
        "log_entries": describe_log([booking]),
    }


def describe_events(events: Iterable[models.Model], *, exclude: Iterable[str] = ()) -> list[dict[str, Any]]:
    return [describe_row(event, exclude=("appointment", "attendee", *exclude)) for event in events]


def describe_row(row: models.Model, *, exclude: Iterable[str] = ()) -> dict[str, Any]:
    """Return the columns of a row that are neither secret nor technical."""
    hidden = TECHNICAL_COLUMNS.union(exclude)
    return {
        field.name: field.value_from_object(row)
        for field in row._meta.concrete_fields
        if field.name not in hidden and not isinstance(field, EncryptedTextField)
    }


def describe_log(rows: Iterable[models.Model]) -> list[dict[str, Any]]:
    """Return what staff did with these rows in the admin."""
    entries = list_log_entries(rows)
    if entries is None:
        return []
    return [{"time": entry.action_time, "text": str(entry)} for entry in entries.order_by("action_time")]
