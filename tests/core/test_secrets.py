"""Encrypted columns and signed links."""

from __future__ import annotations

import uuid

import pytest
from cryptography.fernet import Fernet
from django.core.management import call_command
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
def test_a_secret_is_stored_encrypted():
    appointment = AppointmentFactory(secret="canary")

    assert "canary" not in read_column(appointment)
    assert Appointment.objects.get().secret == "canary"


@pytest.mark.django_db
def test_dumpdata_prints_no_secret_and_loaddata_restores_it(tmp_path):
    appointment = AppointmentFactory(secret="canary")
    for arguments in (["meetergo"], ["meetergo", "--natural-primary"], ["meetergo", "--format", "xml"]):
        path = tmp_path / f"dump.{arguments[-1] if 'xml' in arguments else 'json'}"
        call_command("dumpdata", *arguments, output=str(path), verbosity=0)
        assert "canary" not in path.read_text()

        Appointment.objects.update(secret="")
        call_command("loaddata", str(path), verbosity=0)
        assert Appointment.objects.get(pk=appointment.pk).secret == "canary"
        assert "canary" not in read_column(appointment)


@pytest.mark.django_db
def test_a_secret_can_be_read_with_any_of_the_keys(settings):
    settings.MEETERGO = {**settings.MEETERGO, "ENCRYPTION_KEYS": [OLD]}
    AppointmentFactory(secret="canary")

    settings.MEETERGO = {**settings.MEETERGO, "ENCRYPTION_KEYS": [NEW, OLD]}
    assert Appointment.objects.get().secret == "canary"


@pytest.mark.django_db
def test_the_keys_of_django_may_be_bytes(settings):
    settings.MEETERGO = {**settings.MEETERGO, "ENCRYPTION_KEYS": []}
    settings.SECRET_KEY = b"of bytes"
    AppointmentFactory(secret="canary")

    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "newer", [b"of bytes"]
    assert Appointment.objects.get().secret == "canary"


@pytest.mark.django_db
def test_without_its_key_a_secret_reads_as_empty_and_is_saved_unchanged(settings):
    settings.MEETERGO = {**settings.MEETERGO, "ENCRYPTION_KEYS": [OLD]}
    AppointmentFactory(secret="canary")

    settings.MEETERGO = {**settings.MEETERGO, "ENCRYPTION_KEYS": [NEW]}
    appointment = Appointment.objects.get()
    assert appointment.secret == ""
    appointment.save()

    settings.MEETERGO = {**settings.MEETERGO, "ENCRYPTION_KEYS": [OLD]}
    assert Appointment.objects.get().secret == "canary"


def test_a_token_is_valid_for_its_purpose_only_and_cannot_be_changed():
    public_id = uuid.uuid4()
    token = links.sign(public_id, salt=links.BOOKING_SALT)

    assert links.unsign(token, salt=links.BOOKING_SALT) == public_id
    assert links.unsign(token, salt=links.MANAGE_SALT) is None
    assert links.unsign(token[:-1] + ("a" if token[-1] != "a" else "b"), salt=links.BOOKING_SALT) is None
    assert links.unsign("", salt=links.BOOKING_SALT) is None


def test_links_stay_valid_with_secret_key_fallbacks(settings):
    public_id = uuid.uuid4()
    token = links.sign(public_id, salt=links.MANAGE_SALT)

    settings.SECRET_KEY_FALLBACKS = [settings.SECRET_KEY]
    settings.SECRET_KEY = "another"

    assert links.unsign(token, salt=links.MANAGE_SALT) == public_id


@pytest.mark.django_db
def test_links_contain_public_ids():
    attendee, booking = AttendeeFactory(), BookingFactory()

    assert attendee.public_id.hex in links.get_manage_path(attendee)
    assert booking.public_id.hex in links.get_booking_path(booking)
    assert links.build_absolute_url("/x").startswith("https://")
