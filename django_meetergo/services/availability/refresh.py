"""Fetch availability documents: the first time, after a lost slot, and in the background."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

from django_meetergo.cache import cache
from django_meetergo.clock import Stopwatch
from django_meetergo.exceptions import RemoteError
from django_meetergo.models import MeetingType
from django_meetergo.models.mirrored import is_read_by
from django_meetergo.remote.client import MeetergoClient
from django_meetergo.services.availability import demand
from django_meetergo.services.availability.store import (
    NO_ANSWER,
    SlotList,
    Window,
    add_stamp,
    build_slot_list,
    flag_document,
    get_document,
    pack,
    parse_timestamp,
    store_document,
)
from django_meetergo.services.clients import CALLS_SUSPENDED
from django_meetergo.wakeup import wake_workers

#: How long one refresh keeps others from fetching the same document.
LOCK_SECONDS = 15
#: How long a view waits for a document that another caller is fetching.
WAIT_SECONDS = 2.0
WAIT_STEP_SECONDS = 0.05
#: How often the views of one document wake the workers.
REFRESH_REQUEST_SECONDS = 5
#: A document that was fetched so recently is not fetched again because a start is missing in it.
JUST_FETCHED = timedelta(seconds=5)
#: How many documents one run of the background work refreshes at most.
BATCH_SIZE = 20

#: The first fetches that threads of this process are making, by cache key.
_fetches_in_progress: dict[str, Future[SlotList]] = {}

if hasattr(os, "register_at_fork"):
    # A forked process has the futures, and not the threads that would end them.
    os.register_at_fork(after_in_child=_fetches_in_progress.clear)


def request_refresh(key: str) -> None:
    """Wake the workers for a document, at most once in ``REFRESH_REQUEST_SECONDS``."""
    if cache.add(f"{key}:asked", 1, REFRESH_REQUEST_SECONDS):
        wake_workers()


def fetch_once_per_process(window: Window, *, client: MeetergoClient, now: datetime) -> SlotList:
    """Return the first copy of a document. One caller fetches it; the others wait ``WAIT_SECONDS`` at most.

    The threads of a process wait for each other, so that only one of them polls the cache.
    """
    future: Future[SlotList] = Future()
    first = _fetches_in_progress.setdefault(window.key, future)
    if first is not future:
        try:
            return first.result(WAIT_SECONDS)
        except TimeoutError:
            return NO_ANSWER
    found = NO_ANSWER
    try:
        found = fetch_once(window, client=client, now=now)
    finally:
        del _fetches_in_progress[window.key]
        future.set_result(found)
    return found


def fetch_once(window: Window, *, client: MeetergoClient, now: datetime) -> SlotList:
    """Return the first copy of a document, fetched by one process and awaited by the others."""
    with hold_refresh_lock(window) as is_ours:
        if not is_ours:
            stored = wait_for_document(window, now)
            return build_slot_list(window, stored) if stored else NO_ANSWER
        # Another process may have stored the document before we got the lock.
        stored = get_document(window, now)
        try:
            return build_slot_list(window, stored) if stored else fetch_window(window, client=client, now=now)
        except RemoteError:
            return NO_ANSWER


def refetch_once(window: Window, *, client: MeetergoClient, now: datetime) -> SlotList:
    """Fetch a document past meetergo's own cache, once for all who need it at the same time.

    Callers that find another one fetching wait for its result, ``WAIT_SECONDS`` at most, and then use the
    stored document. Costs the priority of a view, whatever the client is for. Raises RemoteError.
    """
    stored = get_document(window, now)
    if stored and was_just_fetched(stored, now):
        return build_slot_list(window, stored)
    with hold_refresh_lock(window) as is_ours:
        if is_ours:
            return fetch_window(
                window, client=client.with_priority("view"), now=now, refresh_cache=stored is not None
            )
        fetched_at = stored["at"] if stored else None
        stored = wait_for_document(window, now, fetched_after=fetched_at) or stored
    return build_slot_list(window, stored) if stored else NO_ANSWER


def refetch_or_flag(window: Window, *, client: MeetergoClient, now: datetime) -> SlotList | None:
    """Fetch a document as ``refetch_once`` does. None, with the stored one flagged, without an answer."""
    try:
        return refetch_once(window, client=client, now=now)
    except RemoteError:
        flag_document(window, failed=True)
        return None


@contextmanager
def hold_refresh_lock(window: Window) -> Iterator[bool]:
    """Yield whether the caller is to fetch this document. Rarely two callers are, which costs one call."""
    lock, owner = f"{window.key}:lock", uuid4().hex
    is_ours: bool = cache.add(lock, owner, LOCK_SECONDS)
    try:
        yield is_ours
    finally:
        if is_ours and cache.get(lock) == owner:
            cache.delete(lock)


def wait_for_document(
    window: Window, now: datetime, *, fetched_after: float | None = None
) -> dict[str, Any] | None:
    """Return the document as soon as another caller has stored one with a later fetch time."""
    deadline = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < deadline:
        stored = get_document(window, now)
        if stored and stored["at"] != fetched_after:
            return stored
        time.sleep(WAIT_STEP_SECONDS)
    return None


def fetch_window(
    window: Window, *, client: MeetergoClient, now: datetime, refresh_cache: bool = False
) -> SlotList:
    """Fetch a document and store it. Raises RemoteError.

    ``refresh_cache`` makes meetergo read the calendars again instead of its own cache. meetergo may answer
    with whole days: the document is clipped to its window.
    """
    meeting_type = window.meeting_type
    host_ids, queue_id = choose_hosts(window)
    answer = client.get_booking_availability(
        meeting_type.remote_id,
        max(window.start, now),
        window.end,
        host_ids=host_ids,
        queue_id=queue_id,
        calculation_method=meeting_type.calculation_method,
        duration=window.duration if window.duration != meeting_type.duration else None,
        existing_appointment_id=window.moving,
        refresh_cache=refresh_cache,
    )
    times = [
        (int(slot.start.timestamp()), slot.seats_left)
        for slot in answer.slots
        if window.start <= slot.start < window.end
    ]
    stored = add_stamp({"at": now.timestamp(), "times": pack(times)})
    store_document(window, stored)
    return build_slot_list(window, stored)


def choose_hosts(window: Window) -> tuple[list[str], str]:
    """Return the host ids and the queue id to ask with.

    For a booking: all members of the queue and the queue itself. One reading of the service needs the queue,
    the other needs the members. For a reschedule: the hosts of the appointment without the queue, because a
    reschedule keeps them.
    """
    if window.host_ids:
        return list(window.host_ids), ""
    return window.meeting_type.list_host_ids(), window.meeting_type.queue_id


def poll_availability(
    *, connection: str, client: MeetergoClient, now: datetime, number: int = BATCH_SIZE
) -> int:
    """Refresh the documents with the most interest, as far as the rate limit allows. Return how many.

    ``client`` should have the priority ``planned``, which leaves permits to bookings and views.
    """
    stopwatch, done = Stopwatch(now), 0
    for window in choose_windows(connection, now, number):
        try:
            done += refresh_window(window, client=client, now=stopwatch.now())
        except CALLS_SUSPENDED:
            break
        except RemoteError:
            flag_document(window, failed=True)
    return done


def refresh_window(window: Window, *, client: MeetergoClient, now: datetime) -> bool:
    """Fetch a document again, unless another process is doing so or has just done it."""
    with hold_refresh_lock(window) as is_ours:
        stored = cache.get(window.key)
        is_ours = is_ours and not (stored and was_just_fetched(stored, now))
        if is_ours:
            fetch_window(window, client=client, now=now)
    return is_ours


def was_just_fetched(stored: dict[str, Any], now: datetime) -> bool:
    """Whether the document is a few seconds old and not known to be outdated."""
    return not stored.get("outdated") and now - parse_timestamp(stored["at"]) < JUST_FETCHED


def choose_windows(connection: str, now: datetime, number: int) -> list[Window]:
    """Return the windows that are most worth a refresh, best first."""
    interest = demand.read_interest()
    types = (
        MeetingType.objects.bookable()
        .filter(is_read_by(connection))
        .defer("raw")
        .in_bulk({type_id for type_id, _, _ in interest})
    )
    windows = {
        window.key: window
        for type_id, duration, window_number in interest
        if type_id in types
        and (window := Window(meeting_type=types[type_id], duration=duration, number=window_number)).end > now
    }
    stored = cache.get_many(windows) or {}
    candidates = [
        demand.Candidate(
            document=window.id,
            interest=interest[window.id].at(now.timestamp()),
            age=now.timestamp() - stored[key]["at"],
            outdated=bool(stored[key].get("outdated")),
        )
        for key, window in windows.items()
        if key in stored
    ]
    chosen = demand.choose_documents(candidates, number=number)
    by_id = {window.id: window for window in windows.values()}
    return [by_id[document] for document in chosen]
