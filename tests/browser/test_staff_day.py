"""A day at the front desk: what a receptionist does from the calendar, in every size and colour scheme."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from django_meetergo.admin.display import midnight
from django_meetergo.models import Appointment, Attendee, Host, MeetingType
from tests.browser.staff_day import CALENDAR, SCREENS, FrontDesk, spend_a_day
from tests.browser.test_staff import receptionist, today  # noqa: F401 - fixtures


@pytest.fixture(params=SCREENS, ids=lambda screen: f"{screen[0]}-{screen[1]}")
def desk(request: pytest.FixtureRequest, receptionist: Any) -> FrontDesk:  # noqa: F811
    """The receptionist's browser in one size and colour scheme."""
    receptionist.use_screen(*request.param)
    return FrontDesk(receptionist)


def test_a_day_at_the_front_desk(service: Any, desk: FrontDesk, tmp_path: Path) -> None:
    spend_a_day(service, desk, tmp_path)


@pytest.mark.parametrize("view", ["day", "week", "month"])
def test_axe_finds_nothing_in_the_calendar(desk: FrontDesk, view: str) -> None:
    desk.open(f"{CALENDAR}?view={view}")
    assert desk.list_violations(".mg-calendar") == []


def fill_week() -> None:
    """Give each of ten hosts eight appointments on five days of this week."""
    meeting_type = MeetingType.objects.get(slug="intro-call")
    Host.objects.bulk_create(Host(remote_id=f"h{number}", name=f"Host {number}") for number in range(7))
    today = timezone.localdate()  # noqa: F811
    monday = midnight(today - timedelta(days=today.weekday()))
    for host in Host.objects.all():
        starts = [monday + timedelta(days=day, hours=9 + hour) for day in range(5) for hour in range(8)]
        rows = Appointment.objects.bulk_create(
            Appointment(
                remote_id=f"{host.pk}-{number}",
                meeting_type=meeting_type,
                start=start,
                end=start + timedelta(minutes=30),
            )
            for number, start in enumerate(starts)
        )
        host.appointments.add(*rows)
        Attendee.objects.bulk_create(
            Attendee(appointment=row, remote_id=row.remote_id, first_name="Mia", last_name="Kowalski")
            for row in rows
        )


@pytest.mark.parametrize("view", ["day", "week", "month"])
def test_a_full_calendar_is_printed_on_one_sheet(receptionist: Any, view: str) -> None:  # noqa: F811
    """Ten hosts with 400 appointments in a week."""
    fill_week()
    receptionist.open(f"{CALENDAR}?view={view}")
    printed = receptionist.page.pdf(prefer_css_page_size=True)
    assert len(re.findall(rb"/Type\s*/Page\b", printed)) == 1
