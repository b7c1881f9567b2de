"""A month as a grid of days."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from django.utils import formats
from django.utils.translation import gettext, ngettext

from django_meetergo.formatting import format_full_day, format_month, name_weekday
from django_meetergo.presentation.page_urls import PageUrl


@dataclass(frozen=True, kw_only=True)
class Day:
    """A cell of the month. A day with free times has a ``label`` for screen readers and a ``href``."""

    date: date
    number: str
    count: int = 0
    label: str = ""
    href: str = ""
    is_today: bool = False
    is_chosen: bool = False


@dataclass(frozen=True, kw_only=True)
class MonthLink:
    label: str
    href: str


@dataclass(frozen=True, kw_only=True)
class Month:
    """A month as weeks of seven cells; days of other months are None."""

    first: date
    label: str
    weekdays: tuple[tuple[str, str], ...]
    weeks: tuple[tuple[Day | None, ...], ...]
    previous: MonthLink | None
    following: MonthLink | None
    earliest: date
    latest: date


def first_of_month(day: date) -> date:
    return day.replace(day=1)


def next_month(day: date) -> date:
    return first_of_month(first_of_month(day) + timedelta(days=31))


def previous_month(day: date) -> date:
    return first_of_month(first_of_month(day) - timedelta(days=1))


def parse_day(text: str | None) -> date | None:
    """Parse “2026-12-03”; None for anything else."""
    try:
        return datetime.strptime(text or "", "%Y-%m-%d").date()  # noqa: DTZ007 - a date has no time zone
    except ValueError:
        return None


def parse_month(text: str | None) -> date | None:
    """Parse “2026-12” to its first day; None for anything else."""
    return parse_day(f"{text}-01") if text else None


def midnight(day: date, zone: ZoneInfo) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=zone)


def build_weekdays(first: int) -> tuple[tuple[str, str], ...]:
    """Return the abbreviation and the name of each weekday; ``first`` is 0 for Sunday, 1 for Monday."""
    numbers = [(first - 1 + offset) % 7 for offset in range(7)]
    names = [name_weekday(number) for number in numbers]
    short = [name[:2] for name in names]
    if len(set(short)) < 7:
        # In Arabic, for example, all names begin with the same two letters.
        short = [name_weekday(number, "D") for number in numbers]
    return tuple(zip(short, names, strict=True))


def build_month(
    first: date,
    *,
    counts: Mapping[date, int],
    today: date,
    last: date,
    chosen: date | None,
    here: PageUrl,
    first_weekday: int | None = None,
) -> Month:
    """Build the grid of a month. ``last`` is the first day of the last month that may be shown."""
    week_start = formats.get_format("FIRST_DAY_OF_WEEK") if first_weekday is None else first_weekday
    blanks = (first.isoweekday() - week_start) % 7
    days = (next_month(first) - first).days
    cells: list[Day | None] = [None] * blanks
    for offset in range(days):
        day = first + timedelta(days=offset)
        cells.append(build_day(day, counts.get(day, 0), today=today, chosen=chosen, here=here))
    cells += [None] * (-len(cells) % 7)
    before, after = previous_month(first), next_month(first)
    return Month(
        first=first,
        label=format_month(first),
        weekdays=build_weekdays(week_start),
        weeks=tuple(tuple(cells[start : start + 7]) for start in range(0, len(cells), 7)),
        previous=link_month(before, here) if before >= first_of_month(today) else None,
        following=link_month(after, here) if after <= last else None,
        earliest=first_of_month(today),
        latest=last,
    )


def build_day(day: date, count: int, *, today: date, chosen: date | None, here: PageUrl) -> Day:
    cell = Day(
        date=day,
        number=str(day.day),
        count=count,
        is_today=day == today,
        is_chosen=bool(count) and day == chosen,
    )
    if not count:
        return cell
    return replace(cell, label=label_day(cell), href=here.to(date=day.isoformat()))


def label_day(day: Day) -> str:
    """Return, for example, “today, Tuesday 1 December 2026, 6 times free”."""
    free = ngettext("%(label)s, %(count)s time free", "%(label)s, %(count)s times free", day.count)
    parts = [
        gettext("today,") if day.is_today else "",
        gettext("chosen,") if day.is_chosen else "",
        free % {"label": format_full_day(day.date), "count": day.count},
    ]
    return " ".join(filter(None, parts))


def link_month(first: date, here: PageUrl) -> MonthLink:
    return MonthLink(label=format_month(first), href=here.to(month=f"{first:%Y-%m}", date=""))
