"""A middleware chooses the URLs by the host; paths without a slash stay as they are."""

from tests.hosts.base import *  # noqa: F403
from tests.hosts.base import HOST, MIDDLEWARE

MIDDLEWARE = [*MIDDLEWARE, "tests.hosts.middleware.RouteByHost"]
APPEND_SLASH = False
HOST = {**HOST}
