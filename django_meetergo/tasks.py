"""Celery tasks for ``BACKGROUND = "celery"``. The only module that imports Celery."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from celery import shared_task

from django_meetergo.publishing import publisher
from django_meetergo.services import scheduler

#: The limits are longer than ``scheduler.RUN_SECONDS``, so that what a run has begun can end. A task whose
#: worker dies is run again by another one. Every task may be run twice.
TASK_OPTIONS: dict[str, Any] = {
    "acks_late": True,
    "reject_on_worker_lost": True,
    "ignore_result": True,
    "soft_time_limit": 240,
    "time_limit": 300,
}


@shared_task(name="meetergo.run_due", **TASK_OPTIONS)
def run_due() -> None:
    """Run everything that is due."""
    scheduler.run_due(datetime.now(UTC))


@shared_task(name="meetergo.poll_availability", **TASK_OPTIONS)
def poll_availability() -> None:
    """Refresh the availability that visitors look at.

    ``run_due`` does so too, but may be busy with a long sync.
    """
    scheduler.poll_all_connections(datetime.now(UTC))


def beat_schedule() -> dict[str, dict[str, Any]]:
    """Return the entries that ``CELERY_BEAT_SCHEDULE`` needs.

    The schedule guarantees that due work is done; wake-ups only shorten the delay.
    """
    names = (run_due.name, poll_availability.name)
    return {name: {"task": name, "schedule": 5.0, "options": {"expires": 5}} for name in names}


def publish_wake_up() -> None:
    """Publish ``run_due``."""
    # Bound in the caller's thread: Celery keeps the current application per thread.
    send = run_due.apply_async
    publisher.publish(lambda: send(retry=False, expires=60))
