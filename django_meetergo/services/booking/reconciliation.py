"""Reconcile bookings whose answer was lost, and re-read those that were just confirmed."""

from __future__ import annotations

import logging
from datetime import datetime

from django_meetergo.clock import Stopwatch
from django_meetergo.exceptions import RemoteError
from django_meetergo.lookups import find_one
from django_meetergo.models import Booking, BookingAttempt, Connection, Event, Lease
from django_meetergo.remote.client import MeetergoClient
from django_meetergo.remote.payloads import AppointmentDocument
from django_meetergo.services.booking.outcomes import (
    adopt_best,
    close_booking,
    end_last_attempt,
    leave_to_staff,
)
from django_meetergo.services.booking.search import search_lists, search_moved_appointments
from django_meetergo.services.booking.watching import needs_watching
from django_meetergo.services.clients import CALLS_SUSPENDED
from django_meetergo.services.events import record_booking_event
from django_meetergo.services.matching import list_references, match_documents, parse_stored
from django_meetergo.services.mirror.appointments import record_appointment
from django_meetergo.services.mirror.attendees import record_remote_ids
from django_meetergo.services.retry import (
    BOOKING_IDENTIFY,
    BOOKING_OUTCOME,
    BOOKING_REREAD,
    BOOKING_SEARCH,
    BOOKING_WATCH,
    FRESH,
    LeaseRenewal,
)
from django_meetergo.transactions import run_with_retries, write_transaction

logger = logging.getLogger(__name__)
State, Reason, Outcome = Booking.State, Booking.Reason, BookingAttempt.Outcome


def reconcile_booking(*, booking: Booking, client: MeetergoClient, now: datetime) -> Booking:
    """Search meetergo for a booking whose answer was lost; confirm or close it when the result is clear.

    Returns the booking as stored. It stays unknown, and due again, while nothing is proven.
    """
    mark_interrupted(booking, now)
    unknown = Booking.objects.filter(state=State.UNKNOWN)
    lease = unknown.exclude(reason=Reason.NEEDS_STAFF, next_at=None).claim(booking.pk, now=now)
    booking = Booking.objects.select_related("meeting_type").get(pk=booking.pk)
    if lease is None:
        return booking
    try:
        return search_and_record(booking, lease, client, now)
    except CALLS_SUSPENDED as error:
        return postpone_search(booking, lease, error, now)


def postpone_search(booking: Booking, lease: Lease, error: Exception, now: datetime) -> Booking:
    """Search later: that no call would succeed says nothing about the booking. Staff learn of it in time."""
    planned = BOOKING_SEARCH.plan(booking, now, error, is_held_back=True)
    if planned is not None:
        Booking.objects.finish(lease, **planned)
        return Booking.objects.get(pk=booking.pk)
    with write_transaction():
        stored = Booking.objects.lock_held(lease)
        if stored is None:
            return Booking.objects.get(pk=booking.pk)
        return leave_to_staff(stored, now, search_again=True)


def search_and_record(booking: Booking, lease: Lease, client: MeetergoClient, now: datetime) -> Booking:
    renew = LeaseRenewal(Booking.objects.held(lease), Stopwatch(now)).renew_if_due
    found = search_lists(booking, client, renew)
    adopted = adopt_best(booking=booking, documents=found.documents, now=now)
    if adopted is not None:
        return adopted
    matches, is_complete = match_documents(booking, found.documents), found.is_complete
    is_ambiguous = bool(matches.alike)
    if is_complete and is_proven_absent(booking, now):
        # The appointment may have been rescheduled before it was found.
        moved = search_moved_appointments(booking, client, renew)
        adopted = adopt_best(booking=booking, documents=moved.documents, now=now)
        if adopted is not None:
            return adopted
        is_complete = moved.is_complete
        # What may be the booking's keeps it from being called not booked.
        is_ambiguous |= bool(matches.count or match_documents(booking, moved.documents).count)
    with write_transaction():
        stored = Booking.objects.filter(state=State.UNKNOWN).lock_held(lease)
        if stored is None:
            return Booking.objects.get(pk=booking.pk)
        return record_no_match(stored, is_ambiguous=is_ambiguous, is_complete=is_complete, now=now)


def mark_interrupted(booking: Booking, now: datetime) -> None:
    """Mark a booking unknown whose process died while sending it."""
    interrupted = Booking.objects.filter(pk=booking.pk, state=State.SENDING, lease_until__lt=now)
    with write_transaction():
        # A new phase: what failed before the request was sent does not shorten the search.
        changes = {**FRESH, "lease_token": None, "lease_until": None, "next_at": now}
        if interrupted.update(state=State.UNKNOWN, **changes):
            end_last_attempt(booking, Outcome.UNKNOWN, now)
            step = str(booking.attempts.count())
            record_booking_event(booking, Event.Kind.BOOKING_UNCLEAR, now=now, step=step)


def record_no_match(booking: Booking, *, is_ambiguous: bool, is_complete: bool, now: datetime) -> Booking:
    """Store the result of a search that adopted nothing: wait, close, or leave to staff when ambiguous."""
    booking.lease_token = booking.lease_until = None
    if is_ambiguous:
        return leave_to_staff(booking, now)
    if not is_complete and BOOKING_OUTCOME.is_over(now, booking.outcome_deadline, searches=booking.polls):
        return leave_to_staff(booking, now, search_again=True)
    if is_complete and is_proven_absent(booking, now):
        return close_not_booked(booking, now)
    if is_complete and booking.first_absent_at is None:
        booking.first_absent_at = now
    booking.polls, booking.failing_since = booking.polls + 1, None
    booking.next_at = BOOKING_OUTCOME.find_next(
        now, deadline=booking.outcome_deadline, first_absent_at=booking.first_absent_at
    )
    booking.save()
    return booking


def close_not_booked(booking: Booking, now: datetime) -> Booking:
    """Close a booking that made nothing. What turns up all the same confirms it, or makes it pending."""
    end_last_attempt(booking, Outcome.ABSENT, now)
    close_booking(booking, Reason.NOT_BOOKED, now=now)
    if needs_watching(booking):
        booking.polls, booking.failing_since = 0, None
        booking.next_at = BOOKING_WATCH.find_next(0, now)
        booking.save()
    return booking


def close_left_to_staff(*, booking: Booking, now: datetime) -> Booking:
    """Close a booking as not booked that was left to staff, who found no appointment of it at meetergo.

    Returns the booking as stored. One that is not left to staff any more stays as it is.
    """
    with write_transaction():
        left = Booking.objects.select_for_update().filter(state=State.UNKNOWN, reason=Reason.NEEDS_STAFF)
        stored = find_one(left.filter(pk=booking.pk))
        if stored is not None:
            return close_not_booked(stored, now)
    return Booking.objects.get(pk=booking.pk)


def resolve_left_to_staff(*, booking: Booking) -> Booking:
    """Take a confirmed booking from the list of staff, who have cleared up its place in the group.

    Returns the booking as stored. One that is not left to staff any more stays as it is.
    """
    left = Booking.objects.filter(pk=booking.pk, state=State.CONFIRMED, reason=Reason.NEEDS_STAFF)
    left.update(reason=Reason.NONE, next_at=None)
    return Booking.objects.get(pk=booking.pk)


def is_proven_absent(booking: Booking, now: datetime) -> bool:
    """Whether two complete searches found nothing: ``MIN_GAP`` apart, the second after the deadline."""
    first, outcome_deadline = booking.first_absent_at, booking.outcome_deadline
    if first is None or outcome_deadline is None:
        return False
    return now >= outcome_deadline and now - first >= BOOKING_OUTCOME.get_gap()


def reread_booking(*, booking: Booking, client: MeetergoClient, now: datetime) -> Booking:
    """Read a confirmed appointment once for what the answer left out: attendee id, link and host.

    Nothing is read when a webhook or sync has stored the appointment meanwhile. Also records whether the
    connection returns references. A group booking whose attendee cannot be identified is left to staff.
    """
    confirmed = Booking.objects.filter(state=State.CONFIRMED).due(now)
    lease = confirmed.claim(booking.pk, now=now)
    booking = Booking.objects.select_related("attendee__appointment", "meeting_type").get(pk=booking.pk)
    if lease is None or booking.attendee is None:
        return booking
    appointment = booking.attendee.appointment
    document = parse_stored(appointment) if booking.attendee.remote_id else None
    is_fetched = document is None
    if document is None:
        try:
            document = client.get_appointment(appointment.remote_id)
        except CALLS_SUSPENDED:
            Booking.objects.finish(lease)
            raise
        except RemoteError as error:
            return postpone_reread(booking, lease, error, now)
    read, held = document, lease

    def store() -> Booking:
        record_document(booking, read, now)
        learn_reference_echo(booking, read, is_fetched=is_fetched)
        is_held = Booking.objects.finish(held, next_at=None, tries=0, polls=0)
        stored = Booking.objects.select_for_update().get(pk=booking.pk)
        is_identified = bool(stored.attendee and stored.attendee.remote_id)
        if is_held and booking.meeting_type.is_group and not is_identified:
            logger.warning("The attendee of booking %s is unknown; staff must decide.", booking.reference)
            leave_to_staff(stored, now)
        return stored

    return run_with_retries(store)


def record_document(booking: Booking, document: AppointmentDocument, now: datetime) -> None:
    """Store a confirmed booking's appointment and identify its attendee."""
    appointment = record_appointment(connection=booking.connection, document=document, now=now)
    record_remote_ids(appointment=appointment, document=document)


def postpone_reread(booking: Booking, lease: Lease, error: RemoteError, now: datetime) -> Booking:
    """Read the appointment later, a limited number of times. Sync and webhooks bring it if it can be read.

    An attendee of a group whom no read has identified is left to staff in the end.
    """
    is_unidentified = booking.meeting_type.is_group and not (booking.attendee and booking.attendee.remote_id)
    plan = (BOOKING_IDENTIFY if is_unidentified else BOOKING_REREAD).plan(booking, now, error)
    logger.warning(
        "Appointment of booking %s could not be read (%s); %s.",
        booking.reference,
        type(error).__name__,
        "it is read again later" if plan else "it is not read again",
    )
    if plan is None and is_unidentified:
        with write_transaction():
            stored = Booking.objects.lock_held(lease)
            if stored is not None and stored.attendee is not None and not stored.attendee.remote_id:
                return leave_to_staff(stored, now)
    Booking.objects.finish(lease, **(plan or BOOKING_REREAD.then))
    return booking


def learn_reference_echo(booking: Booking, document: AppointmentDocument, *, is_fetched: bool) -> None:
    """Record whether the connection returns our references, as one of our own appointments shows.

    A document that was not fetched by itself may come from a list, which may leave them out.
    """
    Connection.objects.get_or_create(connection=booking.connection)
    rows = Connection.objects.filter(connection=booking.connection)
    if booking.reference in list_references(document):
        rows.update(echoes_references=True)
    elif is_fetched:
        rows.update(echoes_references=False)
    else:
        rows.filter(echoes_references=None).update(echoes_references=False)
