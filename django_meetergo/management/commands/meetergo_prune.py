from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand
from django.utils import timezone

from django_meetergo.services import privacy


class Command(BaseCommand):
    help = "Forget what is older than RETENTION_DAYS. Run it once a day; an interrupted run loses nothing."

    def handle(self, *args: Any, **options: Any) -> None:
        done = privacy.prune(now=timezone.now())
        if options["verbosity"] > 0:
            for name, number in done.items():
                self.stdout.write(f"{name}: {number}")
