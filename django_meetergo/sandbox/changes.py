"""Changes of confirmed appointments: cancelling, moving, guests and notes."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime

from django_meetergo.sandbox.bookings import list_spots
from django_meetergo.sandbox.clock import print_instant
from django_meetergo.sandbox.errors import Refused, slot_occupied
from django_meetergo.sandbox.records import Appointment, Attendee
from django_meetergo.sandbox.state import State
from django_meetergo.sandbox.working_hours import DAY, SlotQuery, to_epoch


def cancel(
    state: State,
    appointment: Appointment,
    *,
    source: str,
    by: str | None,
    reason: str | None = None,
    attendee_id: str | None = None,
    everyone: bool = False,
) -> Appointment:
    """Cancel an appointment, or remove one attendee from a group appointment.

    ``source`` and ``by`` are what the ``cancel`` object of the document shows. A group appointment needs
    ``attendee_id`` or ``everyone``.
    """
    with state.lock:
        if appointment.is_cancelled:
            raise Refused(400, "Appointment is already cancelled")
        if state.meeting_types[appointment.meeting_type_id].is_group and not everyone:
            return _remove_attendee(state, appointment, attendee_id)
        appointment.is_cancelled = True
        appointment.cancel_source, appointment.cancel_by = source, by
        appointment.cancel_reason = reason
        appointment.cancel_at = appointment.touch(state.now())
        state.calendar.remove(appointment.id)
        state.record_change("appointment_cancelled", appointment, event="booking_cancelled", source=source)
        return appointment


def _remove_attendee(state: State, appointment: Appointment, attendee_id: str | None) -> Appointment:
    if attendee_id is None:
        raise Refused(400, "Provide attendeeId or set cancelAll to true for group appointments")
    attendee = find_attendee(appointment, attendee_id)
    appointment.attendees.remove(attendee)
    appointment.touch(state.now())
    state.occupy_time(appointment)
    state.record_change("attendee_removed", appointment, event="booking_cancelled", attendee=attendee)
    return appointment


def move(
    state: State, appointment: Appointment, start: datetime, *, ignore_availability: bool = False
) -> datetime:
    """Move an appointment to another start, with the same hosts; return the former start."""
    with state.lock:
        _check_move(state, appointment, start, ignore_availability=ignore_availability)
        previous_start = appointment.start
        state.change_start(appointment, start)
        appointment.rescheduled_at = appointment.touch(state.now())
        appointment.reschedule_count += 1
        if state.settings.rotate_secret:
            appointment.secret = secrets.token_hex(10)
        state.record_change(
            "appointment_rescheduled",
            appointment,
            event="booking_rescheduled",
            previousStart=print_instant(previous_start),
        )
        return previous_start


def _check_move(
    state: State, appointment: Appointment, start: datetime, *, ignore_availability: bool
) -> None:
    if appointment.is_cancelled:
        raise Refused(400, "Appointment is already cancelled")
    if appointment.start <= state.now():
        raise Refused(400, "Appointment is already over")
    if start <= state.now():
        raise slot_occupied()
    if ignore_availability:
        return
    moment = to_epoch(start)
    if start.microsecond or not list_spots(state, _build_query(state, appointment, moment, moment + 1)):
        raise slot_occupied()


def _build_query(state: State, appointment: Appointment, earliest: int, latest: int) -> SlotQuery:
    return SlotQuery(
        meeting_type=state.meeting_types[appointment.meeting_type_id],
        duration=int(appointment.length.total_seconds() // 60),
        earliest=earliest,
        latest=latest,
        host_ids=tuple(appointment.host_ids),
        needs_all_hosts=True,
        ignored_key=appointment.id,
        hide_groups=True,  # two group appointments are never merged
    )


def list_other_starts(state: State, appointment: Appointment, *, days: int = 14) -> list[datetime]:
    """Return the starts an appointment can be moved to, in the coming days."""
    now = to_epoch(state.now())
    spots = list_spots(state, _build_query(state, appointment, now, now + days * DAY))
    own = to_epoch(appointment.start)
    return [datetime.fromtimestamp(spot.start, UTC) for spot in spots if spot.start != own]


def find_next_start(state: State, appointment: Appointment) -> datetime | None:
    """Return the first free start after an appointment's own, else the first of all, else None."""
    starts = list_other_starts(state, appointment)
    return next((start for start in starts if start > appointment.start), starts[0] if starts else None)


def add_guest(state: State, appointment: Appointment, attendee_id: str, email: str) -> Appointment:
    """Add a guest's address to an attendee."""
    with state.lock:
        find_attendee(appointment, attendee_id).guests.append(email)
        appointment.touch(state.now())
        state.record_change("guest_added", appointment)
        return appointment


def set_note(state: State, appointment: Appointment, note: str) -> Appointment:
    """Replace the host's note."""
    with state.lock:
        appointment.note = note
        appointment.touch(state.now())
        state.record_change("note_changed", appointment)
        return appointment


def find_attendee(appointment: Appointment, attendee_id: str) -> Attendee:
    """Return the attendee of an appointment with this id. Raises ``Refused`` if there is none."""
    for attendee in appointment.attendees:
        if attendee.id == attendee_id:
            return attendee
    raise Refused(404, "Attendee not found")
