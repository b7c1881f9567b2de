from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.core.validators import validate_email
from django.forms import ValidationError
from django.utils import timezone

from django_meetergo.services import privacy


class Command(BaseCommand):
    help = "Forget a person: blank everything this site keeps about an e-mail address, now and for good."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("email")
        parser.add_argument(
            "--no-input", "--noinput", action="store_false", dest="interactive", help="do not ask"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        email = options["email"].strip()
        try:
            validate_email(email)
        except ValidationError as error:
            raise CommandError(f"{email!r} is not an e-mail address.") from error
        if (
            options["interactive"]
            and input("This cannot be undone. Type the address again: ").strip() != email
        ):
            raise CommandError("Nothing was done.")
        report = privacy.erase_person(email=email, now=timezone.now())
        self.stdout.write(
            f"{report.attendees} attendees, {report.bookings} bookings and {report.log_entries} log entries "
            "were blanked."
        )
        self.stdout.write(
            "meetergo keeps its own data: have the person deleted there as well. Backups and mails that were "
            "sent are not touched."
        )
        if report.still_open:
            raise CommandError(
                f"On their way: {', '.join(report.still_open)}. "
                "Once they have ended, meetergo_prune blanks them.",
                returncode=2,
            )
