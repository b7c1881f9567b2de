"""Manage this site's webhook at meetergo."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandError, CommandParser

from django_meetergo.exceptions import InvalidRequest, PermissionRefused, WebhookLimitReached
from django_meetergo.management.base import DatabaseCommand
from django_meetergo.management.connections import choose_connections, run_for_each
from django_meetergo.services.clients import build_client
from django_meetergo.services.companies import find_covering
from django_meetergo.services.webhooks.registration import (
    WEBHOOK_PLACES,
    build_endpoint,
    ensure_webhook,
    find_own_connection,
    remove_webhook,
)


class Command(DatabaseCommand):
    help = "List, register or remove this site's webhooks at meetergo. Other webhooks are not touched."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "action",
            choices=["list", "ensure", "remove"],
            help="list all; register this site's address, or correct it; remove it",
        )
        parser.add_argument("--connection", help="only this connection (default: all)")

    def handle(self, *args: Any, **options: Any) -> None:
        action = getattr(self, options["action"])

        def run(connection: str) -> None:
            try:
                action(connection)
            except InvalidRequest as error:
                raise CommandError(str(error)) from error
            except WebhookLimitReached as error:
                raise CommandError(
                    f"{connection}: all {WEBHOOK_PLACES} webhooks are in use. "
                    "Remove one that you no longer need at meetergo."
                ) from error
            except PermissionRefused as error:
                raise CommandError(
                    f"{connection}: the credential may not manage webhooks. "
                    "A token limited to scheduling needs the scope “account” as well."
                ) from error

        run_for_each(choose_connections(options["connection"]), run)

    def list(self, connection: str) -> None:
        endpoint = build_endpoint(connection)
        hooks = build_client(connection, "sync").list_webhooks()
        for hook in hooks:
            owner = find_own_connection(hook, connection)
            if owner is None:
                text = "another endpoint"
            elif owner == connection and hook.endpoint != endpoint:
                text = "this site, outdated: run meetergo_webhooks ensure"
            else:
                text = "this site" if owner == connection else f"this site, connection {owner}"
            self.stdout.write(f"{hook.id}  {text}  {', '.join(hook.event_types)}")
        self.stdout.write(f"{connection}: {len(hooks)} of {WEBHOOK_PLACES} webhooks are in use.")

    def ensure(self, connection: str) -> None:
        if covering := find_covering(connection):
            remove_webhook(connection=connection, client=build_client(connection, "sync"))
            self.stdout.write(f"{connection}: not needed, connection {covering} receives the same events.")
            return
        hook = ensure_webhook(connection=connection, client=build_client(connection, "sync"))
        self.stdout.write(f"{connection}: webhook {hook.id} of meetergo calls this site.")

    def remove(self, connection: str) -> None:
        if remove_webhook(connection=connection, client=build_client(connection, "sync")):
            self.stdout.write(f"{connection}: the webhook of this site was removed.")
        else:
            self.stdout.write(f"{connection}: meetergo has no webhook of this site.")
