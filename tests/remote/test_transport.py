"""Headers, addresses, connections and logs of the HTTP client."""

from __future__ import annotations

import json
import logging
import os
import socket
import ssl
import threading
import time
import traceback
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import pytest

from django_meetergo.exceptions import InvalidRequest, NotFound, RemoteError, Unreachable
from django_meetergo.remote import pools
from django_meetergo.remote import transport as transports
from django_meetergo.remote.client import MeetergoClient
from django_meetergo.remote.credential import Credential
from django_meetergo.remote.deadline import Deadline, Watchdog, get_current_deadline
from django_meetergo.remote.pools import close_connections
from django_meetergo.remote.transport import BEFORE_SEND, Transport, build_path
from django_meetergo.texts import Secret
from tests.remote.scripted import answer, answering, recorded, running, self_signed, sending

PERSONAL = Credential("rgo-canary0123456789canary0123456789")
PLATFORM = Credential("ak_live:550e8400:canarysecret", user_id="user-1")


@pytest.fixture(autouse=True)
def _no_connection_outlives_a_test():
    yield
    close_connections()


def client_for(url: str, credential: Credential = PERSONAL, timeout: float = 2.0) -> MeetergoClient:
    return MeetergoClient(Transport(credential=credential, base_url=url, timeout=timeout))


def test_a_personal_token_never_names_a_user():
    """meetergo answers 403 to a personal token that does."""
    with running(answering(200, recorded("user_me.json"))) as server:
        client_for(server.url, Credential(PERSONAL.key, user_id="user-1")).get_current_user()
        headers = server.requests[0].headers
    assert headers["authorization"] == f"Bearer {PERSONAL.key}"
    assert "x-meetergo-api-user-id" not in headers


def test_a_platform_key_always_names_its_user():
    with running(answering(200, recorded("user_me.json"))) as server:
        client_for(server.url, PLATFORM).get_current_user()
        headers = server.requests[0].headers
    assert headers["x-meetergo-api-user-id"] == "user-1"


def test_the_secret_routes_carry_no_credential():
    with running(answering(200, recorded("reschedule_result_legacy.json"))) as server:
        client = client_for(server.url, PLATFORM)
        client.cancel_with_secret("a-1", "s/1", reason="ill")
        client.reschedule_with_secret("a-1", "s-1", datetime(2026, 10, 26, tzinfo=UTC))
        cancel, move = server.requests
    assert (cancel.path, cancel.json) == ("/booking/confirm/cancel/a-1/s%2F1", {"cancellationReason": "ill"})
    assert (move.path, move.json["secret"]) == ("/booking/confirm/reschedule/", "s-1")
    for request in (cancel, move):
        assert not {"authorization", "x-meetergo-api-user-id"} & set(request.headers)


def test_netrc_and_cookies_are_not_sent(tmp_path, monkeypatch):
    """A .netrc would replace our credential, and a cookie would link calls."""
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login somebody password else\n")
    monkeypatch.setenv("NETRC", str(netrc))
    script = answering(200, recorded("user_me.json"), Set_Cookie="a=b")
    with running(script) as server:
        for _ in range(2):
            client_for(server.url).get_current_user()
        assert all(request.headers["authorization"].startswith("Bearer") for request in server.requests)
        assert not any("cookie" in request.headers for request in server.requests)


def test_the_proxy_of_the_environment_is_used(monkeypatch):
    with running(answering(200, recorded("user_me.json"))) as proxy:
        monkeypatch.setenv("http_proxy", proxy.url)
        monkeypatch.setenv("no_proxy", "")
        client_for("http://meetergo.invalid").get_current_user()
        assert proxy.requests[0].path == "http://meetergo.invalid/v4/user/me"


@pytest.mark.parametrize(
    ("base", "root"),
    [
        ("https://api.meetergo.com", "https://api.meetergo.com"),
        ("https://api.meetergo.com/v4/", "https://api.meetergo.com"),
        ("https://host/staging/v4", "https://host/staging"),
        ("https://host/v4/v4", "https://host/v4"),
    ],
)
def test_one_trailing_v4_is_stripped(base, root):
    assert Transport(credential=PERSONAL, base_url=base).root == root


def test_ids_are_single_segments():
    """An id is opaque text and must not change the path."""
    assert build_path("/v4/appointment/{id}", {"id": "../a?b#c%2e"}) == "/v4/appointment/..%2Fa%3Fb%23c%252e"
    for bad in ("", ".", ".."):
        with pytest.raises(InvalidRequest):
            build_path("/v4/appointment/{id}", {"id": bad})


def test_queries_repeat_keys_and_keep_zero():
    query = {"page": 0, "hostIds": ["a", "b"], "search": "", "end": None, "refreshCache": True}
    assert list(transports.build_query(query)) == [
        ("page", "0"),
        ("hostIds", "a"),
        ("hostIds", "b"),
        ("refreshCache", "true"),
    ]


def test_a_secret_that_cannot_be_encoded_prevents_the_call_and_is_not_shown():
    """A lone surrogate, as a broken link may contain."""
    transport = Transport(credential=PERSONAL, base_url="http://127.0.0.1:9")
    with pytest.raises(Unreachable) as caught:
        transport.send(
            "POST", "/booking/confirm/cancel/{id}/{secret}", path_params={"id": "a", "secret": "s3cret\ud800"}
        )
    assert "cannot be sent" in str(caught.value)
    assert "s3cret" not in repr(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None


@pytest.mark.parametrize("key", ["rgo-line\nbreak", "rgo-ümlaut"])
def test_a_malformed_key_prevents_the_call_and_is_not_shown(key):
    with pytest.raises(Unreachable) as caught:
        client_for("http://127.0.0.1:1", Credential(key)).get_current_user()
    assert "rgo-" not in str(caught.value)
    assert caught.value.__context__ is None


def test_no_repr_shows_a_secret():
    client = client_for("http://127.0.0.1", PLATFORM)
    assert "canary" not in repr((client, client.transport, PLATFORM))
    other = client_for("http://127.0.0.1", PERSONAL)
    assert len({client.transport.fingerprint, other.transport.fingerprint}) == 2
    assert "canary" not in client.transport.fingerprint


def test_logs_contain_the_route_template_and_no_ids(caplog):
    """One line for each call. The HTTP library's own line, which contains the path, is redacted."""
    caplog.set_level(logging.DEBUG)
    body = b'{"message": "Cannot POST /booking/confirm/cancel/a-canary/s-canary"}'
    with running(answering(404, body)) as server:
        client = client_for(server.url)
        with pytest.raises(NotFound) as caught:
            client.cancel_with_secret("a-canary", "s-canary")
    ours = [record.getMessage() for record in caplog.records if record.name == "django_meetergo.remote"]
    assert len(ours) == 1
    assert ours[0].startswith("POST /booking/confirm/cancel/{id}/{secret} 404 in ")
    assert "canary" not in caplog.text + str(caught.value)
    assert any(record.name == "urllib3.connectionpool" for record in caplog.records)


def test_a_malformed_header_does_not_make_the_http_library_log_the_secret(caplog):
    """It logs the whole address at WARNING, on a logger that the filter of its parent does not cover."""
    broken = answer(200, b"{}").replace(b"\r\n\r\n", b"\r\nthis is no header\r\n\r\n", 1)
    with running(sending(broken)) as server:
        client_for(server.url).cancel_with_secret("a-1", "s-canary")
    assert "Failed to parse headers" in caplog.text
    assert "canary" not in caplog.text


def test_no_local_variable_of_a_failed_call_shows_a_secret():
    """Crash reporters may ignore ``sensitive_variables`` and show the variables of every frame."""
    calls = (
        lambda client: client.cancel_with_secret("a-1", "s-canary", reason="ill"),
        lambda client: client.reschedule_with_secret("a-1", "s-canary", datetime(2026, 10, 26, tzinfo=UTC)),
        lambda client: client.get_appointment("a-1"),
    )
    for script in (answering(500), answering(404), answering(200, b'{"secret": "s-canary"}')):
        for call in calls:
            with running(script) as server:
                client = client_for(server.url, timeout=0.2)
                try:
                    call(client)
                except RemoteError as error:
                    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
                    shown = [repr(frame.f_locals) for frame in frames[1:]]
                    assert shown
                    assert not [text for text in shown if "canary" in text]


@pytest.mark.parametrize("name", ["requests.Request", "_read_answer"])
def test_no_local_variable_of_a_crash_shows_a_secret(monkeypatch, name):
    """Neither while the request is made nor while its answer is read."""

    def crash(*args, **kwargs):
        raise ZeroDivisionError

    monkeypatch.setattr(f"django_meetergo.remote.http.{name}", crash)
    with running(answering(200, b"{}")) as server:
        client = client_for(server.url)
        with pytest.raises((ZeroDivisionError, RemoteError)) as caught:
            client.cancel_with_secret("a-1", "s-canary", reason="ill")
    frames = [frame for frame, _ in traceback.walk_tb(caught.value.__traceback__)]
    shown = [repr(frame.f_locals) for frame in frames[1:] if frame.f_code is not crash.__code__]
    assert shown
    assert not [text for text in shown if "s-canary" in text or PERSONAL.key in text]


def test_a_secret_is_a_text_that_repr_hides():
    secret = Secret("s-canary")
    assert (f"{secret}", json.dumps([secret])) == ("s-canary", '["s-canary"]')
    assert "canary" not in repr({"secret": secret})


def test_before_send_is_called_before_each_attempt():
    seen = []

    def note(method, route):
        seen.append((method, route))

    BEFORE_SEND.append(note)
    try:
        parts = [answer(503), answer(200, recorded("user_me.json"))]

        def script(connection):
            while connection.read_request():
                connection.send(parts.pop(0))

        with running(script) as server:
            client_for(server.url).get_current_user()
    finally:
        BEFORE_SEND.remove(note)
    assert seen == [("GET", "/v4/user/me")] * 2


def test_the_clock_skew_is_read():
    with running(answering(200, b"{}", Date="Fri, 23 Oct 2026 07:00:00 GMT")) as server:
        reply = Transport(credential=PERSONAL, base_url=server.url).send("GET", "/v4/user/me")
    moment = datetime(2026, 10, 23, 7, tzinfo=UTC).timestamp()
    assert reply.clock_skew == pytest.approx(moment - time.time(), abs=5)


def test_an_answer_that_was_kept_by_a_cache_says_nothing_about_the_clock():
    """Its date is as old as the answer."""
    with running(answering(200, b"{}", Date="Fri, 23 Oct 2026 07:00:00 GMT", Age="600")) as server:
        reply = Transport(credential=PERSONAL, base_url=server.url).send("GET", "/v4/user/me")
    assert reply.clock_skew is None


@pytest.fixture
def trusted(tmp_path, monkeypatch):
    context, bundle = self_signed(tmp_path)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(bundle))
    return context


@pytest.fixture
def loads(monkeypatch):
    """Count how often certificates are loaded."""
    counted = []
    real = ssl.SSLContext.load_verify_locations

    def load(self, *args, **kwargs):
        counted.append(args or kwargs)
        return real(self, *args, **kwargs)

    monkeypatch.setattr(ssl.SSLContext, "load_verify_locations", load)
    return counted


def test_a_hundred_writes_load_the_certificates_once(trusted, loads):
    with running(answering(200), tls=trusted) as server:
        client = client_for(server.url, timeout=5)
        for _ in range(100):
            client.decline_provisional_booking("a-1")
        assert (server.connections, server.count("POST")) == (100, 100)
    assert len(loads) == 1


def test_a_thousand_reads_need_two_connections_at_most(trusted, loads):
    with running(answering(200, recorded("user_me.json")), tls=trusted) as server:
        client = client_for(server.url, timeout=5)
        for _ in range(1000):
            client.get_current_user()
        assert server.connections <= 2
    assert len(loads) == 1


def test_another_process_makes_its_own_connections(monkeypatch):
    """A forked worker that used its parent's sockets would read its parent's answers."""
    mine = pools.get_adapter("f", for_writes=False)
    assert pools.get_adapter("f", for_writes=False) is mine
    assert pools.get_adapter("f", for_writes=True) is not mine
    monkeypatch.setattr(os, "getpid", lambda: -1)
    assert pools.get_adapter("f", for_writes=False) is not mine
    assert {key[0] for key in pools._adapters} == {-1}


def open_handles() -> int:
    return len(list(Path("/dev/fd").iterdir()))


def test_a_deadline_leaves_no_handle_open():
    with running(answering(200, recorded("user_me.json"))) as server:
        client = client_for(server.url)
        client.get_current_user()
        before = open_handles()
        for _ in range(20):
            client.get_current_user()
        assert open_handles() <= before
    assert get_current_deadline() is None


def test_a_write_that_could_not_even_begin_has_a_known_outcome(tmp_path, monkeypatch):
    """For example because the file with the certificates is missing on this machine."""
    pools.close_connections()
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "missing.pem"))
    with running(answering(200)) as server, pytest.raises(Unreachable):
        client_for(server.url).decline_provisional_booking("a-1")
    assert server.connections == 0


def test_an_address_that_does_not_answer_leaves_time_for_the_next(monkeypatch):
    """As where the network drops what is sent by IPv6."""
    tried = []

    def connect(address, timeout, **options):
        tried.append((address[0], timeout))
        raise TimeoutError

    monkeypatch.setattr(pools, "create_connection", connect)
    monkeypatch.setattr(
        socket,
        "getaddrinfo",
        lambda *args, **options: [(0, 0, 0, "", (ip, 80)) for ip in ("::1", "127.0.0.1")],
    )
    transport = Transport(credential=Credential("rgo-x"), base_url="http://x.invalid", timeout=5)
    with pytest.raises(Unreachable):
        transport.send("GET", "/v4/user/me")
    [first, second, *_] = tried
    assert (first[0], second[0]) == ("::1", "127.0.0.1")
    assert first[1] < second[1]


def test_the_tls_handshake_has_the_time_that_is_left(monkeypatch):
    """Not only the share of one of four addresses."""
    opened, other = socket.socketpair()
    monkeypatch.setattr(pools, "create_connection", lambda address, timeout, **options: opened)
    monkeypatch.setattr(pools, "_resolve_host", lambda connection, seconds: list("abcd"))
    place = SimpleNamespace(port=443, source_address=None, socket_options=None)
    with opened, other:
        pools._connect(place, Deadline(time.monotonic() + 4))
        assert 2 < opened.gettimeout() <= 4


def test_a_thread_that_cannot_start_leaves_later_deadlines_enforced(monkeypatch):
    watchdog = Watchdog()

    def refuse(thread):
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr("threading.Thread.start", refuse)
        with pytest.raises(RuntimeError):
            watchdog.add(Deadline(time.monotonic()))
    is_over = threading.Event()
    late = Deadline(time.monotonic())
    monkeypatch.setattr(late, "shut_down", is_over.set, raising=False)
    watchdog.add(late)
    assert is_over.wait(5)


def test_a_resolver_that_hangs_ends_at_the_deadline(monkeypatch):
    monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **options: time.sleep(4))
    transport = Transport(credential=Credential("rgo-x"), base_url="http://x.invalid", timeout=1)
    started = time.monotonic()

    with pytest.raises(Unreachable):
        transport.send("GET", "/v4/user/me")

    assert time.monotonic() - started < 2
