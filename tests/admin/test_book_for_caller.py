"""Staff book for somebody: meeting type, time, attendee."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from django import forms
from django.contrib.admin.models import LogEntry
from django.urls import reverse
from django.utils import timezone, translation

from django_meetergo.admin.book_for_caller import label_slot
from django_meetergo.admin.display import format_moment
from django_meetergo.models import Booking, MeetingType
from django_meetergo.presentation import form_token
from django_meetergo.services.availability.store import Slot
from tests.admin.conftest import get_text

pytestmark = pytest.mark.django_db

CALLER = {
    "first_name": "Carla",
    "last_name": "Caller",
    "email": "carla@example.com",
    "timezone": "Europe/Lisbon",
}


class CallerSteps:
    """The three steps of booking for somebody."""

    def __init__(self, staff, sandbox, slug="intro-call"):
        self.staff, self.type = staff, sandbox.meeting_type(slug)

    def choose_time(self, number=0):
        """Return the query of the link to the n-th free time."""
        page = self.staff.get("booking_call", type=self.type.pk).content.decode()
        links = re.findall(r'href="(\?type=\d+&amp;length=\d+&amp;start=[^"]+)"', page)
        return links[number].replace("&amp;", "&")

    def open_form(self, query):
        """Return the path of the form and the token in it."""
        path = reverse("admin:meetergo_booking_call") + query
        page = self.staff.client.get(path).content.decode()
        return path, re.search(r'name="token" value="([^"]+)"', page)[1]

    def book(self, query, **changes):
        path, token = self.open_form(query)
        return self.staff.client.post(path, {**CALLER, "token": token, **changes}, follow=True)


def test_a_caller_is_booked_by_the_same_service(superuser, sandbox):
    """Choose type, time and person: the appointment exists at meetergo, and its page opens."""
    steps = CallerSteps(superuser, sandbox)
    assert steps.type.name in superuser.get("booking_call").content.decode()

    result = steps.book(steps.choose_time(3), skip_notifications="on")

    booking = Booking.objects.get()
    assert "Booked:" in get_text(result)
    assert booking.reference in get_text(result)
    assert result.request["PATH_INFO"] == reverse(
        "admin:meetergo_appointment_change", args=[booking.attendee.appointment_id]
    )
    assert booking.state == "confirmed"
    assert booking.skip_notifications
    assert booking.timezone == "Europe/Lisbon"
    assert len(sandbox.appointments_of(booking)) == 1
    assert LogEntry.objects.filter(action_flag=1).count() == 1


def test_staff_who_may_not_see_appointments_get_to_the_booking(make_staff, sandbox):
    steps = CallerSteps(make_staff("add_booking", "view_booking"), sandbox)

    result = steps.book(steps.choose_time())

    assert result.request["PATH_INFO"] == reverse(
        "admin:meetergo_booking_change", args=[Booking.objects.get().pk]
    )


def test_the_same_form_sent_twice_books_once(superuser, sandbox):
    steps = CallerSteps(superuser, sandbox)
    path, token = steps.open_form(steps.choose_time())
    for _ in range(2):
        superuser.client.post(path, {**CALLER, "token": token}, follow=True)

    assert Booking.objects.count() == 1
    assert sandbox.count_requests() == 1


def test_a_taken_time_leads_back_to_the_times(superuser, sandbox):
    steps = CallerSteps(superuser, sandbox)
    query = steps.choose_time()
    sandbox.occupy_slot(sandbox.list_free_starts()[0])

    result = steps.book(query)

    assert "has just been taken" in get_text(result) or "no longer free" in get_text(result)


def test_a_caller_with_an_open_booking_is_led_to_it(superuser, sandbox):
    """Staff may know of it; a stranger on the visitors' pages may not."""
    steps = CallerSteps(superuser, sandbox)
    first = steps.choose_time(0)
    sandbox.fail_next(kind="drop_after")
    steps.book(first)
    assert Booking.objects.get().state == "unknown"

    result = steps.book(steps.choose_time(5))

    assert Booking.objects.get().reference in get_text(result)


def test_missing_details_are_marked_at_their_fields(superuser, sandbox):
    steps = CallerSteps(superuser, sandbox)

    result = steps.book(steps.choose_time(), email="", first_name="", timezone="Mars/Base")

    assert Booking.objects.count() == 0
    assert "Please correct what is marked below." in get_text(result)
    assert "Mars/Base is not one of the available choices" in get_text(result)


def test_the_add_button_leads_to_book_for_somebody(superuser, sandbox):
    assert superuser.get("booking_add").headers["Location"].endswith("/call/")


@pytest.mark.parametrize("query", [{"type": "x"}, {"type": "99999999999999999999"}, {"type": "0"}])
def test_an_unknown_meeting_type_is_not_found(superuser, sandbox, query):
    assert superuser.get("booking_call", **query).status_code == 404


@pytest.mark.parametrize("start", ["9999-12-31T23:59:59+00:00", "0001-01-01T00:00:00+00:00", "tomorrow", ""])
def test_a_start_that_cannot_be_booked_leads_to_the_times(superuser, sandbox, start):
    page = superuser.get("booking_call", type=sandbox.meeting_type().pk, start=start)

    assert page.status_code == 200
    assert page.context["title"] == "When?"


def test_an_unreachable_service_is_reported_in_words(superuser, sandbox):
    sandbox.expire_key()
    sandbox.clear_availability()

    page = superuser.get("booking_call", type=sandbox.meeting_type().pk)

    assert page.status_code == 200
    assert "does not answer" in get_text(page)


def test_a_form_that_was_open_overnight_books(superuser, sandbox, monkeypatch):
    steps = CallerSteps(superuser, sandbox)
    address, token = steps.open_form(steps.choose_time())
    monkeypatch.setattr(form_token, "TOKEN_AGE", timedelta(seconds=-1))

    superuser.client.post(address, {**CALLER, "token": token})

    assert Booking.objects.count() == 1


def test_staff_may_fill_in_a_form_fast(superuser, sandbox, settings):
    settings.MEETERGO = {**settings.MEETERGO, "MIN_FILL_SECONDS": 60}
    steps = CallerSteps(superuser, sandbox)

    steps.book(steps.choose_time())

    assert Booking.objects.count() == 1


def test_a_second_person_on_a_used_page_is_not_dropped_in_silence(superuser, sandbox):
    """The receptionist goes back with the browser and books for the next caller."""
    steps = CallerSteps(superuser, sandbox)
    address, token = steps.open_form(steps.choose_time())
    superuser.client.post(address, {**CALLER, "token": token})

    page = superuser.client.post(
        address, {**CALLER, "first_name": "Bert", "email": "bert@example.com", "token": token}, follow=True
    )

    assert "has already booked" in get_text(page)
    assert 'value="bert@example.com"' in page.content.decode()


def test_a_taken_time_keeps_what_was_entered(superuser, sandbox):
    steps = CallerSteps(superuser, sandbox)
    address, token = steps.open_form(steps.choose_time())
    sandbox.occupy_slot(sandbox.list_free_starts()[0])
    times = superuser.client.post(address, {**CALLER, "token": token}, follow=True).content.decode()

    query = re.search(r'href="(\?type=\d+&amp;length=\d+&amp;start=[^"]+)"', times)[1].replace("&amp;", "&")
    page = superuser.client.get(reverse("admin:meetergo_booking_call") + query).content.decode()

    assert 'value="carla@example.com"' in page
    assert '<option value="Europe/Lisbon" selected' in page


class Topic(forms.Form):
    topic = forms.CharField(label="What is it about?")


def test_the_form_says_what_is_needed_and_ends_no_question_with_a_colon(superuser, sandbox, settings):
    settings.MEETERGO = {**settings.MEETERGO, "FORMS": {"intro-call": f"{__name__}.Topic"}}
    steps = CallerSteps(superuser, sandbox)
    path = reverse("admin:meetergo_booking_call") + steps.choose_time()

    page = superuser.client.get(path).content.decode()

    assert "First name:</label>" in page
    assert "What is it about?</label>" in page
    assert "The confirmation goes to this address." in page

    MeetingType.objects.filter(pk=steps.type.pk).update(allows_phone_only=True)
    page = superuser.client.get(path).content.decode()
    assert "An e-mail address or a phone number is enough." in page


def test_the_last_week_leads_to_no_later_one(superuser, sandbox):
    query = {"type": sandbox.meeting_type().pk, "day": timezone.localdate() + timedelta(days=365)}
    page = superuser.get("booking_call", **query).content.decode()
    assert "Earlier" in page
    assert 'href=""' not in page


def test_a_time_that_occurs_twice_is_named_with_its_offset():
    first = datetime(2026, 10, 25, 0, 30, tzinfo=UTC)
    moments = [first, first + timedelta(hours=1)]
    zone = ZoneInfo("Europe/Berlin")
    with timezone.override(zone), translation.override("en-gb"):
        labels = [label_slot(Slot(start=start), zone) for start in moments]
        assert labels == ["02:30 (GMT+2)", "02:30 (GMT+1)"]
        assert format_moment(moments[0]) != format_moment(moments[1])
