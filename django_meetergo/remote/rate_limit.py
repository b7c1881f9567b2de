"""The share of meetergo's request limit that this site uses, divided by priority."""

from __future__ import annotations

import math
import random
import time
from collections import deque
from collections.abc import Callable, Iterator

from django_meetergo.cache import SafeCache
from django_meetergo.exceptions import RateLimitReached

#: How many permits of ``RESERVED_PER`` each priority leaves to those before it:
#: bookings and changes, re-reads that a person waits for, times that a visitor looks at, re-reads for
#: webhooks, planned refreshes of availability, syncs.
RESERVED_PERMITS = {"write": 0, "reread": 2, "view": 5, "deliveries": 20, "planned": 24, "sync": 36}
RESERVED_PER = 90
MINUTE_SECONDS = 60
PERMIT_SECONDS = MINUTE_SECONDS + 2
#: How long two processes that saw one expired entry may take until both have tried to add it.
RACE_SECONDS = 10
#: How many permits are read first, beside as many as the priority leaves to others. Most requests find a free
#: one among them. Reading all permits before each request took a quarter of the time of a busy site.
FIRST_PERMITS = 8
#: Without a cache, each process uses this fraction (1/8) of the limit.
LOCAL_SHARE = 8
MAX_BLOCK_SECONDS = 20.0
POLL_SECONDS = 0.1

_local_permits: dict[str, deque[float]] = {}
_local_blocks: dict[str, float] = {}
#: The end that was last read from the cache, as another process stored it.
_seen_blocks: dict[str, float] = {}


class RateLimiter:
    """Permits for requests, so many a minute for a credential, shared by all processes through the cache."""

    def __init__(
        self,
        credential_fingerprint: str,
        per_minute: int,
        cache: SafeCache,
        *,
        max_wait: float = 0.0,
        now: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """``max_wait`` is how many seconds a request may wait for a permit."""
        self.fingerprint = credential_fingerprint
        self.per_minute = per_minute
        self.cache = cache
        self.max_wait = max_wait
        self.now = now
        self.sleep = sleep

    def acquire(self, priority: str) -> None:
        """Use one permit, or raise ``RateLimitReached``. ``priority`` is a key of ``RESERVED_PERMITS``."""
        reserved = math.ceil(RESERVED_PERMITS[priority] * self.per_minute / RESERVED_PER)
        reserved = min(reserved, self.per_minute - 1)  # no priority may wait for ever
        ends = self.now() + self.max_wait
        while not self._try_acquire(reserved):
            if max(self.now() + POLL_SECONDS, _local_blocks.get(self.fingerprint, 0.0)) > ends:
                raise RateLimitReached(self._describe_limit())
            self.sleep(POLL_SECONDS)

    def block(self, seconds: float) -> None:
        """Stop all requests for so many seconds, at most ``MAX_BLOCK_SECONDS``: meetergo answered 429."""
        ends = self.now() + min(max(seconds, 0.0), MAX_BLOCK_SECONDS)
        _local_blocks[self.fingerprint] = _seen_blocks[self.fingerprint] = ends
        self.cache.set(self._block_key, ends, math.ceil(MAX_BLOCK_SECONDS))

    def count_free(self) -> int | None:
        """Return how many permits are free, or None if the cache does not answer."""
        known = self.cache.get_many(self._permit_keys)
        return None if known is None else self.per_minute - len(known)

    def reset(self) -> None:
        """Free all permits and end the pause."""
        new_keys = [self._make_new_key(key) for key in self._permit_keys]
        self.cache.delete_many([self._block_key, *self._permit_keys, *new_keys])
        reset_local_state()

    def _describe_limit(self) -> str:
        if self.cache.is_suspended:
            return (
                f"the cache does not answer, so this process may use a {LOCAL_SHARE}th of meetergo's request "
                "limit only, and that is used up for the moment"
            )
        return "our share of meetergo's request limit is used up for the moment"

    @property
    def _permit_keys(self) -> list[str]:
        return [f"meetergo:p:{self.fingerprint}:{number}" for number in range(self.per_minute)]

    @property
    def _block_key(self) -> str:
        return f"meetergo:block:{self.fingerprint}"

    def _try_acquire(self, reserved: int) -> bool:
        free: list[str] = []
        for keys in self._draw_permits(reserved + FIRST_PERMITS):
            known = self.cache.get_many([self._block_key, *keys])
            if self._is_blocked(known.get(self._block_key) if known else None):
                return False
            if known is None:
                return self._try_acquire_locally(reserved)
            free += [key for key in keys if key not in known]
            while len(free) > reserved:
                won = self._win(free.pop())
                if won is None:
                    return self._try_acquire_locally(reserved)
                if won:
                    return True
        return False

    def _draw_permits(self, count: int) -> Iterator[list[str]]:
        """Return the keys of so many permits, from a random one on; then those of the others, if any."""
        first = random.randrange(self.per_minute)  # noqa: S311 - keeps processes apart, guards nothing
        keys = self._permit_keys
        keys = keys[first:] + keys[:first]
        yield keys[:count]
        if rest := keys[count:]:
            yield rest

    def _make_new_key(self, key: str) -> str:
        return f"{key}:{self.now() // MINUTE_SECONDS:.0f}"

    def _win(self, key: str) -> bool | None:
        """Return whether this permit is ours; None if the cache does not answer.

        Several processes can add an expired row of a database cache, but only one a row that never existed.
        """
        won: bool | None = self.cache.add(key, 1, PERMIT_SECONDS, default=None)
        if won:
            won = self.cache.add(self._make_new_key(key), 1, RACE_SECONDS, default=None)
        return won

    def _is_blocked(self, shared_end: object) -> bool:
        ends = _local_blocks.get(self.fingerprint, 0.0)
        if isinstance(shared_end, int | float) and shared_end != _seen_blocks.get(self.fingerprint):
            _seen_blocks[self.fingerprint] = shared_end
            # The clock of the machine that stored it may be ahead.
            ends = max(ends, min(shared_end, self.now() + MAX_BLOCK_SECONDS))
            _local_blocks[self.fingerprint] = ends
        return self.now() < ends

    def _try_acquire_locally(self, reserved: int) -> bool:
        used = _local_permits.setdefault(self.fingerprint, deque())
        while used and used[0] <= self.now() - PERMIT_SECONDS:
            used.popleft()
        if len(used) >= max((self.per_minute - reserved) // LOCAL_SHARE, 1):
            return False
        used.append(self.now())
        return True


def reset_local_state() -> None:
    """Forget the permits and pauses of this process."""
    _local_permits.clear()
    _local_blocks.clear()
    _seen_blocks.clear()
