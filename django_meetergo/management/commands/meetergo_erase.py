"""Erase a person."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.utils import timezone

from django_meetergo.management.base import DatabaseCommand, read_email
from django_meetergo.services.privacy.erasure import allow_again, erase_person


class Command(DatabaseCommand):
    help = "Erase a person: blank everything this site stores about an e-mail address. This cannot be undone."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("email", help="an address of the person")
        parser.add_argument(
            "--no-input",
            "--noinput",
            action="store_false",
            dest="interactive",
            help="do not ask for confirmation",
        )
        parser.add_argument(
            "--allow-again",
            action="store_true",
            help="erase nothing; let new appointments of an erased address be stored with name and address",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        email = read_email(options)
        if options["allow_again"]:
            if not allow_again(email=email):
                raise CommandError(f"{email} was not erased.")
            self.stdout.write(f"{email} may be stored again. What was blanked stays blank.")
            return
        if (
            options["interactive"]
            and input("This cannot be undone. Type the address again: ").strip() != email
        ):
            raise CommandError("Cancelled: nothing was erased.")
        report = erase_person(email=email, now=timezone.now())
        self.stdout.write(
            f"{report.attendees} attendees, {report.bookings} bookings, {report.invitations} invitations and "
            f"{report.log_entries} log entries were blanked, under these addresses: "
            f"{', '.join(report.addresses)}."
        )
        self.stdout.write(
            "The data at meetergo is not touched: delete the person there as well. Backups and mails "
            "that were sent are not touched either."
        )
        if report.still_open:
            raise CommandError(
                f"Still open: {', '.join(report.still_open)}. "
                "meetergo_prune blanks these bookings once they have ended.",
                returncode=2,
            )
