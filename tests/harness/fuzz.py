"""Hostile inputs of every kind: links, webhooks, pages, REST, and answers of the service.

No input may lead to a 5xx or an unforeseen exception. No forged link or webhook may be accepted. Nothing that
was refused may have an effect: no request that writes reaches the service, and the mirror stays as it was.

Everything runs in this process, without sockets. Each input is drawn from ``--seed`` and its number, so that
``--only NUMBER`` repeats one.
"""

from __future__ import annotations

import argparse
import json
import logging
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from typing import Any
from unittest import mock

from django.conf import settings
from django.contrib.auth.models import User
from django.core.handlers.wsgi import WSGIHandler
from django.db import connection
from django.test import override_settings

from django_meetergo import links
from django_meetergo.exceptions import MeetergoError
from django_meetergo.models import (
    Appointment,
    AppointmentChange,
    Attendee,
    Booking,
    CalendarFeed,
    Event,
    MeetingType,
    SyncRun,
    WebhookDelivery,
)
from django_meetergo.remote.rate_limit import RateLimiter
from django_meetergo.services import AttendeeData, book_appointment, scheduler
from django_meetergo.services.sync.appointments import sync_appointments
from django_meetergo.testing.kit import SandboxKit
from django_meetergo.testing.sandboxes import BASE_URL, build_settings, serve_in_process
from django_meetergo.views import decorators, send_links
from tests.harness import fuzz_sabotage, judge, mutations, workers
from tests.harness.fuzz_requests import JSON, KINDS, SLUG, TOKEN, Request, Target

#: Inputs between two checks of what they have led to.
BATCH = 1_000


def main(arguments: Sequence[str]) -> dict[str, Any]:
    parser = argparse.ArgumentParser(prog="python -m tests.harness fuzz")
    parser.add_argument("--inputs", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", type=int, help="the number of one input to repeat")
    parser.add_argument(
        "--answers", type=int, default=50,
        help="changed answers of the service for each thousand inputs; one takes as long as ten requests",
    )  # fmt: skip
    return workers.run_from_command_line(run, parser, arguments, SABOTAGES)


def run(
    *, inputs: int, seed: int = 1, only: int | None = None, answers: int = 50, sabotage: str | None = None
) -> dict[str, Any]:
    """Return the figures of one run on an empty database."""
    started = time.monotonic()
    with run_site(sabotage) as kit:
        fuzzer = Fuzzer(kit=kit, seed=seed, answers=answers)
        numbers = range(inputs) if only is None else range(only, only + 1)
        for first in range(0, len(numbers), BATCH):
            fuzzer.run_batch(numbers[first : first + BATCH])
            if len(fuzzer.violations) >= 20:
                break
    seconds = time.monotonic() - started
    done = sum(fuzzer.counts.values())
    return {
        "part": "fuzz",
        "seed": seed,
        "sabotage": sabotage,
        "inputs": done,
        "by_kind": dict(sorted(fuzzer.counts.items())),
        "statuses": dict(sorted(fuzzer.statuses.items())),
        "seconds": round(seconds, 1),
        "inputs_per_second": round(done / seconds),
        "violations": fuzzer.violations[:20],
    }


@contextmanager
def run_site(sabotage: str | None) -> Iterator[SandboxKit]:
    """Run the site and a sandbox in this process, without limits that would refuse most inputs."""
    given = {
        **build_settings(settings.MEETERGO, BASE_URL), "WEBHOOK_TOKENS": [TOKEN], "SITE_URL": "https://testserver",
         "MAX_FUTURE_APPOINTMENTS": 1_000_000,
    }  # fmt: skip
    unlimited = replace(decorators.WRONG_LINK_LIMIT, times=10**9)
    with ExitStack() as stack:
        stack.enter_context(
            override_settings(
                MEETERGO=given,
                ROOT_URLCONF="tests.harness.site_urls",
                REST_FRAMEWORK={"DEFAULT_THROTTLE_RATES": {}},
                DATA_UPLOAD_MAX_MEMORY_SIZE=2_621_440,
            )
        )
        # A connection for each input would cost more than the input.
        stack.enter_context(mock.patch.dict(connection.settings_dict, CONN_MAX_AGE=None))
        stack.enter_context(mock.patch.object(decorators, "WRONG_LINK_LIMIT", unlimited))
        stack.enter_context(mock.patch.object(send_links, "SITE_LIMIT", unlimited))
        stack.enter_context(mock.patch.object(RateLimiter, "acquire", workers.take_freely))
        stack.enter_context(
            mock.patch("django_meetergo.contrib.rest_framework.base.MeetergoView.throttle_classes", [])
        )
        for path, replacement in SABOTAGES.get(sabotage or "", {}).items():
            stack.enter_context(mock.patch(path, replacement))
        yield stack.enter_context(serve_in_process())


class Unforeseen(logging.Handler):
    """Collect the exceptions that the code did not foresee: those that are logged and are none of its own."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.found: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        if error is not None and not isinstance(error, MeetergoError):
            self.found.append(f"{type(error).__name__}: {str(error)[:200]} ({record.getMessage()[:100]})")


@dataclass
class Fuzzer:
    """The site under attack, and what was found."""

    kit: SandboxKit
    seed: int
    answers: int
    violations: list[str] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    statuses: Counter[str] = field(default_factory=Counter)
    application: WSGIHandler = field(default_factory=WSGIHandler)
    unforeseen: Unforeseen = field(default_factory=Unforeseen)

    def run_batch(self, numbers: Sequence[int]) -> None:
        """Send inputs to a fresh site and compare what is left with what was there before."""
        self.prepare()
        before, writes = self.describe_mirror(), self.count_writes()
        logger = logging.getLogger("django_meetergo")
        logger.addHandler(self.unforeseen)
        try:
            for number in numbers:
                self.send_input(number)
            where = f"inputs {numbers[0]} to {numbers[-1]}"
            self.work()
            if self.count_writes() != writes:
                self.violations.append(f"{where}: {self.count_writes() - writes} writes reached the service")
            if self.describe_mirror() != before:
                self.violations.append(f"{where}: the mirror has changed")
            # Documents last: what a service says about itself is believed, within its own mirror.
            self.send_answers(numbers)
        finally:
            logger.removeHandler(self.unforeseen)

    def prepare(self) -> None:
        """Start again: the seeded clinic, mirrored, and an appointment of Jane's."""
        # Runs of a sync as well: the clock of the sandbox goes back.
        for model in (Event, AppointmentChange, Booking, Attendee, Appointment, WebhookDelivery, SyncRun):
            model._base_manager.all().delete()
        self.kit.sandbox.reset()
        self.kit.recover()
        self.kit.clear_availability()
        self.kit.sync_directory()
        starts = [start.isoformat() for start in self.kit.list_free_starts(SLUG)]
        now = self.kit.now()
        sync_appointments(connection="default", client=self.kit.client(), now=now, kind="full")
        person = AttendeeData(email="jane@example.com", first_name="Jane", last_name="Doe")
        booking = book_appointment(
            meeting_type=MeetingType.objects.get(slug=SLUG), start=self.kit.list_free_starts(SLUG)[5],
            attendee=person, client=self.kit.client(), now=now,
        )  # fmt: skip
        self.work()
        booking.refresh_from_db()
        boss = User.objects.get_or_create(username="boss", defaults={"is_superuser": True, "is_staff": True})[
            0
        ]
        feed = CalendarFeed.objects.get_or_create(name="phone", user=boss)[0]
        attendee = booking.attendee
        assert attendee is not None, "the appointment that is attacked was not booked"
        self.target = Target(
            tokens={
                "manage": links.sign(attendee.public_id, salt=links.MANAGE_SALT),
                "booking": links.sign(booking.public_id, salt=links.BOOKING_SALT),
                "feed": links.sign(feed.public_id, salt=links.FEED_SALT),
            },
            starts=starts,
            appointment_ids=list(self.kit.sandbox.state.appointments),
        )

    def work(self) -> None:
        self.kit.run_due(after=5)

    def describe_mirror(self) -> list[Any]:
        """Return what a person would notice in the mirror, and every booking."""
        return [
            *Appointment.objects.order_by("pk").values_list("remote_id", "start", "status", "missing_since"),
            *Attendee.objects.order_by("pk").values_list("remote_id", "email", "first_name", "status"),
            *Booking.objects.order_by("pk").values_list("reference", "state", "reason"),
        ]

    def count_writes(self) -> int:
        return sum(self.kit.count_requests(f"{method} *") for method in ("POST", "PATCH", "DELETE"))

    # Requests

    def send_input(self, number: int) -> None:
        dice = random.Random(f"{self.seed}.{number}")
        kind = dice.choices(list(KINDS), [weight for weight, _ in KINDS.values()])[0]
        request = KINDS[kind][1](self.target, dice)
        self.counts[kind] += 1
        status = self.request(request, number, kind)
        self.statuses[f"{status // 100}xx"] += 1
        if status >= 500:
            self.violations.append(
                f"input {number} ({kind}): {status} at {request.method} {request.path[:120]!r}"
            )
        if request.is_forged and status < 400 and not (status in {301, 302} and kind == "links"):
            self.violations.append(f"input {number} ({kind}): accepted with {status}: {request.path[:160]!r}")

    def request(self, request: Request, number: int, kind: str) -> int:
        """Send a request through the whole WSGI application, and return the status of its answer."""
        statuses: list[int] = []

        def start_response(status: str, headers: Any, exc_info: Any = None) -> None:
            statuses.append(int(status.split()[0]))

        try:
            answer = self.application(request.build_environ(), start_response)
            try:
                for _ in answer:
                    pass
            finally:
                answer.close()
        except Exception as error:  # noqa: BLE001 - whatever it is, it was not foreseen
            self.violations.append(f"input {number} ({kind}): {error!r}")
            return 599
        self.report_unforeseen(number, kind)
        return statuses[0]

    def report_unforeseen(self, number: int, kind: str) -> None:
        self.violations += [f"input {number} ({kind}): {text}" for text in self.unforeseen.found]
        self.unforeseen.found.clear()

    # Answers of the service

    def send_answers(self, numbers: Sequence[int]) -> None:
        """Let the service answer with changed documents, and do what reads them."""
        for number in numbers[: max(len(numbers) * self.answers // BATCH, 1)]:
            dice = random.Random(f"{self.seed}.{number}.answer")
            name = dice.choice(sorted(READERS))
            self.counts["answers"] += 1
            adapter = self.kit._get_adapter()
            sound = adapter.wsgi
            adapter.wsgi = SpoiledService(sound, dice)
            try:
                READERS[name](self, number)
            except MeetergoError:
                pass  # foreseen: the caller decides
            except Exception as error:  # noqa: BLE001 - as above
                self.violations.append(f"input {number} (answer to {name}): {error!r}")
            finally:
                adapter.wsgi = sound
            self.report_unforeseen(number, f"answer to {name}")
            self.kit.reset_rate_limit()
        self.recover(f"answers {numbers[0]} to {numbers[-1]}")

    def recover(self, where: str) -> None:
        """Let the service answer correctly again; every booking must end, and be true."""
        self.kit.recover()
        self.kit.sync_directory()
        # Closed bookings are watched by every sync, also those that an invented refusal has closed. A sync
        # that was disturbed goes on after some minutes.
        for _ in range(2):
            self.kit.run_due(after=3600, periodic=True)
        try:
            self.kit.run_until_idle()
        except AssertionError as error:
            self.violations.append(f"{where}: {error}")
        found = judge.find_violations(self.kit.sandbox)
        self.violations += [f"{where}: {kind} {text}" for kind, texts in found.items() for text in texts[:3]]


@dataclass
class SpoiledService:
    """The sandbox, each of whose answers is changed: its document, its bytes or its status."""

    sound: Callable[..., Any]
    dice: random.Random

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        answered: list[tuple[str, list[tuple[str, str]]]] = []
        body = b"".join(
            self.sound(environ, lambda status, headers, exc_info=None: answered.append((status, headers)))
        )
        status, headers = answered[0]
        try:
            document = json.loads(body)
        except ValueError:
            document = None
        body = json.dumps(
            mutations.change_document(document, self.dice, times=self.dice.randrange(1, 4))
        ).encode()
        if self.dice.random() < 0.2:
            body = mutations.change_bytes(body, self.dice)
        if self.dice.random() < 0.1:
            status = self.dice.choice(
                ("204 No Content", "302 Found", "400 Bad", "418 Teapot", "500 Error", "299 Odd")
            )
        headers = [(name, text) for name, text in headers if name.lower() != "content-length"]
        start_response(status, headers)
        return [body]


def is_documented(path: str, status: int) -> bool:
    """Whether this is the REST API's answer for a service that fails: 503 with ``Retry-After``."""
    return path.startswith("/api/") and status == 503


def read_times(fuzzer: Fuzzer, number: int) -> None:
    fuzzer.kit.clear_availability()
    for path in (f"/book/{SLUG}/", f"/api/meetergo/meeting-types/{SLUG}/availability/"):
        status = fuzzer.request(Request(method="GET", path=path), number, "answer")
        if status >= 500 and not is_documented(path, status):
            fuzzer.violations.append(f"input {number} (answer to times): {status} at {path}")


def read_delivery(fuzzer: Fuzzer, number: int) -> None:
    fuzzer.kit.reread_all()
    fuzzer.kit.run_due(after=5)


def read_lists(fuzzer: Fuzzer, number: int) -> None:
    fuzzer.kit.travel(hours=1)
    scheduler.run_due(fuzzer.kit.now())


def read_directory(fuzzer: Fuzzer, number: int) -> None:
    fuzzer.kit.sync_directory()


def read_booking(fuzzer: Fuzzer, number: int) -> None:
    """Book by REST; the answer is spoiled, and so is what looks for the booking afterwards."""
    starts = fuzzer.target.starts
    document = {
        "meeting_type": SLUG, "start": starts[number % len(starts)], "first_name": "Jane",
        "last_name": "Doe", "email": f"jane{number}@example.com",
    }  # fmt: skip
    body = json.dumps(document).encode()
    request = Request(method="POST", path="/api/meetergo/bookings/", body=body, content_type=JSON)
    status = fuzzer.request(request, number, "answer")
    if status >= 500 and not is_documented(request.path, status):
        fuzzer.violations.append(f"input {number} (answer to booking): {status}")
    fuzzer.kit.run_due(after=5)


READERS: dict[str, Callable[[Fuzzer, int], None]] = {
    "times": read_times,
    "delivery": read_delivery,
    "lists": read_lists,
    "directory": read_directory,
    "booking": read_booking,
}

#: Each makes the run exit 1.
SABOTAGES: dict[str, dict[str, Any]] = {
    "signature-unchecked": {"django_meetergo.links.unsign": fuzz_sabotage.believe},
    "any-webhook-token": {"django_meetergo.views.webhook.find_connection": fuzz_sabotage.know_any},
    "trust-the-webhook": {"django_meetergo.views.webhook.receive_delivery": fuzz_sabotage.apply_at_once},
    "unforeseen-start": {"django_meetergo.views.details.parse_start": fuzz_sabotage.parse_carelessly},
}
