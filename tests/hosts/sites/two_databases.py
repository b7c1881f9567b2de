"""A second database for the site's own tables, behind a router; appointments are booked for rows of it."""

from tests.hosts.base import *  # noqa: F403
from tests.hosts.base import DATABASES, HOST, INSTALLED_APPS

DATABASES = {**DATABASES, "archive": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}
DATABASE_ROUTERS = ["tests.hosts.routers.ArchiveRouter"]
INSTALLED_APPS = [*INSTALLED_APPS, "tests.hosts.archive"]
HOST = {**HOST, "subject": "archive.Course"}
