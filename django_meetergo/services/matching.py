"""Decide whether a document of the service belongs to a booking of ours."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from django.db.models import Q

from django_meetergo.models import Attendee, Booking, BookingAttempt, Connection, Event, fold_email
from django_meetergo.remote.payloads import AppointmentDocument, ProvisionalDocument

State, Outcome = Booking.State, BookingAttempt.Outcome
#: Under this key the reference of a booking travels among its answers.
REFERENCE_KEY = "Booking reference"
#: meetergo's clock and ours may differ by this much.
CLOCK_TOLERANCE = timedelta(minutes=2)


def list_references(document: AppointmentDocument | ProvisionalDocument) -> set[str]:
    """Our references in a document, wherever its answers carry them."""
    if isinstance(document, ProvisionalDocument):
        answers: Iterable[dict[str, str]] = [document.answers]
    else:
        answers = [attendee.answers for attendee in document.attendees]
    return {given[REFERENCE_KEY] for given in answers if given.get(REFERENCE_KEY)}


def choose_candidates(
    booking: Booking, found: Sequence[AppointmentDocument | ProvisionalDocument]
) -> list[AppointmentDocument | ProvisionalDocument]:
    """The documents that are this booking: by its exact reference, else by type, time and address."""
    exact = [document for document in found if booking.reference in list_references(document)]
    if exact:
        return exact
    if echoes_references(booking.connection):
        return []
    return [document for document in found if looks_alike(booking, document)]


def echoes_references(connection: str) -> bool:
    return Connection.objects.filter(connection=connection, echoes_references=True).exists()


def looks_alike(
    booking: Booking, document: AppointmentDocument | ProvisionalDocument, *, moved: bool = False
) -> bool:
    """The second rule: nothing tells the document apart from what we sent, and it is not spoken for.

    ``moved`` leaves the time aside, for appointments that have been moved since they were made.
    """
    if document.meeting_type_id != booking.meeting_type.remote_id or list_references(document):
        return False
    if not moved and document.start != booking.start:
        return False
    if booking.email_folded not in fold_emails(document) or not has_unexplained_attempt(booking):
        return False
    return is_timely(booking, document) and not is_claimed(booking, document)


def fold_emails(document: AppointmentDocument | ProvisionalDocument) -> set[str]:
    if isinstance(document, ProvisionalDocument):
        return {fold_email(document.email)}
    return {fold_email(attendee.email) for attendee in document.attendees}


def has_unexplained_attempt(booking: Booking) -> bool:
    """Whether one of our requests could have made something that we do not know of."""
    definite = (Outcome.CONFIRMED, Outcome.SLOT_TAKEN, Outcome.REFUSED, Outcome.NOT_SENT)
    return booking.attempts.exclude(outcome__in=definite).exists()


def find_first_sent(booking: Booking) -> datetime | None:
    return booking.attempts.values_list("sent_at", flat=True).order_by("number").first()


def is_timely(booking: Booking, document: AppointmentDocument | ProvisionalDocument) -> bool:
    """Whether it was made while one of our requests could have made it.

    A group's appointment is as old as its first attendee, so its age says nothing. What lands after all,
    once we have given it up or while somebody's yes was missing, may be of any later time.
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
    """Whether another booking has it already, or we knew of it before we sent anything."""
    if isinstance(document, ProvisionalDocument):
        others = Booking.objects.filter(connection=booking.connection, provisional_id=document.id)
        return others.exclude(pk=booking.pk).exists()
    people = Attendee.objects.filter(
        connection=booking.connection,
        appointment__remote_id=document.id,
        email_folded=booking.email_folded,
    )
    spoken_for = people.filter(booking__isnull=False).exclude(booking=booking.pk)
    known_before = people.filter(
        events__kind=Event.Kind.APPOINTMENT_BOOKED, events__created_at__lt=find_first_sent(booking)
    )
    known = people.filter(Q(pk__in=spoken_for) | Q(pk__in=known_before)).count()
    named = [person for person in document.attendees if fold_email(person.email) == booking.email_folded]
    # Counted, not compared: one that has not been read yet has no id of meetergo's.
    return len(named) <= known


def list_orphans(connection: str, documents: Iterable[AppointmentDocument]) -> list[str]:
    """Ids of appointments whose reference no booking of ours has.

    Ours got lost, or another site shares the account: they are reported, and nobody is written to.
    """
    carried = {reference: document.id for document in documents for reference in list_references(document)}
    known = Booking.objects.filter(connection=connection, reference__in=carried)
    return sorted(
        {carried[reference] for reference in set(carried) - set(known.values_list("reference", flat=True))}
    )
