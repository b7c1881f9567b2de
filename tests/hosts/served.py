"""A site behind a real server, with its background thread; the test names database and sandbox."""

import os

from tests.hosts.base import *  # noqa: F403
from tests.hosts.base import MEETERGO

ALLOWED_HOSTS = ["127.0.0.1"]
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": os.environ["SITE_DATABASE"],
        "OPTIONS": {"transaction_mode": "IMMEDIATE", "init_command": "PRAGMA journal_mode=WAL"},
    }
}
MEETERGO = {
    **MEETERGO,
    "BASE_URL": os.environ["SITE_SANDBOX"],
    "SITE_URL": "http://127.0.0.1",
    "BACKGROUND": "inline",
}
