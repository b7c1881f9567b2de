"""The base of the commands that use the tables."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError
from django.core.validators import validate_email
from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor

from django_meetergo.transactions import is_database_away


class DatabaseCommand(BaseCommand):
    """A command that names a database that is away, or a missing migration, instead of the failed SQL."""

    def execute(self, *args: Any, **options: Any) -> str | None:
        try:
            return super().execute(*args, **options)
        except DatabaseError as error:
            if is_database_away(error):
                raise CommandError(
                    f"The database cannot be read or written at the moment. ({error})"
                ) from error
            if not lacks_migrations():
                raise
            raise CommandError(
                f"The database lacks migrations of django-meetergo: run manage.py migrate. ({error})"
            ) from error


def read_email(options: dict[str, Any]) -> str:
    """Return the address that a command was given; raises CommandError if it is none."""
    email: str = options["email"].strip()
    try:
        validate_email(email)
    except ValidationError as error:
        raise CommandError(f"{email!r} is not an e-mail address.") from error
    return email


def lacks_migrations() -> bool:
    """Return whether a migration of this app is not applied; False if the database cannot say."""
    try:
        executor = MigrationExecutor(connection)
        targets = [key for key in executor.loader.graph.leaf_nodes() if key[0] == "meetergo"]
        return bool(executor.migration_plan(targets))
    except DatabaseError:
        return False
