"""Time that is handed in, and goes on while we work."""

from __future__ import annotations

import time
from datetime import datetime, timedelta


class Stopwatch:
    """A clock that shows ``now`` when it is made and keeps pace from there.

    Services are given a ``now`` and read no clock; one that waits for meetergo starts a stopwatch, so that
    what it writes afterwards carries the time of the answer and a test can still decide when it is.
    """

    def __init__(self, now: datetime) -> None:
        self.started_at = now
        self._started = time.monotonic()

    def now(self) -> datetime:
        return self.started_at + timedelta(seconds=time.monotonic() - self._started)
