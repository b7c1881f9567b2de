"""The service is down for ten minutes while visitors view pages, book, move and cancel.

``--scale`` divides the length of the outage and the app's long durations: the age of a copy, the time a
deferred booking waits, the time a lost answer is reconciled. The circuit breaker keeps its durations, and
so does the requirement that it closes within fifteen seconds. ``--hours`` is another run: ``long_outage``.
"""

from __future__ import annotations

import argparse
import random
import re
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

from django.test import Client, override_settings
from django.utils import timezone

from django_meetergo import links
from django_meetergo.exceptions import CircuitOpen
from django_meetergo.models import Booking, Event, MeetingType
from django_meetergo.remote.circuit_breaker import PROBE_INTERVAL_SECONDS
from django_meetergo.remote.client import MeetergoClient
from django_meetergo.sandbox import server
from django_meetergo.sandbox.app import Sandbox
from django_meetergo.services.availability.slots import list_slots
from django_meetergo.services.availability.store import FRESH, STALE, SlotList
from django_meetergo.services.booking.sending import DEFER_FOR
from django_meetergo.services.clients import build_client
from django_meetergo.services.retry import BOOKING_DEFERRED, BOOKING_OUTCOME, HOUR
from tests.harness import long_outage, workers

OUTAGE = 600.0
RECOVERY = 15.0  # seconds, not scaled
IN_FLIGHT = 2.0  # seconds a call may have been in flight when the circuit opened
MAX_OPENING = 120.0  # seconds until the circuit must have opened
CALM = 4.0  # seconds before and after the outage
SLUGS = ("intro-call", "next-therapist")


def main(arguments: Sequence[str]) -> dict[str, Any]:
    if "--hours" in arguments:
        return long_outage.main(arguments)
    parser = argparse.ArgumentParser(prog="python -m tests.harness outage")
    parser.add_argument("--scale", type=float, default=10.0)
    parser.add_argument("--visitors", type=int, default=4)
    parser.add_argument("--seed", type=int, default=1)
    return workers.run_from_command_line(run, parser, arguments, SABOTAGES)


def run(*, scale: float, visitors: int = 4, seed: int = 1, sabotage: str | None = None) -> dict[str, Any]:
    """Run once on an empty database; return the figures."""
    sandbox = Sandbox(rate_limit=False)
    with server.start(sandbox) as running, workers.shared_cache() as caches:
        site = make_site(running.url, caches, scale, sabotage)
        workers.read_directory(running.url)
        shared = {name: site.settings[name] for name in ("CACHES", "MEETERGO")}
        with override_settings(**shared), workers.hire(site, visitors + 1) as hired:
            worker = hired.send(workers.work, 1.0)
            visits = [hired.send(visit, seed + number) for number in range(visitors)]
            hired.begin()
            fill_cache()
            time.sleep(CALM)
            began = start_outage(sandbox)
            client = build_client("default", "write")
            # A busy machine makes fewer calls, by which the circuit judges: the outage lasts longer there.
            opened = workers.wait_until(lambda: is_open(client), max(OUTAGE / scale, MAX_OPENING))
            time.sleep(max(began + OUTAGE / scale - time.time(), 0))
            sandbox.faults.clear()
            ended = time.time()
            closed = workers.wait_until(lambda: not is_open(client), 4 * RECOVERY)
            time.sleep(CALM)
            hired.stop.set()
            answers = [answer for visited in visits for answer in visited.result()]
            worker.result()
        with workers.hire(site, 1) as hired:
            finish(hired.send(workers.work, 0.2), hired)
        figures = judge(sandbox, answers, began=began, opened=opened, ended=ended, closed=closed)
    return {"part": "outage", "scale": scale, "seed": seed, "sabotage": sabotage, **figures}


def finish(worker: Future[Any], hired: workers.Processes) -> None:
    """Let a worker run until no booking is deferred and every event is dispatched."""
    hired.begin()
    workers.wait_until(
        lambda: (
            not Booking.objects.filter(state="received").exists()
            and not Event.objects.filter(dispatched_at=None).exists()
        ),
        60,
    )
    hired.stop.set()
    worker.result()


def make_site(url: str, caches: dict[str, Any], scale: float, sabotage: str | None) -> workers.Site:
    patches = {
        "django_meetergo.services.availability.store.FRESH": FRESH / scale,
        "django_meetergo.services.availability.store.STALE": STALE / scale,
        "django_meetergo.services.booking.reconciliation.BOOKING_OUTCOME": replace(
            BOOKING_OUTCOME, patience=BOOKING_OUTCOME.patience / scale
        ),
        # The circuit's probe interval is not scaled, so a deferred booking gets two of them more.
        "django_meetergo.services.booking.sending.DEFER_FOR": DEFER_FOR / scale
        + timedelta(seconds=2 * PROBE_INTERVAL_SECONDS),
    }
    return workers.make_site(
        url,
        caches,
        {**patches, **(SABOTAGES[sabotage] if sabotage else {})},
        DEFER_WHEN_DOWN=True,
        MIN_FILL_SECONDS=0,
        REQUESTS_PER_MINUTE=600,
        OUTCOME_DEADLINE=120 / scale,
        LEASE=10,
        TIMEOUT=3,
        TIMEOUT_BACKGROUND=3,
    )


def start_outage(sandbox: Sandbox) -> float:
    """Let the service answer 503, drop connections or hang; return the time this began."""
    sandbox.faults.add("*", "status_before", status=503, times=-1, chance=0.5)
    sandbox.faults.add("*", "drop_before", times=-1, chance=0.8)
    sandbox.faults.add("*", "hang_before", times=-1, seconds=1)
    return time.time()


def is_open(client: MeetergoClient) -> bool:
    try:
        return bool(client.circuit and client.circuit.check("POST"))
    except CircuitOpen:
        return True


# Visitors


def visit(number: int) -> list[tuple[str, int]]:
    """Run visitors one after another, without scripts; return each page and its status."""
    chance, seen = random.Random(number), list[tuple[str, int]]()
    for visitor in count():
        if workers.stop.wait(chance.uniform(0, 1)):
            return seen
        Visitor(chance, f"{number}.{visitor}", seen).run()
    return seen


class Visitor:
    def __init__(self, chance: random.Random, name: str, seen: list[tuple[str, int]]) -> None:
        self.chance, self.name, self.seen = chance, name, seen
        address = ".".join(str(chance.randrange(1, 255)) for _ in range(4))
        self.browser = Client(raise_request_exception=False, REMOTE_ADDR=address)

    def send(self, method: str, path: str, **data: Any) -> Any:
        response = getattr(self.browser, method)(path, data)
        self.seen.append((re.sub(r"/[\w~-]{30,}/", "/<token>/", path), response.status_code))
        return response

    def run(self) -> None:
        self.book(MeetingType.objects.get(slug=self.chance.choice(SLUGS)))
        bookings = Booking.objects.order_by("?").select_related("attendee")
        if own := bookings.first():
            self.send("get", links.get_booking_path(own))
        if own := bookings.exclude(attendee=None).first():
            self.manage(links.get_manage_path(own.attendee))

    def book(self, kind: MeetingType) -> None:
        path = f"/book/{kind.slug}/"
        self.send("get", path)
        free = read_slots(kind)
        if not free.times:
            return
        start = self.chance.choice(free.times).start.isoformat()
        form = self.send("get", f"{path}details/", start=start).content.decode()
        given = {"first_name": "Jane", "last_name": self.name, "email": f"{self.name}@example.com"}
        response = self.send("post", f"{path}details/", **given, **read_hidden(form))
        if response.status_code == 200 and 'name="defer"' in (page := response.content.decode()):
            response = self.send("post", f"{path}details/", **given, **read_hidden(page), defer="1")
        if response.status_code == 303:
            self.send("get", response["Location"])

    def manage(self, path: str) -> None:
        self.send("get", path)
        match self.chance.randrange(4):
            case 0:
                self.send("post", f"{path}cancel/")
            case 1:
                page = self.send("get", f"{path}reschedule/").content.decode()
                if starts := re.findall(r'name="start" value="([^"]+)"', page):
                    self.send("post", f"{path}reschedule/", start=self.chance.choice(starts))


def read_slots(kind: MeetingType) -> SlotList:
    now, client = timezone.now(), build_client("default", "view")
    return list_slots(meeting_type=kind, start=now, end=now + timedelta(days=60), client=client, now=now)


def fill_cache() -> None:
    """Read all free times, so that copies exist when the service goes down."""
    for kind in MeetingType.objects.filter(slug__in=SLUGS):
        read_slots(kind)


def read_hidden(page: str) -> dict[str, str]:
    return dict(re.findall(r'type="hidden" name="(start|duration|token)" value="([^"]+)"', page))


# Checks


def judge(
    sandbox: Sandbox,
    answers: list[tuple[str, int]],
    *,
    began: float,
    opened: float | None,
    ended: float,
    closed: float | None,
) -> dict[str, Any]:
    errors = sorted({f"{status} at {path}" for path, status in answers if status >= 500})
    since = datetime.fromtimestamp((opened or ended) + IN_FLIGHT, UTC)
    writes = [
        entry["path"]
        for entry in sandbox.request_log.entries(kind="request")
        if entry["method"] != "GET"
        and since <= datetime.fromisoformat(entry["at"]) <= datetime.fromtimestamp(ended, UTC)
    ]
    deferred = list(Booking.objects.filter(defer_consent=True))
    booked = [booking for booking in deferred if booking.state in {"confirmed", "pending"}]
    notified = [booking for booking in deferred if booking.state == "closed" and is_notified(booking)]
    unclear = [booking for booking in deferred if booking.state == "unknown"]
    active = count_active(sandbox)
    wrong = [booking for booking in booked if active.get(booking.reference, 0) > 1]
    wrong += [booking for booking in notified if active.get(booking.reference, 0)]
    recovery = (closed or ended + 999) - ended
    return {
        "answers": len(answers),
        "seconds_out": round(ended - began, 1),
        "circuit_opened_after": round(opened - began, 1) if opened else None,
        "recovery_seconds": round(recovery, 1),
        "deferred": len(deferred),
        "booked": len(booked),
        "notified": len(notified),
        "unknown": len(unclear),
        "bookings": Counter(Booking.objects.values_list("state", flat=True)),
        "statuses": Counter(f"{path} {status}" for path, status in answers),
        "violations": [
            *errors[:10],
            *([f"{len(writes)} writes while the circuit was open"] if writes else []),
            *([] if opened else ["the circuit never opened"]),
            *([f"the circuit closed only after {recovery:.1f} s"] if recovery > RECOVERY else []),
            *([] if deferred else ["no booking was deferred: nothing was tested"]),
            *(
                f"request {booking.pk} is {booking.state}, {booking.reason}"
                for booking in deferred
                if booking not in booked and booking not in notified and booking not in unclear
            ),
            *(
                f"booking {booking.pk} has {active[booking.reference]} active appointments"
                for booking in wrong
            ),
        ],
    }


def is_notified(booking: Booking) -> bool:
    """Return whether the end of a booking was sent as a signal and by mail."""
    ends = Event.objects.filter(booking=booking, kind=Event.Kind.BOOKING_CLOSED)
    return ends.exists() and not ends.filter(dispatched_at=None).exists()


def count_active(sandbox: Sandbox) -> dict[str, int]:
    found: dict[str, int] = {}
    for appointment in sandbox.state.appointments.values():
        for attendee in () if appointment.is_cancelled else appointment.attendees:
            for reference in re.findall(r"MG-[\w-]+", str(attendee.answers)):
                found[reference] = found.get(reference, 0) + 1
    return found


# With one of these the run has to report violations


def let_through(*_: Any) -> bool:
    return False


SABOTAGES: dict[str, dict[str, Any]] = {
    "writes-try": {"django_meetergo.remote.circuit_breaker.CircuitBreaker.check": let_through},
    "late-probe": {"django_meetergo.remote.circuit_breaker.PROBE_INTERVAL_SECONDS": 40.0},
    "forgotten": {
        "django_meetergo.services.booking.sending.BOOKING_DEFERRED": replace(
            BOOKING_DEFERRED, delays=(HOUR,), jitter=False
        ),
        "django_meetergo.services.booking.sending.get_send_deadline": lambda booking: booking.start,
    },
}
