"""What stays secret, and what survives a lost key."""

from __future__ import annotations

import uuid

import pytest
from cryptography.fernet import Fernet
from django.db import connection

from django_meetergo import links
from django_meetergo.models import Appointment
from django_meetergo.testing.factories import AppointmentFactory, AttendeeFactory, BookingFactory

OLD, NEW = (Fernet.generate_key().decode() for _ in range(2))


def read_column(appointment):
    with connection.cursor() as cursor:
        cursor.execute("SELECT secret FROM meetergo_appointment WHERE id = %s", [appointment.pk])
        return cursor.fetchone()[0]


@pytest.mark.django_db
def test_a_secret_is_ciphertext_in_the_database():
    """The column holds nothing that a dump would give away."""
    appointment = AppointmentFactory(secret="canary")

    assert "canary" not in read_column(appointment)
    assert Appointment.objects.get().secret == "canary"


@pytest.mark.django_db
def test_keys_can_be_rotated(settings):
    """The first key writes, all of them read."""
    settings.MEETERGO = {**settings.MEETERGO, "ENCRYPTION_KEYS": [OLD]}
    AppointmentFactory(secret="canary")

    settings.MEETERGO = {**settings.MEETERGO, "ENCRYPTION_KEYS": [NEW, OLD]}
    assert Appointment.objects.get().secret == "canary"


@pytest.mark.django_db
def test_a_lost_key_neither_breaks_a_page_nor_destroys_the_secret(settings):
    """It reads as empty, is saved back untouched, and opens again with its key."""
    settings.MEETERGO = {**settings.MEETERGO, "ENCRYPTION_KEYS": [OLD]}
    AppointmentFactory(secret="canary")

    settings.MEETERGO = {**settings.MEETERGO, "ENCRYPTION_KEYS": [NEW]}
    appointment = Appointment.objects.get()
    assert appointment.secret == ""
    appointment.save()

    settings.MEETERGO = {**settings.MEETERGO, "ENCRYPTION_KEYS": [OLD]}
    assert Appointment.objects.get().secret == "canary"


def test_a_link_opens_one_thing_for_one_purpose():
    """A booking's token is no manage token, and a changed one is nothing."""
    public_id = uuid.uuid4()
    token = links.sign(public_id, salt=links.BOOKING_SALT)

    assert links.unsign(token, salt=links.BOOKING_SALT) == public_id
    assert links.unsign(token, salt=links.MANAGE_SALT) is None
    assert links.unsign(token[:-1] + ("a" if token[-1] != "a" else "b"), salt=links.BOOKING_SALT) is None
    assert links.unsign("", salt=links.BOOKING_SALT) is None


def test_links_survive_a_change_of_key(settings):
    """``SECRET_KEY_FALLBACKS`` keeps what was sent by mail alive."""
    public_id = uuid.uuid4()
    token = links.sign(public_id, salt=links.MANAGE_SALT)

    settings.SECRET_KEY_FALLBACKS = [settings.SECRET_KEY]
    settings.SECRET_KEY = "another"

    assert links.unsign(token, salt=links.MANAGE_SALT) == public_id


@pytest.mark.django_db
def test_links_carry_no_key_of_the_database():
    """Only the public id leaves the site."""
    attendee, booking = AttendeeFactory(), BookingFactory()

    assert attendee.public_id.hex in links.get_manage_path(attendee)
    assert booking.public_id.hex in links.get_booking_path(booking)
    assert links.build_absolute_url("/x").startswith("https://")
