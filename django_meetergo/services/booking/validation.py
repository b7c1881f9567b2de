"""What a wish must keep to before it becomes a row: a refusal names the argument and what would be right."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from django.db.models import Count, Q

from django_meetergo.conf import get_settings
from django_meetergo.exceptions import InvalidRequest, MeetingTypeUnavailable, TooManyBookings
from django_meetergo.models import Appointment, Attendee, Booking, fold_email
from django_meetergo.visitors import Limit

DAY_SECONDS = 24 * 3600
#: Bookings that one e-mail address may have open at once.
MAX_OPEN_BOOKINGS = 5
MAX_ANSWERS = 50
MAX_ANSWER_LENGTH = 2000
MAX_GUESTS = 5
#: Characters; the columns are as wide.
LIMITS = {"first_name": 150, "last_name": 150, "email": 254, "phone": 64, "company": 200}


def validate_request(wish: Booking, now: datetime) -> None:
    """Refuse what cannot be right, naming the argument and what would be."""
    meeting_type = wish.meeting_type
    if not meeting_type.enabled or meeting_type.missing_since:
        raise MeetingTypeUnavailable(f"{meeting_type.name} cannot be booked at the moment.")
    if wish.start.tzinfo is None:
        raise InvalidRequest("start has no time zone; pass an aware datetime.", field="start")
    if wish.start <= now:
        raise InvalidRequest(f"start {wish.start.isoformat()} has passed; choose a later one.", field="start")
    if wish.duration not in meeting_type.durations:
        offered = ", ".join(str(minutes) for minutes in meeting_type.durations)
        raise InvalidRequest(
            f"{wish.duration} minutes are not offered; choose one of {offered}.", field="duration"
        )
    validate_choice("channel", wish.channel, [meeting_type.channel, *meeting_type.allowed_channels])
    validate_timezone(wish.timezone)
    validate_person(wish)
    validate_answers(wish.custom_fields)
    validate_phone(wish, now)


def validate_choice(name: str, value: str, offered: Sequence[str]) -> None:
    if value and value not in offered:
        raise InvalidRequest(f"{name} {value!r} is not offered; choose one of {offered}.", field=name)


def validate_timezone(name: str) -> None:
    try:
        ZoneInfo(name or "UTC")
    except (ValueError, OSError, ZoneInfoNotFoundError) as error:
        raise InvalidRequest(
            f"{name!r} is not a time zone; use a name like Europe/Berlin.", field="timezone"
        ) from error


def validate_person(wish: Booking) -> None:
    if not wish.full_name:
        raise InvalidRequest("The attendee needs a name; set first_name or last_name.", field="first_name")
    phone_is_enough = wish.meeting_type.allows_phone_only and wish.phone
    if not wish.email and not phone_is_enough:
        raise InvalidRequest("The attendee needs an e-mail address; set email.", field="email")
    if len(wish.other_emails) > MAX_GUESTS:
        raise InvalidRequest(
            f"{len(wish.other_emails)} other people are too many; invite at most {MAX_GUESTS}.",
            field="other_emails",
        )
    for name, limit in LIMITS.items():
        value = getattr(wish, name)
        if len(value) > limit:
            raise InvalidRequest(f"{name} is longer than {limit} characters; shorten it.", field=name)
        if "\n" in value or "\r" in value:
            raise InvalidRequest(f"{name} holds a line break; remove it.", field=name)


def validate_phone(wish: Booking, now: datetime) -> None:
    """One address cannot fill a calendar."""
    most = get_settings().MAX_FUTURE_APPOINTMENTS
    ahead = Attendee.objects.filter(
        connection=wish.connection,
        email_folded=fold_email(wish.email),
        status=Attendee.Status.ATTENDING,
        appointment__in=Appointment.objects.upcoming(now),
    )
    if wish.email and ahead.count() >= most:
        raise InvalidRequest(
            f"This address has {most} appointments ahead, which is as many as one may have.", field="email"
        )


def check_visitor_limits(wish: Booking, visitor: str, now: datetime) -> None:
    """Nobody keeps other people's times busy, or sends somebody mail after mail. Counts this booking."""
    most = get_settings().MAX_BOOKINGS_PER_DAY
    if not most:
        return
    daily = Limit(name="bookings", times=most, seconds=DAY_SECONDS)
    if daily.is_reached(visitor) or (wish.email and has_too_many_appointments(wish, most, now)):
        raise TooManyBookings(
            f"At most {MAX_OPEN_BOOKINGS} bookings of one person may be open at once, and {most} be made "
            "in a day. Ask again later."
        )
    daily.count(visitor)


def has_too_many_appointments(wish: Booking, most: int, now: datetime) -> bool:
    """Whether this address has as many bookings open, or made in a day, as it may have."""
    own = Booking.objects.filter(connection=wish.connection, email_folded=fold_email(wish.email))
    counts = own.aggregate(
        open=Count("pk", filter=Q(state__in=Booking.OPEN)),
        today=Count("pk", filter=Q(created_at__gt=now - timedelta(seconds=DAY_SECONDS))),
    )
    return bool(counts["open"] >= MAX_OPEN_BOOKINGS or counts["today"] >= most)


def validate_answers(answers: Mapping[str, Any]) -> None:
    if len(answers) > MAX_ANSWERS:
        raise InvalidRequest(f"More than {MAX_ANSWERS} answers; send fewer.", field="custom_fields")
    for key, answer in answers.items():
        if len(str(answer)) > MAX_ANSWER_LENGTH:
            raise InvalidRequest(
                f"The answer to {key!r} is longer than {MAX_ANSWER_LENGTH} characters; shorten it.",
                field="custom_fields",
            )
