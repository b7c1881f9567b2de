"""Open, resume and end sync runs. A stopped run keeps its place, whatever stopped it."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

from django.db import IntegrityError

from django_meetergo.clock import Stopwatch
from django_meetergo.exceptions import RemoteError
from django_meetergo.models import Lease, SyncRun
from django_meetergo.remote.payloads import SkippedItem
from django_meetergo.services.retry import SYNC
from django_meetergo.texts import describe_exception
from django_meetergo.transactions import write_transaction
from django_meetergo.wakeup import wake_workers

logger = logging.getLogger(__name__)
Kind, State = SyncRun.Kind, SyncRun.State
#: What a near run reads, before and after the present moment. A full run reads everything.
NEAR_BEFORE, NEAR_AFTER = timedelta(days=1), timedelta(days=60)
#: Entries that a run lists by id; further ones are only counted in its message.
MAX_SKIPPED = 100
MAX_REASON = 300
MAX_MESSAGE = 1000


class LeaseLost(Exception):
    """Another worker has taken the run over; what this one read must not be written."""


def open_run(connection: str, kind: str, now: datetime) -> tuple[SyncRun, Lease | None]:
    """Return the open run of this kind, or a new one, and its lease unless another worker holds it."""
    run = find_open_run(connection, kind, now)
    lease = SyncRun.objects.filter(state=State.OPEN).claim(run.pk, now=now)
    run.refresh_from_db()
    return run, lease


def find_open_run(connection: str, kind: str, now: datetime) -> SyncRun:
    """Return the open run of this kind; a new one when there is none."""
    key = f"{connection}|{kind}"
    run = build_run(connection, kind, now)
    run.open_run_key = key
    try:
        with write_transaction():
            run.save()
            return run
    except IntegrityError:
        # The open run may have ended since: then a new one can be opened.
        return SyncRun.objects.filter(open_run_key=key).first() or find_open_run(connection, kind, now)


def build_run(connection: str, kind: str, now: datetime) -> SyncRun:
    """Return an unsaved run of this kind that begins now."""
    run = SyncRun(connection=connection, kind=kind, started_at=now)
    if kind == Kind.NEAR:
        run.window_start, run.window_end = now - NEAR_BEFORE, now + NEAR_AFTER
    return run


def is_imported(connection: str) -> bool:
    """Whether a full sync has read everything once. What is there until then is history, and no news."""
    return SyncRun.objects.filter(connection=connection, kind=Kind.FULL, state=State.DONE).exists()


def schedule_sync(*, connection: str, now: datetime) -> None:
    """Have the workers sync the near appointments as soon as they can."""
    run = find_open_run(connection, Kind.NEAR, now)
    SyncRun.objects.filter(pk=run.pk, lease_token=None).update(next_at=now)
    wake_workers()


@contextmanager
def release_when_stopped(run: SyncRun, lease: Lease, stopwatch: Stopwatch) -> Iterator[None]:
    """Release a run that is stopped by an error or an interrupt, so that it can go on where it was.

    The error is raised to the caller, but for a lease that was lost.
    """
    try:
        yield
    except LeaseLost:
        logger.info("Sync run %s of connection %s was taken over by another worker.", run.pk, run.connection)
    except Exception as error:
        stop_run(run, lease, error, stopwatch.now())
        raise
    except BaseException:
        SyncRun.objects.finish(lease, next_at=stopwatch.now())
        raise


def stop_run(run: SyncRun, lease: Lease, error: Exception, now: datetime) -> None:
    """Let a stopped run go on later by its policy; it fails when the policy is used up."""
    run.refresh_from_db()
    message = str(error) if isinstance(error, RemoteError) else describe_exception(error, MAX_MESSAGE)
    changes = SYNC.plan(run, now, error)
    if changes is None:
        changes = {**SYNC.then, "finished_at": now, "next_at": None}
    SyncRun.objects.finish(lease, message=message[:MAX_MESSAGE], **changes)


def finish_run(run: SyncRun, lease: Lease, now: datetime, **changes: Any) -> None:
    """Write that a run has read everything."""
    SyncRun.objects.finish(
        lease,
        state=State.DONE,
        finished_at=now,
        open_run_key=None,
        next_at=None,
        message="",
        skipped=run.skipped,
        **changes,
    )


def note_skipped_items(run: SyncRun, items: Iterable[SkippedItem]) -> None:
    """Add the items of a list that could not be read to the run's list."""
    for item in items:
        note_skipped(run, item.kind, item.id, item.reason)


def note_skipped(run: SyncRun, kind: str, remote_id: str, reason: object) -> None:
    """Add something that could not be read or stored to the run's list."""
    text = describe_exception(reason, MAX_REASON) if isinstance(reason, Exception) else str(reason)
    entry = {"kind": kind, "id": remote_id[:128], "reason": text[:MAX_REASON]}
    known = any(one["kind"] == kind and one["id"] == entry["id"] for one in run.skipped)
    if not known and len(run.skipped) < MAX_SKIPPED:
        run.skipped = [*run.skipped, entry]
