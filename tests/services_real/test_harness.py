"""The load tests of ``python -m tests.harness``, shortened."""

from __future__ import annotations

import pytest
from django.db import connection

from tests.harness import long_outage, outage, rate_limit, rebook, stampede, webhooks


@pytest.fixture(autouse=True)
def _on_postgresql(transactional_db):
    assert connection.vendor == "postgresql", "Set DATABASE_URL to a PostgreSQL database."


def violations(figures, *, but=()):
    return [text for text in figures["violations"] if not text.startswith(but)]


#: Waits and volumes depend on the machine; only the full run checks them.
MACHINE_FIGURES = (
    "interactive calls waited",
    "the sync read",
    "only",
    "a reader waited",
    "the endpoint took",
)


def test_several_processes_stay_within_one_request_limit():
    """Never more than ninety in any minute (of ten seconds), and none that is refused."""
    figures = rate_limit.run(minutes=0.7, minute=10, processes=5)

    assert violations(figures, but=MACHINE_FIGURES) == []


def test_every_page_answers_during_an_outage():
    """No 5xx, no write while the service is down, and every deferred booking is booked or closed."""
    figures = outage.run(scale=25, visitors=3)

    assert violations(figures) == []


def test_after_hours_without_the_service_the_mirror_is_right_within_minutes():
    """Whatever was booked, moved, cancelled, handed over or deleted meanwhile, without any webhook."""
    assert violations(long_outage.run(hours=3)) == []


def test_lost_slots_are_rebooked_within_the_agreement():
    """At most three attempts, one at a time, never outside the agreed times."""
    figures = rebook.run(bookings=30, processes=2)

    assert violations(figures) == []


def test_two_hundred_readers_of_one_cold_document_cost_one_call():
    """Whatever process they run in."""
    figures = stampede.run(readers=200, processes=2)

    assert violations(figures, but=MACHINE_FIGURES) == []


def test_many_repeated_webhooks_leave_a_correct_mirror():
    """Deliveries come several times, late and in any order; each is stored once, with its count."""
    figures = webhooks.run(events=100, copies=6)

    assert violations(figures, but=MACHINE_FIGURES) == []
