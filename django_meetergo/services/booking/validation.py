"""Validate a booking request before it is stored. Each error names the argument and what would be right."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from django.core.exceptions import ValidationError
from django.core.serializers.json import DjangoJSONEncoder
from django.core.validators import validate_email

from django_meetergo.conf import get_settings
from django_meetergo.exceptions import InvalidRequest, MeetingTypeUnavailable, TooManyBookings
from django_meetergo.formatting import NEEDS_PHONE, has_link
from django_meetergo.models import Appointment, Attendee, Booking, fold_email
from django_meetergo.remote.client import MeetergoClient
from django_meetergo.services.clients import ensure_client_of, ensure_no_transaction
from django_meetergo.texts import is_nested_deeper, is_storable
from django_meetergo.timezones import find_zone
from django_meetergo.visitors import Limit, Visitor, count_all

HOUR_SECONDS = 3600
#: Many visitors may share one network address: an office, a school, a mobile carrier.
NETWORK_FACTOR = 10
#: Bookings on the whole site. meetergo accepts about 90 requests per minute.
SITE_LIMIT = Limit(name="bookings-site", times=60, seconds=60)
#: meetergo accepts 50 answers, and our reference is one of them.
MAX_ANSWERS = 49
MAX_ANSWER_LENGTH = 2000
MAX_ANSWER_LEVELS = 20
MAX_GUESTS = 5
#: Texts of a booking that the caller gives, and the width of their columns in characters.
LIMITS = {
    "first_name": 150,
    "last_name": 150,
    "email": 254,
    "phone": 64,
    "company": 200,
    "language": 16,
    "idempotency_key": 64,
}


def validate_call(booking: Booking, client: MeetergoClient, *, is_sent: bool) -> None:
    """Check how a booking is made: not inside a transaction if it is sent, and with its own client."""
    if is_sent:
        ensure_no_transaction()
    ensure_client_of(client, booking.reader)


def validate_content(booking: Booking) -> None:
    """Check that what the caller wrote can be stored, before any statement carries it."""
    for name, limit in LIMITS.items():
        value = getattr(booking, name)
        if len(value) > limit:
            raise InvalidRequest(f"{name} is longer than {limit} characters; shorten it.", field=name)
        if "\n" in value or "\r" in value or not is_storable(value):
            raise InvalidRequest(
                f"{name} holds a line break or a character that cannot be stored; remove it.", field=name
            )
    validate_answers(booking.custom_fields)


def validate_request(booking: Booking, now: datetime) -> None:
    """Check an unsaved booking. Raises InvalidRequest and MeetingTypeUnavailable."""
    meeting_type = booking.meeting_type
    if not meeting_type.is_bookable:
        raise MeetingTypeUnavailable(f"{meeting_type.name} cannot be booked at the moment.")
    if booking.start <= now:
        raise InvalidRequest(
            f"start {booking.start.isoformat()} has passed; choose a later one.", field="start"
        )
    if booking.duration not in meeting_type.durations:
        offered = ", ".join(str(minutes) for minutes in meeting_type.durations)
        raise InvalidRequest(
            f"{booking.duration} minutes are not offered; choose one of {offered}.", field="duration"
        )
    validate_choice("channel", booking.channel, [meeting_type.channel, *meeting_type.allowed_channels])
    validate_choice("location", booking.location, meeting_type.locations)
    validate_timezone(booking.timezone)
    validate_attendee(booking)
    validate_subject(booking)
    validate_future_appointments(booking, now)


def validate_choice(name: str, value: str, offered: Sequence[str]) -> None:
    if value and value not in offered:
        raise InvalidRequest(f"{name} {value!r} is not offered; choose one of {offered}.", field=name)


def validate_timezone(name: str) -> None:
    if name and find_zone(name) is None:
        raise InvalidRequest(f"{name!r} is not a time zone; use a name like Europe/Berlin.", field="timezone")


def validate_attendee(booking: Booking) -> None:
    if not booking.full_name:
        raise InvalidRequest("The attendee needs a name; set first_name or last_name.", field="first_name")
    is_phone_enough = booking.meeting_type.allows_phone_only and booking.phone
    if not booking.email and not is_phone_enough:
        raise InvalidRequest("The attendee needs an e-mail address; set email.", field="email")
    channel = booking.channel or booking.meeting_type.channel
    if channel in NEEDS_PHONE and not booking.phone and not booking.meeting_type.allows_phone_only:
        raise InvalidRequest(f"The channel {channel} needs a phone number; set phone.", field="phone")
    if len(booking.other_emails) > MAX_GUESTS:
        raise InvalidRequest(
            f"{len(booking.other_emails)} guests are too many; invite at most {MAX_GUESTS}.",
            field="other_emails",
        )
    validate_contact(booking)


def validate_contact(booking: Booking) -> None:
    for name in ("first_name", "last_name"):
        if has_link(getattr(booking, name)):
            raise InvalidRequest(f"{name} contains a web or e-mail address; remove it.", field=name)
    if booking.email and not is_email_address(booking.email):
        raise InvalidRequest(f"{booking.email!r} is not an e-mail address.", field="email")
    for email in booking.other_emails:
        if not is_email_address(email):
            raise InvalidRequest(f"{email!r} is not an e-mail address.", field="other_emails")


def is_email_address(text: str) -> bool:
    """Return whether Django accepts the address, and its folded spelling fits and stays the same address.

    Django's pattern ignores case and therefore lets "İ", "ı", "ſ" and "K" pass, which fold to ASCII letters.
    """
    try:
        validate_email(text)
    except ValidationError:
        return False
    return text.rpartition("@")[0].isascii() and len(fold_email(text)) <= LIMITS["email"]


def list_guests(emails: Iterable[str], attendee_email: str) -> list[str]:
    """Return the guests without the attendee and without other spellings of one address."""
    guests = {fold_email(email): email.strip() for email in reversed(list(emails))}
    guests.pop(fold_email(attendee_email), None)
    return list(reversed(guests.values()))


def validate_future_appointments(booking: Booking, now: datetime) -> None:
    """Limit the future appointments of one e-mail address (``MAX_FUTURE_APPOINTMENTS``; 0: no limit)."""
    limit = get_settings().MAX_FUTURE_APPOINTMENTS
    if not limit or not booking.email:
        return
    future = Attendee.objects.filter(
        connection=booking.connection,
        email_folded=fold_email(booking.email),
        status=Attendee.Status.ATTENDING,
        appointment__in=Appointment.objects.upcoming(now),
    )
    if future.count() >= limit:
        raise InvalidRequest(
            f"This e-mail address already has {limit} future appointments, which is the limit. "
            "Cancel one of them first.",
            field="email",
        )


def check_visitor_limits(booking: Booking, visitor: Visitor) -> None:
    """Limit the bookings of one visitor, to one address, and of the whole site, and count this one.

    Raises TooManyBookings. Limits last an hour at most, so nobody can lock others out for long.
    """
    times = get_settings().MAX_BOOKINGS_PER_HOUR
    if not times:
        return
    by_person = Limit(name="bookings-person", times=times, seconds=HOUR_SECONDS)
    by_network = Limit(name="bookings-network", times=times * NETWORK_FACTOR, seconds=HOUR_SECONDS)
    to_address = Limit(name="bookings-invited", times=times, seconds=HOUR_SECONDS)
    counted = [(by_person, visitor.person), (by_network, visitor.address), (SITE_LIMIT, "site")]
    counted += [(to_address, fold_email(email)) for email in [booking.email, *booking.other_emails]]
    if wait := count_all(counted):
        raise TooManyBookings(
            f"Too many bookings by or for one person, or on the whole site; try again in {wait} seconds.",
            retry_after=wait,
        )


def validate_subject(booking: Booking) -> None:
    """Check that the linked object is saved, and that its key fits into the column."""
    if booking.subject_type_id is None:
        return
    limit = Booking._meta.get_field("subject_id").max_length or 0
    if booking.subject_id in {None, ""}:
        raise InvalidRequest("subject is not saved; save it before it is linked.", field="subject")
    if len(str(booking.subject_id)) > limit:
        raise InvalidRequest(
            f"The primary key of subject is longer than {limit} characters; link another object.",
            field="subject",
        )


def validate_answers(answers: Mapping[str, Any]) -> None:
    """Check that every answer can be stored as JSON and compared with that of a repeated request."""
    if len(answers) > MAX_ANSWERS:
        raise InvalidRequest(
            f"More than {MAX_ANSWERS} answers; send at most that many.", field="custom_fields"
        )
    for key, answer in answers.items():
        if is_nested_deeper(answer, MAX_ANSWER_LEVELS):
            raise InvalidRequest(
                f"The answer to {key!r} has more than {MAX_ANSWER_LEVELS} levels; send a flatter one.",
                field="custom_fields",
            )
        try:
            text = json.dumps({key: answer}, cls=DjangoJSONEncoder, sort_keys=True, allow_nan=False)
        except (TypeError, ValueError) as error:
            raise InvalidRequest(
                f"The answer to {key!r} is a {type(answer).__name__}, which cannot be stored: send a text.",
                field="custom_fields",
            ) from error
        if not is_storable(json.loads(text)):
            raise InvalidRequest(
                f"The answer to {key!r} holds a character that cannot be stored; remove it.",
                field="custom_fields",
            )
        if len(str(answer)) > MAX_ANSWER_LENGTH:
            raise InvalidRequest(
                f"The answer to {key!r} is longer than {MAX_ANSWER_LENGTH} characters; shorten it.",
                field="custom_fields",
            )
