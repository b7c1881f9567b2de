"""Our share of meetergo's request limit, and the fuse that stops calls while it is failing.

Both keep their state in a Django cache, where all processes see it. A cache that fails must never break a
call: each process then goes on with what it knows itself.
"""

from __future__ import annotations

import math
import random
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Protocol

from django_meetergo.exceptions import BudgetSpent, CircuitOpen
from django_meetergo.remote.errors import is_read

# How many of ninety permits each kind of call leaves untouched for those that matter more.
LANES = {"sync": 36, "planned": 20, "view": 5, "write": 0, "reread": 0}
LANES_MADE_FOR = 90
MINUTE = 60
# A permit rests a little longer: caches round, and what leaves in time may arrive late.
PERMIT_SECONDS = MINUTE + 2
RACE_SECONDS = 10  # by then everybody knows who has won
LONE_SHARE = 8  # without a cache, a process behaves as one of eight
LONGEST_BLOCK = 20.0
NAP = 0.1

FAILURES_TO_OPEN = 5
FAILURE_WINDOW = 30.0
WAIT = 10.0  # seconds between two reads that look whether meetergo is back
PROBE_SECONDS = 20  # whoever looks and says nothing for so long has died
SOON = 1.0  # by then whoever is looking may have come back
STATE_SECONDS = 3600

_spent_alone: dict[str, deque[float]] = {}
_blocked_alone: dict[str, float] = {}
_circuits_alone: dict[str, CircuitState] = {}


class Cache(Protocol):
    """What we need of a Django cache."""

    def get(self, key: Any) -> Any: ...
    def get_many(self, keys: Any) -> dict[Any, Any]: ...
    def add(self, key: Any, value: Any, timeout: Any = ...) -> bool: ...
    def set(self, key: Any, value: Any, timeout: Any = ...) -> None: ...


class Budget:
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

    def take(self, lane: str) -> None:
        """Take one permit, or raise ``BudgetSpent``."""
        reserve = math.ceil(LANES[lane] * self.per_minute / LANES_MADE_FOR)
        ends = self.now() + self.patience
        while not self._take(reserve):
            if max(self.now() + NAP, _blocked_alone.get(self.fingerprint, 0.0)) > ends:
                raise BudgetSpent("our share of meetergo's request limit is used up for the moment")
            self.sleep(NAP)

    def block(self, seconds: float) -> None:
        """Nobody calls for so long: meetergo said that it is too much."""
        ends = self.now() + min(max(seconds, 0.0), LONGEST_BLOCK)
        _blocked_alone[self.fingerprint] = ends
        try:
            self.cache.set(self._block_key, ends, math.ceil(LONGEST_BLOCK))
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
        never_was = f"{key}:{self.now() // MINUTE:.0f}"
        return self.cache.add(key, 1, PERMIT_SECONDS) and self.cache.add(never_was, 1, RACE_SECONDS)

    def _is_blocked(self, ends: object) -> bool:
        shared = ends if isinstance(ends, int | float) else 0.0
        until = max(shared, _blocked_alone.get(self.fingerprint, 0.0))
        _blocked_alone[self.fingerprint] = until
        return self.now() < until

    def _take_alone(self, reserve: int) -> bool:
        spent = _spent_alone.setdefault(self.fingerprint, deque())
        while spent and spent[0] <= self.now() - PERMIT_SECONDS:
            spent.popleft()
        if len(spent) >= max((self.per_minute - reserve) // LONE_SHARE, 1):
            return False
        spent.append(self.now())
        return True


@dataclass(frozen=True, kw_only=True, slots=True)
class CircuitState:
    """Recent failures, and until when calls are held back."""

    failures: tuple[float, ...] = ()
    open_until: float = 0.0
    look_from: float = 0.0  # when the next read may see whether meetergo is back
    refused_at: float = 0.0

    @property
    def is_open(self) -> bool:
        return self.is_refused or self.open_until > 0.0

    @property
    def is_refused(self) -> bool:
        return self.refused_at > 0.0


class Circuit:
    """Holds calls back while meetergo is failing, and lets one read through from time to time to see.

    The first read may go at once: perhaps only writes have failed, and reads settle what became of them.
    """

    def __init__(
        self, credential_fingerprint: str, cache: Cache, *, now: Callable[[], float] = time.time
    ) -> None:
        self.fingerprint = credential_fingerprint
        self.cache = cache
        self.now = now

    def check(self, method: str) -> bool:
        """Raise ``CircuitOpen``, or say whether this call is the probe. A write never is."""
        state, now = self._read(), self.now()
        if not state.is_open:
            return False
        if state.is_refused:
            raise CircuitOpen("meetergo refused this credential; nothing is sent until the key changes")
        if not is_read(method) or now < state.look_from or not self._claim_probe(state):
            until = state.look_from if is_read(method) else state.open_until
            text = "meetergo has been failing; nothing is sent for the moment"
            raise CircuitOpen(text, retry_after=max(until - now, SOON))
        return True

    def succeeded(self) -> None:
        """The probe came back: reads may go on, and writes as soon as their wait is over."""
        state, now = self._read(), self.now()
        self._write(replace(state, look_from=now) if now < state.open_until else CircuitState())

    def failed(self, *, is_probe: bool = False) -> None:
        """meetergo could not be reached, or failed. While calls are held back only the probe tells news."""
        state, now = self._read(), self.now()
        if state.is_open:
            if is_probe and not state.is_refused:
                self._write(CircuitState(open_until=now + WAIT, look_from=now + WAIT))
            return
        failures = (*(moment for moment in state.failures if moment > now - FAILURE_WINDOW), now)
        if len(failures) >= FAILURES_TO_OPEN:
            self._write(CircuitState(open_until=now + WAIT, look_from=now))
        else:
            self._write(CircuitState(failures=failures))

    def refused(self) -> None:
        """401: every further call would be refused as well. A new key has a circuit of its own."""
        self._write(CircuitState(refused_at=self._read().refused_at or self.now()))

    def reset(self) -> None:
        """Close the circuit, whatever it knows."""
        self._write(CircuitState())

    @property
    def is_open(self) -> bool:
        """Whether calls are held back."""
        return self._read().is_open

    @property
    def is_half_open(self) -> bool:
        """Whether writes have waited long enough: the next read decides."""
        state = self._read()
        return state.is_open and not state.is_refused and self.now() >= state.open_until

    @property
    def refused_since(self) -> datetime | None:
        """When meetergo refused the credential first; None while it takes it."""
        at = self._read().refused_at
        return datetime.fromtimestamp(at, UTC) if at else None

    def _claim_probe(self, state: CircuitState) -> bool:
        try:
            return self.cache.add(f"{self._key}:probe:{state.look_from:.6f}", 1, PROBE_SECONDS)
        except Exception:  # noqa: BLE001 - without a cache each process probes for itself
            return True

    @property
    def _key(self) -> str:
        return f"meetergo:circuit:{self.fingerprint}"

    def _read(self) -> CircuitState:
        alone = _circuits_alone.get(self.fingerprint, CircuitState())
        try:
            known = self.cache.get(self._key)
        except Exception:  # noqa: BLE001 - every backend has its own errors, and none may stop us
            return alone
        return _read_state(known)

    def _write(self, state: CircuitState) -> None:
        _circuits_alone[self.fingerprint] = state
        try:
            seconds = None if state.is_refused else STATE_SECONDS
            known = [list(state.failures), state.open_until, state.look_from, state.refused_at]
            self.cache.set(self._key, known, seconds)
        except Exception:  # noqa: BLE001 - see _read()
            return


def _read_state(known: object) -> CircuitState:
    """Plain lists travel through any cache, and an entry of an older version reads as closed."""
    match known:
        case [
            list() as failures,
            int() | float() as until,
            int() | float() as look_from,
            int() | float() as at,
        ]:
            return CircuitState(
                failures=tuple(failures), open_until=until, look_from=look_from, refused_at=at
            )
    return CircuitState()


def forget_alone() -> None:
    """Forget what this process knows by itself, as a new process would."""
    for memory in (_spent_alone, _blocked_alone, _circuits_alone):
        memory.clear()
