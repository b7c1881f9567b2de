"""What a request costs the database, however many rows there are."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from django_meetergo.models import Appointment, Attendee, MeetingType
from django_meetergo.testing.factories import HostFactory, MeetingTypeFactory
from tests.api.conftest import FrontEnd

pytestmark = pytest.mark.django_db(transaction=True)

START = datetime(2030, 1, 1, 9, tzinfo=UTC)


def fill(number: int) -> None:
    """So many appointments, each with two attendees, a host and a meeting type of three."""
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
        Attendee(appointment=row, remote_id=f"{row.remote_id}-{who}", email=f"{who}@example.com")
        for row in rows
        for who in "ab"
    )
    Appointment.hosts.through.objects.bulk_create(
        Appointment.hosts.through(appointment=row, host=host) for row in rows
    )


def count(front_end: FrontEnd, path: str, **query: object) -> tuple[int, int]:
    """Rows and statements of one list."""
    with CaptureQueriesContext(connection) as found:
        answer = front_end.get(path, **query)
    assert answer.status_code == 200, answer.content
    return len(answer.json()["results"]), len(found)


def test_a_list_of_a_hundred_costs_three_statements_and_who_is_asking(person):
    """Rows, attendees, hosts; before them the token's user and, but for a superuser, two for permissions."""
    fill(10)
    staff, root = person("staff", "view_appointment"), person("root", is_superuser=True)
    few, few_statements = count(staff, "/appointments/", page_size=100)
    fill(390)
    many, many_statements = count(staff, "/appointments/", page_size=100)
    assert (few, many) == (10, 100)
    assert few_statements == many_statements == 3 + 1 + 2
    assert count(root, "/appointments/", page_size=100)[1] == 3 + 1 <= 5


def test_a_deep_page_costs_what_the_first_does(person):
    """The database is asked for one page's rows behind an index, not for all rows before it."""
    fill(400)
    root = person("root", is_superuser=True)
    url, query, costs = "/appointments/", {"page_size": 50}, []
    while url:
        with CaptureQueriesContext(connection) as found:
            page = root.get(url, **query).json()
        rows = next(one["sql"] for one in found if '"meetergo_appointment"."start"' in one["sql"])
        assert "OFFSET" not in rows
        assert "LIMIT 51" in rows
        costs.append(len(found))
        url, query = page["next"], {}
    assert len(costs) == 8
    assert len(set(costs)) == 1


def test_one_row_costs_as_much_in_a_large_mirror(person):
    fill(300)
    root = person("root", is_superuser=True)
    row = Appointment.objects.last()
    with CaptureQueriesContext(connection) as found:
        assert root.get(f"/appointments/{row.public_id}/").status_code == 200
    assert len(found) <= 5


def test_meeting_types_cost_two_statements(db):
    costs = set()
    for _ in range(2):
        for _ in range(10):
            MeetingTypeFactory().hosts.add(HostFactory())
        costs.add(count(FrontEnd(), "/meeting-types/")[1])
    assert costs == {2}


def test_a_bookings_address_costs_four_statements_at_most(front_end):
    url = front_end.book().json()["url"]
    with CaptureQueriesContext(connection) as found:
        assert front_end.get(url).status_code == 200
    assert len(found) <= 4
