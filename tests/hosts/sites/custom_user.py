"""Users with a UUID and an e-mail address instead of a name; the visitor is signed in."""

from tests.hosts.base import *  # noqa: F403
from tests.hosts.base import HOST, INSTALLED_APPS

INSTALLED_APPS = [*INSTALLED_APPS, "tests.hosts.accounts"]
AUTH_USER_MODEL = "accounts.Account"
HOST = {**HOST, "staff": {"email": "anna@example.com"}, "visitor": {"email": "jane@example.com"}}
