"""Synchronise with meetergo."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.utils import timezone

from django_meetergo.exceptions import RemoteError
from django_meetergo.management.base import DatabaseCommand
from django_meetergo.management.connections import choose_connections, run_for_each
from django_meetergo.models import SyncRun
from django_meetergo.services.clients import build_client
from django_meetergo.services.sync import directory
from django_meetergo.services.sync.appointments import sync_appointments
from django_meetergo.services.sync.drift import find_drift
from django_meetergo.services.sync.runs import is_imported


class Command(DatabaseCommand):
    help = "Synchronise meeting types, hosts and appointments from meetergo."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--kind",
            choices=[SyncRun.Kind.NEAR.value, SyncRun.Kind.FULL.value],
            default=SyncRun.Kind.NEAR,
            help="near: yesterday to 60 days ahead (default); full: every appointment",
        )
        parser.add_argument(
            "--check", action="store_true", help="compare without writing; exit code 1 when they differ"
        )
        parser.add_argument(
            "--silent",
            action="store_true",
            help="send no signals or mails about appointments new to the site, as until the first full sync",
        )
        parser.add_argument("--connection", help="only this connection (default: all)")

    def handle(self, *args: Any, **options: Any) -> None:
        verbose = options["verbosity"] > 0

        def run(connection: str) -> None:
            if options["check"]:
                self.check_drift(connection, options["kind"], verbose=verbose)
            else:
                self.sync(connection, options["kind"], verbose=verbose, silent=options["silent"])

        run_for_each(choose_connections(options["connection"]), run)

    def check_drift(self, connection: str, kind: str, *, verbose: bool) -> None:
        """Print ids and field names only, no personal data."""
        try:
            drift = find_drift(
                connection=connection, client=build_client(connection, "sync"), now=timezone.now(), kind=kind
            )
        except RemoteError as error:
            raise CommandError(f"{connection}: reading the lists failed. {error}") from error
        if verbose or not drift.is_none:
            self.stdout.write(f"{connection}: " + ", ".join(f"{k} {n}" for k, n in drift.count().items()))
            for remote_id, fields in drift.differs.items():
                self.stdout.write(f"  differs {remote_id}: {', '.join(fields)}")
            for name in ("only_remote", "only_local", "secret_missing", "orphans", "not_compared"):
                for remote_id in getattr(drift, name):
                    self.stdout.write(f"  {name} {remote_id}")
        if not drift.is_none:
            raise CommandError(
                f"{connection}: the site and meetergo differ. Run meetergo_sync --kind {kind}.", returncode=1
            )

    def sync(self, connection: str, kind: str, *, verbose: bool, silent: bool) -> None:
        try:
            types = directory.sync_directory(
                connection=connection, client=build_client(connection, "sync"), now=timezone.now()
            )
        except RemoteError as error:
            raise CommandError(f"{connection}: reading the meeting types failed. {error}") from error
        run = sync_appointments(
            connection=connection,
            client=build_client(connection, "sync"),
            now=timezone.now(),
            kind=kind,
            silent=silent or not is_imported(connection),
            on_page=self.show_progress if verbose and self.stdout.isatty() else None,
        )
        if run.state != SyncRun.State.DONE:
            reason = run.message or "Another sync of this kind is running."
            raise CommandError(f"{connection}: stopped after {run.seen} appointments. {reason}")
        for one in run.skipped if verbose else []:
            self.stdout.write(f"  skipped {one['kind']} {one['id']}: {one['reason']}")
        if verbose:
            self.stdout.write(
                f"{connection}: {len(types)} meeting types; "
                f"{run.seen} appointments read, {run.written} written."
            )

    def show_progress(self, run: SyncRun) -> None:
        """Print the progress on one line of a terminal."""
        self.stdout.write(f"\r{run.seen} of {run.total or '?'}", ending="\r")
        self.stdout.flush()
