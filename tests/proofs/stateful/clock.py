"""One virtual clock for the sandbox, the services and their cache."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from django.core.cache.backends.base import DEFAULT_TIMEOUT
from django.core.cache.backends.locmem import LocMemCache

#: A Monday morning, far from every change of offset.
BEGINNING = datetime(2031, 6, 2, 6, 0, tzinfo=UTC)


class Ticks:
    """A source of time that advances by a millisecond with each reading, and in no other way."""

    def __init__(self) -> None:
        self.reads = 0

    def __call__(self) -> datetime:
        self.reads += 1
        return datetime.fromtimestamp(BEGINNING.timestamp() + self.reads / 1000, UTC)

    def rewind(self) -> None:
        self.reads = 0


class VirtualCache(LocMemCache):
    """A cache whose entries expire by the virtual clock."""

    clock: Callable[[], float] = staticmethod(BEGINNING.timestamp)

    def get_backend_timeout(self, timeout: Any = DEFAULT_TIMEOUT) -> float | None:
        if timeout is DEFAULT_TIMEOUT:
            timeout = self.default_timeout
        return None if timeout is None else VirtualCache.clock() + timeout

    def _has_expired(self, key: str) -> bool:
        expires = self._expire_info.get(key, -1)
        return expires is not None and expires <= VirtualCache.clock()
