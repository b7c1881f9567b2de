"""Book: put the wish on paper, ask meetergo once, and write down what it said.

reserve here (unique keys), call outside any transaction, then confirm: two of our own visitors who want one
time are told apart by the database, and only one of them costs a call.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.db import IntegrityError, models, transaction

from django_meetergo import signals
from django_meetergo.clock import Stopwatch
from django_meetergo.conf import get_settings
from django_meetergo.exceptions import (
    BookingAlreadyOpen,
    CircuitOpen,
    ClientKeyReused,
    InvalidDuration,
    OutcomeUnknown,
    Refused,
    RemoteError,
    SlotUnavailable,
    StartNotOffered,
    Unreachable,
)
from django_meetergo.models import (
    Appointment,
    Booking,
    BookingAttempt,
    Event,
    Lease,
    MeetingType,
    fold_email,
)
from django_meetergo.models.bookings import make_client_key
from django_meetergo.remote.client import MeetergoClient
from django_meetergo.remote.payloads import AttendeePayload, BookingPayload
from django_meetergo.services import availability, mirror, settling, wishes
from django_meetergo.services.events import record_booking_event
from django_meetergo.services.rebooking import draw_pause, list_next_starts, make_agreement
from django_meetergo.transactions import DATABASE_LOST

logger = logging.getLogger(__name__)

State, Reason, Outcome = Booking.State, Booking.Reason, BookingAttempt.Outcome

HEAD_START = timedelta(seconds=10)
ATTEMPTS_AT_ONCE = 2  # while somebody waits for the page
ATTEMPTS_IN_ALL = 5
QUEUE_FOR = timedelta(minutes=15)
BACK_OFF = (2, 10, 30, 60, 120)  # seconds between attempts that never arrived


@dataclass(frozen=True, kw_only=True)
class AttendeeData:
    """Who wants the appointment. A name and an e-mail address, or a phone number where that is enough."""

    email: str = ""
    first_name: str = ""
    last_name: str = ""
    phone: str = ""
    company: str = ""
    timezone: str = ""
    language: str = ""
    receive_reminders: bool = True
    other_emails: Sequence[str] = field(default_factory=tuple)


def book_appointment(
    *,
    meeting_type: MeetingType,
    start: datetime,
    attendee: AttendeeData,
    client: MeetergoClient,
    now: datetime,
    duration: int | None = None,
    channel: str = "",
    location: str = "",
    custom_fields: Mapping[str, Any] | None = None,
    skip_notifications: bool = False,
    user: Any = None,
    subject: models.Model | None = None,
    client_key: str = "",
    queue_consent: bool = False,
    rebook: Mapping[str, Any] | None = None,
    replaces: Booking | None = None,
    send: bool = True,
    visitor: str = "",
) -> Booking:
    """Book a time for somebody. Always a stored row, whose state and reason say how it went.

    ``start`` is aware and must be one that meetergo offers; ``duration`` is minutes. ``client_key`` makes a
    repeat of the same call return the first booking. ``rebook`` is the attendee's consent to another time,
    ``{"weekdays": [0, 1], "hours": [9, 12], "words": "what they ticked"}``, all of it optional.
    ``replaces`` is a booking of the same person that waits for a confirmation and gives way to this one.
    With ``send=False`` the row waits for the workers. ``visitor`` says that a stranger asks, and which one,
    by a network address or the like: only strangers' bookings are counted and limited.

    Raises, before anything is stored or sent: InvalidRequest, MeetingTypeUnavailable, StartNotOffered,
    BookingAlreadyOpen (the same person has another open booking of this type), ClientKeyReused,
    TooManyBookings.
    """
    wish = Booking(
        connection=meeting_type.connection,
        meeting_type=meeting_type,
        start=start,
        duration=duration or meeting_type.duration,
        channel=channel or choose_channel(meeting_type),
        location=location,
        first_name=attendee.first_name.strip(),
        last_name=attendee.last_name.strip(),
        email=attendee.email.strip(),
        phone=attendee.phone.strip(),
        company=attendee.company.strip(),
        timezone=attendee.timezone,
        language=attendee.language,
        receive_reminders=attendee.receive_reminders,
        other_emails=list(attendee.other_emails),
        custom_fields=dict(custom_fields or {}),
        skip_notifications=skip_notifications,
        user=user,
        queue_consent=queue_consent and get_settings().QUEUE_WHEN_DOWN,
        rebook_consent=make_agreement(rebook, start=start, zone=attendee.timezone),
        client_key=client_key or make_client_key(),
        created_at=now,
        # Whoever asked sends it; the sweeper comes only after somebody who died doing so.
        next_at=now + HEAD_START if send else now,
    )
    if subject is not None:
        wish.subject = subject
    wishes.check_wish(wish, now)
    wish.content_digest = digest_content(wish)
    if first := find_first(wish):
        return first
    if visitor:
        wishes.check_visitor(wish, visitor, now)
    watch = Stopwatch(now)
    offered = availability.is_offered(
        meeting_type=meeting_type, start=start, duration=wish.duration, client=client, now=now
    )
    if offered is False:
        if first := find_first(wish):
            return first  # the same form, sent twice at once: it is what took the time
        raise StartNotOffered(
            f"{start.isoformat()} is not among the free times of {meeting_type.name}. "
            "List the free times again and choose one of them."
        )
    booking = store_wish(wish, watch.now(), replaces=replaces)
    if not send:
        signals.ring_doorbell()
    elif booking.state == State.RECEIVED:
        return send_stored(booking, client, watch.now())
    return booking


def send_stored(booking: Booking, client: MeetergoClient, now: datetime) -> Booking:
    """Send what is on paper. Should the database go away meanwhile, the booking as it was written.

    The POST may have left, so nobody may be told that it failed: whoever finds the lease lapsed looks.
    """
    try:
        return send_booking(booking=booking, client=client, now=now, somebody_waits=True)
    except DATABASE_LOST:
        logger.exception("The database went away while booking %s was on its way.", booking.marker)
        return booking


# Before there is a row


def choose_channel(meeting_type: MeetingType) -> str:
    return "" if meeting_type.allowed_channels else meeting_type.channel


def digest_content(wish: Booking) -> str:
    """What makes two submissions the same one."""
    content = [
        wish.meeting_type_id, wish.start.timestamp(), wish.duration, wish.channel, wish.location,
        wish.first_name, wish.last_name, fold_email(wish.email), wish.phone, wish.custom_fields,
        wish.other_emails,
    ]  # fmt: skip
    return hashlib.sha256(json.dumps(content, default=str, sort_keys=True).encode()).hexdigest()


def find_first(wish: Booking) -> Booking | None:
    """The booking that an earlier call with this client key made."""
    first = (
        Booking.objects.select_related("meeting_type")
        .filter(connection=wish.connection, client_key=wish.client_key)
        .first()
    )
    if first is not None and first.content_digest != wish.content_digest:
        raise ClientKeyReused(
            "This client key has been used for another booking; take a new key for a new booking.",
            booking=first,
        )
    return first


# Reserve here


def store_wish(wish: Booking, now: datetime, *, replaces: Booking | None = None) -> Booking:
    """Commit the wish with its keys, or tell who was faster. One transaction, and none around it."""
    wish.open_key, wish.slot_key = wish.hash_open_key(), wish.hash_slot_key()
    try:
        with transaction.atomic(durable=True):
            if replaces is not None:
                give_way(replaces, now)
            wish.save()
            if replaces is not None:
                Booking.objects.filter(pk=replaces.pk).update(replaced_by=wish)
            record_booking_event(wish, Event.Kind.BOOKING_RECEIVED, now=now)
            if wish.slot_key and stands_already(wish):
                if not wish.rebook_consent:
                    return settling.close(wish, Reason.SLOT_TAKEN, now=now)
                wish.slot_key = None
                wish.save(update_fields=["slot_key"])
    except IntegrityError:
        return store_loser(wish, now, replaces)
    return wish


def give_way(booking: Booking, now: datetime) -> None:
    """Close a booking that waits for a yes: its person has chosen another time. It stays watched."""
    stored = Booking.objects.select_for_update().get(pk=booking.pk)
    if stored.state == State.PENDING:
        settling.close(stored, Reason.REPLACED, now=now)


def store_loser(wish: Booking, now: datetime, replaces: Booking | None = None) -> Booking:
    """Somebody holds one of our keys: the same submission, the same person, or another visitor."""
    if first := find_first(wish):
        return first
    other = Booking.objects.filter(open_key=wish.open_key).first()
    if other is not None and is_own(other, wish) and replaces is None:
        return store_wish(wish, now, replaces=other)
    if other is not None and (other != replaces or other.state != State.PENDING):
        raise BookingAlreadyOpen(
            "This person has an open booking of this meeting type; wait for its result.", booking=other
        )
    wish.pk = None
    if replaces is not None:
        wish.rebook_consent = None  # their first choice stands, so there is nothing to look for
    return store_lost(wish, now)


def store_lost(wish: Booking, now: datetime) -> Booking:
    """A wish whose time is gone: closed, or, for who agreed to another time, open without a hold on one."""
    wish.slot_key = None
    if not wish.rebook_consent:
        wish.open_key = None
    try:
        with transaction.atomic(durable=True):
            wish.save(force_insert=True)
            if not wish.rebook_consent:
                return settling.close(wish, Reason.SLOT_TAKEN, now=now)
            record_booking_event(wish, Event.Kind.BOOKING_RECEIVED, now=now)
    except IntegrityError:
        # The same person, a moment faster.
        return store_loser(wish, now)
    return wish


def is_own(booking: Booking, wish: Booking) -> bool:
    """Whether a signed-in person chooses again while their own first choice waits for a yes."""
    same = booking.user_id is not None and booking.user_id == wish.user_id
    return same and booking.state == State.PENDING


def stands_already(wish: Booking) -> bool:
    """Whether the mirror knows an appointment of this host at this start."""
    standing = Appointment.objects.standing().filter(connection=wish.connection, start=wish.start)
    return standing.filter(hosts__remote_id=wish.meeting_type.only_host_id).exists()


# Ask meetergo


def send_booking(
    *, booking: Booking, client: MeetergoClient, now: datetime, somebody_waits: bool = False
) -> Booking:
    """Ask for the time, at most twice while somebody waits, and return the booking as it stands then.

    Never sends again after an answer that may have been lost.
    """
    if close_if_late(booking, now):
        return fetch(booking)
    if booking.queue_consent and not somebody_waits:
        # Who agreed to wait does so until the service is back: no line in the ledger for what did not leave.
        client.knock()
    if booking.rebook_consent and not booking.slot_key and booking.hash_slot_key():
        return look_elsewhere(booking, client, now)
    watch = Stopwatch(now)
    tries = ATTEMPTS_AT_ONCE if somebody_waits else 1
    for number in range(1, tries + 1):
        lease = begin_attempt(booking, watch.now())
        if lease is None:
            return fetch(booking)
        error = attempt(booking, lease, client, watch)
        if error is None:
            return fetch(booking)
        last = number == tries or isinstance(error, CircuitOpen)
        put_back(booking, lease, error, now=watch.now(), give_up=somebody_waits and last)
    return fetch(booking)


def close_if_late(booking: Booking, now: datetime) -> bool:
    """Give up a wish that nobody sent in time: who waited for it has been waiting for too long."""
    if now < find_deadline(booking):
        return False
    with transaction.atomic():
        rows = Booking.objects.select_for_update(of=("self",)).select_related("meeting_type")
        stored = rows.filter(pk=booking.pk, state=State.RECEIVED).first()
        if stored is not None:
            settling.close(stored, Reason.UNREACHABLE, now=now)
    return stored is not None


def find_deadline(booking: Booking) -> datetime:
    return min(booking.created_at + QUEUE_FOR, booking.start)


def fetch(booking: Booking) -> Booking:
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
            settle_at=now + settings.settle,
            first_negative_at=None,
            next_at=now + settings.lease,
        )
        if lease is not None:
            number = booking.attempts.count() + 1
            BookingAttempt.objects.create(booking=booking, number=number, start=booking.start, sent_at=now)
    return lease


def attempt(booking: Booking, lease: Lease, client: MeetergoClient, watch: Stopwatch) -> RemoteError | None:
    """One POST and its ending. Returns the error of one that was certainly not applied, else None."""
    try:
        evidence = client.create_booking(build_payload(booking))
    except OutcomeUnknown as error:
        # The appointment may exist. Sending again could book the attendee twice.
        mark_unknown(booking, lease, error, watch.now())
    except SlotUnavailable as error:
        mark_lost(booking, lease, error, client, watch.now())
    except Refused as error:
        if error.status == 401:
            return error
        mark_refused(booking, lease, error, watch.now())
    except RemoteError as error:
        return error
    else:
        settling.adopt(booking=booking, evidence=evidence, now=watch.now())
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
                **{key: mirror.write_answer(answer) for key, answer in booking.custom_fields.items()},
                mirror.MARKER_KEY: booking.marker,
            },
            other_emails=tuple(booking.other_emails),
        ),
    )


# Write down what it said


def take_result(booking: Booking, lease: Lease) -> Booking | None:
    """The row, locked, while the lease is still ours."""
    rows = Booking.objects.select_for_update(of=("self",)).select_related("meeting_type")
    return rows.filter(pk=booking.pk, lease_token=lease.token).first()


def end_attempt(booking: Booking, outcome: str, error: RemoteError, now: datetime) -> None:
    """Close the ledger's last line, whoever holds the booking by now."""
    booking.attempts.filter(ended_at=None).update(
        outcome=outcome, ended_at=now, status_code=error.status, evidence=type(error).__name__
    )


def mark_unknown(booking: Booking, lease: Lease, error: RemoteError, now: datetime) -> None:
    with transaction.atomic():
        end_attempt(booking, Outcome.UNKNOWN, error, now)
        stored = take_result(booking, lease)
        if stored is None:
            return
        stored.state, stored.lease_token, stored.lease_until = State.UNKNOWN, None, None
        stored.tries = 0
        stored.next_at = settling.next_look(stored, now)
        stored.save()
        record_booking_event(stored, Event.Kind.BOOKING_UNCLEAR, now=now, step=str(stored.attempts.count()))
    signals.ring_doorbell()


def mark_lost(
    booking: Booking, lease: Lease, error: RemoteError, client: MeetergoClient, now: datetime
) -> None:
    """The time is gone, unless an earlier, unclear attempt of ours is what took it.

    Who agreed to another time gets the next one; it is a new attempt of the same booking.
    """
    if booking.attempts.filter(outcome=Outcome.UNKNOWN).exists():
        mark_unknown(booking, lease, error, now)
        return
    availability.take_out(meeting_type=booking.meeting_type, start=booking.start, duration=booking.duration)
    next_starts = list_next_starts(booking, client=client, now=now)
    with transaction.atomic():
        end_attempt(booking, Outcome.SLOT_TAKEN, error, now)
        stored = take_result(booking, lease)
        if stored is not None and not any(move_on(stored, start, now) for start in next_starts):
            settling.close(stored, Reason.SLOT_TAKEN, now=now, message=error.message)
    signals.ring_doorbell()


def look_elsewhere(booking: Booking, client: MeetergoClient, now: datetime) -> Booking:
    """Reserve the nearest time that was agreed to, for who lost theirs to another of our visitors."""
    next_starts = list_next_starts(booking, client=client, now=now)
    with transaction.atomic():
        stored = (
            Booking.objects.select_for_update(of=("self",))
            .filter(pk=booking.pk, state=State.RECEIVED)
            .first()
        )
        if stored is not None and not any(move_on(stored, start, now) for start in next_starts):
            settling.close(stored, Reason.SLOT_TAKEN, now=now)
    signals.ring_doorbell()
    return fetch(booking)


def move_on(booking: Booking, start: datetime, now: datetime) -> bool:
    """Reserve the next time for the next attempt; False when another of our visitors holds it."""
    booking.start = start
    booking.slot_key = booking.hash_slot_key()
    booking.state, booking.reason = State.RECEIVED, Reason.NONE
    booking.lease_token = booking.lease_until = None
    booking.next_at = now + draw_pause()
    if booking.slot_key and stands_already(booking):
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
        if stored := take_result(booking, lease):
            stored.field_errors = dict(error.fields)
            if isinstance(error, InvalidDuration):
                stored.field_errors["duration"] = error.message
            settling.close(stored, Reason.REFUSED, now=now, message=error.message)


def put_back(booking: Booking, lease: Lease, error: RemoteError, *, now: datetime, give_up: bool) -> None:
    """An attempt that certainly did nothing: again later, or told plainly when nobody agreed to wait."""
    with transaction.atomic():
        end_attempt(booking, Outcome.NOT_SENT, error, now)
        stored = take_result(booking, lease)
        if stored is None:
            return
        if may_wait(stored, now, give_up=give_up):
            stored.state, stored.reason = State.RECEIVED, Reason.QUEUED if give_up else stored.reason
            stored.lease_token, stored.lease_until = None, None
            stored.tries += 1
            stored.next_at = now + back_off(stored, error)
            stored.save()
        else:
            settling.close(stored, Reason.UNREACHABLE, now=now, message=error.message)


def may_wait(booking: Booking, now: datetime, *, give_up: bool) -> bool:
    if now >= find_deadline(booking):
        return False
    return booking.queue_consent or (not give_up and booking.attempts.count() < ATTEMPTS_IN_ALL)


def back_off(booking: Booking, error: RemoteError) -> timedelta:
    if isinstance(error, CircuitOpen) and error.retry_after:
        return timedelta(seconds=error.retry_after)
    if isinstance(error, Unreachable) and booking.tries == 1 and not isinstance(error, CircuitOpen):
        return timedelta()
    planned = BACK_OFF[min(booking.tries, len(BACK_OFF)) - 1]
    return timedelta(seconds=max(planned, error.retry_after or 0))
