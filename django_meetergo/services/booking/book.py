"""Accept a booking request and reserve its slot."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.db import IntegrityError, models, transaction

from django_meetergo.clock import Stopwatch
from django_meetergo.conf import get_settings
from django_meetergo.exceptions import (
    BookingAlreadyOpen,
    IdempotencyKeyReused,
    StartNotOffered,
)
from django_meetergo.models import (
    Booking,
    BookingAttempt,
    Event,
    MeetingType,
    fold_email,
)
from django_meetergo.models.bookings import make_idempotency_key
from django_meetergo.remote.client import MeetergoClient
from django_meetergo.services.availability.holds import renew_holds_stamp
from django_meetergo.services.availability.slots import is_offered
from django_meetergo.services.booking import validation
from django_meetergo.services.booking.outcomes import close_booking
from django_meetergo.services.booking.rebooking import make_agreement
from django_meetergo.services.booking.sending import is_slot_booked, send_booking
from django_meetergo.services.events import record_booking_event
from django_meetergo.transactions import DATABASE_LOST
from django_meetergo.wakeup import wake_workers

logger = logging.getLogger(__name__)
State, Reason, Outcome = Booking.State, Booking.Reason, BookingAttempt.Outcome
WORKER_DELAY = timedelta(seconds=10)


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
    idempotency_key: str = "",
    defer_consent: bool = False,
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
        defer_consent=defer_consent and get_settings().DEFER_WHEN_DOWN,
        rebook_consent=make_agreement(rebook, start=start, zone=attendee.timezone),
        idempotency_key=idempotency_key or make_idempotency_key(),
        created_at=now,
        # Whoever asked sends it; the sweeper comes only after somebody who died doing so.
        next_at=now + WORKER_DELAY if send else now,
    )
    if subject is not None:
        wish.subject = subject
    validation.validate_request(wish, now)
    wish.content_digest = digest_content(wish)
    if first := find_by_idempotency_key(wish):
        return first
    if visitor:
        validation.check_visitor_limits(wish, visitor, now)
    watch = Stopwatch(now)
    offered = is_offered(
        meeting_type=meeting_type, start=start, duration=wish.duration, client=client, now=now
    )
    if offered is False:
        if first := find_by_idempotency_key(wish):
            return first  # the same form, sent twice at once: it is what took the time
        raise StartNotOffered(
            f"{start.isoformat()} is not among the free times of {meeting_type.name}. "
            "List the free times again and choose one of them."
        )
    booking = reserve_slot(wish, watch.now(), replaces=replaces)
    if not send:
        wake_workers()
    elif booking.state == State.RECEIVED:
        return send_now(booking, client, watch.now())
    return booking


def send_now(booking: Booking, client: MeetergoClient, now: datetime) -> Booking:
    """Send what is on paper. Should the database go away meanwhile, the booking as it was written.

    The POST may have left, so nobody may be told that it failed: whoever finds the lease lapsed looks.
    """
    try:
        return send_booking(booking=booking, client=client, now=now, somebody_waits=True)
    except DATABASE_LOST:
        logger.exception("The database went away while booking %s was on its way.", booking.reference)
        return booking


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


def find_by_idempotency_key(wish: Booking) -> Booking | None:
    """The booking that an earlier call with this client key made."""
    first = (
        Booking.objects.select_related("meeting_type")
        .filter(connection=wish.connection, idempotency_key=wish.idempotency_key)
        .first()
    )
    if first is not None and first.content_digest != wish.content_digest:
        raise IdempotencyKeyReused(
            "This client key has been used for another booking; take a new key for a new booking.",
            booking=first,
        )
    return first


def reserve_slot(wish: Booking, now: datetime, *, replaces: Booking | None = None) -> Booking:
    """Commit the wish with its keys, or tell who was faster. One transaction, and none around it."""
    wish.open_booking_key, wish.slot_hold_key = wish.hash_open_booking_key(), wish.hash_slot_hold_key()
    try:
        with transaction.atomic(durable=True):
            if replaces is not None:
                supersede_booking(replaces, now)
            wish.save()
            if replaces is not None:
                Booking.objects.filter(pk=replaces.pk).update(replaced_by=wish)
            record_booking_event(wish, Event.Kind.BOOKING_RECEIVED, now=now)
            if wish.slot_hold_key and is_slot_booked(wish):
                if not wish.rebook_consent:
                    return close_booking(wish, Reason.SLOT_TAKEN, now=now)
                wish.slot_hold_key = None
                wish.save(update_fields=["slot_hold_key"])
    except IntegrityError:
        return resolve_conflict(wish, now, replaces)
    renew_holds_stamp(wish.connection)
    return wish


def supersede_booking(booking: Booking, now: datetime) -> None:
    """Close a booking that waits for a yes: its person has chosen another time. It stays watched."""
    stored = Booking.objects.select_for_update().get(pk=booking.pk)
    if stored.state == State.PENDING:
        close_booking(stored, Reason.REPLACED, now=now)


def resolve_conflict(wish: Booking, now: datetime, replaces: Booking | None = None) -> Booking:
    """Somebody holds one of our keys: the same submission, the same person, or another visitor."""
    if first := find_by_idempotency_key(wish):
        return first
    other = Booking.objects.filter(open_booking_key=wish.open_booking_key).first()
    if other is not None and is_own_pending(other, wish) and replaces is None:
        return reserve_slot(wish, now, replaces=other)
    if other is not None and (other != replaces or other.state != State.PENDING):
        raise BookingAlreadyOpen(
            "This person has an open booking of this meeting type; wait for its result.", booking=other
        )
    wish.pk = None
    if replaces is not None:
        wish.rebook_consent = None  # their first choice stands, so there is nothing to look for
    return store_without_slot(wish, now)


def store_without_slot(wish: Booking, now: datetime) -> Booking:
    """A wish whose time is gone: closed, or, for who agreed to another time, open without a hold on one."""
    wish.slot_hold_key = None
    if not wish.rebook_consent:
        wish.open_booking_key = None
    try:
        with transaction.atomic(durable=True):
            wish.save(force_insert=True)
            if not wish.rebook_consent:
                return close_booking(wish, Reason.SLOT_TAKEN, now=now)
            record_booking_event(wish, Event.Kind.BOOKING_RECEIVED, now=now)
    except IntegrityError:
        # The same person, a moment faster.
        return resolve_conflict(wish, now)
    return wish


def is_own_pending(booking: Booking, wish: Booking) -> bool:
    """Whether a signed-in person chooses again while their own first choice waits for a yes."""
    same = booking.user_id is not None and booking.user_id == wish.user_id
    return same and booking.state == State.PENDING
