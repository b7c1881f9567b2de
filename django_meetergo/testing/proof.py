"""Show with a site's own settings that no booking is doubled or silently lost.

    python -m django_meetergo.testing.proof

Visitors book while answers are lost, connections are refused, times are taken and the process ends in the
middle of a booking. Afterwards the sandbox's appointments are compared with the site's bookings. The run
needs ``MEETERGO["SANDBOX"]`` and uses a test database, which it creates and removes; mails go nowhere.

The end of the process is simulated: the request ends in an exception that nothing catches.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
import traceback
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any
from unittest.mock import patch

import django
from django.conf import settings

COUNT = 1_000
BATCH = 20
SLUGS = ("intro-call", "consultation", "group-class", "next-therapist")
#: What happens to a booking, with its share. ``kill`` and ``refuse`` are not faults of the sandbox.
TROUBLE = {
    "": 40,
    "drop_after": 12,
    "reset_after": 6,
    "status_after": 6,
    "garbage": 6,
    "hang_after": 4,
    "drop_before": 6,
    "occupy_slot": 4,
    "refuse": 4,
    "kill before": 4,
    "kill after": 8,
}


class Refusal(Exception):
    """The run would not be safe; the message says why and what helps."""


@dataclass
class Report:
    """What happened. ``doubles`` and ``lost`` list e-mail addresses of the made-up visitors."""

    bookings: int = 0
    trouble: dict[str, int] = field(default_factory=dict)
    states: dict[str, int] = field(default_factory=dict)
    doubles: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    undecided: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def is_clean(self) -> bool:
        """Whether nothing is double, lost or still under way, and trouble was caused at all."""
        return self.bookings > 0 and not (self.doubles or self.lost or self.undecided)


def check_safety() -> None:
    """Raise ``Refusal`` unless the site uses the sandbox."""
    given = getattr(settings, "MEETERGO", None) or {}
    if not given.get("SANDBOX"):
        raise Refusal(
            'MEETERGO["SANDBOX"] is off, so these may be the settings of a real site. '
            'Run this with settings that set "SANDBOX": True.'
        )


def run(count: int, *, seed: int = 0, breaks_promise: bool = False) -> Report:
    """Book ``count`` times with trouble, and judge what is left. The database is the caller's.

    ``breaks_promise`` resends each request whose answer was lost, as a site without this app would.
    """
    from django_meetergo import links
    from django_meetergo.testing.sandboxes import run_sandbox

    started, chance, report = time.monotonic(), random.Random(seed), Report()  # noqa: S311 - no secret
    with run_sandbox() as kit, patch_resend() if breaks_promise else nullcontext():
        if links.has_pages():  # they have the endpoint
            kit.register_webhook()
        emails: dict[str, str] = {}
        while len(emails) < count:
            _book_batch(kit, chance, emails, min(BATCH, count - len(emails)))
        kit.run_until_idle()
        kit.deliver(duplicate=2, shuffle=True)
        kit.run_due(after=600, periodic=True)
        _judge(kit, emails, report)
    report.seconds = round(time.monotonic() - started, 1)
    return report


def _book_batch(kit: Any, chance: random.Random, emails: dict[str, str], count: int) -> None:
    kit.recover()
    kit.clear_availability()
    starts = {slug: kit.list_free_starts(slug, days=60) for slug in SLUGS}
    for _ in range(count):
        email = f"visitor{len(emails)}@example.com"
        slug = chance.choice([slug for slug in SLUGS if starts[slug]])
        emails[email] = chance.choices(list(TROUBLE), list(TROUBLE.values()))[0]
        _book(kit, slug, chance.choice(starts[slug]), email, emails[email])
        kit.recover()
    kit.deliver(duplicate=chance.choice((1, 2)), shuffle=True)
    kit.run_due(after=20)


def _book(kit: Any, slug: str, start: datetime, email: str, trouble: str) -> None:
    from django_meetergo.services import AttendeeData, book_appointment
    from django_meetergo.testing.sandbox_adapter import ProcessKilled

    attendee = AttendeeData(email=email, first_name="Visitor", last_name="Proof")
    if trouble.startswith("kill"):
        kit.kill_next_request(after_sending=trouble.endswith("after"))
    elif trouble == "refuse":
        kit.refuse_connections(2)
    elif trouble:
        kit.fail_next(kind=trouble)
    with suppress(ProcessKilled):
        book_appointment(meeting_type=slug, start=start, attendee=attendee, now=kit.now())


def _judge(kit: Any, emails: dict[str, str], report: Report) -> None:
    from django_meetergo.models import Booking

    # Among all appointments: a visitor may join a group that the sandbox was seeded with.
    active = [one for one in kit.sandbox.state.appointments.values() if not one.is_cancelled]
    seats = Counter(
        attendee.email for one in active for attendee in one.attendees if attendee.email in emails
    )
    rows = {row.email: row for row in Booking.objects.all()}
    report.bookings, report.trouble = len(rows), dict(Counter(emails.values()))
    for email in emails:
        row = rows.get(email)
        if row is None:
            # A process that ends while it still reads the free times has accepted nothing.
            if seats[email] or not emails[email].startswith("kill"):
                report.lost.append(email)
            else:
                report.states["not accepted"] = report.states.get("not accepted", 0) + 1
            continue
        state = f"{row.state} {row.reason}".strip()
        report.states[state] = report.states.get(state, 0) + 1
        if seats[email] > 1:
            report.doubles.append(email)
        elif row.reason == Booking.Reason.NEEDS_STAFF:
            continue  # staff are told, so it is not lost
        elif row.state in {Booking.State.CONFIRMED, Booking.State.CLOSED}:
            if (row.state == Booking.State.CONFIRMED) != (seats[email] == 1):
                report.lost.append(email)
        else:
            report.undecided.append(email)


@contextmanager
def patch_resend() -> Iterator[None]:
    """Treat a lost answer as a request that never left, and leave surplus appointments alone."""
    from django_meetergo.services.booking import outcomes, sending

    def resend(booking: Any, lease: Any, error: Any, now: datetime) -> None:
        sending.requeue_booking(booking, lease, error, now=now, give_up=False)

    with (
        patch.object(sending, "mark_unknown", resend),
        patch.object(outcomes, "cancel_surplus", lambda *given: None),
    ):
        yield


@contextmanager
def scratch_database() -> Iterator[None]:
    """Create the test database of the settings; remove it afterwards."""
    from django.test.utils import (
        setup_databases,
        setup_test_environment,
        teardown_databases,
        teardown_test_environment,
    )

    setup_test_environment(debug=False)
    created = setup_databases(verbosity=0, interactive=False)
    try:
        yield
    finally:
        teardown_databases(created, verbosity=0)
        teardown_test_environment()


def main(arguments: list[str] | None = None) -> int:
    """Run the proof and print its report. Return 0 if it holds, 1 if it does not, 2 if it was not run."""
    parser = argparse.ArgumentParser(prog="python -m django_meetergo.testing.proof", description=__doc__)
    parser.add_argument("--count", type=int, default=COUNT, help="bookings (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="another seed causes other trouble")
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    parser.add_argument(
        "--break-promise", action="store_true", help="resend lost requests; the proof must notice and exit 1"
    )
    options = parser.parse_args(arguments)
    try:
        django.setup()
        check_safety()
    except Exception as error:  # noqa: BLE001 - whatever is wrong with the settings ends here
        sys.stderr.write(f"The proof was not run: {error}\n")
        return 2
    with scratch_database():
        try:
            report = run(options.count, seed=options.seed, breaks_promise=options.break_promise)
        except Exception:  # noqa: BLE001 - an error of the proof itself says nothing about bookings
            traceback.print_exc()
            sys.stderr.write("The proof was not finished.\n")
            return 2
    sys.stdout.write(json.dumps(asdict(report)) + "\n" if options.json else print_report(report))
    return 0 if report.is_clean else 1


def print_report(report: Report) -> str:
    """Return the report as text."""
    troubled = sum(number for trouble, number in report.trouble.items() if trouble)
    lines = [
        f"{report.bookings} bookings, {troubled} of them with trouble, in {report.seconds} s",
        *(f"  {number:>5}  {trouble or 'nothing'}" for trouble, number in sorted(report.trouble.items())),
        "They ended",
        *(f"  {number:>5}  {state}" for state, number in sorted(report.states.items())),
    ]
    lines.append(
        f"Double: {len(report.doubles)}  Silently lost: {len(report.lost)}  "
        f"Undecided: {len(report.undecided)}"
    )
    lines += [f"  {email}" for email in [*report.doubles, *report.lost, *report.undecided][:20]]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
