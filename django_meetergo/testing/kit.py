"""The sandbox as tests use it: change the state of the service, and inspect it afterwards."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from fnmatch import fnmatchcase
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4
from zoneinfo import ZoneInfo

from django.conf import settings
from django.test import Client, override_settings

from django_meetergo import links
from django_meetergo.cache import cache
from django_meetergo.conf import DEFAULT_CONNECTION
from django_meetergo.models import Booking, Host, MeetingType
from django_meetergo.remote import circuit_breaker, rate_limit
from django_meetergo.remote.client import MeetergoClient
from django_meetergo.sandbox import bookings, changes, handoffs, provisional
from django_meetergo.sandbox.app import Sandbox
from django_meetergo.sandbox.routes import ROUTES
from django_meetergo.sandbox.scenarios import occupy_slot
from django_meetergo.services import scheduler
from django_meetergo.services.availability.demand import recent_views
from django_meetergo.services.availability.slots import list_slots
from django_meetergo.services.clients import build_client
from django_meetergo.services.sync import directory
from django_meetergo.services.webhooks.receive import DEBOUNCE, receive_delivery
from django_meetergo.services.webhooks.registration import build_endpoint, ensure_webhook
from django_meetergo.testing.sandbox_adapter import ProcessKilled, SandboxAdapter

BOOK = "POST /v4/booking"
UNDER_WAY = (Booking.State.RECEIVED, Booking.State.SENDING, Booking.State.UNKNOWN)


class SandboxKit:
    """A sandbox whose webhook deliveries wait until a test sends them, and whose clock a test can move."""

    def __init__(
        self,
        sandbox: Sandbox,
        *,
        base_url: str,
        adapter: SandboxAdapter | None = None,
    ) -> None:
        self.sandbox = sandbox
        self.base_url = base_url
        self._adapter = adapter
        self._seeded = set(sandbox.state.appointments)
        sandbox.deliveries.transport = self._deliver
        sandbox.deliveries.settings.manual = True

    # Time

    #: The time zone of the seeded hosts.
    zone = ZoneInfo("Europe/Berlin")

    def now(self) -> datetime:
        """Return the sandbox's time, an aware datetime. Pass it to services."""
        return self.sandbox.clock.now()

    def travel(self, **units: float) -> datetime:
        """Move the sandbox's clock by the arguments of a ``timedelta``, and return the new time."""
        self.sandbox.clock.offset_seconds += timedelta(**units).total_seconds()
        self.sandbox.apply_due()
        return self.now()

    # Meeting types and free times

    def client(self, priority: str = "write") -> MeetergoClient:
        """Return a client whose requests end in this sandbox."""
        return build_client(DEFAULT_CONNECTION, priority)

    def sync_directory(self) -> None:
        """Store the sandbox's meeting types and hosts in the database."""
        directory.sync_directory(connection=DEFAULT_CONNECTION, client=self.client("sync"), now=self.now())

    def meeting_type(self, slug: str = "intro-call") -> MeetingType:
        """Return the row of a seeded meeting type. Sync the directory if there is none yet."""
        if not MeetingType.objects.filter(slug=slug).exists():
            self.sync_directory()
        return MeetingType.objects.get(slug=slug)

    def list_free_starts(self, slug: str = "intro-call", *, days: int = 14) -> list[datetime]:
        """Return the free starts in UTC, soonest first."""
        now = self.now()
        found = list_slots(
            meeting_type=self.meeting_type(slug),
            start=now,
            end=now + timedelta(days=days),
            client=self.client("view"),
            now=now,
        )
        return [free.start for free in found.times]

    # Faults

    def fail_next(
        self, route: str = BOOK, kind: str = "status_before", *, times: int = 1, **options: Any
    ) -> None:
        """Arm a fault for the next calls of a route, such as ``drop_after`` or ``status_after``.

        Raises ``ValueError`` if the sandbox has no such route or fault.
        """
        find_routes(route)
        self.sandbox.faults.add(route, kind, times=times, **options)

    def occupy_slot(self, start: datetime, slug: str = "intro-call") -> None:
        """Book this start, or a seat of it, at the service for another person. The site is not informed."""
        meeting_type = self.meeting_type(slug)
        for host_id in meeting_type.list_host_ids():
            occupy_slot(self.sandbox.state, host_id, start, meeting_type_id=meeting_type.remote_id)

    def expire_key(self) -> None:
        """Refuse the credential from now on, until ``recover()``."""
        self.sandbox.faults.add("*", "expire_key", times=-1)

    def go_down(self, status: int = 503) -> None:
        """Answer every call with an error from now on, until ``recover()``."""
        self.sandbox.faults.add("*", "status_before", times=-1, status=status)

    def recover(self) -> None:
        """Disarm all faults, and forget what the site has learnt from them: permits and the circuit."""
        self.sandbox.faults.clear()
        if self._adapter is not None:
            self._adapter.refusals, self._adapter.kill_point = 0, ""
        self.reset_rate_limit()

    def refuse_connections(self, times: int = 1) -> None:
        """Refuse the next connections, so that nothing is sent."""
        self._get_adapter().refusals = times

    @contextmanager
    def kill_process(self, *, after_sending: bool = True) -> Iterator[None]:
        """Run the block until its next request; go on behind it, as the next process would.

        The request was carried out and its answer is lost, or with ``after_sending=False`` never sent.
        Raises ``AssertionError`` if the block sends nothing.
        """
        self.kill_next_request(after_sending=after_sending)
        with suppress(ProcessKilled):
            yield
            raise AssertionError("The block sent no request, so the process was not killed.")

    def kill_next_request(self, *, after_sending: bool = True) -> None:
        """End the next request in ``ProcessKilled``, which the caller has to catch."""
        self._get_adapter().kill_point = "after" if after_sending else "before"

    def _get_adapter(self) -> SandboxAdapter:
        if self._adapter is None:
            raise RuntimeError("This needs a sandbox in the test's process: use meetergo_sandbox.")
        return self._adapter

    def clear_availability(self) -> None:
        """Forget free times, pages, permits and the circuit. Other entries of the cache stay."""
        cache.forget_entries()
        cache.reset()
        recent_views.clear()
        rate_limit.reset_local_state()
        circuit_breaker.reset_local_state()

    def reset_rate_limit(self) -> None:
        """Free all permits of the rate limit and close the circuit."""
        client = self.client()
        if client.rate_limiter:
            client.rate_limiter.reset()
        if client.circuit:
            client.circuit.reset()

    # Somebody's yes

    def confirm(self, booking: Booking) -> None:
        """Confirm as the attendee, who opens the link in the mail."""
        bookings.confirm(self.sandbox.state, booking.provisional_id)

    def approve(self, booking: Booking) -> None:
        """Approve as the host."""
        bookings.approve(self.sandbox.state, booking.provisional_id)

    def expire(self, booking: Booking) -> None:
        """Let the time for a confirmation pass."""
        provisional.expire(self.sandbox.state, booking.provisional_id)

    def decline(self, booking: Booking, reason: str = "") -> None:
        """Decline as the host."""
        provisional.decline(self.sandbox.state, booking.provisional_id, reason)

    # What happens at the service without the site

    def book_elsewhere(self, start: datetime, slug: str = "intro-call") -> Any:
        """Book at the service for another person, who is mailed; return the sandbox's appointment."""
        meeting_type = self.meeting_type(slug)
        host_id = meeting_type.list_host_ids()[0]
        return occupy_slot(self.sandbox.state, host_id, start, meeting_type_id=meeting_type.remote_id)

    def cancel_elsewhere(self, appointment: Any, *, attendee_id: str | None = None) -> None:
        """Cancel as the host; with ``attendee_id``, remove that attendee of a group.

        ``appointment`` is one of the sandbox's, or a row of the site.
        """
        state = self.sandbox.state
        found = state.appointments[self._get_remote_id(appointment)]
        changes.cancel(
            state, found, source="host", by=None, attendee_id=attendee_id, everyone=attendee_id is None
        )

    def move_elsewhere(self, appointment: Any, start: datetime) -> None:
        """Move as the host."""
        state = self.sandbox.state
        changes.move(state, state.appointments[self._get_remote_id(appointment)], start)

    def hand_over(self, appointment: Any, host: Host) -> None:
        """Give an appointment to another host, who must be free."""
        state = self.sandbox.state
        found = state.appointments[self._get_remote_id(appointment)]
        handoffs.hand_over(state, found, host.remote_id)

    def delete_elsewhere(self, appointment: Any) -> None:
        """Remove an appointment as if it had never existed. No webhook is sent."""
        self.sandbox.state.delete_appointment(self._get_remote_id(appointment))

    def _get_remote_id(self, appointment: Any) -> str:
        return str(getattr(appointment, "remote_id", None) or appointment.id)

    # Webhooks

    def register_webhook(self) -> None:
        """Register the site's webhook endpoint at the sandbox."""
        if not links.has_pages():
            raise AssertionError(
                'The site has no webhook endpoint: add path("book/", include("django_meetergo.urls")) '
                "to ROOT_URLCONF."
            )
        ensure_webhook(connection=DEFAULT_CONNECTION, client=self.client("sync"))

    def lose_deliveries(self) -> int:
        """Drop the pending deliveries; return how many were lost."""
        return self.sandbox.deliveries.drop_pending()

    def forge_delivery(self, **document: Any) -> int:
        """Send a document to the site's endpoint that meetergo never sent; return the answer's status."""
        return self._deliver(build_endpoint(DEFAULT_CONNECTION), json.dumps(document).encode())

    def deliver(self, *, duplicate: int = 1, shuffle: bool = False) -> int:
        """Send the pending deliveries to the site, and return how many answers were 2xx."""
        deliveries = self.sandbox.deliveries
        if shuffle:
            deliveries.shuffle()
        first = deliveries.list_pending()
        entries = deliveries.send_pending()
        deliveries.send_again(first * (duplicate - 1))
        entries += deliveries.send_pending()
        return sum(200 <= entry.get("status", 0) < 300 for entry in entries)

    def reread_all(self) -> None:
        """Make a re-read of every appointment of this test due, as a webhook delivery does."""
        now = self.now()
        for appointment in self.appointments(active=False):
            body = {"webhookType": "booking_created", "id": appointment.id, "nonce": uuid4().hex}
            receive_delivery(
                connection=DEFAULT_CONNECTION, body=json.dumps(body).encode(), now=now - DEBOUNCE
            )

    def _deliver(self, endpoint: str, body: bytes) -> int:
        parts = urlsplit(endpoint)
        path = parts.path.removeprefix(links.get_mount_prefix())
        # As meetergo sends it: a site may redirect other hosts, or show something else under them.
        client = Client(HTTP_HOST=parts.netloc)
        with override_settings(ALLOWED_HOSTS=[*settings.ALLOWED_HOSTS, parts.hostname]):
            answer = client.post(path, body, content_type="application/json", secure=parts.scheme == "https")
        return answer.status_code

    # Work

    def run_due(self, *, after: float = 0, periodic: bool = False) -> dict[str, int]:
        """Move the clock by ``after`` seconds and do the work that is due then. Return counts by kind."""
        now = self.travel(seconds=after)
        done: dict[str, int] = {}
        # Work makes other work due: a delivery leads to an event.
        while found := scheduler.run_due(now, periodic=periodic and not done):
            done = {name: done.get(name, 0) + found.get(name, 0) for name in {*done, *found}}
        return done

    def run_until_idle(self, *, rounds: int = 30) -> None:
        """Move the clock and do what is due until no booking is under way.

        Bookings that wait for somebody's confirmation or for staff stay. Raises ``AssertionError`` if others
        are left after ``rounds`` minutes.
        """
        for _ in range(rounds):
            self.run_due(after=60, periodic=True)
            left = Booking.objects.filter(state__in=UNDER_WAY).exclude(reason=Booking.Reason.NEEDS_STAFF)
            if not left.exists():
                return
        raise AssertionError(f"After {rounds} minutes {left.count()} bookings are still under way.")

    # The state of the service

    def count_requests(self, route: str = BOOK) -> int:
        """Return how many requests of a route the sandbox has received.

        ``route`` may be a pattern, such as ``POST *``. Raises ``ValueError`` if no route matches.
        """
        routes = find_routes(route)
        entries = self.sandbox.request_log.entries(kind="request")
        return sum(f"{entry['method']} {entry['route']}" in routes for entry in entries)

    def appointments(self, *, active: bool = True) -> list[Any]:
        """Return the sandbox's appointments that were made since it was seeded, oldest first."""
        return [
            appointment
            for appointment in self.sandbox.state.appointments.values()
            if appointment.id not in self._seeded and not (active and appointment.is_cancelled)
        ]

    def appointments_of(self, booking: Booking, *, active: bool = True) -> list[Any]:
        """Return the sandbox's appointments that contain this booking's reference."""
        return [
            appointment
            for appointment in self.appointments(active=active)
            if any(booking.reference in str(attendee.answers) for attendee in appointment.attendees)
        ]


def find_routes(pattern: str) -> set[str]:
    """Return the sandbox's routes that match ``METHOD /template`` or ``*``, with any parameter names.

    Raises ``ValueError`` if there is none: a count or a fault for a misspelt route would mean nothing.
    """
    wanted = normalize_route(pattern)
    routes = {f"{route.method} {route.template}" for route in ROUTES}
    found = {route for route in routes if fnmatchcase(normalize_route(route), wanted)}
    if not found:
        raise ValueError(f"The sandbox has no route {pattern!r}; it has {', '.join(sorted(routes))}.")
    return found


def normalize_route(route: str) -> str:
    return re.sub(r"\{[^}]*\}", "{}", route.strip().rstrip("/"))
