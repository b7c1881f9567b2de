"""Mounted under a prefix that only Django's settings name."""

from tests.hosts.base import *  # noqa: F403
from tests.hosts.base import HOST

FORCE_SCRIPT_NAME = "/clinic"
STATIC_URL = "static/"
HOST = {**HOST, "mount": "/clinic"}
