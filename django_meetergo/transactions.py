"""Write transactions, their repetition after conflicts, and what it means that the database is away."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeVar

from django.db import (
    DatabaseError,
    IntegrityError,
    InterfaceError,
    InternalError,
    OperationalError,
    connection,
    connections,
    transaction,
)

T = TypeVar("T")

MAX_ATTEMPTS = 3
#: A transaction is not repeated when its attempts have taken this long.
MAX_SECONDS = 10.0
#: The longest pause before the second attempt; it doubles with each attempt.
PAUSE_SECONDS = 0.1

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


def outside_transactions(view: Callable[..., Any]) -> Callable[..., Any]:
    """Exempt a view from ``ATOMIC_REQUESTS`` of every database of the site.

    A view that calls meetergo must not hold a transaction during the call, of whichever database.
    """
    for alias in connections:
        transaction.non_atomic_requests(using=alias)(view)
    return view


@contextmanager
def write_transaction(*, durable: bool = False) -> Iterator[None]:
    """Run a block that writes in ``transaction.atomic()``.

    On SQLite the transaction takes the write lock when it begins, and waits for it. A transaction that
    reads before it writes would otherwise fail at once ("database is locked") if another connection has
    written in between.
    """
    database: Any = connection
    database.ensure_connection()
    # The mode that the site has chosen; other backends do not have the attribute.
    mode = getattr(database, "transaction_mode", None)
    if connection.vendor == "sqlite":
        database.transaction_mode = "IMMEDIATE"
    try:
        with transaction.atomic(durable=durable):
            yield
    finally:
        if connection.vendor == "sqlite":
            database.transaction_mode = mode


def run_with_retries(do: Callable[[], T], *, durable: bool = False, repeats_conflicts: bool = True) -> T:
    """Call ``do`` in a write transaction of its own and return its result; repeat it after a conflict.

    Two workers may insert the same row, and a database may choose this transaction as the victim of a
    deadlock. The next attempt sees what the other worker has committed. Within a caller's transaction only
    an ``IntegrityError`` is repeated: a deadlock has rolled back the caller's part as well. With
    ``repeats_conflicts=False`` an ``IntegrityError`` is raised at once, because the caller resolves it.
    """
    started = time.monotonic()
    repeatable: tuple[type[DatabaseError], ...] = (IntegrityError,) if repeats_conflicts else ()
    if not connection.in_atomic_block:
        repeatable += (OperationalError,)
    for attempt in range(1, MAX_ATTEMPTS + 1):
        try:
            with write_transaction(durable=durable):
                return do()
        except repeatable as error:
            is_too_late = time.monotonic() - started > MAX_SECONDS
            if attempt == MAX_ATTEMPTS or is_too_late or not can_be_repeated(error):
                raise
            if not isinstance(error, IntegrityError):
                # A session that the server has ended: the next attempt opens another.
                connection.close_if_unusable_or_obsolete()
                time.sleep(random.uniform(0, PAUSE_SECONDS * 2**attempt))  # noqa: S311 - spreads the load
    raise AssertionError("unreachable")


def can_be_repeated(error: DatabaseError) -> bool:
    return isinstance(error, IntegrityError) or is_database_away(error)


def is_in_transaction() -> bool:
    """Whether an atomic block is open. The one that a ``TestCase`` opens around a test does not count."""
    return any(not getattr(block, "_from_testcase", False) for block in connection.atomic_blocks)


#: Whether the open transaction is one of the site, around a view that renders a widget.
_in_site_transaction: ContextVar[bool] = ContextVar("meetergo_in_site_transaction", default=False)


@contextmanager
def reading_for_site() -> Iterator[None]:
    """Mark reads for a page of the site, whose transaction (``ATOMIC_REQUESTS``) is the site's own matter."""
    token = _in_site_transaction.set(True)
    try:
        yield
    finally:
        _in_site_transaction.reset(token)


def is_reading_for_site() -> bool:
    return _in_site_transaction.get()
