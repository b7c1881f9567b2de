"""Our share of the limit, and the fuse."""

from __future__ import annotations

from types import SimpleNamespace
from typing import ClassVar

import pytest
from django.core.cache.backends.locmem import LocMemCache

from django_meetergo import exceptions
from django_meetergo.remote.circuit_breaker import PROBE_SECONDS, CircuitBreaker, _local_circuits
from django_meetergo.remote.client import MeetergoClient
from django_meetergo.remote.pools import close_connections
from django_meetergo.remote.rate_limit import MAX_BLOCK_SECONDS, RateLimiter, _local_blocks, _local_permits
from django_meetergo.remote.transport import Credential, Transport
from tests.remote.scripted import answering, recorded, running


class Clock:
    def __init__(self) -> None:
        self.seconds = 1_000_000.0

    def __call__(self) -> float:
        return self.seconds

    def pass_(self, seconds: float) -> None:
        self.seconds += seconds


class BrokenCache:
    """Fails at everything."""

    def __getattr__(self, name):
        raise ConnectionError("the cache is down")


@pytest.fixture(autouse=True)
def _forget():
    for known in (_local_permits, _local_blocks, _local_circuits):
        known.clear()
    yield
    close_connections()


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def cache(clock, monkeypatch):
    """A cache whose entries expire by our clock."""
    monkeypatch.setattr("django.core.cache.backends.locmem.time", SimpleNamespace(time=clock))
    monkeypatch.setattr("django.core.cache.backends.base.time", SimpleNamespace(time=clock))
    cache = LocMemCache("budget", {})
    cache.clear()
    return cache


def taken(budget: RateLimiter, priority: str) -> int:
    """How many permits a lane gets before it is refused."""
    count = 0
    while True:
        try:
            budget.take(priority)
        except exceptions.RateLimitReached:
            return count
        count += 1


@pytest.mark.parametrize(
    ("priority", "count"), [("sync", 54), ("planned", 70), ("view", 85), ("write", 90), ("reread", 90)]
)
def test_each_lane_leaves_some_to_those_that_matter_more(cache, clock, priority, count):
    assert taken(RateLimiter("f", 90, cache, now=clock), priority) == count


def test_a_small_share_keeps_the_same_proportions(cache, clock):
    budget = RateLimiter("f", 10, cache, now=clock)
    assert [taken(budget, priority) for priority in ("sync", "planned", "view", "write")] == [6, 1, 2, 1]


def test_permits_come_back_after_a_minute_and_belong_to_one_credential(cache, clock):
    budget = RateLimiter("f", 5, cache, now=clock)
    assert taken(budget, "write") == 5
    assert taken(RateLimiter("g", 5, cache, now=clock), "write") == 5
    clock.pass_(63)
    assert taken(budget, "write") == 5


def test_two_who_see_one_expired_permit_do_not_both_win_it(clock):
    """A database cache lets several add a row that has expired; one that never was is won by one."""

    class DatabaseCache(LocMemCache):
        known: ClassVar = set()

        def get_many(self, keys):
            return {}  # both have looked before either has added

        def add(self, key, value, timeout=None):
            expired = ":p:" in key and key.count(":") == 3 and key in self.known
            self.known.add(key)
            return expired or super().add(key, value, timeout)

    cache = DatabaseCache("twice", {})
    cache.clear()
    RateLimiter("f", 1, cache, now=clock).take("write")
    clock.pass_(63)
    assert taken(RateLimiter("f", 1, cache, now=clock), "write") == 1


def test_after_a_429_nobody_calls_for_a_while(cache, clock):
    budget = RateLimiter("f", 90, cache, now=clock)
    budget.block(300)
    with pytest.raises(exceptions.RateLimitReached):
        RateLimiter("f", 90, cache, now=clock).take("write")
    clock.pass_(MAX_BLOCK_SECONDS + 0.1)
    budget.take("write")


def test_a_patient_call_waits_for_a_permit(cache, clock):
    budget = RateLimiter("f", 90, cache, now=clock, patience=3, sleep=clock.pass_)
    budget.block(2)
    budget.take("view")
    budget.block(10)
    with pytest.raises(exceptions.RateLimitReached):
        budget.take("view")


def test_without_a_cache_a_process_takes_an_eighth(clock):
    budget = RateLimiter("f", 90, BrokenCache(), now=clock)
    assert taken(budget, "write") == 11
    clock.pass_(63)
    assert taken(budget, "write") == 11
    budget.block(5)
    assert taken(budget, "write") == 0


@pytest.fixture(params=["shared", "broken"])
def circuit(request, cache, clock):
    return CircuitBreaker("f", cache if request.param == "shared" else BrokenCache(), now=clock)


def is_held(circuit: CircuitBreaker, method: str = "GET") -> bool:
    try:
        circuit.check(method)
    except exceptions.CircuitOpen:
        return True
    return False


def fail(circuit: CircuitBreaker, times: int) -> None:
    for _ in range(times):
        circuit.failed()


def test_five_failures_in_thirty_seconds_open_it(circuit, clock):
    fail(circuit, 4)
    clock.pass_(31)
    fail(circuit, 4)
    assert not is_held(circuit)
    assert not is_held(circuit, "POST")
    fail(circuit, 1)
    assert is_held(circuit, "POST")


def test_only_a_read_may_try_again(circuit, clock):
    """A booking is never the guinea pig."""
    fail(circuit, 5)
    clock.pass_(10.1)
    assert is_held(circuit, "POST")
    assert circuit.check("GET") is True
    circuit.succeeded()
    assert circuit.check("POST") is False


def test_lost_writes_do_not_stop_the_reads_that_settle_them(circuit, clock):
    """Reads go on one after the other while they come back; writes wait all the same."""
    fail(circuit, 5)
    for _ in range(3):
        assert circuit.check("GET") is True
        clock.pass_(0.5)
        circuit.succeeded()
    assert is_held(circuit, "POST")
    assert not circuit.is_half_open
    clock.pass_(9)
    assert circuit.is_half_open


def test_only_one_read_tries_at_a_time(cache, clock):
    circuit = CircuitBreaker("f", cache, now=clock)
    fail(circuit, 5)
    assert circuit.check("GET") is True
    assert is_held(circuit)
    clock.pass_(PROBE_SECONDS + 1)  # whoever tried has died
    assert circuit.check("GET") is True


def test_while_it_fails_one_read_looks_every_ten_seconds(circuit, clock):
    """However long it takes: who waits longer and longer notices the end of an outage late."""
    fail(circuit, 5)
    for _ in range(60):
        assert circuit.check("GET") is True
        circuit.failed(is_probe=True)
        clock.pass_(9.9)
        assert is_held(circuit)
        clock.pass_(0.2)


def test_who_is_held_back_is_told_for_how_long(circuit, clock):
    fail(circuit, 5)
    clock.pass_(4)
    with pytest.raises(exceptions.CircuitOpen) as held:
        circuit.check("POST")
    assert held.value.retry_after == pytest.approx(6)


def test_failures_of_calls_under_way_do_not_lengthen_the_wait(circuit, clock):
    fail(circuit, 9)
    assert circuit.check("GET") is True
    clock.pass_(5)
    circuit.failed()
    clock.pass_(5.1)
    assert circuit.is_half_open


def test_a_refused_credential_holds_until_the_key_changes(cache, clock):
    CircuitBreaker("f", cache, now=clock).refused()
    clock.pass_(1_000_000)
    assert is_held(CircuitBreaker("f", cache, now=clock))
    assert not is_held(CircuitBreaker("a new key", cache, now=clock))
    CircuitBreaker("f", cache, now=clock).reset()
    assert not is_held(CircuitBreaker("f", cache, now=clock))


def client_for(url, cache, clock) -> MeetergoClient:
    transport = Transport(credential=Credential("rgo-x"), base_url=url, timeout=0.3)
    fingerprint = transport.credential.fingerprint
    return MeetergoClient(
        transport,
        budget=RateLimiter(fingerprint, 90, cache, now=clock),
        circuit=CircuitBreaker(fingerprint, cache, now=clock),
    )


def outcomes(action, times: int) -> list[str]:
    found = []
    for _ in range(times):
        try:
            action()
            found.append("ok")
        except exceptions.RemoteError as error:
            found.append(type(error).__name__ if error.route else "an error without a route")
    return found


def test_a_client_stops_calling_a_service_that_fails(cache, clock):
    with running(answering(500)) as server:
        client = client_for(server.url, cache, clock)
        found = outcomes(lambda: client.update_note("a", "b"), 7)
        assert found == ["OutcomeUnknown"] * 5 + ["CircuitOpen"] * 2
        assert len(server.requests) == 5


def test_a_refusal_is_a_sign_of_life(cache, clock):
    with running(answering(404)) as server:
        client = client_for(server.url, cache, clock)
        fail(client.circuit, 5)
        clock.pass_(16)
        assert outcomes(client.get_current_user, 2) == ["NotFound", "NotFound"]


def test_a_write_sends_a_read_ahead_when_it_has_waited(cache, clock):
    """Nobody has to look at a page for the service to be found again."""
    with running(answering(200, recorded("user_me.json"))) as server:
        client = client_for(server.url, cache, clock)
        fail(client.circuit, 5)
        with pytest.raises(exceptions.CircuitOpen):
            client.check_circuit()
        assert server.requests == []
        clock.pass_(10.1)
        client.check_circuit()
        assert [(request.method, request.path) for request in server.requests] == [("GET", "/v4/user/me")]
        assert not client.circuit.is_half_open


def test_a_write_does_not_leave_when_the_read_ahead_fails(cache, clock):
    with running(answering(500)) as server:
        client = client_for(server.url, cache, clock)
        fail(client.circuit, 5)
        clock.pass_(10.1)
        assert outcomes(lambda: client.update_note("a", "b"), 2) == ["CircuitOpen"] * 2
        assert len(server.requests) == 1


def test_a_401_stops_everything_but_a_wrong_secret_does_not(cache, clock):
    with running(answering(401)) as server:
        client = client_for(server.url, cache, clock)
        assert outcomes(lambda: client.cancel_with_secret("a", "b"), 2) == ["CredentialRefused"] * 2
        assert outcomes(client.get_current_user, 2) == ["CredentialRefused", "CircuitOpen"]


def test_a_429_makes_everybody_wait(cache, clock):
    with running(answering(429, Retry_After="9")) as server:
        client = client_for(server.url, cache, clock)
        assert outcomes(lambda: client.update_note("a", "b"), 2) == ["RateLimited", "RateLimitReached"]
        assert len(server.requests) == 1


def test_each_attempt_of_a_read_takes_a_permit(cache, clock):
    with running(answering(200, recorded("user_me.json"))) as server:
        client = client_for(server.url, cache, clock)
        assert outcomes(client.get_current_user, 90) == ["ok"] * 85 + ["RateLimitReached"] * 5
        assert len(server.requests) == 85


def test_a_cache_that_fails_does_not_break_a_call(clock):
    with running(answering(200, recorded("user_me.json"))) as server:
        assert outcomes(client_for(server.url, BrokenCache(), clock).get_current_user, 3) == ["ok"] * 3
