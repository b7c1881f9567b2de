"""The rate limiter and the circuit breaker."""

from __future__ import annotations

from types import SimpleNamespace
from typing import ClassVar

import pytest
from django.core.cache.backends.locmem import LocMemCache

from django_meetergo import exceptions
from django_meetergo.cache import SafeCache
from django_meetergo.remote import circuit_breaker, rate_limit
from django_meetergo.remote.circuit_breaker import PROBE_SECONDS, CircuitBreaker
from django_meetergo.remote.client import MeetergoClient
from django_meetergo.remote.credential import Credential
from django_meetergo.remote.pools import close_connections
from django_meetergo.remote.rate_limit import MAX_BLOCK_SECONDS, RESERVED_PERMITS, RateLimiter
from django_meetergo.remote.transport import Transport
from tests.remote.scripted import answer, answering, recorded, running


class Clock:
    def __init__(self) -> None:
        self.seconds = 1_000_000.0

    def __call__(self) -> float:
        return self.seconds

    def pass_(self, seconds: float) -> None:
        self.seconds += seconds


class BrokenBackend:
    """A cache backend that fails at everything."""

    def __getattr__(self, name):
        raise ConnectionError("the cache is down")


def make_broken_cache() -> SafeCache:
    return SafeCache(BrokenBackend)


@pytest.fixture(autouse=True)
def _reset_local_state():
    rate_limit.reset_local_state()
    circuit_breaker.reset_local_state()
    yield
    close_connections()


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def cache(clock, monkeypatch):
    """A cache whose entries expire by the test's clock."""
    monkeypatch.setattr("django.core.cache.backends.locmem.time", SimpleNamespace(time=clock))
    monkeypatch.setattr("django.core.cache.backends.base.time", SimpleNamespace(time=clock))
    backend = LocMemCache("rate-limit", {})
    backend.clear()
    return SafeCache(lambda: backend)


def acquire_all(limiter: RateLimiter, priority: str) -> int:
    """Return how many permits a priority gets before it is refused."""
    count = 0
    while True:
        try:
            limiter.acquire(priority)
        except exceptions.RateLimitReached:
            return count
        count += 1


@pytest.mark.parametrize(
    ("priority", "count"),
    [("sync", 54), ("planned", 66), ("deliveries", 70), ("view", 85), ("reread", 88), ("write", 90)],
)
def test_each_priority_leaves_permits_to_those_before_it(cache, clock, priority, count):
    assert acquire_all(RateLimiter("f", 90, cache, now=clock), priority) == count


def test_a_flood_of_deliveries_leaves_permits_to_visitors_and_their_bookings(cache, clock):
    limiter = RateLimiter("f", 90, cache, now=clock)
    acquire_all(limiter, "deliveries")
    assert acquire_all(limiter, "view") == 15
    assert acquire_all(limiter, "reread") == 3
    assert acquire_all(limiter, "write") == 2


@pytest.mark.parametrize("priority", RESERVED_PERMITS)
def test_every_priority_gets_a_permit_of_the_smallest_limit(cache, clock, priority):
    assert acquire_all(RateLimiter("f", 1, cache, now=clock), priority) == 1


def test_a_small_limit_keeps_the_same_proportions(cache, clock):
    limiter = RateLimiter("f", 10, cache, now=clock)
    assert [acquire_all(limiter, priority) for priority in ("sync", "planned", "view", "write")] == [
        6,
        1,
        2,
        1,
    ]


def test_permits_come_back_after_a_minute_and_belong_to_one_credential(cache, clock):
    limiter = RateLimiter("f", 5, cache, now=clock)
    assert acquire_all(limiter, "write") == 5
    assert acquire_all(RateLimiter("g", 5, cache, now=clock), "write") == 5
    clock.pass_(63)
    assert acquire_all(limiter, "write") == 5


def test_a_request_reads_a_few_permits_while_many_are_free(clock):
    """Reading all of them took a quarter of the time of a busy site."""
    asked = []

    class CountingCache(LocMemCache):
        def get_many(self, keys):
            asked.append(len(keys))
            return super().get_many(keys)

    backend = CountingCache("few", {})
    backend.clear()
    limiter = RateLimiter("f", 600, SafeCache(lambda: backend), now=clock)
    limiter.acquire("write")
    limiter.acquire("view")
    assert asked == [9, 43]


def test_two_who_see_one_expired_permit_do_not_both_win_it(clock):
    """A database cache lets several callers add a row that has expired, but only one a row that is new."""

    class DatabaseCache(LocMemCache):
        known: ClassVar = set()

        def get_many(self, keys):
            return {}  # both have read before either has added

        def add(self, key, value, timeout=None):
            expired = ":p:" in key and key.count(":") == 3 and key in self.known
            self.known.add(key)
            return expired or super().add(key, value, timeout)

    backend = DatabaseCache("twice", {})
    backend.clear()
    cache = SafeCache(lambda: backend)
    RateLimiter("f", 1, cache, now=clock).acquire("write")
    clock.pass_(63)
    assert acquire_all(RateLimiter("f", 1, cache, now=clock), "write") == 1


def test_after_a_429_nothing_is_sent_for_a_while(cache, clock):
    RateLimiter("f", 90, cache, now=clock).block(300)
    with pytest.raises(exceptions.RateLimitReached):
        RateLimiter("f", 90, cache, now=clock).acquire("write")
    clock.pass_(MAX_BLOCK_SECONDS + 0.1)
    RateLimiter("f", 90, cache, now=clock).acquire("write")


def test_a_pause_stored_by_a_clock_that_is_ahead_is_no_longer_than_others(cache, clock):
    RateLimiter("f", 90, cache, now=lambda: clock() + 300).block(20)
    rate_limit.reset_local_state()  # as in another process
    limiter = RateLimiter("f", 90, cache, now=clock)
    for _ in range(20):
        with pytest.raises(exceptions.RateLimitReached):
            limiter.acquire("write")
        clock.pass_(1)
    clock.pass_(0.1)
    limiter.acquire("write")


def test_a_call_that_may_wait_waits_for_a_permit(cache, clock):
    limiter = RateLimiter("f", 90, cache, now=clock, max_wait=3, sleep=clock.pass_)
    limiter.block(2)
    limiter.acquire("view")
    limiter.block(10)
    with pytest.raises(exceptions.RateLimitReached):
        limiter.acquire("view")


def test_without_a_cache_a_process_uses_an_eighth_of_the_limit(clock):
    limiter = RateLimiter("f", 90, make_broken_cache(), now=clock)
    assert acquire_all(limiter, "write") == 11
    assert limiter.count_free() is None
    clock.pass_(63)
    assert acquire_all(limiter, "write") == 11
    limiter.block(5)
    assert acquire_all(limiter, "write") == 0


def test_a_refused_request_names_the_cache_that_is_away(cache, clock):
    away, shared = (RateLimiter("f", 8, each, now=clock) for each in (make_broken_cache(), cache))
    away.acquire("write")
    with pytest.raises(exceptions.RateLimitReached, match="the cache does not answer"):
        away.acquire("write")
    assert acquire_all(shared, "write") == 8
    with pytest.raises(exceptions.RateLimitReached, match="our share"):
        shared.acquire("write")


def test_a_cache_that_fails_between_read_and_add_leaves_the_local_share(clock):
    class HalfBroken(LocMemCache):
        def add(self, *args, **kwargs):
            raise ConnectionError

    backend = HalfBroken("half", {})
    assert acquire_all(RateLimiter("f", 90, SafeCache(lambda: backend), now=clock), "write") == 11


# The circuit breaker


@pytest.fixture(params=["shared", "broken"])
def circuit(request, cache, clock):
    return CircuitBreaker("f", cache if request.param == "shared" else make_broken_cache(), now=clock)


def is_refused(circuit: CircuitBreaker, method: str = "GET") -> bool:
    try:
        circuit.check(method)
    except exceptions.CircuitOpen:
        return True
    return False


def fail(circuit: CircuitBreaker, times: int) -> None:
    """Record failures of as many ids of one route."""
    for number in range(times):
        circuit.record_failure("GET /v4/x/{id}", f"x{number}")


def test_four_failures_in_a_row_of_different_ids_open_it(circuit, clock):
    fail(circuit, 3)
    clock.pass_(31)  # the old ones are out of the window
    fail(circuit, 3)
    assert not is_refused(circuit)
    assert not is_refused(circuit, "POST")
    fail(circuit, 1)
    assert is_refused(circuit, "POST")


def test_one_id_that_always_fails_does_not_open_it(circuit):
    for _ in range(50):
        circuit.record_failure("GET /v4/appointment/{id}", "poison")
    assert not is_refused(circuit, "POST")


def test_one_route_that_always_fails_does_not_open_it_while_others_succeed(circuit):
    for number in range(50):
        circuit.record_failure("GET /v4/appointment/{id}", f"poison {number % 3}")
        circuit.record_success("GET /v4/booking-availability", "month")
    assert not is_refused(circuit, "POST")


def test_two_failures_in_a_hundred_calls_do_not_open_it(circuit, clock):
    for number in range(2000):
        if number % 50 == 0:
            circuit.record_failure("GET /v4/a/{id}", f"a{number}")
        else:
            circuit.record_success("GET /v4/b/{id}", f"b{number}")
        clock.pass_(0.7)
        assert not circuit.is_open


def test_half_of_ten_calls_over_two_routes_open_it(circuit, clock):
    for number in range(6):
        assert not circuit.is_open
        circuit.record_success("GET /v4/c/{id}", f"{number}")
        circuit.record_failure(f"GET /v4/{'ab'[number % 2]}/{{id}}", f"{number}")
    assert circuit.is_open


def test_calls_that_succeeded_before_the_first_failure_cost_no_write(cache, clock):
    circuit = CircuitBreaker("f", cache, now=clock)
    circuit.record_success("GET /v4/b/{id}", "b")
    assert cache.get("meetergo:circuit:f") is None


def test_it_names_the_routes_whose_calls_failed(circuit, clock):
    fail(circuit, 2)
    circuit.record_failure("POST /v4/booking", "b")
    circuit.record_success("GET /v4/user/me", "me")
    assert circuit.count_failures() == {"GET /v4/x/{id}": 2, "POST /v4/booking": 1}
    clock.pass_(31)
    assert circuit.count_failures() == {}
    fail(circuit, 4)
    clock.pass_(60)
    assert circuit.count_failures() == {"GET /v4/x/{id}": 4}  # they are why it is open


def test_a_state_of_another_version_reads_as_closed(cache, clock):
    for stored in ([[1.0, 2.0], 5.0, 0.0, 0.0], "text", [], [[], 0.0, 0.0]):
        cache.set("meetergo:circuit:f", stored, 60)
        assert not is_refused(CircuitBreaker("f", cache, now=clock), "POST")


def test_only_a_read_tests_the_service(circuit, clock):
    """A booking is never the probe."""
    fail(circuit, 4)
    clock.pass_(10.1)
    assert is_refused(circuit, "POST")
    assert circuit.check("GET") is True
    circuit.record_success("GET /v4/x/{id}", is_probe=True)
    assert circuit.check("POST") is False


def test_lost_writes_do_not_stop_the_reads_that_reconcile_them(circuit, clock):
    """Reads go on one after the other while they succeed; writes wait all the same."""
    fail(circuit, 4)
    for _ in range(3):
        assert circuit.check("GET") is True
        clock.pass_(0.5)
        circuit.record_success("GET /v4/x/{id}", is_probe=True)
    assert is_refused(circuit, "POST")
    assert not circuit.is_half_open
    clock.pass_(9)
    assert circuit.is_half_open


def test_only_one_read_tests_the_service_at_a_time(cache, clock):
    circuit = CircuitBreaker("f", cache, now=clock)
    fail(circuit, 4)
    assert circuit.check("GET") is True
    assert is_refused(circuit)
    clock.pass_(PROBE_SECONDS + 1)  # the process with the probe has died
    assert circuit.check("GET") is True


def test_during_an_outage_one_read_tests_the_service_every_ten_seconds(circuit, clock):
    """Growing pauses would notice the end of an outage late."""
    fail(circuit, 4)
    for _ in range(60):
        assert circuit.check("GET") is True
        circuit.record_failure("GET /v4/x/{id}", is_probe=True)
        clock.pass_(9.9)
        assert is_refused(circuit)
        clock.pass_(0.2)


def test_a_refused_caller_learns_when_to_try_again(circuit, clock):
    fail(circuit, 4)
    clock.pass_(4)
    with pytest.raises(exceptions.CircuitOpen) as refused:
        circuit.check("POST")
    assert refused.value.retry_after == pytest.approx(6)


def test_failures_of_calls_under_way_do_not_lengthen_the_pause(circuit, clock):
    fail(circuit, 9)
    assert circuit.check("GET") is True
    clock.pass_(5)
    fail(circuit, 1)
    clock.pass_(5.1)
    assert circuit.is_half_open


def test_a_refused_credential_opens_it_until_the_key_changes(cache, clock):
    CircuitBreaker("f", cache, now=clock).record_refusal()
    clock.pass_(1_000_000)
    assert is_refused(CircuitBreaker("f", cache, now=clock))
    assert not is_refused(CircuitBreaker("a new key", cache, now=clock))
    CircuitBreaker("f", cache, now=clock).reset()
    assert not is_refused(CircuitBreaker("f", cache, now=clock))


def client_for(url, cache, clock) -> MeetergoClient:
    transport = Transport(credential=Credential("rgo-x"), base_url=url, timeout=0.3)
    fingerprint = transport.fingerprint
    return MeetergoClient(
        transport,
        rate_limiter=RateLimiter(fingerprint, 90, cache, now=clock),
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
        ids = iter("abcdefg")
        found = outcomes(lambda: client.decline_provisional_booking(next(ids)), 7)
        assert found == ["OutcomeUnknown"] * 4 + ["CircuitOpen"] * 3
        assert len(server.requests) == 4


def test_one_row_whose_read_answers_500_does_not_open_the_circuit(cache, clock):
    """All calls of one id fail; everything else is sent."""

    def script(connection):
        while request := connection.read_request():
            poison = "poison" in request.path
            connection.send(answer(500) if poison else answer(200, recorded("user_me.json")))

    with running(script) as server:
        client = client_for(server.url, cache, clock)
        assert outcomes(lambda: client.get_appointment("poison"), 20) == ["Unreachable"] * 20
        assert outcomes(client.get_current_user, 1) == ["ok"]
        assert client.circuit.count_failures() == {"GET /v4/appointment/{id}": 20}


def test_a_third_of_the_hosts_whose_lists_fail_do_not_open_the_circuit(cache, clock):
    """A sync of a large team reads one list after the other, and nothing else is called at that time."""

    def script(connection):
        while request := connection.read_request():
            fails = "userId=odd" in request.path
            connection.send(answer(500) if fails else answer(200, recorded("appointments_paginated.json")))

    with running(script) as server:
        client = client_for(server.url, cache, clock)
        hosts = [f"odd{number}" if number % 3 == 0 else str(number) for number in range(30)]
        found = [
            outcomes(lambda: client.list_appointments(page=0, page_size=100, user_id=host), 1)[0]  # noqa: B023
            for host in hosts
        ]
        assert found == ["Unreachable" if host.startswith("odd") else "ok" for host in hosts]
        assert not client.circuit.is_open


def test_calls_with_different_bodies_are_different_targets(cache, clock):
    """Bookings have no id in their route, so their bodies tell them apart."""
    with running(answering(503)) as server:
        client = client_for(server.url, cache, clock)
        for number in range(4):
            outcomes(lambda: client.create_webhook(f"https://a.example/{number}", []), 1)  # noqa: B023
        assert client.circuit.is_open


def test_a_refusal_is_not_a_failure(cache, clock):
    with running(answering(404)) as server:
        client = client_for(server.url, cache, clock)
        fail(client.circuit, 4)
        clock.pass_(16)
        assert outcomes(client.get_current_user, 2) == ["NotFound", "NotFound"]


def test_after_the_pause_a_write_sends_a_read_first(cache, clock):
    """The service is found to be back without a visitor who looks at a page."""
    with running(answering(200, recorded("user_me.json"))) as server:
        client = client_for(server.url, cache, clock)
        fail(client.circuit, 4)
        with pytest.raises(exceptions.CircuitOpen):
            client.check_circuit()
        assert server.requests == []
        clock.pass_(10.1)
        client.check_circuit()
        assert [(request.method, request.path) for request in server.requests] == [("GET", "/v4/user/me")]
        assert not client.circuit.is_half_open


def test_a_probe_that_could_not_be_sent_leaves_the_test_to_the_next_read(cache, clock):
    """It got no permit, or its id was no part of an address."""
    with running(answering(200, recorded("user_me.json"))) as server:
        client = client_for(server.url, cache, clock)
        fail(client.circuit, 4)
        client.rate_limiter.block(5)
        with pytest.raises(exceptions.InvalidRequest):
            client.get_appointment("..")
        assert outcomes(client.get_current_user, 1) == ["RateLimitReached"]
        clock.pass_(5.1)
        assert outcomes(client.get_current_user, 1) == ["ok"]


def test_a_probe_that_failed_is_not_repeated_at_once(cache, clock):
    """Its second attempt got no permit, after the first was sent."""
    with running(answering(503)) as server:
        client = client_for(server.url, cache, clock)
        fail(client.circuit, 4)
        client.transport.timeout = 5  # for a second attempt
        acquire = client.rate_limiter.acquire

        def acquire_once(priority):
            if server.requests:
                raise exceptions.RateLimitReached("used up")
            acquire(priority)

        client.rate_limiter.acquire = acquire_once
        assert outcomes(client.get_current_user, 2) == ["RateLimitReached", "CircuitOpen"]
        assert len(server.requests) == 1


def test_a_write_is_not_sent_when_the_read_before_it_fails(cache, clock):
    with running(answering(500)) as server:
        client = client_for(server.url, cache, clock)
        fail(client.circuit, 4)
        clock.pass_(10.1)
        assert outcomes(lambda: client.decline_provisional_booking("a"), 2) == ["CircuitOpen"] * 2
        assert len(server.requests) == 1


def test_a_401_stops_everything_but_a_wrong_secret_does_not(cache, clock):
    with running(answering(401)) as server:
        client = client_for(server.url, cache, clock)
        assert outcomes(lambda: client.cancel_with_secret("a", "b"), 2) == ["CredentialRefused"] * 2
        assert outcomes(client.get_current_user, 2) == ["CredentialRefused", "CircuitOpen"]


def test_after_a_429_no_caller_sends(cache, clock):
    with running(answering(429, Retry_After="9")) as server:
        client = client_for(server.url, cache, clock)
        assert outcomes(lambda: client.decline_provisional_booking("a"), 2) == [
            "RateLimited",
            "RateLimitReached",
        ]
        assert len(server.requests) == 1


def test_each_attempt_of_a_read_uses_a_permit(cache, clock):
    with running(answering(200, recorded("user_me.json"))) as server:
        client = client_for(server.url, cache, clock)
        assert outcomes(client.get_current_user, 90) == ["ok"] * 85 + ["RateLimitReached"] * 5
        assert len(server.requests) == 85


def test_a_cache_that_fails_does_not_break_a_call(clock):
    with running(answering(200, recorded("user_me.json"))) as server:
        assert outcomes(client_for(server.url, make_broken_cache(), clock).get_current_user, 3) == ["ok"] * 3
