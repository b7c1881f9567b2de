"""Each language under a prefix of its own; visitors read German, the site's language is English."""

from tests.hosts.base import *  # noqa: F403
from tests.hosts.base import HOST, MIDDLEWARE

LANGUAGES = [("en", "English"), ("de", "Deutsch")]
LANGUAGE_CODE = "en"
MIDDLEWARE = [*MIDDLEWARE[:2], "django.middleware.locale.LocaleMiddleware", *MIDDLEWARE[2:]]
ROOT_URLCONF = "tests.hosts.urls_languages"
HOST = {
    **HOST,
    "home": "/de/",
    "book": "/de/book/",
    "webhooks": "/en/book/",
    "admin": "/de/admin/",
    "mailed": "/de/book/manage/",
}
