"""Delete old data."""

from __future__ import annotations

from typing import Any

from django.utils import timezone

from django_meetergo.management.base import DatabaseCommand
from django_meetergo.services.privacy.retention import prune


class Command(DatabaseCommand):
    help = "Delete or blank what is older than RETENTION_DAYS. An interrupted run can be repeated."

    def handle(self, *args: Any, **options: Any) -> None:
        counts = prune(now=timezone.now())
        if options["verbosity"] > 0:
            for name, number in counts.items():
                self.stdout.write(f"{name}: {number}")
