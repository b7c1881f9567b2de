"""The demo's own database: made anew each time, and never anybody else's."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.db import connections

from clinic.demo.servers import DemoError

LOGIN = "demo"


def is_own() -> bool:
    """Whether the site uses the file that belongs to the demo."""
    database = settings.DATABASES["default"]
    return "sqlite3" in database["ENGINE"] and Path(database["NAME"]) == settings.DEMO_DATABASE


@contextmanager
def hold_database() -> Iterator[None]:
    """Keep other demos away from the demo's file. The lock goes with this process, however it ends."""
    if not is_own():
        yield
        return
    lock = settings.DEMO_DATABASE.with_name("demo-lock.sqlite3")
    with closing(sqlite3.connect(lock, timeout=0, isolation_level=None)) as connection:
        try:
            connection.execute("BEGIN EXCLUSIVE")
        except sqlite3.OperationalError as error:
            raise DemoError(
                "A demo is running already: stop it, or give this one a database of its own, "
                "for example DATABASE_URL=sqlite:////tmp/clinic.sqlite3."
            ) from error
        yield


def prepare_database(*, keep: bool) -> str:
    """Bring the tables up to date, in a fresh file unless ``keep``; a sentence about what was done."""
    if not is_own():
        said = "Your own database (DATABASE_URL): brought up to date, nothing removed."
    elif keep and settings.DEMO_DATABASE.exists():
        said = "The former demo's database, kept."
    else:
        remove_database()
        said = "A fresh one."
    call_command("migrate", verbosity=0, interactive=False)
    return said


def remove_database() -> None:
    """Remove the demo's file and what SQLite keeps beside it."""
    connections.close_all()
    for ending in ("", "-wal", "-shm", "-journal"):
        settings.DEMO_DATABASE.with_name(settings.DEMO_DATABASE.name + ending).unlink(missing_ok=True)


def ensure_admin() -> str:
    """A login for the admin whose password everybody knows, so only while debugging; how to log in."""
    if not settings.DEBUG:
        return "make a login with manage.py createsuperuser"
    users = get_user_model()._default_manager
    if not users.filter(username=LOGIN).exists():
        users.create_superuser(LOGIN, password=LOGIN)
    return f"log in as {LOGIN} / {LOGIN}"
