from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict
from datetime import date, datetime, timedelta, tzinfo
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser, no_translations
from django.utils import timezone

from django_meetergo.management.base import DatabaseCommand
from django_meetergo.management.connections import choose_connections
from django_meetergo.models import Connection, MeetingType
from django_meetergo.services.clients import build_client, find_client
from django_meetergo.services.doctor import check_service, explain_day, probe
from django_meetergo.services.health import (
    BAD,
    FAIR,
    GOOD,
    UNKNOWN,
    Fact,
    collect_facts,
    get_verdict,
    list_reported_connections,
)
from django_meetergo.services.recording import record_answers

MARKS = {GOOD: "ok", FAIR: "warn", BAD: "BAD", UNKNOWN: "?"}
VERDICTS = {GOOD: "All is well.", FAIR: "It works; see the lines marked “warn”."}


class Command(DatabaseCommand):
    help = "Report the state of each connection and what to do. Exit code 1 when something must be done."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="the same facts for programs")
        parser.add_argument(
            "--connection", help="only this connection; all of them by default, or the first with --record"
        )
        parser.add_argument(
            "--why-no-slots",
            nargs=2,
            metavar=("TYPE", "DAY"),
            help="explain a day of a meeting type",
        )
        parser.add_argument(
            "--probe", metavar="TYPE", help="book and cancel one slot of this type, and report what happened"
        )
        parser.add_argument("--email", help="with --probe: the address to book for")
        parser.add_argument(
            "--record",
            metavar="FOLDER",
            help="save what meetergo answers to reads in a new folder, without personal data",
        )

    @no_translations  # its own lines are in English
    def handle(self, *args: Any, **options: Any) -> None:
        if options["why_no_slots"]:
            self.explain(*options["why_no_slots"], as_json=options["json"])
        elif options["probe"]:
            self.probe(options["probe"], options["email"], as_json=options["json"])
        elif options["record"]:
            self.record(Path(options["record"]), options["connection"])
        else:
            chosen = options["connection"]
            names = choose_connections(chosen) if chosen else list_reported_connections()
            self.report(names, as_json=options["json"])

    def report(self, names: Iterable[str], *, as_json: bool) -> None:
        now = timezone.now()
        found: dict[str, list[Fact]] = {}
        for name in names:
            # The calls come first: what they show about clock and key is among the facts, and so is that
            # there is no credential to make them with.
            client = find_client(name, "sync")
            answers = check_service(connection=name, client=client, now=now) if client else []
            found[name] = collect_facts(connection=name, now=now) + answers
        if not found:
            raise CommandError("No connection has a credential. Set MEETERGO['API_KEY'].")
        verdict = get_verdict([fact for facts in found.values() for fact in facts])
        if as_json:
            connections = {name: [asdict(fact) for fact in facts] for name, facts in found.items()}
            self.stdout.write(json.dumps({"level": verdict, "connections": connections}, indent=2))
        else:
            self.print_facts(found)
        if verdict == BAD:
            raise CommandError("Something must be done.", returncode=1)
        if not as_json:
            self.stdout.write(self.style.SUCCESS(VERDICTS[verdict]))

    def print_facts(self, found: dict[str, list[Fact]]) -> None:
        for name, facts in found.items():
            self.stdout.write(self.style.MIGRATE_HEADING(name))
            for fact in facts:
                self.stdout.write(f"  {MARKS[fact.level]:>4}  {fact.label}: {fact.text}")
                for line in (*fact.details, fact.advice):
                    if line:
                        self.stdout.write(f"        {line}")

    def find_type(self, slug: str) -> MeetingType:
        found = MeetingType.objects.filter(slug=slug).first()
        if found is None:
            known = ", ".join(MeetingType.objects.order_by("slug").values_list("slug", flat=True)) or "none"
            raise CommandError(f"There is no meeting type {slug!r}. Known: {known}.")
        if not found.is_connected:
            raise CommandError(f"The settings no longer have the connection {found.reader!r} of {slug!r}.")
        return found

    def explain(self, slug: str, day: str, *, as_json: bool) -> None:
        try:
            asked = date.fromisoformat(day)
            _ = asked + timedelta(days=1)  # its end
        except (ValueError, OverflowError) as error:
            raise CommandError(f"{day!r} is not a day; write it like 2026-12-31.") from error
        meeting_type, zone = self.find_type(slug), timezone.get_current_timezone()
        report = explain_day(
            meeting_type=meeting_type,
            day=asked,
            zone=zone,
            client=build_client(meeting_type.reader, "view"),
            now=timezone.now(),
        )
        if as_json:
            self.stdout.write(json.dumps(asdict(report), default=str, indent=2))
            return
        for reason in report.own_reasons:
            self.stdout.write(reason)
        if report.error:
            raise CommandError(report.error)
        self.stdout.write(f"{meeting_type.name}, {asked:%A, %d %B %Y}, by the clock of {zone}:")
        self.stdout.write(f"  {describe_starts(report.free, 'free', zone)}")
        for reason, starts in report.blocked.items():
            self.stdout.write(f"  {describe_starts(starts, 'blocked', zone)}: {reason}")
        if report.nothing_offered and not report.own_reasons:
            self.stdout.write(
                "meetergo names no time at all: the day lies outside the hosts' working hours, "
                "or is sooner or further ahead than this type may be booked."
            )

    def probe(self, slug: str, email: str | None, *, as_json: bool) -> None:
        meeting_type = self.find_type(slug)
        email = email or self.find_own_address(meeting_type)
        report = probe(
            meeting_type=meeting_type,
            email=email,
            client=build_client(meeting_type.reader, "write"),
            now=timezone.now(),
        )
        if as_json:
            self.stdout.write(json.dumps(asdict(report), default=str, indent=2))
        else:
            for step, result in report.steps:
                self.stdout.write(f"{step}: {result}")
        if report.failed:
            raise CommandError("The probe did not go through.", returncode=1)

    def record(self, folder: Path, chosen: str | None) -> None:
        connection = choose_connections(chosen)[0]
        if folder.is_file() or (folder.is_dir() and any(folder.iterdir())):
            raise CommandError(f"{folder} is not an empty folder. Name a new one.")
        saved = 0
        try:
            for step in record_answers(build_client(connection, "sync"), folder, timezone.now()):
                saved += bool(step.answer)
                self.stdout.write(f"{step.file if step.answer else 'not saved'}: {step.problem or 'ok'}")
        except OSError as error:
            raise CommandError(f"{folder} cannot be written: {error.strerror}.") from error
        if not saved:
            raise CommandError("meetergo gave no answer that could be saved.", returncode=1)
        self.stdout.write(
            f"{saved} answers are in {folder}. Names, addresses, texts and ids are replaced; "
            "read them before you pass them on."
        )

    def find_own_address(self, meeting_type: MeetingType) -> str:
        row = Connection.objects.filter(connection=meeting_type.connection).first()
        hosts = meeting_type.hosts.exclude(email="")
        own = hosts.filter(remote_id=row.user_id).first() if row else None
        chosen = own or hosts.first()
        if chosen is None:
            raise CommandError("No host's address is known; name one with --email.")
        return str(chosen.email)


def describe_starts(starts: list[datetime], what: str, zone: tzinfo) -> str:
    """Return how many starts there are, and the first and the last one."""
    times = [f"{start.astimezone(zone):%H:%M}" for start in starts]
    if len(times) < 2:
        return f"1 start {what}, {times[0]}" if times else f"no start {what}"
    return f"{len(times)} starts {what}, the first at {times[0]}, the last at {times[-1]}"
