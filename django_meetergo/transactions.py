"""Short transactions that are repeated on conflicts."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from django.db import (
    IntegrityError,
    InterfaceError,
    InternalError,
    OperationalError,
    connection,
    transaction,
)

T = TypeVar("T")

MAX_ATTEMPTS = 3

#: What Django raises when the database has gone away.
DATABASE_LOST = (OperationalError, InterfaceError)
#: What Django raises when the database cannot be reached or cannot store anything. Other mistakes raise
#: the same classes: ask ``is_database_away``.
DATABASE_ERRORS = (OperationalError, InterfaceError, InternalError)

#: SQLite reports wrong SQL and missing tables as an OperationalError with this code.
SQLITE_ERROR = 1
#: MariaDB reports a missing column as an OperationalError with this code.
MARIADB_UNKNOWN_COLUMN = 1054
#: PostgreSQL reports a write to a read-only server as an InternalError with this code.
POSTGRESQL_READ_ONLY = "25006"


def is_database_away(error: BaseException) -> bool:
    """Return whether an error means that the database is unreachable, locked or read-only for now.

    False for errors that waiting does not repair, such as a missing migration.
    """
    cause = error.__cause__
    if isinstance(error, InternalError):
        return getattr(cause, "sqlstate", None) == POSTGRESQL_READ_ONLY
    if not isinstance(error, OperationalError):
        return isinstance(error, InterfaceError)
    if getattr(cause, "sqlite_errorcode", None) == SQLITE_ERROR:
        return False
    return error.args[:1] != (MARIADB_UNKNOWN_COLUMN,)


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
