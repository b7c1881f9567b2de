"""Checks of what the app runs on: background work, cache and database."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from django.apps import apps
from django.conf import settings as django_settings
from django.core.checks import CheckMessage
from django.db import DEFAULT_DB_ALIAS, router

from django_meetergo.checks.messages import make_error, make_warning
from django_meetergo.conf import SETTING_NAME, Settings

DEFAULT_MAX_ENTRIES = 300
RESERVED_CACHE_ENTRIES = 1000  # availability documents, locks and limits; the site's own entries come on top


def check_background(settings: Settings) -> Iterator[CheckMessage]:
    if settings.BACKGROUND == "celery":
        yield from check_celery()
    if settings.BACKGROUND == "tasks":
        yield from check_tasks()


def check_celery() -> Iterator[CheckMessage]:
    if find_spec("celery") is None:
        yield make_error(
            "E023",
            f'{SETTING_NAME}["BACKGROUND"] is "celery", and Celery is not installed.',
            "Install it: pip install django-meetergo[celery].",
        )
        return
    from celery import current_app

    # Where nobody has made an application, Celery makes one without settings.
    if current_app.main == "default" and not current_app.conf.broker_url:
        yield make_warning(
            "W017",
            f'{SETTING_NAME}["BACKGROUND"] is "celery", and no Celery application with a broker is loaded.',
            "Create the application in celery.py of your project, import it in the project's __init__.py, "
            "and set its broker_url.",
        )


def check_tasks() -> Iterator[CheckMessage]:
    """Refuse what runs the work inside the request, or never."""
    package = next((name for name in ("django.tasks", "django_tasks") if find_spec(name)), None)
    if package is None:
        yield make_error(
            "E029",
            f'{SETTING_NAME}["BACKGROUND"] is "tasks", and this Django has no task framework.',
            "Use Django 6.0 or newer, or install django-tasks: pip install django-meetergo[tasks].",
        )
    elif problem := find_task_problem(package):
        yield make_error(
            "E030",
            f'{SETTING_NAME}["BACKGROUND"] is "tasks", and TASKS["default"] {problem}.',
            "Configure a backend with workers of its own, for example django-tasks-db, and start them.",
        )


def find_task_problem(package: str) -> str:
    """Return why the default backend of the task framework cannot be used; "" if it can."""
    try:
        backend = import_module(package).task_backends["default"]
    except Exception as error:  # noqa: BLE001 - backends raise errors of their own, and a check must report them
        return f"cannot be loaded: {error}"
    for kind, effect in (("immediate", "runs tasks inside the request"), ("dummy", "runs no tasks")):
        if any(each.__module__ == f"{package}.backends.{kind}" for each in type(backend).__mro__):
            return effect
    if backend.queues and "default" not in backend.queues:
        return 'has no queue "default"'
    return ""


def check_cache(settings: Settings) -> Iterator[CheckMessage]:
    backend = django_settings.CACHES.get(settings.CACHE, {}).get("BACKEND", "")
    if not backend:
        yield make_error(
            "E009",
            f'{SETTING_NAME}["CACHE"] names {settings.CACHE!r}, which CACHES does not have.',
            "Use the alias of an entry in CACHES.",
        )
    private = ("locmem", "dummy", "filebased")
    if settings.BACKGROUND != "inline" and ".locmem." in backend:
        yield make_warning(
            "W020",
            f'BACKGROUND is "{settings.BACKGROUND}", so another process refreshes free times, and this cache '
            "does not receive them: pages may show times that are fifteen minutes old.",
            'Use a cache that all processes share (Redis, the database, files), or BACKGROUND "inline".',
        )
    if not django_settings.DEBUG and not settings.SANDBOX and any(f".{name}." in backend for name in private):
        yield make_warning(
            "W003",
            "The cache of availability is not shared by all processes and machines of the site.",
            "Use Redis or the database cache. Until then each of them calls meetergo separately.",
        )
    yield from check_cache_size(django_settings.CACHES.get(settings.CACHE, {}), settings)


def check_cache_size(given: Mapping[str, Any], settings: Settings) -> Iterator[CheckMessage]:
    """A full cache of these kinds drops entries at random, among them the counters of the rate limit."""
    options = {name.upper(): value for name, value in {**given, **given.get("OPTIONS", {})}.items()}
    try:
        max_entries = int(options.get("MAX_ENTRIES", DEFAULT_MAX_ENTRIES))
    except (TypeError, ValueError):
        max_entries = DEFAULT_MAX_ENTRIES  # as Django reads it
    needed = 2 * settings.REQUESTS_PER_MINUTE + RESERVED_CACHE_ENTRIES
    is_culled = any(kind in given.get("BACKEND", "") for kind in (".db.", ".filebased."))
    if is_culled and max_entries < needed:
        yield make_warning(
            "W007",
            f"The cache of availability holds {max_entries} entries, and {needed} may be needed.",
            'Set "OPTIONS": {"MAX_ENTRIES": 10000}. A full cache loses count of the requests, and '
            "meetergo refuses those over its limit.",
        )


def check_databases(settings: Settings) -> Iterator[CheckMessage]:
    """Opening a connection takes longer than answering a webhook; all statements belong to one database."""
    given = django_settings.DATABASES.get(DEFAULT_DB_ALIAS, {})
    is_real = not django_settings.DEBUG and not settings.SANDBOX
    is_server = "sqlite" not in given.get("ENGINE", "sqlite")
    reuses = given.get("CONN_MAX_AGE", 0) != 0 or given.get("OPTIONS", {}).get("pool")
    if is_server and not reuses and is_real:
        yield make_warning(
            "W006",
            "Every request opens a new database connection.",
            'Set CONN_MAX_AGE to 60, or on PostgreSQL the option "pool"; behind an external pool keep 0 '
            "and silence this check.",
        )
    options = given.get("OPTIONS", {})
    is_tuned = (
        str(options.get("transaction_mode")).upper() == "IMMEDIATE"
        and "wal" in options.get("init_command", "").lower()
    )
    if not is_server and not is_tuned and is_real:
        yield make_warning(
            "W009",
            "SQLite is not set up for several writers: the site's own transactions may fail.",
            'Add "OPTIONS": {"transaction_mode": "IMMEDIATE", "init_command": "PRAGMA journal_mode=WAL"}.',
        )
    model = apps.get_model("meetergo", "Booking")
    problem = ""
    if router.db_for_write(model) != DEFAULT_DB_ALIAS:
        problem = "puts the tables of django-meetergo into another database"
    elif router.db_for_read(model) != DEFAULT_DB_ALIAS:
        # A replica lacks the row that the same transaction has just written.
        problem = "reads the tables of django-meetergo from another database"
    if problem:
        yield make_error(
            "E022",
            f"A database router {problem}.",
            'Its transactions use "default": let the router return None for the app "meetergo".',
        )
