"""A second database for the site's own tables, behind a router; appointments are booked for rows of it.

Every request is in a transaction of either database.
"""

from tests.hosts.base import *  # noqa: F403
from tests.hosts.base import DATABASES, HOST, INSTALLED_APPS

DATABASES = {alias: {**DATABASES["default"], "ATOMIC_REQUESTS": True} for alias in ("default", "archive")}
DATABASE_ROUTERS = ["tests.hosts.routers.ArchiveRouter"]
INSTALLED_APPS = [*INSTALLED_APPS, "tests.hosts.archive"]
HOST = {**HOST, "subject": "archive.Course"}
