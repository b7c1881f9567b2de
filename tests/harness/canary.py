"""Known secrets run through a site at DEBUG level; everything that the site puts out is searched for them.

A visitor books, reschedules and cancels by page and by REST, staff open every page of the admin, webhooks are
delivered and forged, the service fails, and the code is made to crash at several places. Then logs, pages,
answers, crash reports, tables, ``dumpdata`` and the cache are searched. At last the visitor is erased: a
sync and a repeated webhook must not bring them back.

At DEBUG level ``django.db.backends`` prints the parameters of every statement, and crash reports show local
variables, as Django documents. People's data is not searched for there; secrets are.
"""

from __future__ import annotations

import argparse
import io
import logging
import re
import traceback
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any
from unittest import mock
from urllib.parse import quote

from cryptography.fernet import Fernet
from django.conf import settings
from django.contrib import admin
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from django.core.management import call_command
from django.db import connection
from django.http import HttpRequest
from django.test import Client, override_settings
from django.urls import reverse
from django.utils import timezone
from django.utils.html import escape
from rest_framework.request import Request

from django_meetergo import links
from django_meetergo.admin.base import MeetergoAdmin
from django_meetergo.crash_reports import MaskingReporter
from django_meetergo.models import Appointment, Attendee, Booking, CalendarFeed
from django_meetergo.sandbox import seed as sandbox_seed
from django_meetergo.sandbox import server
from django_meetergo.sandbox.app import Sandbox
from django_meetergo.services import scheduler
from django_meetergo.services.privacy.erasure import erase_person
from django_meetergo.testing.kit import SandboxKit
from tests.harness import canary_sabotage, workers
from tests.harness.visitor import read_choices, read_hidden

SLUGS = ("intro-call", "group-class")
#: Loggers that print what the site's people typed, as their documentation says.
LOGS_VALUES = "django.db.backends"
LOGS, PAGES, OWN_PAGES, API, ADMIN = "logs", "pages", "own pages", "api", "admin"
CRASHES, VARIABLES, STATEMENTS = "crash reports", "variables of crashes", "logged statements"
COLUMNS, DUMP, CACHE, ADDRESSES = "columns", "dump", "cache", "addresses"
EVERYWHERE = frozenset(
    {LOGS, PAGES, OWN_PAGES, API, ADMIN, CRASHES, VARIABLES, STATEMENTS, COLUMNS, DUMP, CACHE, ADDRESSES}
)
#: Where Django prints what people have typed.
OF_DJANGO = frozenset({CRASHES, VARIABLES, STATEMENTS})

#: The mails of this site, so that sending one can crash.
MAILS = ("confirmed", "rescheduled", "cancelled")
#: Where the code is made to crash. Their arguments and the locals of their callers are in the report.
CRASH_POINTS = (
    "django_meetergo.remote.client.MeetergoClient.create_booking",
    "django_meetergo.remote.client.MeetergoClient.get_appointment",
    "django_meetergo.remote.client.MeetergoClient.cancel_with_secret",
    "django_meetergo.remote.client.digest_target",
    "django_meetergo.remote.transport.Transport._attempt",
    "django_meetergo.remote.http.requests.Request",
    "django_meetergo.remote.http._read_answer",
    "django_meetergo.services.booking.sending.adopt",
    "django_meetergo.services.booking.outcomes.record_confirmation",
    "django_meetergo.services.mirror.appointments.save_rows",
    "django_meetergo.services.webhooks.receive.read_body",
    "django_meetergo.services.webhooks.receive.hash_text",
    "django_meetergo.services.notifications.send_to_attendee",
    "django_meetergo.fields.encrypt",
    "django_meetergo.fields.decrypt",
    "django_meetergo.links.unsign",
)


class Crash(Exception):
    """A mistake in the code."""


@dataclass(frozen=True)
class Canary:
    """A text that must not appear anywhere but in ``allowed``."""

    name: str
    text: str
    allowed: frozenset[str] = frozenset()

    def list_forms(self) -> set[str]:
        """Return the text as it may be written in an address, in HTML and in Python."""
        forms = {self.text, quote(self.text, safe=""), str(escape(self.text)), repr(self.text)[1:-1]}
        return {form.casefold() for form in forms}


@dataclass
class Findings:
    """What the site has put out, by place."""

    texts: defaultdict[str, list[tuple[str, str]]] = field(default_factory=lambda: defaultdict(list))

    def add(self, place: str, source: str, text: str) -> None:
        self.texts[place].append((source, text.casefold()))

    def search(self, canaries: Iterable[Canary]) -> Iterator[str]:
        """Yield one line for each canary, place and source."""
        for canary in canaries:
            forms = canary.list_forms()
            for place in sorted(EVERYWHERE - canary.allowed):
                sources = {
                    source for source, text in self.texts[place] if any(form in text for form in forms)
                }
                yield from (f"{canary.name} in {place}: {source}" for source in sorted(sources)[:5])


class Recorder(logging.Handler):
    """Keep every log record, and the crash reports that Django would make of its exception."""

    def __init__(self, findings: Findings) -> None:
        super().__init__(logging.DEBUG)
        self.findings = findings
        self.is_reporting = False

    def emit(self, record: logging.LogRecord) -> None:
        if self.is_reporting:
            return  # the template of a report logs, too
        place = STATEMENTS if record.name.startswith(LOGS_VALUES) else LOGS
        self.findings.add(place, record.name, record.getMessage())
        if not record.exc_info or record.exc_info[1] is None:
            return
        self.findings.add(place, record.name, "".join(traceback.format_exception(record.exc_info[1])))
        if record.levelno >= logging.WARNING:
            self.is_reporting = True
            try:
                self.report(record)
            finally:
                self.is_reporting = False  # else a report that crashes itself would be the last one

    def report(self, record: logging.LogRecord) -> None:
        exc_info: Any = record.exc_info
        source = f"{record.name}, {exc_info[0].__name__}"
        for text in list_reports(exc_info, getattr(record, "request", None)):
            self.findings.add(CRASHES, source, text)
        self.findings.add(VARIABLES, source, "\n".join(list_locals(exc_info[2])))


def list_reports(exc_info: Any, request: HttpRequest | None) -> Iterator[str]:
    """Yield the pages that Django shows and mails for an error, without the source code around it."""
    for debug in (False, True):
        with override_settings(DEBUG=debug):
            reporter = MaskingReporter(request, *exc_info, is_email=not debug)
            yield reporter.get_traceback_text()
            yield reporter.get_traceback_html()


def list_locals(step: Any) -> Iterator[str]:
    """Yield the local variables of every frame of the package, as error trackers print them.

    Django's requests print their address, which contains the token of a link: ``docs/howto/proxy.rst``.
    """
    while step is not None:
        if "/django_meetergo/" in step.tb_frame.f_code.co_filename:
            values = step.tb_frame.f_locals.values()
            yield from (repr(value) for value in values if not isinstance(value, HttpRequest | Request))
        step = step.tb_next


def main(arguments: Sequence[str]) -> dict[str, Any]:
    parser = argparse.ArgumentParser(prog="python -m tests.harness canary")
    parser.add_argument("--seed", type=int, default=1)
    return workers.run_from_command_line(run, parser, arguments, SABOTAGES)


def run(*, seed: int = 1, sabotage: str | None = None) -> dict[str, Any]:
    """Return the figures of one run on an empty database."""
    findings = Findings()
    zelda = Person(seed)
    key = Fernet.generate_key().decode()
    sandbox = Sandbox(rate_limit=False)
    with ExitStack() as stack:
        running = stack.enter_context(server.start(sandbox))
        caches = stack.enter_context(workers.shared_cache())
        secret_key = f"secret-key-canary-{seed}-{'k' * 40}"
        webhook_token = f"webhook-token-canary-{seed}-{'t' * 24}"
        stack.enter_context(
            override_settings(
                CACHES=caches, ROOT_URLCONF="tests.harness.site_urls", SECRET_KEY=secret_key,
                STATIC_URL="/static/",
                MEETERGO={
                    **settings.MEETERGO, "API_KEY": sandbox_seed.ADMIN_TOKEN, "BASE_URL": running.url,
                    "SITE_URL": "https://clinic.example", "SEND_MAIL": list(MAILS),
                    "ENCRYPTION_KEYS": [key], "WEBHOOK_TOKENS": [webhook_token], "MAX_BOOKINGS_PER_HOUR": 0,
                    "REQUESTS_PER_MINUTE": 6000, "OUTCOME_DEADLINE": 2, "LEASE": 2, "TIMEOUT": 1,
                    "TIMEOUT_BACKGROUND": 1,
                    "CONNECTIONS": {
                        "second": {"API_KEY": sandbox_seed.PLATFORM_KEY, "USER_ID": sandbox_seed.OWNER}
                    },
                },
            )
        )  # fmt: skip
        stack.enter_context(record_logs(findings))
        for path, replacement in SABOTAGES.get(sabotage or "", {}).items():
            stack.enter_context(mock.patch(path, replacement))
        site = Site(findings=findings, zelda=zelda, kit=SandboxKit(sandbox, base_url=running.url))
        site.run_visits()
        canaries = [
            Canary("API key", sandbox_seed.ADMIN_TOKEN),
            Canary("API key of another connection", sandbox_seed.PLATFORM_KEY),
            Canary("SECRET_KEY", secret_key),
            Canary("encryption key", key),
            Canary("webhook token", webhook_token),
            *site.list_secrets(),
            *site.list_links(),
            *zelda.list_canaries(),
        ]
        site.read_storage()
        found = list(findings.search(canaries))
        found += [f"after erasing: {line}" for line in site.erase(zelda)]
        seen = Counter({place: len(texts) for place, texts in findings.texts.items()})
    unseen = [f"nothing was recorded from {place}" for place in sorted(EVERYWHERE) if not seen[place]]
    return {
        "part": "canary",
        "seed": seed,
        "sabotage": sabotage,
        "secrets": len(canaries),
        "texts_searched": dict(sorted(seen.items())),
        "crashes": site.crashes,
        "violations": [*found, *unseen, *site.problems],
    }


def make_crash(counted: Counter[str]) -> Callable[..., Any]:
    def crash(*args: Any, **kwargs: Any) -> None:
        del args, kwargs  # the variables of this frame are none of the package's
        counted["crashes"] += 1
        raise Crash("a mistake")

    return crash


@contextmanager
def record_logs(findings: Findings) -> Iterator[None]:
    """Let every logger pass on everything, statements included, until the block ends."""
    root, recorder = logging.getLogger(), Recorder(findings)
    loggers = [root, *(one for one in logging.Logger.manager.loggerDict.values() if hasattr(one, "setLevel"))]
    before = {one: (one.level, one.propagate, list(one.handlers), one.disabled) for one in loggers}
    for one in loggers:
        one.setLevel(logging.NOTSET)
        one.propagate, one.handlers, one.disabled = True, [], False
    root.setLevel(logging.DEBUG)
    root.handlers = [recorder]
    forced = connection.force_debug_cursor
    connection.force_debug_cursor = True
    try:
        yield
    finally:
        connection.force_debug_cursor = forced
        for one, (level, propagate, handlers, disabled) in before.items():
            one.setLevel(level)
            one.propagate, one.handlers, one.disabled = propagate, handlers, disabled


class Person:
    """A visitor whose every detail can be found again."""

    def __init__(self, seed: int) -> None:
        self.first, self.last = f"Zelda{seed}canary", f"Quark{seed}canary"
        self.email = f"zelda.{seed}.canary@people.example"
        self.phone = f"+49 30 {47110815 + seed}"
        self.company = f"Zeta Canary {seed} Ltd"
        self.answer = f"a sore knee, canary {seed}"
        self.note = f"brings her dog, canary {seed}"

    def list_canaries(self) -> Iterator[Canary]:
        """Yield her data, and what staff wrote about her, which leaves the admin for nowhere."""
        allowed = OF_DJANGO | {OWN_PAGES, API, ADMIN, COLUMNS, DUMP}
        for name in ("first", "last", "email", "phone", "company", "answer"):
            yield Canary(f"visitor's {name}", getattr(self, name), allowed)
        yield Canary("staff note", self.note, OF_DJANGO | {API, ADMIN, COLUMNS, DUMP})


@dataclass
class Site:
    """A site in this process, whose every output is kept."""

    findings: Findings
    zelda: Person
    kit: SandboxKit
    problems: list[str] = field(default_factory=list)
    crashes: int = 0

    # The story

    def run_visits(self) -> None:
        self.kit.sync_directory()
        self.kit.register_webhook()
        for slug in SLUGS:
            self.visit(slug)
        self.work()
        Appointment.objects.filter(attendees__booking__isnull=False).update(note=self.zelda.note)
        self.use_api()
        self.fail()
        self.open_links(OWN_PAGES, Client())
        self.staff = Client()
        self.staff.force_login(User.objects.create_superuser("boss"))
        CalendarFeed.objects.create(name="phone", user=User.objects.get(username="boss"), shows_details=True)
        self.open_admin()
        self.open_api_as_staff()
        self.crash_everywhere()
        self.change()
        self.work()
        self.read_pages()

    def send(self, client: Client, place: str, method: str, path: str, **options: Any) -> Any:
        """Send a request as a browser does, and keep status, headers and body of the answer."""
        answer = getattr(client, method.lower())(path, secure=True, **options)
        body = b"".join(answer.streaming_content) if answer.streaming else answer.content
        shown = re.sub(r"/[0-9a-f]{32}~[\w-]+", "/<token>", path.partition("?")[0])
        # The cookies of one's own browser are encrypted or signed: they count as the page they come with.
        heads = "\n".join(f"{name}: {value}" for name, value in answer.items())
        self.findings.add(
            place, f"{method} {shown}", f"{heads}\n{answer.cookies}\n{body.decode(errors='replace')}"
        )
        return answer

    def visit(self, slug: str) -> Booking:
        """Book one of the free times through the pages."""
        client, start = Client(raise_request_exception=False), self.kit.list_free_starts(slug)[3]
        self.send(client, PAGES, "GET", reverse("meetergo:book", args=[slug]))
        path = reverse("meetergo:details", args=[slug])
        page = self.send(client, PAGES, "GET", path, data={"start": start.isoformat()}).content.decode()
        given = self.fill_form(page)
        # An error first, so that her data is shown again on her own page.
        self.send(client, OWN_PAGES, "POST", path, data={**given, "email": "not an address"})
        answer = self.send(client, OWN_PAGES, "POST", path, data=given)
        if answer.status_code != 303:
            self.problems.append(f"booking {slug} by page was answered {answer.status_code}")
        else:
            self.send(client, OWN_PAGES, "GET", answer["Location"])
        return Booking.objects.latest("pk")

    def fill_form(self, page: str) -> dict[str, str]:
        """Return the values of the booking form with her data, her answer in every question with a text."""
        questions = re.findall(r'<(?:textarea|input[^>]*type="text")[^>]*name="(question_[^"]+)"', page)
        return {
            **read_choices(page), **read_hidden(page), **dict.fromkeys(questions, self.zelda.answer),
            "first_name": self.zelda.first, "last_name": self.zelda.last, "email": self.zelda.email,
            "phone": self.zelda.phone, "company": self.zelda.company,
        }  # fmt: skip

    def work(self) -> None:
        """Do what is due, deliver the webhooks, twice and forged, and do what is due then."""
        self.kit.run_due(after=5, periodic=True)
        self.kit.deliver(duplicate=2)
        self.kit.forge_delivery(webhookType="booking_cancelled", id="forged", attendees=[vars(self.zelda)])
        Client().post(
            reverse("meetergo:webhook", args=["an-invented-webhook-token"]),
            {},
            content_type="application/json",
        )
        self.kit.run_due(after=5, periodic=True)

    def use_api(self) -> None:
        """Book by REST and read what the visitor may read."""
        client = Client(raise_request_exception=False)
        start = self.kit.list_free_starts()[9]
        self.send(client, PAGES, "GET", reverse("meetergo_rest:meeting_types"))
        self.send(client, PAGES, "GET", reverse("meetergo_rest:availability", args=["intro-call"]))
        body = {
            "meeting_type": "intro-call", "start": start.isoformat(), "first_name": self.zelda.first,
            "last_name": self.zelda.last, "email": self.zelda.email, "phone": self.zelda.phone,
        }  # fmt: skip
        answer = self.send(
            client,
            OWN_PAGES,
            "POST",
            reverse("meetergo_rest:bookings"),
            data=body,
            content_type="application/json",
        )
        if answer.status_code not in {200, 201, 202}:
            self.problems.append(f"booking by REST was answered {answer.status_code}")

    def fail(self) -> None:
        """Let the service fail in several ways, with its answers logged."""
        for kind, options in (
            ("drop_after", {}), ("status_after", {"status": 502}), ("garbage", {}), ("cut", {}),
            ("status_before", {"status": 400, "body": f'{{"message": "{self.zelda.email} is refused"}}'}),
            ("status_before", {"status": 401}),
        ):  # fmt: skip
            self.kit.fail_next(kind=kind, **options)
            self.visit("intro-call")
            self.kit.recover()
        self.kit.fail_next("GET /v4/appointment/{id}", "garbage", times=3)
        self.kit.reread_all()
        self.work()
        self.kit.run_until_idle(rounds=6)

    def change(self) -> None:
        """Reschedule one appointment by page and cancel the others."""
        client = Client(raise_request_exception=False)
        for number, attendee in enumerate(Attendee.objects.filter(booking__isnull=False).order_by("pk")):
            token = links.sign(attendee.public_id, salt=links.MANAGE_SALT)
            if number == 0:
                start = self.kit.list_free_starts()[-1].isoformat()
                path = reverse("meetergo:reschedule", args=[token])
                self.send(client, OWN_PAGES, "POST", path, data={"start": start, "chosen": start})
            else:
                path = reverse("meetergo:cancel", args=[token])
                self.send(client, OWN_PAGES, "POST", path, data={"reason": self.zelda.answer})

    def open_links(self, place: str, client: Client) -> None:
        for path in self.list_link_paths():
            self.send(client, place, "GET", path)

    def list_link_paths(self) -> Iterator[str]:
        for attendee in Attendee.objects.exclude(booking=None):
            token = links.sign(attendee.public_id, salt=links.MANAGE_SALT)
            for name in ("manage", "reschedule", "cancel", "ics"):
                yield reverse(f"meetergo:{name}", args=[token])
            yield reverse("meetergo_rest:manage", args=[token])
        for booking in Booking.objects.all():
            token = links.sign(booking.public_id, salt=links.BOOKING_SALT)
            yield reverse("meetergo:outcome", args=[token])
            yield reverse("meetergo_rest:booking", args=[token])

    def read_pages(self) -> None:
        """Open, as somebody else, everything that needs no link, and wrong links with right ids."""
        client = Client(raise_request_exception=False)
        for name in ("index", "send_links"):
            self.send(client, PAGES, "GET", reverse(f"meetergo:{name}"))
        self.send(
            client, PAGES, "POST", reverse("meetergo:send_links"), data={"email": "other@people.example"}
        )
        for slug in SLUGS:
            self.send(client, PAGES, "GET", reverse("meetergo:book", args=[slug]))
        for path in self.list_link_paths():
            self.send(client, PAGES, "GET", re.sub(r"~[\w-]+", "~" + "x" * 43, path))

    # Staff

    def open_admin(self) -> None:
        for path in list_admin_paths():
            self.send(self.staff, ADMIN, "GET", path)

    def open_api_as_staff(self) -> None:
        self.send(self.staff, API, "GET", reverse("meetergo_rest:appointments"))
        for appointment in Appointment.objects.all()[:20]:
            self.send(
                self.staff, API, "GET", reverse("meetergo_rest:appointment", args=[appointment.public_id])
            )

    # Crashes

    def crash_everywhere(self) -> None:
        """Let the code crash at each point while every kind of request is under way."""
        for point in CRASH_POINTS:
            steps = list(self.list_steps(point))
            counted = Counter[str]()
            with mock.patch(point, make_crash(counted)):
                for step in steps:
                    with suppress(Crash):  # outside a request nothing of the package need catch it
                        step()
            if not counted:
                self.problems.append(f"{point} was never called, so nothing crashed there")
            self.crashes += counted.total()
            self.kit.recover()
            self.kit.run_due(after=5)

    def list_steps(self, name: str) -> Iterator[Callable[[], object]]:
        """Yield what is done while the code crashes; the database is read before."""
        client = Client(raise_request_exception=False)
        start = self.kit.list_free_starts()[3].isoformat()
        attendee = Attendee.objects.filter(booking__isnull=False, appointment__status="confirmed").latest(
            "pk"
        )
        token = links.sign(attendee.public_id, salt=links.MANAGE_SALT)
        path = reverse("meetergo:details", args=["intro-call"])
        page = client.get(path, {"start": start}).content.decode()
        body = {"webhookType": "booking_created", "id": attendee.appointment.remote_id, "name": name}
        webhook = reverse("meetergo:webhook", args=[settings.MEETERGO["WEBHOOK_TOKENS"][0]])
        cancel = reverse("meetergo:cancel", args=[token])
        yield lambda: client.post(webhook, body, content_type="application/json")
        yield lambda: client.post(path, self.fill_form(page))
        yield lambda: client.get(reverse("meetergo:manage", args=[token]))
        yield lambda: client.post(cancel, {"reason": self.zelda.answer})
        yield lambda: scheduler.run_due(self.kit.travel(seconds=5), periodic=True)

    # What is searched for, and where else

    def list_secrets(self) -> Iterator[Canary]:
        """Yield the secrets of the appointments at the service, which authorise whoever has them."""
        for number, appointment in enumerate(self.kit.appointments(active=False)):
            yield Canary(f"appointment secret {number}", appointment.secret)

    def list_links(self) -> Iterator[Canary]:
        """Yield the signatures in links. A link is shown on the pages of its holder only."""
        own = frozenset({OWN_PAGES})
        for attendee in Attendee.objects.exclude(booking=None):
            token = links.sign(attendee.public_id, salt=links.MANAGE_SALT)
            yield Canary(f"manage link {attendee.pk}", token.partition("~")[2], own)
        for booking in Booking.objects.all():
            token = links.sign(booking.public_id, salt=links.BOOKING_SALT)
            yield Canary(f"booking link {booking.pk}", token.partition("~")[2], own)
        for feed in CalendarFeed.objects.all():
            # Its owner copies the address from the admin.
            token = links.sign(feed.public_id, salt=links.FEED_SALT)
            yield Canary("feed link", token.partition("~")[2], frozenset({ADMIN}))

    def read_storage(self) -> None:
        """Keep what tables, a dump, the cache and the service's log of addresses contain."""
        for table, text in list_tables():
            self.findings.add(COLUMNS, table, text)
        self.findings.add(DUMP, "dumpdata", dump())
        for key, text in list_cache():
            self.findings.add(CACHE, key, text)
        for call in self.kit.sandbox.calls.list_newest_first():
            self.findings.add(ADDRESSES, f"{call.method} {call.path}", f"{call.path}?{call.query}")

    # Erasure

    def erase(self, person: Person) -> Iterator[str]:
        """Erase the person, let her appointment change at the service; yield where she is found again."""
        erase_person(email=person.email, now=timezone.now())
        start = self.kit.list_free_starts()[-2]
        for appointment in self.kit.appointments():
            if any(attendee.email == person.email for attendee in appointment.attendees):
                self.kit.move_elsewhere(appointment, start)
                break
        self.kit.deliver()
        self.kit.reread_all()
        for seconds in (5, 90_000):  # a day later the full sync reads everything again
            self.kit.run_due(after=seconds, periodic=True)
        after = Findings()
        for table, text in list_tables():
            after.add(COLUMNS, table, text)
        after.add(DUMP, "dumpdata", dump())
        known = Findings()
        self.findings = known
        self.open_admin()
        after.texts[ADMIN] = known.texts[ADMIN]
        for canary in person.list_canaries():
            yield from after.search([Canary(canary.name, canary.text)])


def list_admin_paths() -> Iterator[str]:
    """Yield every page of the package's admin that a GET shows, with a search for everything."""
    for model, model_admin in admin.site._registry.items():
        if model._meta.app_label != "meetergo" or not isinstance(model_admin, MeetergoAdmin):
            continue
        name = f"admin:meetergo_{model._meta.model_name}"
        yield reverse(f"{name}_changelist")
        yield reverse(f"{name}_changelist") + "?q=zelda"
        for row in model._base_manager.all()[:15]:
            yield reverse(f"{name}_change", args=[row.pk])
            yield reverse(f"{name}_history", args=[row.pk])
    for name in ("connection_health", "booking_call", "appointment_calendar", "appointment_export"):
        yield reverse(f"admin:meetergo_{name}")


def list_tables() -> Iterator[tuple[str, str]]:
    """Yield each table of the site with its rows as text, and its sessions decoded."""
    for table in connection.introspection.table_names():
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT * FROM {connection.ops.quote_name(table)}")
            names = [column[0] for column in cursor.description or ()]
            rows = "\n".join(repr(dict(zip(names, row, strict=True))) for row in cursor.fetchall())
        yield table, rows
    yield "sessions", "\n".join(repr(session.get_decoded()) for session in Session.objects.all())


def dump() -> str:
    output = io.StringIO()
    call_command("dumpdata", stdout=output, verbosity=0)
    return output.getvalue()


def list_cache() -> Iterator[tuple[str, str]]:
    """Yield the keys of the site's entries in the cache with their values."""
    from django.core.cache import cache

    server = cache._cache.get_client(write=False)  # type: ignore[attr-defined]
    for key in server.scan_iter(f"{cache.key_prefix}:*"):
        kind = server.type(key)
        value = server.get(key) if kind == b"string" else b""
        yield key.decode(), f"{key!r} {(value or b'').decode(errors='replace')}"


#: Each makes the run exit 1.
SABOTAGES: dict[str, dict[str, Any]] = {
    "secret-logged": {"django_meetergo.remote.redaction.redact": str},
    "link-logged": {"django_meetergo.request_logs.MaskTokens.filter": canary_sabotage.let_pass},
    "person-logged": {"django_meetergo.services.booking.book.send_now": canary_sabotage.send_and_log_person},
    "secret-printed": {"django_meetergo.texts.Secret.__repr__": str.__repr__},
    "secret-stored": {
        "django_meetergo.fields.encrypt": str,
        "django_meetergo.fields.decrypt": str,
    },
    "signature-unchecked": {"django_meetergo.links.unsign": canary_sabotage.believe},
    "erasure-forgotten": {
        "django_meetergo.services.mirror.appointments.remove_erased_people": canary_sabotage.keep_people
    },
}
