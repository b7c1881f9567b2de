"""Old things are forgotten, new keys take over; both may be killed at any moment."""

from __future__ import annotations

from datetime import timedelta

import pytest
from cryptography.fernet import Fernet
from django.core.management import CommandError, call_command
from django.db import connection
from django.utils import timezone

from django_meetergo.models import Appointment, Booking, Connection, Event, SyncRun, WebhookDelivery
from django_meetergo.services import privacy
from django_meetergo.testing.factories import AppointmentFactory, BookingFactory
from tests.harness import rotate

pytestmark = pytest.mark.django_db

OLD, NEW = Fernet.generate_key().decode(), Fernet.generate_key().decode()


def test_what_is_old_is_forgotten_and_what_is_needed_stays(capsys):
    now = timezone.now()
    long_ago = now - timedelta(days=400)
    for number, state in enumerate(("applied", "dead", "pending")):
        WebhookDelivery.objects.create(digest=str(number), state=state, received_at=long_ago)
    WebhookDelivery.objects.create(digest="new", state="applied", received_at=now)
    closed = BookingFactory(state="closed", reason="refused", closed_at=long_ago, custom_fields={"a": "b"})
    recent = BookingFactory(state="closed", reason="refused", closed_at=now)
    Event.objects.create(kind="booking_closed", key="old", created_at=long_ago, dispatched_at=long_ago)
    Event.objects.create(kind="booking_closed", key="untold", created_at=long_ago)
    SyncRun.objects.create(kind="near", state="done", started_at=long_ago, finished_at=long_ago)

    call_command("meetergo_prune")
    call_command("meetergo_prune", verbosity=0)

    assert set(WebhookDelivery.objects.values_list("digest", flat=True)) == {"2", "new"}
    assert list(Event.objects.values_list("key", flat=True)) == ["untold"]
    assert not SyncRun.objects.exists()
    closed.refresh_from_db()
    recent.refresh_from_db()
    assert (closed.email, closed.first_name, closed.custom_fields, closed.state) == ("", "", {}, "closed")
    assert recent.email
    assert "deliveries: 2" in capsys.readouterr().out


def test_a_kind_without_retention_is_kept(settings):
    settings.MEETERGO = {**settings.MEETERGO, "RETENTION_DAYS": {}}
    WebhookDelivery.objects.create(
        digest="1", state="applied", received_at=timezone.now() - timedelta(days=999)
    )

    privacy.prune(now=timezone.now())

    assert WebhookDelivery.objects.count() == 1


@pytest.fixture
def under(settings):
    """Choose the encryption keys in force."""

    def under(*keys):
        settings.MEETERGO = {**settings.MEETERGO, "ENCRYPTION_KEYS": list(keys)}

    return under


def stored_secrets():
    with connection.cursor() as cursor:
        cursor.execute("SELECT secret FROM meetergo_appointment ORDER BY id")
        return [row[0] for row in cursor.fetchall()]


def test_every_secret_comes_under_the_first_key(under, monkeypatch):
    """Over several batches; afterwards the old key may go."""
    monkeypatch.setattr(privacy, "BATCH_SIZE", 3)
    under(OLD)
    rows = [AppointmentFactory(secret=f"secret-{number}") for number in range(8)]
    AppointmentFactory(secret="")
    account = Connection.objects.create()

    under(NEW, OLD)
    call_command("meetergo_rotate_keys", verbosity=0)
    under(NEW)

    assert [Appointment.objects.get(pk=row.pk).secret for row in rows] == [f"secret-{n}" for n in range(8)]
    assert Connection.objects.get(pk=account.pk).canary == "the keys fit"


def test_a_rotation_that_was_killed_goes_on_where_it_was(under, monkeypatch):
    """What has been rotated is not written again."""
    monkeypatch.setattr(privacy, "BATCH_SIZE", 3)
    under(OLD)
    for number in range(8):
        AppointmentFactory(secret=f"secret-{number}")
    under(NEW, OLD)

    def kill(report):
        if report.rotated >= 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        privacy.rotate_keys(show=kill)
    before = stored_secrets()
    report = privacy.rotate_keys()

    assert (report.rotated, report.current, report.unreadable) == (5, 3, 0)
    assert stored_secrets()[:3] == before[:3]
    assert privacy.rotate_keys().rotated == 0


def test_a_rotation_that_is_killed_loses_nothing_and_writes_nothing_twice(tmp_path):
    """Twice with -9, at rows chosen by lot. ``python -m tests.harness rotate`` does it to 100,000."""
    figures = rotate.run(rows=4000, kills=2, seed=1, folder=tmp_path)

    assert figures["violations"] == []
    assert 0 < figures["rotated_at_last"] < 4000


def test_a_lost_key_is_told_and_its_secrets_are_left_alone(under):
    under(OLD)
    AppointmentFactory(secret="lost")
    before = stored_secrets()
    under(NEW)

    with pytest.raises(CommandError, match="1 secrets open with none"):
        call_command("meetergo_rotate_keys", verbosity=0)

    assert stored_secrets() == before
    assert Booking.objects.count() == 0
