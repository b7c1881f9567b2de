"""The cache server is down from the beginning."""

from tests.hosts.base import *  # noqa: F403

CACHES = {"default": {"BACKEND": "tests.journeys.caches.DeadCache"}}
