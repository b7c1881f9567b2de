"""A deployed site runs for a long time under faults; what it uses must stay bounded.

Memory, threads, descriptors and connections to the database are sampled while visitors book and change and
webhooks arrive. After a warm-up of a third of the time the last third may use hardly more than the second.
Tables of technical rows must stay bounded too, and anonymous visitors must leave no session.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from django.contrib.sessions.models import Session
from redis import Redis

from django_meetergo.models import Event, SyncRun, WebhookDelivery
from django_meetergo.sandbox.webhooks import add_webhook
from django_meetergo.services.webhooks.events import REREAD_EVENTS
from tests.harness import judge, kill9, storm, workers
from tests.harness.crowd import keep_coming
from tests.harness.deployment import BROKERS, Deployment, deploy
from tests.harness.proxy import Plan
from tests.harness.visitor import Visit

CLIENTS = 4
#: Seconds between two visitors of a client: no more come than the workers of two cores can follow.
PAUSE_SECONDS = 1.0
SAMPLE_SECONDS = 2.0
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
TABLES = (Event, WebhookDelivery, SyncRun)
SETTINGS: dict[str, Any] = {
    **storm.SETTINGS,
    "WEBHOOK_TOKENS": [kill9.TOKEN],
    "SYNC_INTERVAL": 10.0,
    "RETENTION_DAYS": {"deliveries": 0, "bookings": 0, "events": 0},
}
#: How much more the last third may use than the second: a share, and an amount for short runs.
ALLOWED: dict[str, tuple[float, float]] = {
    "memory of web (MiB)": (0.10, 12),
    "memory of worker (MiB)": (0.10, 12),
    "threads of web": (0, 4),
    "threads of worker": (0, 4),
    "descriptors of web": (0.05, 8),
    "descriptors of worker": (0.05, 8),
    "keys of the cache": (0.25, 1_000),  # each month that somebody looks at has some
    **{f"rows of {model.__name__}": (0.3, 60) for model in TABLES},
    "rows of Session": (0, 0),
}


def main(arguments: Sequence[str]) -> dict[str, Any]:
    parser = argparse.ArgumentParser(prog="python -m tests.harness soak")
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--broker", choices=BROKERS, default="redis")
    parser.add_argument("--seed", type=int, default=1)
    return workers.run_from_command_line(run, parser, arguments, SABOTAGES)


def run(
    *, minutes: float, broker: str = "redis", seed: int = 1, sabotage: str | None = None
) -> dict[str, Any]:
    """Return the figures of one run on an empty database."""
    sandbox = storm.build_sandbox("plain")
    patches = SABOTAGES[sabotage] if sabotage else {}
    # What has ended is deleted by each full sync, which takes longer the more has been booked: often enough
    # for a short run, and seldom enough that a long one does not do it all the time.
    settings = {**SETTINGS, "FULL_SYNC_INTERVAL": min(max(minutes * 3, 5.0), 60.0)}
    plan = Plan(share=0.2, faults=("drop_after", "late", "close_before", "slow", "slice"))
    visits: list[Visit] = []
    with deploy(sandbox=sandbox, plan=plan, seed=seed, patches=patches, broker=broker, **settings) as site:
        add_webhook(sandbox.state, f"{site.url}/book/webhooks/{kill9.TOKEN}/", list(REREAD_EVENTS))
        samples = Samples(site)
        with keep_coming(site.url, visits, clients=CLIENTS, seed=seed, pause=PAUSE_SECONDS):
            ends = time.monotonic() + minutes * 60
            while time.monotonic() < ends:
                samples.take()
                time.sleep(SAMPLE_SECONDS)
        site.service.plan = Plan()
        sandbox.deliveries.wait_idle(10)
        quiet_after = workers.wait_until(judge.is_quiet, storm.QUIET_SECONDS)
        found = judge.find_violations(sandbox)
        restarts = dict(site.restarts)
    errors = {page for visit in visits for page in visit.pages if page[1] >= 500}
    return {
        "part": "soak",
        "minutes": minutes,
        "broker": broker,
        "seed": seed,
        "sabotage": sabotage,
        "visits": len(visits),
        "states": judge.describe_bookings(),
        "used": samples.describe(),
        "violations": [
            *samples.list_growth(),
            *(f"{kind}: {text}" for kind, texts in found.items() for text in texts[:10]),
            *(f"{status} at {path}" for path, status in sorted(errors)[:10]),
            *(f"{name} was restarted {times} times" for name, times in restarts.items()),
            *([] if quiet_after else ["not quiet in time"]),
        ],
    }


@dataclass
class Samples:
    """What the site used over time, by name."""

    site: Deployment
    taken: dict[str, list[float]] = field(default_factory=dict)

    def take(self) -> None:
        for name, number in self.measure():
            self.taken.setdefault(name, []).append(number)

    def measure(self) -> Iterator[tuple[str, float]]:
        for kind, process in self.site.processes.items():
            members = list_session(process.pid)
            yield f"memory of {kind} (MiB)", sum(map(read_memory, members)) / 2**20
            yield f"threads of {kind}", sum(count_entries(member / "task") for member in members)
            yield f"descriptors of {kind}", sum(count_entries(member / "fd") for member in members)
        yield "keys of the cache", Redis(*self.site.cache_server).dbsize()
        for model in (*TABLES, Session):
            yield f"rows of {model.__name__}", model.objects.count()

    def split(self, name: str) -> tuple[list[float], list[float]]:
        """Return the second and the last third of the samples."""
        numbers = self.taken[name]
        third = max(len(numbers) // 3, 1)
        return numbers[third : 2 * third] or numbers, numbers[2 * third :] or numbers

    def describe(self) -> dict[str, list[float]]:
        """Return the medians of both thirds."""
        return {name: [round(median(part), 1) for part in self.split(name)] for name in sorted(self.taken)}

    def list_growth(self) -> Iterator[str]:
        for name, (share, amount) in ALLOWED.items():
            before, after = (median(part) for part in self.split(name))
            if after > before * (1 + share) + amount:
                yield f"{name} grew from {before:.0f} to {after:.0f}"


def list_session(leader: int) -> list[Path]:
    """Return the folders in /proc of the processes of a session."""
    return [entry for entry in Path("/proc").iterdir() if entry.name.isdecimal() and is_member(entry, leader)]


def is_member(entry: Path, leader: int) -> bool:
    try:
        # The name of the command comes first, in parentheses, and may contain spaces.
        return int((entry / "stat").read_text().rpartition(")")[2].split()[3]) == leader
    except (OSError, IndexError):
        return False  # it has ended


def read_memory(entry: Path) -> int:
    """Return the resident bytes of a process."""
    try:
        return int((entry / "statm").read_text().split()[1]) * PAGE_BYTES
    except OSError:
        return 0


def count_entries(folder: Path) -> int:
    try:
        return sum(1 for _ in folder.iterdir())
    except OSError:
        return 0


#: Each makes the run exit 1, "rows-kept" from two minutes on.
SABOTAGES: dict[str, dict[str, str]] = {
    "memory-kept": {
        "django_meetergo.services.booking.book.send_now": "tests.harness.soak_sabotage.keep_memory"
    },
    "threads-kept": {
        "django_meetergo.services.booking.book.send_now": "tests.harness.soak_sabotage.keep_threads"
    },
    "files-kept": {
        "django_meetergo.services.booking.book.send_now": "tests.harness.soak_sabotage.keep_files"
    },
    "rows-kept": {
        "django_meetergo.services.privacy.retention.prune": "tests.harness.soak_sabotage.keep_rows"
    },
}
