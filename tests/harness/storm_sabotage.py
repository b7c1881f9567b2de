"""Ways to break a deployed site on purpose: a check that misses its sabotage proves nothing."""

from __future__ import annotations

from typing import Any


def send_again(booking: Any, lease: Any, error: Any, now: Any) -> None:
    """Treat a lost answer as a request that never left."""
    from django_meetergo.services.booking.sending import requeue_booking

    requeue_booking(booking, lease, error, now=now, give_up=False)


class FragileRateLimiter:
    """A rate limiter that needs the cache for every call."""

    def __init__(self, fingerprint: str, per_minute: int, cache: Any, **options: Any) -> None:
        self.cache, self.fingerprint = cache, fingerprint

    def acquire(self, priority: str) -> None:
        from django.core.cache import cache

        cache.set(f"harness:{self.fingerprint}", priority)

    def block(self, seconds: float) -> None:
        """Do nothing: only ``acquire`` matters here."""
