"""Free times, as documents in the cache.

A document is what meetergo offered for one meeting type, one length and one fixed window of 31 days. It is
for showing only: whether a time is really free is decided by meetergo when it is booked.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4
from zoneinfo import ZoneInfo

from django.core.cache import BaseCache, caches

from django_meetergo import signals
from django_meetergo.clock import Stopwatch
from django_meetergo.conf import get_settings
from django_meetergo.exceptions import (
    BudgetSpent,
    CircuitOpen,
    CredentialRefused,
    RateLimited,
    RemoteError,
)
from django_meetergo.models import MeetingType
from django_meetergo.remote.client import MeetergoClient
from django_meetergo.services import demand

WINDOW = timedelta(days=31)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

#: A document younger than this is shown without asking again.
FRESH = timedelta(seconds=60)
#: An older copy is shown while it is being refreshed, or during an outage, until it is this old.
STALE = timedelta(minutes=15)
#: A copy nobody refreshes, because nobody looks, is kept for so long.
KEEP = timedelta(hours=1)

LOCK = 15  # seconds one refresh may keep the others waiting
PATIENCE = 2.0  # seconds a view waits for somebody else's first refresh
LOOK_AGAIN = 0.05
ASK_EVERY = 5  # seconds between two rings for one document
ROUND = 20  # documents refreshed in one round

#: meetergo is not asked at the moment, whatever about.
HELD_BACK = (BudgetSpent, CircuitOpen, CredentialRefused, RateLimited)


@dataclass(frozen=True, kw_only=True)
class FreeTime:
    """A start that can be booked, in UTC. ``seats_left`` is None where seats are not counted."""

    start: datetime
    seats_left: int | None = None


#: A copy that something was made from: its place in the cache, its document, and its stamp.
Source = tuple[str, demand.DocumentId, str]


@dataclass(frozen=True, kw_only=True)
class FreeTimes:
    """What can be shown for a span of time.

    ``as_of`` is the age of the oldest part. ``stale``: meetergo did not answer, the times come from an
    earlier answer. ``failed``: it did not answer and there is nothing to show for at least a part.
    ``sources`` are the copies the times were read from; none, if one of them could not be had.
    """

    times: tuple[FreeTime, ...]
    as_of: datetime | None
    stale: bool = False
    failed: bool = False
    sources: tuple[Source, ...] = ()


#: There is nothing to show, and meetergo did not answer.
NOTHING = FreeTimes(times=(), as_of=None, failed=True)


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


#: What the threads of this process are fetching for the first time.
_under_way: dict[str, Future[FreeTimes]] = {}


def document_cache() -> BaseCache:
    return caches[get_settings().CACHE]


def list_slots(
    *,
    meeting_type: MeetingType,
    start: datetime,
    end: datetime,
    client: MeetergoClient,
    now: datetime,
    duration: int | None = None,
    moving: str = "",
) -> FreeTimes:
    """The free starts from ``start`` (never before ``now``) up to ``end``, both aware; soonest first.

    ``moving`` is meetergo's id of an appointment that looks for another time: its own does not block it.
    Costs no call while the documents are fresh, else one each. Never raises for a service that does not
    answer: the result says so.
    """
    length = duration or meeting_type.duration
    since = max(start, now)
    parts = [
        read_window(window, client=client, now=now)
        for window in windows_between(meeting_type, length, since, end, moving)
    ]
    times = [free for part in parts for free in part.times if since <= free.start < end]
    ages = [part.as_of for part in parts if part.as_of]
    failed = any(part.failed for part in parts)
    return FreeTimes(
        times=tuple(times),
        as_of=min(ages, default=None),
        stale=any(part.stale for part in parts),
        failed=failed,
        sources=() if failed else tuple(source for part in parts for source in part.sources),
    )


def windows_between(
    meeting_type: MeetingType, duration: int, start: datetime, end: datetime, moving: str = ""
) -> Iterator[Window]:
    number = (start - EPOCH) // WINDOW
    while EPOCH + number * WINDOW < end:
        yield Window(meeting_type=meeting_type, duration=duration, number=number, moving=moving)
        number += 1


def read_window(window: Window, *, client: MeetergoClient, now: datetime) -> FreeTimes:
    """The copy at hand, at once; only where there is none of this quarter of an hour does somebody wait.

    A copy that is no longer fresh asks for its refresh in the background.
    """
    cache = document_cache()
    stored = get_copy(window, now)
    if not window.moving:
        demand.views.note(window.id, cache, now)
    if stored is None:
        return fetch_by_one(window, client=client, now=now)
    if is_wanted(stored, now):
        ask_for_refresh(window.key, cache)
    return build_times(window, stored)


def are_current(sources: Sequence[Source], now: datetime) -> bool:
    """Whether the copies at hand are still those that something was made from.

    It is shown again if so: that counts as a view of them, and asks for refreshes as a view does.
    """
    cache = document_cache()
    copies = cache.get_many([key for key, _, _ in sources])
    for key, _, name in sources:
        if not is_showable(copies.get(key), now) or copies[key]["stamp"] != name:
            return False
    for key, document, _ in sources:
        demand.views.note(document, cache, now)
        if is_wanted(copies[key], now):
            ask_for_refresh(key, cache)
    return True


def get_copy(window: Window, now: datetime) -> dict[str, Any] | None:
    """The stored copy, unless it is too old to be shown to anybody."""
    stored: dict[str, Any] | None = document_cache().get(window.key)
    return stored if is_showable(stored, now) else None


def is_showable(stored: dict[str, Any] | None, now: datetime) -> bool:
    return stored is not None and now.timestamp() - stored["at"] <= STALE.total_seconds()


def is_wanted(stored: dict[str, Any], now: datetime) -> bool:
    return bool(stored.get("marked")) or now.timestamp() - stored["at"] >= FRESH.total_seconds()


def ask_for_refresh(key: str, cache: BaseCache) -> None:
    """Ring for the background, once in a while however many people look."""
    if cache.add(f"{key}:asked", 1, ASK_EVERY):
        signals.ring_doorbell()


def fetch_by_one(window: Window, *, client: MeetergoClient, now: datetime) -> FreeTimes:
    """The first copy: fetched by one, awaited for a short while by the others.

    The threads of one process wait for each other, so that only one of them looks into the cache.
    """
    ours: Future[FreeTimes] = Future()
    first = _under_way.setdefault(window.key, ours)
    if first is not ours:
        try:
            return first.result(PATIENCE)
        except TimeoutError:
            return NOTHING
    found = NOTHING
    try:
        found = fetch_for_all(window, client=client, now=now)
    finally:
        del _under_way[window.key]
        ours.set_result(found)
    return found


def fetch_for_all(window: Window, *, client: MeetergoClient, now: datetime) -> FreeTimes:
    """The same among processes."""
    with refill_lock(window) as is_ours:
        if not is_ours:
            stored = wait_for(window, now)
            return build_times(window, stored) if stored else NOTHING
        # Somebody may have put a copy there between our look and our lock.
        stored = get_copy(window, now)
        try:
            return build_times(window, stored) if stored else fetch_window(window, client=client, now=now)
        except RemoteError:
            return NOTHING


@contextmanager
def refill_lock(window: Window) -> Iterator[bool]:
    """Whether it is on us to fetch this document. Two may think so once in a while, which costs a call."""
    cache, lock, owner = document_cache(), f"{window.key}:lock", uuid4().hex
    is_ours = cache.add(lock, owner, LOCK)
    try:
        yield is_ours
    finally:
        if is_ours and cache.get(lock) == owner:
            cache.delete(lock)


def wait_for(window: Window, now: datetime) -> dict[str, Any] | None:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if stored := get_copy(window, now):
            return stored
        time.sleep(LOOK_AGAIN)
    return None


def fetch_window(
    window: Window, *, client: MeetergoClient, now: datetime, refresh_cache: bool = False
) -> FreeTimes:
    """Ask meetergo and keep the answer. Raises RemoteError.

    ``refresh_cache`` makes meetergo look into the calendars again instead of into its own cache.
    """
    meeting_type = window.meeting_type
    answer = client.get_booking_availability(
        meeting_type.remote_id,
        max(window.start, now),
        window.end,
        host_ids=tuple(meeting_type.host_ids),
        queue_id=meeting_type.queue_id,
        timezone="UTC",
        duration=window.duration if window.duration != meeting_type.duration else None,
        existing_appointment_id=window.moving,
        refresh_cache=refresh_cache,
    )
    times = [(int(slot.start.timestamp()), slot.seats_left) for slot in answer.slots]
    stored = stamp({"at": now.timestamp(), "times": pack(times)})
    keep(window, stored)
    return build_times(window, stored)


def keep(window: Window, stored: dict[str, Any]) -> None:
    document_cache().set(window.key, stored, KEEP.total_seconds())


def pack(times: Iterable[tuple[int, int | None]]) -> str:
    """One text, so that a look which needs the stamp of a copy alone does not unpickle hundreds of times."""
    return json.dumps(list(times))


def unpack(stored: dict[str, Any]) -> list[tuple[int, int | None]]:
    """Starts in seconds since 1970, each with the seats left."""
    return [(start, seats) for start, seats in json.loads(stored["times"])]


def build_times(window: Window, stored: dict[str, Any]) -> FreeTimes:
    """What a stored copy shows; one whose refresh has failed says so."""
    times = tuple(FreeTime(start=as_time(start), seats_left=seats) for start, seats in unpack(stored))
    source = (window.key, window.id, stored["stamp"])
    return FreeTimes(
        times=times, as_of=as_time(stored["at"]), stale=bool(stored.get("failed")), sources=(source,)
    )


def stamp(stored: dict[str, Any]) -> dict[str, Any]:
    """The same copy under a name of its own: each that is written can be told from all others."""
    return {**stored, "stamp": uuid4().hex}


def as_time(timestamp: float) -> datetime:
    return datetime.fromtimestamp(timestamp, UTC)


# Kept fresh by demand


def poll_availability(*, connection: str, client: MeetergoClient, now: datetime, number: int = ROUND) -> int:
    """Refresh what people look at, most wanted first, as far as our request limit allows; how many.

    ``client`` is of the lane ``planned``: it stops before bookings and views would have to wait.
    """
    watch, done = Stopwatch(now), 0
    for window in choose_windows(connection, now, number):
        try:
            done += refresh(window, client=client, now=watch.now())
        except HELD_BACK:
            break
        except RemoteError:
            mark(window, failed=True)
    return done


def refresh(window: Window, *, client: MeetergoClient, now: datetime) -> bool:
    """Fetch a document again, unless another process is doing so or has just done it."""
    with refill_lock(window) as is_ours:
        stored = document_cache().get(window.key)
        is_ours = is_ours and not (stored and was_just_fetched(stored, now))
        if is_ours:
            fetch_window(window, client=client, now=now)
    return is_ours


def was_just_fetched(stored: dict[str, Any], now: datetime) -> bool:
    """Whether another worker was faster since the documents were chosen."""
    return not stored.get("marked") and now - as_time(stored["at"]) < timedelta(seconds=ASK_EVERY)


def choose_windows(connection: str, now: datetime, number: int) -> list[Window]:
    cache = document_cache()
    interest = demand.read_interest(cache)
    types = (
        MeetingType.objects.bookable()
        .filter(connection=connection)
        .defer("raw")
        .in_bulk({type_id for type_id, _, _ in interest})
    )
    windows = {
        window.key: window
        for type_id, duration, window_number in interest
        if type_id in types
        and (window := Window(meeting_type=types[type_id], duration=duration, number=window_number)).end > now
    }
    stored = cache.get_many(list(windows))
    candidates = [
        demand.Candidate(
            document=window.id,
            interest=interest[window.id].at(now.timestamp()),
            age=now.timestamp() - stored[key]["at"],
            marked=bool(stored[key].get("marked")),
        )
        for key, window in windows.items()
        if key in stored
    ]
    chosen = demand.choose(candidates, number=number)
    by_id = {window.id: window for window in windows.values()}
    return [by_id[document] for document in chosen]


def mark(window: Window, **flags: bool) -> None:
    """Note on the copy at hand that it is known to be wrong somewhere, or could not be refreshed."""
    stored = document_cache().get(window.key)
    if stored:
        keep(window, stamp({**stored, **flags}))


# One start


def is_offered(
    *,
    meeting_type: MeetingType,
    start: datetime,
    duration: int,
    client: MeetergoClient,
    now: datetime,
    moving: str = "",
) -> bool | None:
    """Whether meetergo lists this start, asking once more if our copy does not. None: it did not answer."""
    window = find_window(meeting_type, duration, start, moving)
    stored = document_cache().get(window.key)
    if stored and lists(stored, start):
        return True
    try:
        times = fetch_window(window, client=client, now=now, refresh_cache=stored is not None)
    except RemoteError:
        mark(window, failed=True)
        return None
    return any(free.start == start for free in times.times)


def find_window(meeting_type: MeetingType, duration: int, start: datetime, moving: str = "") -> Window:
    return next(windows_between(meeting_type, duration, start, start + timedelta(microseconds=1), moving))


def lists(stored: dict[str, Any], start: datetime) -> bool:
    return any(listed == start.timestamp() for listed, _ in unpack(stored))


@dataclass(frozen=True, kw_only=True)
class Taken:
    """A span of a host's calendar, by meetergo's id, that is known not to be free any more."""

    host_id: str
    start: datetime
    end: datetime


def take_out(*, meeting_type: MeetingType, start: datetime, duration: int) -> None:
    """Drop a start that we know to be taken from the copies at hand, and mark them for a refresh."""
    if host_id := meeting_type.only_host_id:
        end = start + timedelta(minutes=duration)
        take_out_all(connection=meeting_type.connection, taken=[Taken(host_id=host_id, start=start, end=end)])
    else:
        # A queue may have other hosts, a group other seats.
        forget(meeting_type=meeting_type, start=start)


def take_out_all(*, connection: str, taken: Sequence[Taken]) -> None:
    """The same for many, in every type whose free times follow from that one host's calendar."""
    types = [
        row
        for row in MeetingType.objects.bookable().filter(connection=connection).defer("raw")
        if row.only_host_id in {span.host_id for span in taken}
    ]
    affected: dict[str, tuple[Window, list[Taken]]] = {}
    for span in taken:
        for row in types:
            if row.only_host_id == span.host_id:
                for window in list_overlapping(row, span):
                    affected.setdefault(window.key, (window, []))[1].append(span)
    cache = document_cache()
    changed = {
        key: stamp({**stored, "times": pack(drop(unpack(stored), *affected[key])), "marked": True})
        for key, stored in cache.get_many(list(affected)).items()
    }
    if changed:
        cache.set_many(changed, KEEP.total_seconds())


def list_overlapping(meeting_type: MeetingType, span: Taken) -> Iterator[Window]:
    """The documents in which a start could lie whose appointment would touch the span."""
    for length in meeting_type.durations:
        yield from windows_between(meeting_type, length, span.start - timedelta(minutes=length), span.end)


def drop(
    times: list[tuple[int, int | None]], window: Window, taken: list[Taken]
) -> list[tuple[int, int | None]]:
    return [
        (listed, seats)
        for listed, seats in times
        if not any(overlaps(as_time(listed), window.duration, span.start, span.end) for span in taken)
    ]


def overlaps(listed: datetime, length: int, start: datetime, end: datetime) -> bool:
    return listed < end and start < listed + timedelta(minutes=length)


def forget(*, meeting_type: MeetingType, start: datetime) -> None:
    """Mark the copies around a start: something there has changed, and a refresh comes first."""
    for length in meeting_type.durations:
        mark(find_window(meeting_type, length, start), marked=True)
    signals.ring_doorbell()


# When a time is lost

ALTERNATIVES = 4
SEARCH = timedelta(days=14)


def list_alternatives(
    *,
    meeting_type: MeetingType,
    start: datetime,
    duration: int,
    zone: ZoneInfo,
    client: MeetergoClient,
    now: datetime,
    moving: str = "",
    stands_at: datetime | None = None,
) -> list[FreeTime]:
    """Up to four free times near a lost one, soonest first, by the calendar of ``zone``.

    Two before and two after on the same day, filled up with the same clock time on the next free days.
    ``moving`` is meetergo's id of an appointment that was to be moved there: it does not stand in its own
    way, and ``stands_at``, where it is now, is no other time.
    """
    window = find_window(meeting_type, duration, start, moving)
    refetch(window, start=start, client=client, now=now)
    local = start.astimezone(zone)
    midnight = local.replace(hour=0, minute=0, second=0, microsecond=0)
    found = list_slots(
        meeting_type=meeting_type,
        start=midnight,
        end=midnight + SEARCH,
        duration=duration,
        moving=moving,
        client=client,
        now=now,
    )
    times = [free for free in found.times if free.start not in {start, stands_at}]
    return choose_alternatives(times, local, zone)


def refetch(window: Window, *, start: datetime, client: MeetergoClient, now: datetime) -> None:
    """Look again, past meetergo's own cache; what we have stays if it does not answer."""
    try:
        fetch_window(window, client=client, now=now, refresh_cache=True)
    except RemoteError:
        mark(window, failed=True)
        take_out(meeting_type=window.meeting_type, start=start, duration=window.duration)


def choose_alternatives(times: list[FreeTime], wanted: datetime, zone: ZoneInfo) -> list[FreeTime]:
    day = wanted.date()
    same_day = [free for free in times if free.start.astimezone(zone).date() == day]
    before = [free for free in same_day if free.start < wanted][-2:]
    after = [free for free in same_day if free.start > wanted][:2]
    chosen = before + after
    for free in nearest_clock_times(times, wanted, zone):
        if len(chosen) == ALTERNATIVES:
            break
        chosen.append(free)
    if len(chosen) < ALTERNATIVES:
        chosen += [free for free in times if free not in chosen][: ALTERNATIVES - len(chosen)]
    return sorted(chosen, key=lambda free: free.start)


def nearest_clock_times(times: Iterable[FreeTime], wanted: datetime, zone: ZoneInfo) -> Iterator[FreeTime]:
    """On each later free day, the time nearest to the wanted time of day."""
    by_day: dict[Any, list[FreeTime]] = {}
    for free in times:
        local = free.start.astimezone(zone)
        if local.date() > wanted.date():
            by_day.setdefault(local.date(), []).append(free)

    def distance(free: FreeTime) -> int:
        local = free.start.astimezone(zone)
        return abs((local.hour - wanted.hour) * 60 + local.minute - wanted.minute)

    for day in sorted(by_day):
        yield min(by_day[day], key=distance)
