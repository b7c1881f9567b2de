"""Choosing a time: the month and the day to show, and their times."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from django.utils import dateformat

from django_meetergo.formatting import format_full_day
from django_meetergo.presentation.month import Month, build_month, first_of_month, midnight, next_month
from django_meetergo.presentation.page_urls import PageUrl
from django_meetergo.presentation.slots import (
    DayPart,
    NextSlot,
    build_parts,
    build_slots,
    group_by_day,
    list_next_slots,
)
from django_meetergo.timezones import name_place, name_zone

if TYPE_CHECKING:
    from django_meetergo.services.availability.store import Slot, SlotList, Source

#: How far ahead the calendar can be turned.
WINDOW = timedelta(days=183)
#: How many months after an empty one are asked for the next free day. Each may cost a call.
MONTHS_AHEAD = 3


@dataclass(frozen=True, kw_only=True)
class TimeChoice:
    """Everything the first step shows about free times.

    ``moved_from`` is the empty month the visitor would have arrived at; ``next_free`` leads on from an empty
    month, or day, that was asked for; ``is_empty``: there is no free time in all the months we looked at.
    ``sources`` are the copies this was made from; none, if one of them could not be had.
    """

    month: Month
    day: date | None
    parts: tuple[DayPart, ...]
    count: int
    soonest: tuple[NextSlot, ...]
    free_days: int
    zone_label: str
    zone_place: str
    as_of: datetime | None = None
    stale: bool = False
    failed: bool = False
    is_empty: bool = False
    moved_from: str = ""
    asked_day: date | None = None
    next_free: NextSlot | None = None
    sources: tuple[Source, ...] = ()


def describe_viewed(choice: TimeChoice) -> dict[str, str]:
    """What an address says to come back to the same month and day."""
    return {"month": f"{choice.day:%Y-%m}", "date": choice.day.isoformat()} if choice.day else {}


SlotReader = Callable[[datetime, datetime], "SlotList"]


@dataclass(frozen=True, kw_only=True)
class TimeQuery:
    """What the address asks to see."""

    month: date | None = None
    day: date | None = None
    start: str = ""


def choose_time(
    *,
    look: SlotReader,
    now: datetime,
    zone: ZoneInfo,
    duration: int,
    asked: TimeQuery,
    address: PageUrl,
    onward: PageUrl,
) -> TimeChoice:
    """Find the month and the day to show, and their times.

    ``look`` lists the free times between two moments. ``address`` is this page's, ``onward`` the next step's.
    """
    today = now.astimezone(zone).date()
    last = first_of_month(today + WINDOW)
    looks: list[SlotList] = []

    def look_and_note(start: datetime, end: datetime) -> SlotList:
        looks.append(look(start, end))
        return looks[-1]

    view = find_view(look_and_note, today=today, last=last, zone=zone, asked=asked)
    days = group_by_day(view.shown.times, zone)
    day = choose_day(days, asked.day)
    times = days.get(day, []) if day else []
    slots = build_slots(times, zone, duration=duration, chosen=asked.start)
    counts = {date_: len(found) for date_, found in days.items()}
    return TimeChoice(
        month=build_month(view.first, counts=counts, today=today, last=last, chosen=day, address=address),
        day=day,
        parts=build_parts(slots, times, zone),
        count=len(times),
        soonest=list_next_slots(view.shown.times, zone, onward) if view.is_start else (),
        free_days=len(days),
        zone_label=name_zone(zone, times[0].start if times else max(now, midnight(view.first, zone))),
        zone_place=name_place(zone),
        as_of=view.shown.as_of,
        stale=view.shown.stale or (view.shown.failed and bool(view.shown.times)),
        failed=view.shown.failed and not view.shown.times,
        is_empty=view.is_start and not (view.shown.failed or view.shown.times or view.ahead),
        moved_from=view.moved_from,
        asked_day=asked.day if asked.day not in days else None,
        next_free=find_next_free(days, view.ahead, asked.day, address),
        sources=list_sources(looks),
    )


def list_sources(looks: Sequence[SlotList]) -> tuple[Source, ...]:
    if any(found.failed for found in looks):
        return ()
    return tuple({source: None for found in looks for source in found.sources})


@dataclass(frozen=True, kw_only=True)
class View:
    """The month to show and its times; ``ahead`` is the first free day after an empty month."""

    first: date
    shown: SlotList
    ahead: date | None
    is_start: bool
    moved_from: str = ""


def find_view(look: SlotReader, *, today: date, last: date, zone: ZoneInfo, asked: TimeQuery) -> View:
    """The month that was asked for, or the present one; on arrival an empty month gives way."""
    first = clamp_month(asked.month or asked.day or today, today, last)
    found, later = find_times(look, first, last, zone)
    is_start = first == first_of_month(today)
    ahead = later.times[0].start.astimezone(zone).date() if later else None
    if later is None or ahead is None or asked.month or asked.day:
        return View(first=first, shown=found, ahead=ahead, is_start=is_start)
    moved_from = dateformat.format(first, "F")
    return View(first=first_of_month(ahead), shown=later, ahead=ahead, is_start=True, moved_from=moved_from)


def clamp_month(day: date, today: date, last: date) -> date:
    return min(max(first_of_month(day), first_of_month(today)), last)


def find_times(look: SlotReader, first: date, last: date, zone: ZoneInfo) -> tuple[SlotList, SlotList | None]:
    """The times of a month and, only when it has none, those of the next month that has some."""
    found = look(midnight(first, zone), midnight(next_month(first), zone))
    if found.times or found.failed:
        return found, None
    month = first
    for _ in range(MONTHS_AHEAD):
        month = next_month(month)
        if month > last:
            break
        later = look(midnight(month, zone), midnight(next_month(month), zone))
        if later.times:
            return found, later
    return found, None


def choose_day(days: Mapping[date, Sequence[Slot]], asked: date | None) -> date | None:
    """The day that was asked for if it has times, the first free one if none was asked for."""
    if asked is not None:
        return asked if asked in days else None
    return min(days, default=None)


def find_next_free(
    days: Mapping[date, Sequence[Slot]],
    ahead: date | None,
    asked: date | None,
    address: PageUrl,
) -> NextSlot | None:
    """The first free day after an empty one, or after an empty month."""
    if asked is not None and asked in days:
        return None
    later = min((day for day in days if asked and day > asked), default=None)
    later = later or ahead
    if later is None:
        return None
    label = format_full_day(later)
    return NextSlot(label=label, href=address.to(month=f"{later:%Y-%m}", date=later.isoformat()))
