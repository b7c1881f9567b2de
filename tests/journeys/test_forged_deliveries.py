"""Forged deliveries at a webhook endpoint whose token has leaked."""

from __future__ import annotations

import json
import random

import pytest
from django.test import Client

from django_meetergo.models import Appointment, WebhookDelivery
from django_meetergo.services.webhooks.registration import build_endpoint

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_flood_of_forged_deliveries_leaves_the_mirror_equal_to_meetergo(meetergo_sandbox):
    """Forged deliveries name known and unknown appointments; nothing of their content is stored."""
    kit, dice = meetergo_sandbox, random.Random(7)
    kit.register_webhook()
    for start in kit.list_free_starts()[:12]:
        kit.occupy_slot(start)
    endpoint = build_endpoint("default").removeprefix("https://clinic.example")
    for remote in kit.appointments():
        forged = {
            "webhookType": dice.choice(["booking_cancelled", "booking_rescheduled", "booking_created"]),
            "id": dice.choice([remote.id, f"invented-{dice.random()}"]),
            "isCancelled": True,
            "start": "2031-01-01T10:00:00+01:00",
            "attendees": [{"id": "x", "email": "mallory@example.com"}],
        }
        assert Client().post(endpoint, json.dumps(forged), content_type="application/json").status_code == 200
    kit.deliver(duplicate=2, shuffle=True)

    for seconds in (3, 6, 31, 121, 601):
        kit.run_due(after=seconds)

    stored = {row.remote_id: (row.start, row.is_cancelled) for row in Appointment.objects.all()}
    assert stored == {one.id: (one.start, one.is_cancelled) for one in kit.appointments(active=False)}
    assert not Appointment.objects.filter(attendees__email="mallory@example.com").exists()
    assert not WebhookDelivery.objects.filter(state="pending").exists()
