"""“Check again”: somebody waits for an answer, and we look now instead of when it is due."""

from __future__ import annotations

from datetime import datetime

from django.core.cache import caches

from django_meetergo.conf import get_settings
from django_meetergo.exceptions import RemoteError
from django_meetergo.models import AppointmentChange, Booking
from django_meetergo.services import bookings, changes, settling
from django_meetergo.services.clients import client_for

#: Seconds between two looks at one row, whoever asks and through whichever door.
LOOK_EVERY = 5


def may_look(name: str, number: int) -> bool:
    return caches[get_settings().CACHE].add(f"meetergo:look:{name}:{number}", 1, LOOK_EVERY)


def look_at_booking(*, booking: Booking, now: datetime) -> None:
    """See at meetergo how an open booking stands, if nobody has just done so. What it finds is in the row."""
    if not booking.is_open or not may_look("booking", booking.pk):
        return
    lane = "write" if booking.state == Booking.State.RECEIVED else "reread"
    client = client_for(booking.connection, lane)
    try:
        if booking.state == Booking.State.RECEIVED:
            bookings.send_booking(booking=booking, client=client, now=now)
        elif booking.state == Booking.State.PENDING:
            settling.check_pending(booking=booking, client=client, now=now)
        else:
            settling.settle_booking(booking=booking, client=client, now=now)
    except RemoteError:
        # What is shown then is the state we know, which is all that can be said.
        return


def look_at_change(*, change: AppointmentChange | None, now: datetime) -> None:
    """See at meetergo how a change on its way is doing, if nobody has just done so."""
    if change is None or not change.is_open or not may_look("change", change.pk):
        return
    client = client_for(change.appointment.connection, "reread")
    try:
        if change.state == AppointmentChange.State.RECEIVED:
            changes.send_change(change=change, client=client, now=now)
        else:
            changes.settle_change(change=change, client=client, now=now)
    except RemoteError:
        # As above.
        return
