"""What meetergo holds that could be a booking of ours: where to look for it, and how it is recognised.

First rule: our exact reference. Second rule, for accounts that do not give references back: the same meeting
type, time and address, made while one of our requests could have made it, and not spoken for.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import count

from django.db.models import Q

from django_meetergo.exceptions import RemoteError, UnreadableReply
from django_meetergo.models import Account, Attendee, Booking, BookingAttempt, Event, fold_email
from django_meetergo.remote.client import MeetergoClient
from django_meetergo.remote.payloads import AppointmentDocument, ProvisionalDocument
from django_meetergo.services import mirror

State, Outcome = Booking.State, BookingAttempt.Outcome

PAGE = 100
#: meetergo's clock and ours may differ by this much.
CLOCKS = timedelta(minutes=2)


# Recognising


@dataclass(frozen=True)
class Found:
    """What meetergo holds that could be this booking, and whether all of it was read."""

    candidates: tuple[AppointmentDocument | ProvisionalDocument, ...]
    complete: bool


def find_marker(document: AppointmentDocument | ProvisionalDocument) -> set[str]:
    """Our references in a document, wherever its answers carry them."""
    if isinstance(document, ProvisionalDocument):
        answers: Iterable[dict[str, str]] = [document.answers]
    else:
        answers = [attendee.answers for attendee in document.attendees]
    return {given[mirror.MARKER_KEY] for given in answers if given.get(mirror.MARKER_KEY)}


def choose_candidates(
    booking: Booking, found: Sequence[AppointmentDocument | ProvisionalDocument]
) -> list[AppointmentDocument | ProvisionalDocument]:
    """The documents that are this booking: by its exact reference, else by type, time and address."""
    exact = [document for document in found if booking.marker in find_marker(document)]
    if exact:
        return exact
    if gives_markers_back(booking.connection):
        return []
    return [document for document in found if looks_alike(booking, document)]


def gives_markers_back(connection: str) -> bool:
    return Account.objects.filter(connection=connection, gives_markers_back=True).exists()


def looks_alike(
    booking: Booking, document: AppointmentDocument | ProvisionalDocument, *, moved: bool = False
) -> bool:
    """The second rule: nothing tells the document apart from what we sent, and it is not spoken for.

    ``moved`` leaves the time aside, for appointments that have been moved since they were made.
    """
    if document.meeting_type_id != booking.meeting_type.remote_id or find_marker(document):
        return False
    if not moved and document.start != booking.start:
        return False
    if booking.email_folded not in fold_emails(document) or not has_open_question(booking):
        return False
    return is_timely(booking, document) and not is_known(booking, document)


def fold_emails(document: AppointmentDocument | ProvisionalDocument) -> set[str]:
    if isinstance(document, ProvisionalDocument):
        return {fold_email(document.email)}
    return {fold_email(attendee.email) for attendee in document.attendees}


def has_open_question(booking: Booking) -> bool:
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
    if document.created_at < sent_at - CLOCKS:
        return False
    may_be_late = bool(booking.provisional_id) or booking.state == State.CLOSED
    return may_be_late or booking.settle_at is None or document.created_at <= booking.settle_at + CLOCKS


def is_known(booking: Booking, document: AppointmentDocument | ProvisionalDocument) -> bool:
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
    carried = {marker: document.id for document in documents for marker in find_marker(document)}
    known = Booking.objects.filter(connection=connection, marker__in=carried)
    return sorted({carried[marker] for marker in set(carried) - set(known.values_list("marker", flat=True))})


# Looking


def look_for(booking: Booking, client: MeetergoClient) -> Found:
    """Read every list that could hold the booking."""
    candidates: list[AppointmentDocument | ProvisionalDocument] = []
    try:
        for host_id in list_host_ids(booking):
            candidates.extend(list_around(booking, host_id, client))
            if booking.meeting_type.confirmation != "none":
                candidates.extend(list_provisional(booking, host_id, client))
    except RemoteError:
        return Found(tuple(candidates), complete=False)
    return Found(tuple({document.id: document for document in candidates}.values()), complete=True)


def look_for_moved(booking: Booking, client: MeetergoClient) -> Found:
    """Appointments made since we sent the request that are ours by reference, or ours but for their time."""
    found: list[AppointmentDocument | ProvisionalDocument] = []
    try:
        for host_id in list_host_ids(booking):
            for document in list_since(booking, host_id, client):
                was_moved = document.rescheduled_at is not None or document.reschedule_count > 0
                ours = booking.marker in find_marker(document)
                if ours or (was_moved and looks_alike(booking, document, moved=True)):
                    found.append(document)
    except RemoteError:
        return Found(tuple(found), complete=False)
    return Found(tuple({document.id: document for document in found}.values()), complete=True)


def list_since(booking: Booking, host_id: str, client: MeetergoClient) -> Iterator[AppointmentDocument]:
    """A host's newest appointments, back to the moment of our first request."""
    sent_at = find_first_sent(booking) or booking.created_at
    for page in count():
        answer = client.list_appointments(
            page=page,
            page_size=PAGE,
            meeting_type_id=booking.meeting_type.remote_id,
            user_id=host_id,
            sort_by="appointment.createdAt",
            sort_direction="DESC",
        )
        for document in answer.appointments:
            if document.created_at and document.created_at < sent_at - CLOCKS:
                return
            yield document
        if is_last(len(answer.appointments), answer.unreadable):
            return


def list_host_ids(booking: Booking) -> list[str]:
    """Whose lists could hold it. No host known: the credential's own list."""
    queue = list(booking.meeting_type.hosts.values_list("remote_id", flat=True))
    return booking.meeting_type.host_ids or queue or [""]


def list_around(booking: Booking, host_id: str, client: MeetergoClient) -> Iterator[AppointmentDocument]:
    """A host's appointments of this meeting type that start when the booking does."""
    minute = timedelta(minutes=1)
    for page in count():
        answer = client.list_appointments(
            page=page,
            page_size=PAGE,
            start=booking.start - minute,
            end=booking.start + minute,
            meeting_type_id=booking.meeting_type.remote_id,
            user_id=host_id,
        )
        yield from answer.appointments
        if is_last(len(answer.appointments), answer.unreadable):
            return


def list_provisional(
    booking: Booking, host_id: str, client: MeetergoClient, *, status: str = "pending"
) -> Iterator[ProvisionalDocument]:
    """A host's provisional bookings of this meeting type."""
    for page in count():
        answer = client.list_provisional_bookings(
            page=page,
            page_size=PAGE,
            status=status,
            user_id=host_id,
            meeting_type_id=booking.meeting_type.remote_id,
        )
        yield from answer.bookings
        if is_last(len(answer.bookings), answer.unreadable):
            return


def is_last(read: int, unreadable: int) -> bool:
    """Whether a page ends its list. An unreadable entry may be the very one: then nothing is proven."""
    if unreadable:
        raise UnreadableReply(f"{unreadable} entries of a list could not be read")
    return read < PAGE
