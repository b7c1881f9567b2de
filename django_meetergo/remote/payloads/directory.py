"""Hosts, host queues, meeting types and data fields."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from django_meetergo.exceptions import UnreadableReply
from django_meetergo.remote.payloads.reading import (
    MAX_CODE_LENGTH,
    MAX_EMAIL_LENGTH,
    MAX_ID_LENGTH,
    MAX_MINUTES,
    ItemList,
    build_answer,
    parse_list,
    read_code,
    read_id,
    read_items,
    read_line,
    read_lines,
    read_link,
    read_list,
    read_number,
    read_object,
    read_text,
    remove_secrets,
    require_list,
    require_object,
)

ENABLED_WORDS = frozenset({"enabled", "enable", "always", "on", "true", "yes"})
MAX_PAGE_LINK_LENGTH = 500
MAX_LOCATION_LENGTH = 500
DISABLED_WORDS = frozenset({"disabled", "disable", "never", "off", "false", "no"})
MAX_QUESTION_LENGTH = 500
#: What a data field's type asks for. Unknown types are text.
QUESTION_KINDS = {
    "text-multi": "multiline",
    "email": "email",
    "phone": "phone",
    "number": "number",
    "slide": "number",
    "rating": "number",
    "scale": "number",
    "select": "select",
    "radio": "radio",
    "checkbox-single": "checkbox",
    "checkbox-multi": "checkboxes",
    "url": "url",
    "date": "date",
    "date-of-birth": "date",
    "time": "time",
    "yes-no": "yes_no",
    "file": "upload",
    "signature": "upload",
}
#: Kinds that are text if no choices can be read.
KINDS_WITH_CHOICES = frozenset({"select", "radio", "checkboxes"})


@dataclass(frozen=True, kw_only=True, slots=True)
class HostDocument:
    """A user of the company. In lists of hosts most fields may be unknown."""

    id: str
    email: str = ""
    name: str = ""
    timezone: str = ""
    is_admin: bool = False
    company_id: str = ""
    raw: dict[str, Any] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class HandoffHost:
    """A host to whom an appointment may be handed over, unless blocked at its time."""

    id: str
    is_blocked: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class MeetingTypeDocument:
    """A kind of appointment that can be booked."""

    id: str
    slug: str
    name: str
    description: str
    duration: int | None
    allowed_durations: tuple[int, ...]
    channel: str
    allowed_channels: tuple[str, ...]
    select_channel: bool
    locations: tuple[str, ...]
    spots: int
    host_id: str
    queue_id: str
    enabled: bool
    booking_url: str
    confirmation: str
    needs_own_page: bool
    allows_guests: bool
    allows_phone_only: bool
    redirect_url: str
    raw: dict[str, Any] = field(repr=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class DataFieldDocument:
    """A question that the company can ask in its forms. ``choices`` are pairs of value and label."""

    id: str
    name: str
    label: str
    kind: str
    required: bool
    choices: tuple[tuple[str, str], ...]
    raw: dict[str, Any] = field(repr=False)


def parse_host(document: object) -> HostDocument:
    """Parse a user. Raise ``UnreadableReply`` without an id."""
    person = require_object(document, "a host")
    if not (person_id := read_id(person.get("id"))):
        raise UnreadableReply("a host without a usable id")
    return HostDocument(
        id=person_id,
        email=read_code(person.get("email"), MAX_EMAIL_LENGTH),
        name=_read_full_name(person),
        timezone=read_code(person.get("timezone"), MAX_CODE_LENGTH),
        is_admin=person.get("isAdmin") is True,
        company_id=read_id(person.get("companyId")),
        raw=remove_secrets(person),
    )


def parse_one_time_link(document: object) -> str:
    """Parse the answer to the creation of a link. Raise ``UnreadableReply`` without its address."""
    reply = require_object(document, "a one-time link")
    if not (link := read_link(reply.get("url")) or read_link(reply.get("link"))):
        raise UnreadableReply("a one-time link without an address")
    return link


def parse_handoff_host(document: object) -> HandoffHost:
    """Parse a colleague. One whose availability is not stated counts as free: meetergo decides."""
    host = parse_host(document)
    return HandoffHost(id=host.id, is_blocked=read_object(document).get("blocked") is True)


def parse_handoff_hosts(document: object) -> ItemList[HandoffHost]:
    """Parse the colleagues of an appointment's hosts and skip the entries that cannot be read."""
    return parse_list(document, parse_handoff_host, "host", key="users", is_unique=True)


def parse_hosts(value: object) -> ItemList[HostDocument]:
    """Parse a list of hosts and skip the entries that cannot be read."""
    return read_items(value, parse_host, "host", is_unique=True)


def _read_full_name(person: dict[str, Any]) -> str:
    parts = (read_line(person.get("givenName")), read_line(person.get("familyName")))
    return read_line(person.get("fullName")) or read_line(" ".join(parts))


def parse_host_page(document: object) -> ItemList[HostDocument]:
    """Parse one page of users and skip the entries that cannot be read."""
    return parse_hosts(require_list(document, "a list of users", key="users"))


def parse_queue(document: object) -> tuple[HostDocument, ...]:
    """Parse the hosts of a queue. They have their names where the document holds them, else only ids."""
    queue = require_object(document, "a queue")
    if not read_id(queue.get("id")):
        raise UnreadableReply("a queue without a usable id")
    named = parse_hosts(queue.get("users")) or parse_hosts(queue.get("hosts"))
    known = {host.id for host in named}
    ids = (read_id(value) for value in read_list(queue.get("userIds")))
    unnamed = tuple(HostDocument(id=host_id) for host_id in ids if host_id and host_id not in known)
    return named + unnamed


def parse_meeting_types(document: object) -> ItemList[MeetingTypeDocument]:
    """Parse a list of meeting types and skip the entries that cannot be read."""
    return parse_list(document, parse_meeting_type, "meeting type", key="meetingTypes", is_unique=True)


def parse_meeting_type(document: object) -> MeetingTypeDocument:
    """Parse a meeting type. Raise ``UnreadableReply`` without an id."""
    entry = require_object(document, "a meeting type")
    if not (type_id := read_id(entry.get("id"))):
        raise UnreadableReply("a meeting type without a usable id")
    info = read_object(entry.get("meetingInfo"))
    options = read_object(entry.get("meetingOptions"))
    return MeetingTypeDocument(
        id=type_id,
        slug=read_line(entry.get("slug")),
        name=read_line(info.get("name")) or read_line(entry.get("name")),
        description=read_text(info.get("description")) or read_text(entry.get("description")),
        duration=_read_minutes(info.get("duration")) or _read_minutes(entry.get("duration")),
        allowed_durations=_read_durations(options.get("allowedDurations")),
        channel=read_code(info.get("channel"), MAX_CODE_LENGTH)
        or read_code(entry.get("channel"), MAX_CODE_LENGTH),
        allowed_channels=read_lines(options.get("allowedChannels")),
        select_channel=options.get("allowSelectChannel") is True,
        locations=_read_locations(entry.get("locations")),
        spots=read_number(entry.get("spots"), 1) or 1,
        host_id=read_id(entry.get("userId")),
        queue_id=read_id(entry.get("queueId")),
        enabled=entry.get("enabled") is not False and not entry.get("deletedAt"),
        booking_url=read_link(entry.get("bookingUrl"), MAX_PAGE_LINK_LENGTH),
        confirmation=_read_confirmation(options),
        needs_own_page=read_object(options.get("bookingPagePassword")).get("enable") is True,
        allows_guests=options.get("allowAddingGuests") is True,
        allows_phone_only=options.get("allowPhoneOnlyBooking") is True,
        redirect_url=read_link(info.get("redirect"), MAX_PAGE_LINK_LENGTH)
        if info.get("enableRedirect") is True
        else "",
        raw=remove_secrets(entry),
    )


def _read_durations(value: object) -> tuple[int, ...]:
    return tuple(sorted({minutes for item in read_list(value) if (minutes := _read_minutes(item))}))


def _read_minutes(value: object) -> int | None:
    return read_number(value, 1, MAX_MINUTES)


def _read_locations(value: object) -> tuple[str, ...]:
    """Read locations: plain texts, or objects that hold the text under one of several keys."""
    found = (
        read_line(item, MAX_LOCATION_LENGTH) or _read_location(read_object(item)) for item in read_list(value)
    )
    return tuple(text for text in found if text)


def _read_location(item: dict[str, Any]) -> str:
    texts = (
        read_line(item.get(key), MAX_LOCATION_LENGTH)
        for key in ("location", "address", "name", "label", "value")
    )
    return next((text for text in texts if text), "")


def _read_confirmation(options: dict[str, Any]) -> str:
    """Return none, attendee, host or both, or unknown if the company's settings decide."""
    attendee = _read_switch(options.get("doubleOptIn"))
    host = _read_switch(options.get("requireHostConfirmation"))
    if attendee and host:
        return "both"
    if attendee or host:
        return "attendee" if attendee else "host"
    return "none" if attendee is False and host is False else "unknown"


def _read_switch(value: object) -> bool | None:
    if isinstance(value, bool):
        return value
    word = read_text(value).lower()
    return True if word in ENABLED_WORDS else False if word in DISABLED_WORDS else None


def parse_data_fields(document: object) -> ItemList[DataFieldDocument]:
    """Parse a list of data fields and skip the entries that cannot be read."""
    return parse_list(document, parse_data_field, "data field", key="data", is_unique=True)


def parse_data_field(document: object) -> DataFieldDocument:
    """Parse a data field. Raise ``UnreadableReply`` without an id."""
    entry = require_object(document, "a data field")
    if not (field_id := read_id(entry.get("id"))):
        raise UnreadableReply("a data field without a usable id")
    name = read_code(entry.get("name"), MAX_ID_LENGTH)
    choices = _read_choices(entry.get("options"))
    kind = QUESTION_KINDS.get(read_line(entry.get("fieldType")), "text")
    return DataFieldDocument(
        id=field_id,
        name=name,
        label=read_line(entry.get("label"), MAX_QUESTION_LENGTH) or name or field_id,
        kind="text" if kind in KINDS_WITH_CHOICES and not choices else kind,
        required=entry.get("required") is True,
        choices=choices,
        raw=remove_secrets(entry),
    )


def _read_choices(value: object) -> tuple[tuple[str, str], ...]:
    """Read choices: objects with value and label, or plain texts. Each value comes once."""
    found: dict[str, str] = {}
    for item in read_list(value):
        choice = item if isinstance(item, dict) else {"value": item}
        chosen = read_line(build_answer(choice.get("value"))) or read_line(choice.get("label"))
        if chosen:
            found.setdefault(chosen, read_line(choice.get("label")) or chosen)
    return tuple(found.items())


def parse_calendar_count(document: object) -> int:
    """Return how many calendars a list names. What its entries hold is not documented."""
    entries = require_list(document, "calendars", key="connections")
    return sum(isinstance(entry, dict) for entry in entries)
