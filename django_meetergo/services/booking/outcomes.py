"""Store how a booking ended: confirmed, pending or closed. The only code that confirms a booking."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from django.db import IntegrityError, transaction

from django_meetergo.models import Attendee, Booking, BookingAttempt, Event
from django_meetergo.remote.payloads import (
    AppointmentDocument,
    BookingConfirmed,
    BookingProvisional,
    ProvisionalDocument,
)
from django_meetergo.services.availability.invalidation import remove_slot
from django_meetergo.services.booking.rebooking import get_original_start
from django_meetergo.services.changes.requests import schedule_cancel
from django_meetergo.services.events import record_booking_event
from django_meetergo.services.matching import REFERENCE_KEY, choose_candidates, list_references
from django_meetergo.services.mirror.appointments import record_appointment
from django_meetergo.services.mirror.confirmations import record_attendee_of_booking, record_confirmation
from django_meetergo.transactions import run_with_retries

State, Reason, Outcome = Booking.State, Booking.Reason, BookingAttempt.Outcome
BookingResult = BookingConfirmed | BookingProvisional | AppointmentDocument | ProvisionalDocument
#: Minutes after which a pending booking is polled; hourly from then on.
PENDING_POLL_MINUTES = (1, 5, 15)
#: The cancel reason that the host reads on an appointment that one booking got twice.
SURPLUS_REASON = "Booked twice by mistake"


def adopt(*, booking: Booking, document: BookingResult, now: datetime) -> Booking:
    """Store that a reply or document is the result of this booking, whatever the booking's state is.

    Idempotent. Mirror, secret, event and released keys are stored in one transaction. Returns the booking as
    stored.
    """

    def store() -> Booking:
        # No lease is needed: a success that arrives late is still a success.
        rows = Booking.objects.select_for_update(of=("self",)).select_related("meeting_type")
        stored = rows.get(pk=booking.pk)
        if isinstance(document, BookingProvisional | ProvisionalDocument):
            return mark_pending(stored, document, now)
        return mark_confirmed(stored, document, now)

    return run_with_retries(store)


def mark_confirmed(
    booking: Booking, document: BookingConfirmed | AppointmentDocument, now: datetime
) -> Booking:
    if booking.attendee_id is not None:
        return booking
    was_closed = booking.state == State.CLOSED
    if isinstance(document, BookingConfirmed):
        attendee = record_confirmation(booking=booking, reply=document, now=now)
        reread_at: datetime | None = now
    else:
        appointment = record_appointment(connection=booking.connection, document=document, now=now)
        attendee = record_attendee_of_booking(booking=booking, appointment=appointment, now=now)
        reread_at = None
    link_attendee(booking, attendee)
    release_keys(booking)
    booking.state, booking.reason, booking.attendee = State.CONFIRMED, Reason.NONE, attendee
    booking.next_at, booking.tries, booking.closed_at = reread_at, 0, None
    booking.save()
    end_last_attempt(booking, Outcome.CONFIRMED, now)
    if was_closed:
        record_booking_event(booking, Event.Kind.BOOKING_FOUND, now=now)
    elif get_original_start(booking):
        record_booking_event(booking, Event.Kind.BOOKING_REBOOKED, now=now)
    remove_slot(meeting_type=booking.meeting_type, start=booking.start, duration=booking.duration)
    return booking


def link_attendee(booking: Booking, attendee: Attendee) -> None:
    """Copy the booking's user, subject and answers to its attendee."""
    Attendee.objects.filter(pk=attendee.pk).update(
        user=booking.user_id,
        subject_type=booking.subject_type_id,
        subject_id=booking.subject_id,
        custom_fields=booking.custom_fields or attendee.custom_fields,
    )


def mark_pending(
    booking: Booking, document: BookingProvisional | ProvisionalDocument, now: datetime
) -> Booking:
    if booking.state in {State.CONFIRMED, State.PENDING}:
        return booking
    found = document.provisional_id if isinstance(document, BookingProvisional) else document.id
    booking.provisional_id = found
    if booking.state == State.CLOSED and not reclaim_open_key(booking):
        # The attendee has another open booking by now: this one stays closed, and watched.
        booking.reason = Reason.REPLACED
        booking.save()
        return booking
    booking.state = State.PENDING
    booking.reason = choose_pending_reason(booking, document.awaits)
    booking.pending_since, booking.closed_at, booking.tries = now, None, 0
    booking.next_at = now + timedelta(minutes=PENDING_POLL_MINUTES[0])
    booking.lease_token = booking.lease_until = None
    booking.save()
    end_last_attempt(booking, Outcome.PROVISIONAL, now)
    record_booking_event(booking, Event.Kind.BOOKING_PENDING, now=now)
    # Whether meetergo holds the slot meanwhile is not documented, so it is not offered until a refresh.
    remove_slot(meeting_type=booking.meeting_type, start=booking.start, duration=booking.duration)
    return booking


def reclaim_open_key(booking: Booking) -> bool:
    """Make a closed booking the open one of its attendee again. Returns False when there is another."""
    booking.open_booking_key = booking.hash_open_booking_key()
    try:
        with transaction.atomic():
            Booking.objects.filter(pk=booking.pk).update(open_booking_key=booking.open_booking_key)
    except IntegrityError:
        booking.open_booking_key = None
        return False
    return True


def choose_pending_reason(booking: Booking, awaits: str) -> str:
    if awaits == "host" and booking.meeting_type.confirmation == "both":
        return Reason.BOTH
    return Reason.HOST if awaits == "host" else Reason.ATTENDEE


def release_keys(booking: Booking) -> None:
    booking.open_booking_key = booking.slot_hold_key = None
    booking.lease_token = booking.lease_until = None


def close_booking(booking: Booking, reason: str, *, now: datetime, message: str = "") -> Booking:
    """Close a booking without an appointment. The caller holds a transaction with the row locked."""
    release_keys(booking)
    booking.state, booking.reason, booking.message = State.CLOSED, reason, message
    booking.closed_at, booking.next_at = now, None
    booking.save()
    step = str(booking.attempts.count())
    record_booking_event(booking, Event.Kind.BOOKING_CLOSED, now=now, step=step)
    return booking


def end_last_attempt(booking: Booking, outcome: str, now: datetime, error_type: str = "") -> None:
    """Store the outcome of the last attempt that has none, once it is certain."""
    last = booking.attempts.exclude(outcome__in=BookingAttempt.DEFINITE).order_by("-number").first()
    if last is not None:
        last.outcome, last.ended_at = outcome, now
        last.error_type = error_type or last.error_type
        last.save()


def adopt_documents(
    *, connection: str, documents: Sequence[AppointmentDocument], now: datetime
) -> list[Booking]:
    """Match appointments that were read with bookings that have none, and adopt them. Returns those bookings.

    Closed bookings are watched until their slot is over: an appointment that turns up late confirms them.
    """
    references = {reference for document in documents for reference in list_references(document)}
    starts = {document.start for document in documents if document.end > now}
    bookings = Booking.objects.filter(connection=connection).select_related("meeting_type")
    waiting = bookings.filter(attendee=None)
    found = {row.pk: row for row in bookings.filter(reference__in=references)} if references else {}
    found |= {row.pk: row for row in waiting.filter(start__in=starts)} if starts else {}
    # Open bookings come before closed ones, newer before older.
    order = sorted(found.values(), key=lambda row: (row.is_open, row.created_at), reverse=True)
    return [
        adopted
        for booking in order
        if (adopted := adopt_best(booking=booking, documents=documents, now=now)) is not None
    ]


def adopt_best(
    *, booking: Booking, documents: Sequence[AppointmentDocument | ProvisionalDocument], now: datetime
) -> Booking | None:
    """Adopt the one candidate; of several with the booking's reference the oldest, and cancel the others."""
    chosen = choose_candidates(booking, documents)
    if not chosen or not (
        len(chosen) == 1 or all(booking.reference in list_references(one) for one in chosen)
    ):
        return None
    oldest = min(chosen, key=lambda one: (one.created_at is None, one.created_at or now, one.id))
    adopted = adopt(booking=booking, document=oldest, now=now)
    for document in chosen:
        if isinstance(document, AppointmentDocument) and booking.reference in list_references(document):
            cancel_surplus(adopted, document, now)
    return adopted


def cancel_surplus(booking: Booking, document: AppointmentDocument, now: datetime) -> None:
    """Cancel what one booking got twice. Only for the exact reference: anything less is left to staff."""
    attendee = booking.attendee
    if attendee is None or document.is_cancelled or document.start <= now:
        return
    own = [one for one in document.attendees if one.answers.get(REFERENCE_KEY) == booking.reference]
    if attendee.appointment.remote_id == document.id:
        # In a group one attendee may have two seats of one appointment.
        own = [one for one in own if attendee.remote_id and one.id != attendee.remote_id]
    if (own and len(own) == len(document.attendees)) or (own and booking.meeting_type.is_group):
        appointment = record_appointment(connection=booking.connection, document=document, now=now)
        for one in own:
            schedule_cancel(appointment=appointment, attendee_id=one.id, reason=SURPLUS_REASON, now=now)
