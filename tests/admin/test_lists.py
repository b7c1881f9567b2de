"""Lists: every record has one, of constant cost, with search and filters."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.apps import apps
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from django_meetergo.admin.base import MAX_COUNT
from django_meetergo.models import MeetingType
from django_meetergo.testing.factories import (
    AppointmentFactory,
    AttendeeFactory,
    BookingFactory,
    MeetingTypeFactory,
)

pytestmark = pytest.mark.django_db

LISTS = [
    "connection", "appointment", "appointmentchange", "attendee", "booking", "erasedperson", "event", "host",
    "meetingtype", "syncrun", "webhookdelivery",
]  # fmt: skip


@pytest.mark.parametrize("name", LISTS)
def test_every_list_says_why_nothing_can_be_added(superuser, name):
    """Even when it is empty."""
    response = superuser.get(f"{name}_changelist")

    assert response.status_code == 200
    assert 'class="help"' in response.content.decode()


def test_the_page_of_every_kind_of_record_opens(superuser, sandbox, book):
    """A booking, a cancel and a delivery create every kind of record but one."""
    sandbox.register_webhook()
    booking = book()
    sandbox.deliver()
    superuser.run_action("appointment", "cancel", [booking.attendee.appointment], reason="ill")
    sandbox.run_due(after=5)

    opened = set()
    for model in apps.get_app_config("meetergo").get_models():
        name = model._meta.model_name
        if name not in LISTS:
            continue
        for row in model.objects.all()[:3]:
            assert superuser.get(f"{name}_change", row.pk).status_code == 200
            opened.add(name)
        assert superuser.get(f"{name}_changelist").status_code == 200
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
    "name", ["appointment", "attendee", "booking", "appointmentchange", "event", "meetingtype", "host"]
)
def test_a_list_needs_the_same_statements_at_any_length(superuser, name):
    """At most seven statements for 25 rows and for 100; session and user are two of them."""
    fill(25)
    superuser.get(f"{name}_changelist")
    with CaptureQueriesContext(connection) as few:
        superuser.get(f"{name}_changelist")
    start = MeetingType.objects.count()
    for number in range(75):
        appointment = AppointmentFactory(meeting_type=MeetingType.objects.first())
        appointment.hosts.create(remote_id=f"more-{start}-{number}", name=f"More {number}")
        AttendeeFactory(appointment=appointment)
        if name == "appointment":
            AttendeeFactory(appointment=appointment)
        appointment.events.create(kind="appointment_booked", key=f"more-{number}", created_at=timezone.now())
    with CaptureQueriesContext(connection) as many:
        assert superuser.get(f"{name}_changelist").status_code == 200

    assert len(few) == len(many) <= 7, [query["sql"][:150] for query in many]


def test_a_search_and_a_filter_need_no_more_statements(superuser):
    fill(30)
    for query in (
        {"q": "attendee"},
        {"when": "upcoming"},
        {"attention": "any"},
        {"status__exact": "confirmed"},
    ):
        with CaptureQueriesContext(connection) as counted:
            assert superuser.get("appointment_changelist", **query).status_code == 200
        assert len(counted) <= 7


def test_a_long_list_is_counted_up_to_a_limit(superuser, monkeypatch):
    """Beyond the limit the list says so instead of reading the whole table."""
    monkeypatch.setattr("django_meetergo.admin.base.MAX_COUNT", 3)
    fill(5)

    assert "Only the first 3 rows are counted" in superuser.get("appointment_changelist").content.decode()
    assert MAX_COUNT == 10_000


def list_shown_keys(response):
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
def test_people_are_found_by_the_start_of_their_address_and_names(superuser, term, found):
    """And an appointment by its complete meetergo id."""
    appointment = AppointmentFactory(remote_id="the-remote-id")
    AttendeeFactory(appointment=appointment, first_name="Jane", last_name="Doe", email="jane.doe@example.com")
    AttendeeFactory(first_name="Other", last_name="Person", email="other@example.com")

    assert list_shown_keys(superuser.get("appointment_changelist", q=term)) == (
        {appointment.pk} if found else set()
    )


def test_days_are_those_of_the_current_time_zone(superuser):
    """Not those of UTC."""
    today = timezone.localtime().replace(hour=0, minute=30, second=0, microsecond=0)
    first = AppointmentFactory(start=today)
    AppointmentFactory(start=today - timedelta(hours=1))
    next_week = AppointmentFactory(start=today + timedelta(days=6))
    AppointmentFactory(start=today + timedelta(days=7))

    assert list_shown_keys(superuser.get("appointment_changelist", when="today")) == {first.pk}
    assert list_shown_keys(superuser.get("appointment_changelist", when="week")) == {first.pk, next_week.pk}


def test_last_month_begins_and_ends_at_midnight_of_the_current_time_zone(superuser):
    """For the list of a month that is exported once it is over."""
    this_month = timezone.localtime().replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    last_moment = this_month - timedelta(minutes=1)
    month = {
        AppointmentFactory(start=start).pk
        for start in (last_moment, last_moment.replace(day=1, hour=0, minute=0))
    }
    AppointmentFactory(start=this_month)
    AppointmentFactory(start=last_moment.replace(day=1, hour=0, minute=0) - timedelta(minutes=1))

    assert list_shown_keys(superuser.get("appointment_changelist", when="last_month")) == month


def test_rows_that_need_attention_are_found_by_reason(superuser):
    now = timezone.now()
    missing = AppointmentFactory(missing_since=now)
    old = AppointmentFactory(synced_at=now - timedelta(days=2))
    unclear = AppointmentFactory()
    unclear.changes.create(
        kind="cancel", state="unknown", requested_by="host", previous_start=unclear.start, created_at=now
    )
    AppointmentFactory()

    assert list_shown_keys(superuser.get("appointment_changelist", attention="missing")) == {missing.pk}
    assert list_shown_keys(superuser.get("appointment_changelist", attention="old")) == {old.pk}
    assert list_shown_keys(superuser.get("appointment_changelist", attention="unclear")) == {unclear.pk}
    assert list_shown_keys(superuser.get("appointment_changelist", attention="any")) == {
        missing.pk,
        old.pk,
        unclear.pk,
    }


def test_a_type_and_a_host_filter_the_list_and_an_unknown_key_finds_nothing(superuser):
    appointment = AppointmentFactory()
    host = appointment.hosts.create(remote_id="h", name="Anna")
    AppointmentFactory()

    assert list_shown_keys(superuser.get("appointment_changelist", host=host.pk)) == {appointment.pk}
    assert list_shown_keys(superuser.get("appointment_changelist", type=appointment.meeting_type_id)) == {
        appointment.pk
    }
    assert list_shown_keys(superuser.get("appointment_changelist", type="x'--")) == set()


@pytest.mark.parametrize("name", ["appointment_changelist", "appointment_export", "booking_changelist"])
@pytest.mark.parametrize(
    "query",
    [
        {"start__gte": "0001-01-01T00:00:00+14:00"}, {"start__lt": "9999-12-31T23:59:59-12:00"},
        {"start__year": "123456"},
        {"start__gte": "a day"}, {"connection": "a\x00b"},
    ],
)  # fmt: skip
def test_a_filter_that_no_database_can_compare_is_no_server_error(superuser, name, query):
    """Some databases can compare some of these values; others answer as Django answers any wrong filter."""
    response = superuser.get(name, **query)

    assert response.status_code == 200 or response["Location"].endswith("?e=1")
