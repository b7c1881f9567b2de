"""Retention."""

from __future__ import annotations

from datetime import timedelta

import pytest
from cryptography.fernet import Fernet
from django.core.management import call_command
from django.utils import timezone

from django_meetergo.models import Event, SyncRun, WebhookDelivery
from django_meetergo.services.privacy.retention import prune
from django_meetergo.testing.factories import BookingFactory

pytestmark = pytest.mark.django_db

OLD, NEW = Fernet.generate_key().decode(), Fernet.generate_key().decode()


def test_prune_deletes_what_is_old_and_not_needed(capsys):
    now = timezone.now()
    long_ago = now - timedelta(days=400)
    for number, state in enumerate(("applied", "dead", "pending")):
        WebhookDelivery.objects.create(digest=str(number), state=state, received_at=long_ago)
    WebhookDelivery.objects.create(digest="new", state="applied", received_at=now)
    closed = BookingFactory(state="closed", reason="refused", closed_at=long_ago, custom_fields={"a": "b"})
    recent = BookingFactory(state="closed", reason="refused", closed_at=now)
    Event.objects.create(kind="booking_closed", key="old", created_at=long_ago, dispatched_at=long_ago)
    Event.objects.create(kind="booking_closed", key="undispatched", created_at=long_ago)
    SyncRun.objects.create(kind="near", state="done", started_at=long_ago, finished_at=long_ago)

    call_command("meetergo_prune")
    call_command("meetergo_prune", verbosity=0)

    assert set(WebhookDelivery.objects.values_list("digest", flat=True)) == {"2", "new"}
    assert list(Event.objects.values_list("key", flat=True)) == ["undispatched"]
    assert not SyncRun.objects.exists()
    closed.refresh_from_db()
    recent.refresh_from_db()
    assert (closed.email, closed.first_name, closed.custom_fields, closed.state) == ("", "", {}, "closed")
    assert recent.email
    assert "deliveries: 2" in capsys.readouterr().out


def test_prune_keeps_the_last_full_sync_of_each_connection():
    """It says that what is new from then on is news. Without it, the next syncs would be silent."""
    long_ago = timezone.now() - timedelta(days=400)
    kept = []
    for connection in ("default", "partner"):
        for kind, state in (("full", "done"), ("full", "done"), ("full", "failed"), ("near", "done")):
            run = SyncRun.objects.create(
                connection=connection, kind=kind, state=state, started_at=long_ago, finished_at=long_ago
            )
            if (kind, state) == ("full", "done"):
                last = run.pk
        kept.append(last)

    prune(now=timezone.now())

    assert list(SyncRun.objects.order_by("pk").values_list("pk", flat=True)) == kept


def test_the_scheduler_deletes_old_data_once_a_day(meetergo_sandbox):
    kit = meetergo_sandbox
    WebhookDelivery.objects.create(digest="1", state="applied", received_at=kit.now() - timedelta(days=400))

    done = kit.run_due(periodic=True)
    assert "delete old data" in done
    assert not WebhookDelivery.objects.exists()
    assert "delete old data" not in kit.run_due(after=3600, periodic=True)
    assert "delete old data" in kit.run_due(after=86400, periodic=True)


def test_a_kind_without_retention_days_is_kept(settings):
    settings.MEETERGO = {**settings.MEETERGO, "RETENTION_DAYS": {}}
    WebhookDelivery.objects.create(
        digest="1", state="applied", received_at=timezone.now() - timedelta(days=999)
    )

    prune(now=timezone.now())

    assert WebhookDelivery.objects.count() == 1
