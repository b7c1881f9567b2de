"""Run due work."""

from __future__ import annotations

import time
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.db import close_old_connections
from django.utils import timezone

from django_meetergo.management.base import DatabaseCommand
from django_meetergo.services import scheduler
from django_meetergo.transactions import DATABASE_ERRORS, is_database_away

MAX_PAUSE_SECONDS = 3600


class Command(DatabaseCommand):
    help = "Run everything that is due: bookings, changes, webhooks, events, syncs. Runs may overlap."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--loop", action="store_true", help="repeat until stopped")
        parser.add_argument(
            "--every", type=float, default=5.0, help="with --loop: seconds between two runs (default: 5)"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if not 0 < options["every"] <= MAX_PAUSE_SECONDS:
            raise CommandError(
                f"--every must be more than 0 and at most {MAX_PAUSE_SECONDS} seconds.", returncode=2
            )
        while True:
            counts: dict[str, int] = {}
            try:
                counts = scheduler.run_due(timezone.now())
            except DATABASE_ERRORS as error:
                # A supervisor gives up a program that ends again and again within seconds.
                if not options["loop"] or not is_database_away(error):
                    raise
                self.stderr.write(
                    f"The database cannot be read or written at the moment; it is tried again. ({error})"
                )
            if options["verbosity"] > 0:
                for name, number in counts.items():
                    self.stdout.write(f"{name}: {number}")
            if not options["loop"]:
                return
            close_old_connections()
            time.sleep(options["every"])
