"""Every way a call can end, on a real socket: the exception, the duration, and how often it was sent.

Each ending has a class: D a definite answer, N certainly not carried out, U unknown.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import socket
import threading
import time
from collections.abc import Iterator
from email.utils import format_datetime

import pytest
import requests
from requests.adapters import BaseAdapter

from django_meetergo.exceptions import (
    CredentialRefused,
    InvalidFields,
    MeetergoError,
    NotFound,
    OutcomeUnknown,
    PermissionRefused,
    RateLimited,
    Refused,
    SlotUnavailable,
    Unreachable,
    UnreadableReply,
)
from django_meetergo.remote import payloads
from django_meetergo.remote.client import MeetergoClient
from django_meetergo.remote.credential import Credential
from django_meetergo.remote.pools import close_connections
from django_meetergo.remote.transport import ADAPTERS, Transport
from tests.remote.scripted import (
    Connection,
    Script,
    answer,
    answering,
    recorded,
    running,
    self_signed,
    sending,
)

DEADLINE = 0.4
GOOD = recorded("booking_confirmed.json")
KEY = "rgo-canary-key-0123456789abcdef01"


@pytest.fixture(autouse=True)
def _no_connection_outlives_a_test():
    yield
    close_connections()


def close_before_reading(connection: Connection) -> None:
    connection.sock.close()


def close_after_request(connection: Connection) -> None:
    connection.read_request()


def reset_after_request(connection: Connection) -> None:
    connection.read_request()
    connection.reset()


def reset_mid_headers(connection: Connection) -> None:
    connection.read_request()
    connection.send(b"HTTP/1.1 201 Created\r\nContent-Ty")
    time.sleep(0.05)
    connection.reset()


def silent(connection: Connection) -> None:
    connection.read_request()
    connection.stay_silent()


def drip(data: bytes, pause: float = 0.05) -> Script:
    def script(connection: Connection) -> None:
        connection.read_request()
        for position in range(len(data)):
            connection.send(data[position : position + 1])
            time.sleep(pause)
            if connection.server.stopping:
                return

    return script


def stall_in_body(connection: Connection) -> None:
    connection.read_request()
    connection.send(answer(201, GOOD, Content_Length=str(len(GOOD) + 10)))
    connection.stay_silent()


def endless_body(connection: Connection) -> None:
    """A body without a length that never ends: a socket shut at the deadline must not look like its end."""
    connection.read_request()
    connection.send(b"HTTP/1.1 201 Created\r\nConnection: close\r\n\r\n" + GOOD)
    connection.stay_silent()


def oversized(connection: Connection) -> None:
    connection.read_request()
    connection.send(b"HTTP/1.1 201 Created\r\nConnection: close\r\n\r\n")
    with contextlib.suppress(OSError):
        for _ in range(80):
            connection.send(b" " * 65536)


def garbage_handshake(connection: Connection) -> None:
    connection.sock.recv(1)
    connection.send(b"this is not TLS at all\r\n\r\n")


def error(status: int, name: str, **headers: str) -> Script:
    return answering(status, recorded(name), **headers)


def json_error(status: int, message: str = "no", **headers: str) -> Script:
    return answering(status, b'{"message": "%s"}' % message.encode(), **headers)


SOON = format_datetime(dt.datetime.now(dt.UTC) + dt.timedelta(minutes=5), usegmt=True)

# name, script, exception (None: success), class
ENDINGS: list[tuple[str, Script, type[MeetergoError] | None, str]] = [
    ("201 with an id", answering(201, GOOD), None, "D"),
    ("200 with an id", answering(200, GOOD), None, "D"),
    ("provisional", answering(201, recorded("booking_double_opt_in.json")), None, "D"),
    ("closed before reading", close_before_reading, OutcomeUnknown, "U"),
    ("closed after the request", close_after_request, OutcomeUnknown, "U"),
    ("reset after the request", reset_after_request, OutcomeUnknown, "U"),
    ("reset in the headers", reset_mid_headers, OutcomeUnknown, "U"),
    ("closed in the headers", sending(b"HTTP/1.1 400 Bad\r\nContent-Ty", again=False), OutcomeUnknown, "U"),
    ("closed after a status", sending(b"HTTP/1.1 404", again=False), OutcomeUnknown, "U"),
    (
        "closed before the length",
        sending(b"HTTP/1.1 409 C\r\nDate: now\r\n", again=False),
        OutcomeUnknown,
        "U",
    ),
    ("no byte in time", silent, OutcomeUnknown, "U"),
    ("dripped status line", drip(b"HTTP/1.1 201 Created"), OutcomeUnknown, "U"),
    ("dripped headers", drip(b"HTTP/1.1 201 C\r\n" + b"X-A: b\r\n" * 40, 0.01), OutcomeUnknown, "U"),
    ("dripped body", drip(answer(201, GOOD), 0.01), OutcomeUnknown, "U"),
    ("stalled body", stall_in_body, OutcomeUnknown, "U"),
    ("body without end", endless_body, OutcomeUnknown, "U"),
    ("cut body", sending(answer(201, GOOD, Content_Length="500"), again=False), OutcomeUnknown, "U"),
    (
        "cut chunk",
        sending(b"HTTP/1.1 201 C\r\nTransfer-Encoding: chunked\r\n\r\n40\r\n{", again=False),
        OutcomeUnknown,
        "U",
    ),
    (
        "missing last chunk",
        sending(
            b"HTTP/1.1 201 C\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n" % (len(GOOD), GOOD),
            again=False,
        ),
        OutcomeUnknown,
        "U",
    ),
    ("garbage for a status line", sending(b"\x00\xff nonsense\r\n\r\n", again=False), OutcomeUnknown, "U"),
    ("garbage for gzip", answering(201, GOOD, Content_Encoding="gzip"), OutcomeUnknown, "U"),
    ("201 empty", answering(201), UnreadableReply, "U"),
    ("204", answering("204 No Content"), UnreadableReply, "U"),
    (
        "201 with HTML",
        answering(201, b"<html>Welcome to the hotel</html>", Content_Type="text/html"),
        UnreadableReply,
        "U",
    ),
    ("201 without an id", answering(201, b'{"ok": true}'), UnreadableReply, "U"),
    ("201 with a list", answering(201, b"[]"), UnreadableReply, "U"),
    ("201 with half the JSON", answering(201, GOOD[:40]), UnreadableReply, "U"),
    ("201 with NaN", answering(201, b'{"appointmentId": NaN}'), UnreadableReply, "U"),
    ("201 nested too deeply", answering(201, b"[" * 100_000), UnreadableReply, "U"),
    ("201 too large", oversized, UnreadableReply, "U"),
    ("301", answering(301, Location="/v4/elsewhere"), Refused, "D"),
    ("302", answering(302, Location="https://127.0.0.1:1/"), Refused, "D"),
    ("307", answering(307, Location="/v4/booking"), Refused, "D"),
    ("308", answering(308, Location="/v4/booking"), Refused, "D"),
    ("400 slot lost", error(400, "error_400_slot_unavailable.json"), SlotUnavailable, "D"),
    ("400 validation", error(400, "error_400_validation_fields.json"), InvalidFields, "D"),
    ("400 without words", answering(400), Refused, "D"),
    ("401", error(401, "error_401_invalid_key.json"), CredentialRefused, "D"),
    ("402", json_error(402), Refused, "D"),
    ("403", error(403, "error_403_forbidden.json"), PermissionRefused, "D"),
    ("404", error(404, "error_404_not_found.json"), NotFound, "D"),
    ("404 with HTML", answering(404, b"<html>"), NotFound, "D"),
    ("405", json_error(405), Refused, "D"),
    ("406", json_error(406), Refused, "D"),
    ("407", json_error(407), Unreachable, "N"),
    ("408", json_error(408), OutcomeUnknown, "U"),
    ("409 slot lost", error(409, "error_400_slot_occupied.json"), SlotUnavailable, "D"),
    ("409 other", json_error(409, "conflict"), Refused, "D"),
    ("413", json_error(413), Refused, "D"),
    ("415", json_error(415), Refused, "D"),
    ("422", json_error(422), Refused, "D"),
    ("429", error(429, "error_429_rate_limit.json"), RateLimited, "N"),
    ("429 with seconds", error(429, "error_429_rate_limit.json", Retry_After="7"), RateLimited, "N"),
    ("429 with a date", error(429, "error_429_rate_limit.json", Retry_After=SOON), RateLimited, "N"),
    ("499", json_error(499), OutcomeUnknown, "U"),
    ("500", error(500, "error_500_internal.json"), OutcomeUnknown, "U"),
    ("502", answering(502, b"<html>"), OutcomeUnknown, "U"),
    ("503 with Retry-After", json_error(503, Retry_After="0"), OutcomeUnknown, "U"),
    ("504", answering(504), OutcomeUnknown, "U"),
    ("101", sending(b"HTTP/1.1 101 Switching\r\n\r\n", again=False), OutcomeUnknown, "U"),
    ("600", json_error(600), OutcomeUnknown, "U"),
    ("999", json_error(999), OutcomeUnknown, "U"),
]

RETRIED_READS = {"429", "502", "503 with Retry-After", "504"}


def client_for(url: str, deadline: float = DEADLINE) -> MeetergoClient:
    return MeetergoClient(Transport(credential=Credential(KEY), base_url=url, timeout=deadline))


def book(url: str) -> payloads.BookingConfirmed | payloads.BookingProvisional:
    attendee = payloads.AttendeePayload(email="jane.doe@example.com", first_name="Jane", last_name="Doe")
    start = dt.datetime(2026, 10, 23, 7, tzinfo=dt.UTC)
    payload = payloads.BookingPayload(
        meeting_type_id="mt-1", start=start, attendee=attendee, host_ids=("h-1",)
    )
    return client_for(url).create_booking(payload)


def get_class(raised: MeetergoError | None) -> str:
    if isinstance(raised, Unreachable | RateLimited):
        return "N"
    return "U" if isinstance(raised, OutcomeUnknown) else "D"


def ending_of(action, url: str) -> tuple[MeetergoError | None, float]:
    started = time.monotonic()
    try:
        action(url)
    except MeetergoError as raised:
        return raised, time.monotonic() - started
    return None, time.monotonic() - started


@pytest.mark.parametrize(
    ("script", "expected", "outcome_class"), [row[1:] for row in ENDINGS], ids=[row[0] for row in ENDINGS]
)
def test_a_write_is_classified_as_the_table_says_and_sent_once(script, expected, outcome_class):
    """Every ending of a booking has one class and comes within the deadline, and nothing is sent twice."""
    with running(script) as server:
        raised, seconds = ending_of(book, server.url)
        time.sleep(0.01)
        assert type(raised) is (expected or type(None))
        assert get_class(raised) == outcome_class
        assert seconds <= DEADLINE + 1.0
        assert len(server.requests) <= 1
    if raised:
        assert raised.__cause__ is raised.__context__ is None
        assert (raised.method, raised.route) == ("POST", "/v4/booking")
        assert KEY not in str(raised)


def read(url: str) -> object:
    return client_for(url).get_current_user()


@pytest.mark.parametrize(("name", "script"), [row[:2] for row in ENDINGS], ids=[row[0] for row in ENDINGS])
def test_a_read_never_has_an_unknown_outcome_and_is_sent_three_times_at_most(name, script):
    """A read is answered, refused or unreachable, within its deadline."""
    with running(script) as server:
        raised, seconds = ending_of(read, server.url)
        assert isinstance(raised, MeetergoError)
        assert not isinstance(raised, OutcomeUnknown) or isinstance(raised, UnreadableReply)
        assert seconds <= DEADLINE + 1.0
        assert len(server.requests) <= 3


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@contextlib.contextmanager
def full_backlog() -> Iterator[str]:
    """Yield the address of a listener that accepts no connection, because its backlog is full."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(3):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listener.getsockname())
        time.sleep(0.05)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


@contextlib.contextmanager
def refusing() -> Iterator[str]:
    yield f"http://127.0.0.1:{free_port()}"


@contextlib.contextmanager
def unknown_name() -> Iterator[str]:
    yield "http://no-such-host.invalid"


@contextlib.contextmanager
def tls_over(script: Script) -> Iterator[str]:
    with running(script) as server:
        yield server.url.replace("http://", "https://")


@contextlib.contextmanager
def malformed_address() -> Iterator[str]:
    yield "http://[half-an-address"


NEVER_SENT = {
    "refused": refusing,
    "unknown name": unknown_name,
    "connect timeout": full_backlog,
    "TLS answered with garbage": lambda: tls_over(garbage_handshake),
    "TLS closed": lambda: tls_over(close_before_reading),
    "TLS never answered": lambda: tls_over(lambda connection: connection.stay_silent()),
    "malformed address": malformed_address,
}


@pytest.mark.parametrize("place", NEVER_SENT.values(), ids=NEVER_SENT.keys())
def test_a_write_that_was_never_sent_may_be_sent_again(place, monkeypatch):
    """A failure before the request was sent proves that it was not carried out."""
    real = socket.getaddrinfo

    def resolve(host, *args, **kwargs):
        if str(host).endswith(".invalid"):
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return real(host, *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    with place() as url:
        raised, seconds = ending_of(book, url)
    assert type(raised) is Unreachable
    assert get_class(raised) == "N"
    assert seconds <= DEADLINE + 1.0


def test_an_untrusted_certificate_is_refused_before_anything_is_sent(tmp_path):
    """The certificate is checked, and a failed check means that nothing was sent."""
    context, _bundle = self_signed(tmp_path)
    with running(answering(201, GOOD), tls=context) as server:
        raised, _seconds = ending_of(book, server.url)
        assert type(raised) is Unreachable
        assert server.requests == []


class Breaking(BaseAdapter):
    """A transport adapter that raises an error of its own."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error

    def send(self, *args, **kwargs):
        raise self.error

    def close(self) -> None: ...


def test_an_unexpected_exception_leaves_the_outcome_unknown():
    """Only errors that prove that nothing was sent are treated so."""
    for failure in (RuntimeError("?"), MemoryError(), requests.ConnectionError("?"), OSError("?")):
        ADAPTERS["http://strange"] = Breaking(failure)
        try:
            raised, _seconds = ending_of(book, "http://strange")
        finally:
            del ADAPTERS["http://strange"]
        assert type(raised) is OutcomeUnknown


@pytest.mark.parametrize(
    "script",
    [
        silent,
        reset_after_request,
        close_after_request,
        answering(500),
        json_error(503, Retry_After="0"),
        answering(502),
    ],
    ids=["timeout", "reset", "closed", "500", "503", "502"],
)
def test_no_post_is_ever_sent_twice(script):
    """After a timeout, a reset or a 5xx a booking may exist; asking again could make a second one."""
    with running(script) as server:
        threads = [threading.Thread(target=ending_of, args=(book, server.url)) for _ in range(5)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        time.sleep(0.8)
        assert server.count("POST") == 5


@pytest.mark.parametrize(
    "first", [answer(503), answer(429, Retry_After="0"), answer(502), answer(504), b""], ids=repr
)
def test_a_read_is_repeated_until_it_succeeds(first):
    """Reads change nothing, so a passing failure is retried."""
    parts = [first, first, answer(200, recorded("webhooks_list.json"))]

    def script(connection: Connection) -> None:
        while connection.read_request():
            connection.send(parts[len(connection.server.requests) - 1])
            if not first and len(connection.server.requests) < 3:
                return

    with running(script) as server:
        found = client_for(server.url, deadline=5).list_webhooks()
        assert [webhook.id for webhook in found] == ["1492", "1500"]
        assert server.count("GET") == 3


def test_a_read_obeys_retry_after_within_its_deadline():
    """A wait that exceeds the deadline ends the call at once."""
    with running(json_error(429, Retry_After="5")) as server:
        raised, seconds = ending_of(read, server.url)
        assert isinstance(raised, RateLimited)
        assert raised.retry_after == 5
        assert seconds < DEADLINE
        assert server.count("GET") == 1


def test_a_write_uses_a_new_connection_that_is_closed_afterwards():
    """A reused connection that breaks during a write would leave its outcome unknown."""
    with running(answering(201, GOOD)) as server:
        for _ in range(3):
            book(server.url)
        assert server.connections == 3
        assert all(request.headers["connection"] == "close" for request in server.requests)


def test_the_table_has_enough_rows():
    assert len(ENDINGS) + len(NEVER_SENT) + 2 >= 60
