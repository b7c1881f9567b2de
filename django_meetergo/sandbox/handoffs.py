"""Handing appointments over to other hosts."""

from __future__ import annotations

from django_meetergo.sandbox.bookings import list_spots
from django_meetergo.sandbox.errors import Refused, slot_occupied
from django_meetergo.sandbox.records import Appointment
from django_meetergo.sandbox.state import State
from django_meetergo.sandbox.working_hours import SlotQuery, to_epoch


def hand_over(
    state: State, appointment: Appointment, host_id: str, *, ignore_availability: bool = False
) -> Appointment:
    """Give an appointment to another host at the same time; id and secret stay.

    Raises ``Refused`` if the appointment is cancelled or over, or if the host is not free. No webhook event
    for a handover is known, so none is sent.
    """
    with state.lock:
        if appointment.is_cancelled:
            raise Refused(400, "Appointment is already cancelled")
        if appointment.start <= state.now():
            raise Refused(400, "Appointment is already over")
        if not ignore_availability and not is_free_for(state, appointment, host_id):
            raise slot_occupied()
        former_host_ids = list(appointment.host_ids)
        state.change_hosts(appointment, [host_id])
        appointment.touch(state.now())
        state.record_change("appointment_handed_over", appointment, previousHostIds=former_host_ids)
        return appointment


def is_free_for(state: State, appointment: Appointment, host_id: str) -> bool:
    """Return whether a host works and is free at an appointment's time."""
    start = to_epoch(appointment.start)
    query = SlotQuery(
        meeting_type=state.meeting_types[appointment.meeting_type_id],
        duration=int(appointment.length.total_seconds() // 60),
        earliest=start,
        latest=start + 1,
        host_ids=(host_id,),
        ignored_key=appointment.id,
        hide_groups=True,
    )
    return bool(list_spots(state, query, skip_notice=True))
