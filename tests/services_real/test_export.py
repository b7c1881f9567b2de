"""The CSV file of 100,000 appointments, on PostgreSQL."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.urls import reverse

from django_meetergo.testing.factories import AttendeeFactory
from tests.services_real import test_query_plans
from tests.services_real.test_query_plans import multiply

pytestmark = pytest.mark.django_db

ROWS = 100_000
#: The documents alone, which the file does not need, would take ten times as much.
MAX_GROWTH = 40 * 1024 * 1024


def get_memory():
    """Return the bytes of memory that this process holds."""
    pages = Path("/proc/self/statm").read_text(encoding="ascii").split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


@pytest.fixture
def many_appointments(monkeypatch):
    assert connection.vendor == "postgresql", "Set DATABASE_URL to a PostgreSQL database."
    monkeypatch.setattr(test_query_plans, "ROWS", ROWS - 1)
    attendee = AttendeeFactory(appointment__raw={"document": "x" * 2000})
    first = attendee.appointment
    multiply(first)
    # The keys of the copies follow each other.
    multiply(attendee, appointment_id=f"{first.pk} + n")


def test_an_export_of_100_000_rows_needs_little_memory(many_appointments):
    client = Client()
    client.force_login(User.objects.create_superuser("boss"))
    response = client.get(reverse("admin:meetergo_appointment_export"), {"when": "all"})
    before = highest = get_memory()
    lines = 0

    for part in response.streaming_content:
        lines += part.count(b"\r\n")
        highest = max(highest, get_memory())

    assert lines == ROWS + 1
    assert highest - before < MAX_GROWTH
