"""List free slots."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from django_meetergo.exceptions import (
    RemoteError,
)
from django_meetergo.models import MeetingType
from django_meetergo.remote.client import MeetergoClient
from django_meetergo.services.availability import demand
from django_meetergo.services.availability.refresh import (
    fetch_once_per_process,
    fetch_window,
    request_refresh,
)
from django_meetergo.services.availability.store import (
    SlotList,
    Source,
    Window,
    build_slot_list,
    document_cache,
    find_window,
    flag_document,
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
    """The free starts from ``start`` (never before ``now``) up to ``end``, both aware; soonest first.

    ``moving`` is meetergo's id of an appointment that looks for another time: its own does not block it.
    Costs no call while the documents are fresh, else one each. Never raises for a service that does not
    answer: the result says so.
    """
    length = duration or meeting_type.duration
    since = max(start, now)
    parts = [
        read_window(window, client=client, now=now)
        for window in list_windows(meeting_type, length, since, end, moving)
    ]
    times = [free for part in parts for free in part.times if since <= free.start < end]
    ages = [part.as_of for part in parts if part.as_of]
    failed = any(part.failed for part in parts)
    return SlotList(
        times=tuple(times),
        as_of=min(ages, default=None),
        stale=any(part.stale for part in parts),
        failed=failed,
        sources=() if failed else tuple(source for part in parts for source in part.sources),
    )


def read_window(window: Window, *, client: MeetergoClient, now: datetime) -> SlotList:
    """The copy at hand, at once; only where there is none of this quarter of an hour does somebody wait.

    A copy that is no longer fresh asks for its refresh in the background.
    """
    cache = document_cache()
    stored = get_document(window, now)
    if not window.moving:
        demand.recent_views.note(window.id, cache, now)
    if stored is None:
        return fetch_once_per_process(window, client=client, now=now)
    if needs_refresh(stored, now):
        request_refresh(window.key, cache)
    return build_slot_list(window, stored)


def are_current(sources: Sequence[Source], now: datetime) -> bool:
    """Whether the copies at hand are still those that something was made from.

    It is shown again if so: that counts as a view of them, and asks for refreshes as a view does.
    """
    cache = document_cache()
    copies = cache.get_many([key for key, _, _ in sources])
    for key, _, name in sources:
        if not is_showable(copies.get(key), now) or copies[key]["stamp"] != name:
            return False
    for key, document, _ in sources:
        demand.recent_views.note(document, cache, now)
        if needs_refresh(copies[key], now):
            request_refresh(key, cache)
    return True


def is_offered(
    *,
    meeting_type: MeetingType,
    start: datetime,
    duration: int,
    client: MeetergoClient,
    now: datetime,
    moving: str = "",
) -> bool | None:
    """Whether meetergo lists this start, asking once more if our copy does not. None: it did not answer."""
    window = find_window(meeting_type, duration, start, moving)
    stored = document_cache().get(window.key)
    if stored and has_start(stored, start):
        return True
    try:
        times = fetch_window(window, client=client, now=now, refresh_cache=stored is not None)
    except RemoteError:
        flag_document(window, failed=True)
        return None
    return any(free.start == start for free in times.times)
