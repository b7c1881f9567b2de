"""Validation of booking requests."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from types import MappingProxyType
from typing import Any

from django_meetergo.sandbox.clock import parse_instant
from django_meetergo.sandbox.errors import Refused
from django_meetergo.sandbox.records import (
    CHANNEL_ALIASES,
    CHANNELS,
    Attendee,
    BookingRequest,
    MeetingType,
    Queue,
)
from django_meetergo.sandbox.state import State

MAX_GUESTS = 5
DURATION_TEXT = "Duration must match one of the allowed durations for this meeting type"
PAYMENT_PROVIDERS = ("paypal", "stripe", "none")
#: Optional strings of a booking request, with their greatest length.
BODY_STRINGS: Mapping[str, int | None] = {
    "location": None,
    "queueId": None,
    "icsTitle": 200,
    "icsDescription": 2000,
    "appointmentId": None,
    "routingFormId": None,
    "oneTimeLinkId": None,
    "paymentId": None,
    "couponCode": 32,
    "bookingPassword": None,
    "waitlistToken": None,
    "rwgToken": None,
    "rwgMerchantId": None,
}
BODY_BOOLEANS = ("skipNotifications", "phoneOnlyBooking", "ignoreAvailability")
ATTENDEE_STRINGS: Mapping[str, int | None] = dict.fromkeys(
    ("firstname", "lastname", "fullname", "phone", "company", "language", "timezone")
)
EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")


def read_booking_request(body: dict[str, Any], state: State) -> BookingRequest:
    """Return the booking request in a body of ``POST /v4/booking``. Raises ``Refused`` if it is invalid."""
    if problems := find_problems(body, strict=state.settings.strict):
        raise Refused(400, problems)
    host_ids, queue_id = body.get("hostIds") or [], body.get("queueId")
    if not host_ids and not queue_id:
        raise Refused(400, "hostIds or queueId is required")
    kind = state.meeting_types.get(str(body["meetingTypeId"]))
    if kind is None:
        raise Refused(404, "Meeting type not found")
    if body.get("phoneOnlyBooking") is True and not kind.allow_phone_only:
        raise Refused(400, "This meeting type does not allow bookings with a phone number only")
    candidates, queue = choose_hosts(state, kind, [str(key) for key in host_ids], queue_id)
    channel = choose_channel(kind, body.get("channel"))
    return BookingRequest(
        meeting_type=kind,
        start=read_start(body),
        duration=choose_duration(kind, body.get("duration")),
        host_ids=candidates,
        attendee=read_attendee(body["attendee"], state.new_id()),
        channel=channel,
        location=_choose_location(kind, channel, body.get("location")),
        queue=queue,
        needs_all_hosts=queue is not None and queue.method == "everyone",
        ignore_availability=body.get("ignoreAvailability") is True,
        body=body,
    )


def find_problems(body: dict[str, Any], *, strict: bool) -> list[str]:
    """Return what is wrong with the form of a booking request, in the words of the service's validator."""
    problems = []
    if not isinstance(body.get("meetingTypeId"), str) or not body["meetingTypeId"]:
        problems.append("meetingTypeId should not be empty")
    if parse_instant(body.get("start")) is None:
        problems.append("start must be ISO 8601")
    if "hostIds" in body and not _is_text_list(body["hostIds"]):
        problems.append("each value in hostIds must be a string")
    if body.get("duration") is not None and not _is_number(body["duration"]):
        problems.append("duration must be a number")
    if body.get("channel") is not None and normalize_channel(body["channel"]) is None:
        problems.append(f"channel must be one of the following values: {', '.join(CHANNELS)}")
    problems += find_type_problems(body, strings=BODY_STRINGS, booleans=BODY_BOOLEANS)
    if body.get("paymentProvider") not in (None, *PAYMENT_PROVIDERS):
        choices = ", ".join(PAYMENT_PROVIDERS)
        problems.append(f"paymentProvider must be one of the following values: {choices}")
    if "resourceChannelIds" in body and not _is_text_list(body["resourceChannelIds"]):
        problems.append("each value in resourceChannelIds must be a string")
    attendee = body.get("attendee")
    if not isinstance(attendee, dict) or not attendee:
        return [*problems, "attendee should not be empty"]
    return problems + _find_attendee_problems(
        attendee, strict=strict, phone_only=body.get("phoneOnlyBooking") is True
    )


def find_type_problems(
    body: dict[str, Any],
    *,
    strings: Mapping[str, int | None] = MappingProxyType({}),
    booleans: Iterable[str] = (),
    prefix: str = "",
) -> list[str]:
    """Return a text for each optional value of another type, and for each string over its length."""
    problems = []
    for name, limit in strings.items():
        value = body.get(name)
        if value is not None and not isinstance(value, str):
            problems.append(f"{prefix}{name} must be a string")
        elif value is not None and limit is not None and len(value) > limit:
            problems.append(f"{prefix}{name} must be shorter than or equal to {limit} characters")
    problems += [
        f"{prefix}{name} must be a boolean value"
        for name in booleans
        if body.get(name) is not None and not isinstance(body[name], bool)
    ]
    return problems


def _find_attendee_problems(attendee: dict[str, Any], *, strict: bool, phone_only: bool) -> list[str]:
    problems = []
    if phone_only:
        if not attendee.get("phone"):
            problems.append("attendee.phone should not be empty")
    elif not is_email(attendee.get("email")):
        problems.append("attendee.email must be an email")
    problems += find_type_problems(
        attendee, strings=ATTENDEE_STRINGS, booleans=("dataPolicyAccepted",), prefix="attendee."
    )
    reminders = attendee.get("receiveReminders")
    if not isinstance(reminders, bool) and (strict or reminders is not None):
        problems.append("attendee.receiveReminders must be a boolean value")
    for name in ("notes", "customFields"):
        is_required = strict and name == "notes"
        if not isinstance(attendee.get(name), dict) and (is_required or attendee.get(name) is not None):
            problems.append(f"attendee.{name} must be an object")
    guests = attendee.get("bringalongEmails") or []
    if not isinstance(guests, list) or not all(is_email(guest) for guest in guests):
        problems.append("each value in attendee.bringalongEmails must be an email")
    elif len(guests) > MAX_GUESTS:
        problems.append(f"attendee.bringalongEmails must contain no more than {MAX_GUESTS} elements")
    return problems


def is_email(text: object) -> bool:
    """Return whether a value has the form of an e-mail address."""
    return isinstance(text, str) and EMAIL.fullmatch(text) is not None


def _is_text_list(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and value > 0


def read_start(body: dict[str, Any]) -> datetime:
    """Return the ``start`` of a body. Raises ``Refused`` if it is not an instant."""
    start = parse_instant(body.get("start"))
    if start is None:
        raise Refused(400, ["start must be ISO 8601"])
    return start


def choose_hosts(
    state: State,
    kind: MeetingType,
    host_ids: list[str],
    queue_id: object,
    *,
    former_host_ids: Sequence[str] = (),
) -> tuple[list[str], Queue | None]:
    """Return the hosts a request can be about, in the order of their turn, and the queue if there is one.

    ``former_host_ids`` are those of an appointment that is moved: it keeps them, whatever the type has now.
    """
    if queue_id and queue_id != kind.queue_id:
        wrong = "Queue not found" if kind.queue_id else "queueId must not be set for this meeting type"
        raise Refused(400, wrong)
    queue = state.queues.get(kind.queue_id) if kind.queue_id else None
    own = queue.rotation() if queue is not None else [key for key in [kind.user_id] if key]
    if not host_ids:
        return own, queue
    own += [host_id for host_id in former_host_ids if host_id not in own]
    if unknown := [key for key in host_ids if key not in own]:
        raise Refused(400, f"Host {unknown[0]} does not offer this meeting type")
    return [key for key in own if key in host_ids], queue


def choose_duration(kind: MeetingType, wanted: float | None) -> int:
    """Return the duration in minutes. Raises ``Refused`` if the meeting type does not allow it."""
    if wanted is None:
        return kind.duration
    if not kind.allows(wanted):
        raise Refused(400, DURATION_TEXT)
    return int(wanted)


def normalize_channel(name: object) -> str | None:
    """Return the API's name of a channel in either vocabulary; None if it is unknown."""
    if not isinstance(name, str):
        return None
    name = CHANNEL_ALIASES.get(name, name)
    return name if name in CHANNELS else None


def choose_channel(kind: MeetingType, wanted: object) -> str:
    """Return the channel asked for, or the meeting type's own. Raises ``Refused`` if it is not allowed."""
    channel = normalize_channel(wanted) or kind.channel
    if kind.allow_select_channel and kind.allowed_channels and channel not in kind.allowed_channels:
        raise Refused(400, "Channel is not allowed for this meeting type")
    return channel


def _choose_location(kind: MeetingType, channel: str, wanted: object) -> str | None:
    if isinstance(wanted, str) and wanted:
        return wanted
    if channel == "local" and kind.locations:
        return kind.locations[0]
    return None


def read_attendee(given: dict[str, Any], attendee_id: str) -> Attendee:
    """Return the attendee of a booking request. Answers under both names are merged."""
    answers = {**(given.get("customFields") or {}), **(given.get("notes") or {})}
    firstname, lastname = _text(given.get("firstname")), _text(given.get("lastname"))
    fullname = _text(given.get("fullname")) or " ".join(filter(None, (firstname, lastname))) or None
    return Attendee(
        id=attendee_id,
        email=_text(given.get("email")),
        firstname=firstname,
        lastname=lastname,
        fullname=fullname,
        phone=_text(given.get("phone")),
        company=_text(given.get("company")),
        timezone=_text(given.get("timezone")),
        language=_text(given.get("language")),
        answers=answers,
        guests=list(given.get("bringalongEmails") or []),
    )


def _text(value: object) -> str | None:
    return None if value is None else str(value)
