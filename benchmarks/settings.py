"""The tests' site on a database of its own: PostgreSQL by ``DATABASE_URL``, else SQLite in memory."""

from tests.settings import *  # noqa: F403

DEBUG = False
ROOT_URLCONF = "benchmarks.urls"
# What is measured is the work, not how soon somebody is turned away.
REST_FRAMEWORK = {"DEFAULT_THROTTLE_RATES": dict.fromkeys(("meetergo-staff", "meetergo-staff-change"))}
