"""Static files under names with a hash; every file that a sheet or page names must exist."""

import tempfile

from tests.hosts.base import *  # noqa: F403
from tests.hosts.base import HOST

STATIC_ROOT = tempfile.mkdtemp(prefix="meetergo-static-")
STATIC_URL = "/assets/"
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.InMemoryStorage"},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.ManifestStaticFilesStorage"},
}
HOST = {**HOST, "collects_static": True}
