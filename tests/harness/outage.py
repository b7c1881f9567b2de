"""The service is away for ten minutes while people look, book, move and cancel.

``--scale`` shortens the outage and our own long times: how old a copy may be, how long a request may wait,
how long a lost answer is looked for. The circuit keeps its real times, and so does the promise to be back
within fifteen seconds.
"""

from __future__ import annotations

import argparse
import random
import re
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import Future
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
from django_meetergo.services.availability.store import SlotList
from django_meetergo.services.clients import build_client
from tests.harness import workers

OUTAGE = 600.0
RECOVERY = 15.0  # seconds, of real time
UNDER_WAY = 2.0  # seconds a call may have been under way when the circuit opened
CALM = 4.0
SLUGS = ("intro-call", "next-therapist")


def main(arguments: Sequence[str]) -> dict[str, Any]:
    parser = argparse.ArgumentParser(prog="python -m tests.harness outage")
    parser.add_argument("--scale", type=float, default=10.0)
    parser.add_argument("--visitors", type=int, default=4)
    parser.add_argument("--seed", type=int, default=1)
    return workers.try_alone(run, parser, arguments, SABOTAGES)


def run(*, scale: float, visitors: int = 4, seed: int = 1, sabotage: str | None = None) -> dict[str, Any]:
    """The figures of one trial, on an empty database."""
    sandbox = Sandbox(rate_limit=False)
    with server.start(sandbox) as running, workers.shared_cache() as caches:
        site = make_site(running.url, caches, scale, sabotage)
        workers.read_directory(running.url)
        shared = {name: site.settings[name] for name in ("CACHES", "MEETERGO")}
        with override_settings(**shared), workers.hire(site, visitors + 1) as hired:
            worker = hired.send(workers.work, 1.0)
            visits = [hired.send(visit, seed + number) for number in range(visitors)]
            hired.begin()
            look_at_all()
            time.sleep(CALM)
            began = fail(sandbox)
            client = build_client("default", "write")
            opened = workers.wait_until(lambda: is_open(client), OUTAGE / scale)
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


def finish(worker: Future[Any], hired: workers.Crew) -> None:
    """Let a worker go on until nobody waits and everybody has been told."""
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
    long_times = {
        "availability.store.FRESH": 60,
        "availability.store.STALE": 900,
        "booking.reconciliation.STAFF_AFTER": 300,
    }
    patches: dict[str, Any] = {
        f"django_meetergo.services.{name}": timedelta(seconds=seconds / scale)
        for name, seconds in long_times.items()
    }
    # The circuit's wait is not scaled, so a request gets two of them more.
    patches["django_meetergo.services.booking.sending.DEFER_FOR"] = timedelta(
        seconds=900 / scale + 2 * PROBE_INTERVAL_SECONDS
    )
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


def fail(sandbox: Sandbox) -> float:
    """From now on the service answers 503, hangs up or says nothing; when that began."""
    sandbox.faults.add("*", "status_before", status=503, times=-1, chance=0.5)
    sandbox.faults.add("*", "drop_before", times=-1, chance=0.8)
    sandbox.faults.add("*", "hang_before", times=-1, seconds=1)
    return time.time()


def is_open(client: MeetergoClient) -> bool:
    try:
        return bool(client.circuit and client.circuit.check("POST"))
    except CircuitOpen:
        return True


# What the visitors do


def visit(number: int) -> list[tuple[str, int]]:
    """Visitors one after the other, in browsers without script; each page they saw and its status."""
    dice, seen = random.Random(number), list[tuple[str, int]]()
    for person in count():
        if workers.stop.wait(dice.uniform(0, 1)):
            return seen
        Visitor(dice, f"{number}.{person}", seen).come()
    return seen


class Visitor:
    def __init__(self, dice: random.Random, name: str, seen: list[tuple[str, int]]) -> None:
        self.dice, self.name, self.seen = dice, name, seen
        address = ".".join(str(dice.randrange(1, 255)) for _ in range(4))
        self.browser = Client(raise_request_exception=False, REMOTE_ADDR=address)

    def ask(self, method: str, path: str, **data: Any) -> Any:
        answer = getattr(self.browser, method)(path, data)
        self.seen.append((re.sub(r"/[\w~-]{30,}/", "/<token>/", path), answer.status_code))
        return answer

    def come(self) -> None:
        self.book(MeetingType.objects.get(slug=self.dice.choice(SLUGS)))
        bookings = Booking.objects.order_by("?").select_related("attendee")
        if own := bookings.first():
            self.ask("get", links.get_booking_path(own))
        if own := bookings.exclude(attendee=None).first():
            self.manage(links.get_manage_path(own.attendee))

    def book(self, kind: MeetingType) -> None:
        path = f"/book/{kind.slug}/"
        self.ask("get", path)
        free = look(kind)
        if not free.times:
            return
        start = self.dice.choice(free.times).start.isoformat()
        form = self.ask("get", f"{path}details/", start=start).content.decode()
        given = {"first_name": "Jane", "last_name": self.name, "email": f"{self.name}@example.com"}
        answer = self.ask("post", f"{path}details/", **given, **read_hidden(form))
        if answer.status_code == 200 and 'name="queue"' in (page := answer.content.decode()):
            answer = self.ask("post", f"{path}details/", **given, **read_hidden(page), queue="1")
        if answer.status_code == 303:
            self.ask("get", answer["Location"])

    def manage(self, path: str) -> None:
        self.ask("get", path)
        match self.dice.randrange(4):
            case 0:
                self.ask("post", f"{path}cancel/")
            case 1:
                page = self.ask("get", f"{path}reschedule/").content.decode()
                if starts := re.findall(r'name="start" value="([^"]+)"', page):
                    self.ask("post", f"{path}reschedule/", start=self.dice.choice(starts))


def look(kind: MeetingType) -> SlotList:
    now, client = timezone.now(), build_client("default", "view")
    return list_slots(meeting_type=kind, start=now, end=now + timedelta(days=60), client=client, now=now)


def look_at_all() -> None:
    """There is a copy of everything when the service goes away."""
    for kind in MeetingType.objects.filter(slug__in=SLUGS):
        look(kind)


def read_hidden(page: str) -> dict[str, str]:
    return dict(re.findall(r'type="hidden" name="(start|duration|token)" value="([^"]+)"', page))


# What has to hold


def judge(
    sandbox: Sandbox,
    answers: list[tuple[str, int]],
    *,
    began: float,
    opened: float | None,
    ended: float,
    closed: float | None,
) -> dict[str, Any]:
    faults = sorted({f"{status} at {path}" for path, status in answers if status >= 500})
    since = datetime.fromtimestamp((opened or ended) + UNDER_WAY, UTC)
    writes = [
        entry["path"]
        for entry in sandbox.request_log.entries(kind="request")
        if entry["method"] != "GET"
        and since <= datetime.fromisoformat(entry["at"]) <= datetime.fromtimestamp(ended, UTC)
    ]
    queued = list(Booking.objects.filter(defer_consent=True))
    booked = [booking for booking in queued if booking.state in {"confirmed", "pending"}]
    told = [booking for booking in queued if booking.state == "closed" and was_told(booking)]
    unclear = [booking for booking in queued if booking.state == "unknown"]
    active = count_standing(sandbox)
    wrong = [booking for booking in booked if active.get(booking.reference, 0) > 1]
    wrong += [booking for booking in told if active.get(booking.reference, 0)]
    recovery = (closed or ended + 999) - ended
    return {
        "answers": len(answers),
        "seconds_out": round(ended - began, 1),
        "circuit_opened_after": round(opened - began, 1) if opened else None,
        "recovery_seconds": round(recovery, 1),
        "queued": len(queued),
        "booked": len(booked),
        "told": len(told),
        "being_settled": len(unclear),
        "bookings": Counter(Booking.objects.values_list("state", flat=True)),
        "statuses": Counter(f"{path} {status}" for path, status in answers),
        "violations": [
            *faults[:10],
            *([f"{len(writes)} writes while the circuit was open"] if writes else []),
            *([] if opened else ["the circuit never opened"]),
            *([f"back only after {recovery:.1f} s"] if recovery > RECOVERY else []),
            *([] if queued else ["nobody left a request: nothing was shown"]),
            *(
                f"request {booking.pk} is {booking.state}, {booking.reason}"
                for booking in queued
                if booking not in booked and booking not in told and booking not in unclear
            ),
            *(f"booking {booking.pk} stands {active[booking.reference]} times" for booking in wrong),
        ],
    }


def was_told(booking: Booking) -> bool:
    """Its end was handed to the site and mailed: events count as dispatched when both have been done."""
    ends = Event.objects.filter(booking=booking, kind=Event.Kind.BOOKING_CLOSED)
    return ends.exists() and not ends.filter(dispatched_at=None).exists()


def count_standing(sandbox: Sandbox) -> dict[str, int]:
    found: dict[str, int] = {}
    for appointment in sandbox.state.appointments.values():
        for attendee in () if appointment.is_cancelled else appointment.attendees:
            for reference in re.findall(r"MG-[\w-]+", str(attendee.answers)):
                found[reference] = found.get(reference, 0) + 1
    return found


# Controls: with one of these the trial has to fail


def forget_requests(*_: Any) -> timedelta:
    return timedelta(hours=1)


def let_through(*_: Any) -> bool:
    return False


SABOTAGES: dict[str, dict[str, Any]] = {
    "writes-try": {"django_meetergo.remote.circuit_breaker.CircuitBreaker.check": let_through},
    "late-probe": {"django_meetergo.remote.circuit_breaker.PROBE_INTERVAL_SECONDS": 40.0},
    "forgotten": {
        "django_meetergo.services.booking.sending.get_backoff": forget_requests,
        "django_meetergo.services.booking.sending.get_send_deadline": lambda booking: booking.start,
    },
}
