"""Code of a site that mypy checks with ``disallow_any_expr``: the public functions are fully typed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from django_meetergo.models import Appointment, Host
from django_meetergo.services import (
    AttendeeData,
    book_appointment,
    cancel_appointment,
    handoff_appointment,
    list_slots,
    reschedule_appointment,
    sync_appointments,
)


def book_first_slot() -> str:
    now = datetime.now(UTC)
    found = list_slots(meeting_type="intro-call", start=now, end=now + timedelta(days=7), duration=30)
    booking = book_appointment(
        meeting_type="intro-call",
        start=found.times[0].start,
        attendee=AttendeeData(email="jane@example.com", first_name="Jane"),
    )
    return booking.state


def move_and_cancel(appointment: Appointment, start: datetime) -> tuple[str, str]:
    moved = reschedule_appointment(appointment=appointment, start=start)
    cancelled = cancel_appointment(appointment=appointment, reason="closed", cancel_all=True)
    return moved.state, cancelled.state


def hand_over(appointment: Appointment, host: Host) -> str:
    return handoff_appointment(appointment=appointment, host=host).state


def sync() -> int:
    return sync_appointments(connection="default", kind="full").written
