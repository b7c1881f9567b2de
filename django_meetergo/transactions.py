"""Short transactions that are repeated on conflicts."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from django.db import IntegrityError, InterfaceError, OperationalError, connection, transaction

T = TypeVar("T")

MAX_ATTEMPTS = 3

#: What Django raises when the database has gone away.
DATABASE_LOST = (OperationalError, InterfaceError)


def run_with_retries(do: Callable[[], T]) -> T:
    """Call ``do`` in a transaction of its own and return its result; repeat it after a conflict.

    Two workers may insert the same row, and a database may choose this transaction as the victim of a
    deadlock. The next attempt sees what the other worker has committed. Within a caller's transaction only
    an ``IntegrityError`` is repeated: a deadlock has rolled back the caller's part as well.
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


def is_in_transaction() -> bool:
    """Whether an atomic block is open. The one that a ``TestCase`` opens around a test does not count."""
    return any(not getattr(block, "_from_testcase", False) for block in connection.atomic_blocks)
