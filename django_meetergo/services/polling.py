"""“Check again”: somebody waits for an answer, and we look now instead of when it is due."""

from __future__ import annotations

from datetime import datetime

from django_meetergo.cache import cache
from django_meetergo.exceptions import RemoteError
from django_meetergo.models import AppointmentChange, Booking
from django_meetergo.services.booking.pending import check_pending
from django_meetergo.services.booking.reconciliation import reconcile_booking
from django_meetergo.services.booking.sending import send_booking
from django_meetergo.services.changes.sending import reconcile_change, send_change
from django_meetergo.services.clients import build_client

#: Seconds between two looks at one row, whoever asks and through whichever door.
MIN_POLL_SECONDS = 5


def may_poll(name: str, number: int) -> bool:
    allowed: bool = cache.add(f"meetergo:poll:{name}:{number}", 1, MIN_POLL_SECONDS)
    return allowed


def refresh_booking_status(*, booking: Booking, now: datetime) -> None:
    """See at meetergo how an open booking stands, if nobody has just done so. What it finds is in the row."""
    if not booking.is_open or not may_poll("booking", booking.pk):
        return
    priority = "write" if booking.state == Booking.State.RECEIVED else "reread"
    client = build_client(booking.connection, priority)
    try:
        if booking.state == Booking.State.RECEIVED:
            send_booking(booking=booking, client=client, now=now)
        elif booking.state == Booking.State.PENDING:
            check_pending(booking=booking, client=client, now=now)
        else:
            reconcile_booking(booking=booking, client=client, now=now)
    except RemoteError:
        # What is shown then is the state we know, which is all that can be said.
        return


def refresh_change_status(*, change: AppointmentChange | None, now: datetime) -> None:
    """See at meetergo how a change on its way is doing, if nobody has just done so."""
    if change is None or not change.is_open or not may_poll("change", change.pk):
        return
    client = build_client(change.appointment.connection, "reread")
    try:
        if change.state == AppointmentChange.State.RECEIVED:
            send_change(change=change, client=client, now=now)
        else:
            reconcile_change(change=change, client=client, now=now)
    except RemoteError:
        # As above.
        return
