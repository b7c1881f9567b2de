"""Booking a slot, and confirming a provisional booking."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from django_meetergo.sandbox.errors import Refused, slot_occupied
from django_meetergo.sandbox.provisional import (
    close_provisional,
    create_provisional,
    expire_overdue,
    get_pending,
    list_confirmation_stages,
    record_provisional,
)
from django_meetergo.sandbox.records import Appointment, Attendee, BookingRequest, MeetingType, Provisional
from django_meetergo.sandbox.state import State
from django_meetergo.sandbox.working_hours import (
    BusyPeriod,
    SlotQuery,
    Spot,
    find_spots,
    is_conflict_free,
    to_epoch,
)


def list_spots(state: State, query: SlotQuery, *, skip_notice: bool = False) -> list[Spot]:
    """Return the free starts in the query's window, within the meeting type's notice and horizon."""
    with state.lock:
        expire_overdue(state)
        return find_spots(_clip_window(state, query, skip_notice=skip_notice), state.users, state.calendar)


def _clip_window(state: State, query: SlotQuery, *, skip_notice: bool) -> SlotQuery:
    now, kind = state.now(), query.meeting_type
    first = now if skip_notice else now + timedelta(minutes=kind.notice)
    earliest = max(query.earliest, to_epoch(first) + bool(first.microsecond))
    latest = query.latest
    if kind.horizon is not None:
        latest = min(latest, to_epoch(now + timedelta(minutes=kind.horizon)))
    return replace(query, earliest=earliest, latest=max(earliest, latest))


def book(state: State, request: BookingRequest) -> Appointment | Provisional:
    """Book a slot, or hold it if somebody has to confirm. Raises ``Refused`` if the slot is occupied."""
    with state.lock:
        expire_overdue(state)
        host_ids = _choose_hosts(state, request)
        stages = list_confirmation_stages(state, request.meeting_type)
        if request.queue is not None and not request.needs_all_hosts and host_ids:
            request.queue.last_user_id = host_ids[0]
        if stages:
            return create_provisional(state, request, host_ids, stages)
        return _create_appointment(state, request, host_ids)


def _choose_hosts(state: State, request: BookingRequest) -> list[str]:
    if request.start <= state.now():
        raise slot_occupied()
    query = _build_query(request)
    if request.ignore_availability:
        return _choose_any_hosts(state, request, query)
    start = to_epoch(request.start)
    spots = [] if request.start.microsecond else list_spots(state, query)
    spot = next((spot for spot in spots if spot.start == start), None)
    if spot is None or (spot.seats_taken or 0) >= request.meeting_type.spots:
        raise slot_occupied()
    if request.needs_all_hosts:
        return list(request.host_ids)
    return [host_id for host_id in request.host_ids if host_id in spot.host_ids][:1]


def _choose_any_hosts(state: State, request: BookingRequest, query: SlotQuery) -> list[str]:
    kind = request.meeting_type
    if kind.is_group and _count_seats_taken(state, kind, request.start) >= kind.spots:
        raise slot_occupied()
    if request.needs_all_hosts:
        return list(request.host_ids)
    start = to_epoch(request.start)
    free = [
        host_id for host_id in request.host_ids if is_conflict_free(query, host_id, start, state.calendar)
    ]
    return (free or request.host_ids)[:1]


def _build_query(request: BookingRequest) -> SlotQuery:
    start = to_epoch(request.start)
    return SlotQuery(
        meeting_type=request.meeting_type,
        duration=request.duration,
        earliest=start,
        latest=start + 1,
        host_ids=tuple(request.host_ids),
        needs_all_hosts=request.needs_all_hosts,
    )


def _create_appointment(state: State, request: BookingRequest, host_ids: list[str]) -> Appointment:
    if (group := find_group(state, request.meeting_type, request.start)) is not None:
        return join_group(state, group, request.attendee, is_mailed=request.is_mailed)
    appointment = state.build_appointment(
        request.meeting_type, host_ids, request.start, request.duration, [request.attendee]
    )
    appointment.channel, appointment.location = request.channel, request.location
    state.insert_appointment(appointment)
    state.record_change(
        "appointment_created",
        appointment,
        event="booking_created",
        attendee=request.attendee,
        is_mailed=request.is_mailed,
    )
    return appointment


def join_group(
    state: State, group: Appointment, attendee: Attendee, *, is_mailed: bool = True
) -> Appointment:
    """Add an attendee to a group appointment, and announce it. The seats are not counted."""
    group.attendees.append(attendee)
    group.touch(state.now())
    state.occupy_time(group)
    state.record_change(
        "attendee_added", group, event="booking_created", attendee=attendee, is_mailed=is_mailed
    )
    return group


def find_group(state: State, kind: MeetingType, start: datetime) -> Appointment | None:
    """Return the appointment of a group type that starts then."""
    for busy in _list_group_periods(state, kind, start):
        if busy.appointment_id:
            return state.appointments[busy.appointment_id]
    return None


def _count_seats_taken(state: State, kind: MeetingType, start: datetime) -> int:
    return sum(busy.seats for busy in _list_group_periods(state, kind, start))


def _list_group_periods(state: State, kind: MeetingType, start: datetime) -> list[BusyPeriod]:
    if not kind.is_group or kind.user_id is None:
        return []
    moment = to_epoch(start)
    return [
        busy
        for busy in state.calendar.list_between(kind.user_id, moment, moment)
        if busy.meeting_type_id == kind.id and busy.start == moment
    ]


# Confirming


def confirm(state: State, provisional_id: str) -> Appointment:
    """Confirm a double opt-in as its attendee; return the appointment."""
    with state.lock:
        provisional = get_pending(state, provisional_id)
        if provisional.type != "doubleOptIn":
            raise Refused(400, "This booking waits for its host")
        return _confirm_provisional(state, provisional)


def approve(state: State, provisional_id: str) -> Appointment | Provisional:
    """Approve a booking as its host; return the provisional booking if the attendee has to confirm next."""
    with state.lock:
        provisional = get_pending(state, provisional_id)
        if provisional.type != "requireHostConfirmation":
            raise Refused(400, "This booking waits for its attendee")
        if provisional.needs_opt_in_next:
            provisional.type, provisional.needs_opt_in_next = "doubleOptIn", False
            record_provisional(state, "provisional_approved", provisional)
            return provisional
        return _confirm_provisional(state, provisional)


def _confirm_provisional(state: State, provisional: Provisional) -> Appointment:
    query, start = _build_query(provisional.request), to_epoch(provisional.request.start)
    state.calendar.remove(provisional.id)
    if not all(is_conflict_free(query, host_id, start, state.calendar) for host_id in provisional.host_ids):
        # Possible only while hold_pending is off.
        close_provisional(state, provisional, "expired")
        raise slot_occupied()
    appointment = _create_appointment(state, provisional.request, provisional.host_ids)
    provisional.appointment_id = appointment.id
    close_provisional(state, provisional, "confirmed")
    return appointment
