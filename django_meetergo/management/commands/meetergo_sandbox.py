"""Start the sandbox."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from django_meetergo.sandbox import __main__ as sandbox


class Command(BaseCommand):
    help = "Serve a small meetergo with a seeded clinic on this computer; no account is needed."
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        sandbox.add_arguments(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        no_limit = options["no_rate_limit"]
        if sandbox.serve(options["port"], profile=options["profile"], rate_limit=not no_limit):
            raise CommandError("The sandbox was not started.")
