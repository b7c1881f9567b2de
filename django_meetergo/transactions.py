"""Short transactions that may be run again."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from django.db import IntegrityError, InterfaceError, OperationalError, connection, transaction

T = TypeVar("T")

MAX_ATTEMPTS = 3

#: What is raised by a database that has gone away.
DATABASE_LOST = (OperationalError, InterfaceError)


def run_with_retries(do: Callable[[], T]) -> T:
    """The result of ``do`` in a transaction of its own, again when the database asks for it.

    Deadlocks choose a victim, and two workers may insert one row: the second time, the other's work is
    there to be seen. Inside a caller's transaction only a conflict of rows can be repeated, since a
    deadlock has undone the caller's part as well.
    """
    repeatable = (IntegrityError,) if connection.in_atomic_block else (IntegrityError, OperationalError)
    for attempt in range(1, MAX_ATTEMPTS + 1):
        try:
            with transaction.atomic():
                return do()
        except repeatable:
            if attempt == MAX_ATTEMPTS:
                raise
    raise AssertionError("unreachable")
