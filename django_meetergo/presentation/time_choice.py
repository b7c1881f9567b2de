"""Step 1: find the month and the day to show, and their free times."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from django_meetergo.formatting import format_full_day, format_pattern
from django_meetergo.presentation.month import (
    Month,
    build_month,
    find_span,
    first_of_month,
    midnight,
    next_month,
)
from django_meetergo.presentation.page_urls import Link, PageUrl
from django_meetergo.presentation.slots import (
    DayPart,
    build_parts,
    build_slots,
    group_by_day,
    list_next_slots,
)
from django_meetergo.timezones import name_zone

if TYPE_CHECKING:
    from django_meetergo.services.availability.store import Slot, SlotList, Source

#: How far ahead the calendar can be turned.
WINDOW = timedelta(days=183)
#: How many months after an empty one are searched for the next free day. Each may cost a call.
MONTHS_AHEAD = 3


@dataclass(frozen=True, kw_only=True)
class TimeChoice:
    """What step 1 shows about free times.

    ``skipped_month`` is the name of the present month if it has no times and a later one is shown instead.
    ``next_free`` is the link from an empty month or day to the next day with free times. ``is_empty``: no
    month that was read has free times. ``sources`` are the cached documents this was made from; empty if one
    of them could not be read.
    """

    month: Month
    day: date | None
    parts: tuple[DayPart, ...]
    count: int
    soonest: tuple[Link, ...]
    free_days: int
    zone_label: str
    stale: bool = False
    failed: bool = False
    is_empty: bool = False
    skipped_month: str = ""
    requested_day: date | None = None
    next_free: Link | None = None
    sources: tuple[Source, ...] = ()


def describe_viewed(choice: TimeChoice) -> dict[str, str]:
    """Return the query parameters that lead back to the same month and day."""
    if choice.day is None:
        return {"month": f"{choice.month.start:%Y-%m}"}
    return {"month": f"{choice.day:%Y-%m}", "date": choice.day.isoformat()}


SlotReader = Callable[[datetime, datetime], "SlotList"]


@dataclass(frozen=True, kw_only=True)
class TimeQuery:
    """The month, the day and the start (ISO) to show."""

    month: date | None = None
    day: date | None = None
    start: str = ""
    near: date | None = None  # without a day: the first free day from here on


def choose_time(
    *,
    read_slots: SlotReader,
    now: datetime,
    zone: ZoneInfo,
    duration: int,
    query: TimeQuery,
    here: PageUrl,
    next_step: PageUrl,
) -> TimeChoice:
    """Find the month and the day to show, and their times.

    ``read_slots`` lists the free times between two datetimes. ``here`` is the URL of the page, ``next_step``
    that of the form.
    """
    today = now.astimezone(zone).date()
    last = first_of_month(today + WINDOW)
    lists: list[SlotList] = []

    def read_and_record(start: datetime, end: datetime) -> SlotList:
        lists.append(read_slots(start, end))
        return lists[-1]

    view = find_view(read_and_record, today=today, last=last, zone=zone, query=query)
    days = group_by_day(view.shown.times, zone)
    first, end = find_span(view.first, today)
    requested = query.day if query.day and first <= query.day < end else None
    day = choose_day(days, requested, query.near)
    times = days.get(day, []) if day else []
    slots = build_slots(times, zone, duration=duration, chosen=query.start)
    counts = {date_: len(slots_of_day) for date_, slots_of_day in days.items()}
    return TimeChoice(
        month=build_month(view.first, counts=counts, today=today, last=last, chosen=day, here=here),
        day=day,
        parts=build_parts(slots, times, zone),
        count=len(times),
        soonest=list_next_slots(view.shown.times, zone, next_step) if view.is_start else (),
        free_days=len(days),
        zone_label=name_zone(zone, times[0].start if times else max(now, midnight(view.first, zone))),
        stale=view.shown.stale or (view.shown.failed and bool(view.shown.times)),
        failed=view.shown.failed and not view.shown.times,
        is_empty=view.is_start and not (view.shown.failed or view.shown.times or view.ahead),
        skipped_month=view.skipped_month,
        requested_day=requested if requested not in days else None,
        next_free=find_next_free(days, view.ahead, requested, here),
        sources=list_sources(lists),
    )


def list_sources(lists: Sequence[SlotList]) -> tuple[Source, ...]:
    if any(found.failed for found in lists):
        return ()
    return tuple({source: None for found in lists for source in found.sources})


@dataclass(frozen=True, kw_only=True)
class View:
    """The month to show and its times; ``ahead`` is the first day with free times after an empty month."""

    first: date
    shown: SlotList
    ahead: date | None
    is_start: bool
    skipped_month: str = ""


def find_view(read_slots: SlotReader, *, today: date, last: date, zone: ZoneInfo, query: TimeQuery) -> View:
    """Return the requested month. Without a request: the present one, or the next one that has free times."""
    first = clamp_month(query.month or query.day or today, today, last)
    found, later = find_times(read_slots, first, today, last, zone)
    is_start = first == first_of_month(today)
    ahead = later.times[0].start.astimezone(zone).date() if later else None
    if later is None or ahead is None or query.month or query.day:
        return View(first=first, shown=found, ahead=ahead, is_start=is_start)
    skipped = format_pattern(first, "F")
    return View(first=first_of_month(ahead), shown=later, ahead=ahead, is_start=True, skipped_month=skipped)


def clamp_month(day: date, today: date, last: date) -> date:
    return min(max(first_of_month(day), first_of_month(today)), last)


def find_times(
    read_slots: SlotReader, first: date, today: date, last: date, zone: ZoneInfo
) -> tuple[SlotList, SlotList | None]:
    """Return the times of a month and, only if it has none, those of the next month that has some."""
    start, end = find_span(first, today)
    found = read_slots(midnight(start, zone), midnight(end, zone))
    if found.times or found.failed:
        return found, None
    month = first
    for _ in range(MONTHS_AHEAD):
        month = next_month(month)
        if month > last:
            break
        later = read_slots(midnight(month, zone), midnight(next_month(month), zone))
        if later.times:
            return found, later
    return found, None


def choose_day(
    days: Mapping[date, Sequence[Slot]], requested: date | None, near: date | None = None
) -> date | None:
    """Return the requested day if it has times; without a request the first day that has some.

    ``near``: the first such day from there on, if there is one.
    """
    if requested is not None:
        return requested if requested in days else None
    later = [day for day in days if near and day >= near]
    return min(later or days, default=None)


def find_next_free(
    days: Mapping[date, Sequence[Slot]],
    ahead: date | None,
    requested: date | None,
    here: PageUrl,
) -> Link | None:
    """Return the link from an empty day or month to the next day with free times."""
    if requested is not None and requested in days:
        return None
    later = min((day for day in days if requested and day > requested), default=None)
    later = later or ahead
    if later is None:
        return None
    label = format_full_day(later)
    return Link(label=label, href=here.to(month=f"{later:%Y-%m}", date=later.isoformat()))
