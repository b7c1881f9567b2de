"""Numbers of SQL statements, counted on PostgreSQL."""

from __future__ import annotations

import json

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from django_meetergo.models import Booking
from django_meetergo.presentation.form_token import make_token
from django_meetergo.sandbox.changes import set_note
from django_meetergo.sandbox.scenarios import add_appointments
from django_meetergo.services import AttendeeData, book_appointment
from django_meetergo.services.mirror.appointments import record_appointments
from django_meetergo.services.sync.appointments import list_owners
from django_meetergo.services.webhooks.apply import apply_deliveries
from django_meetergo.services.webhooks.receive import receive_delivery
from django_meetergo.services.webhooks.registration import build_endpoint

pytestmark = pytest.mark.django_db


@pytest.fixture
def kit(meetergo_sandbox, settings):
    assert connection.vendor == "postgresql", "Set DATABASE_URL to a PostgreSQL database."
    settings.MEETERGO = {**settings.MEETERGO, "REQUESTS_PER_MINUTE": 1000}
    meetergo_sandbox.sync_directory()
    return meetergo_sandbox


def deliver(kit, **body):
    receive_delivery(connection="default", body=json.dumps(body).encode(), now=kit.now())


def read_hundred(kit):
    """Return the first hundred appointments of all hosts' lists."""
    lists = [kit.client("sync").list_appointments(user_id=owner) for owner in list_owners("default")]
    return [document for documents in lists for document in documents][:100]


def test_a_page_of_a_hundred_costs_a_dozen_statements(kit, django_assert_max_num_queries):
    """14 when new, 2 when unchanged, 14 when ten of them changed, plus the savepoint."""
    add_appointments(kit.sandbox.state, 120)
    documents = read_hundred(kit)
    assert len(documents) == 100
    with django_assert_max_num_queries(14 + 2):
        recorded = record_appointments(connection="default", documents=documents, now=kit.now())
    assert recorded.written == 100

    with django_assert_max_num_queries(2):
        recorded = record_appointments(connection="default", documents=documents, now=kit.now())
    assert recorded.written == 0

    for document in documents[:10]:
        set_note(kit.sandbox.state, kit.sandbox.state.appointments[document.id], "changed")
    documents = read_hundred(kit)
    with django_assert_max_num_queries(14 + 2):
        recorded = record_appointments(connection="default", documents=documents, now=kit.now())
    assert recorded.written == 10


def test_a_hundred_deliveries_cost_sixteen_statements_or_one_read(kit, django_assert_max_num_queries):
    """Of a hundred appointments: 16 in all, plus the savepoint. Of one appointment: one read."""
    add_appointments(kit.sandbox.state, 100)
    ids = [remote.id for remote in kit.appointments()]
    for remote_id in ids:
        deliver(kit, webhookType="booking_created", id=remote_id)
    kit.travel(seconds=3)
    with django_assert_max_num_queries(16 + 2):
        applied = apply_deliveries(connection="default", client=kit.client("reread"), now=kit.now())
    assert applied == 100

    kit.clear_availability()
    reads = kit.count_requests("GET /v4/appointment/{id}")
    for number in range(100):
        deliver(kit, webhookType="booking_created", id=ids[0], nonce=number)
    kit.run_due(after=3)
    assert kit.count_requests("GET /v4/appointment/{id}") == reads + 1


def test_a_webhook_delivery_costs_two_statements_and_no_call(kit, django_assert_max_num_queries):
    """Whether the delivery is new or repeated."""
    endpoint = build_endpoint("default").removeprefix("https://clinic.example")
    body = json.dumps({"webhookType": "booking_created", "id": "some-id"})
    calls = len(kit.sandbox.request_log.entries())

    for _ in range(2):
        with django_assert_max_num_queries(2):
            Client().post(endpoint, body, content_type="application/json")

    assert len(kit.sandbox.request_log.entries()) == calls


def fill_in(start, **changes):
    """Return what the booking form of a start sends."""
    return {
        "start": start.isoformat(),
        "token": make_token(),
        "first_name": "Jane",
        "last_name": "Doe",
        "email": "jane@example.com",
        "receive_reminders": "on",
        **changes,
    }


def count_statements(run):
    """Return the statements and the transactions of a call."""
    with CaptureQueriesContext(connection) as captured:
        run()
    texts = [query["sql"] for query in captured.captured_queries]
    begun = texts.count("BEGIN")
    return sum(text not in {"BEGIN", "COMMIT", "ROLLBACK"} for text in texts), begun


@pytest.mark.django_db(transaction=True)
def test_a_booking_costs_twenty_statements_in_two_transactions(kit):
    """From the submitted form to the redirect. What is stored before the request leaves is one of them."""
    form, client = fill_in(kit.list_free_starts()[3]), Client()

    statements, transactions = count_statements(lambda: client.post("/book/intro-call/details/", form))

    assert Booking.objects.get().state == "confirmed"
    assert statements <= 20
    assert transactions == 2


@pytest.mark.django_db(transaction=True)
def test_who_comes_too_late_for_a_slot_costs_five_statements_and_no_call(kit):
    """While another booking of this site holds it."""
    meeting_type, start = kit.meeting_type(), kit.list_free_starts()[3]
    with kit.kill_process():
        book(kit, meeting_type, start, "jane@example.com")
    calls = len(kit.sandbox.request_log.entries())

    statements, transactions = count_statements(lambda: book(kit, meeting_type, start, "joe@example.com"))

    assert Booking.objects.get(email="joe@example.com").reason == "slot_taken"
    assert (statements <= 5, transactions) == (True, 1)
    assert len(kit.sandbox.request_log.entries()) == calls


def book(kit, meeting_type, start, email):
    return book_appointment(
        meeting_type=meeting_type,
        start=start,
        attendee=AttendeeData(email=email, first_name="Jane"),
        client=kit.client(),
        now=kit.now(),
    )
