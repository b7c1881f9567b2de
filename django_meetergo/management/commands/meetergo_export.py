"""Export what the site stores about a person."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.core.serializers.json import DjangoJSONEncoder
from django.utils import timezone

from django_meetergo.management.base import DatabaseCommand, read_email
from django_meetergo.services.privacy.export import export_person


class Command(DatabaseCommand):
    help = "Export everything this site stores about the person with an e-mail address, as JSON."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("email", help="an address of the person")
        parser.add_argument("--output", metavar="FILE", help="write to this file, not to the terminal")

    def handle(self, *args: Any, **options: Any) -> None:
        email = read_email(options)
        document = export_person(email=email, now=timezone.now())
        text = json.dumps(document, cls=DjangoJSONEncoder, indent=2, ensure_ascii=False)
        if not options["output"]:
            self.stdout.write(text)
            return
        try:
            Path(options["output"]).write_text(text + "\n", encoding="utf-8")
        except OSError as error:
            raise CommandError(f"{options['output']} cannot be written: {error.strerror}.") from error
        if options["verbosity"] > 0:
            counts = f"{len(document['appointments'])} appointments and {len(document['bookings'])} bookings"
            self.stdout.write(f"Wrote {counts} to {options['output']}.")
