"""Who hears the doorbell: a thread of this process, Celery or nobody, as ``BACKGROUND`` says then."""

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

#: The longest the ticker sleeps: what comes round by itself is looked at this often.
MAX_SLEEP_SECONDS = 30.0
MIN_SLEEP_SECONDS = 0.05


class BackgroundWorker:
    """A daemon thread that does what is due, sleeps to the next due row, and wakes when it is called."""

    def __init__(self) -> None:
        self._called = threading.Event()
        self._lock = threading.Lock()
        self._pid: int | None = None
        self._stopped = False

    def wake(self) -> None:
        """Start the thread of this process if it has none, and let it look now."""
        self._called.set()
        with self._lock:
            # A forked worker inherits this object, but not its thread.
            if self._pid != os.getpid():
                self._pid = os.getpid()
                threading.Thread(target=self.run, name="meetergo-ticker", daemon=True).start()

    def stop(self) -> None:
        """Let the thread end with the round it is in."""
        self._stopped = True
        self._called.set()

    def run(self) -> None:
        while not self._stopped:
            self._called.clear()
            nap = self.work()
            if not self._stopped:
                self._called.wait(timeout=nap)

    def work(self) -> float:
        """One round; seconds to sleep after it."""
        from django.db import close_old_connections

        from django_meetergo.services import scheduler

        close_old_connections()
        try:
            scheduler.run_due(datetime.now(UTC))
            now = datetime.now(UTC)
            next_due = scheduler.find_next_due(now)
        except Exception:
            # A database that is away comes back; the thread must still be there then.
            logger.exception("The background work stumbled; it goes on in %s seconds.", MAX_SLEEP_SECONDS)
            return MAX_SLEEP_SECONDS
        finally:
            close_old_connections()
        wait = (next_due - now).total_seconds() if next_due else MAX_SLEEP_SECONDS
        return min(max(wait, MIN_SLEEP_SECONDS), MAX_SLEEP_SECONDS)


worker = BackgroundWorker()


def connect_wake_ups() -> None:
    """Connect the doorbell. A site's first request wakes what a former process has left behind."""
    work_due.connect(handle_wake_up, dispatch_uid="meetergo.background")
    request_started.connect(wake_on_first_request, dispatch_uid="meetergo.background")


def handle_wake_up(*, skip_broker: bool = False, **kwargs: Any) -> None:
    match get_settings().BACKGROUND:
        case "inline":
            worker.wake()
        case "celery" if not skip_broker:
            from django_meetergo import tasks

            tasks.publish_wake_up()


def wake_on_first_request(**kwargs: Any) -> None:
    request_started.disconnect(dispatch_uid="meetergo.background")
    handle_wake_up()
