"""The page of one appointment: what can be edited, what is shown and how."""

from __future__ import annotations

import re

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User
from django.contrib.contenttypes.models import ContentType
from django.urls import reverse

from django_meetergo.models import Appointment, Attendee, Connection, DataField, Host
from django_meetergo.testing.factories import AppointmentFactory, AttendeeFactory, MeetingTypeFactory
from tests.admin.conftest import read_hidden

pytestmark = pytest.mark.django_db


def test_only_the_sites_own_columns_can_be_written(superuser):
    """A note and a related record are saved; mirrored columns keep a change that a sync made meanwhile."""
    attendee = AttendeeFactory()
    appointment = attendee.appointment
    connection = Connection.objects.create()
    page = superuser.get("appointment_change", appointment.pk)
    assert list(page.context["adminform"].form.fields) == ["attendance", "note"]
    Appointment.objects.filter(pk=appointment.pk).update(location="changed meanwhile")
    superuser.post(
        "appointment_change",
        appointment.pk,
        **{
            "note": "brings a dog",
            "location": "forged",
            "attendees-TOTAL_FORMS": 1,
            "attendees-INITIAL_FORMS": 1,
            "attendees-0-id": attendee.pk,
            "attendees-0-appointment": appointment.pk,
            "attendees-0-related_type": ContentType.objects.get_for_model(Connection).pk,
            "attendees-0-related_id": str(connection.pk),
            "attendees-0-email": "forged@example.com",
        },
    )

    appointment.refresh_from_db()
    stored = Attendee.objects.get(pk=attendee.pk)
    assert (appointment.note, appointment.location) == ("brings a dog", "changed meanwhile")
    assert stored.subject == connection
    assert stored.email == attendee.email
    assert LogEntry.objects.count() == 1


def test_no_page_shows_a_secret(superuser, book):
    """Neither in a column nor in the last document."""
    booking = book()
    appointment = booking.attendee.appointment
    assert appointment.secret

    for path in (
        reverse("admin:meetergo_appointment_change", args=[appointment.pk]),
        reverse("admin:meetergo_booking_change", args=[booking.pk]),
        reverse("admin:meetergo_appointment_changelist"),
    ):
        assert appointment.secret not in superuser.client.get(path).content.decode()


def test_foreign_text_is_escaped(superuser):
    """Markup in names, answers and documents has no effect."""
    evil = "<script>alert(1)</script>"
    attendee = AttendeeFactory(first_name=evil, custom_fields={evil: evil})
    Appointment.objects.update(raw={"x": evil}, location=evil, meeting_link="javascript:alert(1)")

    for path in ("appointment_changelist", "appointment_change"):
        args = [] if path.endswith("list") else [attendee.appointment_id]
        page = superuser.get(path, *args).content.decode()
        assert evil not in page
        assert 'href="javascript:' not in page


def test_the_history_shows_who_did_what(superuser, sandbox, book):
    """Booked, updated by a delivery, cancelled by staff."""
    sandbox.register_webhook()
    booking = book()
    sandbox.deliver()
    sandbox.run_due(after=5)
    superuser.run_action("appointment", "cancel", [booking.attendee.appointment], reason="water damage")

    page = superuser.get("appointment_change", booking.attendee.appointment_id).content.decode()

    for words in (
        "Booked",
        "Attempt 1: confirmed",
        "Notification from meetergo: applied",
        "Request to cancel: done",
        "water damage",
        "boss",
    ):
        assert words in page


def test_a_note_that_a_colleague_wrote_meanwhile_is_kept(superuser):
    row = AppointmentFactory()
    opened = read_hidden(superuser.get("appointment_change", row.pk))

    superuser.post("appointment_change", row.pk, **opened, note="Allergic to penicillin", attendance="")
    superuser.post("appointment_change", row.pk, **opened, note="", attendance="came")

    row.refresh_from_db()
    assert (row.note, row.attendance) == ("Allergic to penicillin", "came")


def test_a_host_keeps_a_user_who_is_no_longer_staff(superuser):
    host = Host.objects.create(remote_id="a", name="Anna", user=User.objects.create_user("therapist"))
    page = superuser.get("host_change", host.pk)
    chosen = re.search(r'<option value="(\d+)" selected', page.content.decode())

    superuser.post("host_change", host.pk, **read_hidden(page), user=chosen[1] if chosen else "")

    host.refresh_from_db()
    assert host.user is not None


def test_questions_that_a_colleague_chose_for_a_type_without_any_are_kept(superuser):
    kind = MeetingTypeFactory()
    questions = [DataField.objects.create(remote_id=str(n), name=f"n{n}", label=f"K{n}") for n in range(3)]
    opened = read_hidden(superuser.get("meetingtype_change", kind.pk))

    def save(method, *chosen):
        data = {"calculation_method": method, "data_fields": [each.pk for each in chosen]}
        superuser.post("meetingtype_change", kind.pk, **opened, **data)

    save("anyone", *questions)
    save("everyone")

    kind.refresh_from_db()
    assert (kind.calculation_method, kind.data_fields.count()) == ("everyone", 3)
