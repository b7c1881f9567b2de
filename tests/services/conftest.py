from __future__ import annotations

from datetime import timedelta

import pytest

from django_meetergo.services.booking.book import AttendeeData, book_appointment


@pytest.fixture
def jane():
    return AttendeeData(
        email="jane.doe@example.com", first_name="Jane", last_name="Doe", timezone="Europe/Berlin"
    )


def find_later_start(kit, slug):
    """Return a free start in a week: the clock may be moved by hours, and it is none of the next dozen."""
    return next(start for start in kit.list_free_starts(slug) if start > kit.now() + timedelta(days=7))


@pytest.fixture
def book(meetergo_sandbox, jane, db):
    """Book a free slot of a meeting type some days ahead; every argument may be overridden."""

    def book(slug="intro-call", *, start=None, attendee=jane, **options):
        kit = meetergo_sandbox
        return book_appointment(
            meeting_type=kit.meeting_type(slug),
            start=start or find_later_start(kit, slug),
            attendee=attendee,
            client=kit.client(),
            now=kit.now(),
            **options,
        )

    return book
