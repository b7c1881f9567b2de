"""System checks of the settings. They make no query and no call."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from importlib.util import find_spec
from typing import Any
from urllib.parse import urlsplit

from django import forms
from django.apps import apps
from django.conf import settings as django_settings
from django.core import checks
from django.core.checks import CheckMessage, Error, Tags, register
from django.db import DEFAULT_DB_ALIAS, DatabaseError, connection, router
from django.http import HttpRequest
from django.template import TemplateDoesNotExist, TemplateSyntaxError
from django.template.backends.django import Template as DjangoTemplate
from django.template.loader import get_template
from django.urls import NoReverseMatch, reverse
from django.utils.module_loading import import_string
from django.utils.timezone import localdate

from django_meetergo.conf import SETTING_NAME, Settings, get_raw_settings, get_settings, list_problems

PERSONAL, PLATFORM = "rgo-", "ak_live:"
MIN_TOKEN_LENGTH = 24
EXPIRES_SOON_DAYS = 14
REAL_HOST = "api.meetergo.com"
DEFAULT_MAX_ENTRIES = 300
RESERVED_CACHE_ENTRIES = 1000  # availability documents, locks and limits; the site's own entries come on top
MAX_QUESTIONS = 49  # meetergo accepts 50 answers, and our reference is one of them


@register("meetergo")
def check_settings(app_configs: Any, **kwargs: Any) -> Sequence[CheckMessage]:
    if found := [build_error(place, problem) for place, problem in list_problems(get_raw_settings())]:
        return found
    settings = get_settings()
    return [message for check in SETTINGS_CHECKS for message in check(settings)]


def build_error(place: str, problem: str) -> Error:
    """Return the error for a key that is unknown or has a wrong value."""
    if not place and not problem.startswith("has no key"):
        number, hint = "E001", 'Set it to a dictionary, for example {"API_KEY": "…"}.'
    elif problem.startswith("has no key"):
        number, hint = "E002", "Correct or remove the key: as it is, it has no effect."
    elif "KEY_EXPIRES" in place:
        number, hint = "E016", "Use a date, for example datetime.date(2027, 1, 31)."
    else:
        number, hint = "E018", "See the reference of the settings for the type and the default of this key."
    return Error(f"{SETTING_NAME}{place} {problem}.", hint=hint, id=f"meetergo.{number}")


@register("meetergo", Tags.security, deploy=True)
def check_deployment(app_configs: Any, **kwargs: Any) -> Sequence[CheckMessage]:
    if any(list_problems(get_raw_settings())):
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


@register("meetergo", Tags.database)
def check_slugs(
    app_configs: Any, databases: Sequence[str] | None = None, **kwargs: Any
) -> list[CheckMessage]:
    """Warn about forms for meeting types that do not exist. Runs in ``migrate`` and ``check --database``."""
    if DEFAULT_DB_ALIAS not in (databases or ()) or any(list_problems(get_raw_settings())):
        return []
    from django_meetergo.models import MeetingType

    try:
        if MeetingType._meta.db_table not in connection.introspection.table_names():
            return []
        known = set(MeetingType.objects.values_list("slug", flat=True))
    except DatabaseError:
        return []  # images are built where no database is at hand
    return [
        checks.Warning(
            f'{SETTING_NAME}["FORMS"]["{slug}"] is for a meeting type that this site does not have.',
            hint=f"The slugs are: {', '.join(sorted(known))}.",
            id="meetergo.W011",
        )
        for slug in get_settings().FORMS
        if known and slug not in known
    ]


def check_credentials(settings: Settings) -> Iterator[CheckMessage]:
    if not settings.API_KEY and not settings.CONNECTIONS:
        # No error: images are built, and migrations run, where no credential is at hand.
        yield checks.Warning(
            f'{SETTING_NAME} has no credential: set "API_KEY".',
            hint="Create a token at my.meetergo.com/integrations, or use the sandbox: "
            "manage.py meetergo_sandbox prints a key.",
            id="meetergo.W008",
        )
    if settings.API_KEY:
        yield from check_credential("", settings.API_KEY, settings.USER_ID)
    for name, given in settings.CONNECTIONS.items():
        yield from check_credential(
            f'["CONNECTIONS"]["{name}"]', given.get("API_KEY", ""), given.get("USER_ID", "")
        )


def check_credential(where: str, key: str, user_id: str) -> Iterator[CheckMessage]:
    place = f"{SETTING_NAME}{where}"
    if not key:
        yield checks.Warning(
            f'{place} has no "API_KEY".', hint="Set it, or remove the connection.", id="meetergo.W008"
        )
    elif key.startswith(PERSONAL):
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
    if settings.BACKGROUND == "celery" and find_spec("celery") is None:
        yield Error(
            f'{SETTING_NAME}["BACKGROUND"] is "celery", and Celery is not installed.',
            hint="Install it: pip install django-meetergo[celery].",
            id="meetergo.E023",
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
    parts = urlsplit(settings.SITE_URL)
    if settings.SITE_URL and (parts.scheme not in {"http", "https"} or not parts.hostname):
        yield Error(
            f'{SETTING_NAME}["SITE_URL"] is not the address of a site.',
            hint='Write it with its scheme: "https://www.example.com".',
            id="meetergo.E024",
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
            hint="Use the alias of an entry in CACHES.",
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
    today = localdate() if django_settings.USE_TZ else date.today()  # noqa: DTZ011 - see check_site()
    for place, day in dated.items():
        if day is not None and (day - today).days <= EXPIRES_SOON_DAYS:
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
    options = given.get("OPTIONS", {})
    is_tuned = (
        options.get("transaction_mode") == "IMMEDIATE" and "wal" in options.get("init_command", "").lower()
    )
    if not is_server and not is_tuned and not django_settings.DEBUG and not settings.SANDBOX:
        yield checks.Warning(
            "SQLite is not set up for several writers: the site's own transactions may fail.",
            hint='Add "OPTIONS": {"transaction_mode": "IMMEDIATE", '
            '"init_command": "PRAGMA journal_mode=WAL"}.',
            id="meetergo.W009",
        )
    if router.db_for_write(apps.get_model("meetergo", "Booking")) != DEFAULT_DB_ALIAS:
        yield Error(
            "A database router puts the tables of django-meetergo into another database.",
            hint='Its transactions use "default": let the router return None for the app "meetergo".',
            id="meetergo.E022",
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
    from django_meetergo.presentation.questions import takes_file

    questions = list_question_fields(form)
    if len(questions) > MAX_QUESTIONS:
        yield Error(
            f"{place} has more than {MAX_QUESTIONS} questions.",
            hint="meetergo accepts no more.",
            id="meetergo.E014",
        )
    if files := [name for name, field in questions.items() if takes_file(field)]:
        yield Error(
            f"{place} asks for files: {', '.join(files)}.",
            hint="meetergo stores answers as text. Request files on a page of your own.",
            id="meetergo.E015",
        )


def list_question_fields(form: type[forms.Form]) -> dict[str, forms.Field]:
    """Return the fields of a form, those that its ``__init__`` adds among them.

    A form that cannot be built for a visitor who is not signed in is judged by its class alone.
    """
    from django.contrib.auth.models import AnonymousUser

    from django_meetergo.presentation.questions import takes_request

    request: Any = HttpRequest()
    request.user, request.session = AnonymousUser(), {}
    try:
        return dict(form(**({"request": request} if takes_request(form) else {})).fields)
    except Exception:  # noqa: BLE001 - the site's own code, which may need a real request or the database
        return dict(form.base_fields)


def check_embed(settings: Settings) -> Iterator[CheckMessage]:
    if any("/" in host for host in settings.EMBED_HOSTS):
        yield checks.Warning(
            f'{SETTING_NAME}["EMBED_HOSTS"] is not a list of host names.',
            hint='Use host names without "https://", for example ["cal.meetergo.com"].',
            id="meetergo.W004",
        )


def check_site(settings: Settings) -> Iterator[CheckMessage]:
    """Check what the app needs of the site: time zones, its URLs, a base template and a policy."""
    if not django_settings.USE_TZ:
        yield Error(
            "USE_TZ is False: appointments would be stored without a time zone.",
            hint="Set USE_TZ = True.",
            id="meetergo.E021",
        )
    try:
        reverse("meetergo:index")
    except NoReverseMatch:
        yield checks.Warning(
            "The URLs of django-meetergo are not included.",
            hint='Add path("book/", include("django_meetergo.urls")) to the URLconf.',
            id="meetergo.W010",
        )
    yield from check_template(settings.BASE_TEMPLATE)
    yield from check_policy(settings.POLICY)


def check_template(name: str) -> Iterator[CheckMessage]:
    problem = ""
    try:
        template = get_template(name)
    except TemplateDoesNotExist as error:
        problem = f"is not found: {error}"
    except TemplateSyntaxError as error:
        problem = f"has an error: {error}"
    else:
        if not isinstance(template, DjangoTemplate):
            problem = "is not a template of Django's own engine"
    if problem:
        yield Error(
            f'{SETTING_NAME}["BASE_TEMPLATE"] {problem}.',
            hint='Name a Django template that has the blocks of "meetergo/base.html".',
            id="meetergo.E020",
        )


def check_policy(path: str) -> Iterator[CheckMessage]:
    problem = ""
    try:
        policy = import_string(path)
    except ImportError as error:
        problem = f"cannot be imported: {error}"
    else:
        if not callable(policy):
            problem = "is not a function"
    if problem:
        yield Error(
            f'{SETTING_NAME}["POLICY"] {problem}.',
            hint='Use the dotted path of a function, for example "shop.policies.may_change".',
            id="meetergo.E019",
        )


SETTINGS_CHECKS = (
    check_credentials,
    check_background,
    check_webhooks,
    check_cache,
    check_expiry,
    check_encryption,
    check_databases,
    check_site,
    check_forms,
    check_embed,
)
