"""The settings of the test suite: a small site. SQLite by default, another database with ``DATABASE_URL``."""

import django
import environ

env = environ.Env()

SECRET_KEY = "a secret key that is only used by the tests of this app"
DEBUG = False
USE_TZ = True
TIME_ZONE = "Europe/Berlin"
LANGUAGE_CODE = "en-gb"
ALLOWED_HOSTS = ["*"]
ROOT_URLCONF = "tests.urls"
STATIC_URL = "static/"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.messages",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
    "django_tasks_db",
    "django_meetergo",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
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

TASKS = {"default": {"BACKEND": "django_tasks_db.DatabaseBackend"}}
DATABASES = {"default": env.db_url("DATABASE_URL", default="sqlite://:memory:")}
CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]

# Django 6.1 replaces EMAIL_BACKEND with MAILERS.
TEST_MAILER = "django.core.mail.backends.locmem.EmailBackend"
if django.VERSION >= (6, 1):
    MAILERS = {"default": {"BACKEND": TEST_MAILER}}
else:
    EMAIL_BACKEND = TEST_MAILER

OUTCOME_DEADLINE = env.float("MEETERGO_OUTCOME_DEADLINE", default=120)
LEASE = env.float("MEETERGO_LEASE", default=60)
MEETERGO = {
    "API_KEY": "rgo-sandbox0000000000000000000000000",
    "BASE_URL": env.str("MEETERGO_BASE_URL", default="http://sandbox.invalid"),
    "SANDBOX": True,
    "SITE_URL": "https://clinic.example",
    "WEBHOOK_TOKENS": ["a-token-that-only-the-tests-know-about"],
    "BACKGROUND": "cron",
    "REQUESTS_PER_MINUTE": env.int("MEETERGO_REQUESTS_PER_MINUTE", default=90),
    "OUTCOME_DEADLINE": OUTCOME_DEADLINE,
    "TIMEOUT": min(12, LEASE, OUTCOME_DEADLINE),
    "TIMEOUT_BACKGROUND": min(30, LEASE, OUTCOME_DEADLINE),
    "ENCRYPTION_KEYS": env.list("MEETERGO_ENCRYPTION_KEYS", default=[]),
    "LEASE": LEASE,
    # Tests submit forms faster than people do.
    "MIN_FILL_SECONDS": 0,
}
