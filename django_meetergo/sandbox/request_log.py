"""The log of a sandbox: every request, every applied change and every webhook delivery, in order."""

from __future__ import annotations

import threading
from typing import Any

from django_meetergo.sandbox.clock import Clock, print_instant

Entry = dict[str, Any]


class RequestLog:
    """An append-only list of entries."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._entries: list[Entry] = []
        self._lock = threading.Lock()

    def write(self, kind: str, **facts: Any) -> Entry:
        """Add an entry and return it. ``kind`` is "request", "applied" or "delivery"."""
        with self._lock:
            at = print_instant(self._clock.now())
            entry: Entry = {"n": len(self._entries) + 1, "at": at, "kind": kind, **facts}
            self._entries.append(entry)
        return entry

    def entries(self, *, since: int = 0, kind: str | None = None) -> list[Entry]:
        """Return the entries after number ``since``, of one kind if given."""
        with self._lock:
            chosen = self._entries[max(since, 0) :]
        return [entry for entry in chosen if kind is None or entry["kind"] == kind]

    def clear(self) -> None:
        """Remove all entries. Only a reset of the whole sandbox does this."""
        with self._lock:
            self._entries = []
