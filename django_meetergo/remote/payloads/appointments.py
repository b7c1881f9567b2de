"""Appointments as the service tells them, and the answer to a move."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any

from django_meetergo.exceptions import UnreadableReply
from django_meetergo.remote.payloads.directory import HostDocument, parse_hosts
from django_meetergo.remote.payloads.reading import (
    need_list,
    need_object,
    read_answers,
    read_id,
    read_ids,
    read_instant,
    read_link,
    read_number,
    read_object,
    read_objects,
    read_text,
    without_secrets,
)


@dataclass(frozen=True, kw_only=True, slots=True)
class AttendeeDocument:
    """A person who comes to an appointment."""

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
    """An appointment as it stands at meetergo; ``raw`` is the whole document without its secrets."""

    id: str
    start: datetime
    end: datetime
    is_cancelled: bool = False
    secret: str = field(default="", repr=False)
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
    hosts: tuple[HostDocument, ...] = ()
    host_ids: tuple[str, ...] = ()
    note: str = ""
    created_at: datetime | None = None
    updated_at: datetime | None = None
    raw: dict[str, Any] = field(default_factory=dict, repr=False)

    @property
    def digest(self) -> str:
        """The same for the same document, whatever the order of its keys and whatever its secret."""
        text = json.dumps(self.raw, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        return sha256(text.encode("utf-8")).hexdigest()


@dataclass(frozen=True, kw_only=True, slots=True)
class AppointmentPage:
    """One page of a list; ``unreadable`` counts entries left out, so that a reader knows it is incomplete."""

    appointments: tuple[AppointmentDocument, ...]
    total: int | None = None
    page: int | None = None
    unreadable: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class RescheduleReply:
    """A move that was carried out; which parts are told depends on the route."""

    appointment_id: str
    secret: str = field(default="", repr=False)
    start: datetime | None = None
    appointment: AppointmentDocument | None = None


def parse_attendee(document: object) -> AttendeeDocument:
    """Answers come under two names; a company may be among them."""
    person = need_object(document, "an attendee")
    first_name, last_name = _names(person)
    answers = read_answers(person.get("notes"), person.get("customFields"))
    company = answers.pop("company", "")
    return AttendeeDocument(
        id=read_id(person.get("id")),
        email=read_text(person.get("email")),
        first_name=first_name,
        last_name=last_name,
        phone=read_text(person.get("phone")),
        company=read_text(person.get("company")) or company,
        timezone=read_text(person.get("timezone")),
        language=read_text(person.get("language")),
        answers=answers,
    )


def _names(person: dict[str, Any]) -> tuple[str, str]:
    first_name, last_name = read_text(person.get("firstname")), read_text(person.get("lastname"))
    if first_name or last_name:
        return first_name, last_name
    first_name, _, last_name = read_text(person.get("fullname")).strip().partition(" ")
    return first_name, last_name.strip()


def parse_appointment(document: object) -> AppointmentDocument:
    entry = need_object(document, "an appointment")
    appointment_id, start = read_id(entry.get("id")), read_instant(entry.get("start"))
    if not appointment_id or start is None:
        raise UnreadableReply("an appointment without an id or a start")
    info = read_object(entry.get("meetingInfo"))
    return AppointmentDocument(
        id=appointment_id,
        start=start,
        end=read_instant(entry.get("end")) or _end(entry, start),
        secret=read_text(entry.get("secret")),
        meeting_type_id=_meeting_type_id(entry),
        channel=read_text(info.get("channel")) or read_text(entry.get("channel")),
        location=read_text(entry.get("location")),
        meeting_link=_meeting_link(entry),
        rescheduled_at=read_instant(entry.get("rescheduledAt")),
        reschedule_count=_reschedule_count(entry),
        attendees=tuple(parse_attendee(person) for person in read_objects(entry.get("attendees"))),
        hosts=(hosts := parse_hosts(entry.get("hosts"))),
        host_ids=read_ids(entry.get("hostIds")) or tuple(host.id for host in hosts),
        note=read_text(entry.get("note")),
        created_at=read_instant(entry.get("createdAt")),
        updated_at=read_instant(entry.get("updatedAt")),
        raw=without_secrets(entry),
        **_cancellation(entry),
    )


def _cancellation(entry: dict[str, Any]) -> dict[str, Any]:
    """There is no status on the wire: a flag or the time of the cancellation says it."""
    cancel = read_object(entry.get("cancel"))
    return {
        "is_cancelled": entry.get("isCancelled") is True or bool(cancel.get("actionAt")),
        "cancelled_at": read_instant(cancel.get("actionAt")),
        "cancelled_by": read_text(cancel.get("actionSource")),
        "cancellation_reason": read_text(cancel.get("reason")),
    }


def _end(entry: dict[str, Any], start: datetime) -> datetime:
    meeting_type = read_object(entry.get("meetingType"))
    sources = (
        read_object(entry.get("meetingInfo")),
        read_object(meeting_type.get("meetingInfo")),
        meeting_type,
    )
    minutes = next((found for source in sources if (found := read_number(source.get("duration")))), None)
    if minutes is None:
        raise UnreadableReply("an appointment without an end or a duration")
    return start + timedelta(minutes=minutes)


def _meeting_type_id(entry: dict[str, Any]) -> str:
    return read_id(entry.get("meetingTypeId")) or read_id(read_object(entry.get("meetingType")).get("id"))


def _meeting_link(entry: dict[str, Any]) -> str:
    places = (
        read_object(entry.get("hostingInfo")).get("meetingLink"),
        read_object(entry.get("meetingInfo")).get("meetingLink"),
        entry.get("location"),
    )
    return next((link for place in places if (link := read_link(place))), "")


def _reschedule_count(entry: dict[str, Any]) -> int:
    count = read_number(entry.get("rescheduleCount"))
    return max(count, 0) if count is not None else int(bool(entry.get("rescheduledAt")))


def parse_appointments(document: object) -> AppointmentPage:
    """Every appointment of a list that can be read; one bad entry does not hide the others."""
    entries = need_list(document, "appointments", key="appointments")
    readable = tuple(found for entry in entries if (found := _appointment_or_none(entry)))
    return AppointmentPage(appointments=readable, unreadable=len(entries) - len(readable))


def _appointment_or_none(entry: object) -> AppointmentDocument | None:
    try:
        return parse_appointment(entry)
    except UnreadableReply:
        return None


def parse_appointment_page(document: object) -> AppointmentPage:
    found, facts = parse_appointments(document), read_object(document)
    return AppointmentPage(
        appointments=found.appointments,
        unreadable=found.unreadable,
        total=read_number(facts.get("total")),
        page=read_number(facts.get("page")),
    )


def parse_reschedule_reply(document: object) -> RescheduleReply:
    """The whole appointment, or only its id and secret: the routes differ."""
    reply = need_object(document, "the answer to a move")
    nested = reply.get("appointment")
    whole = nested if isinstance(nested, dict) else reply
    appointment_id = read_id(whole.get("id")) or read_id(reply.get("appointmentId"))
    if not appointment_id:
        raise UnreadableReply("the answer to a move names no appointment")
    appointment = _appointment_or_none(whole)
    return RescheduleReply(
        appointment_id=appointment_id,
        secret=read_text(whole.get("secret")) or read_text(reply.get("secret")),
        start=appointment.start if appointment else read_instant(whole.get("start")),
        appointment=appointment,
    )
