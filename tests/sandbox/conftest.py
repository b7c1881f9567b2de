"""A sandbox for each test, and callers that check every response against the contract."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlencode, urlsplit

import pytest

from django_meetergo.sandbox import changes, seed
from django_meetergo.sandbox.app import Sandbox
from django_meetergo.sandbox.clock import Clock
from django_meetergo.sandbox.server import Server, start
from tests.sandbox.contract import load_contract

# A Monday morning in Berlin, some weeks before the clocks go back.
NOW = datetime(2026, 10, 5, 6, 0, tzinfo=UTC)


@dataclass
class Reply:
    """A response as tests read it."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def document(self) -> Any:
        return json.loads(self.body)


Exchange = Callable[[str, str, bytes, dict[str, str]], Reply]


class Caller:
    """Sends requests to a sandbox, by default with the admin's token."""

    def __init__(self, exchange: Exchange) -> None:
        self.exchange = exchange
        self.token: str | None = seed.ADMIN_TOKEN

    def __call__(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        query: dict[str, Any] | None = None,
        token: str | None = "own",
        headers: dict[str, str] | None = None,
        checked: bool = True,
    ) -> Reply:
        target = path + (f"?{urlencode(query, doseq=True)}" if query else "")
        sent = {"Host": "localhost", "Content-Type": "application/json", **(headers or {})}
        token = self.token if token == "own" else token
        if token is not None:
            sent["Authorization"] = f"Bearer {token}"
        data = b"" if body is None else json.dumps(body).encode()
        reply = self.exchange(method, target, data, sent)
        if checked and not path.startswith("/_sandbox") and path != "/":
            load_contract().check_response(method, path, reply.status, reply.body)
        return reply

    def control(self, method: str, path: str, body: Any = None) -> Any:
        """Use a control route and return its document."""
        reply = self(method, f"/_sandbox/{path}", body, token=None)
        assert reply.status < 300, reply.body
        return reply.document if reply.body else None

    def free(self, type_id: str, **query: Any) -> list[str]:
        """Return the free starts of a meeting type in the coming month."""
        scope = {} if {"hostIds", "queueId"} & set(query) else choose_hosts(type_id)
        window = {"start": "2026-10-05", "end": "2026-11-04", "timezone": "Europe/Berlin"}
        query = {"meetingTypeId": type_id, **window, **scope, **query}
        document = self("GET", "/v4/booking-availability", query=query).document
        return [spot["startTime"] for day in document["dates"] for spot in day["spots"]]

    def book(self, type_id: str, begin: str, email: str = "jane.doe@example.com", **more: Any) -> Reply:
        """Book a slot."""
        attendee = {"email": email, "firstname": "Jane", "lastname": "Doe", **more.pop("attendee", {})}
        body = {
            "meetingTypeId": type_id,
            "start": begin,
            **choose_hosts(type_id),
            "attendee": attendee,
            **more,
        }
        return self("POST", "/v4/booking", body)


def choose_hosts(type_id: str) -> dict[str, Any]:
    """Return the hosts or the queue of a meeting type."""
    if type_id == seed.NEXT_THERAPIST:
        return {"queueId": seed.QUEUE}
    hosts = {seed.INTRO_CALL: seed.ANNA, seed.CONSULTATION: seed.BEN, seed.SECOND_OPINION: seed.BEN}
    return {"hostIds": [hosts.get(type_id, seed.CLARA)]}


def exchange_in_process(sandbox: Sandbox) -> Exchange:
    """Return an exchange that calls the application in-process."""

    def exchange(method: str, target: str, data: bytes, headers: dict[str, str]) -> Reply:
        path, _, query = target.partition("?")
        environ: dict[str, Any] = {
            "REQUEST_METHOD": method,
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "CONTENT_LENGTH": str(len(data)),
            "wsgi.input": io.BytesIO(data),
        }
        environ.update({f"HTTP_{name.upper().replace('-', '_')}": value for name, value in headers.items()})
        started: list[Any] = []
        body = b"".join(sandbox.wsgi(environ, lambda *facts: started.append(facts)))  # type: ignore[arg-type]
        return Reply(int(started[0][0][:3]), dict(started[0][1]), body)

    return exchange


def exchange_by_socket(url: str, timeout: float = 5) -> Exchange:
    """Return an exchange over a socket, with a new connection for each request."""

    def exchange(method: str, target: str, data: bytes, headers: dict[str, str]) -> Reply:
        connection = HTTPConnection(urlsplit(url).netloc, timeout=timeout)
        try:
            connection.request(method, target, data, {**headers, "Host": urlsplit(url).netloc})
            response = connection.getresponse()
            return Reply(response.status, dict(response.getheaders()), response.read())
        finally:
            connection.close()

    return exchange


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    """A sandbox on a Monday morning, with every seeded appointment cancelled."""
    made = Sandbox(rate_limit=False, clock=Clock(lambda: NOW))
    for appointment in list(made.state.appointments.values()):
        changes.cancel(made.state, appointment, source="host", by=None, everyone=True)
    yield made
    made.close()


@pytest.fixture
def call(sandbox: Sandbox) -> Caller:
    """A caller in-process."""
    return Caller(exchange_in_process(sandbox))


@pytest.fixture
def server(sandbox: Sandbox) -> Iterator[Server]:
    """The sandbox on a socket."""
    with start(sandbox) as running:
        yield running


@pytest.fixture
def wire(server: Server) -> Caller:
    """A caller over a socket."""
    return Caller(exchange_by_socket(server.url))
