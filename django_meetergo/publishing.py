"""Publish a wake-up to the queue of a task framework without waiting for a broker that does not answer."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from django.db import connections

logger = logging.getLogger(__name__)

#: Publishing a wake-up delays a page by at most this many seconds, whatever the broker's own timeouts are.
PUBLISH_SECONDS = 1.0
#: After a failed publication nothing is published for this many seconds.
BROKER_PAUSE_SECONDS = 30.0


class Publisher:
    """Sends messages one by one; after a failure it pauses, and the periodic run does the work."""

    def __init__(self) -> None:
        self._paused_until = 0.0

    def publish(self, send: Callable[[], object]) -> None:
        """Call ``send``. An unreachable broker costs one short wait, then none for a while."""
        if time.monotonic() < self._paused_until:
            return
        # In a thread: some broker clients block on a silent broker far longer than their settings say.
        thread = PublisherThread(send)
        thread.start()
        thread.join(PUBLISH_SECONDS)
        if not thread.is_published:
            self._paused_until = time.monotonic() + BROKER_PAUSE_SECONDS

    def reset(self) -> None:
        """Publish again at once, although the broker failed a moment ago."""
        self._paused_until = 0.0


class PublisherThread(threading.Thread):
    """Publish one message."""

    def __init__(self, send: Callable[[], object]) -> None:
        super().__init__(name="meetergo-publisher", daemon=True)
        self.send = send
        self.is_published = False

    def run(self) -> None:
        try:
            self.send()
        except Exception as error:  # noqa: BLE001
            # Brokers raise errors of many kinds. The row is stored, and the periodic run finds it.
            logger.warning(
                "Publishing the wake-up task failed (%s); the next scheduled run does the work.",
                type(error).__name__,
            )
        else:
            self.is_published = True
        finally:
            connections.close_all()  # a queue may be a table of the site's database


publisher = Publisher()
