"""The long trials of ``python -m tests.harness``, made short enough for every change."""

from __future__ import annotations

import pytest
from django.db import connection

from tests.harness import outage, rate_limit, rebook, stampede, webhooks


@pytest.fixture(autouse=True)
def _on_postgresql(transactional_db):
    assert connection.vendor == "postgresql", "Set DATABASE_URL to a PostgreSQL database."


def violations(figures, *, but=()):
    return [text for text in figures["violations"] if not text.startswith(but)]


#: Waits, and how much was asked for, are figures of the machine; the full trial judges them.
OF_THE_MACHINE = ("interactive calls waited", "the sync read", "only", "somebody waited")


def test_several_processes_stay_within_one_request_limit():
    """Never more than ninety in any minute (of ten seconds), and none that is refused."""
    figures = rate_limit.run(minutes=0.7, minute=10, processes=5)

    assert violations(figures, but=OF_THE_MACHINE) == []


def test_an_outage_costs_nobody_an_answer():
    """No 5xx, no write while the service is away, and whoever left a request is booked or told."""
    figures = outage.run(scale=40, visitors=2)

    assert violations(figures) == []


def test_lost_times_are_made_good_within_what_was_agreed():
    """At most three attempts, one at a time, never outside of the window."""
    figures = rebook.run(bookings=30, processes=2)

    assert violations(figures) == []


def test_two_hundred_readers_of_one_cold_document_cost_one_call():
    """Whatever process they are in."""
    figures = stampede.run(readers=200, processes=2)

    assert violations(figures, but=OF_THE_MACHINE) == []


def test_a_storm_of_webhooks_leaves_a_true_mirror():
    """However often, late and mixed up the deliveries come; each is noted once, with its count."""
    figures = webhooks.run(events=100, copies=6)

    assert violations(figures, but=OF_THE_MACHINE) == []
