"""Send a reserved booking to the service."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.db import IntegrityError, transaction

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
from django_meetergo.models import (
    Appointment,
    Booking,
    BookingAttempt,
    Event,
    Lease,
)
from django_meetergo.remote.client import MeetergoClient
from django_meetergo.remote.payloads import AttendeePayload, BookingPayload
from django_meetergo.services.availability.invalidation import remove_slot
from django_meetergo.services.booking.outcomes import adopt, close_booking
from django_meetergo.services.booking.rebooking import list_next_starts
from django_meetergo.services.events import record_booking_event
from django_meetergo.services.matching import REFERENCE_KEY
from django_meetergo.services.mirror.attendees import format_answer
from django_meetergo.services.retry import (
    BOOKING_DEFERRED,
    BOOKING_NEXT_SLOT,
    BOOKING_OUTCOME,
    BOOKING_SEND,
)
from django_meetergo.wakeup import wake_workers

State, Reason, Outcome = Booking.State, Booking.Reason, BookingAttempt.Outcome
MAX_INTERACTIVE_ATTEMPTS = 2  # while somebody waits for the page
DEFER_FOR = timedelta(seconds=BOOKING_DEFERRED.give_up_after or 0)


def is_slot_booked(wish: Booking) -> bool:
    """Whether the mirror knows an appointment of this host at this start."""
    active = Appointment.objects.active().filter(connection=wish.connection, start=wish.start)
    return active.filter(hosts__remote_id=wish.meeting_type.only_host_id).exists()


def send_booking(
    *, booking: Booking, client: MeetergoClient, now: datetime, somebody_waits: bool = False
) -> Booking:
    """Ask for the time, at most twice while somebody waits, and return the booking as it stands then.

    Never sends again after an answer that may have been lost.
    """
    if close_if_expired(booking, now):
        return fetch_booking(booking)
    if booking.defer_consent and not somebody_waits:
        # Who agreed to wait does so until the service is back: no line in the ledger for what did not leave.
        client.check_circuit()
    if booking.rebook_consent and not booking.slot_hold_key and booking.hash_slot_hold_key():
        return reserve_other_slot(booking, client, now)
    watch = Stopwatch(now)
    tries = MAX_INTERACTIVE_ATTEMPTS if somebody_waits else 1
    for number in range(1, tries + 1):
        lease = begin_attempt(booking, watch.now())
        if lease is None:
            return fetch_booking(booking)
        error = send_attempt(booking, lease, client, watch)
        if error is None:
            return fetch_booking(booking)
        last = number == tries or isinstance(error, CircuitOpen)
        requeue_booking(booking, lease, error, now=watch.now(), give_up=somebody_waits and last)
    return fetch_booking(booking)


def close_if_expired(booking: Booking, now: datetime) -> bool:
    """Close a booking as unreachable that could not be sent in time. Return whether that was done."""
    return now >= get_send_deadline(booking) and close_unsent(booking, now)


def close_unsent(booking: Booking, now: datetime) -> bool:
    """Close a booking as unreachable that has not been sent. Return whether that was done."""
    with transaction.atomic():
        rows = Booking.objects.select_for_update(of=("self",)).select_related("meeting_type")
        stored = rows.filter(pk=booking.pk, state=State.RECEIVED).first()
        if stored is not None:
            close_booking(stored, Reason.UNREACHABLE, now=now)
    return stored is not None


def get_send_deadline(booking: Booking) -> datetime:
    return min(booking.created_at + DEFER_FOR, booking.start)


def fetch_booking(booking: Booking) -> Booking:
    return Booking.objects.select_related("meeting_type", "attendee__appointment").get(pk=booking.pk)


def begin_attempt(booking: Booking, now: datetime) -> Lease | None:
    """Commit that a POST is about to leave; from here on a crash leaves a trace."""
    settings = get_settings()
    with transaction.atomic(durable=True):
        lease = Booking.objects.filter(state=State.RECEIVED).claim(
            booking.pk,
            now=now,
            lease=settings.lease,
            state=State.SENDING,
            reason=Reason.NONE,
            outcome_deadline=now + settings.outcome_deadline,
            first_absent_at=None,
            next_at=now + settings.lease,
        )
        if lease is not None:
            number = booking.attempts.count() + 1
            BookingAttempt.objects.create(booking=booking, number=number, start=booking.start, sent_at=now)
    return lease


def send_attempt(
    booking: Booking, lease: Lease, client: MeetergoClient, watch: Stopwatch
) -> RemoteError | None:
    """One POST and its ending. Returns the error of one that was certainly not applied, else None."""
    try:
        evidence = client.create_booking(build_payload(booking))
    except OutcomeUnknown as error:
        # The appointment may exist. Sending again could book the attendee twice.
        mark_unknown(booking, lease, error, watch.now())
    except SlotUnavailable as error:
        mark_slot_taken(booking, lease, error, client, watch.now())
    except Refused as error:
        if error.status == 401:
            return error
        mark_refused(booking, lease, error, watch.now())
    except RemoteError as error:
        return error
    else:
        adopt(booking=booking, evidence=evidence, now=watch.now())
    return None


def build_payload(booking: Booking) -> BookingPayload:
    """What meetergo is sent: only what we decided, nothing a browser could have added."""
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
            answers={
                **{key: format_answer(answer) for key, answer in booking.custom_fields.items()},
                REFERENCE_KEY: booking.reference,
            },
            other_emails=tuple(booking.other_emails),
        ),
    )


def lock_result(booking: Booking, lease: Lease) -> Booking | None:
    """The row, locked, while the lease is still ours."""
    rows = Booking.objects.select_for_update(of=("self",)).select_related("meeting_type")
    return rows.filter(pk=booking.pk, lease_token=lease.token).first()


def end_attempt(booking: Booking, outcome: str, error: RemoteError, now: datetime) -> None:
    """Close the ledger's last line, whoever holds the booking by now."""
    booking.attempts.filter(ended_at=None).update(
        outcome=outcome, ended_at=now, status_code=error.status, error_type=type(error).__name__
    )


def mark_unknown(booking: Booking, lease: Lease, error: RemoteError, now: datetime) -> None:
    with transaction.atomic():
        end_attempt(booking, Outcome.UNKNOWN, error, now)
        stored = lock_result(booking, lease)
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
    """The time is gone, unless an earlier, unclear attempt of ours is what took it.

    Who agreed to another time gets the next one; it is a new attempt of the same booking.
    """
    if booking.attempts.filter(outcome=Outcome.UNKNOWN).exists():
        mark_unknown(booking, lease, error, now)
        return
    remove_slot(meeting_type=booking.meeting_type, start=booking.start, duration=booking.duration)
    next_starts = list_next_starts(booking, client=client, now=now)
    with transaction.atomic():
        end_attempt(booking, Outcome.SLOT_TAKEN, error, now)
        stored = lock_result(booking, lease)
        if stored is not None and not any(try_next_slot(stored, start, now) for start in next_starts):
            close_booking(stored, Reason.SLOT_TAKEN, now=now, message=error.message)
    wake_workers()


def reserve_other_slot(booking: Booking, client: MeetergoClient, now: datetime) -> Booking:
    """Reserve the nearest time that was agreed to, for who lost theirs to another of our visitors."""
    next_starts = list_next_starts(booking, client=client, now=now)
    with transaction.atomic():
        stored = (
            Booking.objects.select_for_update(of=("self",))
            .filter(pk=booking.pk, state=State.RECEIVED)
            .first()
        )
        if stored is not None and not any(try_next_slot(stored, start, now) for start in next_starts):
            close_booking(stored, Reason.SLOT_TAKEN, now=now)
    wake_workers()
    return fetch_booking(booking)


def try_next_slot(booking: Booking, start: datetime, now: datetime) -> bool:
    """Reserve the next time for the next attempt; False when another of our visitors holds it."""
    booking.start = start
    booking.slot_hold_key = booking.hash_slot_hold_key()
    booking.state, booking.reason = State.RECEIVED, Reason.NONE
    booking.lease_token = booking.lease_until = None
    booking.next_at = BOOKING_NEXT_SLOT.find_next(1, now)
    if booking.slot_hold_key and is_slot_booked(booking):
        return False
    try:
        with transaction.atomic():
            booking.save()
    except IntegrityError:
        return False
    step = str(booking.attempts.count())
    record_booking_event(booking, Event.Kind.BOOKING_RETRIED, now=now, step=step)
    return True


def mark_refused(booking: Booking, lease: Lease, error: Refused, now: datetime) -> None:
    with transaction.atomic():
        end_attempt(booking, Outcome.REFUSED, error, now)
        if stored := lock_result(booking, lease):
            stored.field_errors = dict(error.fields)
            if isinstance(error, InvalidDuration):
                stored.field_errors["duration"] = error.message
            close_booking(stored, Reason.REFUSED, now=now, message=error.message)


def requeue_booking(
    booking: Booking, lease: Lease, error: RemoteError, *, now: datetime, give_up: bool
) -> None:
    """An attempt that certainly did nothing: again later, or told plainly when nobody agreed to wait."""
    with transaction.atomic():
        end_attempt(booking, Outcome.NOT_SENT, error, now)
        stored = lock_result(booking, lease)
        if stored is None:
            return
        if retry := plan_retry(stored, error, now, give_up=give_up):
            stored.state, stored.reason = State.RECEIVED, Reason.DEFERRED if give_up else stored.reason
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
