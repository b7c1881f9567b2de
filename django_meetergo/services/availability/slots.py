"""List free slots, and decide whether a start is offered."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from django_meetergo.cache import cache
from django_meetergo.models import MeetingType
from django_meetergo.remote.client import MeetergoClient
from django_meetergo.services.availability import demand
from django_meetergo.services.availability.holds import get_holds_key, get_holds_stamp, remove_held_slots
from django_meetergo.services.availability.refresh import (
    fetch_once_per_process,
    refetch_or_flag,
    request_refresh,
)
from django_meetergo.services.availability.store import (
    SlotList,
    Source,
    Window,
    build_slot_list,
    find_window,
    get_document,
    has_start,
    is_showable,
    list_windows,
    needs_refresh,
)


def list_slots(
    *,
    meeting_type: MeetingType,
    start: datetime,
    end: datetime,
    client: MeetergoClient,
    now: datetime,
    duration: int | None = None,
    moving: str = "",
) -> SlotList:
    """Return the free slots from ``start`` (never before ``now``) up to ``end``, soonest first.

    ``moving`` is meetergo's id of an appointment to be rescheduled, whose own time counts as free. Slots that
    our own open bookings hold are left out. Makes no call while the documents are fresh, else one for each.
    Does not raise if the service does not answer: the result says so.
    """
    length = duration or meeting_type.duration
    since = max(start, now)
    holds_stamp = get_holds_stamp(meeting_type.connection)  # before the holds are read
    parts = [
        read_window(window, client=client, now=now)
        for window in list_windows(meeting_type, length, since, end, moving)
    ]
    free = [slot for part in parts for slot in part.times if since <= slot.start < end]
    ages = [part.as_of for part in parts if part.as_of]
    failed = any(part.failed for part in parts)
    holds: Source = (get_holds_key(meeting_type.connection), None, holds_stamp)
    return SlotList(
        times=tuple(remove_held_slots(meeting_type, free, length)),
        as_of=min(ages, default=None),
        stale=any(part.stale for part in parts),
        failed=failed,
        sources=() if failed else (holds, *(source for part in parts for source in part.sources)),
    )


def read_window(window: Window, *, client: MeetergoClient, now: datetime) -> SlotList:
    """Return the stored document at once. Only if none is younger than 15 minutes, wait for a fetch.

    A document that is no longer fresh is refreshed in the background, but for one for a reschedule: that has
    one viewer, who waits.
    """
    stored = get_document(window, now)
    if not window.moving:
        demand.recent_views.count(window.id, now)
    if stored is None:
        return fetch_once_per_process(window, client=client, now=now)
    if not needs_refresh(stored, now):
        return build_slot_list(window, stored)
    if not window.moving:
        request_refresh(window.key)
        return build_slot_list(window, stored)
    found = refetch_or_flag(window, client=client, now=now)
    return found or build_slot_list(window, {**stored, "failed": True})


def are_current(sources: Sequence[Source], now: datetime) -> bool:
    """Whether the stored documents are still those that a page was rendered from.

    If so, the page is shown again: that counts as a view of them, and requests refreshes as a view does.
    """
    stored = cache.get_many([key for key, _, _ in sources]) or {}
    documents = [(key, document) for key, document, _ in sources if document is not None]
    for key, document, stamp in sources:
        if document is None:
            is_same = stored.get(key, "") == stamp
        else:
            is_same = is_showable(stored.get(key), now) and stored[key]["stamp"] == stamp
        if not is_same:
            return False
    for key, document in documents:
        demand.recent_views.count(document, now)
        if needs_refresh(stored[key], now):
            request_refresh(key)
    return True


def is_listed(*, meeting_type: MeetingType, start: datetime, duration: int, moving: str = "") -> bool:
    """Whether the stored document lists this start. Makes no call."""
    stored = cache.get(find_window(meeting_type, duration, start, moving).key)
    return bool(stored) and has_start(stored, start)


def is_offered(
    *,
    meeting_type: MeetingType,
    start: datetime,
    duration: int,
    client: MeetergoClient,
    now: datetime,
    moving: str = "",
) -> bool | None:
    """Whether meetergo offers this start. None if it does not answer.

    Fetches the document again if the stored one does not list the start.
    """
    if is_listed(meeting_type=meeting_type, start=start, duration=duration, moving=moving):
        return True
    window = find_window(meeting_type, duration, start, moving)
    found = refetch_or_flag(window, client=client, now=now)
    return None if found is None or found.failed else any(slot.start == start for slot in found.times)
