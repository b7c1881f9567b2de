"""The number of database queries per request does not depend on the number of rows."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group, Permission
from django.db import connection
from django.test.utils import CaptureQueriesContext

from django_meetergo.models import Appointment, Attendee, Host, MeetingType
from django_meetergo.testing.factories import HostFactory, MeetingTypeFactory
from tests.api.conftest import FrontEnd

pytestmark = pytest.mark.django_db(transaction=True)

START = datetime(2030, 1, 1, 9, tzinfo=UTC)


def add_appointments(number: int) -> None:
    """Add appointments with two attendees and a host each, spread over three meeting types."""
    types = list(MeetingType.objects.all()) or [MeetingTypeFactory(raw={"a": 1}) for _ in range(3)]
    host = HostFactory()
    before = Appointment.objects.count()
    rows = Appointment.objects.bulk_create(
        Appointment(
            remote_id=f"remote-{index}",
            meeting_type=types[index % 3],
            start=START + timedelta(minutes=index),
            end=START + timedelta(minutes=index + 30),
        )
        for index in range(before, before + number)
    )
    Attendee.objects.bulk_create(
        Attendee(
            appointment=row,
            remote_id=f"{row.remote_id}-{who}",
            email=f"{who}@example.com",
            email_folded=f"{who}@example.com",
        )
        for row in rows
        for who in "ab"
    )
    Appointment.hosts.through.objects.bulk_create(
        Appointment.hosts.through(appointment=row, host=host) for row in rows
    )


def count_rows_and_queries(front_end: FrontEnd, path: str, **query: object) -> tuple[int, int]:
    """Return the rows and the queries of one list."""
    with CaptureQueriesContext(connection) as found:
        answer = front_end.get(path, **query)
    assert answer.status_code == 200, answer.content
    return len(answer.json()["results"]), len(found)


@pytest.fixture
def staff(make_user):
    """A user who may view appointments through a group."""
    front_end = make_user("staff")
    group = Group.objects.create(name="reception")
    group.permissions.add(Permission.objects.get(codename="view_appointment"))
    group.user_set.add(get_user_model().objects.get(username="staff"))
    return front_end


def test_a_list_costs_five_queries_from_ten_rows_to_a_thousand(make_user, staff):
    """The token's user, the permission (superusers save it), rows, attendees, hosts."""
    add_appointments(10)
    root, costs = make_user("root", is_superuser=True), []
    for more in (0, 90, 900):
        add_appointments(more)
        costs.append(
            (
                count_rows_and_queries(staff, "/appointments/", page_size=100),
                count_rows_and_queries(root, "/appointments/", page_size=100),
            )
        )
    assert costs == [((10, 5), (10, 4)), ((100, 5), (100, 4)), ((100, 5), (100, 4))]


def test_filters_add_no_query(staff):
    add_appointments(200)
    host = Host.objects.first()
    found = count_rows_and_queries(
        staff,
        "/appointments/",
        page_size=100,
        attendee="a@",
        host=host.email,
        status="confirmed",
        start_from="2030-01-01T00:00:00Z",
        ordering="end",
    )
    assert found == (100, 5)


@pytest.mark.parametrize("ordering", ["start", "-start", "end", "-end"])
def test_a_deep_page_costs_what_the_first_does(make_user, ordering):
    """Pages are found by the cursor's position in an index, not by an offset."""
    add_appointments(400)
    root, quote = make_user("root", is_superuser=True), connection.ops.quote_name
    url, query, costs = "/appointments/", {"page_size": 50, "ordering": ordering}, []
    while url:
        with CaptureQueriesContext(connection) as found:
            page = root.get(url, **query).json()
        column = f"{quote('meetergo_appointment')}.{quote('start')}"
        rows = next(one["sql"] for one in found if column in one["sql"])
        assert "OFFSET" not in rows
        assert "LIMIT 51" in rows
        costs.append(len(found))
        url, query = page["next"], {}
    assert len(costs) == 8
    assert len(set(costs)) == 1


def test_one_appointment_costs_five_queries_in_a_large_mirror(make_user):
    add_appointments(300)
    root = make_user("root", is_superuser=True)
    row = Appointment.objects.last()
    with CaptureQueriesContext(connection) as found:
        assert root.get(f"/appointments/{row.public_id}/").status_code == 200
    assert len(found) <= 5


def test_meeting_types_cost_two_queries(db):
    costs = set()
    for _ in range(2):
        for _ in range(10):
            MeetingTypeFactory().hosts.add(HostFactory())
        costs.add(count_rows_and_queries(FrontEnd(), "/meeting-types/")[1])
    assert costs == {2}


def test_a_booking_costs_four_queries_at_most(front_end):
    url = front_end.book().json()["url"]
    with CaptureQueriesContext(connection) as found:
        assert front_end.get(url).status_code == 200
    assert len(found) <= 4


def test_times_far_ahead_cost_no_call(site, front_end):
    """Whoever asks for one month after the other leaves the request limit to others."""
    before = site.count_requests("GET *")

    for months in range(30):
        day = site.now() + timedelta(days=800 + 31 * months)
        listed = front_end.get("/meeting-types/intro-call/availability/", first_day=day.date().isoformat())
        assert listed.json()["times"] == []
        assert front_end.book(start=day.isoformat()).status_code == 422

    assert site.count_requests("GET *") == before
