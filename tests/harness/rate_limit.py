"""Eight processes that share one request limit.

Two are workers that run full syncs without end, the others are visitors who view times and book; in the
last minute they want far more than the limit allows. The sandbox enforces its own limit, and its request
log shows how many requests came in any minute. ``--minute`` shortens the minute for both sides.
"""

from __future__ import annotations

import argparse
import random
import time
from collections.abc import Sequence
from datetime import datetime
from itertools import count
from typing import Any

from django.utils import timezone

from django_meetergo.exceptions import MeetergoError
from django_meetergo.models import MeetingType
from django_meetergo.remote.rate_limit import RateLimiter
from django_meetergo.sandbox import limits, server
from django_meetergo.sandbox.app import Sandbox
from django_meetergo.sandbox.scenarios import add_appointments
from django_meetergo.services import AttendeeData, book_appointment
from django_meetergo.services.availability.slots import list_slots
from django_meetergo.services.availability.store import WINDOW
from django_meetergo.services.clients import build_client
from django_meetergo.services.retry import RetryPolicy
from tests.harness import workers

WORKERS = 2
# Full syncs with small pages, so that requests are scarce.
APPOINTMENTS, PAGE = 300, 5
SHARE = 90
CALLS_A_MINUTE = 24  # of all visitors together
MOST_WAIT = 0.25
SLUGS = ("intro-call", "consultation", "next-therapist", "second-opinion")

take = RateLimiter.acquire
waits: list[tuple[str, float]] = []


def main(arguments: Sequence[str]) -> dict[str, Any]:
    parser = argparse.ArgumentParser(prog="python -m tests.harness rate_limit")
    parser.add_argument("--processes", type=int, default=8)
    parser.add_argument("--minutes", type=float, default=1.5, help="before the rush of one more minute")
    parser.add_argument("--minute", type=float, default=60.0, help="seconds that count as a minute")
    parser.add_argument("--cache", choices=("redis", "database"), default="redis")
    parser.add_argument("--seed", type=int, default=1)
    return workers.run_from_command_line(run, parser, arguments, SABOTAGES)


def run(
    *,
    minutes: float,
    minute: float,
    processes: int = 8,
    cache: str = "redis",
    seed: int = 1,
    sabotage: str | None = None,
) -> dict[str, Any]:
    """Run once on an empty database; return the figures."""
    sandbox = Sandbox(rate_limit=True)
    sandbox.limit = Limit(minute)
    add_appointments(sandbox.state, APPOINTMENTS)
    with server.start(sandbox) as running, workers.shared_cache(cache) as caches:
        site = make_site(running.url, caches, minute, sabotage)
        workers.read_directory(running.url)
        since = len(sandbox.request_log.entries())
        visitors = processes - WORKERS
        with workers.hire(site, processes) as hired:
            busy = [hired.send(workers.work, 0.5) for _ in range(WORKERS)]
            visits = [
                hired.send(visit, minutes * minute, minute, CALLS_A_MINUTE / visitors / minute, seed + number)
                for number in range(visitors)
            ]
            hired.begin()
            found = sorted(wait for visit in visits for wait in visit.result())
            hired.stop.set()
            for worker in busy:
                worker.result()
        entries = sandbox.request_log.entries(since=since, kind="request")
    moments = [datetime.fromisoformat(entry["at"]).timestamp() for entry in entries]
    pages = sum(entry["route"] == "/v4/appointment/paginated" for entry in entries)
    most = count_most(moments, minute)
    refused = sum(entry.get("status") == 429 for entry in entries)
    p95 = found[int(len(found) * 0.95)] if found else 0.0
    return {
        "part": "rate_limit",
        "cache": cache,
        "minute": minute,
        "minutes": minutes,
        "processes": processes,
        "seed": seed,
        "sabotage": sabotage,
        "requests": len(entries),
        "sync_pages": pages,
        "most_in_a_minute": most,
        "own_429s": refused,
        "interactive_calls": len(found),
        "interactive_wait_p95_ms": round(p95 * 1000, 1),
        "interactive_wait_max_ms": round(max(found, default=0) * 1000, 1),
        "violations": [
            *([f"{refused} requests were refused with 429"] if refused else []),
            *([f"{most} requests in one minute"] if most > SHARE else []),
            *([f"interactive calls waited {p95:.2f} s (p95)"] if p95 > MOST_WAIT else []),
            *([f"the sync read {pages} pages: the limit was not contested"] if pages < 20 * minutes else []),
            *([f"only {len(found)} interactive calls"] if len(found) < 5 * minutes else []),
            *([f"{most} at most: the limit was never reached"] if most < SHARE * 0.8 else []),
        ],
    }


class Limit(limits.RateLimit):
    """The sandbox's limit with a shorter minute and without bursts."""

    def __init__(self, minute: float) -> None:
        super().__init__()
        self.minute = minute

    def spend(self, credential: str, now: datetime) -> float:
        self._buckets.setdefault(credential, (float(limits.PER_MINUTE), now))
        level, filled_at = self._buckets[credential]
        earned = (now - filled_at) * (60 / self.minute)
        self._buckets[credential] = (min(level, limits.PER_MINUTE), now - earned)
        return super().spend(credential, now)


def make_site(url: str, caches: dict[str, Any], minute: float, sabotage: str | None) -> workers.Site:
    patches: dict[str, Any] = {
        "django_meetergo.remote.rate_limit.RateLimiter.acquire": take_timed,
        "django_meetergo.services.sync.appointments.PAGE_SIZE": PAGE,
    }
    if minute != 60:
        patches |= {
            "django_meetergo.remote.rate_limit.MINUTE_SECONDS": minute,
            "django_meetergo.remote.rate_limit.PERMIT_SECONDS": int(minute) + 2,
            "django_meetergo.services.retry.SUSPENDED": RetryPolicy(delays=(minute,), jitter=False),
        }
    patches |= SABOTAGES[sabotage] if sabotage else {}
    return workers.make_site(url, caches, patches, FULL_SYNC_INTERVAL=1)


def count_most(moments: list[float], minute: float) -> int:
    """Return the largest number of moments within one minute."""
    moments, first, most = sorted(moments), 0, 0
    for last, moment in enumerate(moments):
        while moment - moments[first] >= minute:
            first += 1
        most = max(most, last - first + 1)
    return most


# Processes


def take_timed(self: RateLimiter, priority: str) -> None:
    started = time.monotonic()
    try:
        take(self, priority)
    finally:
        waits.append((priority, time.monotonic() - started))


def visit(calm: float, rush: float, rate: float, number: int) -> list[float]:
    """Run visitors slowly and then in a rush; return their waits for permits before the rush."""
    chance, ends = random.Random(number), time.monotonic() + calm
    for visitor in count():
        if (pause := chance.expovariate(rate)) > ends - time.monotonic():
            break
        time.sleep(pause)
        view_times(chance, f"{number}.{visitor}", months=6, books=visitor % 3 == 0)
    found = [wait for priority, wait in waits if priority in {"view", "write"}]
    time.sleep(3)  # until the other processes are here, too
    ends = time.monotonic() + rush
    while time.monotonic() < ends:
        view_times(chance, f"{number}.{chance.random()}", months=200, books=chance.random() < 0.3)
    return found


def view_times(chance: random.Random, name: str, *, months: int, books: bool) -> None:
    """View a month as one visitor and perhaps book a time of it."""
    now, kind = timezone.now(), MeetingType.objects.get(slug=chance.choice(SLUGS))
    start = now + WINDOW * chance.randrange(months)
    client = build_client("default", "view")
    found = list_slots(meeting_type=kind, start=start, end=start + WINDOW / 2, client=client, now=now)
    if not books or not found.times:
        return
    try:
        book_appointment(
            meeting_type=kind,
            start=chance.choice(found.times).start,
            attendee=AttendeeData(email=f"{name}@example.com", first_name="Jane"),
            client=build_client("default", "write"),
            now=timezone.now(),
        )
    except MeetergoError:
        return  # the slot is no longer free


# With one of these the run has to report violations


def take_freely(self: RateLimiter, priority: str) -> None:
    waits.append((priority, 0.0))


SABOTAGES: dict[str, dict[str, Any]] = {
    "no-limit": {"django_meetergo.remote.rate_limit.RateLimiter.acquire": take_freely},
    "no-priorities": {
        "django_meetergo.remote.rate_limit.RESERVED_PERMITS": {
            "sync": 0,
            "planned": 0,
            "view": 0,
            "deliveries": 0,
            "write": 0,
            "reread": 0,
        }
    },
}
