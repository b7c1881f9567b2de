"""Query plans at 200,000 rows a table, on PostgreSQL: the work of every minute reads no whole table."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from django_meetergo.models import Appointment, Booking, Event, SyncRun, WebhookDelivery
from django_meetergo.services import scheduler
from django_meetergo.services.booking.outcomes import adopt_documents
from django_meetergo.services.health import describe_dead_deliveries, describe_missing_appointments
from django_meetergo.services.mirror.appointments import record_appointments
from django_meetergo.services.sync.appointments import list_unseen
from django_meetergo.services.webhooks.apply import apply_deliveries
from django_meetergo.testing.factories import AppointmentFactory

pytestmark = pytest.mark.django_db

ROWS = 200_000
NUMBER = "n::text"
#: A different value for each row, for the columns that are unique or that a query selects by.
VALUES = {
    "public_id": "gen_random_uuid()",
    "remote_id": NUMBER,
    "digest": NUMBER,
    "reference": NUMBER,
    "idempotency_key": NUMBER,
    "key": NUMBER,
    "start": "now() - n * interval '3 minutes'",
    "end": "now() - n * interval '3 minutes'",
}


def multiply(row, **values):
    """Insert ``ROWS`` copies of a row, with other values in the columns that are named."""
    table = row._meta.db_table
    fields = [one for one in row._meta.concrete_fields if not (one.primary_key or one.generated)]
    columns = [field.column for field in fields]
    given = {**VALUES, **values}
    source = ", ".join(f"({given[name]})" if name in given else f'"{name}"' for name in columns)
    names = ", ".join(f'"{name}"' for name in columns)
    with connection.cursor() as cursor:
        cursor.execute(
            f'INSERT INTO "{table}" ({names}) SELECT {source} FROM "{table}", '
            f"generate_series(1, {ROWS}) AS n WHERE id = %s",
            [row.pk],
        )
        cursor.execute(f'ANALYZE "{table}"')


@pytest.fixture
def full_tables(meetergo_sandbox):
    """A site that has been used for years: nearly all rows have ended."""
    assert connection.vendor == "postgresql", "Set DATABASE_URL to a PostgreSQL database."
    kit = meetergo_sandbox
    kind, now = kit.meeting_type(), kit.now()
    multiply(AppointmentFactory(meeting_type=kind, synced_at=now, status="cancelled"))
    booking = Booking.objects.create(
        meeting_type=kind, start=now, duration=30, created_at=now, state="closed", reason="slot_taken"
    )
    multiply(booking)
    delivery = WebhookDelivery.objects.create(
        remote_id="x", digest="x", event_type="booking_created", received_at=now, state="applied"
    )
    multiply(delivery)
    event = Event.objects.create(kind="booking_received", key="x", created_at=now, dispatched_at=now)
    multiply(event)
    return kit


def list_scans(queries):
    """Return the statements whose plan reads one of the big tables from end to end."""
    big = "|".join(model._meta.db_table for model in (Appointment, Booking, WebhookDelivery, Event))
    found = []
    for sql in {query["sql"] for query in queries}:
        if not re.match(r"(SELECT|UPDATE|DELETE)\b", sql):
            continue
        with connection.cursor() as cursor:
            cursor.execute(f"EXPLAIN {sql}".replace("%", "%%"), [])
            plan = "\n".join(line for (line,) in cursor.fetchall())
        if re.search(rf"Seq Scan on ({big})\b", plan):
            found.append(f"{sql}\n{plan}")
    return found


def test_no_statement_of_the_regular_work_reads_a_whole_table(full_tables):
    """Due rows, a delivery, a page of a sync, an event, and the rows that no list showed."""
    kit = full_tables
    kit.occupy_slot(kit.list_free_starts()[0])
    remote = kit.appointments()[0]
    document = kit.client("sync").get_appointment(remote.id)
    run = SyncRun(connection="default", kind="near", started_at=kit.now())
    run.window_start, run.window_end = kit.now() - timedelta(days=1), kit.now() + timedelta(days=60)

    with CaptureQueriesContext(connection) as captured:
        scheduler.find_next_due(kit.now())
        kit.reread_all()
        apply_deliveries(connection="default", client=kit.client("deliveries"), now=kit.now())
        adopt_documents(connection="default", documents=[document], now=kit.now())
        record_appointments(connection="default", documents=[document], now=kit.now())
        scheduler.run_due(kit.now(), periodic=False)
        list_unseen(run, [])
        describe_dead_deliveries("default")
        describe_missing_appointments("default")

    assert len(captured) > 40
    scans = list_scans(captured.captured_queries)
    assert not scans, "\n\n".join(scans)
    assert list_scans([{"sql": "SELECT count(*) FROM meetergo_booking WHERE duration = 30"}])
