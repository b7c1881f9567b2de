"""One person's data as JSON."""

from __future__ import annotations

import json
from smtplib import SMTPRecipientsRefused

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User
from django.contrib.contenttypes.models import ContentType
from django.core.mail.backends.locmem import EmailBackend
from django.core.management import CommandError, call_command

from django_meetergo.models import Appointment, Attendee, Booking, Event
from django_meetergo.services import AttendeeData, book_appointment
from django_meetergo.services.changes.requests import cancel_appointment
from django_meetergo.services.privacy.export import export_person
from django_meetergo.testing.factories import AttendeeFactory, BookingFactory
from tests.privacy.conftest import EMAIL, TRACES

pytestmark = pytest.mark.django_db


def export(capsys, email=EMAIL):
    call_command("meetergo_export", email)
    return capsys.readouterr().out


def test_an_export_contains_everything_about_the_person(zelda, meetergo_sandbox, capsys):
    kit = meetergo_sandbox
    appointment = zelda.attendee.appointment
    LogEntry.objects.create(
        user=User.objects.create(username="boss"), object_id=str(appointment.pk), object_repr="Zelda",
        content_type=ContentType.objects.get_for_model(Appointment), action_flag=2, change_message="called",
    )  # fmt: skip
    cancel_appointment(appointment=appointment, client=kit.client(), now=kit.now(), reason="has a cold")
    BookingFactory(other_emails=[EMAIL.upper(), "other@example.com"])

    text = export(capsys)
    document = json.loads(text)

    assert [trace for trace in TRACES if trace not in text.casefold()] == []
    assert "Zelda brings her dog" in text
    assert "has a cold" in text
    assert "called" in text
    assert len(document["appointments"]) == len(document["bookings"]) == 1
    assert document["bookings"][0]["attempts"][0]["outcome"] == "confirmed"
    assert document["appointments"][0]["changes"][0]["kind"] == "cancel"
    assert document["invitations"][0]["addresses"] == [EMAIL.upper()]
    assert "other@example.com" not in text


def test_an_export_contains_no_secret_and_nobody_else(zelda, meetergo_sandbox, capsys):
    AttendeeFactory(appointment=zelda.attendee.appointment, email="jane@example.com", first_name="Jane")
    secret = Appointment.objects.get(pk=zelda.attendee.appointment_id).secret
    assert secret

    text = export(capsys)

    for foreign in (secret, "jane@example.com", "Jane", zelda.idempotency_key, "Zelda brings her dog"):
        assert foreign not in text


def test_an_address_that_was_changed_is_followed_from_the_attendee_to_the_booking(zelda, capsys):
    Attendee.objects.filter(pk=zelda.attendee_id).update(
        email="z.q@example.com", email_folded="z.q@example.com"
    )

    for address in ("z.q@example.com", EMAIL):
        document = json.loads(export(capsys, address))
        assert document["addresses"] == ["z.q@example.com", EMAIL.casefold()]
        assert [each["booking"]["email"] for each in document["bookings"]] == [EMAIL]
        assert [each["attendee"]["email"] for each in document["appointments"]] == ["z.q@example.com"]


def test_an_export_can_be_written_to_a_file(zelda, tmp_path, capsys):
    call_command("meetergo_export", EMAIL, "--output", str(tmp_path / "zelda.json"))

    assert json.loads((tmp_path / "zelda.json").read_text())["addresses"] == [EMAIL.casefold()]
    assert "Wrote 1 appointments and 1 bookings" in capsys.readouterr().out
    with pytest.raises(CommandError, match="cannot be written"):
        call_command("meetergo_export", EMAIL, "--output", str(tmp_path / "missing" / "zelda.json"))
    with pytest.raises(CommandError, match="not an e-mail address"):
        call_command("meetergo_export", "zelda")


def test_an_unknown_person_has_an_empty_export(meetergo_sandbox, capsys):
    document = json.loads(export(capsys, "nobody@example.com"))

    assert document["appointments"] == document["bookings"] == document["invitations"] == []
    assert Booking.objects.count() == 0


def test_the_errors_of_receivers_name_nobody_else_of_a_group(meetergo_sandbox, settings, monkeypatch):
    """A mail server names the address that it refuses."""
    kit = meetergo_sandbox
    settings.MEETERGO = {**settings.MEETERGO, "SEND_MAIL": ["cancelled"]}
    start = kit.list_free_starts("group-class")[-1]
    for name in ("first", "other"):
        book_appointment(
            meeting_type=kit.meeting_type("group-class"),
            start=start,
            attendee=AttendeeData(email=f"{name}@example.com", first_name=name),
            client=kit.client(),
            now=kit.now(),
        )
    kit.run_due(after=5)

    def refuse(backend, messages):
        raise SMTPRecipientsRefused(dict.fromkeys(messages[0].to, (550, b"no such user")))

    monkeypatch.setattr(EmailBackend, "send_messages", refuse)
    [appointment] = kit.appointments()
    kit.cancel_elsewhere(appointment)
    kit.reread_all()
    kit.run_due(after=5)
    assert "other@example.com" in str(Event.objects.get(kind="appointment_cancelled").receivers)

    exported = export_person(email="first@example.com", now=kit.now())

    assert "first@example.com" in str(exported)
    assert "other@example.com" not in str(exported)
