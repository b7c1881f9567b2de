"""Re-encrypt stored secrets."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandError, CommandParser

from django_meetergo.management.base import DatabaseCommand
from django_meetergo.services.privacy.key_rotation import Rotation, rotate_keys


class Command(DatabaseCommand):
    help = (
        "Re-encrypt every secret with the first key in ENCRYPTION_KEYS. An interrupted run can be repeated."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--discard",
            action="store_true",
            help="discard secrets that no key decrypts; meetergo_sync --kind full reads them again",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        report = rotate_keys(
            discard=options["discard"], on_batch=self.show_progress if self.stdout.isatty() else None
        )
        if options["verbosity"] > 0:
            self.stdout.write(f"{report.rotated} secrets re-encrypted, {report.current} were up to date.")
        if report.unreadable:
            raise CommandError(
                f"{report.unreadable} secrets cannot be decrypted with any key. Put the missing key back "
                "into ENCRYPTION_KEYS, and remove no other key until this command succeeds. "
                "If it is lost: meetergo_rotate_keys --discard, then meetergo_sync --kind full."
            )

    def show_progress(self, report: Rotation) -> None:
        self.stdout.write(f"\r{report.rotated + report.current}", ending="\r")
        self.stdout.flush()
