"""Threads of a test that use the database."""

from __future__ import annotations

import threading
from collections.abc import Callable

from django.db import connection
from django.db.backends.base.base import BaseDatabaseWrapper


def run_at_once(do: Callable[[], object], count: int) -> None:
    """Call a function in as many threads at the same time, and return when all have ended."""
    threads = [threading.Thread(target=call_and_disconnect, args=[do]) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def call_and_disconnect(do: Callable[[], object]) -> None:
    try:
        do()
    finally:
        # SQLite's own close() keeps a database in memory open, and with it this thread's handle.
        BaseDatabaseWrapper.close(connection)
