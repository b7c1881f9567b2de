"""A person, Zelda Quark, whose data is in every table."""

from __future__ import annotations

from typing import Any

import pytest

EMAIL = "Zelda.Quark@example.com"
#: Lower-case texts that must not be in the database after she has been erased.
TRACES = ("zelda", "quark", "0815-4711", "zeta ltd", "sore knee")


@pytest.fixture
def zelda(meetergo_sandbox: Any, db: Any) -> Any:
    """Her booking: confirmed, re-read, and with a note of staff."""
    from django_meetergo.services import AttendeeData, book_appointment

    booking = book_appointment(
        meeting_type=meetergo_sandbox.meeting_type(),
        start=meetergo_sandbox.list_free_starts()[0],
        attendee=AttendeeData(
            email=EMAIL, first_name="Zelda", last_name="Quark", phone="0815-4711", company="Zeta Ltd"
        ),
        custom_fields={"complaint": "sore knee"},
        client=meetergo_sandbox.client(),
        now=meetergo_sandbox.now(),
    )
    meetergo_sandbox.run_due(after=5)
    booking.refresh_from_db()
    appointment = booking.attendee.appointment
    appointment.note = "Zelda brings her dog"
    appointment.save(update_fields=["note"])
    return booking
