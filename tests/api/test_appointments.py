"""Appointments for staff: permissions, filters, ordering and actions."""

from datetime import UTC, datetime, timedelta

import pytest
from django.contrib.auth.backends import ModelBackend
from django.contrib.auth.models import User
from rest_framework.exceptions import PermissionDenied

from django_meetergo import links
from django_meetergo.models import Appointment, AppointmentChange, Attendee
from django_meetergo.sandbox.seed import BEN
from django_meetergo.testing.factories import AppointmentFactory, AttendeeFactory, HostFactory
from tests.api.conftest import FrontEnd, get_problem_type

pytestmark = pytest.mark.django_db(transaction=True)

START = datetime(2030, 1, 1, 9, tzinfo=UTC)


@pytest.fixture
def staff(make_user):
    return make_user(
        "staff", "view_appointment", "cancel_appointment", "reschedule_appointment", "sync_appointment"
    )


@pytest.fixture
def booked(front_end):
    """A booked appointment and the address where its attendee manages it."""
    managed = front_end.book(timezone="Europe/Berlin").json()["manage"]["url"]
    return Appointment.objects.get(), managed


def get_path(row, action=""):
    return f"/appointments/{row.public_id}/{action}"


# Permissions

NOBODY, LINK, OTHER_LINK = "anonymous", "attendee with the link", "another attendee"
BARE, VIEWER, SUPERUSER = "staff without permissions", "staff who may view", "superuser"

#: Statuses by role of: the list, one appointment, resync, cancel, and the attendee's own appointment.
MATRIX = {
    NOBODY: (401, 401, 401, 401, 404),
    LINK: (401, 401, 401, 401, 200),
    OTHER_LINK: (401, 401, 401, 401, 404),
    BARE: (403, 403, 403, 403, 404),
    VIEWER: (200, 200, 403, 403, 404),
    SUPERUSER: (200, 200, 200, 200, 404),
}


@pytest.mark.parametrize("who", MATRIX)
def test_each_role_gets_exactly_its_own(who, booked, make_user, django_user_model):
    row, _ = booked
    front_end = FrontEnd()
    if who == BARE:
        front_end = make_user("bare", is_staff=True)
    elif who == VIEWER:
        front_end = make_user("viewer", "view_appointment", is_staff=True)
    elif who == SUPERUSER:
        front_end = make_user("root", is_superuser=True)
    token = {
        LINK: links.sign(row.attendees.get().public_id, salt=links.MANAGE_SALT),
        OTHER_LINK: links.sign(AttendeeFactory(appointment=row).public_id, salt=links.BOOKING_SALT),
    }.get(who, "guess")

    answers = (
        front_end.get("/appointments/"),
        front_end.get(get_path(row)),
        front_end.post(get_path(row, "resync/")),
        front_end.post(get_path(row, "cancel/")),
        front_end.get(f"/manage/{token}/"),
    )

    assert tuple(answer.status_code for answer in answers) == MATRIX[who]


@pytest.mark.parametrize(
    ("codename", "action"),
    [
        ("cancel_appointment", "cancel/"),
        ("reschedule_appointment", "reschedule/"),
        ("sync_appointment", "resync/"),
    ],
)
def test_each_action_has_a_permission_of_its_own(codename, action, appointment, make_user, monkeypatch):
    """As in the admin: ``change_appointment`` is for recording who came. Each action also needs ``view``."""
    from django.contrib.auth.models import ContentType, Permission

    Permission.objects.get_or_create(
        codename=codename, content_type=ContentType.objects.get_for_model(Appointment)
    )

    def report_call(*_, **__):
        raise AssertionError("reached")

    for name in ("request_change", "request_reschedule", "sync_appointment"):
        monkeypatch.setattr(f"django_meetergo.contrib.rest_framework.appointments.{name}", report_call)
    body = {"start": "2030-01-01T00:00:00Z"}
    assert make_user("sees", "view_appointment").post(get_path(appointment, action), body).status_code == 403
    clerk = make_user("clerk", "view_appointment", "change_appointment")
    assert clerk.post(get_path(appointment, action), body).status_code == 403
    assert make_user("blind", codename).post(get_path(appointment, action), body).status_code == 403
    with pytest.raises(AssertionError, match="reached"):
        make_user("may", "view_appointment", codename).post(get_path(appointment, action), body)


def test_an_object_permission_covers_its_row_only(appointment, make_user, settings):
    settings.AUTHENTICATION_BACKENDS = ["tests.api.test_appointments.OneRow"]
    OneRow.row = appointment
    front_end = make_user("somebody")
    assert front_end.get(get_path(appointment)).status_code == 200
    assert front_end.get(get_path(AppointmentFactory())).status_code == 403
    assert front_end.get("/appointments/").status_code == 403


class OneRow:
    """A backend that grants every permission for one row."""

    row = None

    def has_perm(self, user, name, row=None):
        return row is not None and row == self.row


class Strict(ModelBackend):
    """A backend that denies what was granted."""

    def has_perm(self, user, name, row=None):
        return False


def test_the_list_respects_every_authentication_backend(make_user, settings, django_user_model):
    """The shorter query to Django's own backend is used only where no other backend decides."""
    own = "django.contrib.auth.backends.ModelBackend"
    strict, one_row = "tests.api.test_appointments.Strict", "tests.api.test_appointments.OneRow"
    viewer, bare = make_user("viewer", "view_appointment"), make_user("bare", "change_appointment")
    for backends, status in (([own], 200), ([strict], 403), ([one_row, own], 200), ([one_row], 403)):
        settings.AUTHENTICATION_BACKENDS = backends
        assert viewer.get("/appointments/").status_code == status
        assert bare.get("/appointments/").status_code == 403


def test_a_subclass_can_narrow_the_visible_rows(appointment, staff, rf, django_user_model):
    from django_meetergo.contrib.rest_framework.appointments import AppointmentView

    class Narrow(AppointmentView):
        def scope(self, rows):
            return rows.none()

    view = Narrow()
    view.request = rf.get("/")
    view.request.user = django_user_model.objects.get(username="staff")
    with pytest.raises(Exception, match="Not found") as refusal:
        view.get_appointment(str(appointment.public_id))
    assert not isinstance(refusal.value, PermissionDenied)


def test_session_authentication_needs_the_csrf_token_for_changes(appointment, make_user, django_user_model):
    make_user("jane", "view_appointment", "cancel_appointment")
    browser = FrontEnd()
    browser.client.force_login(django_user_model.objects.get(username="jane"))
    assert browser.get("/appointments/").status_code == 200
    assert browser.post(get_path(appointment, "cancel/")).status_code == 403


# Filters


@pytest.fixture
def rows(db):
    """Five appointments on five days, with two attendees each."""
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
    """An appointment with two matching attendees is listed once."""
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
        ({"page_size": "000000001000"}, "page_size"),
        ({"page_size": f"000000001{0:04500}"}, "page_size"),
        ({"cursor": "x"}, "cursor"),
        ({"cursor": "cD1ub3doZXJl"}, "cursor"),
    ],
)
def test_an_invalid_query_parameter_is_refused_by_name(staff, query, field):
    answer = staff.get("/appointments/", **query)
    assert (answer.status_code, list(answer.json()["errors"])) == (422, [field])


def test_pages_contain_each_row_once(staff, db):
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
def test_an_unknown_id_is_404(staff, text):
    assert get_problem_type(staff.get(f"/appointments/{text}/")) == "not-found"


# Actions


def test_staff_cancel_as_the_host(staff, booked, site):
    row, _ = booked
    answer = staff.post(get_path(row, "cancel/"), {"reason": "The doctor is ill"})
    assert (answer.status_code, answer.json()["status"]) == (200, "cancelled")
    change = AppointmentChange.objects.get()
    assert (change.requested_by, change.user.username) == ("host", "staff")
    assert site.appointments() == []


def test_a_group_is_cancelled_for_all_only_with_cancel_all(staff, front_end, site):
    front_end.book("group-class")
    site.run_due(after=10)
    row = Appointment.objects.get()
    unclear = staff.post(get_path(row, "cancel/"))
    assert (unclear.status_code, list(unclear.json()["errors"])) == (422, ["attendee"])
    foreign = staff.post(get_path(row, "cancel/"), {"attendee": str(row.public_id)})
    assert list(foreign.json()["errors"]) == ["attendee"]
    assert staff.post(get_path(row, "cancel/"), {"cancel_all": True}).json()["status"] == "cancelled"


def test_staff_reschedule_an_appointment(staff, booked, front_end):
    row, managed = booked
    start = front_end.get(managed + "/availability/").json()["times"][5]["start"]
    answer = staff.post(get_path(row, "reschedule/"), {"start": start})
    assert answer.status_code == 200, answer.content
    assert datetime.fromisoformat(answer.json()["start"]) == datetime.fromisoformat(start)


def test_resync_reads_the_appointment(staff, booked, site):
    row, _ = booked
    Appointment.objects.filter(pk=row.pk).update(location="nowhere", digest="old", synced_at=None)
    assert staff.post(get_path(row, "resync/")).json()["location"] != "nowhere"


def test_a_row_that_leaves_the_users_own_by_a_resync_is_still_answered(booked, site, make_user):
    """meetergo has given it to another host, which is what the answer says."""
    row, _ = booked
    user = make_user("anna", "view_own_appointment", "sync_appointment")
    [host] = row.hosts.all()
    type(host).objects.filter(pk=host.pk).update(user=User.objects.get(username="anna"))
    site.client().handoff_appointment(row.remote_id, user_id=BEN)

    answer = user.post(get_path(row, "resync/"))

    assert answer.status_code == 200, answer.content
    assert row.hosts.get() != host


def test_resync_of_a_removed_connection_is_refused(staff, booked, site, settings):
    row, _ = booked
    settings.MEETERGO = {**settings.MEETERGO, "API_KEY": ""}

    answer = staff.post(get_path(row, "resync/"))

    assert (answer.status_code, answer.json()["policy_reason"]) == (409, "not_connected")


def test_answers_are_shown_as_meetergo_stores_them(staff, booked):
    """Wherever they were given: a form keeps lists and truth values."""
    row, _ = booked
    Attendee.objects.update(custom_fields={"times": ["am", "pm"], "new": True, "note": "x"})

    [attendee] = staff.get(get_path(row)).json()["attendees"]

    assert attendee["answers"] == {"times": "am, pm", "new": "true", "note": "x"}


def test_resync_is_503_when_meetergo_does_not_answer(staff, booked, site):
    row, _ = booked
    site.fail_next("*", kind="status_before", times=9)
    answer = staff.post(get_path(row, "resync/"))
    assert (answer.status_code, get_problem_type(answer)) == (503, "service-unavailable")


def test_is_changing_is_true_while_a_change_is_open(staff, appointment):
    AppointmentChange.objects.create(
        appointment=appointment,
        kind="cancel",
        requested_by="host",
        previous_start=appointment.start,
        created_at=appointment.start,
    )
    assert staff.get(get_path(appointment)).json()["is_changing"]
