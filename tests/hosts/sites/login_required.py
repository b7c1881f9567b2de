"""Everything needs a login, but webhooks and the links in mails."""

from tests.hosts.base import *  # noqa: F403
from tests.hosts.base import HOST, MIDDLEWARE

MIDDLEWARE = [*MIDDLEWARE, "django.contrib.auth.middleware.LoginRequiredMiddleware"]
LOGIN_URL = "/admin/login/"
HOST = {**HOST, "visitor": {"username": "jane", "email": "jane@example.com"}, "signs_out": True}
