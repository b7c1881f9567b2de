"""Appointments that other people make, for tests and trials."""

from __future__ import annotations

from datetime import datetime, timedelta

from django_meetergo.sandbox.booking_requests import read_booking_request, read_start
from django_meetergo.sandbox.bookings import find_group, join_group
from django_meetergo.sandbox.http import Request
from django_meetergo.sandbox.records import Appointment, Attendee, MeetingType
from django_meetergo.sandbox.state import State


def build_other_attendee(state: State, name: str = "Robin Other") -> Attendee:
    """Return an attendee nobody else is."""
    key = state.new_id()
    first, _, last = name.partition(" ")
    email = f"{last}-{key[:8]}@example.net".lower()
    return Attendee(key, email, first, last, name, timezone="Europe/Berlin", language="de")


def occupy_slot(
    state: State,
    host_id: str,
    start: datetime,
    duration: int | None = None,
    *,
    meeting_type_id: str | None = None,
    attendees: int = 1,
    name: str = "Robin Other",
) -> Appointment:
    """Book a host's time for somebody else without checking availability.

    ``duration`` is minutes, by default the meeting type's; the meeting type is by default the first of the
    host. Where a group of this type starts then, the attendees join it, as far as it has seats.
    """
    with state.lock:
        if meeting_type_id:
            kind = state.meeting_types[meeting_type_id]
        else:
            kind = _find_meeting_type(state, host_id)
        if (group := find_group(state, kind, start)) is not None and host_id in group.host_ids:
            for _ in range(min(attendees, kind.spots - len(group.attendees))):
                join_group(state, group, build_other_attendee(state, name))
            return group
        return state.add_appointment(
            kind,
            host_ids=[host_id],
            start=start,
            minutes=int(duration or kind.duration),
            attendees=[build_other_attendee(state, name) for _ in range(attendees)],
        )


def _find_meeting_type(state: State, host_id: str) -> MeetingType:
    kinds = list(state.meeting_types.values())
    return next((kind for kind in kinds if kind.user_id == host_id and not kind.is_group), kinds[0])


def occupy_requested_slot(state: State, request: Request, params: dict[str, str]) -> None:
    """Book the slot that a booking or a move is about to ask for, with all its hosts and seats.

    Raises ``Refused`` if the request is invalid.
    """
    body = request.json()
    if "start" not in body:
        return
    moved = state.appointments.get(str(params.get("id") or body.get("appointmentId") or ""))
    if moved is not None:
        start = read_start(body)
        for host_id in moved.host_ids:
            occupy_slot(state, host_id, start, int(moved.length.total_seconds() // 60))
        return
    if "meetingTypeId" not in body:
        return
    wanted = read_booking_request(body, state)
    kind = wanted.meeting_type
    for host_id in wanted.host_ids:
        if not state.is_busy(host_id, wanted.start, wanted.duration):
            occupy_slot(
                state,
                host_id,
                wanted.start,
                wanted.duration,
                meeting_type_id=kind.id,
                attendees=kind.spots,
            )


def add_appointments(state: State, count: int, *, days_back: int = 400) -> None:
    """Add many appointments of half an hour, from ``days_back`` days ago on, without log and webhooks."""
    with state.lock:
        hosts = [user.id for user in state.users.values() if user.hours]
        first = state.now().replace(minute=0, second=0, microsecond=0) - timedelta(days=days_back)
        kinds = {host_id: _find_meeting_type(state, host_id) for host_id in hosts}
        for number in range(count):
            host_id = hosts[number % len(hosts)]
            start = first + timedelta(minutes=30 * (number // len(hosts)))
            attendees = [build_other_attendee(state)]
            state.insert_appointment(state.build_appointment(kinds[host_id], [host_id], start, 30, attendees))
