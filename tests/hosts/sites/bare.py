"""No sessions, no sign-in, no CSRF middleware, and templates without the request."""

from tests.hosts.base import *  # noqa: F403
from tests.hosts.base import HOST

INSTALLED_APPS = ["django.contrib.auth", "django.contrib.contenttypes", "django_meetergo"]
MIDDLEWARE = ["django.middleware.common.CommonMiddleware"]
TEMPLATES[0]["OPTIONS"] = {}  # noqa: F405
ROOT_URLCONF = "tests.hosts.urls_root"
HOST = {**HOST, "home": "/home/", "book": "/", "admin": None}
