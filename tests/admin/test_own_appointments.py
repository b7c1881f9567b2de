"""Staff who may see their own appointments only: nothing of their colleagues' shows anywhere."""

from __future__ import annotations

import re

import pytest
from django.utils import timezone

from django_meetergo.models import Appointment, AppointmentChange, Event, Host
from django_meetergo.testing.factories import AttendeeFactory, BookingFactory
from tests.admin.conftest import get_text
from tests.admin.test_book_for_caller import CallerSteps

pytestmark = pytest.mark.django_db

MAY = (
    "view_own_appointment", "change_appointment", "cancel_appointment", "export_appointment",
    "view_attendee", "view_booking", "view_appointmentchange", "view_event",
)  # fmt: skip


def make_appointment(host, last_name):
    """An appointment with an attendee, a booking, a change and an event, all with this last name."""
    attendee = AttendeeFactory(
        first_name="Kim", last_name=last_name, email=f"{last_name}@example.com".lower()
    )
    appointment = attendee.appointment
    appointment.hosts.add(host)
    BookingFactory(attendee=attendee, last_name=last_name, first_name="Kim")
    now = timezone.now()
    AppointmentChange.objects.create(
        appointment=appointment, kind="cancel", state="refused", requested_by="host", created_at=now,
        previous_start=appointment.start, message=last_name,
    )  # fmt: skip
    Event.objects.create(
        appointment=appointment, kind="appointment_booked", key=last_name, created_at=now, dispatched_at=now
    )
    return appointment


@pytest.fixture
def anna(make_staff):
    """Anna's browser; Anna and Ben have an appointment each."""
    staff = make_staff(*MAY)
    staff.own = make_appointment(Host.objects.create(remote_id="a", name="Anna", user=staff.user), "Ownly")
    staff.other = make_appointment(Host.objects.create(remote_id="b", name="Ben"), "Foreign")
    return staff


@pytest.mark.parametrize("model", ["appointment", "attendee", "booking", "appointmentchange", "event"])
def test_a_list_shows_the_own_rows_only(anna, model):
    page = anna.get(f"{model}_changelist")

    assert page.status_code == 200
    assert page.context["cl"].result_count == 1
    assert "Foreign" not in get_text(page)


@pytest.mark.parametrize("query", [{"q": "foreign"}, {"when": "all"}, {"host": "2"}])
def test_no_filter_and_no_search_finds_others(anna, query):
    assert "Foreign" not in get_text(anna.get("appointment_changelist", **query))


@pytest.mark.parametrize("view", ["day", "week", "month"])
def test_the_calendar_shows_the_own_column_only(anna, view):
    day = timezone.localdate(anna.own.start).isoformat()

    page = anna.get("appointment_calendar", view=view, date=day).content.decode()

    assert "Ownly" in page
    assert "Foreign" not in page
    assert ">Ben<" not in page
    assert re.search(r"<dt>Booked</dt>\s*<dd>1</dd>", page)


def test_the_export_has_the_own_rows_only(anna):
    file = b"".join(anna.get("appointment_export", when="all").streaming_content).decode()

    assert "Ownly" in file
    assert "Foreign" not in file


def test_the_page_of_another_appointment_does_not_exist(anna):
    assert "Ownly" in get_text(anna.get("appointment_change", anna.own.pk))
    assert anna.get("appointment_change", anna.other.pk).status_code == 302
    assert anna.get("appointment_history", anna.other.pk).status_code == 302


def test_an_action_does_not_reach_others(anna):
    """Even when their keys are sent."""
    page = anna.get("appointment_cancel", ids=f"{anna.own.pk},{anna.other.pk}")
    assert "Cancel 1 appointment?" in get_text(page)
    assert "Foreign" not in get_text(page)

    anna.post("appointment_no_show", ids=str(anna.other.pk))

    assert Appointment.objects.get(pk=anna.other.pk).attendance == ""
    assert AppointmentChange.objects.filter(appointment=anna.other, state="received").count() == 0


def test_whoever_may_see_all_appointments_sees_all(make_staff, anna):
    """Also a host, and also a superuser, who has every permission."""
    both = make_staff(*MAY, "view_appointment")
    Host.objects.filter(name="Anna").update(user=both.user)

    assert both.get("appointment_changelist").context["cl"].result_count == 2


def test_a_host_is_tied_to_a_staff_user_in_the_admin(superuser, make_staff):
    """Visitors with an account are not offered, and a sync keeps the choice."""
    host = Host.objects.create(remote_id="a", name="Anna")
    staff = make_staff().user

    page = superuser.get("host_change", host.pk).content.decode()
    superuser.post("host_change", host.pk, user=staff.pk)

    assert f'<option value="{staff.pk}">' in page
    host.refresh_from_db()
    assert host.user == staff


def test_staff_who_book_for_a_colleague_are_not_told_that_the_booking_does_not_exist(make_staff, sandbox):
    steps = CallerSteps(make_staff("add_booking", "view_booking", "view_own_appointment"), sandbox)

    result = steps.book(steps.choose_time())

    assert [str(message)[:7] for message in result.context["messages"]] == ["Booked:"]


def test_who_hands_over_an_own_appointment_sees_the_result(make_staff, sandbox, book):
    row = book().attendee.appointment
    sandbox.run_due()
    staff = make_staff("view_own_appointment", "handoff_appointment")
    Host.objects.filter(appointments=row).update(user=staff.user)

    result = staff.post(
        "appointment_handoff", ids=row.pk, confirmed="yes", host=Host.objects.get(name__startswith="Ben").pk
    )

    assert "Handed over to Ben" in get_text(result)


def test_a_batch_of_others_does_not_exist_for_staff_who_see_their_own(superuser, make_staff, sandbox, book):
    result = superuser.run_action("appointment", "cancel", [book().attendee.appointment])

    page = make_staff("view_own_appointment").client.get(result.request["PATH_INFO"])

    assert page.status_code == 404
