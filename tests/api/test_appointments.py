"""The mirror for staff: who may, which rows, in which order, and what can be done with them."""

from datetime import UTC, datetime, timedelta

import pytest
from django.contrib.auth.backends import ModelBackend
from rest_framework.exceptions import PermissionDenied

from django_meetergo import links
from django_meetergo.models import Appointment, AppointmentChange
from django_meetergo.testing.factories import AppointmentFactory, AttendeeFactory, HostFactory
from tests.api.conftest import FrontEnd, kind

pytestmark = pytest.mark.django_db(transaction=True)

START = datetime(2030, 1, 1, 9, tzinfo=UTC)


@pytest.fixture
def staff(person):
    return person("staff", "view_appointment", "change_appointment")


@pytest.fixture
def booked(front_end):
    """A real appointment: its row, and its attendee's own link."""
    managed = front_end.book(timezone="Europe/Berlin").json()["manage"]["url"]
    return Appointment.objects.get(), managed


def at(row, action=""):
    return f"/appointments/{row.public_id}/{action}"


# Who may

NOBODY, LINK, OTHER_LINK = "anonymous", "attendee with the link", "another attendee"
BARE, VIEWER, SUPERUSER = "staff without permissions", "staff who may view", "superuser"

#: What each of them gets: the list, one row, a resync, a cancel, and the attendee's own page.
MATRIX = {
    NOBODY: (401, 401, 401, 401, 404),
    LINK: (401, 401, 401, 401, 200),
    OTHER_LINK: (401, 401, 401, 401, 404),
    BARE: (403, 403, 403, 403, 404),
    VIEWER: (200, 200, 403, 403, 404),
    SUPERUSER: (200, 200, 200, 200, 404),
}


@pytest.mark.parametrize("who", MATRIX)
def test_everybody_gets_what_is_theirs_and_no_more(who, booked, person, django_user_model):
    row, _ = booked
    front_end = FrontEnd()
    if who == BARE:
        front_end = person("bare", is_staff=True)
    elif who == VIEWER:
        front_end = person("viewer", "view_appointment", is_staff=True)
    elif who == SUPERUSER:
        front_end = person("root", is_superuser=True)
    token = {
        LINK: links.sign(row.attendees.get().public_id, salt=links.MANAGE_SALT),
        OTHER_LINK: links.sign(AttendeeFactory(appointment=row).public_id, salt=links.BOOKING_SALT),
    }.get(who, "guess")

    answers = (
        front_end.get("/appointments/"),
        front_end.get(at(row)),
        front_end.post(at(row, "resync/")),
        front_end.post(at(row, "cancel/")),
        front_end.get(f"/manage/{token}/"),
    )

    assert tuple(answer.status_code for answer in answers) == MATRIX[who]


@pytest.mark.parametrize(
    ("codename", "action"),
    [
        ("change_appointment", "cancel/"),
        ("change_appointment", "reschedule/"),
        ("change_appointment", "resync/"),
        ("cancel_appointment", "cancel/"),
        ("reschedule_appointment", "reschedule/"),
        ("sync_appointment", "resync/"),
    ],
)
def test_each_action_has_a_permission_of_its_own(codename, action, appointment, person, monkeypatch):
    """``change`` covers all; the narrow ones cover one. Seeing a row is not changing it, nor the reverse."""
    from django.contrib.auth.models import ContentType, Permission

    Permission.objects.get_or_create(
        codename=codename, content_type=ContentType.objects.get_for_model(Appointment)
    )

    def refuse(*_, **__):
        raise AssertionError("reached")

    for name in ("request_cancel", "request_move", "sync_appointment"):
        monkeypatch.setattr(f"django_meetergo.contrib.rest_framework.appointments.{name}", refuse)
    body = {"start": "2030-01-01T00:00:00Z"}
    assert person("sees", "view_appointment").post(at(appointment, action), body).status_code == 403
    assert person("blind", codename).post(at(appointment, action), body).status_code == 403
    with pytest.raises(AssertionError, match="reached"):
        person("may", "view_appointment", codename).post(at(appointment, action), body)


def test_a_permission_for_one_row_is_enough_for_that_row(appointment, person, settings):
    settings.AUTHENTICATION_BACKENDS = ["tests.api.test_appointments.OneRow"]
    OneRow.row = appointment
    front_end = person("somebody")
    assert front_end.get(at(appointment)).status_code == 200
    assert front_end.get(at(AppointmentFactory())).status_code == 403
    assert front_end.get("/appointments/").status_code == 403


class OneRow:
    """A backend that grants everything about one row."""

    row = None

    def has_perm(self, user, name, row=None):
        return row is not None and row == self.row


class Strict(ModelBackend):
    """A backend that allows less than was granted."""

    def has_perm(self, user, name, row=None):
        return False


def test_what_was_granted_is_asked_for_in_the_ways_a_site_has(person, settings, django_user_model):
    """A list asks Django's own backend in a shorter way, and only where nobody else has a say."""
    own = "django.contrib.auth.backends.ModelBackend"
    strict, one_row = "tests.api.test_appointments.Strict", "tests.api.test_appointments.OneRow"
    viewer, bare = person("viewer", "view_appointment"), person("bare", "change_appointment")
    for backends, status in (([own], 200), ([strict], 403), ([one_row, own], 200), ([one_row], 403)):
        settings.AUTHENTICATION_BACKENDS = backends
        assert viewer.get("/appointments/").status_code == status
        assert bare.get("/appointments/").status_code == 403


def test_a_site_may_narrow_what_anybody_sees(appointment, staff, rf, django_user_model):
    from django_meetergo.contrib.rest_framework.appointments import AppointmentView

    class Narrow(AppointmentView):
        def scope(self, rows):
            return rows.none()

    door = Narrow()
    door.request = rf.get("/")
    door.request.user = django_user_model.objects.get(username="staff")
    with pytest.raises(Exception, match="Not found") as refusal:
        door.find(str(appointment.public_id))
    assert not isinstance(refusal.value, PermissionDenied)


def test_a_session_needs_the_csrf_token_to_change_anything(appointment, person, django_user_model):
    person("jane", "view_appointment", "change_appointment")
    browser = FrontEnd()
    browser.client.force_login(django_user_model.objects.get(username="jane"))
    assert browser.get("/appointments/").status_code == 200
    assert browser.post(at(appointment, "cancel/")).status_code == 403


# Which rows


@pytest.fixture
def rows(db):
    """Five appointments on five days."""
    made = [
        AppointmentFactory(start=START + timedelta(days=day), meeting_type__slug=f"type-{day}")
        for day in range(5)
    ]
    for day, row in enumerate(made):
        AttendeeFactory(appointment=row, email=f"Person{day}@Example.com")
        AttendeeFactory(appointment=row, email=f"person{day}+two@example.com")
        row.hosts.add(HostFactory(email=f"host{day}@clinic.example"))
    Appointment.objects.filter(pk=made[1].pk).update(status="cancelled")
    return made


@pytest.mark.parametrize(
    ("query", "days"),
    [
        ({}, [4, 3, 2, 1, 0]),
        ({"ordering": "start"}, [0, 1, 2, 3, 4]),
        ({"start_from": "2030-01-03T09:00:00Z"}, [4, 3, 2]),
        ({"start_before": "2030-01-03T10:00:00+01:00"}, [1, 0]),
        ({"status": "cancelled"}, [1]),
        ({"meeting_type": "type-2"}, [2]),
        ({"host": "HOST3@clinic.example"}, [3]),
        ({"attendee": "PERSON4"}, [4]),
        ({"attendee": "erson"}, []),
        ({"attendee": "person%"}, []),
    ],
)
def test_filters_narrow_the_list(staff, rows, query, days):
    """Nobody is listed twice for having two matching attendees."""
    found = [row["id"] for row in staff.get("/appointments/", **query).json()["results"]]
    assert found == [str(rows[day].public_id) for day in days]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"start_from": "yesterday"}, "start_from"),
        ({"start_before": "2030-01-01"}, "start_before"),
        ({"status": "lost"}, "status"),
        ({"host": ""}, "host"),
        ({"host": "nul\0l"}, "host"),
        ({"ordering": "secret"}, "ordering"),
        ({"page_size": "101"}, "page_size"),
        ({"cursor": "x"}, "cursor"),
        ({"cursor": "cD1ub3doZXJl"}, "cursor"),
    ],
)
def test_a_question_that_cannot_be_is_refused_at_its_field(staff, query, field):
    answer = staff.get("/appointments/", **query)
    assert (answer.status_code, list(answer.json()["errors"])) == (422, [field])


def test_pages_join_without_gap_or_double(staff, db):
    for _ in range(7):
        AppointmentFactory(start=START)
    seen, url = [], "/appointments/"
    query = {"page_size": 3}
    while url:
        page = staff.get(url, **query).json()
        seen += [row["id"] for row in page["results"]]
        url, query = page["next"], {}
    assert len(seen) == len(set(seen)) == 7


@pytest.mark.parametrize("text", ["1", "x", "%00", "00000000-0000-4000-8000-000000000000"])
def test_an_id_that_is_none_of_ours_is_not_found(staff, text):
    assert kind(staff.get(f"/appointments/{text}/")) == "not-found"


# What can be done


def test_staff_cancel_as_the_host(staff, booked, site):
    row, _ = booked
    answer = staff.post(at(row, "cancel/"), {"reason": "The doctor is ill"})
    assert (answer.status_code, answer.json()["status"]) == (200, "cancelled")
    change = AppointmentChange.objects.get()
    assert (change.requested_by, change.user.username) == ("host", "staff")
    assert site.appointments() == []


def test_a_group_is_cancelled_for_all_only_when_that_is_said(staff, front_end, site):
    front_end.book("group-class")
    site.run_due(after=10)
    row = Appointment.objects.get()
    unclear = staff.post(at(row, "cancel/"))
    assert (unclear.status_code, list(unclear.json()["errors"])) == (422, ["attendee"])
    foreign = staff.post(at(row, "cancel/"), {"attendee": str(row.public_id)})
    assert list(foreign.json()["errors"]) == ["attendee"]
    assert staff.post(at(row, "cancel/"), {"cancel_all": True}).json()["status"] == "cancelled"


def test_staff_move_an_appointment(staff, booked, front_end):
    row, managed = booked
    start = front_end.get(managed + "availability/").json()["times"][5]["start"]
    answer = staff.post(at(row, "reschedule/"), {"start": start})
    assert answer.status_code == 200, answer.content
    assert datetime.fromisoformat(answer.json()["start"]) == datetime.fromisoformat(start)


def test_a_row_is_read_anew(staff, booked, site):
    row, _ = booked
    Appointment.objects.filter(pk=row.pk).update(location="nowhere", digest="old", synced_at=None)
    assert staff.post(at(row, "resync/")).json()["location"] != "nowhere"


def test_a_service_that_does_not_answer_is_503(staff, booked, site):
    row, _ = booked
    site.fail_next("*", kind="status_before", times=9)
    answer = staff.post(at(row, "resync/"))
    assert (answer.status_code, kind(answer)) == (503, "service-unavailable")


def test_a_change_on_its_way_is_said(staff, appointment):
    AppointmentChange.objects.create(
        appointment=appointment,
        kind="cancel",
        requested_by="host",
        previous_start=appointment.start,
        created_at=appointment.start,
    )
    assert staff.get(at(appointment)).json()["is_changing"]
