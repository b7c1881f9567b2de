"""The CSV file of the filtered list."""

from __future__ import annotations

import csv
import io

import pytest
from django.contrib.admin.models import LogEntry
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from django_meetergo.models import DataField
from django_meetergo.testing.factories import AppointmentFactory, AttendeeFactory, MeetingTypeFactory

pytestmark = pytest.mark.django_db


def download(staff, language="en", **query):
    response = staff.client.get(
        reverse("admin:meetergo_appointment_export"), query, headers={"accept-language": language}
    )
    assert response.status_code == 200
    return b"".join(response.streaming_content).decode("utf-8-sig")


def read_lines(text, delimiter=","):
    return list(csv.reader(io.StringIO(text), delimiter=delimiter))


def test_the_file_has_the_rows_of_the_filtered_list(superuser):
    """One line per attendee who comes."""
    appointment = AttendeeFactory(first_name="Mia", last_name="Krüger").appointment
    AttendeeFactory(appointment=appointment, first_name="Noah", last_name="Berg")
    AttendeeFactory(appointment=appointment, first_name="Gone", status="removed")
    AttendeeFactory(first_name="Other", appointment__status="cancelled")

    lines = read_lines(download(superuser, status__exact="confirmed"))

    assert lines[0][:3] == ["Start", "End", "Status"]
    assert [line[6:8] for line in lines[1:]] == [["Mia", "Krüger"], ["Noah", "Berg"]]


def test_the_columns_are_in_the_language_of_the_staff(superuser):
    AttendeeFactory()

    lines = read_lines(download(superuser, language="de"), delimiter=";")

    assert lines[0][:4] == ["Beginn", "Ende", "Status", "Anwesenheit"]
    assert lines[1][2] == "bestätigt"


def test_answers_stand_beside_their_questions(superuser):
    meeting_type = MeetingTypeFactory()
    DataField.objects.create(
        remote_id="f1", name="insurance", label="Insurance", kind="select",
        choices=[["private", "Private"]], connection=meeting_type.connection,
    )  # fmt: skip
    AttendeeFactory(
        appointment__meeting_type=meeting_type, custom_fields={"insurance": "private", "first_visit": "yes"}
    )

    head, line = read_lines(download(superuser))

    assert line[head.index("Answers")] == "Insurance: Private\nFirst visit: yes"


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1"])
def test_no_cell_is_a_formula(superuser, text):
    AttendeeFactory(first_name=text)

    assert read_lines(download(superuser))[1][6] == f"'{text}"


def test_an_export_needs_its_own_permission(make_staff):
    url = reverse("admin:meetergo_appointment_export")

    for codenames, status in (
        (["view_appointment"], 403),
        (["export_appointment"], 403),
        (["view_appointment", "export_appointment"], 200),
    ):
        staff = make_staff(*codenames)
        assert staff.client.get(url).status_code == status
        if "view_appointment" in codenames:
            assert (url in staff.get("appointment_changelist").content.decode()) == (status == 200)


def test_an_export_is_logged_without_the_search_term(superuser):
    AttendeeFactory(last_name="Krüger")

    download(superuser, q="kruger")

    entry = LogEntry.objects.get()
    assert entry.user == superuser.user
    assert "kruger" not in entry.change_message
    assert "q" in entry.change_message


def test_a_wrong_filter_leads_back_to_the_list(superuser):
    response = superuser.client.get(reverse("admin:meetergo_appointment_export"), {"start__nonsense": "1"})

    assert response.status_code in {302, 400}


def test_a_long_file_needs_few_statements(superuser):
    for _ in range(30):
        AttendeeFactory(appointment=AppointmentFactory())

    with CaptureQueriesContext(connection) as statements:
        assert len(read_lines(download(superuser))) == 31

    assert len(statements) <= 12
