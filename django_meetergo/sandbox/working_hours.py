"""Which starts are free: opening hours in each host's zone, less everything already there.

Instants are whole seconds since the epoch here. Comparing numbers keeps a month's calculation short, and
leaves only one place, ``open_windows``, that must know what a wall clock does twice a year.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta

from django_meetergo.sandbox.records import MeetingType, User

DAY = 86_400


@dataclass(frozen=True)
class Busy:
    """A stretch of one or more hosts' time that is taken. ``seats`` counts people on group types."""

    key: str
    start: int
    end: int
    before: int
    after: int
    type_id: str
    seats: int = 1
    appointment_id: str | None = None


class Calendar:
    """Who is busy when, indexed by host and day so that a month is read cheaply."""

    def __init__(self) -> None:
        self._days: dict[str, dict[int, dict[str, Busy]]] = defaultdict(dict)
        self._hosts: dict[str, tuple[Busy, list[str]]] = {}

    def put(self, busy: Busy, host_ids: list[str]) -> None:
        """Enter a stretch for its hosts; an older one with the same key goes."""
        self.take_out(busy.key)
        self._hosts[busy.key] = (busy, list(host_ids))
        for host_id in host_ids:
            for day in _days_of(busy):
                self._days[host_id].setdefault(day, {})[busy.key] = busy

    def take_out(self, key: str) -> None:
        """Forget a stretch; nothing happens when there is none."""
        if (known := self._hosts.pop(key, None)) is None:
            return
        busy, host_ids = known
        for host_id in host_ids:
            for day in _days_of(busy):
                self._days[host_id][day].pop(key, None)

    def between(self, host_id: str, low: int, high: int) -> list[Busy]:
        """Everything of one host that touches the stretch from ``low`` to ``high``."""
        days = self._days.get(host_id, {})
        found: dict[str, Busy] = {}
        for day in range(low // DAY, high // DAY + 1):
            found.update(days.get(day, {}))
        return list(found.values())


def _days_of(busy: Busy) -> range:
    return range((busy.start - busy.before) // DAY, (busy.end + busy.after) // DAY + 1)


@dataclass(frozen=True)
class SlotQuery:
    """What somebody wants to know: starts of ``meeting_type`` in ``[earliest, latest)``."""

    meeting_type: MeetingType
    duration: int  # minutes
    earliest: int
    latest: int
    host_ids: tuple[str, ...]
    together: bool = False  # everyone at once, instead of anyone
    ignore: str | None = None  # the key of a stretch that must not block
    hide_groups: bool = False
    troubleshoot: bool = False


@dataclass
class Spot:
    """One start, with the hosts who are free then."""

    start: int
    host_ids: list[str] = field(default_factory=list)
    blocked_by: list[str] = field(default_factory=list)
    taken: int | None = None  # seats, once a group appointment or a hold is there
    appointment_id: str | None = None


def epoch(moment: datetime) -> int:
    """Whole seconds since the epoch."""
    return int(moment.timestamp())


def find_spots(wish: SlotQuery, users: Mapping[str, User], calendar: Calendar) -> list[Spot]:
    """The starts that can be booked, in order. With ``troubleshoot``, the blocked ones as well."""
    spots: dict[int, Spot] = {}
    for host_id in wish.host_ids:
        for found in _spots_of_host(wish, users[host_id], calendar):
            spot = spots.setdefault(found.start, Spot(found.start))
            spot.host_ids += found.host_ids
            spot.blocked_by += found.blocked_by
            if found.taken is not None:
                spot.taken, spot.appointment_id = found.taken, found.appointment_id
    wanted = len(wish.host_ids) if wish.together else 1
    return [
        spots[start]
        for start in sorted(spots)
        if wish.troubleshoot or (wanted and len(spots[start].host_ids) >= wanted)
    ]


def is_conflict_free(wish: SlotQuery, host_id: str, start: int, calendar: Calendar) -> bool:
    """Whether a host has the time, opening hours, notice and horizon aside."""
    busy = _relevant(wish, host_id, calendar, start, start + wish.duration * 60)
    joined, taken, _ = _group_at(wish, busy, start)
    others = [entry for entry in busy if entry not in joined]
    return taken < wish.meeting_type.spots and not _is_blocked(start, _forbidden(wish, others))


def _spots_of_host(wish: SlotQuery, host: User, calendar: Calendar) -> Iterator[Spot]:
    busy = _relevant(wish, host.id, calendar, wish.earliest, wish.latest + wish.duration * 60)
    forbidden = _forbidden(wish, busy)
    groups = _group_starts(wish, busy)
    for start in _grid(wish, host):
        if start in groups:
            continue
        if not _is_blocked(start, forbidden):
            yield Spot(start, [host.id])
        elif wish.troubleshoot:
            yield Spot(start, blocked_by=[host.id])
    if not wish.hide_groups:
        yield from _group_spots(wish, host, busy, groups)


def _group_spots(wish: SlotQuery, host: User, busy: list[Busy], starts: set[int]) -> Iterator[Spot]:
    # A full group stays on the list: the service shows it with no seats left.
    for start in starts:
        if wish.earliest <= start < wish.latest:
            joined, taken, appointment_id = _group_at(wish, busy, start)
            others = [entry for entry in busy if entry not in joined]
            if not _is_blocked(start, _forbidden(wish, others)):
                yield Spot(start, [host.id], taken=taken, appointment_id=appointment_id)


def _relevant(wish: SlotQuery, host_id: str, calendar: Calendar, low: int, high: int) -> list[Busy]:
    margin = 4 * 3600  # two buffers at their longest
    found = calendar.between(host_id, low - margin, high + margin)
    return [busy for busy in found if busy.key != wish.ignore]


def _group_starts(wish: SlotQuery, busy: list[Busy]) -> set[int]:
    if not wish.meeting_type.is_group:
        return set()
    length = wish.duration * 60
    same = wish.meeting_type.id
    return {entry.start for entry in busy if entry.type_id == same and entry.end - entry.start == length}


def _group_at(wish: SlotQuery, busy: list[Busy], start: int) -> tuple[list[Busy], int, str | None]:
    """The entries a group booking at ``start`` would join, their seats, and the appointment."""
    if start not in _group_starts(wish, busy):
        return [], 0, None
    joined = [entry for entry in busy if entry.type_id == wish.meeting_type.id and entry.start == start]
    appointment_id = next((entry.appointment_id for entry in joined if entry.appointment_id), None)
    return joined, sum(entry.seats for entry in joined), appointment_id


def _forbidden(wish: SlotQuery, busy: list[Busy]) -> list[tuple[int, int]]:
    """Open intervals in which no meeting may start, merged and in order."""
    kind, length = wish.meeting_type, wish.duration * 60
    before, after = kind.buffer_before * 60, kind.buffer_after * 60
    intervals = sorted(
        (entry.start - length - max(after, entry.before), entry.end + max(before, entry.after))
        for entry in busy
    )
    merged: list[tuple[int, int]] = []
    for low, high in intervals:
        # Two that only touch stay apart: the point between them is free.
        if merged and low < merged[-1][1]:
            merged[-1] = (merged[-1][0], max(high, merged[-1][1]))
        else:
            merged.append((low, high))
    return merged


def _is_blocked(start: int, forbidden: list[tuple[int, int]]) -> bool:
    place = bisect_left(forbidden, (start, start)) - 1
    return place >= 0 and forbidden[place][0] < start < forbidden[place][1]


def _grid(wish: SlotQuery, host: User) -> Iterator[int]:
    length, step = wish.duration * 60, wish.meeting_type.interval * 60
    for opens, closes in open_windows(host, wish.earliest, wish.latest):
        skipped = max(0, -(-(wish.earliest - opens) // step))
        last = min(closes - length, wish.latest - 1)
        yield from range(opens + skipped * step, last + 1, step)


def open_windows(host: User, earliest: int, latest: int) -> Iterator[tuple[int, int]]:
    """A host's opening hours as instants. The wall clock decides, so offsets follow the date."""
    if not host.hours:
        return
    day = datetime.fromtimestamp(earliest, host.zone).date()
    last = datetime.fromtimestamp(latest, host.zone).date()
    while day <= last:
        for opens, closes in host.hours.get(day.weekday(), ()):
            yield _instant(host, day, opens), _instant(host, day, closes)
        day += timedelta(days=1)


def _instant(host: User, day: date, minutes: int) -> int:
    if minutes >= 24 * 60:
        day, minutes = day + timedelta(days=1), minutes - 24 * 60
    return epoch(datetime.combine(day, time(minutes // 60, minutes % 60), host.zone))
