"""Make sure that what is about to be cancelled as surplus is surplus.

meetergo may once have named the booking's appointment wrongly. Then the appointment that looks like a second
one is the only one, so what the booking keeps is read before anything is cancelled.
"""

from __future__ import annotations

import logging
from datetime import datetime

from django_meetergo.exceptions import NotFound
from django_meetergo.models import Appointment, AppointmentChange, Attendee, Booking
from django_meetergo.remote.client import MeetergoClient
from django_meetergo.services.matching import find_booking_of, list_cancels, list_own_seats
from django_meetergo.services.mirror.appointments import record_appointment, record_missing
from django_meetergo.services.mirror.attendees import replace_duplicate
from django_meetergo.transactions import run_with_retries

logger = logging.getLogger(__name__)
Kind, State = AppointmentChange.Kind, AppointmentChange.State
SURPLUS_REASON = AppointmentChange.SURPLUS_REASON


def is_cancel_of_surplus(change: AppointmentChange) -> bool:
    """Whether this site cancels what one booking got twice, without being asked by anybody."""
    return change.kind == Kind.CANCEL and change.reason == SURPLUS_REASON and change.user_id is None


def confirm_surplus(change: AppointmentChange, client: MeetergoClient, now: datetime) -> bool:
    """Read both appointments of a booking. Return whether the one of this change may be cancelled.

    When the booking has no other, this one becomes its appointment. Raises RemoteError when that is unclear.
    """
    surplus, attendee = change.appointment, change.attendee
    document = client.get_appointment(surplus.remote_id)
    booking = find_booking_of(document, attendee.remote_id or "") if attendee else None
    if booking is None or booking.attendee is None or booking.attendee == attendee:
        return False
    if is_kept(booking, booking.attendee.appointment, client, now):
        return True
    booking.attendee.refresh_from_db()
    if is_given_up(booking.attendee):
        return True
    logger.warning("Booking %s keeps appointment %s: it has no other.", booking.reference, surplus.remote_id)
    run_with_retries(lambda: move_attendee(booking, change))
    return False


def is_given_up(attendee: Attendee) -> bool:
    """Whether the attendee or this site has cancelled, or is cancelling, what the booking keeps.

    A host who removes one of the two at meetergo means the attendee to keep the other one.
    """
    # Who has removed a member of a group is not known.
    is_removed = attendee.status == Attendee.Status.REMOVED
    is_cancelled_by_them = attendee.appointment.cancelled_by == "attendee"
    return is_removed or is_cancelled_by_them or list_cancels(attendee).exists()


def is_kept(booking: Booking, appointment: Appointment, client: MeetergoClient, now: datetime) -> bool:
    """Read the appointment that a booking keeps. Return whether it stands and carries the reference."""
    try:
        document = client.get_appointment(appointment.remote_id)
    except NotFound:
        record_missing(appointment=appointment, now=now)
        return False
    record_appointment(connection=appointment.connection, document=document, now=now)
    return not document.is_cancelled and bool(list_own_seats(booking, document))


def move_attendee(booking: Booking, change: AppointmentChange) -> None:
    """Make the appointment of a change the booking's. Its attendee keeps user, subject and links."""
    Appointment.objects.select_for_update().get(pk=change.appointment_id)
    attendee, duplicate = booking.attendee, change.attendee
    assert attendee is not None  # noqa: S101 - the caller has looked
    assert duplicate is not None  # noqa: S101
    replace_duplicate(attendee, duplicate)
    attendee.save(update_fields=["appointment", "remote_id"])
