"""Lists and pages of the mirror."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.contrib.admin.models import LogEntry
from django.urls import reverse
from django.utils import timezone

from django_meetergo.admin.base import MAX_COUNT
from django_meetergo.models import Appointment, Attendee, Connection, MeetingType
from django_meetergo.testing.factories import (
    AppointmentFactory,
    AttendeeFactory,
    BookingFactory,
    MeetingTypeFactory,
)

pytestmark = pytest.mark.django_db

LISTS = [
    "connection", "appointment", "appointmentchange", "booking", "erasedperson", "event", "host",
    "meetingtype", "syncrun", "webhookdelivery",
]  # fmt: skip


@pytest.mark.parametrize("name", LISTS)
def test_every_record_has_a_list_that_says_why_nothing_is_added(boss, name):
    """Also when it is empty."""
    response = boss.get(f"{name}_changelist")

    assert response.status_code == 200
    assert 'class="help"' in response.content.decode()


def test_every_row_of_a_living_site_can_be_opened(boss, clinic, book):
    """Each kind of record that a booking, a cancel and a delivery leave behind."""
    from django.apps import apps

    clinic.register_webhook()
    booking = book()
    clinic.deliver()
    boss.act("appointment", "cancel", [booking.attendee.appointment], reason="ill")
    clinic.run_due(after=5)

    opened = set()
    for model in apps.get_app_config("meetergo").get_models():
        name = model._meta.model_name
        if name not in LISTS:
            continue
        for row in model.objects.all()[:3]:
            assert boss.get(f"{name}_change", row.pk).status_code == 200
            opened.add(name)
        assert boss.get(f"{name}_changelist").status_code == 200
    assert opened == set(LISTS) - {"erasedperson"}


def fill(rows):
    """Appointments of one type, each with an attendee and a host."""
    meeting_type = MeetingTypeFactory()
    for number in range(rows):
        appointment = AppointmentFactory(
            meeting_type=meeting_type, start=timezone.now() + timedelta(hours=number + 1)
        )
        appointment.hosts.create(remote_id=f"host-{number}", name=f"Host {number}")
        AttendeeFactory(appointment=appointment)
        BookingFactory(meeting_type=meeting_type, idempotency_key=f"key-{number}")
        appointment.changes.create(
            kind="cancel", requested_by="host", previous_start=appointment.start, created_at=timezone.now()
        )
        appointment.events.create(kind="appointment_booked", key=f"event-{number}", created_at=timezone.now())


@pytest.mark.parametrize(
    "name", ["appointment", "booking", "appointmentchange", "event", "meetingtype", "host"]
)
def test_a_list_costs_the_same_at_any_length(boss, name, django_assert_num_queries):
    """At most seven statements, at 25 rows and at 100; session and user are two of them."""
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    fill(25)
    boss.get(f"{name}_changelist")
    with CaptureQueriesContext(
        connection,
    ) as few:
        boss.get(f"{name}_changelist")
    fill_more = 75
    start = MeetingType.objects.count()
    for number in range(fill_more):
        appointment = AppointmentFactory(meeting_type=MeetingType.objects.first())
        appointment.hosts.create(remote_id=f"more-{start}-{number}", name=f"More {number}")
        AttendeeFactory(appointment=appointment)
        AttendeeFactory(appointment=appointment)
        appointment.events.create(kind="appointment_booked", key=f"more-{number}", created_at=timezone.now())
    with CaptureQueriesContext(connection) as many:
        assert boss.get(f"{name}_changelist").status_code == 200

    assert len(few) == len(many) <= 7, [query["sql"][:150] for query in many]


def test_a_search_and_a_filter_cost_no_more(boss):
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    fill(30)
    for query in (
        {"q": "attendee"},
        {"when": "upcoming"},
        {"attention": "any"},
        {"status__exact": "confirmed"},
    ):
        with CaptureQueriesContext(connection) as counted:
            assert boss.get("appointment_changelist", **query).status_code == 200
        assert len(counted) <= 7


def test_a_list_counts_no_further_than_it_must(boss, monkeypatch):
    """Beyond the cap the list says so instead of reading the whole table."""
    monkeypatch.setattr("django_meetergo.admin.base.MAX_COUNT", 3)
    fill(5)

    assert "Only the first 3 rows are counted" in boss.get("appointment_changelist").content.decode()
    assert MAX_COUNT == 10_000


def shown(response):
    return {row.pk for row in response.context["cl"].result_list}


@pytest.mark.parametrize(
    ("term", "found"),
    [
        ("JANE.DOE@exa", True),
        ("jane", True),
        ("jane do", True),
        ("doe", True),
        ("the-remote-id", True),
        ("remote", False),
        ("ane", False),
        ("100%", False),
    ],
)
def test_people_are_found_by_the_beginning_of_address_and_name(boss, term, found):
    """And an appointment by its whole id."""
    appointment = AppointmentFactory(remote_id="the-remote-id")
    AttendeeFactory(appointment=appointment, first_name="Jane", last_name="Doe", email="jane.doe@example.com")
    AttendeeFactory(first_name="Other", last_name="Person", email="other@example.com")

    assert shown(boss.get("appointment_changelist", q=term)) == ({appointment.pk} if found else set())


def test_the_day_is_the_sites_own(boss):
    """Filters go by the site's calendar, not by UTC's."""
    today = timezone.localtime().replace(hour=0, minute=30, second=0, microsecond=0)
    first = AppointmentFactory(start=today)
    AppointmentFactory(start=today - timedelta(hours=1))
    next_week = AppointmentFactory(start=today + timedelta(days=6))
    AppointmentFactory(start=today + timedelta(days=7))

    assert shown(boss.get("appointment_changelist", when="today")) == {first.pk}
    assert shown(boss.get("appointment_changelist", when="week")) == {first.pk, next_week.pk}


def test_what_needs_attention_is_found_by_its_reason(boss):
    now = timezone.now()
    missing = AppointmentFactory(missing_since=now)
    old = AppointmentFactory(synced_at=now - timedelta(days=2))
    unclear = AppointmentFactory()
    unclear.changes.create(
        kind="cancel", state="unknown", requested_by="host", previous_start=unclear.start, created_at=now
    )
    AppointmentFactory()

    assert shown(boss.get("appointment_changelist", attention="missing")) == {missing.pk}
    assert shown(boss.get("appointment_changelist", attention="old")) == {old.pk}
    assert shown(boss.get("appointment_changelist", attention="unclear")) == {unclear.pk}
    assert shown(boss.get("appointment_changelist", attention="any")) == {missing.pk, old.pk, unclear.pk}


def test_a_type_and_a_host_narrow_the_list_and_nonsense_finds_nothing(boss):
    appointment = AppointmentFactory()
    host = appointment.hosts.create(remote_id="h", name="Anna")
    AppointmentFactory()

    assert shown(boss.get("appointment_changelist", host=host.pk)) == {appointment.pk}
    assert shown(boss.get("appointment_changelist", type=appointment.meeting_type_id)) == {appointment.pk}
    assert shown(boss.get("appointment_changelist", type="x'--")) == set()


def test_only_our_own_columns_can_be_written(boss):
    """A note and a linked object are saved; the mirror stays as meetergo said, also if it moved meanwhile."""
    attendee = AttendeeFactory()
    appointment = attendee.appointment
    account = Connection.objects.create()
    page = boss.get("appointment_change", appointment.pk)
    assert "note" in page.context["adminform"].form.fields
    assert list(page.context["adminform"].form.fields) == ["note"]
    Appointment.objects.filter(pk=appointment.pk).update(location="moved meanwhile")
    from django.contrib.contenttypes.models import ContentType

    boss.post(
        "appointment_change",
        appointment.pk,
        **{
            "note": "brings a dog",
            "location": "forged",
            "attendees-TOTAL_FORMS": 1,
            "attendees-INITIAL_FORMS": 1,
            "attendees-0-id": attendee.pk,
            "attendees-0-appointment": appointment.pk,
            "attendees-0-linked_kind": ContentType.objects.get_for_model(Connection).pk,
            "attendees-0-linked_id": str(account.pk),
            "attendees-0-email": "forged@example.com",
        },
    )

    appointment.refresh_from_db()
    stored = Attendee.objects.get(pk=attendee.pk)
    assert (appointment.note, appointment.location) == ("brings a dog", "moved meanwhile")
    assert stored.subject == account
    assert stored.email == attendee.email
    assert LogEntry.objects.count() == 1


def test_secrets_are_on_no_page(boss, book):
    """Neither the appointment's secret nor anything that looks like one in the last document."""
    booking = book()
    appointment = booking.attendee.appointment
    assert appointment.secret

    for path in (
        reverse("admin:meetergo_appointment_change", args=[appointment.pk]),
        reverse("admin:meetergo_booking_change", args=[booking.pk]),
        reverse("admin:meetergo_appointment_changelist"),
    ):
        assert appointment.secret not in boss.client.get(path).content.decode()


def test_text_from_elsewhere_is_shown_as_text(boss):
    """Markup in names, answers and documents does nothing."""
    evil = "<script>alert(1)</script>"
    attendee = AttendeeFactory(first_name=evil, custom_fields={evil: evil})
    Appointment.objects.update(raw={"x": evil}, location=evil, meeting_link="javascript:alert(1)")

    for path in ("appointment_changelist", "appointment_change"):
        args = [] if path.endswith("list") else [attendee.appointment_id]
        page = boss.get(path, *args).content.decode()
        assert evil not in page
        assert 'href="javascript:' not in page


def test_the_timeline_tells_who_did_what(boss, clinic, book):
    """Booked, mailed about by a delivery, cancelled by the boss."""
    clinic.register_webhook()
    booking = book()
    clinic.deliver()
    clinic.run_due(after=5)
    boss.act("appointment", "cancel", [booking.attendee.appointment], reason="water damage")

    page = boss.get("appointment_change", booking.attendee.appointment_id).content.decode()

    for words in (
        "Booked",
        "Attempt 1: confirmed",
        "Webhook: applied",
        "Asked to cancel: done",
        "water damage",
        "boss",
    ):
        assert words in page


def test_a_day_is_read_from_its_morning_on(boss):
    noon = timezone.localtime().replace(hour=12, minute=0)
    later, sooner = (AppointmentFactory(start=noon + timedelta(hours=hours)) for hours in (2, 0))

    def listed(**query):
        return [row.pk for row in boss.get("appointment_changelist", **query).context["cl"].result_list]

    assert listed(when="today") == [sooner.pk, later.pk]
    assert listed() == [later.pk, sooner.pk]
