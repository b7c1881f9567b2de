"""What must hold in every snapshot. I1 to I7 are the numbers of the protocol's invariants."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from tests.proofs.model.model import CLOSED, OPEN, Appointment, Booking, Environment, Snapshot
from tests.proofs.model.policies import CONFIRMED, NEEDS_STAFF

#: Whether a snapshot satisfies an invariant. In a quiescent snapshot only external actors can still act.
Invariant = Callable[[Snapshot, Environment, bool], bool]


def is_left_to_staff(booking: Booking) -> bool:
    return booking.is_with_staff or booking.state == NEEDS_STAFF


def list_created(snapshot: Snapshot, number: int) -> list[Appointment]:
    """Return the active appointments that carry the reference of a booking."""
    return [
        appointment
        for appointment in snapshot.appointments
        if appointment.booking == number and appointment.is_active
    ]


def has_one_per_booking(snapshot: Snapshot, environment: Environment, is_quiescent: bool) -> bool:
    """I1. Where requests can be duplicated, a surplus may exist until it is cancelled."""
    if environment.can_duplicate and not is_quiescent:
        return True
    return all(
        len(list_created(snapshot, number)) <= 1 or is_left_to_staff(booking)
        for number, booking in enumerate(snapshot.bookings)
    )


def has_one_per_attendee(snapshot: Snapshot, environment: Environment, is_quiescent: bool) -> bool:
    """One appointment per attendee; with unbounded delays, none that the attendee was not notified of."""
    if environment.bounded and not environment.can_duplicate:
        return sum(appointment.is_active for appointment in snapshot.appointments) <= 1
    return not is_quiescent or all(
        is_known(snapshot, appointment) for appointment in snapshot.appointments if appointment.is_active
    )


def is_known(snapshot: Snapshot, appointment: Appointment) -> bool:
    if appointment.adopted_by >= 0:
        return snapshot.bookings[appointment.adopted_by].notified == CONFIRMED
    return any(is_left_to_staff(booking) for booking in snapshot.bookings)


def has_appointment_when_notified(snapshot: Snapshot, environment: Environment, is_quiescent: bool) -> bool:
    """No attendee is notified of "confirmed" without an appointment."""
    owners = {appointment.adopted_by for appointment in snapshot.appointments}
    return all(
        number in owners for number, booking in enumerate(snapshot.bookings) if booking.notified == CONFIRMED
    )


def has_none_when_refused(snapshot: Snapshot, environment: Environment, is_quiescent: bool) -> bool:
    """No attendee is notified of "not booked" while the request may still succeed.

    If one were, some path would lead to a snapshot with that notification and an appointment.
    """
    if not environment.bounded or environment.can_duplicate:
        return True
    return not any(
        booking.notified in CLOSED and list_created(snapshot, number)
        for number, booking in enumerate(snapshot.bookings)
    )


def stays_confirmed(snapshot: Snapshot, environment: Environment, is_quiescent: bool) -> bool:
    """I2: a confirmed booking has one appointment of its own and stays confirmed."""
    owners = [appointment.adopted_by for appointment in snapshot.appointments]
    return all(
        (booking.state != CONFIRMED or owners.count(number) == 1)
        and (booking.notified != CONFIRMED or booking.state == CONFIRMED)
        for number, booking in enumerate(snapshot.bookings)
    )


def has_no_unknown_appointment(snapshot: Snapshot, environment: Environment, is_quiescent: bool) -> bool:
    """I3: in a quiescent snapshot, every active appointment belongs to a booking that knows it."""
    if not is_quiescent:
        return True
    return all(
        appointment.adopted_by >= 0 or is_known(snapshot, appointment)
        for appointment in snapshot.appointments
        if appointment.is_active
    )


def is_answered(snapshot: Snapshot, environment: Environment, is_quiescent: bool) -> bool:
    """I4: in a quiescent snapshot, every booking is answered or left to staff."""
    if not is_quiescent:
        return True
    return all(
        booking.state == NEEDS_STAFF or booking.notified == booking.state not in OPEN
        for booking in snapshot.bookings
    )


def is_recorded_before_sending(snapshot: Snapshot, environment: Environment, is_quiescent: bool) -> bool:
    """I5: no POST is sent without a committed attempt."""
    return all(
        booking.attempts >= sent for booking, sent in zip(snapshot.bookings, snapshot.posts, strict=False)
    )


def has_one_open_attempt(snapshot: Snapshot, environment: Environment, is_quiescent: bool) -> bool:
    """I6: at most one attempt of a booking has no definite result."""
    return all(booking.open_attempts <= 1 for booking in snapshot.bookings)


def has_one_open(snapshot: Snapshot, environment: Environment, is_quiescent: bool) -> bool:
    """I7: at most one open booking per attendee."""
    return sum(booking.state in OPEN for booking in snapshot.bookings) <= 1


#: Violations that an attendee would notice.
VISIBLE_INVARIANTS: Mapping[str, Invariant] = {
    "one appointment per booking": has_one_per_booking,
    "one appointment per attendee": has_one_per_attendee,
    "notified as booked only with an appointment": has_appointment_when_notified,
    "notified as not booked only when it is final": has_none_when_refused,
    "a confirmation stays": stays_confirmed,
    "no unknown appointment": has_no_unknown_appointment,
    "every booking is answered": is_answered,
}

#: Violations that only the stored attempts and bookings show.
INTERNAL_INVARIANTS: Mapping[str, Invariant] = {
    "recorded before it is sent": is_recorded_before_sending,
    "one open attempt": has_one_open_attempt,
    "one open booking": has_one_open,
}

INVARIANTS: Mapping[str, Invariant] = {**VISIBLE_INVARIANTS, **INTERNAL_INVARIANTS}

#: A property of the whole graph instead of one snapshot; ``search`` checks it.
TERMINATES = "every path ends"
