"""The functions that a site imports from ``django_meetergo.services``."""

from __future__ import annotations

from datetime import datetime, timedelta
from datetime import timezone as offset

import pytest
from django.contrib.auth.models import AnonymousUser
from django.utils import timezone

from django_meetergo.exceptions import InvalidRequest
from django_meetergo.models import AppointmentChange, Booking, SyncRun
from django_meetergo.services import (
    AttendeeData,
    book_appointment,
    cancel_appointment,
    list_slots,
    reschedule_appointment,
    sync_appointments,
)

pytestmark = pytest.mark.django_db(transaction=True)

JANE = AttendeeData(email="jane@example.com", first_name="Jane")


def list_starts():
    now = timezone.now()
    found = list_slots(meeting_type="intro-call", start=now, end=now + timedelta(days=14))
    assert not found.failed
    return [slot.start for slot in found.times]


def test_a_site_books_moves_and_cancels_with_a_slug_and_without_client_or_clock(meetergo_sandbox):
    meetergo_sandbox.sync_directory()
    first, second = list_starts()[:2]

    booking = book_appointment(meeting_type="intro-call", start=first, attendee=JANE)
    assert booking.state == Booking.State.CONFIRMED
    appointment = booking.attendee.appointment

    change = reschedule_appointment(appointment=appointment, start=second)
    assert change.state == AppointmentChange.State.DONE
    appointment.refresh_from_db()
    assert appointment.start == second

    change = cancel_appointment(appointment=appointment, reason="The practice is closed.")
    assert change.state == AppointmentChange.State.DONE
    appointment.refresh_from_db()
    assert appointment.is_cancelled


def test_an_anonymous_user_is_nobody(meetergo_sandbox):
    """A site passes ``request.user`` as it is."""
    meetergo_sandbox.sync_directory()

    booking = book_appointment(
        meeting_type="intro-call", start=list_starts()[0], attendee=JANE, user=AnonymousUser()
    )
    change = cancel_appointment(appointment=booking.attendee.appointment, user=AnonymousUser())

    assert (booking.user, change.user) == (None, None)


@pytest.mark.parametrize(
    "moment",
    [datetime(2030, 1, 1), datetime(9999, 12, 31, 23, tzinfo=offset(timedelta(hours=-12)))],  # noqa: DTZ001
    ids=["naive", "year 9999"],
)
def test_a_time_that_is_no_instant_is_refused_by_name(meetergo_sandbox, moment):
    meetergo_sandbox.sync_directory()
    booking = book_appointment(meeting_type="intro-call", start=list_starts()[0], attendee=JANE)

    with pytest.raises(InvalidRequest, match="start"):
        reschedule_appointment(appointment=booking.attendee.appointment, start=moment)
    with pytest.raises(InvalidRequest, match="end"):
        list_slots(meeting_type="intro-call", start=meetergo_sandbox.now(), end=moment)


@pytest.mark.parametrize("reason", ["closed\x00", "closed\ud800"], ids=["NUL", "half a pair"])
def test_a_reason_that_not_every_database_stores_is_refused(meetergo_sandbox, reason):
    meetergo_sandbox.sync_directory()
    booking = book_appointment(meeting_type="intro-call", start=list_starts()[0], attendee=JANE)

    with pytest.raises(InvalidRequest, match="reason"):
        cancel_appointment(appointment=booking.attendee.appointment, reason=reason)

    assert not AppointmentChange.objects.exists()


def test_a_site_syncs_without_client_or_clock(meetergo_sandbox):
    meetergo_sandbox.sync_directory()

    run = sync_appointments(kind="full", silent=True)

    assert run.state == SyncRun.State.DONE
    assert run.written > 0


def test_an_unknown_slug_is_refused_by_name(meetergo_sandbox):
    with pytest.raises(InvalidRequest, match="no meeting type with the slug 'intro-cal'") as refused:
        book_appointment(meeting_type="intro-cal", start=timezone.now(), attendee=JANE)

    assert refused.value.field == "meeting_type"
