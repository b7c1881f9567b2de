"""Mounted under a prefix by the WSGI server; SITE_URL contains it."""

from tests.hosts.base import *  # noqa: F403
from tests.hosts.base import HOST, MEETERGO

MEETERGO = {**MEETERGO, "SITE_URL": "https://clinic.example/practice"}
HOST = {**HOST, "mount": "/practice", "environ": {"SCRIPT_NAME": "/practice"}}
