"""What can go wrong on purpose.

A fault is armed for a route. It skips its first ``after`` requests and then strikes ``times`` times. Faults
that bend a request (*modifiers*) may strike together; of those that decide how it ends (*endings*), the
first armed strikes and the others wait.
"""

from __future__ import annotations

import random
import re
import threading
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

MODIFIERS = frozenset({"occupy_slot", "skew_date", "hide_answers", "list_lag", "expire_key"})
ENDINGS = frozenset(
    {
        "drop_before",
        "drop_after",
        "reset_before",
        "reset_after",
        "hang_before",
        "hang_after",
        "status_before",
        "status_after",
        "slow",
        "drip",
        "cut",
        "oversized",
        "garbage",
        "empty",
        "bad_status_line",
        "delayed_apply",
    }
)
KINDS = MODIFIERS | ENDINGS
FOREVER = -1


class ConnectionClosed(Exception):
    """The connection is closed without an answer; with ``reset``, abruptly."""

    def __init__(self, *, applied: bool = False, reset: bool = False) -> None:
        super().__init__("the sandbox hung up")
        self.applied = applied
        self.reset = reset


class ConnectionStalled(ConnectionClosed):
    """Nothing is said for ``seconds``; then the connection is closed."""

    def __init__(self, seconds: float, *, applied: bool = False) -> None:
        super().__init__(applied=applied)
        self.seconds = seconds


class MalformedReply(ConnectionClosed):
    """Bytes that are no HTTP answer are sent; then the connection is closed."""

    def __init__(self, raw: bytes, *, applied: bool = False) -> None:
        super().__init__(applied=applied)
        self.raw = raw


@dataclass
class Fault:
    """One armed fault."""

    route: str
    kind: str
    times: int = 1
    after: int = 0
    status: int | None = None
    retry_after: str | None = None
    seconds: float = 1.0
    body: str | None = None
    part: str = "body"  # of a drip: headers or body
    size: int = 3 * 1024 * 1024  # of an oversized answer
    chance: float = 1.0
    seed: int | None = None
    struck: int = 0
    _dice: random.Random = field(default_factory=random.Random, repr=False)

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"There is no fault {self.kind!r}; there are {', '.join(sorted(KINDS))}.")
        self._pattern = _normalise(self.route)
        if self.seed is not None:
            self._dice.seed(self.seed)

    @property
    def is_spent(self) -> bool:
        return self.times == 0

    def strikes(self, route: str) -> bool:
        """Whether this fault hits a request of ``route``; counts when it does, or when it skips one."""
        if self.is_spent or not self._covers(route):
            return False
        if self.after > 0:
            self.after -= 1
            return False
        if self.chance < 1 and self._dice.random() >= self.chance:
            return False
        if self.times > 0:
            self.times -= 1
        self.struck += 1
        return True

    def _covers(self, route: str) -> bool:
        return self._pattern == "*" or fnmatchcase(_normalise(route), self._pattern)


class Faults:
    """The faults armed in one sandbox."""

    def __init__(self) -> None:
        self._armed: list[Fault] = []
        self._lock = threading.Lock()

    def add(self, route: str, kind: str, **options: Any) -> Fault:
        """Arm a fault. ``route`` is a method and a template, like ``GET /v4/appointment/{id}``, or ``*``."""
        if options.get("times", 1) is None:
            options["times"] = FOREVER
        if options.get("retry_after") is not None:
            options["retry_after"] = str(options["retry_after"])
        fault = Fault(route, kind, **options)
        with self._lock:
            self._armed.append(fault)
        return fault

    def clear(self) -> None:
        """Disarm everything."""
        with self._lock:
            self._armed = []

    def armed(self) -> list[Fault]:
        """The faults that can still strike."""
        with self._lock:
            return [fault for fault in self._armed if not fault.is_spent]

    def claim(self, route: str) -> ClaimedFaults:
        """The faults that strike this request."""
        struck = ClaimedFaults()
        with self._lock:
            for fault in self._armed:
                if fault.kind in MODIFIERS:
                    if fault.strikes(route):
                        struck.modifiers.append(fault)
                elif struck.ending is None and fault.strikes(route):
                    struck.ending = fault
        return struck


@dataclass
class ClaimedFaults:
    """The faults one request has met."""

    modifiers: list[Fault] = field(default_factory=list)
    ending: Fault | None = None

    def find(self, kind: str) -> Fault | None:
        """The modifier of that kind, if it struck."""
        return next((fault for fault in self.modifiers if fault.kind == kind), None)

    @property
    def names(self) -> str | None:
        """The kinds joined by a plus sign, for the request_log."""
        ending = [] if self.ending is None else [self.ending]
        return "+".join(fault.kind for fault in [*self.modifiers, *ending]) or None


def _normalise(route: str) -> str:
    """Templates differ in the names of their parameters and in a last slash; neither matters."""
    plain = re.sub(r"\{[^}]*\}", "{}", route.strip())
    return plain.rstrip("/") if not plain.endswith(" /") else plain
