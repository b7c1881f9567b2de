"""Retention and key rotation."""

from __future__ import annotations

from datetime import timedelta

import pytest
from cryptography.fernet import Fernet
from django.core.management import CommandError, call_command
from django.db import connection
from django.utils import timezone

from django_meetergo.models import Appointment, Booking, Connection, Event, SyncRun, WebhookDelivery
from django_meetergo.services.privacy import key_rotation
from django_meetergo.services.privacy.key_rotation import rotate_keys
from django_meetergo.services.privacy.retention import prune
from django_meetergo.testing.factories import AppointmentFactory, BookingFactory
from tests.harness import rotate

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


@pytest.fixture
def use_keys(settings):
    """Return a function that sets ``ENCRYPTION_KEYS``."""

    def use(*keys):
        settings.MEETERGO = {**settings.MEETERGO, "ENCRYPTION_KEYS": list(keys)}

    return use


def stored_secrets():
    with connection.cursor() as cursor:
        cursor.execute("SELECT secret FROM meetergo_appointment ORDER BY id")
        return [row[0] for row in cursor.fetchall()]


def test_every_secret_is_re_encrypted_with_the_first_key(use_keys, monkeypatch):
    """In several batches. Afterwards the old key can be removed."""
    monkeypatch.setattr(key_rotation, "BATCH_SIZE", 3)
    use_keys(OLD)
    rows = [AppointmentFactory(secret=f"secret-{number}") for number in range(8)]
    AppointmentFactory(secret="")
    row = Connection.objects.create()

    use_keys(NEW, OLD)
    call_command("meetergo_rotate_keys", verbosity=0)
    use_keys(NEW)

    assert [Appointment.objects.get(pk=row.pk).secret for row in rows] == [f"secret-{n}" for n in range(8)]
    assert Connection.objects.get(pk=row.pk).canary == "the keys fit"


def test_an_interrupted_rotation_continues(use_keys, monkeypatch):
    """Secrets that were re-encrypted are not written again."""
    monkeypatch.setattr(key_rotation, "BATCH_SIZE", 3)
    use_keys(OLD)
    for number in range(8):
        AppointmentFactory(secret=f"secret-{number}")
    use_keys(NEW, OLD)

    def kill(report):
        if report.rotated >= 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        rotate_keys(on_batch=kill)
    before = stored_secrets()
    report = rotate_keys()

    assert (report.rotated, report.current, report.unreadable) == (5, 3, 0)
    assert stored_secrets()[:3] == before[:3]
    assert rotate_keys().rotated == 0


def test_a_killed_rotation_loses_nothing_and_writes_nothing_twice(tmp_path):
    """Twice, at random rows. ``python -m tests.harness rotate`` does it with 100,000 rows."""
    figures = rotate.run(rows=4000, kills=2, seed=1, folder=tmp_path)

    assert figures["violations"] == []
    assert 0 < figures["rotated_at_last"] < 4000


def test_secrets_without_a_key_are_reported_and_not_changed(use_keys):
    use_keys(OLD)
    AppointmentFactory(secret="lost")
    before = stored_secrets()
    use_keys(NEW)

    with pytest.raises(CommandError, match="1 secrets cannot be decrypted"):
        call_command("meetergo_rotate_keys", verbosity=0)

    assert stored_secrets() == before
    assert Booking.objects.count() == 0
