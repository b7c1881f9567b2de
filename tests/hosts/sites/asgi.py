"""Served by Django's ASGI handler, mounted under a prefix by the server."""

from tests.hosts.base import *  # noqa: F403
from tests.hosts.base import HOST, MEETERGO

MEETERGO = {**MEETERGO, "SITE_URL": "https://clinic.example/practice"}
HOST = {**HOST, "mount": "/practice", "environ": {"root_path": "/practice"}, "is_async": True}
