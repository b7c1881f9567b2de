"""The calendar: day, week and month, with links to appointments and free times, at a constant cost."""

from __future__ import annotations

import gzip
import re
from datetime import UTC, date, datetime, timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from django_meetergo.admin.appointments import AppointmentAdmin
from django_meetergo.admin.calendar import group_rows
from django_meetergo.admin.calendar_layout import build_column, choose_hours
from django_meetergo.admin.display import midnight
from django_meetergo.models import Attendee, Host
from django_meetergo.testing.factories import AppointmentFactory, AttendeeFactory, MeetingTypeFactory
from tests.admin.conftest import get_text

pytestmark = pytest.mark.django_db

DAY = date(2026, 12, 2)  # a Wednesday


@pytest.fixture
def anna():
    return Host.objects.create(remote_id="anna", name="Anna")


def add(host, day=DAY, hour=10.0, minutes=30, **values):
    start = midnight(day) + timedelta(hours=hour)
    appointment = AppointmentFactory(start=start, end=start + timedelta(minutes=minutes), **values)
    appointment.hosts.add(host)
    AttendeeFactory(appointment=appointment, first_name="Mia", last_name=f"At{hour}")
    return appointment


def open_calendar(staff, **query):
    return staff.get("appointment_calendar", **{"date": DAY.isoformat(), **query})


@pytest.mark.parametrize("view", ["day", "week", "month"])
def test_an_appointment_is_shown_with_a_link(superuser, anna, view):
    appointment = add(anna)

    page = open_calendar(superuser, view=view).content.decode()

    assert "10:00" in page
    assert "Mia At10.0" in page
    assert f'href="/admin/meetergo/appointment/{appointment.pk}/change/"' in page
    assert "style=" not in re.sub(r"<head>.*?</head>", "", page, flags=re.DOTALL)


def test_the_first_view_is_the_week_of_today(superuser, anna):
    appointment = add(anna, day=timezone.localdate(), hour=0)

    page = superuser.get("appointment_calendar")

    assert page.context["query"].view == "week"
    assert timezone.localdate() in page.context["query"].days
    assert f"/appointment/{appointment.pk}/change/" in page.content.decode()


def test_a_day_has_a_column_for_each_host(superuser, anna):
    ben = Host.objects.create(remote_id="ben", name="Ben")
    add(anna)

    columns = open_calendar(superuser, view="day").context["columns"]

    assert [column.host for column in columns] == [anna, ben]
    assert [len(column.blocks) for column in columns] == [1, 0]


def test_filters_narrow_the_calendar_and_unknown_keys_are_ignored(superuser, anna):
    ben = Host.objects.create(remote_id="ben", name="Ben")
    first, second = add(anna, hour=9), add(ben, hour=11)

    def list_shown(**query):
        page = open_calendar(superuser, view="day", **query).content.decode()
        return [row for row in (first, second) if f"/appointment/{row.pk}/change/" in page]

    assert list_shown() == [first, second]
    assert list_shown(host=ben.pk) == [second]
    assert list_shown(type=first.meeting_type_id) == [first]
    assert list_shown(host="x'--", type="-1") == [first, second]


@pytest.mark.parametrize("value", ["9999-12-31", "0001-01-01", "2026-02-30", "x"])
@pytest.mark.parametrize("view", ["day", "week", "month", "year"])
def test_a_date_that_cannot_be_shown_is_replaced_by_today(superuser, value, view):
    page = superuser.get("appointment_calendar", date=value, view=view)

    assert page.status_code == 200
    assert page.context["query"].day == timezone.localdate()


def test_a_free_time_leads_to_booking_with_host_and_time(superuser, anna):
    day = timezone.localdate() + timedelta(days=2)
    add(anna, day=day, hour=10)

    page = superuser.get("appointment_calendar", view="day", date=day.isoformat()).content.decode()
    free = re.findall(
        r'href="(/admin/meetergo/booking/call/\?host=\d+&amp;start=[^"]+)"( tabindex="-1")?', page
    )
    times = re.findall(r'aria-label="Book (\d\d:\d\d) with Anna"', page)

    assert f"host={anna.pk}" in free[0][0]
    assert "09:45" in times
    assert not {"10:00", "10:15"} & set(times)
    assert [time for time, (_, skipped) in zip(times, free, strict=True) if not skipped] == [
        time for time in times if time.endswith(":00")
    ]


def test_past_times_and_staff_without_permission_get_no_booking_links(superuser, make_staff, anna):
    yesterday = timezone.localdate() - timedelta(days=1)
    tomorrow = timezone.localdate() + timedelta(days=1)
    staff = make_staff("view_appointment")

    for browser, day in ((superuser, yesterday), (staff, tomorrow)):
        page = browser.get("appointment_calendar", view="day", date=day.isoformat())
        assert "booking/call/?host" not in page.content.decode()


def test_cancelled_appointments_are_faint_and_counted(superuser, anna):
    add(anna, hour=9)
    add(anna, hour=10, status="cancelled")
    add(anna, hour=11, missing_since=timezone.now())

    page = open_calendar(superuser, view="day")

    assert page.context["numbers"] == {"booked": 1, "cancelled": 1, "pending": 0, "attention": 1}
    assert page.content.decode().count("mg-cancelled") == 1


def test_only_visible_appointments_are_shown(superuser, anna, monkeypatch):
    """A site that narrows ``get_queryset`` need not narrow the calendar."""
    add(anna)
    get_queryset = AppointmentAdmin.get_queryset
    monkeypatch.setattr(
        AppointmentAdmin, "get_queryset", lambda self, request: get_queryset(self, request).none()
    )

    assert "Mia" not in open_calendar(superuser, view="week").content.decode()


@pytest.mark.parametrize("view", ["day", "week", "month"])
def test_a_full_week_of_ten_hosts_needs_twelve_statements_and_60_kb(superuser, view):
    meeting_type = MeetingTypeFactory()
    hosts = [Host.objects.create(remote_id=f"h{number}", name=f"Host {number}") for number in range(10)]
    for number in range(400):
        day, slot = divmod(number // 10, 6)
        start = midnight(DAY - timedelta(days=2) + timedelta(days=day)) + timedelta(hours=8 + slot)
        appointment = AppointmentFactory(
            meeting_type=meeting_type, start=start, end=start + timedelta(minutes=30)
        )
        appointment.hosts.add(hosts[number % 10])
        Attendee.objects.create(
            appointment=appointment, first_name="Mia", last_name=f"Nr{number * 7919}", remote_id=f"a{number}"
        )
    superuser.get("appointment_calendar")

    with CaptureQueriesContext(connection) as statements:
        page = open_calendar(superuser, view=view)

    assert page.status_code == 200
    assert len(statements) <= 12
    assert len(gzip.compress(page.content)) <= 60_000


# Placing


class FakeAppointment:
    def __init__(self, start, minutes):
        self.start, self.end = start, start + timedelta(minutes=minutes)
        self.duration = self.end - self.start


def place(*appointments, day=DAY, now=datetime(2026, 11, 1, tzinfo=UTC)):
    hours = choose_hours((appointment, day) for appointment in appointments)
    return hours, build_column(appointments, day=day, host=None, hours=hours, now=now, with_free=True)


def test_overlapping_appointments_are_side_by_side_and_others_use_the_whole_width():
    at_ten = midnight(DAY) + timedelta(hours=10)
    hours, column = place(
        FakeAppointment(at_ten, 60),
        FakeAppointment(at_ten + timedelta(minutes=30), 60),
        FakeAppointment(at_ten + timedelta(hours=3), 10),
    )

    assert (hours.first, hours.last, column.lanes) == (8, 18, 2)
    assert [(block.row, block.span, block.lane) for block in column.blocks] == [
        (9, 4, 1), (11, 4, 2), (21, 1, 0),
    ]  # fmt: skip


def test_early_and_late_appointments_extend_the_hours():
    hours, _column = place(
        FakeAppointment(midnight(DAY) + timedelta(hours=6, minutes=30), 15),
        FakeAppointment(midnight(DAY) + timedelta(hours=23), 120),
    )

    assert (hours.first, hours.last) == (6, 24)


def test_the_hour_that_comes_twice_has_room_for_its_appointments(settings):
    """At 03:00 on 25 October 2026 the clocks of Berlin go back to 02:00."""
    settings.TIME_ZONE = "Europe/Berlin"
    day = date(2026, 10, 25)
    _hours, column = place(
        FakeAppointment(datetime(2026, 10, 25, 0, 30, tzinfo=UTC), 60),
        FakeAppointment(datetime(2026, 10, 25, 1, 30, tzinfo=UTC), 60),
        day=day,
    )

    assert [(block.row, block.span, block.lane) for block in column.blocks] == [(3, 4, 1), (3, 4, 2)]


def test_the_hour_that_clocks_skip_is_taken_and_never_free(settings):
    """At 02:00 on 28 March 2027 the clocks of Berlin go forward to 03:00."""
    settings.TIME_ZONE = "Europe/Berlin"
    _hours, column = place(
        FakeAppointment(datetime(2027, 3, 28, 0, 30, tzinfo=UTC), 60), day=date(2027, 3, 28)
    )

    assert [(block.row, block.span) for block in column.blocks] == [(3, 8)]  # from 01:30 to 03:30
    starts = [quarter.start.astimezone(UTC) for quarter in column.free]
    assert len(set(starts)) == len(starts)
    assert not [
        start
        for start in starts
        if datetime(2027, 3, 28, 0, 30, tzinfo=UTC) <= start < datetime(2027, 3, 28, 1, 30, tzinfo=UTC)
    ]


def test_the_present_moment_is_marked_today_only(superuser):
    now = midnight(DAY) + timedelta(hours=9, minutes=20)
    assert place(now=now)[1].now_row == 6
    assert place(now=now + timedelta(days=1))[1].now_row == 0


def test_the_calendar_of_one_own_host_shows_no_other_column(make_staff):
    staff = make_staff("view_own_appointment")
    hosts = [Host.objects.create(remote_id=key, name=f"Anna {key}", user=staff.user) for key in "ab"]

    page = staff.get("appointment_calendar", view="day", host=hosts[1].pk)

    assert [column.host for column in page.context["columns"]] == hosts[1:]


@pytest.mark.parametrize("view", ["day", "week"])
def test_an_empty_calendar_of_many_hosts_asks_for_a_host(superuser, view):
    """Empty columns are left out from thirteen hosts on."""
    assert "manage.py" in get_text(superuser.get("appointment_calendar", view=view))
    Host.objects.bulk_create(Host(remote_id=f"h{number}", name=f"Host {number}") for number in range(13))

    text = get_text(superuser.get("appointment_calendar", view=view))

    assert "Choose a host to see their calendar." in text
    assert "manage.py" not in text


def test_staff_without_a_host_are_not_told_to_run_a_command(make_staff):
    Host.objects.create(remote_id="a", name="Anna")

    page = make_staff("view_own_appointment").get("appointment_calendar")

    assert "manage.py" not in get_text(page)


def test_an_appointment_of_centuries_fills_the_shown_days_only():
    """A document may name any end."""
    row = AppointmentFactory(start=midnight(DAY), end=datetime(2999, 12, 31, tzinfo=UTC))
    assert len(group_rows([row], DAY + timedelta(days=6))) == 7
