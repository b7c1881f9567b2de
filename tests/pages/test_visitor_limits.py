"""Limits for visitors: fast forms, many bookings, wrong links."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.core.cache import caches
from django.test import Client

from django_meetergo import links, visitors
from django_meetergo.models import Booking
from django_meetergo.services.booking.validation import MAX_OPEN_BOOKINGS
from django_meetergo.views.decorators import WRONG_LINK_LIMIT
from tests.pages.conftest import DETAILS, Visitor

pytestmark = pytest.mark.django_db(transaction=True)


def set_limits(settings, **changes):
    settings.MEETERGO = {**settings.MEETERGO, **changes}


def build_emails(number):
    return [f"person{index}@example.com" for index in range(number)]


# Forms sent too fast


def test_a_form_sent_too_fast_is_shown_again_with_everything_typed(visitor, settings):
    filled = visitor.fill_in("intro-call")
    set_limits(settings, MIN_FILL_SECONDS=3600)
    answer = visitor.post("/book/intro-call/details/", **filled)
    page = answer.content.decode()
    assert answer.status_code == 422
    assert "That was very quick" in page
    assert DETAILS["email"] in page
    assert filled["token"] in page
    assert not Booking.objects.exists()

    set_limits(settings, MIN_FILL_SECONDS=0)
    assert visitor.post("/book/intro-call/details/", **filled).status_code == 303
    assert Booking.objects.get().state == Booking.State.CONFIRMED


# Bookings


def test_one_network_address_has_a_daily_limit(visitor, settings):
    set_limits(settings, MAX_BOOKINGS_PER_DAY=2)
    statuses = [visitor.book(email=email).status_code for email in build_emails(3)]
    assert statuses == [303, 303, 429]
    assert Booking.objects.count() == 2


def test_a_refused_visitor_keeps_the_details_and_sees_the_reason(visitor, settings):
    set_limits(settings, MAX_BOOKINGS_PER_DAY=1)
    visitor.book(email="first@example.com")
    page = visitor.book(email="second@example.com").content.decode()
    assert "There have been many bookings" in page
    assert "second@example.com" in page


def test_one_email_address_has_a_daily_limit_across_networks(visitor, settings):
    set_limits(settings, MAX_BOOKINGS_PER_DAY=2, CLIENT_IP_HEADER="X-Real-IP")
    statuses = []
    for number in range(3):
        other = Visitor(Client(headers={"X-Real-IP": f"192.0.2.{number}"}))
        statuses.append(other.book(email="Jane@Example.com").status_code)
    assert statuses == [303, 303, 429]


def test_yesterdays_bookings_do_not_count(visitor, settings):
    set_limits(settings, MAX_BOOKINGS_PER_DAY=1)
    visitor.book()
    Booking.objects.update(created_at=Booking.objects.get().created_at - timedelta(days=1))
    caches["default"].clear()
    assert visitor.book().status_code == 303


def test_one_person_has_a_limit_of_open_bookings(visitor, settings):
    set_limits(settings, MAX_BOOKINGS_PER_DAY=20)
    visitor.book()
    done = Booking.objects.get()
    for _ in range(MAX_OPEN_BOOKINGS):
        done.pk, done.state, done.attendee = None, Booking.State.PENDING, None
        for name in ("public_id", "reference", "idempotency_key"):
            setattr(done, name, Booking._meta.get_field(name).get_default())
        done.save(force_insert=True)
    assert visitor.book().status_code == 429


def test_the_same_form_sent_again_is_not_counted(visitor, settings):
    set_limits(settings, MAX_BOOKINGS_PER_DAY=1)
    filled = visitor.fill_in("intro-call")
    statuses = [visitor.post("/book/intro-call/details/", **filled).status_code for _ in range(3)]
    assert statuses == [303, 303, 303]


def test_signed_in_users_behind_one_address_are_counted_apart(visitor, settings, django_user_model):
    set_limits(settings, MAX_BOOKINGS_PER_DAY=1)
    for name in ("ann", "bob"):
        person = Visitor(Client())
        person.client.force_login(django_user_model.objects.create_user(name))
        assert person.book(email=f"{name}@example.com").status_code == 303


# Wrong links


def test_wrong_links_block_one_network_address_only(visitor, settings, django_assert_num_queries):
    set_limits(settings, CLIENT_IP_HEADER="X-Real-IP")
    visitor.book()
    good = links.get_booking_path(Booking.objects.get())
    guesser = Client(headers={"X-Real-IP": "192.0.2.1"})
    for number in range(WRONG_LINK_LIMIT.times):
        assert guesser.get(f"/book/booking/guess{number}/").status_code == 404
    with django_assert_num_queries(0):
        refused = guesser.get(good)
    assert refused.status_code == 429
    assert refused["Retry-After"] == str(WRONG_LINK_LIMIT.seconds)
    assert refused["Cache-Control"] == "no-store"
    assert "wait ten minutes" in refused.content.decode()
    assert Client(headers={"X-Real-IP": "192.0.2.2"}).get(good).status_code == 200


def test_without_a_cache_nobody_is_limited(visitor, settings, monkeypatch, caplog):
    def fail(*args, **kwargs):
        raise ConnectionError("the cache is gone")

    cache = type(caches["default"])
    for name in ("get", "add", "incr"):
        monkeypatch.setattr(cache, name, fail)
    limited = visitors.Limit(name="test", times=1, seconds=60)
    limited.count("somebody")
    assert not limited.is_reached("somebody")
    assert "cache failed" in caplog.text
