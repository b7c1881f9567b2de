"""One clock for everything: the sandbox, our services, their cache and their naps."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from django.core.cache.backends.base import DEFAULT_TIMEOUT
from django.core.cache.backends.locmem import LocMemCache

#: A Monday morning, far from every change of offset.
BEGINNING = datetime(2031, 6, 2, 6, 0, tzinfo=UTC)


class Ticks:
    """A source of time that goes on by a millisecond whenever somebody looks, and no other way."""

    def __init__(self) -> None:
        self.looks = 0

    def __call__(self) -> datetime:
        self.looks += 1
        return datetime.fromtimestamp(BEGINNING.timestamp() + self.looks / 1000, UTC)

    def rewind(self) -> None:
        self.looks = 0


class VirtualCache(LocMemCache):
    """Entries grow old by the clock of the proof; the wall's clock stands still for them."""

    clock: Callable[[], float] = staticmethod(BEGINNING.timestamp)

    def get_backend_timeout(self, timeout: Any = DEFAULT_TIMEOUT) -> float | None:
        if timeout is DEFAULT_TIMEOUT:
            timeout = self.default_timeout
        return None if timeout is None else VirtualCache.clock() + timeout

    def _has_expired(self, key: str) -> bool:
        expires = self._expire_info.get(key, -1)
        return expires is not None and expires <= VirtualCache.clock()
