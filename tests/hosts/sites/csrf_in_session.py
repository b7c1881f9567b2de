"""The CSRF token in the session, and cookies that only https sends."""

from tests.hosts.base import *  # noqa: F403
from tests.hosts.base import HOST

CSRF_USE_SESSIONS = True
SESSION_COOKIE_SECURE = True
SECURE_SSL_REDIRECT = True
SECURE_HSTS_SECONDS = 3600
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
CSRF_TRUSTED_ORIGINS = ["https://clinic.example"]
HOST = {
    **HOST,
    "environ": {
        "HTTP_X_FORWARDED_PROTO": "https",
        "HTTP_HOST": "clinic.example",
        "HTTP_ORIGIN": "https://clinic.example",
        "wsgi.url_scheme": "https",
    },
}
