"""Staff see which receiver of an event failed, and have it called again."""

from __future__ import annotations

import pytest
from django.utils import timezone

from django_meetergo.models import Event
from django_meetergo.signals import appointment_booked
from tests.admin.conftest import get_text

pytestmark = pytest.mark.django_db

CALLER = "caller@example.com"


@pytest.fixture
def receivers():
    """Two receivers of a booking: one fails while ``is_broken`` is set."""
    calls = {"is_broken": True, "good": 0, "bad": 0}

    def is_counted(attendee):
        return attendee is not None and attendee.email == CALLER

    def update_records(attendee=None, **kwargs):
        calls["good"] += is_counted(attendee)

    def send_invoice(attendee=None, **kwargs):
        calls["bad"] += is_counted(attendee)
        if calls["is_broken"] and is_counted(attendee):
            raise RuntimeError("the invoice printer is on fire")

    for function in (update_records, send_invoice):
        appointment_booked.connect(function, weak=False)
    yield calls
    for function in (update_records, send_invoice):
        appointment_booked.disconnect(function)


def test_a_failed_receiver_is_named_and_called_again_alone(superuser, sandbox, book, receivers):
    booking = book(email=CALLER)
    sandbox.run_due()
    event = Event.objects.get(kind="appointment_booked", attendee=booking.attendee)
    assert receivers["good"] == receivers["bad"] == 1

    page = get_text(superuser.get("event_change", event.pk))
    receivers["is_broken"] = False
    superuser.run_action("event", "retry", [event])
    sandbox.run_due()

    assert "send_invoice" in page
    assert "the invoice printer is on fire" in page
    assert receivers["good"] == 1
    assert receivers["bad"] == 2
    event.refresh_from_db()
    assert event.dispatched_at


def test_a_processed_event_is_not_called_again(superuser):
    event = Event.objects.create(
        kind="appointment_booked", key="k", created_at=timezone.now(), dispatched_at=timezone.now()
    )

    result = superuser.run_action("event", "retry", [event])

    assert "No change: already processed" in get_text(result)
