"""Run due work in the background: in a thread of this process, in Celery or in the workers of Django's task
framework, as ``BACKGROUND`` says.

With ``"cron"`` nothing in here runs; ``manage.py meetergo_tick`` does the work.
"""

from __future__ import annotations

import logging
import threading
from datetime import UTC, datetime
from typing import Any

from django.core import mail
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
        self._thread: threading.Thread | None = None
        self._is_started = False
        self._is_stopped = False

    def start(self) -> None:
        """Allow this process to have the thread, and start it."""
        self._is_started = True
        self.wake()

    def wake(self) -> None:
        """Let the thread run due work now. Does nothing before ``start()``."""
        if not self._is_started:
            return
        self._woken.set()
        with self._lock:
            # Dead after an error that nothing catches, and in a forked process, which inherits this object
            # but not its thread.
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self.run, name="meetergo-background", daemon=True)
                self._thread.start()

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
    """Start the worker with the first request of the process; wake it when a service announces due work.

    The first request also picks up what an earlier process has left behind. Without requests nothing is
    started: a management command must not have a second writer beside it. Nor is anything in a test run.
    """
    work_due.connect(handle_wake_up, dispatch_uid="meetergo.background")
    request_started.connect(start_with_first_request, dispatch_uid="meetergo.background")


def handle_wake_up(*, skip_broker: bool = False, **kwargs: Any) -> None:
    """Wake the thread of this process if it has one, or publish a task, as ``BACKGROUND`` says."""
    match get_settings().BACKGROUND:
        case "inline":
            worker.wake()
        case "celery" if not skip_broker:
            from django_meetergo import tasks

            tasks.publish_wake_up()
        case "tasks" if not skip_broker:
            from django_meetergo import framework_tasks

            framework_tasks.publish_wake_up()


def start_with_first_request(**kwargs: Any) -> None:
    request_started.disconnect(dispatch_uid="meetergo.background")
    if is_test_run():
        return
    if get_settings().BACKGROUND == "inline":
        worker.start()
    else:
        handle_wake_up()


def is_test_run() -> bool:
    """Return whether this process runs the tests of a site, with Django's runner or pytest-django.

    There the work would use the test's database beside the test, keep it from being removed afterwards, and
    call meetergo with the site's own credential between two tests.
    """
    return hasattr(mail, "outbox")
