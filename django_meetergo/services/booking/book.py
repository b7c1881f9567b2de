"""Accept a booking request, reserve its slot and send it."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.db import IntegrityError, models

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
from django_meetergo.services.booking.rebooking import build_agreement
from django_meetergo.services.booking.sending import is_slot_booked, send_booking
from django_meetergo.services.events import record_booking_event
from django_meetergo.transactions import (
    DATABASE_ERRORS,
    is_database_away,
    is_in_transaction,
    write_transaction,
)
from django_meetergo.visitors import Visitor
from django_meetergo.wakeup import wake_workers

logger = logging.getLogger(__name__)
State, Reason, Outcome = Booking.State, Booking.Reason, BookingAttempt.Outcome
#: The caller sends a new booking itself; a worker takes it over when the caller has died meanwhile.
WORKER_DELAY = timedelta(seconds=10)


@dataclass(frozen=True, kw_only=True)
class AttendeeData:
    """The person to book for: a name, and an e-mail address, or a phone number where the type allows it."""

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
    visitor: Visitor | None = None,
    content_digest: str = "",
) -> Booking:
    """Book a slot and return the stored booking, whose state and reason say how it went.

    - ``start``: an aware datetime that meetergo offers. ``duration``: minutes, by default the type's own.
    - ``custom_fields``: answers by the name of the question. ``subject``: an object of the site to link.
    - ``idempotency_key``: a repeated call with the same key returns the first booking.
    - ``defer_consent``: the attendee agrees that the request waits while meetergo cannot be reached.
    - ``rebook``: the attendee's consent to another slot, ``{"weekdays": [0, 1], "hours": [9, 12],
      "words": "the text they agreed to"}``; every key is optional.
    - ``content_digest``: identifies the content of the caller's own request, where it is compared instead of
      the arguments when an ``idempotency_key`` is used again.
    - ``replaces``: a pending booking of the same person that this one replaces.
    - ``send=False``: store the booking only; a worker sends it. Inside a transaction the booking is stored
      with it and sent after its commit, and its slot is not compared with the free times.
    - ``visitor``: who sends the request on a page or by REST. Limits count and bind visitors only. A visitor
      cannot book a type again while their first request for the same person is open.

    Raises, before anything is stored or sent: InvalidRequest, MeetingTypeUnavailable, StartNotOffered,
    BookingAlreadyOpen (the person has another open booking of this type), IdempotencyKeyReused,
    TooManyBookings.
    """
    booking = Booking(
        connection=meeting_type.connection,
        meeting_type=meeting_type,
        start=start,
        duration=duration or meeting_type.duration,
        channel=channel or get_default_channel(meeting_type),
        location=location,
        first_name=attendee.first_name.strip(),
        last_name=attendee.last_name.strip(),
        email=attendee.email.strip(),
        phone=attendee.phone.strip(),
        company=attendee.company.strip(),
        timezone=attendee.timezone,
        language=attendee.language,
        receive_reminders=attendee.receive_reminders,
        other_emails=validation.list_guests(attendee.other_emails, attendee.email),
        custom_fields={str(name): answer for name, answer in (custom_fields or {}).items()},
        skip_notifications=skip_notifications,
        user=user,
        defer_consent=defer_consent and get_settings().DEFER_WHEN_DOWN,
        rebook_consent=build_agreement(rebook, start=start, zone=attendee.timezone),
        idempotency_key=idempotency_key or make_idempotency_key(),
        created_at=now,
        next_at=now + WORKER_DELAY if send else now,
    )
    if subject is not None:
        booking.subject = subject
    validation.validate_call(booking, client, is_sent=send)
    validation.validate_content(booking)
    booking.content_digest = content_digest or digest_content(booking)
    if first := find_by_idempotency_key(booking):
        return first
    validation.validate_request(booking, now)
    if visitor is not None:
        validation.check_visitor_limits(booking, visitor)
    # Staff and the site's own code know the attendee, so they all share one key for each.
    booked_by = visitor.person if visitor is not None else "site"
    booking.open_booking_key = booking.hash_open_booking_key(booked_by)
    stopwatch = Stopwatch(now)
    offered = can_skip_availability(booking) or is_offered(
        meeting_type=meeting_type, start=start, duration=booking.duration, client=client, now=now
    )
    if offered is False:
        if first := find_by_idempotency_key(booking):
            return first  # the same form was submitted twice at once, and the first submission took the slot
        raise StartNotOffered(
            f"{start.isoformat()} is not among the free times of {meeting_type.name}. "
            "List the free times again and choose one of them."
        )
    booking = reserve_slot(booking, stopwatch.now(), replaces=replaces)
    if not send:
        wake_workers()
    elif booking.state == State.RECEIVED:
        return send_now(booking, client, stopwatch.now())
    return booking


def can_skip_availability(booking: Booking) -> bool:
    """Whether the slot need not be compared with meetergo's free times before it is reserved.

    A slot that this site has booked is lost without a call, and no call is made inside a transaction:
    meetergo refuses a start that it does not offer.
    """
    return is_in_transaction() or is_slot_held(booking)


def is_slot_held(booking: Booking) -> bool:
    """Whether another open booking of this site, or a mirrored appointment, has the slot."""
    key = booking.hash_slot_hold_key()
    if key is None:
        return False
    return Booking.objects.filter(slot_hold_key=key).exists() or is_slot_booked(booking)


def send_now(booking: Booking, client: MeetergoClient, now: datetime) -> Booking:
    """Send a stored booking; return it as stored before when the database goes away meanwhile.

    The POST may have left by then, so the call must not fail: reconciliation starts when the lease expires.
    """
    try:
        return send_booking(booking=booking, client=client, now=now, is_interactive=True)
    except DATABASE_ERRORS as error:
        if not is_database_away(error):
            raise
        logger.exception(
            "The database went away while booking %s was being sent. It is reconciled when "
            "its lease expires.",
            booking.reference,
        )
        return booking


def get_default_channel(meeting_type: MeetingType) -> str:
    return "" if meeting_type.allowed_channels else meeting_type.channel


def digest_content(booking: Booking) -> str:
    """Return a digest of everything that makes two submissions the same request."""
    content = [
        booking.meeting_type_id, booking.start.timestamp(), booking.duration, booking.channel,
        booking.location, booking.first_name, booking.last_name, fold_email(booking.email), booking.phone,
        booking.custom_fields, booking.other_emails,
    ]  # fmt: skip
    return hashlib.sha256(json.dumps(content, default=str, sort_keys=True).encode()).hexdigest()


def find_by_idempotency_key(booking: Booking) -> Booking | None:
    """Return the stored booking with the same idempotency key. Raises IdempotencyKeyReused."""
    first = (
        Booking.objects.select_related("meeting_type")
        .filter(connection=booking.connection, idempotency_key=booking.idempotency_key)
        .first()
    )
    if first is not None and first.content_digest != booking.content_digest:
        raise IdempotencyKeyReused(
            "This idempotency key has been used for another booking; use a new key for a new booking.",
            booking=first,
        )
    return first


def reserve_slot(booking: Booking, now: datetime, *, replaces: Booking | None = None) -> Booking:
    """Store the booking with its unique keys.

    Returns the stored booking: open, or closed as ``slot_taken`` when another booking or appointment has
    the slot, or the first booking when the idempotency key is known. Raises BookingAlreadyOpen.
    """
    booking.slot_hold_key = booking.hash_slot_hold_key()
    try:
        with write_transaction():
            if replaces is not None:
                supersede_booking(replaces, now)
            booking.save()
            if replaces is not None:
                Booking.objects.filter(pk=replaces.pk).update(replaced_by=booking)
            record_booking_event(booking, Event.Kind.BOOKING_RECEIVED, now=now)
            if booking.slot_hold_key and is_slot_booked(booking):
                if not booking.rebook_consent:
                    return close_booking(booking, Reason.SLOT_TAKEN, now=now)
                booking.slot_hold_key = None
                booking.save(update_fields=["slot_hold_key"])
    except IntegrityError:
        return resolve_conflict(booking, now, replaces)
    renew_holds_stamp(booking.connection)
    return booking


def supersede_booking(booking: Booking, now: datetime) -> None:
    """Close a pending booking because its attendee has chosen another slot. It stays watched."""
    stored = Booking.objects.select_for_update().get(pk=booking.pk)
    if stored.state == State.PENDING:
        close_booking(stored, Reason.REPLACED, now=now)


def resolve_conflict(booking: Booking, now: datetime, replaces: Booking | None = None) -> Booking:
    """Handle a unique key that is in use: by the same submission, the same person or another visitor."""
    if first := find_by_idempotency_key(booking):
        return first
    other = find_open_booking(booking)
    if other is not None and other.state == State.PENDING and replaces is None:
        return reserve_slot(booking, now, replaces=other)
    if other is not None and (other != replaces or other.state != State.PENDING):
        raise BookingAlreadyOpen(
            "This person has an open booking of this meeting type; wait for its result.", booking=other
        )
    booking.pk = None
    if replaces is not None:
        booking.rebook_consent = None  # the first choice stays open, so no other slot is needed
    return store_without_slot(booking, now)


def store_without_slot(booking: Booking, now: datetime) -> Booking:
    """Store a booking whose slot is taken: closed, or open without a slot when rebooking was agreed."""
    booking.slot_hold_key = None
    if not booking.rebook_consent:
        booking.open_booking_key = None
    try:
        with write_transaction():
            booking.save(force_insert=True)
            if not booking.rebook_consent:
                return close_booking(booking, Reason.SLOT_TAKEN, now=now)
            record_booking_event(booking, Event.Kind.BOOKING_RECEIVED, now=now)
    except IntegrityError:
        # The same submission, or another one of the same person, was stored meanwhile. Else it is an error.
        if not (find_by_idempotency_key(booking) or find_open_booking(booking)):
            raise
        return resolve_conflict(booking, now)
    return booking


def find_open_booking(booking: Booking) -> Booking | None:
    """Return the open booking of the same visitor for the same person and meeting type."""
    if not booking.open_booking_key:
        return None
    return Booking.objects.filter(open_booking_key=booking.open_booking_key).first()
