"""Watch bookings that were closed as not booked, for a provisional booking that turns up late.

Late appointments are found by webhooks and sync. Provisional bookings are in neither, so they are read here.
"""

from __future__ import annotations

import logging
from datetime import datetime

from django_meetergo.clock import Stopwatch
from django_meetergo.exceptions import NotFound
from django_meetergo.models import Booking
from django_meetergo.remote.client import MeetergoClient
from django_meetergo.remote.payloads import ProvisionalDocument
from django_meetergo.services.booking.outcomes import adopt_best
from django_meetergo.services.booking.search import list_host_ids, list_provisional
from django_meetergo.services.matching import list_references
from django_meetergo.services.retry import BOOKING_WATCH, LeaseRenewal

logger = logging.getLogger(__name__)
State, Reason = Booking.State, Booking.Reason
#: The reason that the host reads on a provisional booking that is declined as surplus.
SURPLUS_REASON = "Requested twice by mistake"


def needs_watching(booking: Booking) -> bool:
    """Whether a closed booking may still get a provisional booking at meetergo."""
    return booking.reason == Reason.NOT_BOOKED and booking.meeting_type.confirmation != "none"


def watch_closed_booking(*, booking: Booking, client: MeetergoClient, now: datetime) -> Booking:
    """Read the provisional bookings once for a closed booking, and return it as stored.

    What turns up is adopted: the booking is pending again. When its attendee has chosen another slot
    meanwhile, it is declined, so that it does not keep the slot. Raises RemoteError.
    """
    closed = Booking.objects.filter(state=State.CLOSED, attendee=None)
    lease = closed.claim(booking.pk, now=now)
    booking = Booking.objects.select_related("meeting_type").get(pk=booking.pk)
    if lease is None:
        return booking
    renew = LeaseRenewal(Booking.objects.held(lease), Stopwatch(now)).renew_if_due
    if now < booking.start:
        found = [
            document
            for host_id in list_host_ids(booking, client)
            for document in list_provisional(booking, host_id, client, renew)
        ]
        exact = [document for document in found if booking.reference in list_references(document)]
        adopted = adopt_best(booking=booking, documents=found, now=now) or booking
        if adopted.state == State.CLOSED:
            for document in exact:
                decline_surplus(booking, document, client)
        else:
            booking = adopted
    next_at = BOOKING_WATCH.find_next(0, now, since=booking.closed_at) if now < booking.start else None
    Booking.objects.finish(lease, next_at=next_at, polls=0, failing_since=None)
    booking.refresh_from_db()
    return booking


def decline_surplus(booking: Booking, document: ProvisionalDocument, client: MeetergoClient) -> None:
    """Decline a provisional booking that carries the reference of a booking whose attendee has another."""
    logger.warning("Provisional booking %s of booking %s is declined.", document.id, booking.reference)
    try:
        client.decline_provisional_booking(document.id, reason=SURPLUS_REASON)
    except NotFound:
        logger.info("Provisional booking %s has ended meanwhile.", document.id)
