"""Decide which document of meetergo belongs to which booking."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from django.db.models import Q

from django_meetergo.models import Attendee, Booking, BookingAttempt, Connection, Event, fold_email
from django_meetergo.remote.payloads import AppointmentDocument, ProvisionalDocument

State, Outcome = Booking.State, BookingAttempt.Outcome
#: The name of the answer that carries a booking's reference.
REFERENCE_KEY = "Booking reference"
#: How much meetergo's clock and ours may differ.
CLOCK_TOLERANCE = timedelta(minutes=2)


def list_references(document: AppointmentDocument | ProvisionalDocument) -> set[str]:
    """Return the booking references that a document's answers carry."""
    if isinstance(document, ProvisionalDocument):
        answers: Iterable[dict[str, str]] = [document.answers]
    else:
        answers = [attendee.answers for attendee in document.attendees]
    return {one[REFERENCE_KEY] for one in answers if one.get(REFERENCE_KEY)}


def choose_candidates(
    booking: Booking, found: Sequence[AppointmentDocument | ProvisionalDocument]
) -> list[AppointmentDocument | ProvisionalDocument]:
    """Return the documents that match a booking: by its reference, else by type, time and address."""
    exact = [document for document in found if booking.reference in list_references(document)]
    if exact:
        return exact
    if echoes_references(booking.connection):
        return []
    return [document for document in found if looks_alike(booking, document)]


def echoes_references(connection: str) -> bool:
    """Whether meetergo is known to return our references on this connection."""
    return Connection.objects.filter(connection=connection, echoes_references=True).exists()


def looks_alike(
    booking: Booking, document: AppointmentDocument | ProvisionalDocument, *, ignore_start: bool = False
) -> bool:
    """Whether a document equals what was sent in everything but the reference, and is unclaimed.

    ``ignore_start`` leaves the start out, for appointments that were rescheduled after they were made.
    """
    if document.meeting_type_id != booking.meeting_type.remote_id or list_references(document):
        return False
    if not ignore_start and document.start != booking.start:
        return False
    if booking.email_folded not in fold_emails(document) or not has_unexplained_attempt(booking):
        return False
    return is_timely(booking, document) and not is_claimed(booking, document)


def fold_emails(document: AppointmentDocument | ProvisionalDocument) -> set[str]:
    """Return the folded e-mail addresses that a document names."""
    if isinstance(document, ProvisionalDocument):
        return {fold_email(document.email)}
    return {fold_email(attendee.email) for attendee in document.attendees}


def has_unexplained_attempt(booking: Booking) -> bool:
    """Whether one of the booking's requests may have made something that is not known yet."""
    definite = (Outcome.CONFIRMED, Outcome.SLOT_TAKEN, Outcome.REFUSED, Outcome.NOT_SENT)
    return booking.attempts.exclude(outcome__in=definite).exists()


def find_first_sent(booking: Booking) -> datetime | None:
    """Return when the booking's first request was sent."""
    return booking.attempts.values_list("sent_at", flat=True).order_by("number").first()


def is_timely(booking: Booking, document: AppointmentDocument | ProvisionalDocument) -> bool:
    """Whether the document was created at a time when one of the booking's requests could have made it.

    A group's appointment is as old as its first attendee, so its age proves nothing. After a booking was
    closed or provisional, its appointment may be of any later time.
    """
    sent_at = find_first_sent(booking)
    if document.created_at is None or sent_at is None or booking.meeting_type.is_group:
        return sent_at is not None
    if document.created_at < sent_at - CLOCK_TOLERANCE:
        return False
    may_be_late = bool(booking.provisional_id) or booking.state == State.CLOSED
    return (
        may_be_late
        or booking.outcome_deadline is None
        or document.created_at <= booking.outcome_deadline + CLOCK_TOLERANCE
    )


def is_claimed(booking: Booking, document: AppointmentDocument | ProvisionalDocument) -> bool:
    """Whether the document belongs to another booking, or was known before the first request."""
    if isinstance(document, ProvisionalDocument):
        others = Booking.objects.filter(connection=booking.connection, provisional_id=document.id)
        return others.exclude(pk=booking.pk).exists()
    attendees = Attendee.objects.filter(
        connection=booking.connection,
        appointment__remote_id=document.id,
        email_folded=booking.email_folded,
    )
    of_others = attendees.filter(booking__isnull=False).exclude(booking=booking.pk)
    known_before = attendees.filter(
        events__kind=Event.Kind.APPOINTMENT_BOOKED, events__created_at__lt=find_first_sent(booking)
    )
    known = attendees.filter(Q(pk__in=of_others) | Q(pk__in=known_before)).count()
    named = [one for one in document.attendees if fold_email(one.email) == booking.email_folded]
    # Counted, not compared: an attendee that has not been read yet has no remote id.
    return len(named) <= known


def list_orphans(connection: str, documents: Iterable[AppointmentDocument]) -> list[str]:
    """Return the ids of appointments that carry a reference of no stored booking.

    The booking was lost with a database, or another site uses the same account. They are only reported.
    """
    carried = {reference: document.id for document in documents for reference in list_references(document)}
    known = Booking.objects.filter(connection=connection, reference__in=carried)
    return sorted(
        {carried[reference] for reference in set(carried) - set(known.values_list("reference", flat=True))}
    )
