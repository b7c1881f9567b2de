"""Appointments, and the answer to a reschedule."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any

from django_meetergo.exceptions import UnreadableReply
from django_meetergo.remote.payloads.directory import HostDocument, parse_hosts
from django_meetergo.remote.payloads.reading import (
    MAX_CODE_LENGTH,
    MAX_EMAIL_LENGTH,
    MAX_MINUTES,
    ItemList,
    parse_list,
    read_answers,
    read_code,
    read_id,
    read_ids,
    read_instant,
    read_items,
    read_line,
    read_link,
    read_number,
    read_object,
    read_secret,
    read_text,
    remove_secrets,
    require_object,
)

MAX_NAME_LENGTH = 150
MAX_COMPANY_LENGTH = 200
MAX_LANGUAGE_LENGTH = 16
MAX_LOCATION_LENGTH = 500


@dataclass(frozen=True, kw_only=True, slots=True)
class AttendeeDocument:
    """An attendee of an appointment."""

    id: str
    email: str = ""
    first_name: str = ""
    last_name: str = ""
    phone: str = ""
    company: str = ""
    timezone: str = ""
    language: str = ""
    answers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class AppointmentDocument:
    """An appointment in its current state at meetergo. ``raw`` is the whole document without secrets."""

    id: str
    start: datetime
    end: datetime
    is_cancelled: bool = False
    secret: str = ""
    meeting_type_id: str = ""
    channel: str = ""
    location: str = ""
    meeting_link: str = ""
    cancelled_at: datetime | None = None
    cancelled_by: str = ""
    cancellation_reason: str = ""
    rescheduled_at: datetime | None = None
    reschedule_count: int = 0
    attendees: tuple[AttendeeDocument, ...] = ()
    #: False when attendees may be missing here, because the list or one of its entries is unreadable.
    names_everyone: bool = True
    hosts: tuple[HostDocument, ...] = ()
    host_ids: tuple[str, ...] = ()
    created_at: datetime | None = None
    updated_at: datetime | None = None
    raw: dict[str, Any] = field(default_factory=dict, repr=False)

    @property
    def digest(self) -> str:
        """A digest of the document that ignores the order of keys and the secret."""
        text = json.dumps(self.raw, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        return sha256(text.encode("utf-8")).hexdigest()


@dataclass(frozen=True, kw_only=True, slots=True)
class RescheduleReply:
    """A reschedule that was carried out. The secret may be new, or missing."""

    appointment_id: str
    secret: str


def parse_attendee(document: object) -> AttendeeDocument:
    """Parse an attendee. Answers come under two keys; the company may be one of them."""
    person = require_object(document, "an attendee")
    first_name, last_name = _read_names(person)
    answers = read_answers(person.get("notes"), person.get("customFields"))
    company = answers.pop("company", "")
    return AttendeeDocument(
        id=read_id(person.get("id")),
        email=read_code(person.get("email"), MAX_EMAIL_LENGTH),
        first_name=first_name,
        last_name=last_name,
        phone=read_code(person.get("phone"), MAX_CODE_LENGTH),
        company=read_line(person.get("company")) or company[:MAX_COMPANY_LENGTH],
        timezone=read_code(person.get("timezone"), MAX_CODE_LENGTH),
        language=read_code(person.get("language"), MAX_LANGUAGE_LENGTH),
        answers=answers,
    )


def _read_names(person: dict[str, Any]) -> tuple[str, str]:
    first_name = read_line(person.get("firstname"), MAX_NAME_LENGTH)
    last_name = read_line(person.get("lastname"), MAX_NAME_LENGTH)
    if first_name or last_name:
        return first_name, last_name
    first_name, _, last_name = read_line(person.get("fullname"), 2 * MAX_NAME_LENGTH).partition(" ")
    return first_name[:MAX_NAME_LENGTH], last_name[:MAX_NAME_LENGTH]


def parse_appointment(document: object) -> AppointmentDocument:
    """Parse an appointment. Raise ``UnreadableReply`` without an id, a start, or an end or duration."""
    entry = require_object(document, "an appointment")
    appointment_id = read_id(entry.get("id"))
    start, end = read_instant(entry.get("start")), read_instant(entry.get("end"))
    if not appointment_id or start is None:
        raise UnreadableReply("an appointment without an id or a start")
    info = read_object(entry.get("meetingInfo"))
    attendees = read_items(entry.get("attendees"), parse_attendee, "attendee", is_unique=True)
    return AppointmentDocument(
        id=appointment_id,
        start=start,
        end=end if end is not None and end > start else _compute_end(entry, start),
        secret=read_secret(entry),
        meeting_type_id=_read_meeting_type_id(entry),
        channel=read_code(info.get("channel"), MAX_CODE_LENGTH)
        or read_code(entry.get("channel"), MAX_CODE_LENGTH),
        location=read_line(entry.get("location"), MAX_LOCATION_LENGTH),
        meeting_link=_read_meeting_link(entry),
        rescheduled_at=read_instant(entry.get("rescheduledAt")),
        reschedule_count=_read_reschedule_count(entry),
        attendees=attendees,
        names_everyone=isinstance(entry.get("attendees"), list) and not attendees.skipped,
        hosts=(hosts := parse_hosts(entry.get("hosts"))),
        host_ids=read_ids(entry.get("hostIds")) or tuple(host.id for host in hosts),
        created_at=read_instant(entry.get("createdAt")),
        updated_at=read_instant(entry.get("updatedAt")),
        raw=remove_secrets(entry),
        **_read_cancellation(entry),
    )


def _read_cancellation(entry: dict[str, Any]) -> dict[str, Any]:
    """Read the cancellation. There is no status field: a flag or the time of the cancellation shows it."""
    cancel = read_object(entry.get("cancel"))
    return {
        "is_cancelled": entry.get("isCancelled") is True or bool(cancel.get("actionAt")),
        "cancelled_at": read_instant(cancel.get("actionAt")),
        "cancelled_by": read_code(cancel.get("actionSource"), MAX_CODE_LENGTH),
        "cancellation_reason": read_text(cancel.get("reason")),
    }


def _compute_end(entry: dict[str, Any], start: datetime) -> datetime:
    meeting_type = read_object(entry.get("meetingType"))
    sources = (
        read_object(entry.get("meetingInfo")),
        read_object(meeting_type.get("meetingInfo")),
        meeting_type,
    )
    lengths = (read_number(source.get("duration"), 1, MAX_MINUTES) for source in sources)
    minutes = next((length for length in lengths if length), None)
    if minutes is None:
        raise UnreadableReply("an appointment without an end or a duration")
    return start + timedelta(minutes=minutes)


def _read_meeting_type_id(entry: dict[str, Any]) -> str:
    return read_id(entry.get("meetingTypeId")) or read_id(read_object(entry.get("meetingType")).get("id"))


def _read_meeting_link(entry: dict[str, Any]) -> str:
    places = (
        read_object(entry.get("hostingInfo")).get("meetingLink"),
        read_object(entry.get("meetingInfo")).get("meetingLink"),
        entry.get("location"),
    )
    return next((link for place in places if (link := read_link(place))), "")


def _read_reschedule_count(entry: dict[str, Any]) -> int:
    count = read_number(entry.get("rescheduleCount"))
    return count if count is not None else int(bool(entry.get("rescheduledAt")))


def parse_appointments(document: object) -> ItemList[AppointmentDocument]:
    """Parse a list of appointments and skip the entries that cannot be read."""
    return parse_list(document, parse_appointment, "appointment", key="appointments")


def parse_reschedule_reply(document: object) -> RescheduleReply:
    """Parse the whole appointment, or only its id and secret: the routes differ."""
    reply = require_object(document, "the answer to a reschedule")
    nested = reply.get("appointment")
    whole = nested if isinstance(nested, dict) else reply
    appointment_id = read_id(whole.get("id")) or read_id(reply.get("appointmentId"))
    if not appointment_id:
        raise UnreadableReply("the answer to a reschedule names no appointment")
    return RescheduleReply(appointment_id=appointment_id, secret=read_secret(whole) or read_secret(reply))
