"""The free times of a day, grouped and labelled for templates."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import MAXYEAR, MINYEAR, date, datetime, timedelta, tzinfo
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from django.utils.translation import gettext

from django_meetergo.formatting import format_moment, format_time, format_unambiguous_time
from django_meetergo.presentation.page_urls import Link, PageUrl

if TYPE_CHECKING:
    from django_meetergo.services.availability.store import Slot

#: How many of the soonest times step 1 offers.
MAX_NEXT_SLOTS = 3
#: A day with this many times is divided into morning, afternoon and evening.
MIN_SLOTS_TO_DIVIDE = 7


@dataclass(frozen=True, kw_only=True)
class SlotChoice:
    """One time of a day. ``value`` is the start in ISO format with its offset, so clock changes are clear."""

    value: str
    label: str
    spoken: str
    seats_left: int | None = None
    is_chosen: bool = False


@dataclass(frozen=True, kw_only=True)
class DayPart:
    """A part of a day and its times; the label is empty if the day is not divided."""

    label: str
    slots: tuple[SlotChoice, ...]


def group_by_day(times: Iterable[Slot], zone: tzinfo) -> dict[date, list[Slot]]:
    """Group the times by their date in the zone."""
    days: dict[date, list[Slot]] = {}
    for free in times:
        days.setdefault(free.start.astimezone(zone).date(), []).append(free)
    return days


def build_slots(
    times: Sequence[Slot], zone: ZoneInfo, *, duration: int, chosen: str = "", with_day: bool = False
) -> tuple[SlotChoice, ...]:
    return tuple(
        build_slot(free, zone, duration=duration, chosen=chosen, with_day=with_day) for free in times
    )


def build_slot(free: Slot, zone: ZoneInfo, *, duration: int, chosen: str, with_day: bool) -> SlotChoice:
    local = free.start.astimezone(zone)
    end = format_time((free.start + timedelta(minutes=duration)).astimezone(zone))
    value = local.isoformat()
    return SlotChoice(
        value=value,
        label=format_moment(free.start, zone) if with_day else format_unambiguous_time(local),
        spoken=gettext("to %(end)s") % {"end": end},
        seats_left=free.seats_left,
        is_chosen=value == chosen,
    )


def build_parts(slots: Sequence[SlotChoice], times: Sequence[Slot], zone: ZoneInfo) -> tuple[DayPart, ...]:
    """Divide a day into the parts that have times; a day with few times stays undivided."""
    if len(slots) < MIN_SLOTS_TO_DIVIDE:
        return (DayPart(label="", slots=tuple(slots)),) if slots else ()
    parts: dict[str, list[SlotChoice]] = {}
    for slot, free in zip(slots, times, strict=True):
        parts.setdefault(get_part_name(free.start.astimezone(zone).hour), []).append(slot)
    return tuple(DayPart(label=label, slots=tuple(found)) for label, found in parts.items())


def get_part_name(hour: int) -> str:
    if hour < 12:
        return gettext("Morning")
    return gettext("Afternoon") if hour < 17 else gettext("Evening")


def parse_start(text: str) -> datetime | None:
    """Parse an ISO datetime with an offset; None for anything else."""
    try:
        # An unescaped plus sign in a query arrives as a space.
        moment = datetime.fromisoformat(text.strip().replace(" ", "+"))
    except ValueError:
        return None
    # A day at either end of the calendar does not exist in every time zone.
    return moment if moment.tzinfo and MINYEAR < moment.year < MAXYEAR else None


def list_next_slots(
    times: Sequence[Slot], zone: ZoneInfo, details: PageUrl, count: int = MAX_NEXT_SLOTS
) -> tuple[Link, ...]:
    """Return the first ``count`` times with links to the booking form."""
    return tuple(
        Link(
            label=format_moment(free.start, zone),
            href=details.to(start=free.start.astimezone(zone).isoformat()),
        )
        for free in times[:count]
    )
