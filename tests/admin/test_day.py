"""A day at the desk: find, move, cancel, be refused, book for a caller, give a delivery another chance."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from django.contrib.admin.models import LogEntry
from django.utils import timezone

from django_meetergo.models import Appointment, AppointmentChange, Booking, SyncRun, WebhookDelivery
from django_meetergo.testing.factories import AppointmentFactory, AttendeeFactory, BookingFactory

pytestmark = pytest.mark.django_db


def text(response):
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", response.content.decode()))


def test_the_page_that_asks_changes_nothing(boss, clinic, book):
    """Neither opening it nor choosing the action does anything; only its button does."""
    appointment = book().attendee.appointment
    before = clinic.posts("PATCH /v4/appointment/{id}/cancel")

    asked = boss.choose("appointment", "cancel", [appointment])
    boss.get("appointment_cancel", ids=appointment.pk)

    assert "Cancel 1 appointment?" in text(asked)
    assert "Will be cancelled; person0.intro-call@example.com will be told" in text(asked)
    assert AppointmentChange.objects.count() == 0
    assert clinic.posts("PATCH /v4/appointment/{id}/cancel") == before


def test_three_are_cancelled_with_a_reason_and_the_rest_is_left_alone(boss, clinic, book):
    """Each row says what happens to it, and each is in the log with the reason."""
    booked = [book(number).attendee.appointment for number in (0, 5, 9)]
    past = AppointmentFactory(start=timezone.now() - timedelta(days=1))
    gone = AppointmentFactory(status="cancelled")

    asked = boss.choose("appointment", "cancel", [*booked, past, gone])
    assert "Cancel 3 appointments?" in text(asked)
    assert "Past – left alone" in text(asked)
    assert "Already cancelled – left alone" in text(asked)
    result = boss.act("appointment", "cancel", [*booked, past, gone], reason="water damage")

    assert "3 of 3" in text(result)
    assert text(result).count("Cancelled") == 3
    assert {row.status for row in Appointment.objects.filter(pk__in=[row.pk for row in booked])} == {
        "cancelled"
    }
    assert clinic.appointments() == []
    assert LogEntry.objects.filter(change_message__contains="water damage").count() == 3
    assert len(set(AppointmentChange.objects.values_list("batch"))) == 1


def test_one_is_moved_to_a_free_time(boss, clinic, book):
    appointment = book().attendee.appointment
    asked = text(boss.choose("appointment", "move", [appointment]))
    target = clinic.list_free_starts("intro-call")[10]

    result = boss.act("appointment", "move", [appointment], free=target.isoformat())

    appointment.refresh_from_db()
    assert "Move 1 appointment?" in asked
    assert "Moved to" in text(result)
    assert appointment.start == target


def test_a_move_that_is_refused_says_why_and_the_old_time_stands(boss, clinic, book):
    """Somebody else takes the time between the page and the button."""
    appointment = book().attendee.appointment
    start = appointment.start
    target = clinic.list_free_starts("intro-call")[10]
    boss.choose("appointment", "move", [appointment])
    clinic.occupy_slot(target)

    result = boss.post(
        "appointment_move", ids=appointment.pk, confirmed="yes",
        other=timezone.localtime(target).strftime("%Y-%m-%dT%H:%M"),
    )  # fmt: skip

    appointment.refresh_from_db()
    assert "Refused: the new time is taken. The old time stands." in text(result)
    assert appointment.start == start


def test_several_move_by_the_same_days_and_keep_the_time_on_the_clock(boss, clinic, book):
    rows = [book(number).attendee.appointment for number in (0, 3)]

    boss.act("appointment", "move", rows, days=7, minutes="")

    changes = AppointmentChange.objects.filter(kind="reschedule")
    assert changes.count() == 2
    for change in changes:
        before, after = timezone.localtime(change.previous_start), timezone.localtime(change.target_start)
        assert (after.date() - before.date()).days == 7
        assert after.time() == before.time()


def test_a_shift_across_the_end_of_summer_time_keeps_the_clock():
    """Seven days are not always 168 hours."""
    from datetime import UTC, datetime

    from django_meetergo.admin.reschedule import shift

    before = datetime(2026, 10, 22, 8, 0, tzinfo=UTC)  # 10:00 in Berlin

    assert shift(before, 7, 0) == datetime(2026, 10, 29, 9, 0, tzinfo=UTC)
    assert shift(before, 0, 30) == datetime(2026, 10, 22, 8, 30, tzinfo=UTC)


def test_a_form_that_says_nothing_is_shown_again(boss, clinic, book):
    appointment = book().attendee.appointment

    result = boss.act("appointment", "move", [appointment], free="", other="")

    assert "Choose one time" in text(result)
    assert AppointmentChange.objects.count() == 0


def test_more_than_twenty_go_to_the_background_and_can_be_watched(boss, clinic):
    """The page comes back at once, shows how far it is, and the workers end it."""
    start = timezone.now() + timedelta(days=3)
    active = list(Appointment.objects.filter(status="confirmed", start__gt=timezone.now())[:25])
    missing = 25 - len(active)
    active += [AppointmentFactory(start=start + timedelta(hours=n)) for n in range(missing)]
    calls = clinic.posts("PATCH /v4/appointment/{id}/cancel")

    result = boss.act("appointment", "cancel", active, reason="closed")

    assert "0 of 25" in text(result)
    assert 'value="0" max="25"' in result.content.decode()
    assert clinic.posts("PATCH /v4/appointment/{id}/cancel") == calls
    for _ in range(4):
        clinic.run_due(after=120)
    page = boss.client.get(result.request["PATH_INFO"])
    assert "25 of 25" in text(page)


def test_an_answer_that_was_lost_is_being_checked(boss, clinic, book):
    appointment = book().attendee.appointment
    clinic.fail_next("*", "drop_after", times=1)

    result = boss.act("appointment", "cancel", [appointment])

    assert "Being checked" in text(result) or "Cancelled" in text(result)
    clinic.run_due(after=30)
    appointment.refresh_from_db()
    assert appointment.is_cancelled


def test_one_is_fetched_again(boss, clinic, book):
    """What changed at meetergo is shown; what is gone there is marked."""
    appointment = book().attendee.appointment
    clinic.run_due(after=5)
    assert "unchanged" in text(boss.act("appointment", "fetch", [appointment]))
    ghost = AppointmentFactory()

    assert "does not know it any more" in text(boss.act("appointment", "fetch", [ghost]))

    ghost.refresh_from_db()
    assert ghost.missing_since


def test_a_service_that_is_away_is_told_in_words(boss, clinic, book):
    appointment = book().attendee.appointment
    clinic.expire_key()

    result = boss.act("appointment", "fetch", [appointment])

    assert result.status_code == 200
    assert "not done." in text(result)


def test_the_link_is_shown_on_demand_only_and_logged(boss, clinic, book):
    """Not by opening the page: whoever has the link can cancel."""
    from django_meetergo import links

    attendee = book().attendee
    address = links.build_absolute_url(links.get_manage_path(attendee))

    asked = boss.choose("appointment", "link", [attendee.appointment])
    shown = boss.act("appointment", "link", [attendee.appointment])

    assert address not in asked.content.decode()
    assert address in shown.content.decode()
    assert "no-store" in shown["Cache-Control"]
    assert LogEntry.objects.filter(change_message__contains="links").count() == 1


def test_buttons_on_a_row_are_those_that_do_something(boss, clinic, book):
    """A standing appointment can be moved; a past one cannot."""
    active = book().attendee.appointment
    past = AttendeeFactory(appointment__start=timezone.now() - timedelta(days=1)).appointment

    assert f"/cancel/?ids={active.pk}" in boss.get("appointment_change", active.pk).content.decode()
    page = boss.get("appointment_change", past.pk).content.decode()
    assert f"/cancel/?ids={past.pk}" not in page
    assert f"/fetch/?ids={past.pk}" in page


def test_a_dead_delivery_gets_another_chance(boss, clinic, book):
    appointment = book().attendee.appointment
    row = WebhookDelivery.objects.create(
        digest="d", event_type="booking_created", remote_id=appointment.remote_id, state="dead", tries=11,
        received_at=timezone.now(), message="boom",
    )  # fmt: skip

    boss.act("webhookdelivery", "replay", [row])
    clinic.run_due()

    row.refresh_from_db()
    assert row.state == "applied"


def test_a_booking_before_a_person_is_looked_for_again(boss, clinic, book):
    """What meetergo holds is adopted; nothing is sent again."""
    booking = book()
    posts = clinic.posts()
    Booking.objects.filter(pk=booking.pk).update(state="unknown", reason="needs_staff", attendee=None)

    result = boss.act("booking", "reconcile", [booking])

    booking.refresh_from_db()
    assert "confirmed" in text(result)
    assert booking.state == "confirmed"
    assert clinic.posts() == posts


def test_a_waiting_booking_is_sent_now(boss, clinic):
    row = BookingFactory(
        meeting_type=clinic.meeting_type(),
        start=clinic.list_free_starts()[0],
        next_at=timezone.now() + timedelta(hours=1),
    )

    boss.act("booking", "retry", [row])
    clinic.run_due()

    row.refresh_from_db()
    assert row.state == "confirmed"


def test_a_request_is_declined_with_a_reason(boss, clinic, book):
    booking = next(
        row
        for slug in ("site-visit", *clinic_slugs())
        if (row := try_book(book, slug)) and row.state == "pending" and row.reason in {"host", "both"}
    )

    result = boss.act("booking", "decline", [booking], reason="on holiday")

    booking.refresh_from_db()
    assert "declined" in text(result)
    assert (booking.state, booking.reason) == ("closed", "declined")


def clinic_slugs():
    from django_meetergo.models import MeetingType

    return MeetingType.objects.exclude(confirmation="none").values_list("slug", flat=True)


def try_book(book, slug):
    from django_meetergo.models import MeetingType

    if not MeetingType.objects.filter(slug=slug, needs_own_page=False).exists():
        return None
    return book(0, slug)


def test_a_sync_is_asked_for_and_done_in_the_background(boss, clinic):
    from django_meetergo.models import Connection

    SyncRun.objects.all().delete()
    boss.act("connection", "sync", [Connection.objects.get()])
    assert SyncRun.objects.get().state == "open"

    clinic.run_due(periodic=True)

    assert set(SyncRun.objects.filter(kind="near").values_list("state", flat=True)) == {"done"}


def test_a_change_that_waits_goes_on_at_once(boss, clinic, book):
    appointment = book().attendee.appointment
    from django_meetergo.services.changes.requests import cancel_appointment

    change = cancel_appointment(appointment=appointment, client=clinic.client(), now=clinic.now(), send=False)
    AppointmentChange.objects.update(next_at=timezone.now() + timedelta(hours=1))

    boss.act("appointmentchange", "retry", [change])
    clinic.run_due()

    change.refresh_from_db()
    assert change.state == "done"


# A caller on the phone

CALLER = {
    "first_name": "Carla",
    "last_name": "Caller",
    "email": "carla@example.com",
    "timezone": "Europe/Lisbon",
}


class Desk:
    """Walks through the three steps."""

    def __init__(self, staff, clinic, slug="intro-call"):
        self.staff, self.type = staff, clinic.meeting_type(slug)

    def choose(self, number=0):
        page = self.staff.get("booking_call", type=self.type.pk).content.decode()
        links = re.findall(r'href="(\?type=\d+&amp;length=\d+&amp;start=[^"]+)"', page)
        return links[number].replace("&amp;", "&")

    def enter(self, query, **changes):
        from django.urls import reverse

        path = reverse("admin:meetergo_booking_call") + query
        page = self.staff.client.get(path).content.decode()
        token = re.search(r'name="token" value="([^"]+)"', page)[1]
        return self.staff.client.post(path, {**CALLER, "token": token, **changes}, follow=True)


def test_a_caller_is_booked_by_the_same_service(boss, clinic):
    """Choose type, time and person; the appointment stands at meetergo and the booking says so."""
    desk = Desk(boss, clinic)
    assert desk.type.name in boss.get("booking_call").content.decode()

    result = desk.enter(desk.choose(3), skip_notifications="on")

    booking = Booking.objects.get()
    assert "Booked:" in text(result)
    assert (booking.state, booking.skip_notifications, booking.timezone) == (
        "confirmed",
        True,
        "Europe/Lisbon",
    )
    assert len(clinic.appointments_of(booking)) == 1
    assert LogEntry.objects.filter(action_flag=1).count() == 1


def test_the_same_form_sent_twice_books_once(boss, clinic):
    desk = Desk(boss, clinic)
    query = desk.choose()
    from django.urls import reverse

    path = reverse("admin:meetergo_booking_call") + query
    token = re.search(r'name="token" value="([^"]+)"', boss.client.get(path).content.decode())[1]
    for _ in range(2):
        boss.client.post(path, {**CALLER, "token": token}, follow=True)

    assert Booking.objects.count() == 1
    assert clinic.posts() == 1


def test_a_time_that_is_lost_leads_back_to_the_times(boss, clinic):
    desk = Desk(boss, clinic)
    query = desk.choose()
    clinic.occupy_slot(clinic.list_free_starts()[0])

    result = desk.enter(query)

    assert "Somebody else has just taken" in text(result) or "no longer free" in text(result)


def test_a_caller_with_an_open_booking_is_shown_it(boss, clinic):
    """Staff may know; a stranger on the visitors' pages may not."""
    desk = Desk(boss, clinic)
    first = desk.choose(0)
    clinic.fail_next(kind="drop_after")
    desk.enter(first)
    assert Booking.objects.get().state == "unknown"

    result = desk.enter(desk.choose(5))

    assert Booking.objects.get().reference in text(result)


def test_what_is_missing_is_said_at_the_form(boss, clinic):
    desk = Desk(boss, clinic)

    result = desk.enter(desk.choose(), email="", first_name="", timezone="Mars/Base")

    assert Booking.objects.count() == 0
    assert "Please correct what is marked below." in text(result)
    assert "not the name of a time zone" in text(result)


def test_the_add_button_leads_to_the_desk(boss, clinic):
    assert boss.get("booking_add").headers["Location"].endswith("/call/")


@pytest.mark.parametrize("query", [{"type": "x"}, {"type": "99999999999999999999"}, {"type": "0"}])
def test_a_type_that_is_not_there_is_not_found(boss, clinic, query):
    assert boss.get("booking_call", **query).status_code == 404


def test_a_service_that_is_away_is_told_at_the_desk(boss, clinic):
    clinic.expire_key()
    clinic.clear_availability()

    page = boss.get("booking_call", type=clinic.meeting_type().pk)

    assert page.status_code == 200
    assert "does not answer" in text(page)
