"""Slots that our own open bookings hold. They are not offered to anybody else."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from uuid import uuid4

from django_meetergo.cache import cache
from django_meetergo.models import Booking, MeetingType
from django_meetergo.remote.payloads.reading import MAX_MINUTES
from django_meetergo.services.availability.store import Slot

#: No booking is longer. Bounds how far before a span its holds are looked for.
MAX_DURATION = timedelta(minutes=MAX_MINUTES)
#: At least as long as a rendered page is kept.
KEEP_SECONDS = 3600


def get_holds_key(connection: str) -> str:
    return f"meetergo:holds:{connection}"


def get_holds_stamp(connection: str) -> str:
    """Return the stamp of the present holds. Pages rendered with another one are outdated."""
    stamp: str = cache.get(get_holds_key(connection), "")
    return stamp


def renew_holds_stamp(connection: str) -> None:
    """Invalidate the rendered pages, after a booking that holds a slot was committed."""
    cache.set(get_holds_key(connection), uuid4().hex, KEEP_SECONDS)


def remove_held_slots(meeting_type: MeetingType, slots: Sequence[Slot], duration: int) -> list[Slot]:
    """Leave out the slots that overlap an open booking of the same host. Costs one statement at most.

    For meeting types with one host and one seat: with several, another host or seat may be free.
    """
    host_id = meeting_type.only_host_id
    if not host_id or not slots:
        return list(slots)
    length = timedelta(minutes=duration)
    first, last = slots[0].start, slots[-1].start + length
    held = [
        (start, start + timedelta(minutes=minutes))
        for start, minutes, host_ids in Booking.objects.filter(
            connection=meeting_type.connection,
            slot_hold_key__isnull=False,
            start__gt=first - MAX_DURATION,
            start__lt=last,
        )
        .order_by()
        .values_list("start", "duration", "meeting_type__host_ids")
        if host_ids == [host_id]
    ]
    return [
        slot
        for slot in slots
        if not any(slot.start < end and start < slot.start + length for start, end in held)
    ]
