"""Remove slots that are known to be taken and mark documents as outdated."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django_meetergo.models import MeetingType
from django_meetergo.services.availability.store import (
    KEEP_FOR,
    Window,
    add_stamp,
    document_cache,
    find_window,
    flag_document,
    list_windows,
    pack,
    parse_timestamp,
    unpack,
)
from django_meetergo.wakeup import wake_workers


@dataclass(frozen=True, kw_only=True)
class TakenSpan:
    """A span of a host's calendar, by meetergo's id, that is known not to be free any more."""

    host_id: str
    start: datetime
    end: datetime


def remove_slot(*, meeting_type: MeetingType, start: datetime, duration: int) -> None:
    """Drop a start that we know to be taken from the copies at hand, and mark them for a refresh."""
    if host_id := meeting_type.only_host_id:
        end = start + timedelta(minutes=duration)
        remove_spans(
            connection=meeting_type.connection, taken=[TakenSpan(host_id=host_id, start=start, end=end)]
        )
    else:
        # A queue may have other hosts, a group other seats.
        invalidate(meeting_type=meeting_type, start=start)


def remove_spans(*, connection: str, taken: Sequence[TakenSpan]) -> None:
    """The same for many, in every type whose free times follow from that one host's calendar."""
    types = [
        row
        for row in MeetingType.objects.bookable().filter(connection=connection).defer("raw")
        if row.only_host_id in {span.host_id for span in taken}
    ]
    affected: dict[str, tuple[Window, list[TakenSpan]]] = {}
    for span in taken:
        for row in types:
            if row.only_host_id == span.host_id:
                for window in list_overlapping_windows(row, span):
                    affected.setdefault(window.key, (window, []))[1].append(span)
    cache = document_cache()
    changed = {
        key: add_stamp(
            {**stored, "times": pack(drop_overlapping(unpack(stored), *affected[key])), "marked": True}
        )
        for key, stored in cache.get_many(list(affected)).items()
    }
    if changed:
        cache.set_many(changed, KEEP_FOR.total_seconds())


def list_overlapping_windows(meeting_type: MeetingType, span: TakenSpan) -> Iterator[Window]:
    """The documents in which a start could lie whose appointment would touch the span."""
    for length in meeting_type.durations:
        yield from list_windows(meeting_type, length, span.start - timedelta(minutes=length), span.end)


def drop_overlapping(
    times: list[tuple[int, int | None]], window: Window, taken: list[TakenSpan]
) -> list[tuple[int, int | None]]:
    return [
        (listed, seats)
        for listed, seats in times
        if not any(overlaps(parse_timestamp(listed), window.duration, span.start, span.end) for span in taken)
    ]


def overlaps(listed: datetime, length: int, start: datetime, end: datetime) -> bool:
    return listed < end and start < listed + timedelta(minutes=length)


def invalidate(*, meeting_type: MeetingType, start: datetime) -> None:
    """Mark the copies around a start: something there has changed, and a refresh comes first."""
    for length in meeting_type.durations:
        flag_document(find_window(meeting_type, length, start), marked=True)
    wake_workers()
