"""A clock that starts at a given time."""

from __future__ import annotations

import time
from datetime import datetime, timedelta


class Stopwatch:
    """A clock that shows ``now`` when it is created and runs from there.

    Services are handed ``now`` and read no clock. One that waits for an answer of meetergo creates a
    stopwatch, so that what it stores afterwards carries the time of the answer, and tests still decide
    what time it is.
    """

    def __init__(self, now: datetime) -> None:
        self.started_at = now
        self._started = time.monotonic()

    def now(self) -> datetime:
        return self.started_at + timedelta(seconds=time.monotonic() - self._started)
