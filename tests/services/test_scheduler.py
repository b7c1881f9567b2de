"""Which rows a round handles, and in which order."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from django_meetergo.clock import Stopwatch
from django_meetergo.exceptions import RateLimitReached
from django_meetergo.links import BOOKING_SALT, find_by_token, sign
from django_meetergo.models import Booking
from django_meetergo.services import retry, scheduler
from django_meetergo.services.scheduler import DueRows, run_due, run_due_rows
from django_meetergo.services.sync import appointments
from django_meetergo.testing.factories import BookingFactory, MeetingTypeFactory

pytestmark = pytest.mark.django_db

MINUTE = timedelta(minutes=1)


def make_work(handled, rows=Booking.objects.all):
    def handle(booking, now):
        handled.append(booking.pk)
        Booking.objects.filter(pk=booking.pk).update(next_at=None)

    return DueRows(
        name="test",
        rows=rows,
        handler=handle,
        policy=retry.BOOKING_DEFERRED,
        give_up=lambda booking, now, error: None,
    )


def make_backlog(monkeypatch, now):
    """Make 120 bookings due, and leave no other kind of row in the table."""
    kind = MeetingTypeFactory()
    Booking.objects.bulk_create(BookingFactory.build(meeting_type=kind, next_at=now) for _ in range(120))
    monkeypatch.setattr(scheduler, "DUE_TABLE", (make_work([]),))


def count_columns(query) -> int:
    return query["sql"].partition(" FROM ")[0].count(",") + 1


def test_due_rows_are_handled_the_longest_waiting_first():
    now = timezone.now()
    seconds = (5, 60, -5, 30)
    pks = [BookingFactory(next_at=now - timedelta(seconds=each)).pk for each in seconds]
    handled = []

    assert run_due_rows(make_work(handled), Stopwatch(now), now + MINUTE) == 3
    assert handled == [pks[1], pks[3], pks[0]]


def test_rows_that_leave_their_state_before_they_are_read_are_left_alone():
    now = timezone.now()
    first, second = (BookingFactory(next_at=now - timedelta(seconds=each)) for each in (2, 1))
    handled, querysets = [], iter([Booking.objects.all(), Booking.objects.exclude(pk=first.pk)])

    assert run_due_rows(make_work(handled, lambda: next(querysets)), Stopwatch(now), now + MINUTE) == 1
    assert handled == [second.pk]


def test_a_run_handles_a_backlog_to_its_end(monkeypatch):
    """With cron and with Celery the next run comes later: in a minute, and after five seconds."""
    now = timezone.now()
    make_backlog(monkeypatch, now)

    assert run_due(now, periodic=False) == {"test": 120}


def test_a_run_begins_nothing_more_when_its_time_is_over(monkeypatch):
    now = timezone.now()
    make_backlog(monkeypatch, now)
    moments = iter([now] * 130 + [now + MINUTE] * 130)
    monkeypatch.setattr(Stopwatch, "now", lambda self: next(moments))

    assert 50 < run_due(now, periodic=False, seconds=60)["test"] < 100


def test_a_round_in_which_nothing_is_due_reads_keys_only():
    """Django hashes each column of a query that is ordered: with all of them that was most of a round."""
    BookingFactory(next_at=timezone.now() + timedelta(hours=1))
    with CaptureQueriesContext(connection) as captured:
        run_due(timezone.now(), periodic=False)

    assert [count_columns(query) for query in captured.captured_queries] == [1] * 9


def test_a_row_of_a_unique_key_is_read_without_an_order():
    booking = BookingFactory()
    with CaptureQueriesContext(connection) as captured:
        found = find_by_token(
            Booking.objects.all(), sign(booking.public_id, salt=BOOKING_SALT), salt=BOOKING_SALT
        )

    assert found == booking
    assert "ORDER BY" not in captured.captured_queries[0]["sql"]


def test_a_full_sync_that_is_stopped_again_and_again_deletes_old_data_once(kit, monkeypatch):
    calls = []
    monkeypatch.setattr(scheduler.retention, "prune", lambda **kwargs: calls.append(kwargs))

    def stop(*args, **kwargs):
        raise RateLimitReached("no request is left")

    kit.sync_directory()
    monkeypatch.setattr(appointments, "read_page", stop)
    for _ in range(12):
        kit.run_due(after=15, periodic=True)
    assert len(calls) == 1
