"""Poll and decline pending bookings: those that wait for a confirmation by attendee or host."""

from __future__ import annotations

from datetime import datetime, timedelta

from django_meetergo.clock import Stopwatch
from django_meetergo.exceptions import ChangeNotAllowed, NotFound, OutcomeUnknown, RemoteError
from django_meetergo.models import Booking, BookingAttempt
from django_meetergo.remote.client import MeetergoClient
from django_meetergo.remote.payloads import AppointmentDocument
from django_meetergo.services.booking.outcomes import adopt_best, close_booking, leave_to_staff
from django_meetergo.services.booking.search import Renew, list_host_ids, list_provisional, search_lists
from django_meetergo.services.matching import match_documents
from django_meetergo.services.retry import BOOKING_PENDING, LeaseRenewal
from django_meetergo.transactions import write_transaction

State, Reason, Outcome = Booking.State, Booking.Reason, BookingAttempt.Outcome
#: A request that meetergo neither confirms nor ends is closed so long after its start.
KEPT_AFTER_START = timedelta(days=7)


def check_pending(*, booking: Booking, client: MeetergoClient, now: datetime) -> Booking:
    """Poll meetergo for a pending booking that has been confirmed or declined, or has lapsed.

    Returns the booking as stored.
    """
    lease = Booking.objects.filter(state=State.PENDING).claim(booking.pk, now=now)
    booking = Booking.objects.select_related("meeting_type").get(pk=booking.pk)
    if lease is None:
        return booking
    renew = LeaseRenewal(Booking.objects.held(lease), Stopwatch(now)).renew_if_due
    status = find_provisional_status(booking, client, renew)
    if status != "pending":
        appointments, is_complete = read_appointments(booking, client, renew)
        adopted = adopt_best(booking=booking, documents=appointments, now=now)
        if adopted is not None:
            return adopted
        if not is_complete:
            status = None
        elif status in {"confirmed", ""} and match_documents(booking, appointments).count:
            status = "ambiguous"
    with write_transaction():
        stored = Booking.objects.lock_held(lease)
        if stored is None:
            return Booking.objects.get(pk=booking.pk)
        return record_pending_status(stored, status, now)


def record_pending_status(booking: Booking, status: str | None, now: datetime) -> Booking:
    """Store a status as ``find_provisional_status`` returns it: close the booking, or poll it again.

    ``ambiguous``: confirmed or gone, and nothing shows which appointment or attendee is the booking's.
    """
    if status == "ambiguous":
        return leave_to_staff(booking, now)
    if status == "declined_by_host":
        return close_booking(booking, Reason.DECLINED, now=now)
    if status in {"expired", ""}:
        return close_booking(booking, Reason.LAPSED, now=now)
    if now >= booking.start + KEPT_AFTER_START:
        # A confirmed one exists, though nothing has shown where.
        is_lapsed = status == "pending"
        return close_booking(booking, Reason.LAPSED, now=now) if is_lapsed else leave_to_staff(booking, now)
    booking.lease_token = booking.lease_until = None
    booking.polls, booking.failing_since = booking.polls + 1, None
    booking.next_at = BOOKING_PENDING.find_next(booking.polls, now, since=booking.pending_since)
    booking.save()
    return booking


def read_appointments(
    booking: Booking, client: MeetergoClient, renew: Renew
) -> tuple[list[AppointmentDocument], bool]:
    """Return the appointments at the booking's start, and whether every list could be read."""
    try:
        found = search_lists(booking, client, renew)
    except RemoteError:
        return [], False
    return [one for one in found.documents if isinstance(one, AppointmentDocument)], found.is_complete


def find_provisional_status(booking: Booking, client: MeetergoClient, renew: Renew) -> str | None:
    """Return ``pending``, ``confirmed``, ``expired`` or ``declined_by_host``.

    "" when no list has the booking, None when a list could not be read.
    """
    try:
        for status in ("pending", "declined_by_host", "expired", "confirmed"):
            if has_provisional(booking, status, client, renew):
                return status
    except RemoteError:
        return None
    return ""


def has_provisional(booking: Booking, status: str, client: MeetergoClient, renew: Renew) -> bool:
    return any(
        document.id == booking.provisional_id
        for host_id in list_host_ids(booking, client)
        for document in list_provisional(booking, host_id, client, renew, status=status)
    )


def decline_booking(*, booking: Booking, client: MeetergoClient, now: datetime, reason: str = "") -> Booking:
    """Decline a pending booking as its host, and return it as stored.

    When the answer is lost, meetergo's lists decide. Raises ChangeNotAllowed when the booking does not wait
    for a host, and RemoteError when the request was certainly not carried out.
    """
    if booking.state != State.PENDING or booking.reason not in {Reason.HOST, Reason.BOTH}:
        raise ChangeNotAllowed("This booking does not wait for a host.", reason="not_waiting")
    stopwatch = Stopwatch(now)
    with write_transaction(durable=True):
        lease = Booking.objects.filter(state=State.PENDING).claim(booking.pk, now=now)
    if lease is None:
        raise ChangeNotAllowed("This booking is being checked; try again in a minute.", reason="busy")
    try:
        client.decline_provisional_booking(booking.provisional_id, reason=reason)
    except (OutcomeUnknown, NotFound):
        # Declined before, confirmed meanwhile, or the answer was lost: the lists show which.
        Booking.objects.finish(lease, next_at=stopwatch.now())
        return check_pending(booking=booking, client=client, now=stopwatch.now())
    except RemoteError:
        Booking.objects.finish(lease)
        raise
    with write_transaction():
        stored = Booking.objects.lock_held(lease)
        if stored is None:
            return Booking.objects.get(pk=booking.pk)
        return close_booking(stored, Reason.DECLINED, now=stopwatch.now())
