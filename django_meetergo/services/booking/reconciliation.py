"""Reconcile bookings whose answer was lost, and re-read those that were just confirmed."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import F

from django_meetergo.conf import get_settings
from django_meetergo.exceptions import (
    NotFound,
    PermissionRefused,
)
from django_meetergo.models import Booking, BookingAttempt, Connection, Event
from django_meetergo.remote.client import MeetergoClient
from django_meetergo.remote.payloads import (
    AppointmentDocument,
)
from django_meetergo.services.booking.outcomes import adopt_best, close_booking, end_last_attempt
from django_meetergo.services.booking.search import (
    search_lists,
    search_moved_appointments,
)
from django_meetergo.services.events import record_booking_event
from django_meetergo.services.matching import choose_candidates, list_references
from django_meetergo.services.mirror.appointments import record_appointment

State, Reason, Outcome = Booking.State, Booking.Reason, BookingAttempt.Outcome
#: Seconds after sending at which a booking with a lost answer is searched for before its deadline.
EARLY_READ_SECONDS = (2, 20)
#: Two reads that find nothing prove absence only with this much time between them.
MIN_GAP = timedelta(seconds=30)
#: A booking whose lists still cannot be read this long after its deadline is left to staff.
STAFF_AFTER = timedelta(minutes=5)


def reconcile_booking(*, booking: Booking, client: MeetergoClient, now: datetime) -> Booking:
    """Search meetergo for a booking whose answer was lost; confirm or close it when the result is clear.

    Returns the booking as stored. It stays unknown, and due again, while nothing is proven.
    """
    mark_interrupted(booking, now)
    lease = (
        Booking.objects.filter(state=State.UNKNOWN)
        .exclude(reason=Reason.NEEDS_STAFF)
        .claim(booking.pk, now=now, lease=get_settings().lease)
    )
    booking = Booking.objects.select_related("meeting_type").get(pk=booking.pk)
    if lease is None:
        return booking
    found = search_lists(booking, client)
    adopted = adopt_best(booking=booking, documents=found.documents, now=now)
    if adopted is not None:
        return adopted
    candidates, is_complete = len(choose_candidates(booking, found.documents)), found.is_complete
    if is_complete and is_proven_absent(booking, now):
        # The appointment may have been rescheduled before it was found.
        moved = search_moved_appointments(booking, client)
        adopted = adopt_best(booking=booking, documents=moved.documents, now=now)
        if adopted is not None:
            return adopted
        candidates = 2 if moved.documents else candidates
        is_complete = moved.is_complete
    with transaction.atomic():
        held = Booking.objects.select_for_update(of=("self",)).select_related("meeting_type")
        held = held.filter(lease_token=lease.token, state=State.UNKNOWN)
        stored = held.filter(pk=booking.pk).first()
        if stored is None:
            return Booking.objects.get(pk=booking.pk)
        return record_no_match(stored, candidates=candidates, is_complete=is_complete, now=now)


def mark_interrupted(booking: Booking, now: datetime) -> bool:
    """Mark a booking unknown whose process died while sending it. Returns whether it was one."""
    interrupted = Booking.objects.filter(pk=booking.pk, state=State.SENDING, lease_until__lt=now)
    with transaction.atomic():
        changed = interrupted.update(state=State.UNKNOWN, lease_token=None, lease_until=None, next_at=now)
        if changed:
            end_last_attempt(booking, Outcome.UNKNOWN, now)
            step = str(booking.attempts.count())
            record_booking_event(booking, Event.Kind.BOOKING_UNCLEAR, now=now, step=step)
    return bool(changed)


def record_no_match(booking: Booking, *, candidates: int, is_complete: bool, now: datetime) -> Booking:
    """Store the result of a search that did not find exactly one candidate: wait, close or leave to staff."""
    booking.lease_token = booking.lease_until = None
    outcome_deadline = booking.outcome_deadline or now
    if candidates > 1 or (not is_complete and now >= outcome_deadline + STAFF_AFTER):
        booking.reason, booking.next_at = Reason.NEEDS_STAFF, None
        booking.save()
        return booking
    if is_complete and is_proven_absent(booking, now):
        end_last_attempt(booking, Outcome.ABSENT, now)
        return close_booking(booking, Reason.NOT_BOOKED, now=now)
    if is_complete and booking.first_absent_at is None:
        booking.first_absent_at = now
    booking.tries += 1
    booking.next_at = schedule_next_read(booking, now)
    booking.save()
    return booking


def is_proven_absent(booking: Booking, now: datetime) -> bool:
    """Whether two complete searches found nothing: ``MIN_GAP`` apart, the second after the deadline."""
    first, outcome_deadline = booking.first_absent_at, booking.outcome_deadline
    return bool(first and outcome_deadline and now >= outcome_deadline and now - first >= get_min_gap())


def get_min_gap() -> timedelta:
    """Return ``MIN_GAP``, or less when the site has shortened ``OUTCOME_DEADLINE``."""
    return min(MIN_GAP, get_settings().outcome_deadline / 4)


def schedule_next_read(booking: Booking, now: datetime) -> datetime:
    """Return the next planned time of a search that is still in the future."""
    outcome_deadline = booking.outcome_deadline or now
    sent_at = outcome_deadline - get_settings().outcome_deadline
    early = [sent_at + timedelta(seconds=seconds) for seconds in EARLY_READ_SECONDS]
    plan = [*early, outcome_deadline, outcome_deadline + get_min_gap()]
    if booking.first_absent_at:
        plan.append(booking.first_absent_at + get_min_gap())
    return min((moment for moment in plan if moment > now), default=now + get_min_gap())


def reread_booking(*, booking: Booking, client: MeetergoClient, now: datetime) -> Booking:
    """Read a confirmed appointment once for what the answer left out: attendee id, link and host.

    Also records whether the connection returns references. Raises RemoteError.
    """
    confirmed = Booking.objects.filter(state=State.CONFIRMED).due(now)
    lease = confirmed.claim(booking.pk, now=now, lease=get_settings().lease)
    booking = Booking.objects.select_related("attendee__appointment").get(pk=booking.pk)
    if lease is None or booking.attendee is None:
        return booking
    appointment = booking.attendee.appointment
    try:
        document = client.get_appointment(appointment.remote_id)
    except (NotFound, PermissionRefused):
        # Not there yet, or not readable with this credential. Sync and webhooks bring it if it ever is.
        wait = timedelta(seconds=min(5 * 4**booking.tries, 3600))
        is_last = booking.tries >= 5
        Booking.objects.finish(lease, tries=F("tries") + 1, next_at=None if is_last else now + wait)
        return booking
    with transaction.atomic():
        record_appointment(connection=booking.connection, document=document, now=now)
        learn_reference_echo(booking, document)
        Booking.objects.finish(lease, next_at=None, tries=0)
    booking.refresh_from_db()
    return booking


def learn_reference_echo(booking: Booking, document: AppointmentDocument) -> None:
    """Record whether the connection returns our references, as one of our own appointments shows."""
    Connection.objects.get_or_create(connection=booking.connection)
    rows = Connection.objects.filter(connection=booking.connection)
    if booking.reference in list_references(document):
        rows.update(echoes_references=True)
    else:
        rows.filter(echoes_references=None).update(echoes_references=False)
