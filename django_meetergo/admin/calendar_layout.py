"""Place appointments of a day on quarter hours, side by side where they overlap."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

from django.utils import timezone

QUARTER = 15
QUARTERS_PER_HOUR = 4
#: Hours of the day that are always shown.
DEFAULT_HOURS = (8, 18)
#: Appointments at the same time that are shown side by side; further ones share the last lane.
MAX_LANES = 6


@dataclass(frozen=True, kw_only=True)
class Block:
    """An appointment in a column: ``row`` counts quarter hours from 1, ``lane`` from 1 to the right.

    A lane of 0 means the whole width: nothing else is at the same time.
    """

    appointment: Any
    row: int
    span: int
    lane: int

    @property
    def rows(self) -> range:
        return range(self.row, self.row + self.span)


@dataclass(frozen=True, kw_only=True)
class FreeQuarter:
    """A quarter hour without an appointment. Only full hours are stops for the Tab key."""

    start: datetime
    row: int
    is_full_hour: bool


@dataclass(frozen=True, kw_only=True)
class Column:
    """One day of one host."""

    day: date
    host: Any
    is_today: bool
    blocks: Sequence[Block]
    free: Sequence[FreeQuarter]
    lanes: int
    #: The quarter hour of the present moment; 0 when it is not shown.
    now_row: int
    #: Leads to "Hand over" with the host's upcoming appointments; empty when there are none.
    handoff_url: str = ""


@dataclass(frozen=True, kw_only=True)
class Hours:
    """The shown part of a day, in full hours: ``first`` is included, ``last`` is not."""

    first: int
    last: int

    @property
    def rows(self) -> int:
        return (self.last - self.first) * QUARTERS_PER_HOUR

    def list_marks(self) -> list[tuple[int, int]]:
        """Return row and hour of each full hour."""
        return [((hour - self.first) * QUARTERS_PER_HOUR + 1, hour) for hour in range(self.first, self.last)]


def get_minutes(moment: datetime, day: date) -> int:
    """Return the minutes on the clock since a day's midnight, between 0 and 1440."""
    local = timezone.localtime(moment)
    if local.date() != day:
        return 0 if local.date() < day else 1440
    return local.hour * 60 + local.minute


def get_interval(appointment: Any, day: date) -> tuple[int, int]:
    """Return start and end in minutes on the clock, at least a quarter hour apart.

    The end is that on the clock, but at least the elapsed time later: on the day clocks go back, an end may
    be earlier on the clock than the start.
    """
    start = min(get_minutes(appointment.start, day), 1440 - QUARTER)
    end = get_minutes(appointment.end, day)
    if timezone.localtime(appointment.start).date() == day:
        end = max(end, start + int(appointment.duration / timedelta(minutes=1)))
    return start, min(max(end, start + QUARTER), 1440)


def choose_hours(appointments: Iterable[tuple[Any, date]]) -> Hours:
    """Return the default hours, extended to include all appointments."""
    first, last = DEFAULT_HOURS
    for appointment, day in appointments:
        start, end = get_interval(appointment, day)
        first, last = min(first, start // 60), max(last, -(-end // 60))
    return Hours(first=first, last=last)


def build_column(
    appointments: Sequence[Any], *, day: date, host: Any, hours: Hours, now: datetime, with_free: bool
) -> Column:
    """Return one day of one host. ``appointments`` are sorted by start."""
    blocks: list[Block] = []
    lane_ends: list[int] = []
    use: Counter[int] = Counter()
    for appointment in appointments:
        start, end = get_interval(appointment, day)
        first, last = start // QUARTER, -(-end // QUARTER)
        lane = next((lane for lane, free_from in enumerate(lane_ends) if free_from <= first), len(lane_ends))
        lane = min(lane, MAX_LANES - 1)
        lane_ends[lane : lane + 1] = [last]
        row = first - hours.first * QUARTERS_PER_HOUR + 1
        blocks.append(Block(appointment=appointment, row=row, span=last - first, lane=lane + 1))
        use.update(range(row, row + last - first))
    blocks = [
        replace(block, lane=0) if all(use[row] == 1 for row in block.rows) else block for block in blocks
    ]
    is_today = timezone.localtime(now).date() == day
    now_row = get_minutes(now, day) // QUARTER - hours.first * QUARTERS_PER_HOUR + 1 if is_today else 0
    return Column(
        day=day,
        host=host,
        is_today=is_today,
        blocks=blocks,
        free=list_free_quarters(day, hours, set(use), now) if with_free else (),
        lanes=max(len(lane_ends), 1),
        now_row=now_row if 0 < now_row <= hours.rows else 0,
    )


def list_free_quarters(day: date, hours: Hours, taken: set[int], now: datetime) -> list[FreeQuarter]:
    """Return the quarter hours after ``now`` that no appointment covers, without those that clocks skip."""
    midnight = datetime(day.year, day.month, day.day)  # noqa: DTZ001 - made aware below
    free = []
    for row in range(1, hours.rows + 1):
        minutes = hours.first * 60 + (row - 1) * QUARTER
        start = timezone.make_aware(midnight + timedelta(minutes=minutes))
        is_skipped = get_minutes(start.astimezone(UTC), day) != minutes
        if row not in taken and start > now and not is_skipped:
            free.append(FreeQuarter(start=start, row=row, is_full_hour=minutes % 60 == 0))
    return free
