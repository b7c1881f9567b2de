"""Choose alternatives when a slot is taken."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django_meetergo.exceptions import (
    RemoteError,
)
from django_meetergo.models import MeetingType
from django_meetergo.remote.client import MeetergoClient
from django_meetergo.services.availability.invalidation import remove_slot
from django_meetergo.services.availability.refresh import fetch_window
from django_meetergo.services.availability.slots import list_slots
from django_meetergo.services.availability.store import Slot, Window, find_window, flag_document

MAX_ALTERNATIVES = 4
SEARCH_SPAN = timedelta(days=14)


def list_alternatives(
    *,
    meeting_type: MeetingType,
    start: datetime,
    duration: int,
    zone: ZoneInfo,
    client: MeetergoClient,
    now: datetime,
    moving: str = "",
    current_start: datetime | None = None,
) -> list[Slot]:
    """Up to four free times near a lost one, soonest first, by the calendar of ``zone``.

    Two before and two after on the same day, filled up with the same clock time on the next free days.
    ``moving`` is meetergo's id of an appointment that was to be moved there: it does not stand in its own
    way, and ``stands_at``, where it is now, is no other time.
    """
    window = find_window(meeting_type, duration, start, moving)
    refetch_window(window, start=start, client=client, now=now)
    local = start.astimezone(zone)
    midnight = local.replace(hour=0, minute=0, second=0, microsecond=0)
    found = list_slots(
        meeting_type=meeting_type,
        start=midnight,
        end=midnight + SEARCH_SPAN,
        duration=duration,
        moving=moving,
        client=client,
        now=now,
    )
    times = [free for free in found.times if free.start not in {start, current_start}]
    return choose_alternatives(times, local, zone)


def refetch_window(window: Window, *, start: datetime, client: MeetergoClient, now: datetime) -> None:
    """Look again, past meetergo's own cache; what we have stays if it does not answer."""
    try:
        fetch_window(window, client=client, now=now, refresh_cache=True)
    except RemoteError:
        flag_document(window, failed=True)
        remove_slot(meeting_type=window.meeting_type, start=start, duration=window.duration)


def choose_alternatives(times: list[Slot], wanted: datetime, zone: ZoneInfo) -> list[Slot]:
    day = wanted.date()
    same_day = [free for free in times if free.start.astimezone(zone).date() == day]
    before = [free for free in same_day if free.start < wanted][-2:]
    after = [free for free in same_day if free.start > wanted][:2]
    chosen = before + after
    for free in list_nearest_clock_times(times, wanted, zone):
        if len(chosen) == MAX_ALTERNATIVES:
            break
        chosen.append(free)
    if len(chosen) < MAX_ALTERNATIVES:
        chosen += [free for free in times if free not in chosen][: MAX_ALTERNATIVES - len(chosen)]
    return sorted(chosen, key=lambda free: free.start)


def list_nearest_clock_times(times: Iterable[Slot], wanted: datetime, zone: ZoneInfo) -> Iterator[Slot]:
    """On each later free day, the time nearest to the wanted time of day."""
    by_day: dict[Any, list[Slot]] = {}
    for free in times:
        local = free.start.astimezone(zone)
        if local.date() > wanted.date():
            by_day.setdefault(local.date(), []).append(free)

    def distance(free: Slot) -> int:
        local = free.start.astimezone(zone)
        return abs((local.hour - wanted.hour) * 60 + local.minute - wanted.minute)

    for day in sorted(by_day):
        yield min(by_day[day], key=distance)
