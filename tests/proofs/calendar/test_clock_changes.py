"""Each time is shown on the right day, at the right local time and in both zones, in all zones and years.

The expected values are computed independently: from UTC, by adding the offset of the zone at that instant.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from django.utils import translation
from hypothesis import example, given, settings
from hypothesis import strategies as st

from django_meetergo.formatting import describe_when
from django_meetergo.presentation.page_urls import PageUrl
from django_meetergo.presentation.slots import SlotChoice, parse_start
from django_meetergo.presentation.time_choice import TimeChoice, TimeQuery, choose_time
from django_meetergo.services.availability.store import Slot, SlotList

ZONES = (
    "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Pacific/Auckland", "Australia/Lord_Howe",
    "Pacific/Chatham", "America/St_Johns", "America/Sao_Paulo", "Africa/Casablanca", "Asia/Tehran",
    "Pacific/Apia", "UTC",
)  # fmt: skip
VISITORS = ("Asia/Kolkata", "Pacific/Auckland", "Australia/Lord_Howe")
#: The host's zone and the days on which its clocks are changed.
CHANGES = [
    ("Europe/Berlin", date(2026, 3, 29)),
    ("Europe/Berlin", date(2026, 10, 25)),
    ("America/New_York", date(2026, 3, 8)),
    ("America/New_York", date(2026, 11, 1)),
]
BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
TWO_YEARS = 2 * 365 * 24 * 4
STEP = timedelta(minutes=15)

instants = st.integers(0, TWO_YEARS).map(lambda quarters: BEGIN + quarters * STEP)
zones = st.sampled_from(ZONES).map(ZoneInfo)


def wall(instant: datetime, zone: ZoneInfo) -> datetime:
    """Return the local time in a zone as a naive datetime."""
    distance = instant.astimezone(zone).utcoffset()
    assert distance is not None
    return instant.replace(tzinfo=None) + distance


def expect_start(start: datetime, zone: ZoneInfo, length: timedelta) -> str:
    """Return the pattern of a span's beginning; with its offset exactly when the clocks change in between."""
    is_changed = wall(start + length, zone) - wall(start, zone) != length
    offset = r" \(GMT[^)]*\)" if is_changed else ""
    return rf"\b{wall(start, zone):%H:%M}{offset}–"


def choose(times: list[datetime], zone: ZoneInfo, **asked: date) -> TimeChoice:
    """Return the first step of booking, a minute before the first of the times."""
    free = [Slot(start=time) for time in times]

    def read_slots(start: datetime, end: datetime) -> SlotList:
        return SlotList(times=tuple(one for one in free if start <= one.start < end), as_of=None)

    here = PageUrl("/book/")
    return choose_time(
        read_slots=read_slots,
        now=times[0] - timedelta(minutes=1),
        zone=zone,
        duration=30,
        query=TimeQuery(**asked),
        here=here,
        next_step=here,
    )


def list_slots(choice: TimeChoice) -> list[SlotChoice]:
    return [slot for part in choice.parts for slot in part.slots]


def quarter_hours(zone: str, day: date) -> list[datetime]:
    """Return every quarter of an hour of a day in a zone: 92, 96 or 100 of them."""
    start = datetime(day.year, day.month, day.day, tzinfo=ZoneInfo(zone)).astimezone(UTC)
    after = day + timedelta(days=1)
    end = datetime(after.year, after.month, after.day, tzinfo=ZoneInfo(zone)).astimezone(UTC)
    return [start + number * STEP for number in range((end - start) // STEP)]


@pytest.mark.parametrize("visitor", [*VISITORS, None], ids=lambda name: name or "at the host's")
@pytest.mark.parametrize(("host", "day"), CHANGES)
def test_on_the_day_of_a_clock_change_each_time_is_on_its_day_once(
    host: str, day: date, visitor: str | None
) -> None:
    times, zone = quarter_hours(host, day), ZoneInfo(visitor or host)
    days = {wall(time, zone).date() for time in times}
    found: list[datetime] = []
    for shown in sorted(days):
        slots = list_slots(choose(times, zone, day=shown))
        assert len({slot.label for slot in slots}) == len(slots)
        for slot in slots:
            instant = datetime.fromisoformat(slot.value).astimezone(UTC)
            assert wall(instant, zone).date() == shown
            assert slot.label.startswith(f"{wall(instant, zone):%H:%M}")
            found.append(instant)
    assert found == times


@pytest.mark.parametrize(("host", "day"), CHANGES)
@pytest.mark.parametrize("visitor", VISITORS)
def test_on_the_day_of_a_clock_change_both_local_times_are_shown(host: str, day: date, visitor: str) -> None:
    here, there = ZoneInfo(visitor), ZoneInfo(host)
    for start in quarter_hours(host, day):
        when = describe_when(start, start + timedelta(minutes=30), here, host_zone=there)
        assert when.day == f"{wall(start, here):%A} {wall(start, here).day} {wall(start, here):%B %Y}"
        assert when.span.startswith(f"{wall(start, here):%H:%M}")
        assert re.search(expect_start(start, there, timedelta(minutes=30)), when.there)
        if wall(start, there).date() != wall(start, here).date():
            assert f"{wall(start, there):%A}" in when.there


def test_times_of_the_repeated_hour_have_different_labels() -> None:
    choice = choose(quarter_hours("Europe/Berlin", date(2026, 10, 25)), ZoneInfo("Europe/Berlin"))
    labels = [slot.label for slot in list_slots(choice)]

    assert {"02:30 (GMT+2)", "02:30 (GMT+1)"} <= set(labels)
    assert labels.index("02:45 (GMT+2)") < labels.index("02:00 (GMT+1)")


@settings(max_examples=400, deadline=None)
@given(start=instants, here=zones, there=zones)
@example(  # the second 02:00 of the night when clocks go back
    start=datetime(2026, 4, 4, 14, tzinfo=UTC),
    here=ZoneInfo("Pacific/Auckland"),
    there=ZoneInfo("Europe/Berlin"),
)
def test_any_time_is_shown_on_its_day_and_comes_back_as_the_same_instant(
    start: datetime, here: ZoneInfo, there: ZoneInfo
) -> None:
    with translation.override("en-gb"):
        choice = choose([start], here)
        (slot,) = list_slots(choice)
        (free,) = [day for week in choice.month.weeks for day in week if day and day.href]
        when = describe_when(start, start + STEP, here, host_zone=there)

    assert parse_start(slot.value) == start
    assert (choice.day, free.date) == (wall(start, here).date(),) * 2
    # The offset is shown for a local time that occurs twice, and for no other.
    others = (start + number * STEP for number in range(-8, 9) if number)
    is_repeated = any(wall(other, here) == wall(start, here) for other in others)
    local = f"{wall(start, here):%H:%M}"
    assert slot.label.startswith(local)
    assert (slot.label != local) is is_repeated
    assert when.span.startswith(local)
    same = start.astimezone(here).utcoffset() == start.astimezone(there).utcoffset()
    assert bool(when.there) is not same
    assert same or re.search(expect_start(start, there, STEP), when.there)


@settings(max_examples=150, deadline=None)
@given(start=instants, steps=st.sets(st.integers(0, 4 * 24 * 40), max_size=40), zone=zones)
@example(start=BEGIN, steps={2400}, zone=ZoneInfo("UTC"))
def test_a_month_counts_every_time_once(start: datetime, steps: set[int], zone: ZoneInfo) -> None:
    times = {start, *(start + step * STEP for step in steps)}
    month = wall(min(times), zone).date().replace(day=1)
    near = sorted(time for time in times if wall(time, zone).date().replace(day=1) == month)
    # Asked for, since a minute before the first time it may be the month before.
    choice = choose(near, zone, month=month)
    counts = {day.date: day.count for week in choice.month.weeks for day in week if day and day.count}

    assert sum(counts.values()) == len(near)
    assert all(counts[wall(time, zone).date()] for time in near)
