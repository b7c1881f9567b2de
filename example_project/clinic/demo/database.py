"""The demo's database, which is created anew for each run."""

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


def is_demo_database() -> bool:
    """Return whether the site uses the demo's own file."""
    database = settings.DATABASES["default"]
    return "sqlite3" in database["ENGINE"] and Path(database["NAME"]) == settings.DEMO_DATABASE


@contextmanager
def lock_database() -> Iterator[None]:
    """Lock the demo's file against other demos until the block or this process ends."""
    if not is_demo_database():
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
    """Migrate the database, in a new file unless ``keep`` is set; return a sentence about it."""
    if not is_demo_database():
        message = "Your own database (DATABASE_URL), migrated; nothing was removed."
    elif keep and settings.DEMO_DATABASE.exists():
        message = "Kept from the last demo."
    else:
        remove_database()
        message = "A new one."
    call_command("migrate", verbosity=0, interactive=False)
    return message


def remove_database() -> None:
    """Remove the demo's file and the files SQLite keeps beside it."""
    connections.close_all()
    for suffix in ("", "-wal", "-shm", "-journal"):
        settings.DEMO_DATABASE.with_name(settings.DEMO_DATABASE.name + suffix).unlink(missing_ok=True)


def ensure_admin() -> str:
    """Create an admin with a public password, with ``DEBUG`` only; return how to log in."""
    if not settings.DEBUG:
        return "create a login with manage.py createsuperuser"
    users = get_user_model()._default_manager
    if not users.filter(username=LOGIN).exists():
        users.create_superuser(LOGIN, password=LOGIN)
    return f"log in as {LOGIN} / {LOGIN}"
