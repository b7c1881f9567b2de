"""A second database for the site's own tables, behind a router."""

from tests.hosts.base import *  # noqa: F403
from tests.hosts.base import DATABASES

DATABASES = {**DATABASES, "archive": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}
DATABASE_ROUTERS = ["tests.hosts.routers.ArchiveRouter"]
