"""The cache is down or silent: pages are slower, and nothing fails or is lost (reliability F16)."""

from __future__ import annotations

import re
from types import SimpleNamespace

import pytest
from django.contrib.auth.models import AnonymousUser
from django.template import engines
from django.test import RequestFactory

from django_meetergo import links
from django_meetergo.models import Appointment, Booking
from django_meetergo.remote.transport import ADAPTERS
from django_meetergo.services.health import collect_facts
from tests.journeys.caches import SilentCache
from tests.pages.conftest import site, visitor  # noqa: F401 - fixtures

pytestmark = pytest.mark.django_db(transaction=True)

CANCEL = "POST /booking/confirm/cancel/{id}/{secret}"


@pytest.fixture(params=["DeadCache", "SilentCache"])
def lose_cache(request, settings, site):  # noqa: F811
    """Return a function after whose call the cache does not work any more."""

    def lose():
        SilentCache.calls.clear()
        settings.CACHES = {"default": {"BACKEND": f"tests.journeys.caches.{request.param}"}}

    return lose


def book_and_lose(visitor, site, lose_cache):  # noqa: F811
    visitor.book()
    site.run_due()
    attendee = Booking.objects.get().attendee
    lose_cache()
    return attendee


def test_the_month_and_details_pages_and_a_booking_work(visitor, site, lose_cache):  # noqa: F811
    lose_cache()

    starts = visitor.list_starts("intro-call")
    details = visitor.get("/book/intro-call/details/", start=starts[0])
    booked = visitor.book(start=starts[0])

    assert details.status_code == 200
    assert booked.status_code == 303
    assert Booking.objects.get().state == Booking.State.CONFIRMED
    assert len(site.appointments()) == 1
    assert len(SilentCache.calls) <= 4


def test_a_cache_that_dies_while_the_booking_is_sent_loses_nothing(visitor, site, lose_cache):  # noqa: F811
    filled_in = visitor.fill_in("intro-call")
    site.sandbox.deliveries.settings.manual = True
    handler = site.sandbox.wsgi
    adapter_calls = []

    def lose_on_booking(environ, start_response):
        if environ["REQUEST_METHOD"] == "POST" and environ["PATH_INFO"] == "/v4/booking":
            adapter_calls.append("booking")
            lose_cache()
        return handler(environ, start_response)

    ADAPTERS[site.base_url].wsgi = lose_on_booking
    answer = visitor.post("/book/intro-call/details/", **filled_in)

    assert adapter_calls == ["booking"]
    assert answer.status_code == 303
    assert Booking.objects.get().state == Booking.State.CONFIRMED
    assert visitor.get(answer["Location"]).status_code == 200


def test_a_cancel_is_carried_out_and_reported(visitor, site, lose_cache):  # noqa: F811
    attendee = book_and_lose(visitor, site, lose_cache)
    path = links.get_manage_path(attendee)

    answer = visitor.post(f"{path}cancel/", reason="")

    assert answer.status_code == 303
    assert site.count_requests(CANCEL) == 1
    assert Appointment.objects.get().is_cancelled
    assert visitor.get(answer["Location"]).status_code == 200


def test_an_appointment_can_be_rescheduled(visitor, site, lose_cache):  # noqa: F811
    attendee = book_and_lose(visitor, site, lose_cache)
    path = links.get_manage_path(attendee)
    page = visitor.text(f"{path}reschedule/")
    start = re.findall(r'name="start" value="([^"]+)"', page)[0]

    answer = visitor.post(f"{path}reschedule/", start=start)

    assert answer.status_code == 303
    assert Appointment.objects.get().start != Booking.objects.get().start


def test_a_page_of_the_site_with_a_widget_is_rendered(visitor, site, lose_cache):  # noqa: F811
    lose_cache()
    request = RequestFactory().get("/treatments/")
    request.user = AnonymousUser()
    request.session = SimpleNamespace()
    template = engines["django"].from_string(
        '{% load meetergo %}{% meetergo_booking_widget "intro-call" %}'
        '{% meetergo_next_slots "intro-call" 3 %}'
    )
    assert "meetergo" in template.render({}, request)


def test_the_scheduler_goes_on(visitor, site, lose_cache):  # noqa: F811
    """Deliveries are applied and syncs run, one after the other."""
    visitor.book()
    lose_cache()

    site.run_due(after=5, periodic=True)

    attendee = Booking.objects.get().attendee
    assert attendee.remote_id


def test_the_health_page_says_that_the_cache_does_not_answer(site, lose_cache):  # noqa: F811
    lose_cache()
    facts = {fact.name: fact for fact in collect_facts(connection="default", now=site.now())}
    assert "the cache does not answer" in facts["requests"].text
