"""A month as a grid of days."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from django.utils import formats
from django.utils.translation import gettext, ngettext

from django_meetergo.formatting import (
    format_full_day,
    format_month,
    format_months,
    format_short_month,
    name_weekday,
)
from django_meetergo.presentation.page_urls import Link, PageUrl


@dataclass(frozen=True, kw_only=True)
class Day:
    """A cell of the month. A day with free times has a ``label`` for screen readers and a ``href``.

    ``month`` is the short name of the month that begins here in a grid of two months.
    """

    date: date
    number: str
    month: str = ""
    count: int = 0
    label: str = ""
    href: str = ""
    is_today: bool = False
    is_chosen: bool = False


@dataclass(frozen=True, kw_only=True)
class Month:
    """A month as weeks of seven cells; cells before and after its days are None.

    The present month begins with this week and has at least ``MIN_WEEKS`` weeks, so that at its end the
    coming weeks are in sight. ``start`` is its first day.
    """

    start: date
    label: str
    weekdays: tuple[tuple[str, str], ...]
    weeks: tuple[tuple[Day | None, ...], ...]
    previous: Link | None
    following: Link | None
    earliest: date
    latest: date


#: Weeks that the present month shows at least. As many days are in two cached documents at most.
MIN_WEEKS = 4


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
    # In Arabic and Chinese, for example, all names begin alike.
    skipped = next(place for place, letters in enumerate(zip(*names, strict=False)) if len(set(letters)) > 1)
    short = [name[skipped:][:2] for name in names]
    if len(set(short)) < 7:
        short = [name_weekday(number, "D") for number in numbers]
    return tuple(zip(short, names, strict=True))


def get_week_start() -> int:
    """Return the first day of the week in the active language: 0 for Sunday, 1 for Monday."""
    return int(formats.get_format("FIRST_DAY_OF_WEEK"))


def find_span(first: date, today: date) -> tuple[date, date]:
    """Return the first day that the grid of a month shows, and the day after the last one."""
    start, end = first, next_month(first)
    if first != first_of_month(today):
        return start, end
    week = today - timedelta(days=(today.isoweekday() - get_week_start()) % 7)
    return max(start, week), max(end, week + timedelta(weeks=MIN_WEEKS))


def build_month(
    first: date,
    *,
    counts: Mapping[date, int],
    today: date,
    last: date,
    chosen: date | None,
    here: PageUrl,
) -> Month:
    """Build the grid of a month. ``last`` is the first day of the last month that may be shown."""
    week_start = get_week_start()
    start, end = find_span(first, today)
    cells: list[Day | None] = [None] * ((start.isoweekday() - week_start) % 7)
    for offset in range((end - start).days):
        day = start + timedelta(days=offset)
        cells.append(build_day(day, counts.get(day, 0), today=today, chosen=chosen, here=here, first=first))
    cells += [None] * (-len(cells) % 7)
    before, after = previous_month(first), next_month(first)
    return Month(
        start=start,
        label=format_months(first, end - timedelta(days=1)),
        weekdays=build_weekdays(week_start),
        weeks=tuple(tuple(cells[start : start + 7]) for start in range(0, len(cells), 7)),
        previous=link_month(before, here) if before >= first_of_month(today) else None,
        following=link_month(after, here) if after <= last else None,
        earliest=first_of_month(today),
        latest=last,
    )


def build_day(day: date, count: int, *, today: date, chosen: date | None, here: PageUrl, first: date) -> Day:
    is_today, is_chosen = day == today, bool(count) and day == chosen
    # A day of the next month stays in the grid of the present one.
    is_other = first_of_month(day) != first
    month = f"{first:%Y-%m}" if is_other else ""
    return Day(
        date=day,
        number=str(day.day),
        month=format_short_month(day) if is_other and day.day == 1 else "",
        count=count,
        label=label_day(day, count, is_today=is_today, is_chosen=is_chosen) if count else "",
        href=here.to(date=day.isoformat(), month=month) if count else "",
        is_today=is_today,
        is_chosen=is_chosen,
    )


def label_day(day: date, count: int, *, is_today: bool, is_chosen: bool) -> str:
    """Return, for example, “today, Tuesday 1 December 2026, 6 times free”."""
    free = ngettext("%(label)s, %(count)s time free", "%(label)s, %(count)s times free", count)
    parts = [
        gettext("today,") if is_today else "",
        gettext("chosen,") if is_chosen else "",
        free % {"label": format_full_day(day), "count": count},
    ]
    return " ".join(filter(None, parts))


def link_month(first: date, here: PageUrl) -> Link:
    return Link(label=format_month(first), href=here.to(month=f"{first:%Y-%m}", date=""))
