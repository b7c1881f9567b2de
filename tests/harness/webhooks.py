"""Many webhook deliveries: each comes several times, late, and in any order.

Appointments are created, moved and cancelled at the service while several processes send its deliveries to
the site and a worker applies them. At the end the mirror must equal the service, each delivery must be
stored once with its count, and the endpoint must have answered quickly.
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
from django_meetergo.services.webhooks.events import REREAD_EVENTS
from tests.harness import workers

MOST_WAIT = 50.0  # milliseconds, 99th percentile of the endpoint
LATEST = 3.0  # seconds by which a copy may be late
TIMEOUT = 120.0  # seconds until every delivery must be applied
ACTIVE = 300  # appointments that are active at once
DAYS = 150

State = WebhookDelivery.State


def main(arguments: Sequence[str]) -> dict[str, Any]:
    parser = argparse.ArgumentParser(prog="python -m tests.harness webhooks")
    parser.add_argument("--events", type=int, default=2_000)
    parser.add_argument("--copies", type=int, default=10)
    parser.add_argument("--processes", type=int, default=2, help="that receive deliveries")
    parser.add_argument("--seed", type=int, default=1)
    return workers.run_from_command_line(run, parser, arguments, SABOTAGES)


def run(
    *, events: int, copies: int = 10, processes: int = 2, seed: int = 1, sabotage: str | None = None
) -> dict[str, Any]:
    """Run once on an empty database; return the figures."""
    sandbox = Sandbox(rate_limit=False)
    started = time.monotonic()
    with (
        server.start(sandbox) as running,
        workers.shared_cache() as caches,
        get_context("spawn").Manager() as manager,
    ):
        workers.read_directory(running.url)
        queue = manager.Queue()
        with workers.hire(make_site(running.url, caches, sabotage), processes + 1) as hired:
            worker = hired.send(workers.work, 0.02, False)
            receivers = [hired.send(receive, queue) for _ in range(processes)]
            hired.begin()
            bodies = send_deliveries(sandbox, queue, events, copies, random.Random(seed))
            for _ in receivers:
                queue.put(None)
            responses = [response for receiver in receivers for response in receiver.result()]
            workers.wait_until(
                lambda: not WebhookDelivery.objects.filter(state=State.PENDING).exists(), TIMEOUT
            )
            hired.stop.set()
            worker.result()
    return {
        "part": "webhooks",
        "seed": seed,
        "sabotage": sabotage,
        "processes": processes,
        "seconds": round(time.monotonic() - started, 1),
        **judge(sandbox, responses, bodies),
    }


def make_site(url: str, caches: dict[str, Any], sabotage: str | None) -> workers.Site:
    patches: dict[str, Any] = {
        # Without rate limit, and with a shorter wait for further deliveries.
        "django_meetergo.remote.rate_limit.RateLimiter.acquire": workers.take_freely,
        "django_meetergo.services.webhooks.receive.DEBOUNCE": timedelta(seconds=0.1),
    }
    return workers.make_site(url, caches, {**patches, **(SABOTAGES[sabotage] if sabotage else {})})


# At the service


def send_deliveries(
    sandbox: Sandbox, queue: Any, events: int, copies: int, chance: random.Random
) -> set[bytes]:
    """Change appointments, and queue copies of each delivery with random delays; return the bodies."""
    fresh: list[bytes] = []
    deliveries: Any = sandbox.deliveries
    deliveries.enqueue = lambda *, document, **_: fresh.append(json.dumps(document).encode())
    add_webhook(sandbox.state, "http://127.0.0.1/webhooks/", list(REREAD_EVENTS))
    late: list[tuple[float, int, bytes]] = []
    seen: set[bytes] = set()
    number = 0
    while len(seen) < events:
        change_something(sandbox, chance)
        now = time.monotonic()
        for body in fresh:
            seen.add(body)
            for _ in range(copies):
                number += 1
                heapq.heappush(late, (now + chance.uniform(0, LATEST), number, body))
        fresh.clear()
        while late and late[0][0] <= now:
            queue.put(heapq.heappop(late)[2])
        time.sleep(0.005)
    chance.shuffle(late)
    for _, _, body in late:
        queue.put(body)
    return seen


def change_something(sandbox: Sandbox, chance: random.Random) -> None:
    """Create, move or cancel an appointment."""
    state = sandbox.state
    active = [one for one in state.appointments.values() if not one.is_cancelled]
    start = state.now().replace(minute=0, second=0, microsecond=0) + timedelta(
        days=chance.randrange(1, DAYS), hours=chance.randrange(24)
    )
    what = chance.choice(("book", "move", "cancel"))
    if (what == "book" and len(active) < ACTIVE) or not active:
        occupy_slot(state, seeds.OWNER, start)
    elif what == "cancel":
        changes.cancel(state, chance.choice(active), source="api", by="host", everyone=True)
    else:
        movable = [one for one in active if one.start > state.now()]
        changes.move(state, chance.choice(movable), start, ignore_availability=True)


# Receiving


def receive(queue: Any) -> list[tuple[int, float]]:
    """Post what is queued to the site; return each status and the milliseconds it took."""
    handler, requests = BaseHandler(), RequestFactory()
    handler.load_middleware()
    path = f"/book/webhooks/{settings.MEETERGO['WEBHOOK_TOKENS'][0]}/"
    found = []
    while (body := queue.get()) is not None:
        started = time.perf_counter()
        response = handler.get_response(requests.post(path, body, content_type="application/json"))
        found.append((response.status_code, (time.perf_counter() - started) * 1e3))
    return found


# Checks


def judge(sandbox: Sandbox, responses: list[tuple[int, float]], bodies: set[bytes]) -> dict[str, Any]:
    waits = sorted(wait for _, wait in responses)
    slowest = waits[len(waits) * 99 // 100 - 1]
    named = {json.loads(body)["id"] for body in bodies}
    remote = {key: (one.start, one.is_cancelled) for key, one in sandbox.state.appointments.items()}
    mirrored = {row.remote_id: (row.start, row.is_cancelled) for row in Appointment.objects.all()}
    wrong = sorted(key for key in named if mirrored.get(key) != remote[key])
    received = WebhookDelivery.objects.aggregate(total=Sum("receive_count"))["total"]
    unapplied = WebhookDelivery.objects.exclude(state=State.APPLIED).count()
    refused = sum(status != 200 for status, _ in responses)
    reads = sum(
        entry["route"] == "/v4/appointment/{id}" for entry in sandbox.request_log.entries(kind="request")
    )
    return {
        "deliveries": len(responses),
        "events": len(bodies),
        "appointments": len(named),
        "reads": reads,
        "wait_median_ms": round(waits[len(waits) // 2], 1),
        "wait_p99_ms": round(slowest, 1),
        "violations": [
            *(f"the mirror is wrong about {key}" for key in wrong[:10]),
            *(f"invented {key}" for key in sorted(set(mirrored) - set(remote))[:10]),
            *([f"{refused} deliveries were refused"] if refused else []),
            *([f"{received} deliveries counted of {len(responses)}"] if received != len(responses) else []),
            *([f"{unapplied} deliveries were not applied"] if unapplied else []),
            *([f"{reads} reads for {len(bodies)} events"] if reads > len(bodies) else []),
            *([f"the endpoint took {slowest:.0f} ms"] if slowest > MOST_WAIT else []),
        ],
    }


# With one of these the run has to report violations


def receive_once(*, connection: str, body: bytes, now: Any) -> None:
    """Ignore further deliveries of an appointment."""
    remote_id = json.loads(body)["id"]
    if not WebhookDelivery.objects.filter(remote_id=remote_id).exists():
        WebhookDelivery.objects.create(
            connection=connection, digest=remote_id, remote_id=remote_id, received_at=now, next_at=now
        )


_seen: dict[str, Any] = {}
get_appointment = MeetergoClient.get_appointment


def get_appointment_once(client: MeetergoClient, remote_id: str) -> Any:
    """Read each appointment only once."""
    if remote_id not in _seen:
        _seen[remote_id] = get_appointment(client, remote_id)
    return _seen[remote_id]


SABOTAGES: dict[str, dict[str, Any]] = {
    "one-delivery": {"django_meetergo.services.webhooks.receive.receive_delivery": receive_once},
    "one-read": {"django_meetergo.remote.client.MeetergoClient.get_appointment": get_appointment_once},
}
