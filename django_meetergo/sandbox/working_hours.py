"""Free starts: the working hours of each host, in the host's zone, without everything that is booked.

Instants are whole seconds since the epoch here: comparing numbers keeps the calculation for a month short,
and only ``list_open_windows`` has to know about clock changes.
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
class BusyPeriod:
    """A period in which hosts are busy. ``before`` and ``after`` are buffers in seconds."""

    key: str
    start: int
    end: int
    before: int
    after: int
    meeting_type_id: str
    seats: int = 1
    appointment_id: str | None = None


class BusyCalendar:
    """The busy periods of all hosts, indexed by host and day so that reading a month is cheap."""

    def __init__(self) -> None:
        self._days: dict[str, dict[int, dict[str, BusyPeriod]]] = defaultdict(dict)
        self._hosts: dict[str, tuple[BusyPeriod, list[str]]] = {}

    def add(self, busy: BusyPeriod, host_ids: list[str]) -> None:
        """Add a period for its hosts, in place of one with the same key."""
        self.remove(busy.key)
        self._hosts[busy.key] = (busy, list(host_ids))
        for host_id in host_ids:
            for day in _list_days(busy):
                self._days[host_id].setdefault(day, {})[busy.key] = busy

    def remove(self, key: str) -> None:
        """Remove a period, if there is one with this key."""
        if (known := self._hosts.pop(key, None)) is None:
            return
        busy, host_ids = known
        for host_id in host_ids:
            for day in _list_days(busy):
                self._days[host_id][day].pop(key, None)

    def list_between(self, host_id: str, low: int, high: int) -> list[BusyPeriod]:
        """Return the periods of one host on the days from ``low`` to ``high``."""
        days = self._days.get(host_id, {})
        found: dict[str, BusyPeriod] = {}
        for day in range(low // DAY, high // DAY + 1):
            found.update(days.get(day, {}))
        return list(found.values())


def _list_days(busy: BusyPeriod) -> range:
    return range((busy.start - busy.before) // DAY, (busy.end + busy.after) // DAY + 1)


@dataclass(frozen=True)
class SlotQuery:
    """A question for the free starts of ``meeting_type`` in ``[earliest, latest)``."""

    meeting_type: MeetingType
    duration: int  # minutes
    earliest: int
    latest: int
    host_ids: tuple[str, ...]
    needs_all_hosts: bool = False  # all of them at once instead of any one
    ignored_key: str | None = None  # of a busy period that does not block
    hide_groups: bool = False
    troubleshoot: bool = False


@dataclass
class Spot:
    """One start with the hosts who are free then."""

    start: int
    host_ids: list[str] = field(default_factory=list)
    blocked_by: list[str] = field(default_factory=list)
    seats_taken: int | None = None  # set where a group appointment or a hold exists
    appointment_id: str | None = None


def to_epoch(moment: datetime) -> int:
    """Return whole seconds since the epoch."""
    return int(moment.timestamp())


def find_spots(query: SlotQuery, users: Mapping[str, User], calendar: BusyCalendar) -> list[Spot]:
    """Return the free starts in order; with ``troubleshoot``, blocked ones too."""
    spots: dict[int, Spot] = {}
    for host_id in query.host_ids:
        for found in _find_host_spots(query, users[host_id], calendar):
            spot = spots.setdefault(found.start, Spot(found.start))
            spot.host_ids += found.host_ids
            spot.blocked_by += found.blocked_by
            if found.seats_taken is not None:
                spot.seats_taken, spot.appointment_id = found.seats_taken, found.appointment_id
    hosts_needed = len(query.host_ids) if query.needs_all_hosts else 1
    return [
        spots[start]
        for start in sorted(spots)
        if query.troubleshoot or (hosts_needed and len(spots[start].host_ids) >= hosts_needed)
    ]


def is_conflict_free(query: SlotQuery, host_id: str, start: int, calendar: BusyCalendar) -> bool:
    """Return whether a host is free at a start, whatever the working hours, notice and horizon are."""
    busy = _list_blocking(query, host_id, calendar, start, start + query.duration * 60)
    joined, taken, _ = _read_group(query, busy, start)
    others = [entry for entry in busy if entry not in joined]
    return taken < query.meeting_type.spots and not _is_blocked(start, _merge_blocked(query, others))


def _find_host_spots(query: SlotQuery, host: User, calendar: BusyCalendar) -> Iterator[Spot]:
    busy = _list_blocking(query, host.id, calendar, query.earliest, query.latest + query.duration * 60)
    blocked = _merge_blocked(query, busy)
    groups = _find_group_starts(query, busy)
    for start in _list_grid(query, host):
        if start in groups:
            continue
        if not _is_blocked(start, blocked):
            yield Spot(start, [host.id])
        elif query.troubleshoot:
            yield Spot(start, blocked_by=[host.id])
    if not query.hide_groups:
        yield from _find_group_spots(query, host, busy, groups)


def _find_group_spots(
    query: SlotQuery, host: User, busy: list[BusyPeriod], starts: set[int]
) -> Iterator[Spot]:
    # The service also lists full groups, with no seats left.
    for start in starts:
        if query.earliest <= start < query.latest:
            joined, taken, appointment_id = _read_group(query, busy, start)
            others = [entry for entry in busy if entry not in joined]
            if not _is_blocked(start, _merge_blocked(query, others)):
                yield Spot(start, [host.id], seats_taken=taken, appointment_id=appointment_id)


def _list_blocking(
    query: SlotQuery, host_id: str, calendar: BusyCalendar, low: int, high: int
) -> list[BusyPeriod]:
    margin = 4 * 3600  # two buffers at their longest
    found = calendar.list_between(host_id, low - margin, high + margin)
    return [busy for busy in found if busy.key != query.ignored_key]


def _find_group_starts(query: SlotQuery, busy: list[BusyPeriod]) -> set[int]:
    if not query.meeting_type.is_group:
        return set()
    length = query.duration * 60
    same = query.meeting_type.id
    return {
        entry.start for entry in busy if entry.meeting_type_id == same and entry.end - entry.start == length
    }


def _read_group(
    query: SlotQuery, busy: list[BusyPeriod], start: int
) -> tuple[list[BusyPeriod], int, str | None]:
    """Return the periods of the group at ``start``, the seats taken, and the appointment's id."""
    if start not in _find_group_starts(query, busy):
        return [], 0, None
    joined = [
        entry for entry in busy if entry.meeting_type_id == query.meeting_type.id and entry.start == start
    ]
    appointment_id = next((entry.appointment_id for entry in joined if entry.appointment_id), None)
    return joined, sum(entry.seats for entry in joined), appointment_id


def _merge_blocked(query: SlotQuery, busy: list[BusyPeriod]) -> list[tuple[int, int]]:
    """Return the open intervals in which no meeting may start, merged and in order."""
    kind, length = query.meeting_type, query.duration * 60
    before, after = kind.buffer_before * 60, kind.buffer_after * 60
    intervals = sorted(
        (entry.start - length - max(after, entry.before), entry.end + max(before, entry.after))
        for entry in busy
    )
    merged: list[tuple[int, int]] = []
    for low, high in intervals:
        # Intervals that only touch stay apart: the point between them is free.
        if merged and low < merged[-1][1]:
            merged[-1] = (merged[-1][0], max(high, merged[-1][1]))
        else:
            merged.append((low, high))
    return merged


def _is_blocked(start: int, blocked: list[tuple[int, int]]) -> bool:
    position = bisect_left(blocked, (start, start)) - 1
    return position >= 0 and blocked[position][0] < start < blocked[position][1]


def _list_grid(query: SlotQuery, host: User) -> Iterator[int]:
    length, step = query.duration * 60, query.meeting_type.interval * 60
    for opens, closes in list_open_windows(host, query.earliest, query.latest):
        skipped = max(0, -(-(query.earliest - opens) // step))
        last = min(closes - length, query.latest - 1)
        yield from range(opens + skipped * step, last + 1, step)


def list_open_windows(host: User, earliest: int, latest: int) -> Iterator[tuple[int, int]]:
    """Yield a host's working hours as pairs of instants. Local time decides, so offsets follow the date."""
    if not host.hours:
        return
    day = datetime.fromtimestamp(earliest, host.zone).date()
    last = datetime.fromtimestamp(latest, host.zone).date()
    while day <= last:
        for opens, closes in host.hours.get(day.weekday(), ()):
            yield _to_instant(host, day, opens), _to_instant(host, day, closes)
        day += timedelta(days=1)


def _to_instant(host: User, day: date, minutes: int) -> int:
    if minutes >= 24 * 60:
        day, minutes = day + timedelta(days=1), minutes - 24 * 60
    return to_epoch(datetime.combine(day, time(minutes // 60, minutes % 60), host.zone))
