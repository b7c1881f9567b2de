"""System checks that query the database: they run in ``migrate`` and ``check --database``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from django.core import checks
from django.core.checks import CheckMessage, Tags, register
from django.db import DEFAULT_DB_ALIAS, DatabaseError, connection

from django_meetergo.conf import (
    SETTING_NAME,
    get_raw_settings,
    get_settings,
    list_connection_names,
    list_problems,
)


@register("meetergo", Tags.database)
def check_slugs(
    app_configs: Any, databases: Sequence[str] | None = None, **kwargs: Any
) -> list[CheckMessage]:
    """Warn about forms for meeting types that do not exist. Runs in ``migrate`` and ``check --database``."""
    from django_meetergo.models import MeetingType

    rows = MeetingType.objects.order_by("slug").values_list("slug", "connection", "raw__slug")
    types = query_if_possible(databases, lambda: list(rows))
    known = {slug: f"{slug} ({name}: {at_meetergo})" for slug, name, at_meetergo in types}
    return [
        checks.Warning(
            f'{SETTING_NAME}["FORMS"]["{slug}"] is for a meeting type that this site does not have.',
            hint=f"The slugs are, with connection and slug at meetergo: {', '.join(known.values())}.",
            id="meetergo.W011",
        )
        for slug in (get_settings().FORMS if known else ())
        if slug not in known
    ]


@register("meetergo", Tags.database)
def check_removed_connections(
    app_configs: Any, databases: Sequence[str] | None = None, **kwargs: Any
) -> list[CheckMessage]:
    """Warn about connections that were removed from the settings and still have rows that matter."""
    from django_meetergo.services.health import list_reported_connections

    used = query_if_possible(databases, list_reported_connections)
    configured = list_connection_names() if used else []
    return [
        checks.Warning(
            f'{SETTING_NAME}["CONNECTIONS"] has no connection {name!r}, which this site still has rows of.',
            hint="Its meeting types are not offered and its appointments cannot be changed. Add it again "
            "under this name; if it was removed on purpose, silence this check.",
            id="meetergo.W012",
        )
        for name in used
        if name not in configured
    ]


def query_if_possible(databases: Sequence[str] | None, query: Callable[[], list[Any]]) -> list[Any]:
    """Return what a query finds; nothing where the database shall not be asked, or has no tables yet."""
    if DEFAULT_DB_ALIAS not in (databases or ()) or any(list_problems(get_raw_settings())):
        return []
    from django_meetergo.models import MeetingType

    try:
        is_migrated = MeetingType._meta.db_table in connection.introspection.table_names()
        return query() if is_migrated else []
    except DatabaseError:
        return []  # images are built where no database is at hand
