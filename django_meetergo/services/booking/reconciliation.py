"""Find out what became of a booking whose answer was lost."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction

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
from django_meetergo.services.booking.outcomes import (
    adopt_best,
    close_booking,
    end_last_attempt,
    leave_to_staff,
)
from django_meetergo.services.booking.search import (
    Found,
    search_lists,
    search_moved_appointments,
)
from django_meetergo.services.events import record_booking_event
from django_meetergo.services.matching import choose_candidates, list_references
from django_meetergo.services.mirror.appointments import record_appointment
from django_meetergo.services.retry import BOOKING_OUTCOME, BOOKING_REREAD

State, Reason, Outcome = Booking.State, Booking.Reason, BookingAttempt.Outcome


def reconcile_booking(*, booking: Booking, client: MeetergoClient, now: datetime) -> Booking:
    """Look for a booking whose answer was lost, and settle it when the evidence allows."""
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
    adopted = adopt_best(booking=booking, documents=found.candidates, now=now)
    if adopted is not None:
        return adopted
    candidates = len(choose_candidates(booking, found.candidates))
    if found.complete and is_proven_absent(booking, now):
        # The last look before we say no: what was made since then may have been moved in the meantime.
        moved = search_moved_appointments(booking, client)
        adopted = adopt_best(booking=booking, documents=moved.candidates, now=now)
        if adopted is not None:
            return adopted
        candidates = 2 if moved.candidates else candidates
        found = Found((), complete=moved.complete)
    with transaction.atomic():
        held = Booking.objects.select_for_update(of=("self",)).select_related("meeting_type")
        held = held.filter(lease_token=lease.token, state=State.UNKNOWN)
        stored = held.filter(pk=booking.pk).first()
        if stored is None:
            return Booking.objects.get(pk=booking.pk)
        return record_no_match(stored, candidates=candidates, complete=found.complete, now=now)


def mark_interrupted(booking: Booking, now: datetime) -> bool:
    """A row that was being sent when its process died: the answer, if there was one, is lost."""
    left = Booking.objects.filter(pk=booking.pk, state=State.SENDING, lease_until__lt=now)
    with transaction.atomic():
        changed = left.update(state=State.UNKNOWN, lease_token=None, lease_until=None, next_at=now)
        if changed:
            end_last_attempt(booking, Outcome.UNKNOWN, now)
            step = str(booking.attempts.count())
            record_booking_event(booking, Event.Kind.BOOKING_UNCLEAR, now=now, step=step)
    return bool(changed)


def record_no_match(booking: Booking, *, candidates: int, complete: bool, now: datetime) -> Booking:
    """What a look that did not find exactly one candidate means."""
    booking.lease_token = booking.lease_until = None
    if candidates > 1 or (not complete and BOOKING_OUTCOME.is_over(now, booking.outcome_deadline)):
        return leave_to_staff(booking, now)
    if complete and is_proven_absent(booking, now):
        end_last_attempt(booking, Outcome.ABSENT, now)
        return close_booking(booking, Reason.NOT_BOOKED, now=now)
    if complete and booking.first_absent_at is None:
        booking.first_absent_at = now
    booking.polls, booking.failing_since = booking.polls + 1, None
    booking.next_at = BOOKING_OUTCOME.find_next(
        now, deadline=booking.outcome_deadline, first_absent_at=booking.first_absent_at
    )
    booking.save()
    return booking


def is_proven_absent(booking: Booking, now: datetime) -> bool:
    """Two complete looks found nothing, apart from each other, the second after meetergo's time was up."""
    first, outcome_deadline = booking.first_absent_at, booking.outcome_deadline
    if first is None or outcome_deadline is None:
        return False
    return now >= outcome_deadline and now - first >= BOOKING_OUTCOME.get_gap()


def reread_booking(*, booking: Booking, client: MeetergoClient, now: datetime) -> Booking:
    """Fill in what an answer left out: the attendee's id, the link, the host; and learn about markers."""
    confirmed = Booking.objects.filter(state=State.CONFIRMED).due(now)
    lease = confirmed.claim(booking.pk, now=now, lease=get_settings().lease)
    booking = Booking.objects.select_related("attendee__appointment").get(pk=booking.pk)
    if lease is None or booking.attendee is None:
        return booking
    appointment = booking.attendee.appointment
    try:
        document = client.get_appointment(appointment.remote_id)
    except (NotFound, PermissionRefused):
        # Not there yet, or not for our eyes. Sync and webhooks will bring it if it can be read at all.
        Booking.objects.finish(lease, **(BOOKING_REREAD.plan(booking, now) or BOOKING_REREAD.then))
        return booking
    with transaction.atomic():
        record_appointment(connection=booking.connection, document=document, now=now)
        learn_reference_echo(booking, document)
        Booking.objects.finish(lease, next_at=None, tries=0, polls=0)
    booking.refresh_from_db()
    return booking


def learn_reference_echo(booking: Booking, document: AppointmentDocument) -> None:
    """Whether this account gives references back; until one of our own shows it, nobody knows."""
    seen = booking.reference in list_references(document)
    Connection.objects.get_or_create(connection=booking.connection)
    known = Connection.objects.filter(connection=booking.connection)
    if seen:
        known.update(echoes_references=True)
    else:
        known.filter(echoes_references=None).update(echoes_references=False)
