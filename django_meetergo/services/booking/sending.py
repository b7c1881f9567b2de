"""Send a reserved booking to meetergo and store how the attempt ended."""

from __future__ import annotations

from copy import copy
from datetime import datetime, timedelta
from typing import Any

from django.db import IntegrityError

from django_meetergo.clock import Stopwatch
from django_meetergo.conf import get_settings
from django_meetergo.exceptions import (
    CircuitOpen,
    InvalidDuration,
    OutcomeUnknown,
    Refused,
    RemoteError,
    SlotUnavailable,
)
from django_meetergo.lookups import find_one
from django_meetergo.models import Appointment, Booking, BookingAttempt, Event, Lease
from django_meetergo.remote.client import MeetergoClient
from django_meetergo.remote.payloads import AttendeePayload, BookingPayload
from django_meetergo.services.availability.invalidation import remove_slot
from django_meetergo.services.booking.outcomes import adopt, close_booking
from django_meetergo.services.booking.rebooking import list_next_starts
from django_meetergo.services.booking.search import read_attendee_ids
from django_meetergo.services.events import record_booking_event
from django_meetergo.services.matching import REFERENCE_KEY, echoes_references
from django_meetergo.services.retry import BOOKING_DEFERRED, BOOKING_NEXT_SLOT, BOOKING_OUTCOME, BOOKING_SEND
from django_meetergo.transactions import write_transaction
from django_meetergo.wakeup import wake_workers

State, Reason, Outcome = Booking.State, Booking.Reason, BookingAttempt.Outcome
#: Attempts within one call while a visitor waits for the page.
MAX_INTERACTIVE_ATTEMPTS = 2
#: A booking that could not be sent for this long is closed.
DEFER_FOR = timedelta(seconds=BOOKING_DEFERRED.give_up_after or 0)


def is_slot_booked(booking: Booking) -> bool:
    """Whether the mirror has an active appointment of the booking's host at its start."""
    active = Appointment.objects.active().filter(connection=booking.connection, start=booking.start)
    return active.filter(hosts__remote_id=booking.meeting_type.only_host_id).exists()


def send_booking(
    *,
    booking: Booking,
    client: MeetergoClient,
    now: datetime,
    is_interactive: bool = False,
    lease: Lease | None = None,
) -> Booking:
    """Send a received booking and return it as stored afterwards.

    ``is_interactive``: a visitor waits, so a second attempt follows at once and no deferral is tried first.
    ``lease`` is that of a booking which was stored with its first attempt. Nothing is sent again after an
    answer that may have been lost. Raises CircuitOpen when a deferred booking would be sent while calls are
    suspended.
    """
    if lease is None and close_if_expired(booking, now):
        return fetch_booking(booking)
    if booking.defer_consent and not is_interactive:
        # Deferred bookings create no attempt until they are sent.
        client.check_circuit()
    if booking.rebook_consent and not booking.slot_hold_key and booking.hash_slot_hold_key():
        return reserve_other_slot(booking, client, now)
    stopwatch = Stopwatch(now)
    tries = MAX_INTERACTIVE_ATTEMPTS if is_interactive else 1
    for number in range(1, tries + 1):
        if lease is None:
            known_attendee_ids = list_known_attendees(booking, client)
            lease = begin_attempt(booking, stopwatch.now(), known_attendee_ids)
        if lease is None:
            break
        outcome = send_attempt(booking, lease, client, stopwatch)
        if isinstance(outcome, Booking):
            return outcome
        is_last = number == tries or isinstance(outcome, CircuitOpen)
        requeue_booking(booking, lease, outcome, now=stopwatch.now(), give_up=is_interactive and is_last)
        lease = None
    return fetch_booking(booking)


def close_if_expired(booking: Booking, now: datetime) -> bool:
    """Close a booking as unreachable that could not be sent in time. Return whether that was done."""
    return now >= get_send_deadline(booking) and close_unsent(booking, now)


def close_unsent(booking: Booking, now: datetime) -> bool:
    """Close a booking as unreachable that has not been sent. Return whether that was done."""
    with write_transaction():
        rows = Booking.objects.select_for_update()
        stored = find_one(rows.filter(pk=booking.pk, state=State.RECEIVED))
        if stored is not None:
            close_booking(stored, Reason.UNREACHABLE, now=now)
    return stored is not None


def get_send_deadline(booking: Booking) -> datetime:
    return min(booking.created_at + DEFER_FOR, booking.start)


def fetch_booking(booking: Booking) -> Booking:
    return Booking.objects.select_related("meeting_type", "attendee__appointment").get(pk=booking.pk)


def list_known_attendees(booking: Booking, client: MeetergoClient) -> list[str] | None:
    """Return the attendees that a group has before the request leaves, to recognise the new one afterwards.

    None for one-to-one types and where meetergo returns references, since nothing needs to be compared then.
    """
    if not booking.meeting_type.is_group or echoes_references(booking.connection):
        return None
    return read_attendee_ids(booking, client)


def plan_attempt(now: datetime) -> dict[str, Any]:
    """Return the columns of a booking whose POST is about to leave, beside those of its lease."""
    settings = get_settings()
    return {
        "state": State.SENDING,
        "reason": Reason.NONE,
        "outcome_deadline": now + settings.outcome_deadline,
        "first_absent_at": None,
        "next_at": now + settings.lease,
    }


def begin_attempt(
    booking: Booking, now: datetime, known_attendee_ids: list[str] | None = None
) -> Lease | None:
    """Claim a received booking and commit a new attempt before its POST leaves.

    Returns None when another worker has the booking. A crash from here on is found by the expired lease.
    """
    # A row that was read before the booking got another slot must not be sent for the old one.
    received = Booking.objects.filter(state=State.RECEIVED, start=booking.start)
    with write_transaction(durable=True):
        lease = received.claim(booking.pk, now=now, **plan_attempt(now))
        if lease is not None:
            add_attempt(booking, booking.attempts.count() + 1, now, known_attendee_ids)
    return lease


def add_attempt(
    booking: Booking, number: int, now: datetime, known_attendee_ids: list[str] | None = None
) -> None:
    """Store an attempt. Its transaction has to be committed before the POST leaves."""
    BookingAttempt.objects.create(
        booking=booking,
        number=number,
        start=booking.start,
        sent_at=now,
        known_attendee_ids=known_attendee_ids,
    )


def send_attempt(
    booking: Booking, lease: Lease, client: MeetergoClient, stopwatch: Stopwatch
) -> Booking | RemoteError:
    """Send one POST and store its outcome. Returns the booking, or the error if it was not carried out."""
    try:
        reply = client.create_booking(build_payload(booking))
        return adopt(booking=booking, document=reply, now=stopwatch.now())
    except OutcomeUnknown as error:
        # The appointment may exist. Sending again could book the attendee twice.
        mark_unknown(booking, lease, error, stopwatch.now())
    except SlotUnavailable as error:
        mark_slot_taken(booking, lease, error, client, stopwatch.now())
    except Refused as error:
        if error.status == 401:
            return error
        mark_refused(booking, lease, error, stopwatch.now())
    except RemoteError as error:
        return error
    return fetch_booking(booking)


def build_payload(booking: Booking) -> BookingPayload:
    """Return what meetergo is sent: only validated columns, nothing else from the browser."""
    meeting_type = booking.meeting_type
    return BookingPayload(
        meeting_type_id=meeting_type.remote_id,
        start=booking.start,
        host_ids=tuple(meeting_type.host_ids),
        queue_id=meeting_type.queue_id,
        duration=booking.duration if booking.duration != meeting_type.duration else None,
        channel=booking.channel,
        location=booking.location,
        skip_notifications=booking.skip_notifications,
        phone_only=not booking.email,
        attendee=AttendeePayload(
            email=booking.email,
            first_name=booking.first_name,
            last_name=booking.last_name,
            phone=booking.phone,
            company=booking.company,
            timezone=booking.timezone,
            language=booking.language,
            receive_reminders=booking.receive_reminders,
            answers={**booking.custom_fields, REFERENCE_KEY: booking.reference},
            other_emails=tuple(booking.other_emails),
        ),
    )


def end_attempt(booking: Booking, outcome: str, error: RemoteError, now: datetime) -> None:
    """Store the outcome of the open attempt, even when the lease has been lost."""
    booking.attempts.filter(ended_at=None).update(
        outcome=outcome, ended_at=now, status_code=error.status, error_type=type(error).__name__
    )


def mark_unknown(booking: Booking, lease: Lease, error: RemoteError, now: datetime) -> None:
    """Store that the answer was lost and schedule the first search."""
    with write_transaction():
        end_attempt(booking, Outcome.UNKNOWN, error, now)
        stored = Booking.objects.lock_held(lease)
        if stored is None:
            return
        stored.state, stored.lease_token, stored.lease_until = State.UNKNOWN, None, None
        stored.tries, stored.polls, stored.failing_since = 0, 0, None
        deadline = stored.outcome_deadline
        stored.next_at = BOOKING_OUTCOME.find_next(now, deadline=deadline, first_absent_at=None)
        stored.save()
        record_booking_event(stored, Event.Kind.BOOKING_UNCLEAR, now=now, step=str(stored.attempts.count()))
    wake_workers()


def mark_slot_taken(
    booking: Booking, lease: Lease, error: RemoteError, client: MeetergoClient, now: datetime
) -> None:
    """Close the booking, or reserve the next slot when the attendee agreed to another one.

    When an earlier attempt has an unknown outcome, that attempt may have taken the slot: the booking is
    marked unknown instead.
    """
    if booking.attempts.filter(outcome=Outcome.UNKNOWN).exists():
        mark_unknown(booking, lease, error, now)
        return
    remove_slot(meeting_type=booking.meeting_type, start=booking.start, duration=booking.duration)
    next_starts = list_next_starts(booking, client=client, now=now)
    with write_transaction():
        end_attempt(booking, Outcome.SLOT_TAKEN, error, now)
        stored = Booking.objects.lock_held(lease)
        if stored is not None and not any(try_next_slot(stored, start, now) for start in next_starts):
            close_booking(stored, Reason.SLOT_TAKEN, now=now, message=error.message)
    wake_workers()


def reserve_other_slot(booking: Booking, client: MeetergoClient, now: datetime) -> Booking:
    """Reserve the nearest agreed slot for a booking whose slot another booking of this site holds."""
    next_starts = list_next_starts(booking, client=client, now=now)
    with write_transaction():
        rows = Booking.objects.select_for_update()
        stored = find_one(rows.filter(pk=booking.pk, state=State.RECEIVED, slot_hold_key=None))
        if stored is not None and not any(try_next_slot(stored, start, now) for start in next_starts):
            close_booking(stored, Reason.SLOT_TAKEN, now=now)
    wake_workers()
    return fetch_booking(booking)


def try_next_slot(booking: Booking, start: datetime, now: datetime) -> bool:
    """Reserve another slot for the next attempt. Returns False when another booking holds it.

    Then the booking is left as it was: closed, it is shown with the slot that was lost.
    """
    other = copy(booking)
    other.start = start
    other.slot_hold_key = other.hash_slot_hold_key()
    other.state, other.reason = State.RECEIVED, Reason.NONE
    other.lease_token = other.lease_until = None
    other.next_at = BOOKING_NEXT_SLOT.find_next(1, now)
    if other.slot_hold_key and is_slot_booked(other):
        return False
    try:
        with write_transaction():
            other.save()
    except IntegrityError:
        return False
    step = str(booking.attempts.count())
    record_booking_event(booking, Event.Kind.BOOKING_RETRIED, now=now, step=step)
    return True


def mark_refused(booking: Booking, lease: Lease, error: Refused, now: datetime) -> None:
    """Close a booking that meetergo refused, with the messages for its fields."""
    with write_transaction():
        end_attempt(booking, Outcome.REFUSED, error, now)
        if stored := Booking.objects.lock_held(lease):
            stored.field_errors = dict(error.fields)
            if isinstance(error, InvalidDuration):
                stored.field_errors["duration"] = error.message
            close_booking(stored, Reason.REFUSED, now=now, message=error.message)


def requeue_booking(
    booking: Booking, lease: Lease, error: RemoteError, *, now: datetime, give_up: bool
) -> None:
    """Store an attempt that was certainly not carried out: send again later, or close as unreachable."""
    with write_transaction():
        end_attempt(booking, Outcome.NOT_SENT, error, now)
        stored = Booking.objects.lock_held(lease)
        if stored is None:
            return
        if retry := plan_retry(stored, error, now, give_up=give_up):
            stored.state = State.RECEIVED
            stored.reason = Reason.DEFERRED if stored.defer_consent else Reason.NONE
            stored.lease_token, stored.lease_until = None, None
            for name, value in retry.items():
                setattr(stored, name, value)
            stored.save()
        else:
            close_booking(stored, Reason.UNREACHABLE, now=now, message=error.message)


def plan_retry(
    booking: Booking, error: RemoteError, now: datetime, *, give_up: bool
) -> dict[str, Any] | None:
    """Return the columns of a booking that is sent again later; None when it is closed instead."""
    if now >= get_send_deadline(booking) or (give_up and not booking.defer_consent):
        return None
    policy = BOOKING_DEFERRED if booking.defer_consent else BOOKING_SEND
    return policy.plan(booking, now, error)
