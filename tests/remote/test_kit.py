"""The test kit: it refuses what would make a test meaningless, and leaves the site's own cache alone."""

from __future__ import annotations

import pytest
from django.core import mail
from django.core.cache import cache as site_cache
from django.http import HttpResponse

from django_meetergo.exceptions import CircuitOpen, RateLimitReached
from django_meetergo.services.clients import build_client
from django_meetergo.testing.sandbox_adapter import RefusedHost
from django_meetergo.testing.sandboxes import run_sandbox

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("route", ["PATCH /v4/appointment/{id}/cancel", "POST /v4/bookings", "POST"])
def test_a_route_that_does_not_exist_is_refused(meetergo_sandbox, route):
    """A count of requests that can never be sent is always 0, and a fault for them never applies."""
    with pytest.raises(ValueError, match="The sandbox has no route"):
        meetergo_sandbox.count_requests(route)
    with pytest.raises(ValueError, match="The sandbox has no route"):
        meetergo_sandbox.fail_next(route)


def test_a_call_of_the_real_service_says_which_fixture_to_use(settings):
    """Also in a test that asks for no sandbox; the text reaches whoever reads the error."""
    real = "https://api.meetergo.com"
    settings.MEETERGO = {**settings.MEETERGO, "BASE_URL": real, "SANDBOX": False}

    with pytest.raises(RefusedHost, match=r"api\.meetergo\.com\. Use the fixture meetergo_sandbox"):
        build_client("default", "sync").get_current_user()


@pytest.mark.parametrize(
    "given",
    [
        {"MEETING_TYPES": ["a-type-of-the-site"]},
        {"WEBHOOK_TOKENS": [], "SITE_URL": ""},
        {"CONNECTIONS": {"partner": {"API_KEY": f"rgo-{'r' * 32}"}}, "ALERT_EMAILS": ["ops@example.com"]},
    ],
)
def test_the_kit_works_whatever_the_site_says_of_its_own_account(settings, given):
    settings.MEETERGO = {**settings.MEETERGO, **given}

    with run_sandbox() as kit:
        assert kit.list_free_starts()
        kit.register_webhook()
        for _ in range(3):
            kit.run_due(after=60, periodic=True)

    assert mail.outbox == []


def test_a_fault_that_does_not_exist_is_refused(meetergo_sandbox):
    with pytest.raises(ValueError, match="statsu_before"):
        meetergo_sandbox.fail_next(kind="statsu_before")


def test_a_fault_that_would_never_apply_is_refused(meetergo_sandbox):
    """A test with such a fault would pass whatever the code does."""
    with pytest.raises(ValueError, match="never apply"):
        meetergo_sandbox.fail_next(times=0)


def test_requests_are_counted_by_route_and_by_pattern(meetergo_sandbox):
    client = meetergo_sandbox.client()
    client.get_current_user()
    client.list_webhooks()
    assert meetergo_sandbox.count_requests("GET /v4/user/me") == 1
    assert meetergo_sandbox.count_requests("GET *") == 2
    assert meetergo_sandbox.count_requests("POST *") == 0
    assert meetergo_sandbox.count_requests("POST /v4/appointment/{appointment}/cancel") == 0


def test_clearing_availability_leaves_the_entries_of_the_site(meetergo_sandbox):
    site_cache.set("site", "theirs", 60)
    meetergo_sandbox.list_free_starts()
    meetergo_sandbox.clear_availability()
    assert site_cache.get("site") == "theirs"
    before = meetergo_sandbox.count_requests("GET /v4/booking-availability")
    meetergo_sandbox.list_free_starts()
    assert meetergo_sandbox.count_requests("GET /v4/booking-availability") > before


def test_resetting_the_rate_limit_frees_the_permits_and_closes_the_circuit(meetergo_sandbox, settings):
    settings.MEETERGO = {**settings.MEETERGO, "REQUESTS_PER_MINUTE": 2}
    client = meetergo_sandbox.client("sync")
    client.rate_limiter.acquire("write")
    client.rate_limiter.block(10)
    client.circuit.record_refusal()
    with pytest.raises(CircuitOpen):
        client.get_current_user()
    client.circuit.reset()
    with pytest.raises(RateLimitReached):
        client.get_current_user()

    client.circuit.record_refusal()
    meetergo_sandbox.reset_rate_limit()

    client.rate_limiter.acquire("write")
    client.rate_limiter.acquire("write")
    assert not client.circuit.is_open


def test_a_delivery_is_sent_as_often_as_asked(meetergo_sandbox):
    """Not twice as often with each repeat."""
    meetergo_sandbox.register_webhook()
    meetergo_sandbox.book_elsewhere(meetergo_sandbox.list_free_starts()[0])
    assert meetergo_sandbox.deliver(duplicate=5) == 5


class ServeOneHost:
    """A middleware that knows the site under its own name only, as sites with several hosts have it."""

    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        is_known = request.get_host() == "www.clinic.example"
        return self.get_response(request) if is_known else HttpResponse(status=404)


@pytest.mark.parametrize("is_redirected", [True, False])
def test_a_delivery_arrives_at_the_host_that_the_site_has_registered(
    meetergo_sandbox, settings, is_redirected
):
    """Though tests reach the site under another name, which may lead elsewhere."""
    settings.MEETERGO = {**settings.MEETERGO, "SITE_URL": "https://www.clinic.example"}
    settings.ALLOWED_HOSTS = ["testserver"]
    settings.PREPEND_WWW = is_redirected
    if not is_redirected:
        settings.MIDDLEWARE = [f"{__name__}.ServeOneHost", *settings.MIDDLEWARE]
    meetergo_sandbox.register_webhook()
    meetergo_sandbox.book_elsewhere(meetergo_sandbox.list_free_starts()[0])

    assert meetergo_sandbox.deliver() == 1
    assert settings.ALLOWED_HOSTS == ["testserver"]


def test_a_process_that_sends_nothing_is_not_killed(meetergo_sandbox):
    """Otherwise the test that expects it proves nothing."""
    with pytest.raises(AssertionError, match="sent no request"), meetergo_sandbox.kill_process():
        pass


def test_a_socket_cannot_be_killed_like_a_process(live_meetergo_sandbox):
    with pytest.raises(RuntimeError, match="use meetergo_sandbox"):
        live_meetergo_sandbox.refuse_connections()
