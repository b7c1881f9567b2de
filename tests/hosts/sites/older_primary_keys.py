"""32-bit keys, the sites and flatpages apps with their fallback middleware."""

from tests.hosts.base import *  # noqa: F403
from tests.hosts.base import INSTALLED_APPS, MIDDLEWARE

DEFAULT_AUTO_FIELD = "django.db.models.AutoField"
INSTALLED_APPS = [
    *INSTALLED_APPS,
    "django.contrib.sites",
    "django.contrib.flatpages",
    "django.contrib.redirects",
]
SITE_ID = 1
MIDDLEWARE = [
    *MIDDLEWARE,
    "django.contrib.flatpages.middleware.FlatpageFallbackMiddleware",
    "django.contrib.redirects.middleware.RedirectFallbackMiddleware",
]
