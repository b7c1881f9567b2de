"""Availability documents in the Django cache."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

from django.core.cache import BaseCache, caches

from django_meetergo.conf import get_settings
from django_meetergo.models import MeetingType
from django_meetergo.services.availability import demand

WINDOW = timedelta(days=31)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
#: A document younger than this is shown without asking again.
FRESH = timedelta(seconds=60)
#: An older copy is shown while it is being refreshed, or during an outage, until it is this old.
STALE = timedelta(minutes=15)
#: A copy nobody refreshes, because nobody looks, is kept for so long.
KEEP_FOR = timedelta(hours=1)


@dataclass(frozen=True, kw_only=True)
class Slot:
    """A start that can be booked, in UTC. ``seats_left`` is None where seats are not counted."""

    start: datetime
    seats_left: int | None = None


#: A copy that something was made from: its place in the cache, its document, and its stamp.
Source = tuple[str, demand.DocumentId, str]


@dataclass(frozen=True, kw_only=True)
class SlotList:
    """What can be shown for a span of time.

    ``as_of`` is the age of the oldest part. ``stale``: meetergo did not answer, the times come from an
    earlier answer. ``failed``: it did not answer and there is nothing to show for at least a part.
    ``sources`` are the copies the times were read from; none, if one of them could not be had.
    """

    times: tuple[Slot, ...]
    as_of: datetime | None
    stale: bool = False
    failed: bool = False
    sources: tuple[Source, ...] = ()


#: There is nothing to show, and meetergo did not answer.
NO_ANSWER = SlotList(times=(), as_of=None, failed=True)


@dataclass(frozen=True, kw_only=True)
class Window:
    """One document's place: a meeting type, a length in minutes and the n-th 31 days since 1970.

    ``moving`` is meetergo's id of an appointment that looks for another time and does not block itself.
    """

    meeting_type: MeetingType
    duration: int
    number: int
    moving: str = ""

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
        parts = f"{kind.connection}|{kind.remote_id}|{self.duration}|{self.number}|{self.moving}"
        return "meetergo:times:" + hashlib.sha256(parts.encode()).hexdigest()[:32]


def document_cache() -> BaseCache:
    return caches[get_settings().CACHE]


def list_windows(
    meeting_type: MeetingType, duration: int, start: datetime, end: datetime, moving: str = ""
) -> Iterator[Window]:
    number = (start - EPOCH) // WINDOW
    while EPOCH + number * WINDOW < end:
        yield Window(meeting_type=meeting_type, duration=duration, number=number, moving=moving)
        number += 1


def get_document(window: Window, now: datetime) -> dict[str, Any] | None:
    """The stored copy, unless it is too old to be shown to anybody."""
    stored: dict[str, Any] | None = document_cache().get(window.key)
    return stored if is_showable(stored, now) else None


def is_showable(stored: dict[str, Any] | None, now: datetime) -> bool:
    return stored is not None and now.timestamp() - stored["at"] <= STALE.total_seconds()


def needs_refresh(stored: dict[str, Any], now: datetime) -> bool:
    return bool(stored.get("marked")) or now.timestamp() - stored["at"] >= FRESH.total_seconds()


def store_document(window: Window, stored: dict[str, Any]) -> None:
    document_cache().set(window.key, stored, KEEP_FOR.total_seconds())


def pack(times: Iterable[tuple[int, int | None]]) -> str:
    """One text, so that a look which needs the stamp of a copy alone does not unpickle hundreds of times."""
    return json.dumps(list(times))


def unpack(stored: dict[str, Any]) -> list[tuple[int, int | None]]:
    """Starts in seconds since 1970, each with the seats left."""
    return [(start, seats) for start, seats in json.loads(stored["times"])]


def build_slot_list(window: Window, stored: dict[str, Any]) -> SlotList:
    """What a stored copy shows; one whose refresh has failed says so."""
    times = tuple(Slot(start=parse_timestamp(start), seats_left=seats) for start, seats in unpack(stored))
    source = (window.key, window.id, stored["stamp"])
    return SlotList(
        times=times, as_of=parse_timestamp(stored["at"]), stale=bool(stored.get("failed")), sources=(source,)
    )


def add_stamp(stored: dict[str, Any]) -> dict[str, Any]:
    """The same copy under a name of its own: each that is written can be told from all others."""
    return {**stored, "stamp": uuid4().hex}


def parse_timestamp(timestamp: float) -> datetime:
    return datetime.fromtimestamp(timestamp, UTC)


def flag_document(window: Window, **flags: bool) -> None:
    """Note on the copy at hand that it is known to be wrong somewhere, or could not be refreshed."""
    stored = document_cache().get(window.key)
    if stored:
        store_document(window, add_stamp({**stored, **flags}))


def find_window(meeting_type: MeetingType, duration: int, start: datetime, moving: str = "") -> Window:
    return next(list_windows(meeting_type, duration, start, start + timedelta(microseconds=1), moving))


def has_start(stored: dict[str, Any], start: datetime) -> bool:
    return any(listed == start.timestamp() for listed, _ in unpack(stored))
