"""People and meeting types: who can be met, and for what."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from django_meetergo.exceptions import UnreadableReply
from django_meetergo.remote.payloads.reading import (
    need_list,
    need_object,
    read_id,
    read_link,
    read_list,
    read_number,
    read_object,
    read_objects,
    read_text,
    without_secrets,
)

YES_WORDS = frozenset({"enabled", "enable", "always", "on", "true", "yes"})
NO_WORDS = frozenset({"disabled", "disable", "never", "off", "false", "no"})


@dataclass(frozen=True, kw_only=True, slots=True)
class HostDocument:
    """A person of the company; in lists of hosts most fields may be unknown."""

    id: str
    email: str = ""
    name: str = ""
    timezone: str = ""
    slug: str = ""
    is_admin: bool = False
    company_id: str = ""
    raw: dict[str, Any] = field(default_factory=dict, repr=False)


UserDocument = HostDocument


@dataclass(frozen=True, kw_only=True, slots=True)
class HostPage:
    """One page of the company's people."""

    hosts: tuple[HostDocument, ...]
    total: int | None


@dataclass(frozen=True, kw_only=True, slots=True)
class QueueDocument:
    """The hosts among whom a round-robin meeting type chooses."""

    id: str
    hosts: tuple[HostDocument, ...]


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


def parse_host(document: object) -> HostDocument:
    person = need_object(document, "a person")
    if not (person_id := read_id(person.get("id"))):
        raise UnreadableReply("a person without an id")
    return HostDocument(
        id=person_id,
        email=read_text(person.get("email")),
        name=_full_name(person),
        timezone=read_text(person.get("timezone")),
        slug=read_text(person.get("slug")),
        is_admin=person.get("isAdmin") is True,
        company_id=read_id(person.get("companyId")),
        raw=without_secrets(person),
    )


def parse_hosts(value: object) -> tuple[HostDocument, ...]:
    """The readable entries of a list of hosts."""
    return tuple(parse_host(person) for person in read_objects(value) if read_id(person.get("id")))


def _full_name(person: dict[str, Any]) -> str:
    parts = (read_text(person.get("givenName")), read_text(person.get("familyName")))
    return read_text(person.get("fullName")).strip() or " ".join(part for part in parts if part).strip()


def parse_host_page(document: object) -> HostPage:
    people = need_list(document, "a list of people", key="users")
    return HostPage(hosts=parse_hosts(people), total=read_number(read_object(document).get("total")))


def parse_queue(document: object) -> QueueDocument:
    """Hosts with their names where the service tells them, else by id alone."""
    queue = need_object(document, "a queue")
    if not (queue_id := read_id(queue.get("id"))):
        raise UnreadableReply("a queue without an id")
    named = parse_hosts(queue.get("users")) or parse_hosts(queue.get("hosts"))
    known = {host.id for host in named}
    ids = (read_id(value) for value in read_list(queue.get("userIds")))
    unnamed = tuple(HostDocument(id=host_id) for host_id in ids if host_id and host_id not in known)
    return QueueDocument(id=queue_id, hosts=named + unnamed)


def parse_meeting_types(document: object) -> tuple[MeetingTypeDocument, ...]:
    return tuple(
        parse_meeting_type(entry) for entry in need_list(document, "meeting types", key="meetingTypes")
    )


def parse_meeting_type(document: object) -> MeetingTypeDocument:
    entry = need_object(document, "a meeting type")
    if not (type_id := read_id(entry.get("id"))):
        raise UnreadableReply("a meeting type without an id")
    info = read_object(entry.get("meetingInfo"))
    options = read_object(entry.get("meetingOptions"))
    return MeetingTypeDocument(
        id=type_id,
        slug=read_text(entry.get("slug")),
        name=read_text(info.get("name")) or read_text(entry.get("name")),
        description=read_text(info.get("description")) or read_text(entry.get("description")),
        duration=read_number(info.get("duration")) or read_number(entry.get("duration")),
        allowed_durations=_durations(options.get("allowedDurations")),
        channel=read_text(info.get("channel")) or read_text(entry.get("channel")),
        allowed_channels=_texts(options.get("allowedChannels")),
        select_channel=options.get("allowSelectChannel") is True,
        locations=_locations(entry.get("locations")),
        spots=max(read_number(entry.get("spots")) or 1, 1),
        host_id=read_id(entry.get("userId")),
        queue_id=read_id(entry.get("queueId")),
        enabled=entry.get("enabled") is not False and not entry.get("deletedAt"),
        booking_url=read_link(entry.get("bookingUrl")),
        confirmation=_confirmation(options),
        needs_own_page=read_object(options.get("bookingPagePassword")).get("enable") is True,
        allows_guests=options.get("allowAddingGuests") is True,
        allows_phone_only=options.get("allowPhoneOnlyBooking") is True,
        redirect_url=read_link(info.get("redirect")) if info.get("enableRedirect") is True else "",
        raw=without_secrets(entry),
    )


def _durations(value: object) -> tuple[int, ...]:
    minutes = (read_number(item) for item in read_list(value))
    return tuple(sorted({length for length in minutes if length and length > 0}))


def _texts(value: object) -> tuple[str, ...]:
    return tuple(text for item in read_list(value) if (text := read_text(item)))


def _locations(value: object) -> tuple[str, ...]:
    """Places come as plain text, or as objects that say it under one of several names."""
    found = (read_text(item) or _place(read_object(item)) for item in read_list(value))
    return tuple(text for text in found if text)


def _place(item: dict[str, Any]) -> str:
    texts = (read_text(item.get(key)) for key in ("location", "address", "name", "label", "value"))
    return next((text for text in texts if text), "")


def _confirmation(options: dict[str, Any]) -> str:
    """none, attendee, host or both; unknown while the company's settings decide."""
    attendee = _switch(options.get("doubleOptIn"))
    host = _switch(options.get("requireHostConfirmation"))
    if attendee and host:
        return "both"
    if attendee or host:
        return "attendee" if attendee else "host"
    return "none" if attendee is False and host is False else "unknown"


def _switch(value: object) -> bool | None:
    if isinstance(value, bool):
        return value
    word = read_text(value).lower()
    return True if word in YES_WORDS else False if word in NO_WORDS else None
