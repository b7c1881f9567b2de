"""Store how a booking ended: confirmed, pending or closed. The only code that confirms a booking."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from datetime import datetime, timedelta

from django.db import IntegrityError
from django.db.models import Exists, OuterRef

from django_meetergo.exceptions import UnreadableReply
from django_meetergo.lookups import find_one
from django_meetergo.models import Appointment, Booking, BookingAttempt, Connection, Event
from django_meetergo.remote.payloads import (
    AppointmentDocument,
    BookingConfirmed,
    BookingProvisional,
    ProvisionalDocument,
)
from django_meetergo.services.availability.invalidation import remove_slot
from django_meetergo.services.changes.requests import schedule_cancel
from django_meetergo.services.changes.surplus import SURPLUS_REASON
from django_meetergo.services.events import record_booking_event
from django_meetergo.services.matching import (
    CLOCK_TOLERANCE,
    Document,
    Matches,
    Seat,
    echoes_references,
    list_seats,
    list_surplus_seats,
    match_documents,
    was_known_before,
)
from django_meetergo.services.mirror.appointments import record_appointment
from django_meetergo.services.mirror.confirmations import record_attendee_of_booking, record_confirmation
from django_meetergo.services.retry import BOOKING_OUTCOME, BOOKING_PENDING
from django_meetergo.transactions import run_with_retries, write_transaction

logger = logging.getLogger(__name__)
State, Reason, Outcome = Booking.State, Booking.Reason, BookingAttempt.Outcome
BookingResult = BookingConfirmed | BookingProvisional | AppointmentDocument | ProvisionalDocument
#: A connection with a webhook gets a delivery of each booking within this time, and reads it then.
WEBHOOK_GRACE = timedelta(seconds=5)
HAS_WEBHOOK = Exists(
    Connection.objects.filter(connection=OuterRef("connection")).exclude(webhook_remote_id="")
)
#: A booking that is closed so has made nothing.
WITHOUT_RESULT = frozenset({Reason.SLOT_TAKEN, Reason.REFUSED, Reason.UNREACHABLE, Reason.NOT_BOOKED})
CONFIRMED_COLUMNS = (
    "state", "reason", "attendee", "tries", "polls", "failing_since", "next_at", "closed_at",
    "open_booking_key", "slot_hold_key", "lease_token", "lease_until",
)  # fmt: skip


def adopt(*, booking: Booking, document: BookingResult, now: datetime) -> Booking:
    """Store that a reply or document is the result of this booking, whatever the booking's state is.

    Idempotent. Mirror, secret, event and released keys are stored in one transaction. Returns the booking as
    stored. Raises UnreadableReply when a reply names an appointment that is older than the request.
    """

    def store() -> tuple[Booking, bool]:
        appointment = lock_appointment(booking.connection, document)
        if appointment is not None and isinstance(document, BookingConfirmed):
            require_new_appointment(booking, appointment)
        # No lease is needed: a success that arrives late is still a success.
        stored = Booking.objects.select_for_update().annotate(has_webhook=HAS_WEBHOOK).get(pk=booking.pk)
        stored.meeting_type, state = booking.meeting_type, stored.state
        if isinstance(document, BookingProvisional | ProvisionalDocument):
            mark_pending(stored, document, now)
        elif stored.attendee_id is None:
            delay = WEBHOOK_GRACE if stored.has_webhook else timedelta()  # type: ignore[attr-defined]
            mark_confirmed(stored, document, appointment, now, reread_at=now + delay)
        return stored, stored.state != state

    stored, has_changed = run_with_retries(store)
    if has_changed:
        # Whether meetergo holds the slot of a pending booking is not documented, so it is not offered until
        # a refresh.
        remove_slot(meeting_type=stored.meeting_type, start=stored.start, duration=stored.duration)
    return stored


def require_new_appointment(booking: Booking, appointment: Appointment) -> None:
    """Raise UnreadableReply unless the appointment can be the result of the booking's request.

    The seats of a group belong to one appointment.
    """
    is_old = was_known_before(booking, appointment.remote_id, by=CLOCK_TOLERANCE)
    if is_old and not booking.meeting_type.is_group:
        raise UnreadableReply("the answer to a booking names an older appointment")


def lock_appointment(connection: str, document: BookingResult) -> Appointment | None:
    """Lock the appointment before the booking: everything that locks both does so in this order."""
    if isinstance(document, BookingProvisional | ProvisionalDocument):
        return None
    remote_id = document.appointment_id if isinstance(document, BookingConfirmed) else document.id
    rows = Appointment.objects.select_for_update().filter(connection=connection, remote_id=remote_id)
    locked = list(rows.values_list("pk", flat=True).order_by())
    return Appointment.objects.get(pk__in=locked) if locked else None


def mark_confirmed(
    booking: Booking,
    document: BookingConfirmed | AppointmentDocument,
    appointment: Appointment | None,
    now: datetime,
    *,
    reread_at: datetime,
) -> None:
    """Confirm a booking without attendee. The caller holds the booking and the appointment locked.

    ``reread_at`` is when an appointment is read that an answer names only by its id.
    """
    was_closed = booking.state == State.CLOSED
    if isinstance(document, BookingConfirmed):
        attendee = record_confirmation(booking=booking, reply=document, appointment=appointment, now=now)
    else:
        recorded = record_appointment(connection=booking.connection, document=document, now=now)
        attendee = record_attendee_of_booking(
            booking=booking,
            appointment=Appointment.objects.select_for_update().get(pk=recorded.pk),
            document=document,
            now=now,
        )
    release_keys(booking)
    booking.state, booking.reason, booking.attendee = State.CONFIRMED, Reason.NONE, attendee
    booking.tries, booking.polls, booking.failing_since = 0, 0, None
    booking.next_at = reread_at if isinstance(document, BookingConfirmed) else None
    booking.closed_at = None
    booking.save(update_fields=CONFIRMED_COLUMNS)
    end_last_attempt(booking, Outcome.CONFIRMED, now)
    if was_closed:
        record_booking_event(booking, Event.Kind.BOOKING_FOUND, now=now)
    elif booking.original_start:
        record_booking_event(booking, Event.Kind.BOOKING_REBOOKED, now=now)


def mark_pending(booking: Booking, document: BookingProvisional | ProvisionalDocument, now: datetime) -> None:
    if booking.state in {State.CONFIRMED, State.PENDING}:
        return
    found = document.provisional_id if isinstance(document, BookingProvisional) else document.id
    booking.provisional_id = found
    if booking.state == State.CLOSED and not reclaim_open_key(booking):
        # The attendee has another open booking by now: this one stays closed, and watched.
        booking.reason = Reason.REPLACED
        booking.save()
        return
    booking.state = State.PENDING
    booking.reason = choose_pending_reason(booking, document.awaits)
    booking.pending_since, booking.closed_at = now, None
    booking.polls, booking.failing_since = 0, None
    booking.next_at = BOOKING_PENDING.find_next(0, now, since=now)
    booking.lease_token = booking.lease_until = None
    booking.save()
    end_last_attempt(booking, Outcome.PROVISIONAL, now)
    record_booking_event(booking, Event.Kind.BOOKING_PENDING, now=now)


def reclaim_open_key(booking: Booking, key: str | None = None) -> bool:
    """Make a closed booking the open one of its attendee again. Returns False when there is a newer one."""
    if has_newer_booking(booking):
        return False
    booking.open_booking_key = key or booking.hash_open_booking_key(
        f"user {booking.user_id}" if booking.user_id else ""
    )
    if not claim_key(booking, open_booking_key=booking.open_booking_key):
        booking.open_booking_key = None
        return False
    return True


def claim_key(booking: Booking, **key: str | None) -> bool:
    """Store a unique key of a booking. Returns False when another booking has it."""
    try:
        with write_transaction():
            Booking.objects.filter(pk=booking.pk).update(**key)
    except IntegrityError:
        return False
    return True


def has_newer_booking(booking: Booking) -> bool:
    """Whether the attendee has chosen again since: an open or confirmed booking of the same type."""
    newer = Booking.objects.filter(
        connection=booking.connection,
        meeting_type=booking.meeting_type,
        email_folded=booking.email_folded,
        phone=booking.phone,
        user=booking.user_id,
        created_at__gt=booking.created_at,
        state__in=[*Booking.OPEN, State.CONFIRMED],
    )
    return newer.exists()


def choose_pending_reason(booking: Booking, awaits: str) -> str:
    if awaits == "host" and booking.meeting_type.confirmation == "both":
        return Reason.BOTH
    return Reason.HOST if awaits == "host" else Reason.ATTENDEE


def release_keys(booking: Booking) -> None:
    booking.open_booking_key = booking.slot_hold_key = None
    booking.lease_token = booking.lease_until = None


def close_booking(booking: Booking, reason: str, *, now: datetime, message: str = "") -> Booking:
    """Close a booking without an appointment. The caller holds a transaction with the row locked."""
    open_booking_key = booking.open_booking_key
    mark_closed(booking, reason, now=now, message=message)
    booking.save()
    record_closing(booking, now)
    if reason in WITHOUT_RESULT:
        reopen_replaced(booking, open_booking_key, now)
    return booking


def reopen_replaced(booking: Booking, open_booking_key: str | None, now: datetime) -> None:
    """Make the pending booking that a failed one replaced the open one again: meetergo has kept it.

    ``open_booking_key`` is what the failed one held. It is the same for the same person.
    """
    replaced = Booking.objects.select_for_update().filter(replaced_by=booking, state=State.CLOSED)
    for row in replaced.filter(reason=Reason.REPLACED, start__gt=now):
        is_same = (row.email_folded, row.phone) == (booking.email_folded, booking.phone)
        if not reclaim_open_key(row, open_booking_key if is_same else None):
            continue
        key = row.hash_slot_hold_key()
        row.slot_hold_key = key if key and claim_key(row, slot_hold_key=key) else None
        awaits = "attendee" if row.meeting_type.confirmation == "attendee" else "host"
        row.state, row.reason = State.PENDING, choose_pending_reason(row, awaits)
        row.replaced_by, row.closed_at, row.next_at = None, None, now
        row.save()
        record_booking_event(row, Event.Kind.BOOKING_PENDING, now=now, step=f"after{booking.pk}")


def mark_closed(booking: Booking, reason: str, *, now: datetime, message: str = "") -> None:
    release_keys(booking)
    booking.state, booking.reason, booking.message = State.CLOSED, reason, message
    booking.closed_at, booking.next_at = now, None


def record_closing(booking: Booking, now: datetime) -> None:
    """Store the event of a closed booking. One that was found or reopened may be closed again."""
    step = f"{now.isoformat()}:{booking.reason}"
    record_booking_event(booking, Event.Kind.BOOKING_CLOSED, now=now, step=step)


def give_up_search(booking: Booking, now: datetime) -> None:
    """Leave an open booking to staff that cannot be looked for."""
    with write_transaction():
        rows = Booking.objects.select_for_update()
        stored = find_one(rows.filter(pk=booking.pk, state__in=[State.SENDING, State.UNKNOWN, State.PENDING]))
        if stored is not None:
            leave_to_staff(stored, now, search_again=True)


def leave_to_staff(booking: Booking, now: datetime, *, search_again: bool = False) -> Booking:
    """Leave a booking to staff. The caller holds the row locked.

    A confirmed booking stays confirmed: staff find out which attendee of a group it is. ``search_again``: the
    searches have failed and shown nothing, so they go on slowly until the start, and may end it.
    """
    if booking.state != State.CONFIRMED:
        booking.state = State.UNKNOWN
    booking.reason = Reason.NEEDS_STAFF
    is_searched = search_again and booking.state == State.UNKNOWN and now < booking.start
    booking.next_at = BOOKING_OUTCOME.find_slow(now) if is_searched else None
    booking.lease_token = booking.lease_until = None
    booking.save()
    record_booking_event(booking, Event.Kind.BOOKING_NEEDS_STAFF, now=now)
    return booking


def end_last_attempt(booking: Booking, outcome: str, now: datetime) -> None:
    """Store the outcome of the attempt whose outcome was not certain: there is one at most."""
    uncertain = booking.attempts.exclude(outcome__in=BookingAttempt.DEFINITE)
    uncertain.update(outcome=outcome, ended_at=now)


def adopt_documents(*, connection: str, documents: Sequence[AppointmentDocument], now: datetime) -> None:
    """Match appointments that were read with bookings that have none, and adopt them.

    Closed bookings are watched until their slot is over: an appointment that turns up late confirms them. A
    document that cannot be stored is left out; whoever stores the documents reports it.
    """
    seats = list_seats(documents)
    starts = {document.start for document in documents if document.end > now}
    bookings = Booking.objects.filter(connection=connection).select_related("meeting_type").order_by()
    found = bookings.in_bulk(list_unlinked(connection, seats)) if seats else {}
    if starts and not echoes_references(connection):
        found |= {row.pk: row for row in bookings.filter(attendee=None, start__in=starts)}
    # Open bookings come before closed ones, newer before older.
    order = sorted(found.values(), key=lambda row: (row.is_open, row.created_at), reverse=True)
    for booking in order:
        try:
            adopt_best(booking=booking, documents=documents, now=now)
        except UnreadableReply as error:
            logger.warning("Booking %s could not adopt its appointment: %s", booking.reference, error)


def list_unlinked(connection: str, seats: Mapping[str, AbstractSet[Seat]]) -> list[int]:
    """Return the keys of the bookings whose reference is carried by a seat that is not known as theirs.

    Nearly every appointment of a sync has been adopted long ago.
    """
    rows = Booking.objects.filter(connection=connection, reference__in=seats)
    columns = ("pk", "reference", "attendee__appointment__remote_id", "attendee__remote_id")
    return [
        pk
        for pk, reference, appointment_id, attendee_id in rows.values_list(*columns)
        if seats[reference] != {(appointment_id, attendee_id or "")}
    ]


def adopt_best(*, booking: Booking, documents: Sequence[Document], now: datetime) -> Booking | None:
    """Adopt the one document that is a booking's; None when there is none, or when several may be.

    Of several documents with the booking's reference the oldest is adopted and the others are cancelled.
    """
    matches = match_documents(booking, documents)
    chosen = choose_document(booking, matches, now)
    if chosen is None:
        return None
    adopted = adopt(booking=booking, document=chosen, now=now)
    for document in matches.exact:
        if isinstance(document, AppointmentDocument):
            cancel_surplus(adopted, document, now)
    return adopted


def choose_document(booking: Booking, matches: Matches, now: datetime) -> Document | None:
    if matches.exact:
        return min(
            matches.exact,
            key=lambda one: (
                isinstance(one, ProvisionalDocument),
                one.created_at is None,
                one.created_at or now,
                one.id,
            ),
        )
    rivals = [one for one in matches.doubtful if one.start == booking.start]
    return matches.alike[0] if len(matches.alike) == 1 and not rivals else None


def cancel_surplus(booking: Booking, document: AppointmentDocument, now: datetime) -> None:
    """Cancel what one booking got twice, by its reference; in a group the attendee, else the appointment."""
    if document.is_cancelled or document.start <= now:
        return
    surplus = list_surplus_seats(booking, document)
    is_all = len(surplus) == len(document.attendees)
    if not surplus or not (is_all or booking.meeting_type.is_group):
        return
    appointment = record_appointment(connection=booking.connection, document=document, now=now)
    for attendee_id in surplus:
        schedule_cancel(appointment=appointment, attendee_id=attendee_id, reason=SURPLUS_REASON, now=now)
