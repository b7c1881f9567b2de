"""Staff record whether attendees came."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.contrib.admin.models import LogEntry
from django.utils import timezone

from django_meetergo.testing.factories import AppointmentFactory
from tests.admin.conftest import get_text

pytestmark = pytest.mark.django_db


def test_attendance_is_recorded_without_a_confirmation_page(superuser):
    now = timezone.now()
    past = AppointmentFactory(start=now - timedelta(days=1))
    later = AppointmentFactory(start=now + timedelta(days=3))
    cancelled = AppointmentFactory(start=now - timedelta(days=1), status="cancelled")

    result = superuser.run_action("appointment", "no_show", [past, later, cancelled])

    for row in (past, later, cancelled):
        row.refresh_from_db()
    assert [row.attendance for row in (past, later, cancelled)] == ["no_show", "", ""]
    assert "No change: the appointment is on a later day" in get_text(result)
    assert "No change: already cancelled" in get_text(result)
    assert LogEntry.objects.count() == 1


def test_attendance_can_be_corrected_on_the_page(superuser):
    row = AppointmentFactory(start=timezone.now() - timedelta(days=1), attendance="no_show")

    superuser.post(
        "appointment_change", row.pk,
        **{"note": "", "attendance": "", "attendees-TOTAL_FORMS": 0, "attendees-INITIAL_FORMS": 0},
    )  # fmt: skip

    row.refresh_from_db()
    assert row.attendance == ""


def test_appointments_are_filtered_by_attendance(superuser):
    yesterday = timezone.now() - timedelta(days=1)
    values = {"start": yesterday, "end": yesterday + timedelta(minutes=30)}
    came, missed, open_ = (AppointmentFactory(attendance=each, **values) for each in ("came", "no_show", ""))
    AppointmentFactory(status="cancelled", **values)
    AppointmentFactory(start=timezone.now() + timedelta(days=1))

    def list_keys(value):
        page = superuser.get("appointment_changelist", attendance=value)
        return {row.pk for row in page.context["cl"].result_list}

    assert list_keys("came") == {came.pk}
    assert list_keys("no_show") == {missed.pk}
    assert list_keys("none") == {open_.pk}
