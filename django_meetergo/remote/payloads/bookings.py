"""The body of a booking and its two kinds of success: confirmed and provisional."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django_meetergo.exceptions import UnreadableReply
from django_meetergo.remote.payloads.reading import (
    MAX_EMAIL_LENGTH,
    ItemList,
    build_answer,
    build_instant,
    parse_list,
    read_answers,
    read_awaits,
    read_code,
    read_id,
    read_instant,
    read_object,
    read_secret,
    require_object,
)

# Channel names of the booking guide and their names in the API. All others are sent unchanged.
CHANNELS = {"google_meet": "google", "teams": "teamsForBusiness2", "in_person": "local"}


@dataclass(frozen=True, kw_only=True, slots=True)
class AttendeePayload:
    """The attendee of a booking, with their answers to the questions of the form."""

    email: str
    first_name: str
    last_name: str
    phone: str = ""
    company: str = ""
    timezone: str = ""
    language: str = ""
    receive_reminders: bool = True
    answers: Mapping[str, Any] = field(default_factory=dict)
    other_emails: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class BookingPayload:
    """A request for one slot; either ``host_ids`` or, for a host queue, ``queue_id``."""

    meeting_type_id: str
    start: datetime
    attendee: AttendeePayload
    host_ids: tuple[str, ...] = ()
    queue_id: str = ""
    duration: int | None = None
    channel: str = ""
    location: str = ""
    skip_notifications: bool = False
    phone_only: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class BookingConfirmed:
    """The appointment exists."""

    appointment_id: str
    secret: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class BookingProvisional:
    """There is no appointment yet. ``awaits`` names who must confirm: attendee, host or unknown."""

    provisional_id: str
    awaits: str = "unknown"


@dataclass(frozen=True, kw_only=True, slots=True)
class ProvisionalDocument:
    """A booking that needs a confirmation, with the request it was made from."""

    id: str
    awaits: str
    meeting_type_id: str
    start: datetime | None
    email: str
    answers: dict[str, str]
    created_at: datetime | None


def build_booking(payload: BookingPayload) -> dict[str, Any]:
    """Build a request body that both dialects of the API accept."""
    body: dict[str, Any] = {
        "meetingTypeId": payload.meeting_type_id,
        "start": build_instant(payload.start),
        "attendee": _build_attendee(payload.attendee, phone_only=payload.phone_only),
        "duration": payload.duration,
        "channel": CHANNELS.get(payload.channel, payload.channel),
        "location": payload.location,
        "skipNotifications": payload.skip_notifications,
        "phoneOnlyBooking": payload.phone_only,
    }
    if payload.queue_id:
        body["queueId"] = payload.queue_id
    else:
        body["hostIds"] = list(payload.host_ids)
    return _drop_blanks(body)


def _build_attendee(attendee: AttendeePayload, *, phone_only: bool) -> dict[str, Any]:
    answers = {str(key): build_answer(value) for key, value in attendee.answers.items()}
    if attendee.company:
        answers.setdefault("company", attendee.company)
    given = {
        "email": "" if phone_only else attendee.email,
        "firstname": attendee.first_name,
        "lastname": attendee.last_name,
        "phone": attendee.phone,
        "company": attendee.company,
        "timezone": attendee.timezone,
        "language": attendee.language,
        "bringalongEmails": list(attendee.other_emails),
    }
    return _drop_blanks(given) | {
        "receiveReminders": attendee.receive_reminders,  # production refuses a body without this and notes
        "notes": answers,
        "customFields": dict(answers),  # where the guide's dialect reads them
        "dataPolicyAccepted": True,
    }


def _drop_blanks(body: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in body.items() if value not in (None, "", False, [])}


def parse_booking_reply(document: object) -> BookingConfirmed | BookingProvisional:
    """Parse the answer: confirmed only with an appointment id and no booking type, else provisional."""
    reply = require_object(document, "a booking")
    provisional_id = read_id(reply.get("provisionalBookingId"))
    appointment_id = read_id(reply.get("appointmentId"))
    if provisional_id or (reply.get("bookingType") and appointment_id):
        return BookingProvisional(
            provisional_id=provisional_id or appointment_id, awaits=read_awaits(reply.get("bookingType"))
        )
    if not appointment_id:
        raise UnreadableReply(
            "the answer to a booking names neither an appointment nor a provisional booking"
        )
    return BookingConfirmed(appointment_id=appointment_id, secret=read_secret(reply))


def parse_provisional_page(document: object) -> ItemList[ProvisionalDocument]:
    """Parse one page of provisional bookings and skip the entries that cannot be read."""
    return parse_list(document, _parse_provisional, "provisional booking", key="provisionalBookings")


def _parse_provisional(document: object) -> ProvisionalDocument:
    entry = require_object(document, "a provisional booking")
    if not (provisional_id := read_id(entry.get("id"))):
        raise UnreadableReply("a provisional booking without a usable id")
    request = read_object(entry.get("dto"))
    attendee = read_object(request.get("attendee"))
    return ProvisionalDocument(
        id=provisional_id,
        awaits=read_awaits(entry.get("type")),
        meeting_type_id=read_id(entry.get("meetingTypeId")) or read_id(request.get("meetingTypeId")),
        start=read_instant(request.get("start")),
        email=read_code(attendee.get("email"), MAX_EMAIL_LENGTH),
        answers=read_answers(attendee.get("notes"), attendee.get("customFields")),
        created_at=read_instant(entry.get("createdAt")),
    )
