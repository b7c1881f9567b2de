"""What ``startproject`` writes, and the app with the sandbox. Each site changes what makes it its kind."""

from pathlib import Path
from typing import Any

URL = "http://meetergo.sandbox"

SECRET_KEY = "a key that is only used by the sites of the tests"
DEBUG = False
ALLOWED_HOSTS = ["testserver", "clinic.example"]
INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django_meetergo",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
ROOT_URLCONF = "tests.hosts.urls"
TEMPLATES: list[dict[str, Any]] = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [Path(__file__).parent / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]
DATABASES: dict[str, Any] = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}
LANGUAGE_CODE = "en-us"
TIME_ZONE = "UTC"
USE_I18N = True
USE_TZ = True
STATIC_URL = "static/"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
MEETERGO: dict[str, Any] = {
    "API_KEY": "rgo-sandbox0000000000000000000000000",
    "SANDBOX": True,
    "BASE_URL": URL,
    "SITE_URL": "https://clinic.example",
    "WEBHOOK_TOKENS": ["a-token-that-only-the-hosts-know-about"],
    "BACKGROUND": "cron",
    "MIN_FILL_SECONDS": 0,
    "REQUESTS_PER_MINUTE": 600,
}

#: What the journey must know about the site; the rest it finds out by following links. ``mount`` is the
#: prefix of the web server, ``book`` and ``admin`` are paths behind it, ``environ`` is added to each request.
HOST: dict[str, Any] = {"mount": "", "book": "/book/", "admin": "/admin/"}
