"""Our share of the service's request limit."""

from __future__ import annotations

import math
import random
import time
from collections import deque
from collections.abc import Callable
from typing import Any, Protocol

from django_meetergo.exceptions import RateLimitReached

RESERVED_PERMITS = {"sync": 36, "planned": 20, "view": 5, "write": 0, "reread": 0}
RESERVED_PER = 90
MINUTE_SECONDS = 60
PERMIT_SECONDS = MINUTE_SECONDS + 2
RACE_SECONDS = 10  # by then everybody knows who has won
LOCAL_SHARE = 8  # without a cache, a process behaves as one of eight
MAX_BLOCK_SECONDS = 20.0
POLL_SECONDS = 0.1
_local_permits: dict[str, deque[float]] = {}
_local_blocks: dict[str, float] = {}


class Cache(Protocol):
    """What we need of a Django cache."""

    def get(self, key: Any) -> Any: ...
    def get_many(self, keys: Any) -> dict[Any, Any]: ...
    def add(self, key: Any, value: Any, timeout: Any = ...) -> bool: ...
    def set(self, key: Any, value: Any, timeout: Any = ...) -> None: ...


class RateLimiter:
    """Permits to call, so many a minute for a credential, shared by all processes that share the cache."""

    def __init__(
        self,
        credential_fingerprint: str,
        per_minute: int,
        cache: Cache,
        *,
        patience: float = 0.0,
        now: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """``patience`` is how many seconds a call may wait for a permit."""
        self.fingerprint = credential_fingerprint
        self.per_minute = per_minute
        self.cache = cache
        self.patience = patience
        self.now = now
        self.sleep = sleep

    def take(self, priority: str) -> None:
        """Take one permit, or raise ``BudgetSpent``."""
        reserve = math.ceil(RESERVED_PERMITS[priority] * self.per_minute / RESERVED_PER)
        ends = self.now() + self.patience
        while not self._take(reserve):
            if max(self.now() + POLL_SECONDS, _local_blocks.get(self.fingerprint, 0.0)) > ends:
                raise RateLimitReached("our share of meetergo's request limit is used up for the moment")
            self.sleep(POLL_SECONDS)

    def block(self, seconds: float) -> None:
        """Nobody calls for so long: meetergo said that it is too much."""
        ends = self.now() + min(max(seconds, 0.0), MAX_BLOCK_SECONDS)
        _local_blocks[self.fingerprint] = ends
        try:
            self.cache.set(self._block_key, ends, math.ceil(MAX_BLOCK_SECONDS))
        except Exception:  # noqa: BLE001 - every backend has its own errors, and none may stop us
            return

    @property
    def _block_key(self) -> str:
        return f"meetergo:block:{self.fingerprint}"

    def _take(self, reserve: int) -> bool:
        keys = [f"meetergo:p:{self.fingerprint}:{number}" for number in range(self.per_minute)]
        try:
            known = self.cache.get_many([self._block_key, *keys])
            if self._is_blocked(known.get(self._block_key)):
                return False
            free = [key for key in keys if key not in known]
            random.shuffle(free)
            return any(self._win(key) for key in free[reserve:])
        except Exception:  # noqa: BLE001 - see block()
            return not self._is_blocked(None) and self._take_alone(reserve)

    def _win(self, key: str) -> bool:
        """An expired row of a database cache may be added by several at once, one that never was by one."""
        never_was = f"{key}:{self.now() // MINUTE_SECONDS:.0f}"
        return self.cache.add(key, 1, PERMIT_SECONDS) and self.cache.add(never_was, 1, RACE_SECONDS)

    def _is_blocked(self, ends: object) -> bool:
        shared = ends if isinstance(ends, int | float) else 0.0
        until = max(shared, _local_blocks.get(self.fingerprint, 0.0))
        _local_blocks[self.fingerprint] = until
        return self.now() < until

    def _take_alone(self, reserve: int) -> bool:
        spent = _local_permits.setdefault(self.fingerprint, deque())
        while spent and spent[0] <= self.now() - PERMIT_SECONDS:
            spent.popleft()
        if len(spent) >= max((self.per_minute - reserve) // LOCAL_SHARE, 1):
            return False
        spent.append(self.now())
        return True
