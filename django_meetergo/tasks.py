"""Celery: thin over ``work``. The only importer of it."""

from __future__ import annotations

import logging
import threading
import time
from datetime import UTC, datetime
from typing import Any

from celery import shared_task

from django_meetergo.services.scheduler import poll_all_connections, run_due

logger = logging.getLogger(__name__)

#: A ring may keep a page waiting for so long, in seconds, whatever the broker and its settings.
PUBLISH_SECONDS = 1.0
#: After a ring that was not heard the broker is left in peace for so many seconds.
BROKER_PAUSE_SECONDS = 30.0

_broker_paused_until = 0.0


#: A task that dies with its worker is given to another one; all of them may be run again.
TASK_OPTIONS: dict[str, Any] = {
    "acks_late": True,
    "reject_on_worker_lost": True,
    "ignore_result": True,
    "soft_time_limit": 240,
    "time_limit": 300,
}


@shared_task(name="meetergo.work", **TASK_OPTIONS)
def work() -> None:
    """Do everything that is due."""
    run_due(datetime.now(UTC))


@shared_task(name="meetergo.poll_availability", **TASK_OPTIONS)
def poll_availability() -> None:
    """Refresh the free times that people look at. ``work`` does so too, but may be busy with a long sync."""
    poll_all_connections(datetime.now(UTC))


def beat_schedule() -> dict[str, dict[str, Any]]:
    """What ``CELERY_BEAT_SCHEDULE`` needs: the promise is kept by this, doorbells only make it quicker."""
    names = (work.name, poll_availability.name)
    return {name: {"task": name, "schedule": 5.0, "options": {"expires": 5}} for name in names}


def publish_wake_up() -> None:
    """Ask a worker to look now. A broker that is away costs one short wait, then nothing for a while."""
    global _broker_paused_until
    if time.monotonic() < _broker_paused_until:
        return
    # A thread of its own: some clients wait for a silent broker far longer than their settings say.
    publisher = PublisherThread()
    publisher.start()
    publisher.join(PUBLISH_SECONDS)
    if not publisher.was_heard:
        _broker_paused_until = time.monotonic() + BROKER_PAUSE_SECONDS


class PublisherThread(threading.Thread):
    """Puts one message on the queue."""

    def __init__(self) -> None:
        super().__init__(name="meetergo-doorbell", daemon=True)
        # Looked up here: which Celery application is the current one is a matter of the thread.
        self.send = work.apply_async
        self.was_heard = False

    def run(self) -> None:
        try:
            self.send(retry=False, expires=60)
        except Exception as error:  # noqa: BLE001
            # Whatever a broker client may raise: the row is stored, and beat finds it.
            logger.warning("The broker did not take the doorbell: %s", type(error).__name__)
        else:
            self.was_heard = True


def reset_broker_pause() -> None:
    """Forget that the broker was away."""
    global _broker_paused_until
    _broker_paused_until = 0.0
