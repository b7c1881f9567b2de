"""What happened in a sandbox, in order. Entries are added, never changed."""

from __future__ import annotations

import threading
from typing import Any

from django_meetergo.sandbox.clock import Clock, print_instant

Entry = dict[str, Any]


class RequestLog:
    """An append-only list of requests, applied changes and deliveries."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._entries: list[Entry] = []
        self._lock = threading.Lock()

    def write(self, kind: str, **facts: Any) -> Entry:
        """Add an entry of ``kind``: "request", "applied" or "delivery"."""
        with self._lock:
            at = print_instant(self._clock.now())
            entry: Entry = {"n": len(self._entries) + 1, "at": at, "kind": kind, **facts}
            self._entries.append(entry)
        return entry

    def entries(self, *, since: int = 0, kind: str | None = None) -> list[Entry]:
        """The entries after number ``since``, all or of one kind."""
        with self._lock:
            chosen = self._entries[max(since, 0) :]
        return [entry for entry in chosen if kind is None or entry["kind"] == kind]

    def clear(self) -> None:
        """Begin a new request_log; only a reset of the whole sandbox does this."""
        with self._lock:
            self._entries = []
