"""Days without the service: appointments change there, all webhooks are lost, and then it answers again.

In one process, whose clock is moved: three days take some minutes. The workers do a round every minute while
the service is away, and every five seconds afterwards. Visitors try to book all the time.
"""

from __future__ import annotations

import argparse
import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any
from unittest import mock

import time_machine
from django.conf import settings
from django.test import override_settings

from django_meetergo.exceptions import MeetergoError
from django_meetergo.models import Appointment, Attendee
from django_meetergo.remote import transport
from django_meetergo.remote.rate_limit import RateLimiter
from django_meetergo.sandbox import handoffs
from django_meetergo.sandbox.clock import parse_instant
from django_meetergo.sandbox.errors import Refused
from django_meetergo.sandbox.scenarios import add_appointments
from django_meetergo.services import scheduler
from django_meetergo.services.booking.book import AttendeeData, BookingRequest, submit_request
from django_meetergo.services.retry import HOUR, RetryPolicy
from django_meetergo.testing.kit import SandboxKit
from django_meetergo.testing.sandboxes import BASE_URL, build_settings, serve_in_process
from tests.harness import judge, workers

REQUESTS_PER_MINUTE = 90
APPOINTMENTS = 400
#: Seconds between two rounds of the workers, while the service is away and afterwards.
ROUND_AWAY, ROUND = 60, 5
#: Seconds within which the mirror must be the service's again.
RECOVERY = 600
#: Rounds of an outage between two events: somebody's change at the service, a visitor's try to book.
CHANGE_EVERY, VISIT_EVERY = 7, 45
#: What happens at the service, and how often. A sync confirms at most fifty appointments that no list shows
#: any more, so more than that, deleted in one outage, take another run.
CHANGES = {"book": 8, "move": 4, "cancel": 4, "hand over": 3, "delete": 1}
SLUGS = ("intro-call", "next-therapist")


def main(arguments: Sequence[str]) -> dict[str, Any]:
    parser = argparse.ArgumentParser(prog="python -m tests.harness outage")
    parser.add_argument("--hours", type=float, required=True, help="of the site's own time")
    parser.add_argument("--seed", type=int, default=1)
    return workers.run_from_command_line(run, parser, arguments, SABOTAGES)


def run(*, hours: float, seed: int = 1, sabotage: str | None = None) -> dict[str, Any]:
    """Return the figures of one run on an empty database."""
    started = time.perf_counter()
    with run_site(sabotage, seed) as outage:
        outage.begin()
        for number in range(round(hours * HOUR / ROUND_AWAY)):
            outage.work(ROUND_AWAY)
            if number % CHANGE_EVERY == 0:
                outage.change_something()
            if number % VISIT_EVERY == 0:
                outage.let_somebody_book()
            outage.kit.lose_deliveries()
        missed = len(outage.list_differences())
        outage.kit.sandbox.faults.clear()
        equal_after = outage.wait_until(lambda: not outage.list_differences())
        quiet_after = outage.wait_until(judge.is_quiet)
        left = outage.list_differences()
        found = judge.find_violations(outage.kit.sandbox)
        busiest = outage.count_busiest_minute()
    return {
        "part": "outage",
        "hours": hours,
        "seed": seed,
        "sabotage": sabotage,
        "changes": outage.changes,
        "differences_at_return": missed,
        "equal_after_seconds": equal_after,
        "quiet_after_seconds": quiet_after,
        "busiest_minute": busiest,
        "states": judge.describe_bookings(),
        "seconds": round(time.perf_counter() - started, 1),
        "violations": [
            *(f"{kind}: {text}" for kind, texts in found.items() for text in texts[:10]),
            *(f"after {RECOVERY} s: {text}" for text in left[:10]),
            *([] if quiet_after is not None else ["not quiet in time"]),
            *([] if busiest <= REQUESTS_PER_MINUTE else [f"{busiest} requests in one minute"]),
            *([] if missed else ["nothing had changed: nothing was shown"]),
        ],
    }


@contextmanager
def run_site(sabotage: str | None, seed: int) -> Iterator[Outage]:
    """Run the site and a sandbox in this process, on a clock that only the run moves."""
    given = {
        **build_settings(settings.MEETERGO, BASE_URL),
        "REQUESTS_PER_MINUTE": REQUESTS_PER_MINUTE,
        "DEFER_WHEN_DOWN": True,
    }
    with ExitStack() as stack:
        stack.enter_context(override_settings(MEETERGO=given))
        clock = stack.enter_context(time_machine.travel(datetime.now().astimezone(), tick=False))
        kit = stack.enter_context(serve_in_process())
        stack.enter_context(mock.patch.object(transport, "sleep", clock.shift))
        limiter = partial(RateLimiter, sleep=clock.shift)
        stack.enter_context(mock.patch("django_meetergo.services.clients.RateLimiter", limiter))
        for path, replacement in SABOTAGES.get(sabotage or "", {}).items():
            stack.enter_context(mock.patch(path, replacement))
        yield Outage(kit=kit, clock=clock, dice=random.Random(seed))


@dataclass
class Outage:
    """The site, the service and their common clock."""

    kit: SandboxKit
    clock: Any
    dice: random.Random
    changes: int = 0

    def begin(self) -> None:
        """Mirror a clinic with appointments of the past and of the coming weeks; then the service is gone."""
        self.kit.sync_directory()
        self.kit.register_webhook()
        add_appointments(self.kit.sandbox.state, APPOINTMENTS // 2)
        add_appointments(self.kit.sandbox.state, APPOINTMENTS // 2, days_back=-1)
        self.wait_until(lambda: not self.list_differences())
        differing = self.list_differences()
        assert not differing, f"The mirror was never complete: {differing[:3]}"
        faults = self.kit.sandbox.faults
        faults.add("*", "status_before", status=503, times=-1, chance=0.5)
        faults.add("*", "drop_before", times=-1)

    def work(self, seconds: float) -> None:
        """Let time pass, then do one round of the workers."""
        self.clock.shift(seconds)
        self.kit.sandbox.apply_due()
        scheduler.run_due(self.kit.now())

    def wait_until(self, condition: Callable[[], bool]) -> int | None:
        """Work until a condition holds. Return the seconds, or None after ``RECOVERY``."""
        for number in range(RECOVERY // ROUND):
            self.work(ROUND)
            if condition():
                return (number + 1) * ROUND
        return None

    # What happens meanwhile

    def change_something(self) -> None:
        """Book, move, cancel, hand over or delete an appointment at the service."""
        now = self.kit.now()
        ahead = [
            each
            for each in self.kit.sandbox.state.appointments.values()
            if not each.is_cancelled and each.start > now + timedelta(hours=1)
        ]
        later = now.replace(minute=0, second=0, microsecond=0) + timedelta(hours=self.dice.randrange(30, 900))
        [do] = self.dice.choices(list(CHANGES), list(CHANGES.values()))
        try:
            if do == "book":
                self.kit.book_elsewhere(later, self.dice.choice(SLUGS))
            elif do == "move":
                self.kit.move_elsewhere(self.dice.choice(ahead), later)
            elif do == "cancel":
                self.kit.cancel_elsewhere(self.dice.choice(ahead))
            elif do == "delete":
                self.kit.delete_elsewhere(self.dice.choice(ahead))
            else:
                hosts = [user for user in self.kit.sandbox.state.users.values() if user.hours]
                host_id = self.dice.choice(hosts).id
                handoffs.hand_over(self.kit.sandbox.state, self.dice.choice(ahead), host_id)
        except Refused:
            return  # the time is not free, or the host has the appointment already
        self.changes += 1

    def let_somebody_book(self) -> None:
        """Book by the service function, as a page does, with or without consent to wait."""
        number = self.dice.randrange(10**9)
        meeting_type = self.kit.meeting_type(self.dice.choice(SLUGS))
        start = self.kit.now().replace(hour=9, minute=0, second=0, microsecond=0) + timedelta(
            days=self.dice.randrange(2, 14)
        )
        with suppress(MeetergoError):  # refused before anything was stored
            submit_request(
                BookingRequest(
                    meeting_type=meeting_type,
                    start=start,
                    attendee=AttendeeData(email=f"v{number}@example.com", first_name="Jane", last_name="Doe"),
                    defer_consent=self.dice.random() < 0.5,
                ),
                client=self.kit.client(),
                now=self.kit.now(),
            )

    # What is compared

    def list_differences(self) -> list[str]:
        """Return where the mirror differs from the service, appointment by appointment."""
        state = self.kit.sandbox.state.appointments
        rows = {row.remote_id: row for row in Appointment.objects.prefetch_related("hosts", "attendees")}
        found = [f"{remote_id} is missing" for remote_id in state.keys() - rows.keys()]
        for remote_id, row in rows.items():
            theirs = state.get(remote_id)
            if theirs is None:
                if row.missing_since is None:
                    found.append(f"{remote_id} is no longer at the service")
            elif describe_row(row) != describe_theirs(theirs):
                found.append(f"{remote_id}: {describe_row(row)} instead of {describe_theirs(theirs)}")
        return found

    def count_busiest_minute(self) -> int:
        """Return the largest number of requests in any sixty seconds."""
        entries = self.kit.sandbox.request_log.entries(kind="request")
        moments = [moment for entry in entries if (moment := parse_instant(entry["at"]))]
        busiest = first = 0
        for last, moment in enumerate(moments):
            while moment - moments[first] >= timedelta(minutes=1):
                first += 1
            busiest = max(busiest, last - first + 1)
        return busiest


def describe_row(row: Appointment) -> tuple[Any, ...]:
    attending = sorted(one.email for one in row.attendees.all() if one.status == Attendee.Status.ATTENDING)
    return (row.start, row.is_cancelled, sorted(host.remote_id for host in row.hosts.all()), attending)


def describe_theirs(appointment: Any) -> tuple[Any, ...]:
    return (
        appointment.start,
        appointment.is_cancelled,
        sorted(appointment.host_ids),
        sorted(attendee.email for attendee in appointment.attendees),
    )


#: Each makes the run exit 1.
SABOTAGES: dict[str, dict[str, Any]] = {
    "patient-sync": {
        "django_meetergo.services.retry.SUSPENDED": RetryPolicy(delays=(2 * HOUR,), jitter=False),
    },
    "nothing-is-missing": {
        "django_meetergo.services.sync.appointments.record_missing": lambda *args, **options: None
    },
}
