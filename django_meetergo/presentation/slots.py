"""The times of a day, grouped and labelled."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from django.utils.translation import gettext

from django_meetergo.formatting import format_day, format_moment, format_time
from django_meetergo.presentation.page_urls import PageUrl
from django_meetergo.timezones import format_offset

if TYPE_CHECKING:
    from django_meetergo.services.availability.store import Slot

#: How many of the soonest times are offered.
MAX_NEXT_SLOTS = 3
#: From this many times on, a day is divided into its parts.
MANY_SLOTS = 7


@dataclass(frozen=True, kw_only=True)
class SlotChoice:
    """One time of a day. ``value`` names the instant, whatever the clocks do."""

    value: str
    label: str
    spoken: str
    seats_left: int | None = None
    is_chosen: bool = False


@dataclass(frozen=True, kw_only=True)
class DayPart:
    """A part of a day and its times; the label is empty when the day is not divided."""

    label: str
    slots: tuple[SlotChoice, ...]


@dataclass(frozen=True, kw_only=True)
class NextSlot:
    label: str
    href: str


def group_by_day(times: Iterable[Slot], zone: ZoneInfo) -> dict[date, list[Slot]]:
    """The times under the days on which they fall in the zone."""
    days: dict[date, list[Slot]] = {}
    for free in times:
        days.setdefault(free.start.astimezone(zone).date(), []).append(free)
    return days


def find_doubles(times: Iterable[Slot], zone: ZoneInfo) -> set[datetime]:
    """Wall times that come twice, because the clocks are set back in between."""
    walls = Counter(free.start.astimezone(zone).replace(tzinfo=None, fold=0) for free in times)
    return {wall for wall, times_shown in walls.items() if times_shown > 1}


def label_time(start: datetime, zone: ZoneInfo, doubles: Iterable[datetime] = ()) -> str:
    """“02:30”, or “02:30 (GMT+2)” where there are two of them."""
    local = start.astimezone(zone)
    label = format_time(local)
    if local.replace(tzinfo=None, fold=0) in doubles:
        return gettext("%(time)s (%(offset)s)") % {"time": label, "offset": format_offset(local)}
    return label


def build_slots(
    times: Sequence[Slot], zone: ZoneInfo, *, duration: int, chosen: str = "", with_day: bool = False
) -> tuple[SlotChoice, ...]:
    doubles = find_doubles(times, zone)
    return tuple(
        build_slot(free, zone, doubles, duration=duration, chosen=chosen, with_day=with_day) for free in times
    )


def build_slot(
    free: Slot, zone: ZoneInfo, doubles: set[datetime], *, duration: int, chosen: str, with_day: bool
) -> SlotChoice:
    local = free.start.astimezone(zone)
    label = label_time(free.start, zone, doubles)
    end = format_time((free.start + timedelta(minutes=duration)).astimezone(zone))
    value = local.isoformat()
    return SlotChoice(
        value=value,
        label=gettext("%(day)s, %(time)s") % {"day": format_day(local.date()), "time": label}
        if with_day
        else label,
        spoken=gettext("to %(end)s") % {"end": end},
        seats_left=free.seats_left,
        is_chosen=value == chosen,
    )


def build_parts(slots: Sequence[SlotChoice], times: Sequence[Slot], zone: ZoneInfo) -> tuple[DayPart, ...]:
    """Morning, afternoon and evening, those that have times; a short day is left in one piece."""
    if len(slots) < MANY_SLOTS:
        return (DayPart(label="", slots=tuple(slots)),) if slots else ()
    parts: dict[str, list[SlotChoice]] = {}
    for slot, free in zip(slots, times, strict=True):
        parts.setdefault(name_part(free.start.astimezone(zone).hour), []).append(slot)
    return tuple(DayPart(label=label, slots=tuple(found)) for label, found in parts.items())


def name_part(hour: int) -> str:
    if hour < 12:
        return gettext("Morning")
    return gettext("Afternoon") if hour < 17 else gettext("Evening")


def parse_start(text: str) -> datetime | None:
    """An ISO instant with its offset, or None for anything else."""
    try:
        # A plus sign in an address that somebody typed arrives as a space.
        moment = datetime.fromisoformat(text.strip().replace(" ", "+"))
        return moment if moment.tzinfo and moment.astimezone(ZoneInfo("UTC")) else None
    except (ValueError, OverflowError):
        return None


def list_next_slots(
    times: Sequence[Slot], zone: ZoneInfo, address: PageUrl, count: int = MAX_NEXT_SLOTS
) -> tuple[NextSlot, ...]:
    """The first few times, each a way straight to the next step."""
    return tuple(
        NextSlot(
            label=format_moment(free.start, zone),
            href=address.to(start=free.start.astimezone(zone).isoformat()),
        )
        for free in times[:count]
    )
