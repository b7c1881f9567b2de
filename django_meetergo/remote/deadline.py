"""The deadline of one attempt to call, and the thread that sees to it.

``requests`` bounds each read, not the call: an answer that drips a byte at a time never ends. Here a
connection shows its socket to the watch of the running call, which shuts the socket when time is up.
The watch also remembers whether the request had begun to leave, which decides whether it may be sent again.
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
from typing import Any, Literal

_running = threading.local()


class Deadline:
    """The deadline of one attempt, and how far the attempt got."""

    def __init__(self, ends: float) -> None:
        self.ends = ends
        self.stage: Literal["", "connecting", "sent"] = ""  # stays empty on a wire that is not ours
        self._lock = threading.Lock()
        self._sockets: list[socket.socket] = []

    def __enter__(self) -> Deadline:
        _running.watch = self
        return self

    def __exit__(self, *details: object) -> None:
        _running.watch = None
        _watchdog.dismiss(self)
        with self._lock:
            for handle in self._sockets:
                handle.close()
            self._sockets.clear()

    @property
    def left(self) -> float:
        """Seconds that remain; never less than a millisecond, because sockets read zero as 'do not block'."""
        return max(self.ends - time.monotonic(), 0.001)

    @property
    def expired(self) -> bool:
        return time.monotonic() >= self.ends

    def show(self, sock: Any) -> None:
        """Put a socket under this watch. A duplicate handle: TLS takes the socket object itself apart."""
        with self._lock:
            self._sockets.append(socket.fromfd(sock.fileno(), socket.AF_INET, socket.SOCK_STREAM))
        _watchdog.keep(self)

    def shut(self) -> None:
        """End whatever the attempt is waiting for."""
        with self._lock:
            for handle in self._sockets:
                with contextlib.suppress(OSError):
                    handle.shutdown(socket.SHUT_RDWR)


class Watchdog:
    """The thread of this process that shuts what is late. It sleeps until the first watch runs out.

    A thread for every call would cost as much as the call. The thread goes home when there is nothing to do.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._watches: set[Deadline] = set()
        self._wakes_at = 0.0
        self._thread: threading.Thread | None = None

    def keep(self, watch: Deadline) -> None:
        with self._changed:
            self._watches.add(watch)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="meetergo-warden", daemon=True)
                self._thread.start()
            elif watch.ends < self._wakes_at:
                self._changed.notify()

    def dismiss(self, watch: Deadline) -> None:
        with self._changed:
            self._watches.discard(watch)

    def _run(self) -> None:
        with self._changed:
            while self._watches:
                self._wakes_at = min(watch.ends for watch in self._watches)
                self._changed.wait(max(self._wakes_at - time.monotonic(), 0))
                for watch in [watch for watch in self._watches if watch.expired]:
                    self._watches.discard(watch)
                    watch.shut()
            self._thread = None


_watchdog = Watchdog()


def _reset_after_fork() -> None:
    """A forked process has neither the thread nor whoever held its lock."""
    global _warden
    _watchdog = Watchdog()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_reset_after_fork)


def get_current_deadline() -> Deadline | None:
    return getattr(_running, "watch", None)
