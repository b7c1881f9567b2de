"""Five hundred readers ask for the same free times, of which no copy is cached.

They are threads of several processes that share a cache. One of them asks the service; the others wait for
its result.
"""

from __future__ import annotations

import argparse
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from django.db import connections
from django.utils import timezone

from django_meetergo.cache import cache
from django_meetergo.exceptions import RemoteError
from django_meetergo.models import MeetingType
from django_meetergo.sandbox import server
from django_meetergo.sandbox.app import Sandbox
from django_meetergo.services.availability.refresh import fetch_window
from django_meetergo.services.availability.slots import list_slots
from django_meetergo.services.availability.store import EPOCH, NO_ANSWER, WINDOW
from django_meetergo.services.clients import build_client
from tests.harness import workers

SLUG = "intro-call"
MOST_WAIT = 2.0
RESPONSE_SECONDS = 0.3


def main(arguments: Sequence[str]) -> dict[str, Any]:
    parser = argparse.ArgumentParser(prog="python -m tests.harness stampede")
    parser.add_argument("--readers", type=int, default=500)
    parser.add_argument("--processes", type=int, default=4)
    return workers.run_from_command_line(run, parser, arguments, SABOTAGES)


def run(*, readers: int, processes: int = 4, sabotage: str | None = None) -> dict[str, Any]:
    """Run once on an empty database; return the figures."""
    sandbox = Sandbox(rate_limit=False)
    with server.start(sandbox) as running, workers.shared_cache() as caches:
        workers.read_directory(running.url)
        sandbox.faults.add("GET /v4/booking-availability", "slow", times=-1, seconds=RESPONSE_SECONDS)
        site = workers.make_site(running.url, caches, SABOTAGES[sabotage] if sabotage else {})
        site = workers.pool_connections(site)
        with workers.hire(site, processes) as hired:
            reads = [hired.send(read_all, readers // processes) for _ in range(processes)]
            hired.begin()
            found = [one for read in reads for one in read.result()]
        calls = sum(
            entry["route"] == "/v4/booking-availability"
            for entry in sandbox.request_log.entries(kind="request")
        )
    waits = sorted(wait for wait, _ in found)
    empty = sum(not times for _, times in found)
    return {
        "part": "stampede",
        "processes": processes,
        "sabotage": sabotage,
        "readers": len(found),
        "calls": calls,
        "wait_median_ms": round(waits[len(waits) // 2] * 1000),
        "wait_max_ms": round(waits[-1] * 1000),
        "violations": [
            *([f"{calls} calls for one document"] if calls != 1 else []),
            *([f"a reader waited {waits[-1]:.2f} s"] if waits[-1] > MOST_WAIT else []),
            *([f"{empty} readers got no times"] if empty else []),
        ],
    }


def read_all(readers: int) -> list[tuple[float, int]]:
    """Read in many threads at once; return the duration and the number of times of each read."""
    kind, now = MeetingType.objects.get(slug=SLUG), timezone.now()
    start = EPOCH + ((now - EPOCH) // WINDOW + 1) * WINDOW
    barrier = threading.Barrier(readers)

    def read(_: int) -> tuple[float, int]:
        cache.get("")  # connects, as the threads of a running server are
        barrier.wait()
        try:
            started = time.monotonic()
            client = build_client("default", "view")
            free = list_slots(
                meeting_type=kind, start=start, end=start + WINDOW / 2, client=client, now=timezone.now()
            )
            return time.monotonic() - started, len(free.times)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(readers) as pool:
        return list(pool.map(read, range(readers)))


# With one of these the run has to report violations


def fetch_always(window: Any, *, client: Any, now: Any) -> Any:
    try:
        return fetch_window(window, client=client, now=now)
    except RemoteError:
        return NO_ANSWER


SABOTAGES: dict[str, dict[str, Any]] = {
    "no-lock": {"django_meetergo.services.availability.slots.fetch_once_per_process": fetch_always},
    "slow-wait": {"django_meetergo.services.availability.refresh.WAIT_STEP_SECONDS": 2.5},
}
