from __future__ import annotations

import pytest

from django_meetergo.services.booking.book import AttendeeData, BookingRequest, submit_request
from django_meetergo.services.sync.appointments import sync_appointments
from tests.free_times import list_starts_of_a_full_week


@pytest.fixture
def jane():
    return AttendeeData(
        email="jane.doe@example.com", first_name="Jane", last_name="Doe", timezone="Europe/Berlin"
    )


@pytest.fixture
def book(meetergo_sandbox, jane, db):
    """Book a free slot of a meeting type a week ahead; every argument may be overridden."""

    def book(slug="intro-call", *, start=None, attendee=jane, send=True, **options):
        kit = meetergo_sandbox
        request = BookingRequest(
            meeting_type=kit.meeting_type(slug),
            start=start or list_starts_of_a_full_week(kit, slug)[0],
            attendee=attendee,
            **options,
        )
        return submit_request(request, client=kit.client(), now=kit.now(), send=send)

    return book


@pytest.fixture
def kit(meetergo_sandbox):
    return meetergo_sandbox


def sync(kit):
    return sync_appointments(connection="default", client=kit.client("sync"), now=kit.now())


def run_due_after(kit, *seconds):
    for moment in seconds:
        kit.run_due(after=moment)
