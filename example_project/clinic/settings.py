"""The clinic's settings.

Without any variable the site uses a sandbox on this computer. Variables are read from the environment or from
``example_project/.env``; ``.env.example`` lists them.
"""

from pathlib import Path

import django
import environ
from django.utils.translation import gettext_lazy as _

BASE_DIR = Path(__file__).resolve().parent.parent
DEMO_DATABASE = BASE_DIR / "demo.sqlite3"

env = environ.Env()
if (BASE_DIR / ".env").is_file():
    env.read_env(BASE_DIR / ".env")


def secret(name: str, for_the_demo: str) -> str:
    """Return a secret from the environment. With ``DEBUG`` it defaults to a public one for the demo."""
    return env.str(name, default=for_the_demo) if DEBUG else env.str(name)


DEBUG = env.bool("DEBUG", default=True)
SECRET_KEY = secret("SECRET_KEY", "public key of the demo: generate another one for anything else")
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=["127.0.0.1", "localhost"])
ROOT_URLCONF = "clinic.urls"
WSGI_APPLICATION = "clinic.wsgi.application"
ASGI_APPLICATION = "clinic.asgi.application"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

INSTALLED_APPS = [
    "clinic",  # before django_meetergo, so that its templates win
    "django_meetergo",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.messages",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "clinic.middleware.ContentSecurityPolicy",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
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

STATIC_URL = "static/"
STATIC_ROOT = BASE_DIR / "static"

# Language and time

LANGUAGE_CODE = "en-gb"
LANGUAGES = [("en-gb", "English"), ("de", "Deutsch"), ("fr", "Français")]
TIME_ZONE = "Europe/Berlin"
USE_TZ = True

# Database and cache

DATABASES = {"default": env.db_url("DATABASE_URL", default=f"sqlite:///{DEMO_DATABASE}")}
if DATABASES["default"]["ENGINE"] == "django.db.backends.sqlite3":
    # Readers do not wait for the writer, and a writer waits for another one instead of failing.
    DATABASES["default"]["OPTIONS"] = {
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
        "transaction_mode": "IMMEDIATE",
        "timeout": 20,
    }
else:
    DATABASES["default"] |= {"CONN_MAX_AGE": 60, "CONN_HEALTH_CHECKS": True}

REDIS_URL = env.str("REDIS_URL", default="")
CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}
if REDIS_URL:
    CACHES["default"] = {
        "BACKEND": "django.core.cache.backends.redis.RedisCache",
        "LOCATION": REDIS_URL,
        "KEY_PREFIX": "clinic",
        "OPTIONS": {"socket_connect_timeout": 2, "socket_timeout": 2},
    }

# Celery, used with BACKGROUND=celery only

CELERY_BROKER_URL = env.str("CELERY_BROKER_URL", default=REDIS_URL or "redis://127.0.0.1:6379/0")
CELERY_BROKER_CONNECTION_TIMEOUT = 2
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_TIMEZONE = TIME_ZONE
if CELERY_BROKER_URL.startswith("redis"):
    # Without these, a Redis that does not answer delays a page by half a minute.
    CELERY_BROKER_TRANSPORT_OPTIONS = {"socket_connect_timeout": 2, "socket_timeout": 5}

# Mail is printed to the console

if django.VERSION >= (6, 1):
    MAILERS = {"default": {"BACKEND": "django.core.mail.backends.console.EmailBackend"}}
else:
    EMAIL_BACKEND = "django.core.mail.backends.console.EmailBackend"
DEFAULT_FROM_EMAIL = "Praxis am Lindenhof <hello@praxis.example>"

# Scheduling

MEETERGO = {
    # The token of the sandbox that `manage.py demo` starts.
    "API_KEY": env.str("MEETERGO_API_KEY", default="rgo-sandbox0000000000000000000000000"),
    "USER_ID": env.str("MEETERGO_USER_ID", default=""),
    "BASE_URL": env.str("MEETERGO_BASE_URL", default="http://127.0.0.1:8787"),
    "SANDBOX": env.bool("MEETERGO_SANDBOX", default=True),
    "SITE_URL": env.str("SITE_URL", default="http://127.0.0.1:8000"),
    "WEBHOOK_TOKENS": [secret("MEETERGO_WEBHOOK_TOKEN", "public-token-of-the-demo-generate-another-one")],
    "BACKGROUND": env.str("BACKGROUND", default="inline"),
    "BASE_TEMPLATE": "clinic/base.html",
    "CONTACT": _("Call +49 30 23125 014 or write to hello@praxis.example."),
    "PRIVACY_URL": "/privacy/",
    "FORMS": {"consultation": "clinic.forms.ConsultationForm"},
}

# Security

X_FRAME_OPTIONS = "DENY"
SECURE_REFERRER_POLICY = "same-origin"
if env.bool("BEHIND_PROXY", default=False):
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
if not DEBUG:
    SECURE_SSL_REDIRECT = env.bool("SECURE_SSL_REDIRECT", default=True)
    SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = True
    SECURE_HSTS_SECONDS = env.int("SECURE_HSTS_SECONDS", default=3600)
