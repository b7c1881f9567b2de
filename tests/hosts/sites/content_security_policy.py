"""Scripts and styles with a nonce only, also in the admin."""

from tests.hosts.base import *  # noqa: F403
from tests.hosts.base import HOST, MIDDLEWARE

MIDDLEWARE = [*MIDDLEWARE, "tests.hosts.middleware.RequireNonce"]
HOST = {**HOST, "has_policy": True}
