"""P5 and P29: the requests of a sync, and of a booking with its webhook. They are counted, not timed."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from math import ceil

from django.core.cache import caches
from django.core.management import call_command
from django.db import connection

from benchmarks.database import empty_database
from benchmarks.figures import Most, report
from django_meetergo.models import SyncRun
from django_meetergo.remote import transport
from django_meetergo.sandbox.scenarios import add_appointments
from django_meetergo.services import AttendeeData, book_appointment
from django_meetergo.services.sync.appointments import list_owners, sync_appointments
from django_meetergo.testing.kit import SandboxKit
from django_meetergo.testing.sandboxes import run_sandbox

PAGE = 100
NEAR_ROWS, NEAR_REQUESTS, BOOKING_REQUESTS = 600, 9, 2


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks requests")
    parser.add_argument("--n", type=int, default=1000, help="appointments of the full sync")
    parser.add_argument("--rounds", type=int, default=5)
    chosen = parser.parse_args(arguments)
    with empty_database():
        sys.stdout.write(f"{connection.vendor}, {chosen.rounds} rounds\n")
        full = [count(sync(SyncRun.Kind.FULL), chosen.n) for _ in range(chosen.rounds)]
        lists = len(list_owners("default"))  # each may end with a page that is not full
        near = [count(sync(SyncRun.Kind.NEAR), NEAR_ROWS) for _ in range(chosen.rounds)]
        booked = [count(book) for _ in range(chosen.rounds)]
        return report(
            [
                Most(f"P5 full sync of {chosen.n}", "requests", full, ceil(chosen.n / PAGE) + lists),
                Most(f"P5 near sync of {NEAR_ROWS}", "requests", near, NEAR_REQUESTS),
                Most("P29 booking and its webhook", "requests", booked, BOOKING_REQUESTS),
            ]
        )


def count(do: Callable[[SandboxKit], None], appointments: int = 0) -> float:
    """Return the requests of a function, in a new sandbox that holds so many appointments."""
    call_command("flush", verbosity=0, interactive=False)
    caches["default"].clear()
    calls: list[str] = []
    with run_sandbox() as kit:
        kit.sync_directory()
        kit.register_webhook()
        missing = appointments - len(kit.sandbox.state.appointments)
        add_appointments(kit.sandbox.state, max(missing, 0), days_back=0)
        kit.list_free_starts()
        hook = lambda method, route: calls.append(f"{method} {route}")  # noqa: E731
        transport.BEFORE_SEND.append(hook)
        try:
            do(kit)
        finally:
            transport.BEFORE_SEND.remove(hook)
    return float(len(calls))


def sync(kind: str) -> Callable[[SandboxKit], None]:
    def run(kit: SandboxKit) -> None:
        sync_appointments(connection="default", client=kit.client("sync"), now=kit.now(), kind=kind)

    return run


def book(kit: SandboxKit) -> None:
    """Book a one-to-one type, deliver the webhook, and do what is due in the minute after."""
    booking = book_appointment(
        meeting_type=kit.meeting_type(),
        start=kit.list_free_starts()[0],
        attendee=AttendeeData(email="jane@example.com", first_name="Jane"),
        client=kit.client(),
        now=kit.now(),
    )
    assert booking.state == "confirmed", json.dumps([booking.state, booking.reason])
    kit.deliver()
    for _ in range(6):
        kit.run_due(after=10)
