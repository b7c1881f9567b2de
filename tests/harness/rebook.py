"""Many bookings lose their slot and may be booked at another time.

The first slot of every booking is occupied just before the request arrives, most second ones too, and some
responses are lost. Each booking has its own agreement about other times. A WSGI wrapper counts the requests
of each booking and records overlaps.
"""

from __future__ import annotations

import argparse
import json
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

from django.utils import timezone

from django_meetergo.exceptions import MeetergoError
from django_meetergo.models import Booking, BookingAttempt, MeetingType
from django_meetergo.sandbox import server
from django_meetergo.sandbox.app import Sandbox
from django_meetergo.services import retry
from django_meetergo.services.availability.slots import list_slots
from django_meetergo.services.booking.book import AttendeeData, BookingRequest, submit_request
from django_meetergo.services.booking.rebooking import read_agreement
from django_meetergo.services.booking.sending import mark_slot_taken
from django_meetergo.services.clients import build_client
from tests.harness import workers
from tests.harness.outage import count_active

BOOK = "POST /v4/booking"
SLUG = "intro-call"
MOST_ATTEMPTS = 3
TIMEOUT = 900  # seconds until every booking must be final
WEEKS = 150  # the bookings are spread over so many weeks, so that enough slots are free
BERLIN = ZoneInfo("Europe/Berlin")

Outcome = BookingAttempt.Outcome


def main(arguments: Sequence[str]) -> dict[str, Any]:
    parser = argparse.ArgumentParser(prog="python -m tests.harness rebook")
    parser.add_argument("--bookings", type=int, default=1000)
    parser.add_argument("--processes", type=int, default=4)
    parser.add_argument("--seed", type=int, default=1)
    return workers.run_from_command_line(run, parser, arguments, SABOTAGES)


def run(*, bookings: int, processes: int = 4, seed: int = 1, sabotage: str | None = None) -> dict[str, Any]:
    """Run once on an empty database, with one booking process in four; return the figures."""
    sandbox = Sandbox(rate_limit=False)
    for kind in sandbox.state.meeting_types.values():
        kind.horizon = None
    recorder = Recorder(sandbox.wsgi, chance=random.Random(seed), sandbox=sandbox)
    sandbox.wsgi = recorder  # type: ignore[method-assign]
    started = time.monotonic()
    with server.start(sandbox) as running, workers.shared_cache() as caches:
        workers.read_directory(running.url)
        visitors = max(processes // 4, 1)
        with workers.hire(make_site(running.url, caches, sabotage), processes) as hired:
            busy = [hired.send(workers.work, 0.02, False) for _ in range(processes - visitors)]
            share = bookings // visitors
            visits = [hired.send(visit, number, share, seed) for number in range(visitors)]
            hired.begin()
            stored = sum(visited.result() for visited in visits)
            workers.wait_until(lambda: not Booking.objects.open().exists(), TIMEOUT)
            hired.stop.set()
            for worker in busy:
                worker.result()
    return {
        "part": "rebook",
        "seed": seed,
        "sabotage": sabotage,
        "processes": processes,
        "seconds": round(time.monotonic() - started, 1),
        **judge(sandbox, recorder, stored),
    }


def make_site(url: str, caches: dict[str, Any], sabotage: str | None) -> workers.Site:
    patches: dict[str, Any] = {
        # Without rate limit and circuit breaker, and with a hundredth of the pauses.
        "django_meetergo.remote.rate_limit.RateLimiter.acquire": workers.take_freely,
        "django_meetergo.remote.circuit_breaker.FAILURE_RATE": 2,
        "django_meetergo.remote.circuit_breaker.FAILURES_IN_A_ROW": 10**6,
        "django_meetergo.services.booking.sending.BOOKING_NEXT_SLOT": retry.RetryPolicy(delays=(0.15,)),
        "django_meetergo.services.booking.sending.BOOKING_OUTCOME": retry.OutcomeSchedule(early=(0.1, 0.3)),
        "django_meetergo.services.booking.reconciliation.BOOKING_OUTCOME": retry.OutcomeSchedule(
            early=(0.1, 0.3)
        ),
    }
    return workers.make_site(
        url,
        caches,
        {**patches, **(SABOTAGES[sabotage] if sabotage else {})},
        REBOOK={"days": 7, "attempts": MOST_ATTEMPTS, "minutes": 10},
        OUTCOME_DEADLINE=2,
        LEASE=10,
        TIMEOUT=2,
        TIMEOUT_BACKGROUND=2,
    )


class Recorder:
    """Wraps the sandbox: occupies requested slots, loses responses, and records overlapping requests."""

    def __init__(self, wsgi: Callable[..., Any], *, chance: random.Random, sandbox: Sandbox) -> None:
        self.wsgi, self.chance, self.sandbox = wsgi, chance, sandbox
        self.lock = threading.Lock()
        self.requests: Counter[str] = Counter()
        self.in_flight: Counter[str] = Counter()
        self.overlaps: list[str] = []

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Any:
        if (environ["REQUEST_METHOD"], environ["PATH_INFO"].rstrip("/")) != ("POST", "/v4/booking"):
            return self.wsgi(environ, start_response)
        reference = find_reference(environ)
        with self.record(reference):
            with self.lock:
                self.arm_faults(self.requests[reference])
            return self.wsgi(environ, start_response)

    @contextmanager
    def record(self, reference: str) -> Iterator[None]:
        with self.lock:
            self.requests[reference] += 1
            self.in_flight[reference] += 1
            if self.in_flight[reference] > 1:
                self.overlaps.append(reference)
        try:
            yield
        finally:
            with self.lock:
                self.in_flight[reference] -= 1

    def arm_faults(self, number: int) -> None:
        """Arm faults for a booking's n-th request; a concurrent request may meet them instead."""
        if number == 1 or self.chance.random() < 0.5:
            self.sandbox.faults.add(BOOK, "occupy_slot")
        if self.chance.random() < 0.1:
            self.sandbox.faults.add(BOOK, "drop_after")


def find_reference(environ: dict[str, Any]) -> str:
    body = environ["wsgi.input"].read()
    environ["wsgi.input"].seek(0)
    text = json.dumps(json.loads(body))
    return text[text.index("MG-") :][:23]


# Processes


def visit(number: int, share: int, seed: int) -> int:
    """Store bookings, each with its own agreement; return their number."""
    chance, kind, stored = random.Random(seed * 1000 + number), MeetingType.objects.get(slug=SLUG), 0
    wanted = share
    while stored < wanted:
        now = timezone.now()
        start = now + timedelta(weeks=chance.randrange(1, WEEKS))
        client = build_client("default", "write")
        free = list_slots(
            meeting_type=kind, start=start, end=start + timedelta(days=7), client=client, now=now
        )
        if not free.times:
            continue
        try:
            submit_request(
                BookingRequest(
                    meeting_type=kind,
                    start=chance.choice(free.times).start,
                    attendee=AttendeeData(
                        email=f"{number}.{stored}@example.com", first_name="Jane", timezone="Europe/Berlin"
                    ),
                    rebook=build_agreement(chance),
                ),
                client=client,
                now=now,
                send=chance.random() < 0.5,
            )
        except MeetergoError:
            continue  # the slot was occupied after it was listed
        stored += 1
    return stored


def build_agreement(chance: random.Random) -> dict[str, Any]:
    first = chance.choice((9, 10, 12, 14))
    return {
        "weekdays": sorted(chance.sample(range(5), chance.randint(1, 5))),
        "hours": [first, first + chance.randint(2, 8)],
    }


# Checks


def judge(sandbox: Sandbox, recorder: Recorder, stored: int) -> dict[str, Any]:
    outside, often, two_open, unended, doubled = [], [], [], [], []
    active, attempts, lost = count_active(sandbox), 0, 0
    rows = Booking.objects.prefetch_related("attempts").order_by("pk")
    for booking in rows:
        agreement = read_agreement(booking)
        tries = sorted(booking.attempts.all(), key=lambda one: one.number)
        attempts += len(tries)
        lost += any(one.outcome == Outcome.SLOT_TAKEN for one in tries)
        starts = [one.start for one in tries if one.start != agreement.requested_start]
        outside += [booking.pk for start in starts if not is_within(agreement, start)]
        if len(tries) > MOST_ATTEMPTS or recorder.requests[booking.reference] > MOST_ATTEMPTS:
            often.append(booking.pk)
        if any(is_open_at(one, following.sent_at) for one, following in pairwise(tries)):
            two_open.append(booking.pk)
        if booking.is_open:
            unended.append(booking.pk)
        expected = 1 if booking.state == "confirmed" else 0
        if active.get(booking.reference, 0) != expected:
            doubled.append(booking.pk)
    return {
        "bookings": stored,
        "states": Counter(f"{booking.state} {booking.reason}".strip() for booking in rows),
        "lost": lost,
        "attempts": attempts,
        "posts": sum(recorder.requests.values()),
        "unclear_answers": BookingAttempt.objects.filter(error_type="OutcomeUnknown").count(),
        "violations": [
            *(f"booking {pk} tried a time outside its agreement" for pk in outside[:5]),
            *(f"booking {pk} was tried too often" for pk in often[:5]),
            *(f"booking {pk} had two attempts open" for pk in two_open[:5]),
            *(f"two requests of {reference} at once" for reference in recorder.overlaps[:5]),
            *(f"booking {pk} is not final" for pk in unended[:5]),
            *(f"booking {pk} and the service disagree" for pk in doubled[:5]),
            *([f"only {lost} bookings lost their slot"] if lost < stored * 0.8 else []),
        ],
    }


def is_within(agreement: Any, start: datetime) -> bool:
    """Return whether a start is within the agreement, computed independently of the app."""
    local = start.astimezone(BERLIN)
    days = abs((start - agreement.requested_start).total_seconds()) / 86400
    hours = range(agreement.hours[0], agreement.hours[1])
    return days <= 7 and local.weekday() in agreement.weekdays and local.hour in hours


def is_open_at(attempt: BookingAttempt, moment: datetime) -> bool:
    """Return whether an attempt had no definite outcome at a moment."""
    return attempt.ended_at is None or attempt.ended_at > moment or attempt.outcome == Outcome.UNKNOWN


# With one of these the run has to report violations


def allow_all(*_: Any) -> bool:
    return True


def take_unknown_for_lost(booking: Booking, lease: Any, error: Any, now: datetime) -> None:
    mark_slot_taken(booking, lease, error, build_client("default", "write"), now)


SABOTAGES: dict[str, dict[str, Any]] = {
    "any-time": {"django_meetergo.services.booking.rebooking.Agreement.allows": allow_all},
    "for-ever": {"django_meetergo.services.booking.rebooking.may_try_again": allow_all},
    "choose-while-unknown": {"django_meetergo.services.booking.sending.mark_unknown": take_unknown_for_lost},
}
