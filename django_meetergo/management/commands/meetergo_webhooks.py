"""Manage this site's webhook at meetergo."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from django_meetergo.conf import DEFAULT_CONNECTION
from django_meetergo.exceptions import InvalidRequest, PermissionRefused, RemoteError, WebhookLimitReached
from django_meetergo.services.clients import build_client
from django_meetergo.services.webhooks.registration import build_endpoint, ensure_webhook, remove_webhook

MAX_WEBHOOKS = 6


class Command(BaseCommand):
    help = "List, register or remove this site's webhook at meetergo. Other webhooks are not touched."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("action", choices=["list", "ensure", "remove"])
        parser.add_argument("--connection", default=DEFAULT_CONNECTION)

    def handle(self, *args: Any, **options: Any) -> None:
        action = getattr(self, options["action"])
        try:
            action(options["connection"])
        except InvalidRequest as error:
            raise CommandError(str(error)) from error
        except WebhookLimitReached as error:
            raise CommandError(
                f"All {MAX_WEBHOOKS} webhooks are in use. Remove one that you no longer need at meetergo."
            ) from error
        except PermissionRefused as error:
            raise CommandError(
                "The credential may not manage webhooks: a token limited to scheduling needs the scope "
                "“account” as well."
            ) from error
        except RemoteError as error:
            raise CommandError(str(error)) from error

    def list(self, connection: str) -> None:
        own = build_endpoint(connection)
        hooks = build_client(connection, "sync").list_webhooks()
        for hook in hooks:
            owner = "this site" if hook.endpoint == own else "another endpoint"
            self.stdout.write(f"{hook.id}  {owner}  {', '.join(hook.event_types)}")
        self.stdout.write(f"{len(hooks)} of {MAX_WEBHOOKS} webhooks are in use.")

    def ensure(self, connection: str) -> None:
        hook = ensure_webhook(connection=connection, client=build_client(connection, "sync"))
        self.stdout.write(f"Webhook {hook.id} of meetergo calls this site.")

    def remove(self, connection: str) -> None:
        if remove_webhook(connection=connection, client=build_client(connection, "sync")):
            self.stdout.write("The webhook of this site was removed.")
        else:
            self.stdout.write("This site had no webhook.")
