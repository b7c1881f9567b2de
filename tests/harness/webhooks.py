"""A storm of webhooks: every event comes many times, late, and in any order.

Appointments are made, moved and cancelled at the service while its deliveries are carried to the letterbox by
several processes and a worker reads what they name. In the end the mirror holds what the service holds, each
delivery was noted once with its count, and nobody at the door had to wait.
"""

from __future__ import annotations

import argparse
import heapq
import json
import random
import time
from collections.abc import Sequence
from datetime import timedelta
from multiprocessing import get_context
from typing import Any

from django.conf import settings
from django.core.handlers.base import BaseHandler
from django.db.models import Sum
from django.test import RequestFactory

from django_meetergo.models import Appointment, WebhookDelivery
from django_meetergo.remote.client import MeetergoClient
from django_meetergo.sandbox import changes, server
from django_meetergo.sandbox import seed as seeds
from django_meetergo.sandbox.app import Sandbox
from django_meetergo.sandbox.scenarios import occupy_slot
from django_meetergo.sandbox.webhooks import add_webhook
from django_meetergo.services.webhooks.receive import BOOKING_EVENTS
from tests.harness import workers

MOST_WAIT = 50.0  # milliseconds at the door for all but one of a hundred
LATEST = 3.0  # seconds by which a copy may be late
PATIENCE = 120.0
STANDING = 300  # appointments that are about at once
DAYS = 150

State = WebhookDelivery.State


def main(arguments: Sequence[str]) -> dict[str, Any]:
    parser = argparse.ArgumentParser(prog="python -m tests.harness webhooks")
    parser.add_argument("--events", type=int, default=2_000)
    parser.add_argument("--copies", type=int, default=10)
    parser.add_argument("--processes", type=int, default=2, help="that open the door; a worker comes on top")
    parser.add_argument("--seed", type=int, default=1)
    return workers.try_alone(run, parser, arguments, SABOTAGES)


def run(
    *, events: int, copies: int = 10, processes: int = 2, seed: int = 1, sabotage: str | None = None
) -> dict[str, Any]:
    """The figures of one trial, on an empty database."""
    sandbox = Sandbox(rate_limit=False)
    started = time.monotonic()
    with (
        server.start(sandbox) as running,
        workers.shared_cache() as caches,
        get_context("spawn").Manager() as manager,
    ):
        workers.read_directory(running.url)
        bag = manager.Queue()
        with workers.hire(make_site(running.url, caches, sabotage), processes + 1) as hired:
            worker = hired.send(workers.work, 0.02, False)
            doors = [hired.send(open_door, bag) for _ in range(processes)]
            hired.begin()
            bodies = carry(sandbox, bag, events, copies, random.Random(seed))
            for _ in doors:
                bag.put(None)
            knocks = [check_circuit for door in doors for check_circuit in door.result()]
            workers.wait_until(
                lambda: not WebhookDelivery.objects.filter(state=State.PENDING).exists(), PATIENCE
            )
            hired.stop.set()
            worker.result()
    return {
        "part": "webhooks",
        "seed": seed,
        "sabotage": sabotage,
        "processes": processes,
        "seconds": round(time.monotonic() - started, 1),
        **judge(sandbox, knocks, bodies),
    }


def make_site(url: str, caches: dict[str, Any], sabotage: str | None) -> workers.Site:
    patches: dict[str, Any] = {
        # The request limit is not what is tried here, and deliveries are gathered for less long.
        "django_meetergo.remote.rate_limit.RateLimiter.acquire": workers.take_freely,
        "django_meetergo.services.webhooks.receive.DEBOUNCE": timedelta(seconds=0.1),
    }
    return workers.make_site(url, caches, {**patches, **(SABOTAGES[sabotage] if sabotage else {})})


# At the service


def carry(sandbox: Sandbox, bag: Any, events: int, copies: int, dice: random.Random) -> set[bytes]:
    """Let things happen, and put each delivery into the bag as often as asked, sooner or later."""
    told: list[bytes] = []
    deliveries: Any = sandbox.deliveries
    deliveries.enqueue = lambda *, document, **_: told.append(json.dumps(document).encode())
    add_webhook(sandbox.state, "http://127.0.0.1/letterbox/", list(BOOKING_EVENTS))
    late: list[tuple[float, int, bytes]] = []
    seen: set[bytes] = set()
    number = 0
    while len(seen) < events:
        happen(sandbox, dice)
        now = time.monotonic()
        for body in told:
            seen.add(body)
            for _ in range(copies):
                number += 1
                heapq.heappush(late, (now + dice.uniform(0, LATEST), number, body))
        told.clear()
        while late and late[0][0] <= now:
            bag.put(heapq.heappop(late)[2])
        time.sleep(0.005)
    dice.shuffle(late)
    for _, _, body in late:
        bag.put(body)
    return seen


def happen(sandbox: Sandbox, dice: random.Random) -> None:
    """Somebody books, moves or cancels."""
    state = sandbox.state
    active = [one for one in state.appointments.values() if not one.is_cancelled]
    start = state.now().replace(minute=0, second=0, microsecond=0) + timedelta(
        days=dice.randrange(1, DAYS), hours=dice.randrange(24)
    )
    what = dice.choice(("book", "move", "cancel"))
    if (what == "book" and len(active) < STANDING) or not active:
        occupy_slot(state, seeds.OWNER, start)
    elif what == "cancel":
        changes.cancel(state, dice.choice(active), source="api", by="host", everyone=True)
    else:
        movable = [one for one in active if one.start > state.now()]
        changes.move(state, dice.choice(movable), start, ignore_availability=True)


# At the door


def open_door(bag: Any) -> list[tuple[int, float]]:
    """Hand what is in the bag to the site; each answer's status and how long it took, in milliseconds."""
    handler, requests = BaseHandler(), RequestFactory()
    handler.load_middleware()
    path = f"/book/webhooks/{settings.MEETERGO['WEBHOOK_TOKENS'][0]}/"
    found = []
    while (body := bag.get()) is not None:
        started = time.perf_counter()
        answer = handler.get_response(requests.post(path, body, content_type="application/json"))
        found.append((answer.status_code, (time.perf_counter() - started) * 1e3))
    return found


# What has to hold


def judge(sandbox: Sandbox, knocks: list[tuple[int, float]], bodies: set[bytes]) -> dict[str, Any]:
    waits = sorted(wait for _, wait in knocks)
    slowest = waits[len(waits) * 99 // 100 - 1]
    named = {json.loads(body)["id"] for body in bodies}
    remote = {key: (one.start, one.is_cancelled) for key, one in sandbox.state.appointments.items()}
    mirrored = {row.remote_id: (row.start, row.is_cancelled) for row in Appointment.objects.all()}
    wrong = sorted(key for key in named if mirrored.get(key) != remote[key])
    noted = WebhookDelivery.objects.aggregate(knocks=Sum("receive_count"))["knocks"]
    unsettled = WebhookDelivery.objects.exclude(state=State.APPLIED).count()
    refused = sum(status != 200 for status, _ in knocks)
    looks = sum(
        entry["route"] == "/v4/appointment/{id}" for entry in sandbox.request_log.entries(kind="request")
    )
    return {
        "deliveries": len(knocks),
        "events": len(bodies),
        "appointments": len(named),
        "looks": looks,
        "wait_median_ms": round(waits[len(waits) // 2], 1),
        "wait_p99_ms": round(slowest, 1),
        "violations": [
            *(f"the mirror is wrong about {key}" for key in wrong[:10]),
            *(f"invented {key}" for key in sorted(set(mirrored) - set(remote))[:10]),
            *([f"{refused} knocks were not taken"] if refused else []),
            *([f"{noted} knocks noted of {len(knocks)}"] if noted != len(knocks) else []),
            *([f"{unsettled} deliveries were not applied"] if unsettled else []),
            *([f"{looks} looks for {len(bodies)} events"] if looks > len(bodies) else []),
            *([f"somebody waited {slowest:.0f} ms at the door"] if slowest > MOST_WAIT else []),
        ],
    }


# Controls: with one of these the trial has to fail


def receive_once(*, connection: str, body: bytes, now: Any) -> None:
    """Who has knocked for an appointment once need not knock again."""
    remote_id = json.loads(body)["id"]
    if not WebhookDelivery.objects.filter(remote_id=remote_id).exists():
        WebhookDelivery.objects.create(
            connection=connection, digest=remote_id, remote_id=remote_id, received_at=now, next_at=now
        )


_seen: dict[str, Any] = {}
look_really = MeetergoClient.get_appointment


def look_once(client: MeetergoClient, remote_id: str) -> Any:
    """What was read once is not read again."""
    if remote_id not in _seen:
        _seen[remote_id] = look_really(client, remote_id)
    return _seen[remote_id]


SABOTAGES: dict[str, dict[str, Any]] = {
    "one-knock": {"django_meetergo.services.webhooks.receive.receive_delivery": receive_once},
    "one-look": {"django_meetergo.remote.client.MeetergoClient.get_appointment": look_once},
}
