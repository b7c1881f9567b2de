"""Failures on demand.

A fault is armed for a route. It skips its first ``after`` requests and then applies to ``times`` of them.
*Modifiers* change how a request is handled; several can apply to one request. *Endings* decide how it ends;
of those, the one armed first applies and the others wait.
"""

from __future__ import annotations

import random
import re
import threading
from dataclasses import MISSING, dataclass, field, fields
from fnmatch import fnmatchcase
from typing import Any

from django_meetergo.sandbox.oddities import ODDITIES
from django_meetergo.sandbox.settings import check_kind

MODIFIERS = frozenset(
    {"occupy_slot", "skew_date", "hide_answers", "list_lag", "expire_key", "odd_document", "replay"}
)
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
MAX_NUMBER = 1e9
MAX_BYTES = 64 * 1024 * 1024


class ConnectionClosed(Exception):
    """The connection is closed without a response; with ``reset``, by a reset.

    ``applied`` says whether the request was carried out.
    """

    def __init__(self, *, applied: bool = False, reset: bool = False) -> None:
        super().__init__("the sandbox closed the connection")
        self.applied = applied
        self.reset = reset


class ConnectionStalled(ConnectionClosed):
    """Nothing is sent for ``seconds``; then the connection is closed."""

    def __init__(self, seconds: float, *, applied: bool = False) -> None:
        super().__init__(applied=applied)
        self.seconds = seconds


class MalformedReply(ConnectionClosed):
    """Bytes that are not an HTTP response are sent; then the connection is closed."""

    def __init__(self, raw: bytes, *, applied: bool = False) -> None:
        super().__init__(applied=applied)
        self.raw = raw


@dataclass
class Fault:
    """An armed fault."""

    route: str
    kind: str
    times: int = 1  # -1: every time
    after: int = 0
    status: int | None = None
    retry_after: str | None = None
    seconds: float = 1.0
    body: str | None = None
    part: str = "body"  # what drips: headers or body
    oddity: str = "repeated_attendee_ids"  # of an odd document
    size: int = 3 * 1024 * 1024  # bytes of an oversized response
    chance: float = 1.0  # probability that it applies
    seed: int | None = None  # of the random numbers behind ``chance``
    number: int = field(default=0, init=False)  # set when it is armed
    _random: random.Random = field(default_factory=random.Random, init=False, repr=False)

    def __post_init__(self) -> None:
        self._check_values()
        if self.kind not in KINDS:
            raise ValueError(f"There is no fault {self.kind!r}; choose from {', '.join(sorted(KINDS))}.")
        if self.oddity not in ODDITIES:
            raise ValueError(f"There is no oddity {self.oddity!r}; choose from {', '.join(ODDITIES)}.")
        if self.is_spent:
            raise ValueError("A fault that applies 0 times would never apply; use -1 for every time.")
        self._pattern = _normalize(self.route)
        if self.seed is not None:
            self._random.seed(self.seed)

    def _check_values(self) -> None:
        defaults: dict[str, Any] = {"status": 0, "seed": 0, "body": "", "retry_after": ""}
        defaults |= {item.name: item.default for item in fields(self) if item.default not in (MISSING, None)}
        for name, default in defaults.items():
            if (value := getattr(self, name)) is not None and name != "number":
                check_kind(name, value, default, MAX_NUMBER)
        if self.status is not None and not 100 <= self.status <= 999:
            raise ValueError("status must be a number from 100 to 999.")
        if self.times < FOREVER or self.after < 0:
            raise ValueError("times and after are not negative; times may be -1, for every time.")
        if not 0 <= self.size <= MAX_BYTES:
            raise ValueError(f"size must be a number of bytes up to {MAX_BYTES}.")
        if self.seconds < 0 and self.kind != "skew_date":
            raise ValueError("seconds must not be negative.")

    @property
    def is_spent(self) -> bool:
        return self.times == 0

    def claim(self, route: str) -> bool:
        """Return whether the fault applies to this request, and count the request."""
        if self.is_spent or not self._covers(route):
            return False
        if self.after > 0:
            self.after -= 1
            return False
        if self.chance < 1 and self._random.random() >= self.chance:
            return False
        if self.times > 0:
            self.times -= 1
        return True

    def _covers(self, route: str) -> bool:
        return self._pattern == "*" or fnmatchcase(_normalize(route), self._pattern)


class Faults:
    """The faults armed in one sandbox."""

    def __init__(self) -> None:
        self._armed: list[Fault] = []
        self._last_number = 0
        self._lock = threading.Lock()

    def add(self, route: str, kind: str, **options: Any) -> Fault:
        """Arm a fault. ``route`` is a method and a template like ``GET /v4/appointment/{id}``, or ``*``.

        ``times=None`` applies it to every request. Raises ``ValueError`` for an unknown kind and
        ``TypeError`` for an unknown option.
        """
        if options.get("times", 1) is None:
            options["times"] = FOREVER
        if options.get("retry_after") is not None:
            options["retry_after"] = str(options["retry_after"])
        fault = Fault(route, kind, **options)
        with self._lock:
            self._last_number += 1
            fault.number = self._last_number
            self._armed.append(fault)
        return fault

    def disarm(self, number: int) -> None:
        """Disarm one fault. Nothing happens if it has been used up."""
        with self._lock:
            self._armed = [fault for fault in self._armed if fault.number != number]

    def clear(self) -> None:
        """Disarm all faults."""
        with self._lock:
            self._armed = []

    def list_armed(self) -> list[Fault]:
        """Return the faults that can still apply."""
        with self._lock:
            return [fault for fault in self._armed if not fault.is_spent]

    def claim(self, route: str) -> ClaimedFaults:
        """Return the faults that apply to this request."""
        claimed = ClaimedFaults()
        with self._lock:
            for fault in self._armed:
                if fault.kind in MODIFIERS:
                    if fault.claim(route):
                        claimed.modifiers.append(fault)
                elif claimed.ending is None and fault.claim(route):
                    claimed.ending = fault
        return claimed


@dataclass
class ClaimedFaults:
    """The faults that apply to one request."""

    modifiers: list[Fault] = field(default_factory=list)
    ending: Fault | None = None

    def find(self, kind: str) -> Fault | None:
        """Return the modifier of a kind, or None."""
        return next((fault for fault in self.modifiers if fault.kind == kind), None)

    @property
    def names(self) -> str | None:
        """The kinds joined by a plus sign, for the log."""
        ending = [] if self.ending is None else [self.ending]
        return "+".join(fault.kind for fault in [*self.modifiers, *ending]) or None


def _normalize(route: str) -> str:
    """Drop the names of path parameters and a trailing slash."""
    plain = re.sub(r"\{[^}]*\}", "{}", route.strip())
    return plain.rstrip("/") if not plain.endswith(" /") else plain
