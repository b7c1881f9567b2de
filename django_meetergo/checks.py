"""System checks of the settings. They make no query and no call."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime
from typing import Any
from urllib.parse import urlsplit

from django import forms
from django.conf import settings as django_settings
from django.core import checks
from django.core.checks import CheckMessage, Error, Tags, register
from django.utils.module_loading import import_string
from django.utils.timezone import localdate

from django_meetergo.conf import (
    CONNECTION_KEYS,
    KNOWN_KEYS,
    SETTING_NAME,
    Settings,
    get_raw_settings,
    get_settings,
    list_unknown_keys,
)

PERSONAL, PLATFORM = "rgo-", "ak_live:"
MIN_TOKEN_LENGTH = 24
EXPIRES_SOON_DAYS = 14
REAL_HOST = "api.meetergo.com"
DEFAULT_MAX_ENTRIES = 300
RESERVED_CACHE_ENTRIES = 1000  # availability documents, locks and limits; the site's own entries come on top
MAX_QUESTIONS = 49  # meetergo accepts 50 answers, and our reference is one of them


@register("meetergo")
def check_settings(app_configs: Any, **kwargs: Any) -> Sequence[CheckMessage]:
    if not isinstance(get_raw_settings(), dict):
        return [
            Error(
                f"{SETTING_NAME} is not a dictionary.",
                hint='Set it to a dictionary, for example {"API_KEY": "…"}.',
                id="meetergo.E001",
            )
        ]
    if unknown := list_unknown_keys():
        hint = f"Its keys are: {', '.join(sorted(KNOWN_KEYS))}."
        return [
            Error(f"{SETTING_NAME} has no key {name}.", hint=hint, id="meetergo.E002") for name in unknown
        ]
    settings = get_settings()
    return [
        *check_credentials(settings),
        *check_background(settings),
        *check_webhooks(settings),
        *check_cache(settings),
        *check_expiry(settings),
        *check_encryption(settings),
        *check_databases(settings),
        *check_forms(settings),
        *check_embed(settings),
    ]


@register("meetergo", Tags.security, deploy=True)
def check_deployment(app_configs: Any, **kwargs: Any) -> Sequence[CheckMessage]:
    if list_unknown_keys():
        return []
    settings = get_settings()
    found: list[CheckMessage] = []
    if settings.SANDBOX:
        found.append(
            Error(
                f'{SETTING_NAME}["SANDBOX"] is on: no real appointment is booked.',
                hint="Remove it, and the sandbox's BASE_URL and API_KEY, from production.",
                id="meetergo.E010",
            )
        )
    parts = urlsplit(settings.BASE_URL)
    if parts.scheme != "https" or parts.hostname != REAL_HOST:
        found.append(
            Error(
                f'{SETTING_NAME}["BASE_URL"] is not https://{REAL_HOST}.',
                hint="API keys and personal data would be sent to that host.",
                id="meetergo.E011",
            )
        )
    return found


def check_credentials(settings: Settings) -> Iterator[CheckMessage]:
    if not settings.API_KEY and not settings.CONNECTIONS:
        yield Error(
            f'{SETTING_NAME} has no credential: set "API_KEY".',
            hint="Create a token at my.meetergo.com/integrations, or use the sandbox: "
            "manage.py meetergo_sandbox prints a key.",
            id="meetergo.E003",
        )
    if settings.API_KEY:
        yield from check_credential("", settings.API_KEY, settings.USER_ID)
    for name, given in settings.CONNECTIONS.items():
        if unknown := sorted(set(given) - CONNECTION_KEYS):
            yield Error(
                f'{SETTING_NAME}["CONNECTIONS"]["{name}"] has no key {", ".join(unknown)}.',
                hint=f"Its keys are: {', '.join(sorted(CONNECTION_KEYS))}.",
                id="meetergo.E002",
            )
        yield from check_credential(
            f'["CONNECTIONS"]["{name}"]', given.get("API_KEY", ""), given.get("USER_ID", "")
        )


def check_credential(where: str, key: str, user_id: str) -> Iterator[CheckMessage]:
    place = f"{SETTING_NAME}{where}"
    if key.startswith(PERSONAL):
        if user_id:
            yield Error(
                f'{place} has a personal token and a "USER_ID".',
                hint="A personal token acts as its owner; a user id is refused. Remove USER_ID.",
                id="meetergo.E005",
            )
    elif key.startswith(PLATFORM):
        if not user_id:
            yield Error(
                f'{place} has a platform key and no "USER_ID".',
                hint="A platform key acts for a user of the company: set USER_ID to that user's id.",
                id="meetergo.E006",
            )
    else:
        yield Error(
            f'{place}["API_KEY"] is neither a personal token nor a platform key.',
            hint=f'Personal tokens begin with "{PERSONAL}", platform keys with "{PLATFORM}".',
            id="meetergo.E004",
        )


def check_background(settings: Settings) -> Iterator[CheckMessage]:
    if settings.BACKGROUND not in {"inline", "celery", "cron"}:
        yield Error(
            f'{SETTING_NAME}["BACKGROUND"] is {settings.BACKGROUND!r}.',
            hint='Use "inline", "celery" or "cron".',
            id="meetergo.E007",
        )


def check_webhooks(settings: Settings) -> Iterator[CheckMessage]:
    if any(len(token) < MIN_TOKEN_LENGTH for token in settings.WEBHOOK_TOKENS):
        yield checks.Warning(
            f'{SETTING_NAME}["WEBHOOK_TOKENS"] has a token shorter than {MIN_TOKEN_LENGTH} characters.',
            hint='Create one with python -c "import secrets; print(secrets.token_urlsafe(32))".',
            id="meetergo.W001",
        )
    if any("/" in token or "~" in token for token in settings.WEBHOOK_TOKENS):
        yield Error(
            f'{SETTING_NAME}["WEBHOOK_TOKENS"] has a token with a "/" or "~" in it.',
            hint="The token is part of a URL: use letters, digits, - and _.",
            id="meetergo.E008",
        )
    if settings.SITE_URL.startswith("http://") and not settings.SANDBOX:
        yield checks.Warning(
            f'{SETTING_NAME}["SITE_URL"] is plain http.',
            hint="meetergo calls https URLs only, and the webhook URL contains a secret.",
            id="meetergo.W002",
        )


def check_cache(settings: Settings) -> Iterator[CheckMessage]:
    backend = django_settings.CACHES.get(settings.CACHE, {}).get("BACKEND", "")
    if not backend:
        yield Error(
            f'{SETTING_NAME}["CACHE"] names {settings.CACHE!r}, which CACHES does not have.',
            id="meetergo.E009",
        )
    private = ("locmem", "dummy", "filebased")
    if not django_settings.DEBUG and not settings.SANDBOX and any(f".{name}." in backend for name in private):
        yield checks.Warning(
            "The cache of availability is not shared between processes.",
            hint="Use Redis or the database cache. Until then each process calls meetergo separately.",
            id="meetergo.W003",
        )
    yield from check_cache_size(django_settings.CACHES.get(settings.CACHE, {}), settings)


def check_cache_size(given: Mapping[str, Any], settings: Settings) -> Iterator[CheckMessage]:
    """A full database cache drops entries at random, among them the counters of the rate limit."""
    options = {name.upper(): value for name, value in {**given, **given.get("OPTIONS", {})}.items()}
    max_entries = options.get("MAX_ENTRIES", DEFAULT_MAX_ENTRIES)
    needed = 2 * settings.REQUESTS_PER_MINUTE + RESERVED_CACHE_ENTRIES
    if ".db." in given.get("BACKEND", "") and max_entries < needed:
        yield checks.Warning(
            f"The cache of availability holds {max_entries} entries, and {needed} may be needed.",
            hint='Set "OPTIONS": {"MAX_ENTRIES": 10000}. A full cache loses count of the requests, and '
            "meetergo refuses those over its limit.",
            id="meetergo.W007",
        )


def check_expiry(settings: Settings) -> Iterator[CheckMessage]:
    """Warn before a credential expires, by the date of this machine."""
    dated = {f'{SETTING_NAME}["KEY_EXPIRES"]': settings.KEY_EXPIRES}
    for name, given in settings.CONNECTIONS.items():
        dated[f'{SETTING_NAME}["CONNECTIONS"]["{name}"]["KEY_EXPIRES"]'] = given.get("KEY_EXPIRES")
    today = localdate() if django_settings.USE_TZ else date.today()  # noqa: DTZ011 - without USE_TZ a site has one time zone
    for place, day in dated.items():
        if day is None:
            continue
        if not isinstance(day, date) or isinstance(day, datetime):
            yield Error(
                f"{place} is not a date.",
                hint="Use a date, for example datetime.date(2027, 1, 31).",
                id="meetergo.E016",
            )
        elif (day - today).days <= EXPIRES_SOON_DAYS:
            yield checks.Warning(
                f"{place}: the credential expires on {day.isoformat()}.",
                hint="Create a new one at my.meetergo.com, put it into the settings and change the date.",
                id="meetergo.W005",
            )


def check_encryption(settings: Settings) -> Iterator[CheckMessage]:
    from cryptography.fernet import Fernet

    for number, key in enumerate(settings.ENCRYPTION_KEYS):
        try:
            Fernet(key)
        except (ValueError, TypeError):
            yield Error(
                f'{SETTING_NAME}["ENCRYPTION_KEYS"][{number}] is not a Fernet key.',
                hint="Create one with cryptography.fernet.Fernet.generate_key().decode().",
                id="meetergo.E017",
            )


def check_databases(settings: Settings) -> Iterator[CheckMessage]:
    """Opening a database connection takes longer than answering a webhook."""
    given = django_settings.DATABASES.get("default", {})
    is_server = "sqlite" not in given.get("ENGINE", "sqlite")
    reuses = given.get("CONN_MAX_AGE", 0) != 0 or given.get("OPTIONS", {}).get("pool")
    if is_server and not reuses and not django_settings.DEBUG and not settings.SANDBOX:
        yield checks.Warning(
            "Every request opens a new database connection.",
            hint='Set CONN_MAX_AGE to 60, or on PostgreSQL the option "pool"; behind an external pool keep 0 '
            "and silence this check.",
            id="meetergo.W006",
        )


def check_forms(settings: Settings) -> Iterator[CheckMessage]:
    for slug, path in settings.FORMS.items():
        place = f'{SETTING_NAME}["FORMS"]["{slug}"]'
        try:
            form = import_string(path)
        except ImportError as error:
            yield Error(
                f"{place} cannot be imported: {error}.",
                hint='Use the dotted path of a form, for example "shop.forms.IntroForm".',
                id="meetergo.E012",
            )
            continue
        if not (isinstance(form, type) and issubclass(form, forms.Form)):
            yield Error(
                f"{place} is not a form.",
                hint="Use a subclass of django.forms.Form; model forms are not supported.",
                id="meetergo.E013",
            )
            continue
        yield from check_questions(place, form)


def check_questions(place: str, form: type[forms.Form]) -> Iterator[CheckMessage]:
    questions = form.base_fields
    if len(questions) > MAX_QUESTIONS:
        yield Error(f"{place} has more than {MAX_QUESTIONS} questions.", id="meetergo.E014")
    if files := [name for name, field in questions.items() if isinstance(field, forms.FileField)]:
        yield Error(
            f"{place} asks for files: {', '.join(files)}.",
            hint="meetergo stores answers as text. Request files on a page of your own.",
            id="meetergo.E015",
        )


def check_embed(settings: Settings) -> Iterator[CheckMessage]:
    if isinstance(settings.EMBED_HOSTS, str) or any("/" in host for host in settings.EMBED_HOSTS):
        yield checks.Warning(
            f'{SETTING_NAME}["EMBED_HOSTS"] is not a list of host names.',
            hint='Use host names without "https://", for example ["cal.meetergo.com"].',
            id="meetergo.W004",
        )
