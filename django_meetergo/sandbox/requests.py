"""Reading a booking request: what it lacks, what it asks for, and whom it may have."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any
from uuid import uuid4

from django_meetergo.sandbox.bookings import BookingRequest, Bookings
from django_meetergo.sandbox.clock import parse_instant
from django_meetergo.sandbox.records import (
    CHANNEL_ALIASES,
    CHANNELS,
    Attendee,
    MeetingType,
    Queue,
    Refused,
    Settings,
)

MAX_GUESTS = 5
DURATION_TEXT = "Duration must match one of the allowed durations for this meeting type"
ADDRESS = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")


def read_booking_request(body: dict[str, Any], state: Bookings) -> BookingRequest:
    """An ``Order`` from the body of ``POST /v4/booking``; ``Refused`` says what is wrong with it."""
    require(find_problems(body, state.settings))
    host_ids, queue_id = body.get("hostIds") or [], body.get("queueId")
    if not host_ids and not queue_id:
        raise Refused(400, "hostIds or queueId is required")
    kind = state.meeting_types.get(str(body["meetingTypeId"]))
    if kind is None:
        raise Refused(404, "Meeting type not found")
    candidates, queue = choose_scope(state, kind, [str(key) for key in host_ids], queue_id)
    channel = pick_channel(kind, body.get("channel"))
    return BookingRequest(
        meeting_type=kind,
        start=read_start(body),
        duration=pick_duration(kind, body.get("duration")),
        host_ids=candidates,
        attendee=read_attendee(body["attendee"]),
        channel=channel,
        location=_pick_location(kind, channel, body.get("location")),
        queue=queue,
        together=queue is not None and queue.method == "everyone",
        ignore_availability=body.get("ignoreAvailability") is True,
        skip_notifications=body.get("skipNotifications") is True,
        dto=body,
    )


def require(problems: list[str]) -> None:
    """Refuse with the list of problems, if there are any."""
    if problems:
        raise Refused(400, problems)


def find_problems(body: dict[str, Any], settings: Settings) -> list[str]:
    """Everything a validator would say about a booking request."""
    problems = []
    if not isinstance(body.get("meetingTypeId"), str) or not body["meetingTypeId"]:
        problems.append("meetingTypeId should not be empty")
    if parse_instant(body.get("start")) is None:
        problems.append("start must be ISO 8601")
    if "hostIds" in body and not _is_texts(body["hostIds"]):
        problems.append("each value in hostIds must be a string")
    if body.get("duration") is not None and not _is_number(body["duration"]):
        problems.append("duration must be a number")
    if body.get("channel") is not None and pick_known_channel(body["channel"]) is None:
        problems.append(f"channel must be one of the following values: {', '.join(CHANNELS)}")
    for name, limit in (("icsTitle", 200), ("icsDescription", 2000), ("couponCode", 32)):
        if len(str(body.get(name) or "")) > limit:
            problems.append(f"{name} must be shorter than or equal to {limit} characters")
    attendee = body.get("attendee")
    if not isinstance(attendee, dict) or not attendee:
        return [*problems, "attendee should not be empty"]
    return problems + _attendee_problems(attendee, strict=settings.strict, phone_only=_is_phone_only(body))


def _attendee_problems(attendee: dict[str, Any], *, strict: bool, phone_only: bool) -> list[str]:
    problems = []
    if phone_only:
        if not attendee.get("phone"):
            problems.append("attendee.phone should not be empty")
    elif not is_address(attendee.get("email")):
        problems.append("attendee.email must be an email")
    reminders = attendee.get("receiveReminders")
    if not isinstance(reminders, bool) and (strict or reminders is not None):
        problems.append("attendee.receiveReminders must be a boolean value")
    for name in ("notes", "customFields"):
        must_be_there = strict and name == "notes"
        if not isinstance(attendee.get(name), dict) and (must_be_there or attendee.get(name) is not None):
            problems.append(f"attendee.{name} must be an object")
    guests = attendee.get("bringalongEmails") or []
    if not isinstance(guests, list) or not all(is_address(guest) for guest in guests):
        problems.append("each value in attendee.bringalongEmails must be an email")
    elif len(guests) > MAX_GUESTS:
        problems.append(f"attendee.bringalongEmails must contain no more than {MAX_GUESTS} elements")
    return problems


def is_address(text: object) -> bool:
    """Whether this looks like an e-mail address."""
    return isinstance(text, str) and ADDRESS.fullmatch(text) is not None


def _is_phone_only(body: dict[str, Any]) -> bool:
    return body.get("phoneOnlyBooking") is True


def _is_texts(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and value > 0


def read_start(body: dict[str, Any]) -> datetime:
    """The ``start`` of a body, or a refusal."""
    start = parse_instant(body.get("start"))
    if start is None:
        raise Refused(400, ["start must be ISO 8601"])
    return start


def choose_scope(
    state: Bookings, kind: MeetingType, host_ids: list[str], queue_id: object
) -> tuple[list[str], Queue | None]:
    """The hosts that may be asked, in the order of their turn, and the queue if there is one."""
    if queue_id and queue_id != kind.queue_id:
        wrong = "Queue not found" if kind.queue_id else "queueId must not be set for this meeting type"
        raise Refused(400, wrong)
    queue = state.queues.get(kind.queue_id) if kind.queue_id else None
    own = queue.rotation() if queue is not None else [key for key in [kind.user_id] if key]
    if not host_ids:
        return own, queue
    if unknown := [key for key in host_ids if key not in own]:
        raise Refused(400, f"Host {unknown[0]} does not offer this meeting type")
    return [key for key in own if key in host_ids], queue


def pick_duration(kind: MeetingType, wanted: float | None) -> int:
    """The minutes a meeting shall last, if the meeting type allows them."""
    if wanted is None:
        return kind.duration
    if not kind.allows(wanted):
        raise Refused(400, DURATION_TEXT)
    return int(wanted)


def pick_known_channel(name: object) -> str | None:
    """The API's name for a channel, whichever vocabulary it was said in."""
    if not isinstance(name, str):
        return None
    name = CHANNEL_ALIASES.get(name, name)
    return name if name in CHANNELS else None


def pick_channel(kind: MeetingType, wanted: object) -> str:
    """The channel a meeting shall have; the meeting type's own when none was named."""
    channel = pick_known_channel(wanted) or kind.channel
    if kind.allow_select_channel and kind.allowed_channels and channel not in kind.allowed_channels:
        raise Refused(400, "Channel is not allowed for this meeting type")
    return channel


def _pick_location(kind: MeetingType, channel: str, wanted: object) -> str | None:
    if isinstance(wanted, str) and wanted:
        return wanted
    if channel == "local" and kind.locations:
        return kind.locations[0]
    return None


def read_attendee(given: dict[str, Any]) -> Attendee:
    """The attendee of a booking request. Answers under either name are merged."""
    answers = {**(given.get("customFields") or {}), **(given.get("notes") or {})}
    firstname, lastname = _text(given.get("firstname")), _text(given.get("lastname"))
    fullname = _text(given.get("fullname")) or " ".join(filter(None, (firstname, lastname))) or None
    return Attendee(
        id=str(uuid4()),
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
