"""Limits for visitors: fast forms, many bookings, wrong links."""

from __future__ import annotations

import re
from datetime import timedelta
from types import SimpleNamespace

import pytest
from django.core import signing
from django.core.cache import caches
from django.test import Client
from django.utils import timezone

from django_meetergo import links, visitors
from django_meetergo.cache import cache
from django_meetergo.models import AppointmentChange, Attendee, Booking, MeetingType
from django_meetergo.services.booking import validation
from django_meetergo.views.decorators import WRONG_LINK_LIMIT
from django_meetergo.visitors import Limit
from tests.pages.conftest import DETAILS, Visitor

START = 3600 * 500_000
pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _clear_counts(monkeypatch):
    """Start at the beginning of an hour, so that no test crosses the end of a period."""
    caches["default"].clear()
    set_time(monkeypatch, START)


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


def test_without_a_shortest_time_a_form_is_accepted_in_the_moment_of_its_rendering(
    visitor, settings, monkeypatch
):
    """In tests of a site, the clock may stand still at a whole second."""
    set_limits(settings, MIN_FILL_SECONDS=0)
    monkeypatch.setattr(signing, "time", SimpleNamespace(time=lambda: float(START)))

    assert visitor.post("/book/intro-call/details/", **visitor.fill_in("intro-call")).status_code == 303


# Bookings


def set_time(monkeypatch, seconds):
    monkeypatch.setattr(visitors, "time", SimpleNamespace(time=lambda: seconds))


def move_clock(monkeypatch, **units):
    """Move the clock by which limits count."""
    set_time(monkeypatch, visitors.time.time() + timedelta(**units).total_seconds())


def test_one_browser_has_an_hourly_limit(visitor, settings, monkeypatch):
    set_limits(settings, MAX_BOOKINGS_PER_HOUR=2)
    statuses = [visitor.book(email=email).status_code for email in build_emails(3)]
    assert statuses == [303, 303, 429]
    assert Booking.objects.count() == 2
    assert Visitor(Client()).book(email="other@example.com").status_code == 303
    move_clock(monkeypatch, hours=1)
    assert visitor.book(email="later@example.com").status_code == 303


def test_a_refused_visitor_keeps_the_details_and_sees_when_to_try_again(visitor, settings, monkeypatch):
    set_limits(settings, MAX_BOOKINGS_PER_HOUR=1)
    move_clock(monkeypatch, minutes=40)
    visitor.book(email="first@example.com")
    answer = visitor.book(email="second@example.com")
    assert "try again in 20 minutes" in answer.content.decode()
    assert "second@example.com" in answer.content.decode()
    assert answer["Retry-After"] == "1200"


def test_one_email_address_has_an_hourly_limit_across_browsers(visitor, settings):
    """As attendee or as guest: nobody is mailed again and again."""
    set_limits(settings, MAX_BOOKINGS_PER_HOUR=2)
    MeetingType.objects.update(allows_guests=True)
    guest = {"email": "ann@example.com", "other_emails": "JANE@example.com"}
    tries = [{"email": "Jane@Example.com"}, guest, {"email": "jane@example.com"}]
    assert [Visitor(Client()).book(**details).status_code for details in tries] == [303, 303, 429]


def test_network_addresses_are_counted_only_where_the_site_names_their_header(visitor, settings):
    """Behind a proxy all visitors have the proxy's address: it must not limit them together."""
    set_limits(settings, MAX_BOOKINGS_PER_HOUR=1)
    assert all(Visitor(Client()).book(email=email).status_code == 303 for email in build_emails(11))
    caches["default"].clear()
    set_limits(settings, CLIENT_IP_HEADER="REMOTE_ADDR")
    statuses = [Visitor(Client()).book(email=f"later-{email}").status_code for email in build_emails(11)]
    assert statuses == [303] * 10 + [429]


def test_the_whole_site_is_limited_in_short_bursts(visitor, settings, monkeypatch):
    set_limits(settings, MAX_BOOKINGS_PER_HOUR=10)
    monkeypatch.setattr(validation, "SITE_LIMIT", Limit(name="bookings-site", times=2, seconds=60))
    statuses = [Visitor(Client()).book(email=email).status_code for email in build_emails(3)]
    assert statuses == [303, 303, 429]
    move_clock(monkeypatch, minutes=1)
    assert visitor.book(email="later@example.com").status_code == 303


def test_the_same_form_sent_again_is_not_counted(visitor, settings):
    set_limits(settings, MAX_BOOKINGS_PER_HOUR=1)
    filled = visitor.fill_in("intro-call")
    statuses = [visitor.post("/book/intro-call/details/", **filled).status_code for _ in range(3)]
    assert statuses == [303, 303, 303]


def test_signed_in_users_in_one_browser_are_counted_apart(visitor, settings, django_user_model):
    set_limits(settings, MAX_BOOKINGS_PER_HOUR=1)
    for name in ("ann", "bob"):
        visitor.client.force_login(django_user_model.objects.create_user(name))
        assert visitor.book(email=f"{name}@example.com").status_code == 303


# Open bookings


def test_an_open_booking_with_somebody_elses_address_locks_nobody_out(visitor):
    """A stranger enters Jane's address and leaves the booking unconfirmed; Jane books all the same."""
    stranger = Visitor(Client())
    assert stranger.book("checkup").status_code == 303
    assert visitor.book("checkup", start=visitor.list_later_starts("checkup")[8]).status_code == 303
    assert Booking.objects.filter(state=Booking.State.PENDING).count() == 2


def test_one_browser_has_one_unclear_booking_per_person_and_type(visitor, site):
    """Who chooses again while the first choice is unclear is led to the first one."""
    site.fail_next(kind="drop_after")
    first = visitor.book()
    other_start = visitor.list_later_starts("intro-call")[8]
    again = visitor.book(start=other_start)
    assert again.status_code == 409
    assert first["Location"] in again.content.decode()
    assert visitor.book(email="another@example.com", start=other_start)["Location"]


# Moves


def test_an_attendee_moves_an_appointment_so_often_in_an_hour(visitor, settings):
    """Each move is mailed to all attendees and guests. The limit is that of the link, not of the visitor."""
    set_limits(settings, MAX_CHANGES_PER_HOUR=2)
    visitor.book()
    path = links.get_manage_path(Attendee.objects.get())
    statuses = []
    for number in range(3):
        start = visitor.list_later_starts("intro-call")[number + 3]
        answer = Visitor(Client()).post(f"{path}reschedule/", start=start)
        statuses.append(answer.status_code)
    assert statuses == [303, 303, 429]
    assert "You can change it again in 60 minutes" in answer.content.decode()
    assert 3590 < int(answer["Retry-After"]) <= 3600
    AppointmentChange.objects.update(created_at=timezone.now() - timedelta(hours=1))
    assert visitor.post(f"{path}reschedule/", start=start).status_code == 303
    assert visitor.post(f"{path}cancel/").status_code == 303


# Wrong links


def test_wrong_links_never_block_a_valid_one(visitor, settings):
    """The signature is checked first, so visitors behind one address do not block each other."""
    set_limits(settings, CLIENT_IP_HEADER="X-Real-IP")
    visitor.book()
    good = links.get_booking_path(Booking.objects.get())
    guesser = Client(headers={"X-Real-IP": "192.0.2.1"})
    for number in range(WRONG_LINK_LIMIT.times):
        assert guesser.get(f"/book/booking/guess{number}/").status_code == 404
    refused = guesser.get("/book/booking/guess/")
    assert refused.status_code == 429
    assert 0 < int(refused["Retry-After"]) <= WRONG_LINK_LIMIT.seconds
    assert refused["Cache-Control"] == "no-store"
    assert re.search(r"try again in \d+ minute", refused.content.decode())
    assert guesser.get(good).status_code == 200
    assert Client(headers={"X-Real-IP": "192.0.2.2"}).get("/book/booking/guess/").status_code == 404


def test_without_a_known_address_wrong_links_are_not_limited(visitor):
    for number in range(WRONG_LINK_LIMIT.times + 1):
        assert Client().get(f"/book/booking/guess{number}/").status_code == 404


def test_without_a_cache_nobody_is_limited(settings):
    settings.CACHES = {"default": {"BACKEND": "no.such.backend"}}
    set_limits(settings)
    limited = Limit(name="test", times=1, seconds=60)
    limited.count("somebody")
    assert limited.get_wait("somebody") == 0
    cache.reset()
