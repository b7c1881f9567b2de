"""The database of a benchmark."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from django.test.utils import setup_databases, teardown_databases


@contextmanager
def empty_database() -> Iterator[None]:
    """Create the test database of ``DATABASE_URL``; remove it at the end."""
    databases = setup_databases(verbosity=0, interactive=False)
    try:
        yield
    finally:
        teardown_databases(databases, verbosity=0)
