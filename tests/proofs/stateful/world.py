"""The sandbox, the site and the failures between them, driven in one thread."""

from __future__ import annotations

import io
import json
import logging
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit
from uuid import NAMESPACE_OID, UUID, uuid5

import pytest
from django.apps import apps
from django.core import mail
from django.db import connection
from django.dispatch import Signal

from django_meetergo import clock as site_clock
from django_meetergo.exceptions import MeetergoError, RemoteError
from django_meetergo.models import AppointmentChange, Booking, Connection, Event, SyncRun, WebhookDelivery
from django_meetergo.models.leases import Lease, Leased, LeasedQuerySet
from django_meetergo.remote import circuit_breaker, http, rate_limit, transport
from django_meetergo.remote.circuit_breaker import CircuitBreaker
from django_meetergo.remote.rate_limit import RateLimiter
from django_meetergo.sandbox.app import Sandbox
from django_meetergo.sandbox.clock import Clock
from django_meetergo.sandbox.errors import Refused
from django_meetergo.sandbox.faults import ConnectionClosed, Fault
from django_meetergo.sandbox.http import Response
from django_meetergo.sandbox.records import Appointment, Provisional, Token
from django_meetergo.sandbox.seed import ADMIN_TOKEN, ALL_SCOPES, OWNER
from django_meetergo.sandbox.webhooks import add_webhook
from django_meetergo.services import clients, events, scheduler
from django_meetergo.services.availability import refresh
from django_meetergo.services.matching import REFERENCE_KEY
from django_meetergo.services.sync.appointments import sync_appointments
from django_meetergo.services.webhooks import receive
from django_meetergo.services.webhooks.events import REREAD_EVENTS
from django_meetergo.services.webhooks.receive import find_connection
from django_meetergo.testing.guards import OpenTransaction
from django_meetergo.testing.kit import BOOK, SandboxKit
from django_meetergo.testing.sandbox_adapter import SandboxAdapter
from tests.proofs.stateful.clock import Ticks, VirtualCache

CONNECTION = "default"
BASE_URL = "http://meetergo.sandbox"
TOKEN = "a-token-that-only-this-proof-knows"
ENDPOINT = f"https://site.example/webhooks/{TOKEN}/"

#: A pending booking is polled within this time.
LONGEST_WAIT = timedelta(minutes=61)
#: Work that is not finished after so many rounds never ends.
MAX_ROUNDS = 80

#: The tables that examples fill, children before parents. Meeting types and hosts are always the same.
FILLED = (
    "meetergo_event", "meetergo_appointmentchange", "meetergo_bookingattempt", "meetergo_booking",
    "meetergo_attendee", "meetergo_appointment_hosts", "meetergo_appointment", "meetergo_webhookdelivery",
    "meetergo_syncrun",
)  # fmt: skip


class Killed(BaseException):
    """The process ends here: no ``except`` and no later statement runs."""


@dataclass(frozen=True)
class Kill:
    """Where the process will die: before its n-th statement, or around its n-th call."""

    point: str  # statement, before_send or after_send
    countdown: int


@dataclass(frozen=True)
class Stall:
    """A call that takes so long that others take over: pauses of 35 seconds, with work after each."""

    point: str  # before or after the service carried it out
    pauses: int


class UnlimitedRateLimiter(RateLimiter):
    """Waits after a 429 like its parent and counts no permits: the limit itself has its own tests."""

    def _try_acquire(self, reserved: int) -> bool:
        return not self._is_blocked(self.cache.get(self._block_key))


class ErrorCollector(logging.Handler):
    """Turns every logged error into a violation: unexpected errors are logged and survived by the site."""

    def __init__(self, world: World) -> None:
        super().__init__(logging.ERROR)
        self.world = world

    def emit(self, record: logging.LogRecord) -> None:
        if self.world.is_receiver_failure(record):
            return
        error = record.exc_info[1] if record.exc_info else None
        name = "I11" if isinstance(error, OpenTransaction) else "I20"
        self.world.violations.append(f"{name}: {record.getMessage()} {error!r}")


class World:
    """A sandbox and a site with one database and one clock, reset for each example."""

    def __init__(self, settings: Any, patch: pytest.MonkeyPatch) -> None:
        self.ticks, self.ids = Ticks(), 0
        self.sandbox = Sandbox(rate_limit=False, clock=Clock(self.ticks), make_uuid=self.make_id)
        self.settings = settings
        self.settings.CACHES = {"default": {"BACKEND": f"{VirtualCache.__module__}.VirtualCache"}}
        self.use_key(ADMIN_TOKEN)
        self.kit = SandboxKit(self.sandbox, base_url=BASE_URL)
        self.sandbox.deliveries.transport = self.deliver_to_site
        self.patch_time(patch)
        self.skip_empty_reads(patch)
        self.watch_claims(patch)
        patch.setitem(transport.ADAPTERS, BASE_URL, SandboxAdapter(self.wsgi))
        patch.setattr(self.sandbox, "apply_later", self.apply_later)
        connection.execute_wrappers.append(self.on_statement)
        self.error_collector = ErrorCollector(self)
        logging.getLogger("django_meetergo").addHandler(self.error_collector)
        for signal in events.SIGNALS.values():
            signal.connect(self.receive_signal)
        self.reset()
        self.kit.clear_availability()
        self.kit.sync_directory()

    def close(self) -> None:
        """Remove what stays in the process; monkeypatch undoes its own patches."""
        connection.execute_wrappers.remove(self.on_statement)
        logging.getLogger("django_meetergo").removeHandler(self.error_collector)
        for signal in events.SIGNALS.values():
            signal.disconnect(self.receive_signal)
        self.sandbox.close()

    def use_key(self, key: str) -> None:
        self.settings.MEETERGO = {
            "API_KEY": key,
            "BASE_URL": BASE_URL,
            "SANDBOX": True,
            "SITE_URL": "https://site.example",
            "WEBHOOK_TOKENS": [TOKEN],
            "BACKGROUND": "cron",
            "DEFER_WHEN_DOWN": True,
            "DIRECTORY_SYNC_INTERVAL": 10**9,
        }

    def patch_time(self, patch: pytest.MonkeyPatch) -> None:
        """Give the services the sandbox's clock and sleep. Deadlines of requests stay real."""
        fake_time = SimpleNamespace(monotonic=self.time, time=self.time, sleep=self.sleep)
        patch.setattr(site_clock, "time", fake_time)
        patch.setattr(refresh, "time", fake_time)
        patch.setattr(transport, "sleep", self.sleep)
        # Else the difference to the real time would be taken for a wrong clock of the service.
        patch.setattr(http, "datetime", SimpleNamespace(now=lambda zone: self.kit.now().astimezone(zone)))
        patch.setattr(clients, "RateLimiter", partial(UnlimitedRateLimiter, now=self.time, sleep=self.sleep))
        patch.setattr(clients, "CircuitBreaker", partial(CircuitBreaker, now=self.time))
        patch.setattr(VirtualCache, "clock", staticmethod(self.time))

    def skip_empty_reads(self, patch: pytest.MonkeyPatch) -> None:
        """Skip kinds of work without due rows cheaply: reading none would take half of the time."""
        run_rows = scheduler.run_due_rows

        def run_rows_if_any(kind: scheduler.DueRows, watch: Any, until: Any) -> int:
            with self.unobserved():
                is_idle = not kind.rows().due(watch.now()).exists()
            return 0 if is_idle else run_rows(kind, watch, until)

        patch.setattr(scheduler, "run_due_rows", run_rows_if_any)

    def watch_claims(self, patch: pytest.MonkeyPatch) -> None:
        """Forget a lost lease when its row is claimed again: what follows is new work."""
        claim = LeasedQuerySet.claim

        def claim_and_forget(rows: LeasedQuerySet[Any], pk: int, **given: Any) -> Lease | None:
            lease = claim(rows, pk, **given)
            if lease is not None and not self.stalled:
                self.lost_leases.pop((rows.model, pk), None)
            return lease

        patch.setattr(LeasedQuerySet, "claim", claim_and_forget)

    # Examples

    def make_id(self) -> UUID:
        """Return a random-looking id, the same ones in each run, since services sort by them."""
        self.ids += 1
        return uuid5(NAMESPACE_OID, str(self.ids))

    def begin(self) -> None:
        """Start an example with empty tables and a sandbox without appointments."""
        self.reset()
        self.use_key(ADMIN_TOKEN)
        self.ticks.rewind()
        self.sandbox.reset()
        for planted in list(self.sandbox.state.appointments):
            self.sandbox.state.delete_appointment(planted)
        add_webhook(self.sandbox.state, ENDPOINT, list(REREAD_EVENTS))
        self.kit.clear_availability()
        mail.outbox = []
        clear_tables()
        with self.unobserved():
            Connection.objects.update_or_create(
                connection=CONNECTION,
                defaults={
                    "is_admin": True, "user_id": OWNER, "echoes_references": None,
                    "directory_synced_at": self.kit.now(),
                },
            )  # fmt: skip
            # Everything that is seen from here on is news.
            imported_at = self.kit.now() - timedelta(days=2)
            SyncRun.objects.create(connection=CONNECTION, kind="full", state="done", started_at=imported_at)

    def reset(self) -> None:
        self.ids = 0
        self.acting = False
        self.kill: Kill | None = None
        self.stall: Stall | None = None
        self.stalled = False
        self.lost_leases: dict[tuple[type[Leased], int], Any] = {}
        self.late: list[tuple[datetime, Callable[[], Response]]] = []
        self.violations: list[str] = []
        self.posts: Counter[str] = Counter()  # by reference
        self.answers = 0  # answers about an appointment
        self.shown: dict[str, set[tuple[str, bool]]] = defaultdict(set)  # id: starts and states in answers
        self.delivered: dict[str, str] = {}  # id: the newest ``updatedAt`` that was delivered
        self.forgotten: set[str] = set()  # appointments the service has lost
        self.failing_receivers = 0  # how often the site's receivers still fail
        self.received_signals: Counter[str] = Counter()

    # Time

    def time(self) -> float:
        return self.sandbox.clock.now().timestamp()

    def sleep(self, seconds: float) -> None:
        self.travel(seconds)

    def travel(self, seconds: float) -> datetime:
        """Advance the clock; delayed writes are carried out on the way."""
        until = self.kit.now() + timedelta(seconds=seconds)
        while due := sorted((when, n) for n, (when, _) in enumerate(self.late) if when <= until):
            when, number = due[0]
            _, handle = self.late.pop(number)
            self.kit.travel(seconds=max((when - self.kit.now()).total_seconds(), 0))
            handle()
        return self.kit.travel(seconds=max((until - self.kit.now()).total_seconds(), 0))

    def apply_later(self, seconds: float, handle: Callable[[], Response]) -> None:
        self.late.append((self.kit.now() + timedelta(seconds=seconds), handle))

    # The wire

    def wsgi(self, environ: dict[str, Any], start_response: Any) -> list[bytes]:
        """Call the sandbox; check what is sent and remember what is answered."""
        method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"].rstrip("/")
        sent = environ["wsgi.input"].getvalue()
        with self.unobserved():
            self.check_departure(method, path, sent)
        self.count_down("before_send")
        self.wait("before")
        environ["wsgi.input"] = io.BytesIO(sent)
        statuses: list[str] = []

        def start(status: str, headers: Any, *rest: Any) -> None:
            statuses.append(status)
            start_response(status, headers, *rest)

        body = b"".join(self.sandbox.wsgi(environ, start))
        self.wait("after")
        self.count_down("after_send")
        self.note_answer(statuses[0], body)
        return [body]

    def check_departure(self, method: str, path: str, sent: bytes) -> None:
        """Check I5, I6 and I11 at the moment a request leaves."""
        if connection.in_atomic_block:
            self.violations.append(f"I11: {method} {path} left inside a transaction")
            return
        if f"{method} {path}" != BOOK:
            return
        reference = json.loads(sent)["attendee"]["notes"][REFERENCE_KEY]
        self.posts[reference] += 1
        booking = Booking.objects.filter(reference=reference).first()
        if booking is None or booking.state != "sending":
            state = booking and booking.state
            self.violations.append(f"I5: a POST left for a booking that is {state}, not sending")
            return
        outcomes = list(booking.attempts.values_list("outcome", flat=True))
        if self.posts[reference] > len(outcomes):
            self.violations.append(
                f"I5: POST {self.posts[reference]} left with {len(outcomes)} stored attempts"
            )
        if any(outcome == "unknown" for outcome in outcomes):
            self.violations.append(f"I6: a POST left while an earlier one was unknown: {outcomes}")

    def note_answer(self, status: str, body: bytes) -> None:
        """Remember what an answer showed; a 404 is an answer as well."""
        self.answers += status.startswith("404")
        with suppress(ValueError):
            document = json.loads(body)
            documents = document.get("appointments", [document]) if isinstance(document, dict) else []
            for one in documents:
                self.note_document(one.get("appointment", one))

    def note_document(self, document: dict[str, Any]) -> None:
        if found := document.get("appointmentId") or document.get("id"):
            self.answers += 1
            shown = self.shown[found]
            if "start" in document:
                shown.add((document["start"], bool(document.get("isCancelled"))))

    def deliver_to_site(self, endpoint: str, body: bytes) -> int:
        """Deliver a webhook to the service function, without the view around it."""
        token = urlsplit(endpoint).path.split("/")[2]
        found = find_connection(token)
        assert found is not None
        receive.receive_delivery(connection=found, body=body, now=self.kit.now())
        document = json.loads(body)
        if document.get("updatedAt"):
            known = self.delivered.get(document["id"], "")
            self.delivered[document["id"]] = max(known, document["updatedAt"])
        return 200

    # Kills and stalls

    def on_statement(self, execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        self.count_down("statement")
        return execute(sql, params, many, context)

    def count_down(self, point: str) -> None:
        if not self.acting or self.kill is None or self.kill.point != point:
            return
        self.kill = replace(self.kill, countdown=self.kill.countdown - 1)
        if self.kill.countdown <= 0:
            self.kill = None
            raise Killed

    def wait(self, point: str) -> None:
        """Let a call hang while other workers work; a stall happens once."""
        if not self.acting or self.stall is None or self.stall.point != point or self.stalled:
            return
        stall, self.stall, self.stalled = self.stall, None, True
        with self.unobserved():
            held = read_leases()
        try:
            for _ in range(stall.pauses):
                self.travel(35)
                with suppress(Killed):
                    self.run_due_work()
        finally:
            self.stalled = False
        with self.unobserved():
            now_held = read_leases()
        for key, (token, _) in held.items():
            current = now_held.get(key, (None, read_state(*key)))
            if current[0] != token:
                self.lost_leases[key] = current[1]

    @contextmanager
    def unobserved(self) -> Iterator[None]:
        """Suspend kills and stalls while the test itself uses the database."""
        acting, self.acting = self.acting, False
        try:
            yield
        finally:
            self.acting = acting

    def act(self, do: Callable[..., Any], accident: Kill | Stall | None = None, /, **given: Any) -> Any:
        """Call the site; None when it refused the call or was killed."""
        self.acting, self.lost_leases = True, {}
        self.kill = accident if isinstance(accident, Kill) else None
        self.stall = accident if isinstance(accident, Stall) else None
        try:
            return do(**given)
        except Killed:
            rate_limit.reset_local_state()
            circuit_breaker.reset_local_state()
        except RemoteError:
            raise
        except MeetergoError:
            pass
        finally:
            self.acting, self.kill, self.stall = False, None, None
        return None

    # Signals

    def receive_signal(self, signal: Signal, event_key: str, **kwargs: Any) -> None:
        if self.failing_receivers:
            self.failing_receivers -= 1
            raise ConnectionRefusedError("a receiver of the site")
        self.received_signals[event_key] += 1

    def is_receiver_failure(self, record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if record.exc_info else None
        return isinstance(error, ConnectionRefusedError)

    # At meetergo

    def arm(self, route: str, kind: str, **options: Any) -> Fault:
        return self.sandbox.faults.add(route, kind, **options)

    def expire_key(self) -> None:
        for token in self.sandbox.state.tokens.values():
            token.expired = True

    def renew_key(self) -> None:
        """Configure a new key; the old one stays refused."""
        number = len(self.sandbox.state.tokens)
        key = f"rgo-{number:032d}"
        self.sandbox.state.tokens[key] = Token(key, OWNER, ALL_SCOPES)
        self.use_key(key)

    @property
    def key_works(self) -> bool:
        return not self.sandbox.state.tokens[self.settings.MEETERGO["API_KEY"]].expired

    def appointments(self, *, active: bool = True) -> list[Appointment]:
        return self.kit.appointments(active=active)

    def upcoming(self) -> list[Appointment]:
        now = self.kit.now()
        return [one for one in self.appointments() if one.start > now]

    def waiting(self) -> list[Provisional]:
        return list(self.sandbox.state.pending.values())

    def double(self, remote: Appointment) -> None:
        """Make an appointment a second time, as after a request that was duplicated on its way."""
        bookings = self.sandbox.state
        people = [replace(person, id=f"{person.id[:30]}-again") for person in remote.attendees]
        bookings.add_appointment(
            bookings.meeting_types[remote.meeting_type_id],
            host_ids=list(remote.host_ids),
            start=remote.start,
            minutes=int(remote.length.total_seconds() // 60),
            attendees=people,
        )

    def delete_appointment(self, remote: Appointment) -> None:
        """Delete an appointment at meetergo."""
        self.sandbox.state.delete_appointment(remote.id)
        self.forgotten.add(remote.id)

    def call_service(self, do: Callable[..., Any], /, *given: Any, **named: Any) -> None:
        """Change something at meetergo itself; a refusal is ignored."""
        with suppress(Refused, ConnectionClosed):
            do(*given, **named)

    # Rest

    def finish_everything(self) -> None:
        """End all failures; everything on its way arrives, and the workers do all that is due."""
        self.failing_receivers = 0
        self.sandbox.faults.clear()
        if not self.key_works:
            self.renew_key()
        # Longer than the circuit stays open, so that a read can close it.
        self.travel(max([400.0, *((when - self.kit.now()).total_seconds() + 1 for when, _ in self.late)]))
        self.kit.deliver()
        self.run_all_work()

    def run_due_work(self) -> None:
        """Run the workers once, when anything is due; empty runs take as long."""
        with self.unobserved():
            due = find_due(Booking.OPEN)
        if due and due <= self.kit.now():
            scheduler.run_due(self.kit.now(), periodic=False)

    def run_all_work(self) -> None:
        """Advance the clock from due row to due row; pending bookings are polled once."""
        polled_at = self.kit.now() + LONGEST_WAIT
        for _ in range(MAX_ROUNDS):
            due = find_due(Booking.OPEN[:-1])
            if due is None:
                if self.kit.now() > polled_at or not Booking.objects.filter(state="pending").exists():
                    return
                due = polled_at + timedelta(seconds=1)
            self.travel(max((due - self.kit.now()).total_seconds(), 0.1))
            self.act(scheduler.run_due, now=self.kit.now(), periodic=False)
        self.violations.append("I4: the work does not come to an end")

    def sync_all(self) -> None:
        """Run both syncs to their end, and the work that they cause."""
        for kind in ("near", "full"):
            for _ in range(3):
                now, client = self.kit.now(), self.kit.client("sync")
                run = self.act(sync_appointments, connection=CONNECTION, client=client, now=now, kind=kind)
                if run is not None and run.state == "done":
                    break
                self.travel(61)  # another worker's lease has to expire first
            else:
                self.violations.append(f"I8: a {kind} sync does not come to its end: {run}")
        self.run_all_work()


def find_due(states: Sequence[str]) -> datetime | None:
    """Return when the next row is due; of bookings, those in some states."""
    waiting = [
        Booking.objects.filter(state__in=[*states, "confirmed"]),
        AppointmentChange.objects.filter(state__in=AppointmentChange.OPEN),
        WebhookDelivery.objects.filter(state="pending"),
        Event.objects.filter(dispatched_at=None),
    ]
    moments = [
        max(filter(None, moment))
        for rows in waiting
        for moment in rows.order_by().exclude(next_at=None).values_list("next_at", "lease_until")
    ]
    return min(moments, default=None)


def clear_tables() -> None:
    """Empty the tables that examples fill, in an order that respects foreign keys."""
    with connection.cursor() as cursor:
        cursor.execute("UPDATE meetergo_booking SET replaced_by_id = NULL")
        for table in FILLED:
            cursor.execute(f"DELETE FROM {table}")


def leased_models() -> list[type[Leased]]:
    return [model for model in apps.get_app_config("meetergo").get_models() if issubclass(model, Leased)]


def read_leases() -> dict[tuple[type[Leased], int], tuple[Any, Any]]:
    """Return every held lease with the state of its row."""
    return {
        (model, row.pk): (row.lease_token, getattr(row, "state", row.next_at))
        for model in leased_models()
        for row in model.objects.exclude(lease_token=None)
    }


def read_state(model: type[Leased], pk: int) -> Any:
    row = model.objects.get(pk=pk)
    return getattr(row, "state", row.next_at)
