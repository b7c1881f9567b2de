"""The tests' settings: PostgreSQL by ``DATABASE_URL``, else SQLite in memory."""

from tests.settings import *  # noqa: F403

DEBUG = False
ROOT_URLCONF = "benchmarks.urls"
# Without throttles, so that the work is measured.
REST_FRAMEWORK = {"DEFAULT_THROTTLE_RATES": dict.fromkeys(("meetergo-staff", "meetergo-staff-change"))}
