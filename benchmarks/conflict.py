"""P17, P18 and P19: fifty workers at once want one time, or fifty times of one host. On PostgreSQL.

The service takes 150 ms for a booking. Processor time is that of the worker's own thread, because threads of
one process wait for each other's. The floor is the least that stores the same result: the winner's row is
inserted and updated, the losers' insert fails on a unique key and is repeated without it.
"""

from __future__ import annotations

import argparse
import sys
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import uuid4

from django.core.cache import caches
from django.db import IntegrityError, connection, connections
from django.utils import timezone as clock

from benchmarks.database import empty_database
from benchmarks.figures import Exactly, Most, report
from benchmarks.service import recorded_service
from django_meetergo.exceptions import StartNotOffered
from django_meetergo.models import Appointment, Booking, Event, MeetingType
from django_meetergo.remote import transport
from django_meetergo.services.booking.book import AttendeeData, BookingRequest, submit_request
from django_meetergo.testing.kit import SandboxKit
from django_meetergo.visitors import Visitor

SLUG = "intro-call"
CALL_SECONDS = 0.15
LOSER_MS, LOSER_STATEMENTS, WINNER_MS = 4, 5, 12
CONFIRMED = "confirmed"


@dataclass(frozen=True, kw_only=True)
class Result:
    """How one worker's booking ended, its processor time in milliseconds, and its statements."""

    state: str
    ms: float
    statements: int


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks conflict")
    parser.add_argument("--workers", type=int, default=50)
    parser.add_argument("--rounds", type=int, default=5)
    chosen = parser.parse_args(arguments)
    if connection.vendor != "postgresql":
        parser.error("this measures PostgreSQL: set DATABASE_URL to one")
    with empty_database():
        sys.stdout.write(f"postgresql, {chosen.workers} workers, {chosen.rounds} rounds\n")
        with recorded_service(booking_seconds=CALL_SECONDS) as kit:
            return report(measure(kit, chosen.workers, chosen.rounds))


def measure(kit: SandboxKit, workers: int, rounds: int) -> list[Any]:
    calls: list[tuple[str, str]] = []
    transport.BEFORE_SEND.append(lambda method, route: calls.append((method, route)))
    try:
        same, posts, gets = [], [], []
        book_at_once(kit, clear(kit)[:1] * workers)  # everything is loaded
        for _ in range(rounds):
            [start, *_others] = clear(kit)
            calls.clear()
            same.append(book_at_once(kit, [start] * workers))
            posts.append(sum(method == "POST" for method, _ in calls))
            gets.append(sum(method == "GET" for method, _ in calls))
        different = [book_at_once(kit, clear(kit)[:workers]) for _ in range(rounds)]
    finally:
        transport.BEFORE_SEND.pop()
    floor = measure_floor(workers)
    winners = [[one for one in results if one.state == CONFIRMED] for results in same]
    losers = [[one for one in results if one.state != CONFIRMED] for results in same]
    booked = [[one for one in results if one.state == CONFIRMED] for results in different]
    sys.stdout.write(f"floor: the winner {floor[0]:.1f} ms, a loser {floor[1]:.1f} ms\n")
    return [
        Exactly("P17 bookings of one time", [len(round_) for round_ in winners], 1),
        Exactly("P17 requests to book", posts, 1),
        Most("P18 the winner, processor time", "ms", [mean(round_, "ms") for round_ in winners], WINNER_MS),
        Most("P18 a loser, processor time", "ms", [mean(round_, "ms") for round_ in losers], LOSER_MS),
        Most(
            "P18 a loser, statements", "", [mean(round_, "statements") for round_ in losers], LOSER_STATEMENTS
        ),
        Exactly("P18 requests of the losers", gets, 0),
        Exactly("P19 bookings of as many times", [len(round_) for round_ in booked], workers),
        Most("P19 a booking, processor time", "ms", [mean(round_, "ms") for round_ in booked], WINNER_MS),
    ]


def mean(results: Iterable[Result], name: str) -> float:
    values = [getattr(one, name) for one in results]
    return float(sum(values) / len(values))


def clear(kit: SandboxKit) -> list[datetime]:
    """Forget all bookings and permits; return the free times, now in the cache."""
    caches["default"].clear()
    for model in (Event, Booking, Appointment):
        model.objects.all().delete()
    return kit.list_free_starts(SLUG, days=30)


def book_at_once(kit: SandboxKit, starts: Sequence[datetime]) -> list[Result]:
    meeting_type = kit.meeting_type(SLUG)

    def book(number: int, start: datetime) -> str:
        try:
            return submit_request(
                BookingRequest(
                    meeting_type=meeting_type,
                    start=start,
                    attendee=AttendeeData(
                        email=f"jane{number}@example.com", first_name="Jane", last_name="Doe"
                    ),
                    visitor=Visitor(person=f"browser {number}"),
                ),
                client=kit.client(),
                now=clock.now(),
            ).state
        except StartNotOffered:
            return "closed"

    return run_at_once(book, starts)


def run_at_once(do: Callable[[int, datetime], str], starts: Sequence[datetime]) -> list[Result]:
    """Call a function for each start at the same moment, each in its own thread with its own connection."""
    barrier = threading.Barrier(len(starts))

    def run(number: int, start: datetime) -> Result:
        statements = 0

        def count(execute: Callable[..., Any], *args: Any) -> Any:
            nonlocal statements
            statements += 1
            return execute(*args)

        connection.ensure_connection()
        try:
            barrier.wait()
            with connection.execute_wrapper(count):
                started = time.thread_time()
                state = do(number, start)
                return Result(state=state, ms=(time.thread_time() - started) * 1e3, statements=statements)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(len(starts)) as pool:
        return list(pool.map(run, range(len(starts)), starts))


def measure_floor(workers: int) -> tuple[float, float]:
    """Return the milliseconds of a winner and of a loser that do nothing but store their rows."""
    meeting_type, now = MeetingType.objects.get(slug=SLUG), clock.now()
    key = uuid4().hex

    def book(number: int, start: datetime) -> str:
        row = Booking(meeting_type=meeting_type, start=start, duration=30, created_at=now, slot_hold_key=key)
        try:
            row.save()
        except IntegrityError:
            row.slot_hold_key, row.state = None, Booking.State.CLOSED
            row.save(force_insert=True)
            return row.state
        time.sleep(CALL_SECONDS)
        row.state = Booking.State.CONFIRMED
        row.save(update_fields=["state"])
        return row.state

    results = run_at_once(book, [now] * workers)
    won = [one for one in results if one.state == CONFIRMED]
    lost = [one for one in results if one.state != CONFIRMED]
    return mean(won, "ms"), mean(lost, "ms")
