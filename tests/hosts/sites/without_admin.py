"""No admin, no messages, no static files app; the app is mounted at the root."""

from tests.hosts.base import *  # noqa: F403
from tests.hosts.base import HOST, INSTALLED_APPS, MIDDLEWARE

INSTALLED_APPS = [
    name for name in INSTALLED_APPS if not name.endswith((".admin", ".messages", ".staticfiles"))
]
MIDDLEWARE = [name for name in MIDDLEWARE if "messages" not in name]
TEMPLATES[0]["OPTIONS"]["context_processors"].pop()  # noqa: F405
ROOT_URLCONF = "tests.hosts.urls_root"
HOST = {**HOST, "home": "/home/", "book": "/", "admin": None}
