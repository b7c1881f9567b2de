"""Choose alternatives when a slot is taken."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from django_meetergo.models import MeetingType
from django_meetergo.remote.client import MeetergoClient
from django_meetergo.services.availability.invalidation import remove_slot
from django_meetergo.services.availability.refresh import refetch_or_flag
from django_meetergo.services.availability.slots import list_slots
from django_meetergo.services.availability.store import Slot, Window, find_window

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
    """Return up to four free slots near a taken one, soonest first, by the calendar of ``zone``.

    Two before and two after on the same day, then the same time of day on the next free days. ``moving`` is
    meetergo's id of an appointment to be rescheduled, and ``current_start`` its present start, which is not
    an alternative. All who lose one slot at the same time share one call.
    """
    refetch_window(find_window(meeting_type, duration, start, moving), start=start, client=client, now=now)
    local = start.astimezone(zone)
    midnight = local.replace(hour=0, minute=0, second=0, microsecond=0)
    found = list_slots(
        meeting_type=meeting_type,
        start=midnight,
        end=midnight + SEARCH_SPAN,
        duration=duration,
        moving=moving,
        client=client.with_priority("view"),
        now=now,
    )
    slots = [slot for slot in found.times if slot.start not in {start, current_start}]
    return choose_alternatives(slots, local, zone)


def refetch_window(window: Window, *, start: datetime, client: MeetergoClient, now: datetime) -> None:
    """Fetch a document again. If meetergo does not answer, remove the start from the stored one."""
    if refetch_or_flag(window, client=client, now=now) is None:
        remove_slot(meeting_type=window.meeting_type, start=start, duration=window.duration)


def choose_alternatives(slots: list[Slot], wanted: datetime, zone: ZoneInfo) -> list[Slot]:
    """Choose up to four slots for a wanted start, soonest first."""
    day = wanted.date()
    same_day = [slot for slot in slots if slot.start.astimezone(zone).date() == day]
    before = [slot for slot in same_day if slot.start < wanted][-2:]
    after = [slot for slot in same_day if slot.start > wanted][:2]
    chosen = before + after
    for slot in list_nearest_clock_times(slots, wanted, zone):
        if len(chosen) == MAX_ALTERNATIVES:
            break
        chosen.append(slot)
    if len(chosen) < MAX_ALTERNATIVES:
        chosen += [slot for slot in slots if slot not in chosen][: MAX_ALTERNATIVES - len(chosen)]
    return sorted(chosen, key=lambda slot: slot.start)


def list_nearest_clock_times(slots: Iterable[Slot], wanted: datetime, zone: ZoneInfo) -> Iterator[Slot]:
    """Yield, for each later free day, the slot nearest to the wanted time of day."""
    by_day: dict[date, list[Slot]] = {}
    for slot in slots:
        local = slot.start.astimezone(zone)
        if local.date() > wanted.date():
            by_day.setdefault(local.date(), []).append(slot)

    def measure_distance(slot: Slot) -> int:
        local = slot.start.astimezone(zone)
        return abs((local.hour - wanted.hour) * 60 + local.minute - wanted.minute)

    for day in sorted(by_day):
        yield min(by_day[day], key=measure_distance)
