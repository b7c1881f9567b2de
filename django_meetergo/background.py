"""Run due work in the background: in a thread of this process or in Celery, as ``BACKGROUND`` says.

With ``"cron"`` nothing in here runs; ``manage.py meetergo_tick`` does the work.
"""

from __future__ import annotations

import logging
import os
import threading
from datetime import UTC, datetime
from typing import Any

from django.core.signals import request_started

from django_meetergo.conf import get_settings
from django_meetergo.wakeup import work_due

logger = logging.getLogger(__name__)

#: The thread checks for due rows at least this often, also when nobody wakes it.
MAX_SLEEP_SECONDS = 30.0
MIN_SLEEP_SECONDS = 0.05


class BackgroundWorker:
    """A daemon thread that runs due work, then sleeps until the next row is due or ``wake()`` is called."""

    def __init__(self) -> None:
        self._woken = threading.Event()
        self._lock = threading.Lock()
        self._pid: int | None = None
        self._is_stopped = False

    def wake(self) -> None:
        """Start the thread if this process has none, and let it run due work now."""
        self._woken.set()
        with self._lock:
            # A forked process inherits this object, but not its thread.
            if self._pid != os.getpid():
                self._pid = os.getpid()
                threading.Thread(target=self.run, name="meetergo-background", daemon=True).start()

    def stop(self) -> None:
        """End the thread after the round it is in."""
        self._is_stopped = True
        self._woken.set()

    def run(self) -> None:
        while not self._is_stopped:
            self._woken.clear()
            seconds = self.run_once()
            if not self._is_stopped:
                self._woken.wait(timeout=seconds)

    def run_once(self) -> float:
        """Run everything that is due; return how many seconds to sleep until the next row is due."""
        from django.db import close_old_connections

        from django_meetergo.services import scheduler

        close_old_connections()
        try:
            scheduler.run_due(datetime.now(UTC))
            now = datetime.now(UTC)
            next_due = scheduler.find_next_due(now)
        except Exception:
            # The thread must survive a database that is away for a while.
            logger.exception("Background work failed; retrying in %s s.", MAX_SLEEP_SECONDS)
            return MAX_SLEEP_SECONDS
        finally:
            close_old_connections()
        wait = (next_due - now).total_seconds() if next_due else MAX_SLEEP_SECONDS
        return min(max(wait, MIN_SLEEP_SECONDS), MAX_SLEEP_SECONDS)


worker = BackgroundWorker()


def connect_wake_ups() -> None:
    """Wake the worker when a service announces due work, and once at the first request of the process.

    The first request picks up what an earlier process has left behind.
    """
    work_due.connect(handle_wake_up, dispatch_uid="meetergo.background")
    request_started.connect(wake_on_first_request, dispatch_uid="meetergo.background")


def handle_wake_up(*, skip_broker: bool = False, **kwargs: Any) -> None:
    """Wake the thread, or publish a Celery task, as ``BACKGROUND`` says."""
    match get_settings().BACKGROUND:
        case "inline":
            worker.wake()
        case "celery" if not skip_broker:
            from django_meetergo import tasks

            tasks.publish_wake_up()


def wake_on_first_request(**kwargs: Any) -> None:
    request_started.disconnect(dispatch_uid="meetergo.background")
    handle_wake_up()
