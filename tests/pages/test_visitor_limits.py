"""Robots and other strangers: what they may not do, and what a person in a hurry loses (nothing)."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.core.cache import caches
from django.test import Client

from django_meetergo import links, visitors
from django_meetergo.models import Booking
from django_meetergo.services.booking.validation import MAX_OPEN_BOOKINGS
from django_meetergo.views.common import WRONG_LINK_LIMIT
from tests.pages.conftest import NEEDS_STAFF, Visitor

pytestmark = pytest.mark.django_db(transaction=True)


def limit(settings, **changes):
    settings.MEETERGO = {**settings.MEETERGO, **changes}


def people(number):
    return [f"person{index}@example.com" for index in range(number)]


# A form that comes back at once


def test_a_form_that_comes_back_at_once_is_asked_again_and_loses_nothing(visitor, settings):
    filled = visitor.fill_in("intro-call")
    limit(settings, MIN_FILL_SECONDS=3600)
    answer = visitor.post("/book/intro-call/details/", **filled)
    page = answer.content.decode()
    assert answer.status_code == 422
    assert "That was very quick" in page
    assert NEEDS_STAFF["email"] in page
    assert filled["token"] in page
    assert not Booking.objects.exists()

    limit(settings, MIN_FILL_SECONDS=0)
    assert visitor.post("/book/intro-call/details/", **filled).status_code == 303
    assert Booking.objects.get().state == Booking.State.CONFIRMED


# How many bookings a stranger may ask for


def test_one_network_address_books_so_often_a_day(visitor, settings):
    limit(settings, MAX_BOOKINGS_PER_DAY=2)
    statuses = [visitor.book(email=email).status_code for email in people(3)]
    assert statuses == [303, 303, 429]
    assert Booking.objects.count() == 2


def test_who_is_turned_away_keeps_what_they_typed_and_is_told_why(visitor, settings):
    limit(settings, MAX_BOOKINGS_PER_DAY=1)
    visitor.book(email="first@example.com")
    page = visitor.book(email="second@example.com").content.decode()
    assert "There have been many bookings" in page
    assert "second@example.com" in page


def test_one_e_mail_address_books_so_often_a_day_from_wherever(visitor, settings):
    limit(settings, MAX_BOOKINGS_PER_DAY=2, CLIENT_IP_HEADER="X-Real-IP")
    statuses = []
    for number in range(3):
        elsewhere = Visitor(Client(headers={"X-Real-IP": f"192.0.2.{number}"}))
        statuses.append(elsewhere.book(email="Jane@Example.com").status_code)
    assert statuses == [303, 303, 429]


def test_yesterdays_bookings_do_not_count(visitor, settings):
    limit(settings, MAX_BOOKINGS_PER_DAY=1)
    visitor.book()
    Booking.objects.update(created_at=Booking.objects.get().created_at - timedelta(days=1))
    caches["default"].clear()
    assert visitor.book().status_code == 303


def test_one_person_has_only_so_many_bookings_open(visitor, settings):
    limit(settings, MAX_BOOKINGS_PER_DAY=20)
    visitor.book()
    done = Booking.objects.get()
    for _ in range(MAX_OPEN_BOOKINGS):
        done.pk, done.state, done.attendee = None, Booking.State.PENDING, None
        for name in ("public_id", "reference", "idempotency_key"):
            setattr(done, name, Booking._meta.get_field(name).get_default())
        done.save(force_insert=True)
    assert visitor.book().status_code == 429


def test_the_same_form_sent_again_is_not_counted(visitor, settings):
    limit(settings, MAX_BOOKINGS_PER_DAY=1)
    filled = visitor.fill_in("intro-call")
    statuses = [visitor.post("/book/intro-call/details/", **filled).status_code for _ in range(3)]
    assert statuses == [303, 303, 303]


def test_signed_in_people_behind_one_address_are_told_apart(visitor, settings, django_user_model):
    limit(settings, MAX_BOOKINGS_PER_DAY=1)
    for name in ("ann", "bob"):
        person = Visitor(Client())
        person.client.force_login(django_user_model.objects.create_user(name))
        assert person.book(email=f"{name}@example.com").status_code == 303


# Guessed links


def test_who_guesses_links_has_to_wait_and_others_need_not(visitor, settings, django_assert_num_queries):
    limit(settings, CLIENT_IP_HEADER="X-Real-IP")
    visitor.book()
    good = links.get_booking_path(Booking.objects.get())
    guesser = Client(headers={"X-Real-IP": "192.0.2.1"})
    for number in range(WRONG_LINK_LIMIT.times):
        assert guesser.get(f"/book/booking/guess{number}/").status_code == 404
    with django_assert_num_queries(0):
        turned_away = guesser.get(good)
    assert turned_away.status_code == 429
    assert turned_away["Retry-After"] == str(WRONG_LINK_LIMIT.seconds)
    assert turned_away["Cache-Control"] == "no-store"
    assert "wait ten minutes" in turned_away.content.decode()
    assert Client(headers={"X-Real-IP": "192.0.2.2"}).get(good).status_code == 200


def test_without_a_cache_everybody_comes_in(visitor, settings, monkeypatch, caplog):
    def fail(*args, **kwargs):
        raise ConnectionError("the cache is gone")

    cache = type(caches["default"])
    for name in ("get", "add", "incr"):
        monkeypatch.setattr(cache, name, fail)
    limited = visitors.Limit(name="test", times=1, seconds=60)
    limited.count("somebody")
    assert not limited.is_reached("somebody")
    assert "cache failed" in caplog.text
