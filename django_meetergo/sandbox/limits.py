"""The service's rate limit: 100 requests a minute for each credential, in bursts of up to 200."""

from __future__ import annotations

from datetime import datetime

PER_MINUTE = 100
BURST = 200


class RateLimit:
    """A token bucket for each credential."""

    def __init__(self) -> None:
        self._buckets: dict[str, tuple[float, datetime]] = {}

    def clear(self) -> None:
        """Fill every bucket."""
        self._buckets = {}

    def spend(self, credential: str, now: datetime) -> float:
        """Take one permit. Return 0, or the seconds until the next permit when there is none."""
        level, filled_at = self._buckets.get(credential, (float(BURST), now))
        elapsed = max(0.0, (now - filled_at).total_seconds())
        level = min(float(BURST), level + elapsed * PER_MINUTE / 60)
        if level < 1:
            self._buckets[credential] = (level, now)
            return (1 - level) * 60 / PER_MINUTE
        self._buckets[credential] = (level - 1, now)
        return 0.0
