"""The site's own language without a prefix; the visitor's language is not among the site's."""

from tests.hosts.base import *  # noqa: F403
from tests.hosts.base import HOST, MIDDLEWARE

LANGUAGES = [("de", "Deutsch"), ("en", "English")]
LANGUAGE_CODE = "de"
MIDDLEWARE = [*MIDDLEWARE[:2], "django.middleware.locale.LocaleMiddleware", *MIDDLEWARE[2:]]
ROOT_URLCONF = "tests.hosts.urls_default_language"
HOST = {**HOST, "environ": {"HTTP_ACCEPT_LANGUAGE": "fr"}, "language": "fr", "mailed": "/book/manage/"}
