"""The cache is a table of the site's database, in every request's transaction."""

from tests.hosts.base import *  # noqa: F403
from tests.hosts.base import DATABASES

CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.db.DatabaseCache",
        "LOCATION": "site_cache",
        "OPTIONS": {"MAX_ENTRIES": 10000},
    }
}
DATABASES = {"default": {**DATABASES["default"], "ATOMIC_REQUESTS": True}}
