"""Places in the code at which a process of a deployed site kills itself; ``HARNESS_KILLS`` names a folder.

A file in the folder, named like a point, arms it: the first process that gets there takes the file away and
dies by SIGKILL, by itself (``child``) or with its whole process group (``all``), as the file says.
"""

from __future__ import annotations

import os
import pkgutil
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Any

from tests.harness.patches import replace_part

#: The file in the folder to which workers write how long their rounds took.
ROUNDS = "rounds"
WEB, WORKER, BOTH = "web", "worker", "both"


@dataclass(frozen=True)
class Point:
    """A callable, by the dotted path through which it is called, and whether to die before or after it."""

    path: str
    moment: str
    process: str = BOTH

    @property
    def name(self) -> str:
        return f"{self.process}-{self.moment}-{self.path.removeprefix('django_meetergo.')}"


BOOK, SENDING, OUTCOMES, RECONCILIATION, APPLY, CHANGES, EVENTS, SYNC = (
    f"django_meetergo.services.{name}"
    for name in (
        "booking.book", "booking.sending", "booking.outcomes", "booking.reconciliation", "webhooks.apply",
        "changes.sending", "events", "sync.appointments",
    )
)  # fmt: skip

POINTS = (
    # A booking, from the form to the page
    Point(f"{BOOK}.reserve_slot", "before", WEB),
    Point(f"{BOOK}.reserve_slot", "after", WEB),  # the attempt is committed
    Point("urllib3.connection.HTTPConnection.request", "before", WEB),
    Point("urllib3.connection.HTTPConnection.getresponse", "before", WEB),
    Point("django_meetergo.remote.http._read_answer", "before", WEB),
    Point(f"{SENDING}.adopt", "before", WEB),
    Point(f"{OUTCOMES}.record_confirmation", "after", WEB),  # within the transaction of the result
    Point(f"{SENDING}.adopt", "after", WEB),
    Point(f"{SENDING}.mark_unknown", "before", WEB),
    Point(f"{SENDING}.mark_unknown", "after", WEB),
    Point("django_meetergo.wakeup.announce_everywhere", "before", WEB),
    # A change
    Point("django_meetergo.services.changes.requests.store_change", "after", WEB),
    Point(f"{CHANGES}.call_service", "before", WEB),
    Point(f"{CHANGES}.call_service", "after", WEB),
    Point(f"{CHANGES}.finish_change", "after", WEB),
    Point(f"{CHANGES}.reread_appointment", "after", WORKER),
    # A webhook
    Point("django_meetergo.views.webhook.receive_delivery", "before", WEB),
    Point("django_meetergo.views.webhook.receive_delivery", "after", WEB),
    Point(f"{APPLY}.claim_due_deliveries", "after", WORKER),
    Point(f"{APPLY}.record_appointments", "after", WORKER),  # within the transaction
    Point(f"{APPLY}.adopt_documents", "after", WORKER),
    # Reconciliation
    Point(f"{RECONCILIATION}.mark_interrupted", "after", WORKER),
    Point(f"{RECONCILIATION}.search_lists", "before", WORKER),
    Point(f"{RECONCILIATION}.search_lists", "after", WORKER),
    Point(f"{RECONCILIATION}.record_no_match", "after", WORKER),  # within the transaction
    Point(f"{OUTCOMES}.mark_confirmed", "after", WORKER),
    Point(f"{OUTCOMES}.schedule_cancel", "after", WORKER),  # of what was booked twice
    Point(f"{RECONCILIATION}.record_document", "before", WORKER),
    Point(f"{RECONCILIATION}.record_document", "after", WORKER),
    # Signals and mails
    Point(f"{EVENTS}.list_receivers", "before", WORKER),
    Point(f"{EVENTS}.call_receiver", "after", WORKER),
    # Sync
    Point(f"{SYNC}.read_page", "after", WORKER),
    Point(f"{SYNC}.AppointmentSync.store_documents", "after", WORKER),
    Point(f"{SYNC}.AppointmentSync.save_checkpoint", "after", WORKER),
)


def install_kill_points(process: str) -> None:
    """Replace each callable in this process by one that may die."""
    if folder := os.environ.get("HARNESS_KILLS"):
        if process == WORKER:
            scheduler = pkgutil.resolve_name("django_meetergo.services.scheduler")
            scheduler.run_due = time_rounds(scheduler.run_due, Path(folder) / ROUNDS)
        for point in POINTS:
            if point.process in {process, BOTH}:
                original = pkgutil.resolve_name(point.path)
                replace_part(point.path, make_deadly(original, Path(folder) / point.name, point.moment))


def time_rounds(run_due: Callable[..., Any], log: Path) -> Callable[..., Any]:
    """Note how long each round of the workers takes, in seconds."""

    @wraps(run_due)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        started = time.monotonic()
        result = run_due(*args, **kwargs)
        with log.open("a") as lines:
            lines.write(f"{time.monotonic() - started:.1f}\n")
        return result

    return wrapper


def make_deadly(function: Callable[..., Any], armed: Path, moment: str) -> Callable[..., Any]:
    @wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        if moment == "before":
            die_if_armed(armed)
        result = function(*args, **kwargs)
        if moment == "after":
            die_if_armed(armed)
        return result

    return wrapper


def die_if_armed(armed: Path) -> None:
    if not armed.exists():
        return
    fired = armed.parent / f"{armed.name}.fired"
    try:
        armed.rename(fired)
    except FileNotFoundError:
        return  # another process was first
    if fired.read_text() == "all":
        os.killpg(0, signal.SIGKILL)
    os.kill(os.getpid(), signal.SIGKILL)
