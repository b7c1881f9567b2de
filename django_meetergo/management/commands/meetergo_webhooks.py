from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from django_meetergo.conf import DEFAULT_CONNECTION
from django_meetergo.exceptions import InvalidRequest, PermissionRefused, RemoteError, WebhookLimitReached
from django_meetergo.services.clients import build_client
from django_meetergo.services.webhooks.registration import build_endpoint, ensure_webhook, remove_webhook

PLACES = 6


class Command(BaseCommand):
    help = "Show, enter or remove this site's address in meetergo's list of webhooks. Others are not touched."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("action", choices=["list", "ensure", "remove"])
        parser.add_argument("--connection", default=DEFAULT_CONNECTION)

    def handle(self, *args: Any, **options: Any) -> None:
        act = getattr(self, options["action"])
        try:
            act(options["connection"])
        except InvalidRequest as error:
            raise CommandError(str(error)) from error
        except WebhookLimitReached as error:
            raise CommandError(
                f"All {PLACES} places are taken. Remove an address you no longer need at meetergo."
            ) from error
        except PermissionRefused as error:
            raise CommandError(
                "The credential may not see webhooks: a token limited to scheduling needs the area "
                "“account” as well."
            ) from error
        except RemoteError as error:
            raise CommandError(str(error)) from error

    def list(self, connection: str) -> None:
        own = build_endpoint(connection)
        hooks = build_client(connection, "sync").list_webhooks()
        for hook in hooks:
            whose = "this site" if hook.endpoint == own else "somebody else"
            self.stdout.write(f"{hook.id}  {whose}  {', '.join(hook.event_types)}")
        self.stdout.write(f"{len(hooks)} of {PLACES} places are used.")

    def ensure(self, connection: str) -> None:
        hook = ensure_webhook(connection=connection, client=build_client(connection, "sync"))
        self.stdout.write(f"meetergo calls this site as webhook {hook.id}.")

    def remove(self, connection: str) -> None:
        if remove_webhook(connection=connection, client=build_client(connection, "sync")):
            self.stdout.write("meetergo no longer calls this site.")
        else:
            self.stdout.write("meetergo did not call this site.")
