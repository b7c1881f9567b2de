from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from django_meetergo.services import privacy


class Command(BaseCommand):
    help = "Write every secret anew with the first of the encryption keys. An interrupted run goes on later."

    def handle(self, *args: Any, **options: Any) -> None:
        report = privacy.rotate_keys(show=self.show if self.stdout.isatty() else None)
        if options["verbosity"] > 0:
            self.stdout.write(f"{report.rotated} rotated, {report.current} were under the first key already.")
        if report.unreadable:
            raise CommandError(
                f"{report.unreadable} secrets open with none of the keys. Put the lost key back into "
                "ENCRYPTION_KEYS; remove no other key until this command ends without a complaint."
            )

    def show(self, report: privacy.Rotation) -> None:
        self.stdout.write(f"\r{report.rotated + report.current}", ending="\r")
        self.stdout.flush()
