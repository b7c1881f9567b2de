"""Accept a booking request, reserve its slot and send it."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from django.db import IntegrityError, models

from django_meetergo.clock import Stopwatch
from django_meetergo.conf import get_settings
from django_meetergo.exceptions import BookingAlreadyOpen, IdempotencyKeyReused, StartNotOffered
from django_meetergo.models import Booking, Event, Lease, MeetingType, fold_email
from django_meetergo.models.bookings import make_idempotency_key
from django_meetergo.remote.client import MeetergoClient
from django_meetergo.services.availability.holds import renew_holds_stamp
from django_meetergo.services.availability.slots import is_listed, is_offered
from django_meetergo.services.booking import validation
from django_meetergo.services.booking.outcomes import close_booking, mark_closed, record_closing
from django_meetergo.services.booking.rebooking import build_agreement
from django_meetergo.services.booking.sending import add_attempt, is_slot_booked, plan_attempt, send_booking
from django_meetergo.services.events import record_booking_event
from django_meetergo.services.instants import validate_instant
from django_meetergo.transactions import (
    DATABASE_ERRORS,
    is_database_away,
    is_in_transaction,
    run_with_retries,
    write_transaction,
)
from django_meetergo.visitors import Visitor
from django_meetergo.wakeup import wake_workers

logger = logging.getLogger(__name__)
State, Reason = Booking.State, Booking.Reason
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


@dataclass(frozen=True, kw_only=True)
class BookingRequest:
    """What somebody wants to book.

    - ``start``: an aware datetime that meetergo offers. ``duration``: minutes, by default the type's own.
    - ``custom_fields``: answers by the name of the question. ``subject``: an object of the site to link.
    - ``idempotency_key``: a repeated request with the same key returns the first booking.
    - ``content_digest``: identifies the content of the caller's own request, where it is compared instead of
      these values when an ``idempotency_key`` is used again.
    - ``defer_consent``: the attendee agrees that the request waits while meetergo cannot be reached.
    - ``rebook``: the attendee's consent to another slot, ``{"weekdays": [0, 1], "hours": [9, 12],
      "words": "the text they agreed to"}``; every key is optional.
    - ``replaces``: a pending booking of the same person that this one replaces.
    - ``visitor``: who sends the request on a page or by REST. Limits count and bind visitors only. A visitor
      cannot book a type again while their first request for the same person is open.
    """

    meeting_type: MeetingType
    start: datetime
    attendee: AttendeeData
    duration: int | None = None
    channel: str = ""
    location: str = ""
    custom_fields: Mapping[str, Any] | None = None
    skip_notifications: bool = False
    user: Any = None
    subject: models.Model | None = None
    idempotency_key: str = ""
    content_digest: str = ""
    defer_consent: bool = False
    rebook: Mapping[str, Any] | None = None
    replaces: Booking | None = None
    visitor: Visitor | None = None


def submit_request(
    request: BookingRequest, *, client: MeetergoClient, now: datetime, send: bool = True
) -> Booking:
    """Book a slot and return the stored booking, whose state and reason say how it went.

    ``send=False``: store the booking only; a worker sends it. Inside a transaction the booking is stored with
    it and sent after its commit, and its slot is not compared with the free times.

    Raises, before anything is stored or sent: InvalidRequest, MeetingTypeUnavailable, StartNotOffered,
    BookingAlreadyOpen (the person has another open booking of this type), IdempotencyKeyReused,
    TooManyBookings.
    """
    validate_instant("start", request.start)
    replaces, visitor = request.replaces, request.visitor
    booking = build_booking(request, now)
    booking.next_at = now + WORKER_DELAY if send else now
    validation.validate_call(booking, client, is_sent=send)
    validation.validate_content(booking)
    booking.content_digest = request.content_digest or digest_content(booking)
    # Staff and the site's own code know the attendee, so they all share one key for each.
    booked_by = visitor.person if visitor is not None else "site"
    booking.open_booking_key = booking.hash_open_booking_key(booked_by)
    booking.slot_hold_key = booking.hash_slot_hold_key()
    rivals = find_rivals(booking)
    if rivals.first is not None:
        return rivals.first
    validation.validate_request(booking, now)
    if visitor is not None:
        validation.check_visitor_limits(booking, visitor)
    stopwatch, lease = Stopwatch(now), None
    if rivals.holder_id not in {None, replaces and replaces.pk}:
        booking = resolve_conflict(booking, rivals, now, replaces)
    else:
        check_offered(booking, client, now)
        if send and can_be_sent_at_once(booking):
            lease = prepare_attempt(booking, stopwatch.now())
        booking = reserve_slot(booking, stopwatch.now(), replaces=replaces)
    if not send:
        wake_workers()
    elif booking.state == State.RECEIVED:
        return send_now(booking, client, stopwatch.now())
    elif lease is not None and booking.lease_token == lease:
        return send_now(booking, client, stopwatch.now(), Lease(booking.pk, lease))
    return booking


def build_booking(request: BookingRequest, now: datetime) -> Booking:
    """Return an unsaved booking of what is requested, with the defaults of its meeting type."""
    meeting_type, attendee = request.meeting_type, request.attendee
    booking = Booking(
        connection=meeting_type.connection,
        meeting_type=meeting_type,
        # In the hour that clocks repeat, equal instants of two time zones do not compare as equal.
        start=request.start.astimezone(UTC),
        duration=request.duration or meeting_type.duration,
        channel=request.channel or get_default_channel(meeting_type),
        location=request.location,
        first_name=attendee.first_name.strip(),
        last_name=attendee.last_name.strip(),
        email=attendee.email.strip(),
        phone=attendee.phone.strip(),
        company=attendee.company.strip(),
        timezone=attendee.timezone,
        language=attendee.language,
        receive_reminders=attendee.receive_reminders,
        other_emails=validation.list_guests(attendee.other_emails, attendee.email),
        custom_fields={str(name): answer for name, answer in (request.custom_fields or {}).items()},
        skip_notifications=request.skip_notifications,
        user=request.user,
        defer_consent=request.defer_consent and get_settings().DEFER_WHEN_DOWN,
        rebook_consent=build_agreement(request.rebook, start=request.start, zone=attendee.timezone),
        idempotency_key=request.idempotency_key or make_idempotency_key(),
        created_at=now,
    )
    if request.subject is not None:
        booking.subject = request.subject
    return booking


def check_offered(booking: Booking, client: MeetergoClient, now: datetime) -> None:
    """Raise StartNotOffered unless meetergo offers the start, as far as is known.

    No call is made for a slot that this site has booked, which is lost without one, nor inside a
    transaction: meetergo refuses a start that it does not offer.
    """
    start: dict[str, Any] = {
        "meeting_type": booking.meeting_type,
        "start": booking.start,
        "duration": booking.duration,
    }
    if is_listed(**start) or is_in_transaction() or (booking.slot_hold_key and is_slot_booked(booking)):
        return
    if is_offered(**start, client=client, now=now) is False:
        raise StartNotOffered(
            f"{booking.start.isoformat()} is not among the free times of {booking.meeting_type.name}. "
            "List the free times again and choose one of them."
        )


def can_be_sent_at_once(booking: Booking) -> bool:
    """Whether the booking is stored with its first attempt.

    Not where the attendees of a group are read first, or where another slot may be sent instead.
    """
    return not booking.meeting_type.is_group and not booking.rebook_consent


def prepare_attempt(booking: Booking, now: datetime) -> UUID:
    """Let an unsaved booking be stored as one that this process is sending. Return the token of its lease."""
    for name, value in plan_attempt(now).items():
        setattr(booking, name, value)
    booking.lease_token, booking.lease_until = uuid4(), now + get_settings().lease
    return booking.lease_token


def send_now(booking: Booking, client: MeetergoClient, now: datetime, lease: Lease | None = None) -> Booking:
    """Send a stored booking; return it as stored before when the database goes away meanwhile.

    The POST may have left by then, so the call must not fail: reconciliation starts when the lease expires.
    """
    try:
        return send_booking(booking=booking, client=client, now=now, is_interactive=True, lease=lease)
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


@dataclass(frozen=True, kw_only=True)
class Rivals:
    """The stored bookings that have a unique key of a new one.

    ``first`` is the same submission, ``other`` the open booking of the same visitor for the same person and
    meeting type, ``holder_id`` the key of the open booking that holds the slot.
    """

    first: Booking | None
    other: Booking | None
    holder_id: int | None

    def has_other_than(self, replaced: Booking | None) -> bool:
        """Whether any is known that the new booking does not replace."""
        own = {None, replaced and replaced.pk}
        return self.first is not None or bool({self.other and self.other.pk, self.holder_id} - own)


def find_rivals(booking: Booking) -> Rivals:
    """Look all keys of a booking up in one statement. Raises IdempotencyKeyReused.

    Most bookings have no rivals, so only the keys are read at first: a row has more than fifty columns.
    """
    is_rival = models.Q(idempotency_key=booking.idempotency_key, connection=booking.connection)
    for name in ("open_booking_key", "slot_hold_key"):
        if key := getattr(booking, name):
            is_rival |= models.Q(**{name: key})
    names = ("idempotency_key", "open_booking_key", "slot_hold_key")
    stored = list(Booking.objects.filter(is_rival).order_by().values("pk", *names))

    def find(name: str) -> int | None:
        key = getattr(booking, name)
        return next((row["pk"] for row in stored if key and row[name] == key), None)

    first_id, other_id, holder_id = map(find, names)
    rows = Booking.objects.select_related("meeting_type").in_bulk([pk for pk in (first_id, other_id) if pk])
    first, other = rows.get(first_id), rows.get(other_id)
    if first is not None and first.content_digest != booking.content_digest:
        raise IdempotencyKeyReused(
            "This idempotency key has been used for another booking; use a new key for a new booking.",
            booking=first,
        )
    return Rivals(first=first, other=other, holder_id=holder_id)


def reserve_slot(booking: Booking, now: datetime, *, replaces: Booking | None = None) -> Booking:
    """Store the booking with its unique keys, and with its first attempt if it is sent at once.

    Returns the stored booking: open, or closed as ``slot_taken`` when another booking or appointment has
    the slot, or the first booking when the idempotency key is known. Raises BookingAlreadyOpen.
    """
    is_sending = booking.state == State.SENDING

    def store() -> Booking:
        row = copy(booking)  # this attempt may be rolled back
        if replaces is not None:
            supersede_booking(replaces, now)
        row.save()
        if replaces is not None:
            Booking.objects.filter(pk=replaces.pk).update(replaced_by=row)
        record_booking_event(row, Event.Kind.BOOKING_RECEIVED, now=now)
        if row.slot_hold_key and is_slot_booked(row):
            if not row.rebook_consent:
                return close_booking(row, Reason.SLOT_TAKEN, now=now)
            row.slot_hold_key = None
            row.save(update_fields=["slot_hold_key"])
        if is_sending:
            add_attempt(row, 1, now)
        return row

    for is_last in (False, True):
        try:
            # What is sent at once has to be committed first, so it cannot be part of another transaction.
            stored = run_with_retries(store, durable=is_sending, repeats_conflicts=False)
            break
        except IntegrityError:
            rivals = find_rivals(booking)
            # One that has ended meanwhile is no rival any more.
            if is_last or rivals.has_other_than(replaces):
                return resolve_conflict(booking, rivals, now, replaces)
    renew_holds_stamp(stored.connection)
    return stored


def supersede_booking(booking: Booking, now: datetime) -> None:
    """Close a pending booking because its attendee has chosen another slot. It stays watched."""
    stored = Booking.objects.select_for_update().get(pk=booking.pk)
    if stored.state == State.PENDING:
        close_booking(stored, Reason.REPLACED, now=now)


def resolve_conflict(
    booking: Booking, rivals: Rivals, now: datetime, replaces: Booking | None = None
) -> Booking:
    """Handle a unique key that is in use: by the same submission, the same person or another visitor."""
    other = rivals.other
    if rivals.first is not None:
        return rivals.first
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
        mark_closed(booking, Reason.SLOT_TAKEN, now=now)
    try:
        with write_transaction():
            booking.save(force_insert=True)
            if booking.is_open:
                record_booking_event(booking, Event.Kind.BOOKING_RECEIVED, now=now)
            else:
                record_closing(booking, now)
    except IntegrityError:
        # The same submission, or another one of the same person, was stored meanwhile. Else it is an error.
        rivals = find_rivals(booking)
        if not (rivals.first or rivals.other):
            raise
        return resolve_conflict(booking, rivals, now)
    return booking
