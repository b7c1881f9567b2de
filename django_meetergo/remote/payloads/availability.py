"""Free starts. The service has worded them in three ways; this file makes them one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django_meetergo.exceptions import UnreadableReply
from django_meetergo.remote.payloads.reading import (
    need_object,
    read_instant,
    read_list,
    read_number,
    read_object,
    read_objects,
    read_text,
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Slot:
    """A start that can be booked; seats are known for group types only."""

    start: datetime
    seats_left: int | None = None
    seats_total: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class BlockedSlot:
    """A start that cannot be booked, and what stands in its way (told only when troubleshooting)."""

    start: datetime
    reasons: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Availability:
    """The free starts of one meeting type in one window: sorted, unique, in UTC."""

    timezone: str
    slots: tuple[Slot, ...]
    blocked: tuple[BlockedSlot, ...] = ()


def parse_availability(document: object) -> Availability:
    """Read whichever of the three shapes this is; an unknown one is refused, never read as empty."""
    body = need_object(document, "free times")
    timezone = read_text(body.get("timezone"))
    if isinstance(body.get("dates"), list):
        return _parse_spots(body["dates"], timezone)
    if isinstance(body.get("slots"), list):
        times = (time for day in read_objects(body["slots"]) for time in read_list(day.get("times")))
        return Availability(timezone=timezone, slots=_slots(times))
    if isinstance(body.get("availableSlots"), list):
        starts = (entry.get("start") for entry in read_objects(body["availableSlots"]))
        return Availability(timezone=timezone, slots=_slots(starts))
    raise UnreadableReply("free times came in a shape we do not know")


def _slots(values: Iterator[object]) -> tuple[Slot, ...]:
    starts = {start for value in values if (start := read_instant(value))}
    return tuple(Slot(start=start) for start in sorted(starts))


def _parse_spots(dates: list[Any], timezone: str) -> Availability:
    slots: dict[datetime, Slot] = {}
    blocked: dict[datetime, BlockedSlot] = {}
    for spot in (spot for day in read_objects(dates) for spot in read_objects(day.get("spots"))):
        start = read_instant(spot.get("startTime"))
        if start is None:
            continue
        if reasons := tuple(_reason(event) for event in read_list(spot.get("unavailabilityEvents"))):
            blocked.setdefault(start, BlockedSlot(start=start, reasons=reasons))
        elif (slot := _slot_with_seats(start, spot)).seats_left != 0:
            slots.setdefault(start, slot)
    return Availability(
        timezone=timezone,
        slots=tuple(slots[start] for start in sorted(slots)),
        blocked=tuple(blocked[start] for start in sorted(blocked)),
    )


def _slot_with_seats(start: datetime, spot: dict[str, Any]) -> Slot:
    appointment = read_object(spot.get("appointment"))
    total, taken = read_number(appointment.get("totalSpots")), read_number(appointment.get("takenSpots"))
    if total is None or taken is None:
        return Slot(start=start)
    return Slot(start=start, seats_left=max(total - taken, 0), seats_total=total)


def _reason(event: object) -> str:
    """Who is busy and why, in the service's words."""
    facts = read_object(event)
    words = (read_text(facts.get("type")), read_text(facts.get("hostName")))
    return ": ".join(word for word in words if word) or read_text(event) or "unavailable"
