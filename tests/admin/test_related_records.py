"""Staff relate attendees to records of the site, and see no record that they may not see."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from django.contrib.contenttypes.models import ContentType
from django.contrib.sessions.models import Session

from django_meetergo.models import Appointment, Attendee, Host
from django_meetergo.testing.factories import AttendeeFactory, BookingFactory
from tests.admin.conftest import get_text, read_hidden

pytestmark = pytest.mark.django_db


def relate(staff, attendee, kind, key):
    """Save the appointment's page with a related record of the attendee."""
    data = {
        "note": "", "attendance": "", "attendees-TOTAL_FORMS": 1, "attendees-INITIAL_FORMS": 1,
        "attendees-0-id": attendee.pk, "attendees-0-appointment": attendee.appointment_id,
        "attendees-0-related_type": kind.pk, "attendees-0-related_id": key,
    }  # fmt: skip
    return staff.post("appointment_change", attendee.appointment_id, **data)


def test_relating_an_attendee_shows_no_record_that_staff_may_not_see(make_staff):
    staff = make_staff("view_own_appointment", "change_appointment")
    own, foreign = AttendeeFactory(), AttendeeFactory(first_name="Secret", last_name="Patient")
    own.appointment.hosts.add(Host.objects.create(remote_id="a", name="Anna", user=staff.user))
    account = User.objects.create_user("ceo@example.com")

    for other in (foreign, account):
        relate(staff, own, ContentType.objects.get_for_model(other), other.pk)

        page = get_text(staff.get("appointment_change", own.appointment_id))
        assert "Secret Patient" not in page
        assert "ceo@example.com" not in page


def test_a_related_record_is_stored_under_its_own_key(superuser):
    attendee, user = AttendeeFactory(), superuser.user

    relate(superuser, attendee, ContentType.objects.get_for_model(user), f"00{user.pk}")

    assert Appointment.objects.for_subject(user).count() == 1


def test_the_page_of_a_group_costs_no_more_queries_than_that_of_one(superuser, django_assert_max_num_queries):
    appointment = AttendeeFactory().appointment
    for _ in range(12):
        AttendeeFactory(appointment=appointment)

    with django_assert_max_num_queries(30):
        superuser.get("appointment_change", appointment.pk)


def test_a_related_record_that_a_colleague_chose_meanwhile_is_kept(superuser):
    attendee = AttendeeFactory()
    key = attendee.appointment_id
    opened = read_hidden(superuser.get("appointment_change", key))
    relate(superuser, attendee, ContentType.objects.get_for_model(User), superuser.user.pk)

    blank = {"attendees-0-related_type": "", "attendees-0-related_id": ""}
    superuser.post("appointment_change", key, **opened, **blank, note="brings a dog", attendance="")

    attendee.refresh_from_db()
    assert (attendee.subject, attendee.appointment.note) == (superuser.user, "brings a dog")


def test_a_type_that_a_colleague_has_replaced_meanwhile_stops_no_save(make_staff):
    """Though this user may not choose the type that the page still shows."""
    staff = make_staff("view_appointment", "change_appointment")
    attendee = AttendeeFactory(subject=User.objects.create_user("ben"))
    key, shown = attendee.appointment_id, ContentType.objects.get_for_model(User)
    opened = read_hidden(staff.get("appointment_change", key))
    host = Host.objects.create(remote_id="h", name="Hanna")
    attendee.subject = host  # by a colleague
    attendee.save()

    untouched = {
        "attendees-0-related_type": shown.pk,
        "attendees-0-related_id": opened["initial-attendees-0-related_id"],
    }
    staff.post("appointment_change", key, **{**opened, **untouched}, note="brings a dog", attendance="")

    attendee = Attendee.objects.get(pk=attendee.pk)
    assert (attendee.subject, attendee.appointment.note) == (host, "brings a dog")


@pytest.mark.parametrize("key", ["9" * 30, "x", "-1"])
def test_an_odd_type_of_a_related_record_is_no_server_error(superuser, key):
    attendee = AttendeeFactory()
    opened = read_hidden(superuser.get("appointment_change", attendee.appointment_id))

    odd = {"attendees-0-related_type": key, "initial-attendees-0-related_type": key}
    page = superuser.post(
        "appointment_change", attendee.appointment_id, **{**opened, **odd}, note="", attendance=""
    )

    assert page.status_code == 200


@pytest.mark.parametrize("key", ["a" * 255, "7" * 64])
def test_a_related_record_with_a_long_key_stops_no_save(superuser, key):
    """The service and the booking page accept keys of this length."""
    attendee = AttendeeFactory(subject=Session(pk=key))
    page = superuser.get("appointment_change", attendee.appointment_id)

    shown = {
        "attendees-0-related_type": ContentType.objects.get_for_model(Session).pk,
        "attendees-0-related_id": key,
    }
    superuser.post(
        "appointment_change",
        attendee.appointment_id,
        **{**read_hidden(page), **shown},
        note="brings a dog",
        attendance="",
    )

    attendee.refresh_from_db()
    assert (attendee.subject_id, attendee.appointment.note) == (key, "brings a dog")


def test_a_related_record_whose_model_was_removed_from_the_site_stops_no_page(superuser):
    kind = ContentType.objects.create(app_label="shop", model="course")
    attendee = AttendeeFactory(subject_type=kind, subject_id="3")
    booking = BookingFactory(subject_type=kind, subject_id="3")

    for name, row in (
        ("appointment_change", attendee.appointment),
        ("attendee_change", attendee),
        ("booking_change", booking),
    ):
        assert superuser.get(name, row.pk).status_code == 200
