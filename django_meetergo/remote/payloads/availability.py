"""Free starts. meetergo uses three document shapes for them; all become ``Availability``."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django_meetergo.exceptions import UnreadableReply
from django_meetergo.remote.payloads.reading import (
    read_instant,
    read_list,
    read_number,
    read_object,
    read_objects,
    read_text,
    require_object,
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Slot:
    """A start that can be booked, in UTC. ``seats_left`` is None where seats are not counted."""

    start: datetime
    seats_left: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class BlockedSlot:
    """A start that cannot be booked, with the reasons. Only ``troubleshoot`` returns them."""

    start: datetime
    reasons: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Availability:
    """The free starts of one meeting type in one window: sorted, unique, in UTC."""

    slots: tuple[Slot, ...]
    blocked: tuple[BlockedSlot, ...] = ()


def parse_availability(document: object) -> Availability:
    """Parse any of the three shapes. An unknown shape raises ``UnreadableReply``; it is not empty."""
    body = require_object(document, "availability")
    if isinstance(body.get("dates"), list):
        return _parse_spots(body["dates"])
    if isinstance(body.get("slots"), list):
        times = (time for day in read_objects(body["slots"]) for time in read_list(day.get("times")))
        return Availability(slots=_build_slots(times))
    if isinstance(body.get("availableSlots"), list):
        starts = (entry.get("start") for entry in read_objects(body["availableSlots"]))
        return Availability(slots=_build_slots(starts))
    raise UnreadableReply("availability of unknown shape")


def _build_slots(values: Iterator[object]) -> tuple[Slot, ...]:
    starts = {start for value in values if (start := read_instant(value))}
    return tuple(Slot(start=start) for start in sorted(starts))


def _parse_spots(dates: list[Any]) -> Availability:
    slots: dict[datetime, Slot] = {}
    blocked: dict[datetime, BlockedSlot] = {}
    for spot in (spot for day in read_objects(dates) for spot in read_objects(day.get("spots"))):
        start = read_instant(spot.get("startTime"))
        if start is None:
            continue
        events = spot.get("unavailabilityEvents") or []
        if reasons := tuple(map(_read_reason, events if isinstance(events, list) else [events])):
            blocked.setdefault(start, BlockedSlot(start=start, reasons=reasons))
        elif (slot := _read_slot(start, spot)).seats_left != 0:
            slots.setdefault(start, slot)
    return Availability(
        slots=tuple(slots[start] for start in sorted(slots)),
        blocked=tuple(blocked[start] for start in sorted(blocked)),
    )


def _read_slot(start: datetime, spot: dict[str, Any]) -> Slot:
    appointment = read_object(spot.get("appointment"))
    total, taken = read_number(appointment.get("totalSpots")), read_number(appointment.get("takenSpots"))
    if total is None or taken is None:
        return Slot(start=start)
    return Slot(start=start, seats_left=max(total - taken, 0))


def _read_reason(event: object) -> str:
    """Return who is busy and why, in meetergo's words."""
    details = read_object(event)
    parts = (read_text(details.get("type")), read_text(details.get("hostName")))
    return ": ".join(part for part in parts if part) or read_text(event) or "unavailable"
