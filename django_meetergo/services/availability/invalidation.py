"""Remove slots that are known to be taken, and flag documents as outdated."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import reduce
from operator import or_

from django.db.models import Q

from django_meetergo.cache import cache
from django_meetergo.models import Appointment, MeetingType
from django_meetergo.services.availability.store import (
    KEEP_FOR,
    Window,
    add_stamp,
    find_window,
    flag_document,
    list_windows,
    pack,
    unpack,
)
from django_meetergo.wakeup import wake_workers

#: What the windows of a meeting type are made of.
WINDOW_COLUMNS = (
    "connection", "remote_id", "calculation_method", "duration", "allowed_durations", "host_ids", "queue_id",
    "spots",
)  # fmt: skip

#: The documents of a longer span are not searched: an odd document may claim a thousand years.
MAX_SPAN = timedelta(days=366)


@dataclass(frozen=True, kw_only=True)
class TakenSpan:
    """A span of a host's calendar that is no longer free. ``host_id`` is meetergo's id."""

    host_id: str
    start: datetime
    end: datetime


def remove_slot(*, meeting_type: MeetingType, start: datetime, duration: int) -> None:
    """Remove a taken start from the stored documents, and flag these for a refresh."""
    if host_id := meeting_type.only_host_id:
        end = start + timedelta(minutes=duration)
        remove_spans(
            connection=meeting_type.connection, taken=[TakenSpan(host_id=host_id, start=start, end=end)]
        )
    else:
        # Another host of the queue, or another seat of the group, may still be free.
        invalidate(meeting_type=meeting_type, start=start)


def remove_spans(*, connection: str, taken: Sequence[TakenSpan]) -> None:
    """Remove taken spans from the documents of all meeting types that depend on one host's calendar alone."""
    if not taken:
        return
    host_ids = {span.host_id for span in taken}
    of_host = reduce(or_, (Q(host_ids=[host_id]) for host_id in host_ids))
    rows = MeetingType.objects.bookable().filter(of_host, connection=connection)
    types = [row for row in rows.order_by().only(*WINDOW_COLUMNS) if row.only_host_id]
    affected: dict[str, tuple[Window, list[TakenSpan]]] = {}
    for span in taken:
        for row in types:
            if row.only_host_id == span.host_id:
                for window in list_overlapping_windows(row, span):
                    affected.setdefault(window.key, (window, []))[1].append(span)
    changed = {}
    for key, stored in (cache.get_many(affected) or {}).items():
        times = unpack(stored)
        free = remove_overlapping(times, *affected[key])
        if free != times:  # otherwise the document is newer than the booking that took the span
            changed[key] = add_stamp({**stored, "times": pack(free), "outdated": True})
    if changed:
        cache.set_many(changed, KEEP_FOR.total_seconds())


def list_overlapping_windows(meeting_type: MeetingType, span: TakenSpan) -> Iterator[Window]:
    """Yield the windows that can contain a start whose appointment would overlap the span."""
    end = min(span.end, span.start + MAX_SPAN)
    for length in meeting_type.durations:
        yield from list_windows(meeting_type, length, span.start - timedelta(minutes=length), end)


def remove_overlapping(
    times: list[tuple[int, int | None]], window: Window, taken: list[TakenSpan]
) -> list[tuple[int, int | None]]:
    seconds = window.duration * 60
    for span in taken:
        # A start is taken if its appointment would end after the span begins and it is before the span's end.
        first, last = span.start.timestamp() - seconds, span.end.timestamp()
        times = [(listed, seats) for listed, seats in times if not first < listed < last]
    return times


def invalidate(*, meeting_type: MeetingType, start: datetime, moving: Appointment | None = None) -> None:
    """Flag the documents that contain a start as outdated, and wake the workers to refresh them.

    Also the document of the times to which the appointment ``moving`` can be moved.
    """
    windows = [find_window(meeting_type, length, start) for length in meeting_type.durations]
    if moving is not None:
        windows.append(find_window(meeting_type, moving.minutes, start, moving.remote_id))
    for window in windows:
        flag_document(window, outdated=True)
    wake_workers()
