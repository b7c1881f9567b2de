"""Appointments are found by what a receptionist knows: a name, a phone number or a reference."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from django_meetergo.models import Connection
from django_meetergo.testing.factories import AppointmentFactory, AttendeeFactory, BookingFactory
from tests.admin.conftest import get_text

pytestmark = pytest.mark.django_db


def list_found(staff, view, term, **query):
    return [row.pk for row in staff.get(view, q=term, **query).context["cl"].result_list]


@pytest.mark.parametrize(
    ("name", "term"),
    [
        ("Krüger", "kruger"), ("Krüger", "Krueger"), ("Krüger", "KRÜGER"), ("Krueger", "Krüger"),
        ("Kruger", "krüger"), ("Özil", "ozil"), ("Özil", "oezil"), ("Øre", "ore"), ("Weiß", "weiss"),
        ("Weiss", "weiß"), ("Çelik", "celik"), ("Łukasz", "lukasz"), ("É.", "e."), ("İnci", "inci"),
    ],
)  # fmt: skip
def test_names_are_found_whatever_their_accents(superuser, name, term):
    appointment = AttendeeFactory(first_name="Eva", last_name=name).appointment
    AttendeeFactory(first_name="Someone", last_name="Else")

    assert list_found(superuser, "appointment_changelist", term) == [appointment.pk]


@pytest.mark.parametrize("term", ["kr.ger", "kru(", "krug[", "gerk", "%"])
def test_a_term_is_text_not_a_pattern(superuser, term):
    AttendeeFactory(first_name="Eva", last_name="Krüger")

    assert list_found(superuser, "appointment_changelist", term) == []


@pytest.mark.parametrize("term", ["+49 170 1234567", "0170 1234567", "0170/123", "1234567", "(170) 12-34"])
def test_people_are_found_by_phone(superuser, term):
    appointment = AttendeeFactory(phone="+49 170 12345-67").appointment
    AttendeeFactory(phone="+49 171 7654321")
    AttendeeFactory(phone="")

    assert list_found(superuser, "appointment_changelist", term) == [appointment.pk]
    booking = BookingFactory(phone="0049 (170) 1234567")
    assert list_found(superuser, "booking_changelist", term) == [booking.pk]


def test_an_appointment_is_found_by_the_reference_of_its_booking(superuser):
    attendee = AttendeeFactory()
    booking = BookingFactory(attendee=attendee)
    AttendeeFactory()

    assert list_found(superuser, "appointment_changelist", booking.reference.lower()) == [
        attendee.appointment_id
    ]


def test_an_appointment_of_a_removed_connection_is_found_by_its_id(superuser):
    """Its rows keep the name of the connection that was read first."""
    Connection.objects.create(connection="old")
    row = AppointmentFactory(connection="old", read_by="default")

    assert list_found(superuser, "appointment_changelist", row.remote_id) == [row.pk]


def test_a_period_without_appointments_is_no_reason_to_run_a_command(superuser):
    assert "manage.py" in get_text(superuser.get("appointment_changelist"))
    AppointmentFactory(start=timezone.now() - timedelta(days=30))
    assert "manage.py" not in get_text(superuser.get("appointment_changelist"))


def test_a_search_includes_past_appointments(superuser):
    past = AttendeeFactory(last_name="Krüger", appointment__start=timezone.now() - timedelta(days=30))

    assert list_found(superuser, "appointment_changelist", "kruger") == [past.appointment_id]
    assert list_found(superuser, "appointment_changelist", "kruger", when="upcoming") == []


def test_attendees_are_found_in_autocomplete_fields(superuser):
    """For admins of the site that relate their records to an attendee."""
    attendee = AttendeeFactory(first_name="Eva", last_name="Krüger")
    AttendeeFactory(first_name="Someone", last_name="Else")

    response = superuser.client.get(
        reverse("admin:autocomplete"),
        {"app_label": "meetergo", "model_name": "appointmentchange", "field_name": "attendee", "term": "kru"},
    )

    assert [result["id"] for result in response.json()["results"]] == [str(attendee.pk)]


def test_the_list_opens_with_today_and_the_soonest_first(superuser):
    now = timezone.localtime()
    today = now.replace(hour=0, minute=1)
    later = AppointmentFactory(start=now + timedelta(days=3))
    first = AppointmentFactory(start=today)
    yesterday = AppointmentFactory(start=today - timedelta(minutes=2))

    def list_keys(**query):
        return [row.pk for row in superuser.get("appointment_changelist", **query).context["cl"].result_list]

    assert list_keys() == [first.pk, later.pk]
    assert list_keys(when="all") == [later.pk, first.pk, yesterday.pk]
    assert list_keys(when="past")[-1] == yesterday.pk


@pytest.mark.parametrize("term", ["Ursula von der Leyen", "von der Leyen", "Leyen Ursula", "ursula anna"])
def test_people_are_found_by_their_whole_name(superuser, term):
    found = AttendeeFactory(first_name="Ursula Anna", last_name="von der Leyen").appointment
    AttendeeFactory(first_name="Ursula", last_name="Else")
    AttendeeFactory(first_name="Anna", last_name="Leyenfeld")

    assert list_found(superuser, "appointment_changelist", term) == [found.pk]


def test_people_are_found_by_a_phone_number_that_has_a_prefix_here_only(superuser):
    found = AttendeeFactory(phone="0170 1234567").appointment
    AttendeeFactory(phone="0171 7654321")

    assert list_found(superuser, "appointment_changelist", "+49 170 1234567") == [found.pk]


def test_a_search_for_a_whole_letter_is_answered(superuser):
    assert list_found(superuser, "appointment_changelist", "lorem ipsum dolor sit " * 300) == []
