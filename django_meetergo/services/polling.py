"""“Check again”: refresh the status of a booking or a change now instead of when it is due."""

from __future__ import annotations

from datetime import datetime

from django.core.exceptions import ImproperlyConfigured

from django_meetergo.cache import cache
from django_meetergo.conf import get_settings
from django_meetergo.exceptions import RemoteError
from django_meetergo.models import AppointmentChange, Booking
from django_meetergo.remote.client import MeetergoClient
from django_meetergo.services.booking.pending import check_pending
from django_meetergo.services.booking.reconciliation import reconcile_booking
from django_meetergo.services.booking.sending import send_booking
from django_meetergo.services.changes.queue import find_blocking_change
from django_meetergo.services.changes.sending import reconcile_change, send_change
from django_meetergo.services.clients import build_client

#: Seconds between two polls of one row, whoever requests them.
MIN_POLL_SECONDS = 5


def may_poll(kind: str, pk: int) -> bool:
    """Whether nobody has polled this row within the last few seconds. The answer counts as a poll."""
    allowed: bool = cache.add(f"meetergo:poll:{kind}:{pk}", 1, MIN_POLL_SECONDS)
    return allowed


def build_waiting_client(connection: str, priority: str) -> MeetergoClient:
    """Return a client whose calls take no longer than a visitor waits, whatever their priority."""
    client = build_client(connection, priority)
    client.shorten_timeout(get_settings().TIMEOUT)
    return client


def refresh_booking_status(*, booking: Booking, now: datetime) -> None:
    """Send or re-read an open booking, unless that was done a moment ago. The row holds the result."""
    if not booking.is_open or not may_poll("booking", booking.pk):
        return
    priority = "write" if booking.state == Booking.State.RECEIVED else "reread"
    try:
        client = build_waiting_client(booking.reader, priority)
        if booking.state == Booking.State.RECEIVED:
            send_booking(booking=booking, client=client, now=now)
        elif booking.state == Booking.State.PENDING:
            check_pending(booking=booking, client=client, now=now)
        else:
            reconcile_booking(booking=booking, client=client, now=now)
    except (RemoteError, ImproperlyConfigured):
        # The row keeps the state that is known; the workers try again.
        return


def refresh_change_status(*, change: AppointmentChange | None, now: datetime) -> None:
    """Send or re-read an open change, or the one it waits for, unless that was done a moment ago."""
    if change is None or not change.is_open:
        return
    change = find_blocking_change(change) or change
    if not may_poll("change", change.pk):
        return
    try:
        client = build_waiting_client(change.reader, "reread")
        if change.state == AppointmentChange.State.RECEIVED:
            send_change(change=change, client=client, now=now)
        else:
            reconcile_change(change=change, client=client, now=now)
    except (RemoteError, ImproperlyConfigured):
        # As above.
        return
