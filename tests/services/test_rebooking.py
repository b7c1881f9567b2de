"""Rebooking: another slot for an attendee who agreed to one."""

from __future__ import annotations

from datetime import timedelta
from zoneinfo import ZoneInfo

import pytest
from django.core import mail

from django_meetergo.conf import Settings
from django_meetergo.exceptions import InvalidRequest
from django_meetergo.models import Booking
from django_meetergo.services.booking import sending
from django_meetergo.services.booking.book import AttendeeData
from django_meetergo.services.booking.sending import send_booking

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


@pytest.mark.parametrize("also_mailed", [[], ["confirmed"]])
def test_the_nearest_free_time_is_booked_and_named(kit, book, settings, also_mailed):
    """The one mail names the time that was booked."""
    settings.MEETERGO = {**settings.MEETERGO, "SEND_MAIL": [*Settings.SEND_MAIL, *also_mailed]}
    start = kit.list_free_starts()[4]
    kit.fail_next(kind="occupy_slot")

    booking = book(start=start, rebook={})
    assert (booking.state, booking.reason) == ("received", "")

    finish(kit, booking)
    assert booking.state == "confirmed"
    assert 0 < abs((booking.start - start).total_seconds()) <= 3600
    assert kit.count_requests() == 2
    assert len(kit.appointments_of(booking)) == 1
    [message] = mail.outbox
    assert "another time" in message.subject
    assert f"{booking.start.astimezone(BERLIN):%H:%M}" in message.body


def test_after_three_attempts_the_booking_is_closed(kit, book):
    """The number of attempts is limited, and the mail says that nothing was booked."""
    kit.fail_next(kind="occupy_slot", times=9)

    booking = finish(kit, book(start=kit.list_free_starts()[4], rebook={}))

    assert (booking.state, booking.reason) == ("closed", "slot_taken")
    assert kit.count_requests() == booking.attempts.count() == 3
    assert "not booked" in mail.outbox[0].subject


def test_who_reads_on_the_page_that_nothing_was_booked_gets_no_mail_about_it(kit, book):
    """They may have chosen another time there: the mail would deny what is booked."""
    kit.fail_next(kind="occupy_slot")
    first = kit.list_free_starts()[4]
    consent = {"weekdays": [(first.astimezone(BERLIN).weekday() + 1) % 7], "hours": [0, 1]}
    booking = finish(kit, book(start=first, rebook=consent))
    assert (booking.state, booking.reason, booking.attempts.count()) == ("closed", "slot_taken", 1)

    kit.refuse_connections(2)
    away = finish(kit, book(start=kit.list_free_starts()[6], rebook={}))

    assert (away.state, away.reason) == ("closed", "unreachable")
    assert mail.outbox == []


def test_without_consent_nothing_else_is_booked(kit, book):
    """The site's offer alone is not enough."""
    kit.fail_next(kind="occupy_slot")

    assert book().reason == "slot_taken"
    assert kit.count_requests() == 1


def test_without_the_sites_offer_a_consent_has_no_effect(meetergo_sandbox, book):
    """A forged form field books nothing."""
    meetergo_sandbox.fail_next(kind="occupy_slot")

    assert book(rebook={"weekdays": [0]}).reason == "slot_taken"


def test_narrowed_weekdays_and_hours_are_respected(kit, book):
    """They count in the attendee's time zone."""
    kit.fail_next(kind="occupy_slot")
    start = kit.list_free_starts()[4]
    weekday = (start.astimezone(BERLIN).weekday() + 1) % 5

    booking = finish(kit, book(start=start, rebook={"weekdays": [weekday], "hours": [14, 16]}))

    local = booking.start.astimezone(BERLIN)
    assert booking.state == "confirmed"
    assert (local.weekday(), 14 <= local.hour < 16) == (weekday, True)
    assert abs(booking.start - start) <= timedelta(days=7)


def test_an_empty_agreement_is_refused(kit, book):
    """Hours that leave nothing raise an error that names the argument."""
    with pytest.raises(InvalidRequest) as refusal:
        book(rebook={"hours": [12, 9]})

    assert refusal.value.field == "rebook"


def test_no_second_attempt_while_the_first_is_unknown(kit, book):
    """A lost answer is reconciled; only a definite refusal leads to another slot."""
    kit.fail_next(kind="occupy_slot")
    kit.fail_next(kind="drop_after", after=1)
    booking = book(start=kit.list_free_starts()[4], rebook={})

    kit.run_due(after=16)
    booking.refresh_from_db()
    assert booking.state == "unknown"
    finish(kit, booking)

    assert booking.state == "confirmed"
    assert kit.count_requests() == 2


def test_a_booking_that_loses_to_another_of_this_site_gets_another_slot(kit, book):
    """No request leaves for the slot that the other booking holds."""
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


def test_losers_of_one_race_never_get_the_same_next_slot(kit, book):
    """The next slot is reserved like the first: by a unique key."""
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


def test_a_row_read_before_the_booking_got_another_slot_is_not_sent_for_the_old_one(kit, book):
    start = kit.list_free_starts()[4]
    booking = book(start=start, rebook={}, send=False)
    stale = Booking.objects.select_related("meeting_type").get(pk=booking.pk)  # another worker's batch
    kit.fail_next(kind="occupy_slot")
    send_booking(booking=Booking.objects.get(pk=booking.pk), client=kit.client(), now=kit.now())
    booking.refresh_from_db()
    assert (booking.state, booking.start == start) == ("received", False)

    send_booking(booking=stale, client=kit.client(), now=kit.now())

    assert not booking.attempts.filter(number__gt=1, start=start).exists()


def test_a_row_read_before_the_booking_got_a_slot_does_not_close_it(kit, book, monkeypatch):
    kit.fail_next(kind="occupy_slot")
    first = book(start=kit.list_free_starts()[4], rebook={})
    kit.clear_availability()
    person = AttendeeData(email="ben@example.com", first_name="Ben")
    second = book(start=first.start, attendee=person, rebook={}, send=False)
    stale = Booking.objects.select_related("meeting_type").get(pk=second.pk)
    send_booking(booking=Booking.objects.get(pk=second.pk), client=kit.client(), now=kit.now())
    second.refresh_from_db()
    assert second.slot_hold_key

    monkeypatch.setattr(sending, "list_next_starts", lambda *args, **options: [])
    send_booking(booking=stale, client=kit.client(), now=kit.now())

    second.refresh_from_db()
    assert second.state == "received"


def test_a_booking_without_another_slot_keeps_the_start_it_was_made_for(kit, book, monkeypatch):
    start = kit.list_free_starts()[4]
    kit.fail_next(kind="occupy_slot")
    # The mirror knows every alternative as booked; the cached free times do not, yet.
    monkeypatch.setattr(sending, "is_slot_booked", lambda booking: booking.start != start)

    booking = book(start=start, rebook={})

    booking.refresh_from_db()
    assert (booking.state, booking.reason, booking.start) == ("closed", "slot_taken", start)
