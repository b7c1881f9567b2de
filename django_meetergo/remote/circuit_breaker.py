"""Stop calling meetergo while the service fails as a whole."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from hashlib import sha256
from typing import NamedTuple

from django_meetergo.cache import SafeCache
from django_meetergo.exceptions import CircuitOpen
from django_meetergo.remote.errors import is_read

#: How far back calls are judged.
WINDOW_SECONDS = 30.0
#: The circuit opens if this part of at least so many calls has failed …
FAILURE_RATE = 0.5
MIN_CALLS = 10
#: … or if so many calls in a row have failed.
FAILURES_IN_A_ROW = 4
#: Failures must concern so many different routes, ids or bodies: one odd row is not an outage.
MIN_FAILED_TARGETS = 2
#: How long no writes are sent, and how long until the next read tests the service.
PROBE_INTERVAL_SECONDS = 10.0
#: A probe without a result after so many seconds belongs to a process that has died.
PROBE_SECONDS = 20
#: The least number of seconds after which a refused caller is told to try again.
MIN_RETRY_SECONDS = 1.0
STATE_SECONDS = 3600

_local_states: dict[str, CircuitState] = {}


class Call(NamedTuple):
    """A call that was made: when (seconds since 1970), of which route, for what, and whether it failed."""

    at: float
    route: str
    target: str
    has_failed: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class CircuitState:
    """The calls since the first recent failure, and until when calls are refused."""

    calls: tuple[Call, ...] = ()
    open_until: float = 0.0
    probe_from: float = 0.0  # when the next read may test the service
    refused_at: float = 0.0  # when meetergo refused the credential

    @property
    def is_open(self) -> bool:
        return self.is_refused or self.open_until > 0.0

    @property
    def is_refused(self) -> bool:
        return self.refused_at > 0.0


class CircuitBreaker:
    """Refuse calls while meetergo fails, and let one read at a time through to test it.

    Opens when the service fails, not when one route or one id does: see ``is_outage``. The first read may
    test at once, because reads reconcile the writes whose answers were lost. A write never tests.
    """

    def __init__(
        self, credential_fingerprint: str, cache: SafeCache, *, now: Callable[[], float] = time.time
    ) -> None:
        self.fingerprint = credential_fingerprint
        self.cache = cache
        self.now = now

    def check(self, method: str) -> bool:
        """Return whether this call is the probe. Raise ``CircuitOpen`` if it must not be sent."""
        state, now = self._read(), self.now()
        if not state.is_open:
            return False
        if state.is_refused:
            raise CircuitOpen("meetergo refused this credential; nothing is sent until the key changes")
        if not is_read(method) or now < state.probe_from or not self._claim_probe(state):
            until = state.probe_from if is_read(method) else state.open_until
            text = "meetergo has been failing; nothing is sent for the moment"
            raise CircuitOpen(text, retry_after=max(until - now, MIN_RETRY_SECONDS))
        return True

    def record_success(self, route: str, target: str = "", *, is_probe: bool = False) -> None:
        """Record that meetergo answered, even if the answer was a refusal.

        A successful probe admits further reads, and writes as soon as their pause is over.
        """
        state, now = self._read(), self.now()
        if is_probe and state.is_open and not state.is_refused:
            self._write(replace(state, probe_from=now) if now < state.open_until else CircuitState())
        elif state.calls and not state.is_open:  # successes count only beside a recent failure
            self._write(
                CircuitState(calls=(*self._keep_recent(state), Call(now, route, target, has_failed=False)))
            )

    def record_failure(self, route: str, target: str = "", *, is_probe: bool = False) -> None:
        """Record that meetergo could not be reached or failed. With an open circuit, only probes count."""
        state, now = self._read(), self.now()
        if state.is_open:
            if is_probe and not state.is_refused:
                until = now + PROBE_INTERVAL_SECONDS
                self._write(replace(state, open_until=until, probe_from=until))
            return
        calls = (*self._keep_recent(state), Call(now, route, target, has_failed=True))
        if is_outage(calls):
            self._write(CircuitState(calls=calls, open_until=now + PROBE_INTERVAL_SECONDS, probe_from=now))
        else:
            self._write(CircuitState(calls=calls))

    def record_refusal(self) -> None:
        """Open until the key changes: a 401 refuses every further call. A new key has its own circuit."""
        self._write(CircuitState(refused_at=self._read().refused_at or self.now()))

    def reset(self) -> None:
        """Close the circuit."""
        self._write(CircuitState())

    @property
    def is_open(self) -> bool:
        """Whether calls are refused."""
        return self._read().is_open

    @property
    def is_half_open(self) -> bool:
        """Whether the pause of writes is over, so that the next read decides."""
        state = self._read()
        return state.is_open and not state.is_refused and self.now() >= state.open_until

    @property
    def refused_since(self) -> datetime | None:
        """When meetergo first refused the credential, or None."""
        at = self._read().refused_at
        return datetime.fromtimestamp(at, UTC) if at else None

    def count_failures(self) -> Mapping[str, int]:
        """Return how many recent calls of each route failed, such as ``{"GET /v4/appointment/{id}": 3}``.

        While the circuit is open: the failures that opened it.
        """
        state = self._read()
        calls = state.calls if state.is_open else self._keep_recent(state)
        return Counter(call.route for call in calls if call.has_failed)

    def release_probe(self) -> None:
        """Let another read test the service at once: the probe was not sent."""
        self.cache.delete(self._get_probe_key(self._read()))

    def _claim_probe(self, state: CircuitState) -> bool:
        claimed: bool = self.cache.add(self._get_probe_key(state), 1, PROBE_SECONDS)
        return claimed

    def _get_probe_key(self, state: CircuitState) -> str:
        return f"{self._key}:probe:{state.probe_from:.6f}"

    @property
    def _key(self) -> str:
        return f"meetergo:circuit:{self.fingerprint}"

    def _keep_recent(self, state: CircuitState) -> tuple[Call, ...]:
        """Drop the calls that are too old, and those before the first failure that is not."""
        since = self.now() - WINDOW_SECONDS
        calls = tuple(call for call in state.calls if call.at > since)
        first = next((number for number, call in enumerate(calls) if call.has_failed), len(calls))
        return calls[first:]

    def _read(self) -> CircuitState:
        stored = self.cache.get(self._key)
        if self.cache.is_suspended:
            return _local_states.get(self.fingerprint, CircuitState())
        return _parse_state(stored)

    def _write(self, state: CircuitState) -> None:
        _local_states[self.fingerprint] = state
        stored = [[list(call) for call in state.calls], state.open_until, state.probe_from, state.refused_at]
        self.cache.set(self._key, stored, None if state.is_refused else STATE_SECONDS)


def is_outage(calls: Sequence[Call]) -> bool:
    """Whether the failures among recent calls show that the service fails, and not one route or one id.

    True if ``FAILURE_RATE`` of at least ``MIN_CALLS`` calls failed, or ``FAILURES_IN_A_ROW`` calls without a
    success between them. They must concern ``MIN_FAILED_TARGETS`` targets. Failures of a single route do not
    count while other routes succeed.
    """
    failed = [call for call in calls if call.has_failed]
    if len({call.target for call in failed}) < MIN_FAILED_TARGETS:
        return False
    failed_routes = {call.route for call in failed}
    if len(failed_routes) == 1 and any(call.route not in failed_routes for call in calls):
        return False
    if len(calls) >= MIN_CALLS and len(failed) >= FAILURE_RATE * len(calls):
        return True
    last = calls[-FAILURES_IN_A_ROW:]
    return (
        len(last) == FAILURES_IN_A_ROW
        and all(call.has_failed for call in last)
        and len({call.target for call in last}) >= MIN_FAILED_TARGETS
    )


def digest_target(*parts: object) -> str:
    """Return a short digest of what a call is about: its route, ids, query and body."""
    return sha256(repr(parts).encode("utf-8", "replace")).hexdigest()[:12]


def _parse_state(stored: object) -> CircuitState:
    """Read a stored state: plain lists, which every cache can store. Another shape reads as closed."""
    match stored:
        case [
            list() as calls,
            int() | float() as until,
            int() | float() as probe_from,
            int() | float() as at,
        ] if all(isinstance(call, list) and len(call) == len(Call._fields) for call in calls):
            return CircuitState(
                calls=tuple(Call(*call) for call in calls),
                open_until=until,
                probe_from=probe_from,
                refused_at=at,
            )
    return CircuitState()


def reset_local_state() -> None:
    """Forget the circuits of this process."""
    _local_states.clear()
