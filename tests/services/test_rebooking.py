"""What somebody who agreed to another time is promised."""

from __future__ import annotations

from datetime import timedelta
from zoneinfo import ZoneInfo

import pytest
from django.core import mail

from django_meetergo.exceptions import InvalidRequest
from django_meetergo.services.booking.book import AttendeeData

pytestmark = pytest.mark.django_db

BERLIN = ZoneInfo("Europe/Berlin")


@pytest.fixture
def kit(meetergo_sandbox, settings):
    settings.MEETERGO = {**settings.MEETERGO, "REBOOK": {"days": 7, "attempts": 3, "minutes": 10}}
    return meetergo_sandbox


def finish(kit, booking):
    for _ in range(5):
        kit.run_due(after=16)
    booking.refresh_from_db()
    return booking


def test_the_nearest_free_time_is_booked_and_named(kit, book):
    """The mail says which time it became."""
    start = kit.list_free_starts()[4]
    kit.fail_next(kind="occupy_slot")

    booking = book(start=start, rebook={})
    assert (booking.state, booking.reason) == ("received", "")

    finish(kit, booking)
    assert booking.state == "confirmed"
    assert 0 < abs((booking.start - start).total_seconds()) <= 3600
    assert kit.posts() == 2
    assert len(kit.appointments_of(booking)) == 1
    [message] = mail.outbox
    assert "another time" in message.subject
    assert f"{booking.start.astimezone(BERLIN):%H:%M}" in message.body


def test_at_most_three_attempts_and_then_it_is_told(kit, book):
    """Nobody is tried for ever."""
    kit.fail_next(kind="occupy_slot", times=9)

    booking = finish(kit, book(start=kit.list_free_starts()[4], rebook={}))

    assert (booking.state, booking.reason) == ("closed", "slot_taken")
    assert kit.posts() == booking.attempts.count() == 3
    assert "not booked" in mail.outbox[0].subject


def test_without_consent_nothing_else_is_booked(kit, book):
    """The site's offer alone is not enough."""
    kit.fail_next(kind="occupy_slot")

    assert book().reason == "slot_taken"
    assert kit.posts() == 1


def test_without_the_sites_offer_a_tick_means_nothing(meetergo_sandbox, book):
    """A forged field books nothing."""
    meetergo_sandbox.fail_next(kind="occupy_slot")

    assert book(rebook={"weekdays": [0]}).reason == "slot_taken"


def test_what_was_narrowed_is_kept_to(kit, book):
    """Weekdays and hours are the attendee's, by their own clock."""
    kit.fail_next(kind="occupy_slot")
    start = kit.list_free_starts()[4]
    weekday = (start.astimezone(BERLIN).weekday() + 1) % 5

    booking = finish(kit, book(start=start, rebook={"weekdays": [weekday], "hours": [14, 16]}))

    local = booking.start.astimezone(BERLIN)
    assert booking.state == "confirmed"
    assert (local.weekday(), 14 <= local.hour < 16) == (weekday, True)
    assert abs(booking.start - start) <= timedelta(days=7)


def test_an_empty_agreement_is_refused(kit, book):
    """Hours that leave nothing are a mistake, and said to be one."""
    with pytest.raises(InvalidRequest) as refusal:
        book(rebook={"hours": [12, 9]})

    assert refusal.value.field == "rebook"


def test_no_second_attempt_while_the_first_is_unclear(kit, book):
    """A lost answer is looked for; only a definite no leads on."""
    kit.fail_next(kind="occupy_slot")
    kit.fail_next(kind="drop_after", after=1)
    booking = book(start=kit.list_free_starts()[4], rebook={})

    kit.run_due(after=16)
    booking.refresh_from_db()
    assert booking.state == "unknown"
    finish(kit, booking)

    assert booking.state == "confirmed"
    assert kit.posts() == 2


def test_who_loses_to_another_visitor_of_ours_gets_another_time_too(kit, book):
    """No call leaves for the time that another one holds, and the next one is booked."""
    start = kit.list_free_starts()[4]
    kit.fail_next(kind="occupy_slot")
    first = book(start=start, rebook={})
    assert first.state == "received"
    held = first.start
    kit.clear_availability()

    person = AttendeeData(email="ben@example.com", first_name="Ben")
    second = book(start=held, attendee=person, rebook={})
    assert second.state == "received"
    assert second.start != held
    finish(kit, second)
    first.refresh_from_db()
    assert (first.state, first.start) == ("confirmed", held)
    assert second.state == "confirmed"
    assert held not in {attempt.start for attempt in second.attempts.all()}


def test_two_losers_of_one_race_never_take_each_others_next_time(kit, book):
    """The next time is reserved like the first: by a unique key."""
    start = kit.list_free_starts()[4]
    bookings = []
    for name in ("ann", "ben", "cem"):
        kit.fail_next(kind="occupy_slot")
        kit.clear_availability()
        kit.travel(seconds=1)
        person = AttendeeData(email=f"{name}@example.com", first_name=name)
        bookings.append(book(start=kit.list_free_starts()[4], attendee=person, rebook={}))

    for booking in bookings:
        finish(kit, booking)

    assert {booking.state for booking in bookings} == {"confirmed"}
    assert len({booking.start for booking in bookings}) == 3
    assert start not in {booking.start for booking in bookings}
