"""Stop calling while the service fails."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from django_meetergo.exceptions import CircuitOpen
from django_meetergo.remote.errors import is_read
from django_meetergo.remote.rate_limit import Cache, _local_blocks, _local_permits

FAILURES_TO_OPEN = 5
FAILURE_WINDOW_SECONDS = 30.0
PROBE_INTERVAL_SECONDS = 10.0  # seconds between two reads that look whether meetergo is back
PROBE_SECONDS = 20  # whoever looks and says nothing for so long has died
MIN_RETRY_SECONDS = 1.0  # by then whoever is looking may have come back
STATE_SECONDS = 3600
_local_circuits: dict[str, CircuitState] = {}


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


class CircuitBreaker:
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
            raise CircuitOpen(text, retry_after=max(until - now, MIN_RETRY_SECONDS))
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
                self._write(
                    CircuitState(
                        open_until=now + PROBE_INTERVAL_SECONDS, look_from=now + PROBE_INTERVAL_SECONDS
                    )
                )
            return
        failures = (*(moment for moment in state.failures if moment > now - FAILURE_WINDOW_SECONDS), now)
        if len(failures) >= FAILURES_TO_OPEN:
            self._write(CircuitState(open_until=now + PROBE_INTERVAL_SECONDS, look_from=now))
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
        alone = _local_circuits.get(self.fingerprint, CircuitState())
        try:
            known = self.cache.get(self._key)
        except Exception:  # noqa: BLE001 - every backend has its own errors, and none may stop us
            return alone
        return _read_state(known)

    def _write(self, state: CircuitState) -> None:
        _local_circuits[self.fingerprint] = state
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


def reset_local_state() -> None:
    """Forget what this process knows by itself, as a new process would."""
    for memory in (_local_permits, _local_blocks, _local_circuits):
        memory.clear()
