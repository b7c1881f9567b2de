"""Decide which document, attendee and booking belong together.

Everything that adopts, links, cancels as surplus or erases asks this module. meetergo's answer to a booking
names an appointment and no attendee, and has no idempotency key, so there are three rules:

1. The document carries the booking's reference.
2. References are not returned.

   - A one-to-one type: the document equals what was sent, was made at the right time and is unclaimed.
   - A group: exactly one attendee is equal in e-mail, phone and names, was not there before the request was
     sent (``BookingAttempt.known_attendee_ids``) and belongs to no other booking.

3. Otherwise nothing is linked and nothing is cancelled: staff decide.

An e-mail address alone identifies nobody in a group: two seats under one address are two attendees.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum

from django.db.models import Q, QuerySet

from django_meetergo.exceptions import UnreadableReply
from django_meetergo.lookups import find_one
from django_meetergo.models import (
    Appointment,
    AppointmentChange,
    Attendee,
    Booking,
    BookingAttempt,
    Connection,
    Event,
    fold_email,
)
from django_meetergo.remote.payloads import (
    AppointmentDocument,
    AttendeeDocument,
    ProvisionalDocument,
    parse_appointment,
)

State, Outcome = Booking.State, BookingAttempt.Outcome
Document = AppointmentDocument | ProvisionalDocument
#: The ids of an appointment and of one of its attendees at meetergo; of the latter "" where it has none.
Seat = tuple[str, str]
#: The name of the answer that carries a booking's reference.
REFERENCE_KEY = "Booking reference"
#: How much the clocks may still differ after the measured skew has been subtracted.
CLOCK_TOLERANCE = timedelta(minutes=2)
#: Attempts that certainly made nothing.
WITHOUT_EFFECT = (Outcome.SLOT_TAKEN, Outcome.REFUSED, Outcome.NOT_SENT)


class Verdict(Enum):
    """What the rules without reference say about one document."""

    OTHER = "other"  # not this booking's
    DOUBTFUL = "doubtful"  # may be this booking's; only staff can decide
    ALIKE = "alike"  # this booking's, if no other document is


@dataclass(frozen=True, kw_only=True)
class Matches:
    """The documents that may belong to one booking, by the strength of the rule."""

    exact: tuple[Document, ...] = ()
    alike: tuple[Document, ...] = ()
    doubtful: tuple[Document, ...] = ()

    @property
    def count(self) -> int:
        return len(self.exact) + len(self.alike) + len(self.doubtful)


def match_documents(booking: Booking, documents: Iterable[Document]) -> Matches:
    """Return which of these documents may belong to a booking that has no attendee yet."""
    documents = list(documents)
    exact = tuple(one for one in documents if booking.reference in list_references(one))
    if exact or not has_unexplained_attempt(booking):
        return Matches(exact=exact)
    verdicts = [(one, judge(booking, one)) for one in documents]
    if echoes_references(booking.connection):
        # Something alike without any reference: meetergo may have stopped returning them.
        return Matches(doubtful=tuple(one for one, verdict in verdicts if verdict is not Verdict.OTHER))
    return Matches(
        alike=tuple(one for one, verdict in verdicts if verdict is Verdict.ALIKE),
        doubtful=tuple(one for one, verdict in verdicts if verdict is Verdict.DOUBTFUL),
    )


def list_references(document: Document) -> set[str]:
    """Return the booking references that a document's answers carry."""
    if isinstance(document, ProvisionalDocument):
        references = {document.answers.get(REFERENCE_KEY, "")}
    else:
        references = {get_reference(attendee) for attendee in document.attendees}
    return references - {""}


def list_seats(documents: Iterable[AppointmentDocument]) -> dict[str, set[Seat]]:
    """Return, by the booking references that the documents carry, the seats that carry them."""
    seats: dict[str, set[Seat]] = {}
    for document in documents:
        for attendee in document.attendees:
            if reference := get_reference(attendee):
                seats.setdefault(reference, set()).add((document.id, attendee.id))
    return seats


def get_reference(attendee: AttendeeDocument) -> str:
    return attendee.answers.get(REFERENCE_KEY, "")


def echoes_references(connection: str) -> bool:
    """Whether meetergo is known to return our references on this connection."""
    return Connection.objects.filter(connection=connection, echoes_references=True).exists()


def has_unexplained_attempt(booking: Booking) -> bool:
    """Whether one of the booking's requests may have made something that is not known yet."""
    return booking.attempts.exclude(outcome__in=[*WITHOUT_EFFECT, Outcome.CONFIRMED]).exists()


def judge(booking: Booking, document: Document) -> Verdict:
    """Compare one document without our reference with a booking."""
    is_moved, has_type = document.start != booking.start, bool(document.meeting_type_id)
    is_of_type = document.meeting_type_id == booking.meeting_type.remote_id
    if (has_type and not is_of_type) or (is_moved and not was_rescheduled(document)):
        return Verdict.OTHER
    if booking.meeting_type.is_group:
        verdict = judge_group(booking, document)
    else:
        verdict = judge_single(booking, document)
    # It may have been rescheduled before it was found; meetergo may leave the meeting type out.
    is_certain = has_type and not is_moved
    return verdict if is_certain or verdict is Verdict.OTHER else Verdict.DOUBTFUL


def judge_single(booking: Booking, document: Document) -> Verdict:
    """Compare a document of a one-to-one type, or a provisional booking, with a booking."""
    if list_references(document):
        return Verdict.OTHER
    if isinstance(document, ProvisionalDocument):
        is_same = is_same_email(booking.email, document.email)
    else:
        is_same = any(
            is_same_email(booking.email, one.email) or (not booking.email and is_same_person(booking, one))
            for one in document.attendees
        )
    if not is_same:
        return Verdict.OTHER
    # In this order: a twin that is confirmed meanwhile has claimed the document.
    is_shared = has_twin(booking)
    if is_claimed(booking, document):
        return Verdict.OTHER
    return Verdict.DOUBTFUL if is_shared else judge_time(booking, document)


def judge_group(booking: Booking, document: Document) -> Verdict:
    """Compare a document of a group type with a booking: nobody is identified by an address."""
    if isinstance(document, ProvisionalDocument):
        is_possible = judge_single(booking, document) is not Verdict.OTHER
    elif booking.pk in match_seats(document, connection=booking.connection):
        return Verdict.ALIKE
    else:
        is_possible = bool(list_possible_seats(booking, document))
    return Verdict.DOUBTFUL if is_possible else Verdict.OTHER


def was_rescheduled(document: Document) -> bool:
    if isinstance(document, ProvisionalDocument):
        return False
    return document.rescheduled_at is not None or document.reschedule_count > 0


# People


def is_same_email(first: str, second: str) -> bool:
    """Whether two addresses are equal; no address is equal to none."""
    return fold_email(first) == fold_email(second) != ""


def is_same_person(booking: Booking, attendee: AttendeeDocument) -> bool:
    """Whether e-mail, phone and names are equal, and at least one of e-mail and phone is given."""
    return describe_identity(booking) == describe_identity(attendee) and bool(
        attendee.email.strip() or attendee.phone.strip()
    )


def describe_identity(person: Booking | AttendeeDocument) -> tuple[str, str, str]:
    """Return e-mail, phone and name of a person without differences of spelling."""
    phone = "".join(sign for sign in person.phone if sign.isdigit() or sign == "+")
    return fold_email(person.email), phone, fold_name(person)


def fold_name(person: Booking | Attendee | AttendeeDocument) -> str:
    return " ".join(f"{person.first_name} {person.last_name}".split()).casefold()


def is_linked_person(booking: Booking, attendee: Attendee) -> bool:
    """Whether a booking and the attendee that it made are still the same person.

    A host may have changed the attendee's address, or given the seat to somebody else. The name tells which:
    it is equal, or one of both has none.
    """
    if is_same_email(booking.email, attendee.email):
        return True
    names = {fold_name(booking), fold_name(attendee)}
    return len(names) == 1 or "" in names


# Time


def find_first_sent(booking: Booking) -> datetime | None:
    """Return when the booking's first request was sent."""
    return booking.attempts.values_list("sent_at", flat=True).order_by("number").first()


def get_clock_skew(connection: str) -> timedelta:
    """Return how far meetergo's clock is ahead of ours, as last measured."""
    skews = Connection.objects.filter(connection=connection).values_list("clock_skew", flat=True)
    return timedelta(seconds=skews.first() or 0)


def judge_time(booking: Booking, document: Document) -> Verdict:
    """Whether the document was created while one of the booking's requests could have made it.

    Creation times are meetergo's, so the measured clock skew is subtracted. A document that only its creation
    time excludes is doubtful, since clocks may be wrong. After a booking was closed or provisional, its
    appointment may be of any later time.
    """
    sent_at = find_first_sent(booking)
    if sent_at is None:
        return Verdict.OTHER
    if document.created_at is None:
        return Verdict.ALIKE
    created_at = document.created_at - get_clock_skew(booking.connection)
    may_be_late = bool(booking.provisional_id) or booking.state == State.CLOSED
    is_timely = created_at >= sent_at - CLOCK_TOLERANCE and (
        may_be_late
        or booking.outcome_deadline is None
        or created_at <= booking.outcome_deadline + CLOCK_TOLERANCE
    )
    return Verdict.ALIKE if is_timely else Verdict.DOUBTFUL


# Claims


def has_twin(booking: Booking) -> bool:
    """Whether another open booking with the same start and address may have made the same document."""
    twins = Booking.objects.filter(
        connection=booking.connection,
        meeting_type=booking.meeting_type,
        start=booking.start,
        email_folded=booking.email_folded,
        attendee=None,
        state__in=[State.SENDING, State.UNKNOWN],
    )
    if not booking.email_folded:
        twins = twins.filter(phone=booking.phone)
    return twins.exclude(pk=booking.pk).exists()


def is_claimed(booking: Booking, document: Document) -> bool:
    """Whether a document belongs to another booking, or was known before the booking's first request.

    For one-to-one types and provisional bookings: in a group, attendees are claimed one by one.
    """
    if isinstance(document, ProvisionalDocument):
        # By the start, which has an index: bookings of one provisional booking have its start.
        others = Booking.objects.filter(start=booking.start, provisional_id=document.id)
        return others.filter(connection=booking.connection).exclude(pk=booking.pk).exists()
    attendees = list_attendees_of(booking.connection, document.id)
    of_others = attendees.filter(booking__isnull=False).exclude(booking=booking.pk)
    return of_others.exists() or was_known_before(booking, document.id)


def was_known_before(booking: Booking, appointment_id: str, *, by: timedelta = timedelta()) -> bool:
    """Whether an appointment had been mirrored when the booking's first request left, which cannot be its.

    ``by`` is how long before, at least: the clocks of the site's machines may differ.
    """
    sent_at = find_first_sent(booking)
    known = list_attendees_of(booking.connection, appointment_id).filter(
        events__kind=Event.Kind.APPOINTMENT_BOOKED, events__created_at__lt=sent_at and sent_at - by
    )
    return known.exists()


def list_attendees_of(connection: str, appointment_id: str) -> QuerySet[Attendee]:
    """Return the attendees of an appointment, found by the unique index of its connection and id."""
    return Attendee.objects.filter(appointment__connection=connection, appointment__remote_id=appointment_id)


def list_claimed_ids(connection: str, appointment_id: str) -> set[str]:
    """Return the ids of an appointment's attendees that are linked to a booking."""
    linked = list_attendees_of(connection, appointment_id).filter(booking__isnull=False)
    return {remote_id for remote_id in linked.values_list("remote_id", flat=True) if remote_id}


# Seats


def find_attendee_id(booking: Booking, document: AppointmentDocument) -> str:
    """Return the id of a booking's attendee in an appointment that is certainly its own; "" if unclear."""
    if booking.meeting_type.is_group:
        return match_seats(document, connection=booking.connection, certain=[booking]).get(booking.pk, "")
    if own := list_own_seats(booking, document):
        return own[0]
    claimed = list_claimed_ids(booking.connection, document.id)
    free = [one for one in document.attendees if one.id and one.id not in claimed and not get_reference(one)]
    named = [one for one in free if is_same_email(booking.email, one.email)]
    candidates = named or free
    return candidates[0].id if len(candidates) == 1 else ""


def match_attendees(document: AppointmentDocument, rows: Sequence[Attendee]) -> dict[int, str]:
    """Return the ids of attendees that have none yet, by primary key, as far as they are certain.

    ``rows`` are attendees of this appointment that were stored from the answer to a booking.
    """
    bookings = Booking.objects.filter(attendee__in=rows).select_related("meeting_type").order_by()
    found = {}
    for booking in bookings:
        if attendee_id := find_attendee_id(booking, document):
            found[booking.attendee_id] = attendee_id
    return {pk: attendee_id for pk, attendee_id in found.items() if pk is not None}


def match_seats(
    document: AppointmentDocument, *, connection: str, certain: Iterable[Booking] = ()
) -> dict[int, str]:
    """Return the attendee ids of the bookings of one group appointment, by the booking's primary key.

    ``certain`` are bookings that certainly have a seat in it, beside those that are stored as such. All
    bookings that may have a seat are compared together, so that none gets what may be another's.
    """
    seated = {booking.pk: booking for booking in [*certain, *list_seated(connection, document)]}
    possible = {
        booking.pk: booking
        for booking in list_possible(connection, document)
        if booking.pk not in seated and has_unexplained_attempt(booking)
    }
    found = {}
    options: dict[int, set[str]] = {}
    for pk, booking in (seated | possible).items():
        if own := list_own_seats(booking, document):
            found[pk] = own[0]
        else:
            options[pk] = {one.id for one in list_possible_seats(booking, document, only_new=True)}
    while resolved := resolve_options(options, set(seated)):
        found |= resolved
        taken = set(resolved.values())
        options = {pk: ids - taken for pk, ids in options.items() if pk not in resolved}
    return found


def list_seated(connection: str, document: AppointmentDocument) -> Iterable[Booking]:
    """Return the bookings that meetergo confirmed with this appointment and whose attendee id is unknown."""
    return Booking.objects.select_related("meeting_type").filter(
        connection=connection,
        attendee__appointment__remote_id=document.id,
        attendee__appointment__connection=connection,
        attendee__remote_id=None,
    )


def list_possible(connection: str, document: AppointmentDocument) -> Iterable[Booking]:
    """Return the bookings without an attendee for the type and start of this appointment."""
    return Booking.objects.select_related("meeting_type").filter(
        connection=connection,
        attendee=None,
        meeting_type__remote_id=document.meeting_type_id,
        start=document.start,
    )


def list_possible_seats(
    booking: Booking, document: AppointmentDocument, *, only_new: bool = False
) -> list[AttendeeDocument]:
    """Return the attendees of a group that may be the booking's: unclaimed, without reference, equal person.

    With ``only_new`` those that were not there before the request was sent; none when that is not known.
    """
    known = get_known_attendee_ids(booking)
    if known is None:
        known = {one.id for one in document.attendees} if only_new else set()
    excluded = known | list_claimed_ids(booking.connection, document.id) | {""}
    return [
        one
        for one in document.attendees
        if one.id not in excluded and not get_reference(one) and is_same_person(booking, one)
    ]


def get_known_attendee_ids(booking: Booking) -> set[str] | None:
    """Return the attendee ids that were there before the first request that may have made a seat."""
    attempts = booking.attempts.exclude(outcome__in=WITHOUT_EFFECT).order_by("number")
    known = attempts.values_list("known_attendee_ids", flat=True).first()
    return None if known is None else set(known)


def resolve_options(options: dict[int, set[str]], seated: set[int]) -> dict[int, str]:
    """Return the seats that can be one booking's only.

    A booking that certainly has a seat gets its only option, unless another such booking has the same one.
    A booking that may have none gets its only option when no other booking may have it.
    """
    claimants: dict[str, set[int]] = defaultdict(set)
    only: dict[str, set[int]] = defaultdict(set)
    for pk, ids in options.items():
        for attendee_id in ids:
            claimants[attendee_id].add(pk)
        if len(ids) == 1:
            only[next(iter(ids))].add(pk)
    certain = {
        (only[attendee_id] & seated).pop(): attendee_id
        for attendee_id in only
        if len(only[attendee_id] & seated) == 1
    }
    if certain:
        return certain
    return {
        next(iter(pks)): attendee_id
        for attendee_id, pks in only.items()
        if len(pks) == 1 == len(claimants[attendee_id])
    }


# Surplus


def list_surplus_seats(booking: Booking, document: AppointmentDocument) -> list[str]:
    """Return the ids of the attendees that a booking got beside its own, and that may be surplus.

    Only attendees that carry the booking's reference, and only when its own attendee carries it, too, has not
    been read yet, or was cancelled by this site: a request that arrives once more after that makes another
    seat. Before an appointment is cancelled as surplus, the one that is kept is read.
    """
    attendee = booking.attendee
    if attendee is None:
        return []
    own = list_own_seats(booking, document)
    is_same = attendee.appointment.remote_id == document.id
    kept = document if is_same else parse_stored(attendee.appointment)
    is_own = kept is None or attendee.remote_id in list_own_seats(booking, kept)
    if not is_own and not was_cancelled_here(attendee):
        return []
    return [one for one in own if not (is_same and one == attendee.remote_id)]


def find_booking_of(document: AppointmentDocument, attendee_id: str) -> Booking | None:
    """Return the booking whose reference one attendee of a document carries."""
    references = {get_reference(one) for one in document.attendees if one.id == attendee_id} - {""}
    rows = Booking.objects.select_related("attendee__appointment")
    return find_one(rows.filter(reference__in=references))


def list_cancels(attendee: Attendee) -> QuerySet[AppointmentChange]:
    """Return the cancels of an attendee's seat that this site has stored and that were not refused."""
    cancels = attendee.appointment.changes.filter(kind=AppointmentChange.Kind.CANCEL)
    concerned = cancels.filter(Q(attendee=attendee) | Q(attendee=None))
    return concerned.exclude(state=AppointmentChange.State.REFUSED)


def was_cancelled_here(attendee: Attendee) -> bool:
    """Whether this site has sent a cancel of an attendee's seat that was not refused."""
    return list_cancels(attendee).exclude(state=AppointmentChange.State.RECEIVED).exists()


def list_own_seats(booking: Booking, document: AppointmentDocument) -> list[str]:
    """Return the ids of the attendees that carry the booking's reference."""
    return [one.id for one in document.attendees if one.id and get_reference(one) == booking.reference]


def parse_stored(appointment: Appointment) -> AppointmentDocument | None:
    """Return the document that a mirrored appointment was stored from; None before the first read."""
    try:
        return parse_appointment(appointment.raw)
    except UnreadableReply:
        return None  # not read yet, or replaced because it named an erased person


def list_orphans(connection: str, documents: Iterable[AppointmentDocument]) -> list[str]:
    """Return the ids of appointments that carry a reference of no stored booking.

    The booking was lost with a database, or another site uses the same account. They are only reported.
    """
    carried = {reference: document.id for document in documents for reference in list_references(document)}
    known = Booking.objects.filter(connection=connection, reference__in=carried)
    return sorted(
        {carried[reference] for reference in set(carried) - set(known.values_list("reference", flat=True))}
    )
