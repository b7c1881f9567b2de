"""Availability documents in the cache: their windows, their format and their age."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

from django_meetergo.cache import cache
from django_meetergo.models import Host, MeetingType
from django_meetergo.remote.payloads import Slot as Slot  # what a ``SlotList`` holds
from django_meetergo.services.availability import demand

WINDOW = timedelta(days=31)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
#: A younger document is shown without a refresh.
FRESH = timedelta(seconds=60)
#: An older document is shown while it is being refreshed, or during an outage, until it is this old.
STALE = timedelta(minutes=15)
#: How long a document that nobody views, and so nobody refreshes, stays in the cache.
KEEP_FOR = timedelta(hours=1)


#: What a page was rendered from: cache key, id of the document (None for the stamp of holds) and stamp.
Source = tuple[str, demand.DocumentId | None, str]


@dataclass(frozen=True, kw_only=True)
class SlotList:
    """The free times of a span, soonest first.

    ``as_of`` is when the oldest document was fetched. ``stale``: the last refresh failed, so the times come
    from an earlier answer. ``failed``: meetergo did not answer and a document is missing, so the list is
    incomplete. ``sources`` are the documents that were read; empty if one of them is missing.
    """

    times: tuple[Slot, ...]
    as_of: datetime | None
    stale: bool = False
    failed: bool = False
    sources: tuple[Source, ...] = ()


#: There is no document, and meetergo did not answer.
NO_ANSWER = SlotList(times=(), as_of=None, failed=True)


@dataclass(frozen=True, kw_only=True)
class Window:
    """The window of a document: a meeting type, a duration in minutes and the n-th 31 days since 1970.

    ``moving`` is meetergo's id of an appointment to be rescheduled, whose own time counts as free, and
    ``host_ids`` are its hosts, whom it keeps: whoever it is handed over to has other times.
    """

    meeting_type: MeetingType
    duration: int
    number: int
    moving: str = ""
    host_ids: tuple[str, ...] = ()

    @property
    def start(self) -> datetime:
        return EPOCH + self.number * WINDOW

    @property
    def end(self) -> datetime:
        return self.start + WINDOW

    @property
    def id(self) -> demand.DocumentId:
        return self.meeting_type.pk, self.duration, self.number

    @property
    def key(self) -> str:
        kind = self.meeting_type
        parts = (
            f"{kind.connection}|{kind.remote_id}|{kind.calculation_method}|"
            f"{self.duration}|{self.number}|{self.moving}|{self.host_ids}"
        )
        return "meetergo:times:" + hashlib.sha256(parts.encode()).hexdigest()[:32]


def list_windows(
    meeting_type: MeetingType, duration: int, start: datetime, end: datetime, moving: str = ""
) -> Iterator[Window]:
    """Yield the windows that contain a part of the span, in order."""
    number = (start - EPOCH) // WINDOW
    host_ids = list_hosts_of(meeting_type, moving) if moving else ()
    while EPOCH + number * WINDOW < end:
        yield Window(
            meeting_type=meeting_type, duration=duration, number=number, moving=moving, host_ids=host_ids
        )
        number += 1


def list_hosts_of(meeting_type: MeetingType, appointment_id: str) -> tuple[str, ...]:
    """Return meetergo's ids of the hosts of an appointment; none while they are not known."""
    hosts = Host.objects.filter(
        appointments__connection=meeting_type.connection, appointments__remote_id=appointment_id
    )
    return tuple(hosts.order_by("remote_id").values_list("remote_id", flat=True))


def get_document(window: Window, now: datetime) -> dict[str, Any] | None:
    """Return the stored document, unless it is too old to be shown."""
    stored: dict[str, Any] | None = cache.get(window.key)
    return stored if is_showable(stored, now) else None


def is_showable(stored: dict[str, Any] | None, now: datetime) -> bool:
    """Whether the document is young enough to be shown."""
    return stored is not None and now.timestamp() - stored["at"] <= STALE.total_seconds()


def needs_refresh(stored: dict[str, Any], now: datetime) -> bool:
    """Whether the document is known to be outdated, or no longer fresh."""
    return bool(stored.get("outdated")) or now.timestamp() - stored["at"] >= FRESH.total_seconds()


def store_document(window: Window, stored: dict[str, Any]) -> None:
    cache.set(window.key, stored, KEEP_FOR.total_seconds())


def pack(times: Iterable[tuple[int, int | None]]) -> str:
    """Encode times as one text, so that reading only the stamp does not unpickle hundreds of tuples."""
    return json.dumps(list(times))


def unpack(stored: dict[str, Any]) -> list[tuple[int, int | None]]:
    """Return the starts in seconds since 1970, each with the seats left."""
    return [(start, seats) for start, seats in json.loads(stored["times"])]


def build_slot_list(window: Window, stored: dict[str, Any]) -> SlotList:
    """Return the times of a stored document. It is stale if its last refresh failed."""
    times = tuple(Slot(start=parse_timestamp(start), seats_left=seats) for start, seats in unpack(stored))
    source = (window.key, window.id, stored["stamp"])
    return SlotList(
        times=times, as_of=parse_timestamp(stored["at"]), stale=bool(stored.get("failed")), sources=(source,)
    )


def add_stamp(stored: dict[str, Any]) -> dict[str, Any]:
    """Return the document with a new stamp, which identifies this version of it."""
    return {**stored, "stamp": uuid4().hex}


def parse_timestamp(timestamp: float) -> datetime:
    return datetime.fromtimestamp(timestamp, UTC)


def flag_document(window: Window, **flags: bool) -> None:
    """Set ``outdated`` (known to be wrong) or ``failed`` (its refresh failed) on a stored document."""
    stored = cache.get(window.key)
    if stored:
        store_document(window, add_stamp({**stored, **flags}))


def find_window(meeting_type: MeetingType, duration: int, start: datetime, moving: str = "") -> Window:
    """Return the window that contains a start."""
    return next(list_windows(meeting_type, duration, start, start + timedelta(microseconds=1), moving))


def has_start(stored: dict[str, Any], start: datetime) -> bool:
    return start.timestamp() in dict(unpack(stored))
