"""The deadline of one HTTP attempt, and the thread that enforces it.

``requests`` bounds each read, not the whole call: an answer that arrives one byte at a time never times out.
A connection therefore registers its socket with the deadline of the running call, and a watchdog thread shuts
the socket down when time is up. The deadline also records whether the request had begun to leave, which
decides whether it may be sent again.
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
from typing import Any, Literal

_running = threading.local()
#: Sockets read a timeout of zero as "do not block".
MIN_TIMEOUT_SECONDS = 0.001


class Deadline:
    """When one attempt must have ended (on the monotonic clock), and how far the attempt got."""

    def __init__(self, ends: float) -> None:
        self.ends = ends
        #: Empty for adapters that do not report, such as the test kit's.
        self.stage: Literal["", "connecting", "sent"] = ""
        self._lock = threading.Lock()
        self._sockets: list[socket.socket] = []

    def __enter__(self) -> Deadline:
        _running.deadline = self
        return self

    def __exit__(self, *details: object) -> None:
        _running.deadline = None
        _watchdog.remove(self)
        with self._lock:
            for handle in self._sockets:
                handle.close()
            self._sockets.clear()

    @property
    def seconds_left(self) -> float:
        """The seconds that remain, never less than ``MIN_TIMEOUT_SECONDS``."""
        return max(self.ends - time.monotonic(), MIN_TIMEOUT_SECONDS)

    @property
    def is_over(self) -> bool:
        return time.monotonic() >= self.ends

    def register_socket(self, sock: Any) -> None:
        """Have the watchdog shut this socket down at the deadline.

        Keeps a duplicate handle, because TLS wraps the socket object and detaches the original.
        """
        with self._lock:
            self._sockets.append(socket.fromfd(sock.fileno(), socket.AF_INET, socket.SOCK_STREAM))
        _watchdog.add(self)

    def shut_down(self) -> None:
        """Shut the sockets down, which ends whatever the attempt is waiting for."""
        with self._lock:
            for handle in self._sockets:
                with contextlib.suppress(OSError):
                    handle.shutdown(socket.SHUT_RDWR)


class Watchdog:
    """The thread of this process that enforces deadlines. It sleeps until the first one is over.

    One thread per call would cost as much as the call. The thread ends when no deadline is left.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._deadlines: set[Deadline] = set()
        self._wakes_at = 0.0
        self._thread: threading.Thread | None = None

    def add(self, deadline: Deadline) -> None:
        with self._changed:
            self._deadlines.add(deadline)
            if self._thread is None:
                thread = threading.Thread(target=self._run, name="meetergo-deadlines", daemon=True)
                thread.start()  # fails where a process may have no more threads; the next call tries again
                self._thread = thread
            elif deadline.ends < self._wakes_at:
                self._changed.notify()

    def remove(self, deadline: Deadline) -> None:
        with self._changed:
            self._deadlines.discard(deadline)

    def _run(self) -> None:
        with self._changed:
            while self._deadlines:
                self._wakes_at = min(deadline.ends for deadline in self._deadlines)
                self._changed.wait(max(self._wakes_at - time.monotonic(), 0))
                for deadline in [deadline for deadline in self._deadlines if deadline.is_over]:
                    self._deadlines.discard(deadline)
                    deadline.shut_down()
            self._thread = None


_watchdog = Watchdog()


def _reset_after_fork() -> None:
    """Start with a new watchdog: a forked process has neither the thread nor the holder of its lock."""
    global _watchdog
    _watchdog = Watchdog()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_reset_after_fork)


def get_current_deadline() -> Deadline | None:
    """Return the deadline of the call that this thread is making, or None."""
    return getattr(_running, "deadline", None)
