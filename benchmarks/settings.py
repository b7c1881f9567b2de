"""The tests' site on a database of its own: PostgreSQL by ``DATABASE_URL``, else SQLite in memory."""

from tests.settings import *  # noqa: F403

DEBUG = False
