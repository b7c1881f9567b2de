"""Celery tasks for ``BACKGROUND = "celery"``. The only module that imports Celery."""

from __future__ import annotations

import logging
import threading
import time
from datetime import UTC, datetime
from typing import Any

from celery import shared_task

from django_meetergo.services import scheduler

logger = logging.getLogger(__name__)

#: Publishing a wake-up delays a page by at most this many seconds, whatever the broker's own timeouts are.
PUBLISH_SECONDS = 1.0
#: After a failed publication nothing is published for this many seconds.
BROKER_PAUSE_SECONDS = 30.0

_broker_paused_until = 0.0


#: A task whose worker dies is run again by another one. Every task may be run twice.
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
    """Publish ``run_due``. An unreachable broker costs one short wait, then none for a while."""
    global _broker_paused_until
    if time.monotonic() < _broker_paused_until:
        return
    # In a thread: some broker clients block on a silent broker far longer than their settings say.
    publisher = PublisherThread()
    publisher.start()
    publisher.join(PUBLISH_SECONDS)
    if not publisher.is_published:
        _broker_paused_until = time.monotonic() + BROKER_PAUSE_SECONDS


class PublisherThread(threading.Thread):
    """Publish one message."""

    def __init__(self) -> None:
        super().__init__(name="meetergo-publisher", daemon=True)
        # Bound in the caller's thread: Celery keeps the current application per thread.
        self.send = run_due.apply_async
        self.is_published = False

    def run(self) -> None:
        try:
            self.send(retry=False, expires=60)
        except Exception as error:  # noqa: BLE001
            # Broker clients raise errors of many kinds. The row is stored, and the schedule finds it.
            logger.warning(
                "Publishing the wake-up task failed (%s); the next scheduled run does the work.",
                type(error).__name__,
            )
        else:
            self.is_published = True


def reset_broker_pause() -> None:
    """Publish again at once, although the broker failed a moment ago."""
    global _broker_paused_until
    _broker_paused_until = 0.0
