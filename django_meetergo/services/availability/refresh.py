"""Fetch availability documents: the first time and again."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

from django.core.cache import BaseCache

from django_meetergo.clock import Stopwatch
from django_meetergo.exceptions import (
    RemoteError,
)
from django_meetergo.models import MeetingType
from django_meetergo.remote.client import MeetergoClient
from django_meetergo.services.availability import demand
from django_meetergo.services.availability.store import (
    NO_ANSWER,
    SlotList,
    Window,
    add_stamp,
    build_slot_list,
    document_cache,
    flag_document,
    get_document,
    pack,
    parse_timestamp,
    store_document,
)
from django_meetergo.services.clients import CALLS_SUSPENDED
from django_meetergo.wakeup import wake_workers

LOCK_SECONDS = 15  # seconds one refresh may keep the others waiting
WAIT_SECONDS = 2.0  # seconds a view waits for somebody else's first refresh
WAIT_STEP_SECONDS = 0.05
REFRESH_REQUEST_SECONDS = 5  # seconds between two rings for one document
BATCH_SIZE = 20  # documents refreshed in one round
#: What the threads of this process are fetching for the first time.
_fetches_in_progress: dict[str, Future[SlotList]] = {}


def request_refresh(key: str, cache: BaseCache) -> None:
    """Ring for the background, once in a while however many people look."""
    if cache.add(f"{key}:asked", 1, REFRESH_REQUEST_SECONDS):
        wake_workers()


def fetch_once_per_process(window: Window, *, client: MeetergoClient, now: datetime) -> SlotList:
    """The first copy: fetched by one, awaited for a short while by the others.

    The threads of one process wait for each other, so that only one of them looks into the cache.
    """
    ours: Future[SlotList] = Future()
    first = _fetches_in_progress.setdefault(window.key, ours)
    if first is not ours:
        try:
            return first.result(WAIT_SECONDS)
        except TimeoutError:
            return NO_ANSWER
    found = NO_ANSWER
    try:
        found = fetch_once(window, client=client, now=now)
    finally:
        del _fetches_in_progress[window.key]
        ours.set_result(found)
    return found


def fetch_once(window: Window, *, client: MeetergoClient, now: datetime) -> SlotList:
    """The same among processes."""
    with hold_refresh_lock(window) as is_ours:
        if not is_ours:
            stored = wait_for_document(window, now)
            return build_slot_list(window, stored) if stored else NO_ANSWER
        # Somebody may have put a copy there between our look and our lock.
        stored = get_document(window, now)
        try:
            return build_slot_list(window, stored) if stored else fetch_window(window, client=client, now=now)
        except RemoteError:
            return NO_ANSWER


@contextmanager
def hold_refresh_lock(window: Window) -> Iterator[bool]:
    """Whether it is on us to fetch this document. Two may think so once in a while, which costs a call."""
    cache, lock, owner = document_cache(), f"{window.key}:lock", uuid4().hex
    is_ours = cache.add(lock, owner, LOCK_SECONDS)
    try:
        yield is_ours
    finally:
        if is_ours and cache.get(lock) == owner:
            cache.delete(lock)


def wait_for_document(window: Window, now: datetime) -> dict[str, Any] | None:
    deadline = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < deadline:
        if stored := get_document(window, now):
            return stored
        time.sleep(WAIT_STEP_SECONDS)
    return None


def fetch_window(
    window: Window, *, client: MeetergoClient, now: datetime, refresh_cache: bool = False
) -> SlotList:
    """Ask meetergo and keep the answer. Raises RemoteError.

    ``refresh_cache`` makes meetergo look into the calendars again instead of into its own cache.
    """
    meeting_type = window.meeting_type
    answer = client.get_booking_availability(
        meeting_type.remote_id,
        max(window.start, now),
        window.end,
        host_ids=tuple(meeting_type.host_ids),
        queue_id=meeting_type.queue_id,
        timezone="UTC",
        duration=window.duration if window.duration != meeting_type.duration else None,
        existing_appointment_id=window.moving,
        refresh_cache=refresh_cache,
    )
    times = [(int(slot.start.timestamp()), slot.seats_left) for slot in answer.slots]
    stored = add_stamp({"at": now.timestamp(), "times": pack(times)})
    store_document(window, stored)
    return build_slot_list(window, stored)


def poll_availability(
    *, connection: str, client: MeetergoClient, now: datetime, number: int = BATCH_SIZE
) -> int:
    """Refresh what people look at, most wanted first, as far as our request limit allows; how many.

    ``client`` is of the lane ``planned``: it stops before bookings and views would have to wait.
    """
    watch, done = Stopwatch(now), 0
    for window in choose_windows(connection, now, number):
        try:
            done += refresh_window(window, client=client, now=watch.now())
        except CALLS_SUSPENDED:
            break
        except RemoteError:
            flag_document(window, failed=True)
    return done


def refresh_window(window: Window, *, client: MeetergoClient, now: datetime) -> bool:
    """Fetch a document again, unless another process is doing so or has just done it."""
    with hold_refresh_lock(window) as is_ours:
        stored = document_cache().get(window.key)
        is_ours = is_ours and not (stored and was_just_fetched(stored, now))
        if is_ours:
            fetch_window(window, client=client, now=now)
    return is_ours


def was_just_fetched(stored: dict[str, Any], now: datetime) -> bool:
    """Whether another worker was faster since the documents were chosen."""
    return not stored.get("marked") and now - parse_timestamp(stored["at"]) < timedelta(
        seconds=REFRESH_REQUEST_SECONDS
    )


def choose_windows(connection: str, now: datetime, number: int) -> list[Window]:
    cache = document_cache()
    interest = demand.read_interest(cache)
    types = (
        MeetingType.objects.bookable()
        .filter(connection=connection)
        .defer("raw")
        .in_bulk({type_id for type_id, _, _ in interest})
    )
    windows = {
        window.key: window
        for type_id, duration, window_number in interest
        if type_id in types
        and (window := Window(meeting_type=types[type_id], duration=duration, number=window_number)).end > now
    }
    stored = cache.get_many(list(windows))
    candidates = [
        demand.Candidate(
            document=window.id,
            interest=interest[window.id].at(now.timestamp()),
            age=now.timestamp() - stored[key]["at"],
            marked=bool(stored[key].get("marked")),
        )
        for key, window in windows.items()
        if key in stored
    ]
    chosen = demand.choose_documents(candidates, number=number)
    by_id = {window.id: window for window in windows.values()}
    return [by_id[document] for document in chosen]
