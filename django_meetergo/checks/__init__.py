"""System checks of the settings. They make no call. Those in ``database`` query it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from django.core.checks import CheckMessage, Tags, register
from django.db import DEFAULT_DB_ALIAS, DatabaseError, connection
from django.utils.connection import ConnectionDoesNotExist

from django_meetergo.checks import addresses, credentials, database, forms, infrastructure, site
from django_meetergo.checks.messages import make_settings_error
from django_meetergo.conf import Settings, get_raw_settings, get_settings, list_problems

SETTINGS_CHECKS: Sequence[Callable[[Settings], Iterable[CheckMessage]]] = (
    credentials.check_credentials,
    credentials.check_expiry,
    credentials.check_encryption,
    addresses.check_service_address,
    addresses.check_site_address,
    addresses.check_webhook_tokens,
    addresses.check_alert_addresses,
    addresses.check_embed_hosts,
    addresses.check_privacy_address,
    addresses.check_visitor_address,
    infrastructure.check_background,
    infrastructure.check_cache,
    infrastructure.check_databases,
    site.check_project,
    site.check_templates,
    site.check_policy,
    forms.check_forms,
)
DEPLOYMENT_CHECKS: Sequence[Callable[[Settings], Iterable[CheckMessage]]] = (
    addresses.check_deployed_service,
    addresses.check_deployed_proxy,
    addresses.check_deployed_webhooks,
)


@register("meetergo")
def check_settings(app_configs: Any, **kwargs: Any) -> Sequence[CheckMessage]:
    found = [make_settings_error(place, problem) for place, problem in list_problems(get_raw_settings())]
    # A value of a wrong type would make the other checks fail.
    return found or run_checks(SETTINGS_CHECKS)


@register("meetergo", Tags.security, deploy=True)
def check_deployment(app_configs: Any, **kwargs: Any) -> Sequence[CheckMessage]:
    return [] if any(list_problems(get_raw_settings())) else run_checks(DEPLOYMENT_CHECKS)


@register("meetergo", Tags.database)
def check_database(
    app_configs: Any, databases: Sequence[str] | None = None, **kwargs: Any
) -> Sequence[CheckMessage]:
    """Run in ``migrate`` and ``check --database default``."""
    if DEFAULT_DB_ALIAS not in (databases or ()) or any(list_problems(get_raw_settings())):
        return []
    from django_meetergo.models import MeetingType

    try:
        if MeetingType._meta.db_table not in connection.introspection.table_names():
            return []
        return [*database.check_slugs(), *database.check_removed_connections()]
    except (DatabaseError, ConnectionDoesNotExist):
        # Images are built where no database is at hand; a router may name one that there is not.
        return []


def run_checks(checks: Sequence[Callable[[Settings], Iterable[CheckMessage]]]) -> list[CheckMessage]:
    return [message for check in checks for message in check(get_settings())]
