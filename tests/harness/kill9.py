"""Processes of a deployed site are killed with SIGKILL at named points while visitors book and change.

A web or worker process dies at each point of ``kill_points``, by itself or with all others of its kind. No
booking may be lost or made twice, nothing may be stuck, and whoever takes over what the dead process held
does so within the lease and one round of the workers.
"""

from __future__ import annotations

import argparse
import random
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from django_meetergo.models import Appointment, AppointmentChange, Booking, Event, SyncRun, WebhookDelivery
from django_meetergo.sandbox.app import Sandbox
from django_meetergo.sandbox.webhooks import add_webhook
from django_meetergo.services.webhooks.events import REREAD_EVENTS
from tests.harness import judge, storm, workers
from tests.harness.crowd import keep_coming
from tests.harness.deployment import BROKERS, deploy
from tests.harness.kill_points import POINTS, ROUNDS, Point
from tests.harness.proxy import Plan
from tests.harness.visitor import Visit

LEASE_SECONDS = 4.0
OUTCOME_SECONDS = 3.0
#: Between two rounds of the workers, as ``beat_schedule`` says.
ROUND_SECONDS = 5.0
#: A worker takes over a booking that nobody has sent, as ``WORKER_DELAY`` says.
PICKUP_SECONDS = 10.0
#: What is not taken over by then never is.
STUCK_SECONDS = 120.0
#: A point that is not reached within this time proves nothing.
REACH_SECONDS = 180.0
CLIENTS = 4
TOKEN = "a-webhook-token-that-only-the-harness-knows"
#: Many writes meet a fault, so that every way through the code is gone.
PLAN = Plan(
    share=0.3,
    faults=("drop_after", "replay", "replay", "replay", "late", "close_before", "reset_after", "hang_after"),
    hang_seconds=storm.TIMEOUT_SECONDS * 1.5,
)


def main(arguments: Sequence[str]) -> dict[str, Any]:
    parser = argparse.ArgumentParser(prog="python -m tests.harness kill9")
    parser.add_argument("--times", type=int, default=25, help="how often a process dies at each point")
    parser.add_argument("--points", type=int, default=len(POINTS), help="at how many points, drawn at random")
    parser.add_argument("--broker", choices=BROKERS, default="redis")
    parser.add_argument("--seed", type=int, default=1)
    return workers.run_from_command_line(run, parser, arguments, SABOTAGES)


def run(
    *,
    times: int,
    points: int = len(POINTS),
    broker: str = "redis",
    seed: int = 1,
    sabotage: str | None = None,
) -> dict[str, Any]:
    """Return the figures of one run on an empty database."""
    dice = random.Random(seed)
    chosen = dice.sample(POINTS, points)
    sandbox = storm.build_sandbox("plain")
    patches = SABOTAGES[sabotage] if sabotage else {}
    started = time.monotonic()
    with (
        TemporaryDirectory() as folder,
        deploy(
            sandbox=sandbox,
            plan=PLAN,
            seed=seed,
            patches=patches,
            kills=Path(folder),
            broker=broker,
            **SETTINGS,
        ) as site,
    ):
        add_webhook(sandbox.state, f"{site.url}/book/webhooks/{TOKEN}/", list(REREAD_EVENTS))
        torture = Torture(folder=Path(folder))
        with keep_coming(site.url, torture.visits, clients=CLIENTS, seed=seed):
            for _ in range(times):
                for point in dice.sample(chosen, len(chosen)):
                    torture.kill(point, dice.choice(("child", "all")))
        site.service.plan = Plan()
        # What a webhook still has to tell belongs to what the site must work off.
        sandbox.deliveries.wait_idle(10)
        quiet_after = workers.wait_until(judge.is_quiet, storm.QUIET_SECONDS)
        storm.reload_pages(site.url, torture.visits, CLIENTS)
        found = judge.find_violations(sandbox)
        untrue = judge.list_untrue_pages(sandbox, torture.visits)
        restarts = dict(site.restarts)
        longest_round = torture.find_longest_round()
        limit = max(LEASE_SECONDS, PICKUP_SECONDS) + ROUND_SECONDS + longest_round + site.boot_seconds
    recoveries = sorted(seconds for _, seconds in torture.recoveries)
    return {
        "part": "kill9",
        "broker": broker,
        "seed": seed,
        "sabotage": sabotage,
        "points": len(chosen),
        "kills": torture.kills.total(),
        "kills_by_process": dict(torture.kills),
        "restarts": restarts,
        "bookings": len(torture.visits),
        "states": judge.describe_bookings(),
        "recovery_seconds": {
            "median": recoveries[len(recoveries) // 2] if recoveries else None,
            "longest": recoveries[-1] if recoveries else None,
            "allowed": round(limit, 1),
            "of_which_a_round": longest_round,
            "of_which_a_start": round(site.boot_seconds, 1),
        },
        "seconds": round(time.monotonic() - started),
        "violations": [
            *torture.violations,
            *(f"{name}: taken over after {took} s" for name, took in torture.recoveries if took > limit),
            *(f"{kind}: {text}" for kind, texts in found.items() for text in texts[:10]),
            *(f"untrue page: {text}" for text in untrue[:10]),
            *(f"untrue mirror: {text}" for text in list_untrue_rows(sandbox)[:10]),
            *([] if quiet_after else ["not quiet in time"]),
        ],
    }


SETTINGS: dict[str, Any] = {
    **storm.SETTINGS,
    "LEASE": LEASE_SECONDS,
    "OUTCOME_DEADLINE": OUTCOME_SECONDS,
    "WEBHOOK_TOKENS": [TOKEN],
    "SYNC_INTERVAL": 60.0,
}


@dataclass
class Torture:
    """The visitors, and what became of each kill: at which point, and after how many seconds."""

    folder: Path
    kills: Counter[str] = field(default_factory=Counter)
    recoveries: list[tuple[str, float]] = field(default_factory=list)
    visits: list[Visit] = field(default_factory=list)
    violations: list[str] = field(default_factory=list)

    def kill(self, point: Point, scope: str) -> None:
        """Let the next process that gets to this point die, and wait until its work is taken over."""
        armed = self.folder / point.name
        fired, new = (self.folder / f"{point.name}.{state}" for state in ("fired", "new"))
        fired.unlink(missing_ok=True)
        new.write_text(scope)
        new.rename(armed)  # whoever sees the file can read it
        died = workers.wait_until(fired.exists, REACH_SECONDS)
        if died is None:
            armed.unlink(missing_ok=True)
            self.violations.append(f"{point.name} was not reached in {REACH_SECONDS:.0f} s")
            return
        self.kills[f"{point.process} {scope}"] += 1
        held = list_held_rows()
        recovered = workers.wait_until(lambda: not held & list_held_rows(), STUCK_SECONDS)
        if recovered is None:
            stuck = ", ".join(sorted(f"{name} {key}" for name, key, _ in held & list_held_rows()))
            self.violations.append(f"{point.name}: {stuck} stuck for {STUCK_SECONDS:.0f} s")
        else:
            self.recoveries.append((point.name, round(recovered - died, 1)))

    def find_longest_round(self) -> float:
        """Return the longest round of the workers in seconds; their work is done one after another."""
        rounds = self.folder / ROUNDS
        return max(map(float, rounds.read_text().split()), default=0.0) if rounds.exists() else 0.0


def list_held_rows() -> set[tuple[str, int, object]]:
    """Return every row that somebody holds, until when, and every booking that nobody has sent yet.

    Whoever lives and needs longer renews the lease, which makes another entry.
    """
    held: set[tuple[str, int, object]] = set()
    for model in (Booking, AppointmentChange, Event, WebhookDelivery, SyncRun):
        rows = model._base_manager.filter(lease_token__isnull=False).values_list("pk", "lease_until")
        held |= {(model.__name__, key, until) for key, until in rows}
    unsent = Booking.objects.filter(state=Booking.State.RECEIVED).values_list("pk", "next_at")
    return held | {("unsent booking", key, next_at) for key, next_at in unsent}


def list_untrue_rows(sandbox: Sandbox) -> list[str]:
    """Return the mirrored appointments that differ from the service's."""
    untrue = []
    for row in Appointment.objects.all():
        found = sandbox.state.appointments.get(row.remote_id)
        if found is None:
            untrue.append(f"{row.remote_id} does not exist")
        elif (row.start, row.is_cancelled) != (found.start, found.is_cancelled):
            untrue.append(
                f"{row.remote_id}: {row.start} {row.status}, not {found.start} {found.is_cancelled}"
            )
    return untrue


#: Each makes the run exit 1.
SABOTAGES: dict[str, dict[str, str]] = {
    "leases-never-end": {
        "django_meetergo.models.leases.LeasedQuerySet.due": "tests.harness.kill9_sabotage.find_free_rows_only"
    },
    "sent-again-after-a-crash": {
        "django_meetergo.services.booking.reconciliation.mark_interrupted": (
            "tests.harness.kill9_sabotage.send_again"
        ),
        "django_meetergo.services.booking.outcomes.cancel_surplus": (
            "tests.harness.kill9_sabotage.keep_surplus"
        ),
    },
}
