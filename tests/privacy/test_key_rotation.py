"""Key rotation."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.fernet import Fernet
from django.core.management import CommandError, call_command
from django.db import connection
from django.utils import timezone

from django_meetergo.models import Appointment, Booking, Connection
from django_meetergo.services.health import BAD, FAIR, GOOD, collect_facts
from django_meetergo.services.privacy import key_rotation
from django_meetergo.services.privacy.key_rotation import rotate_keys
from django_meetergo.testing.factories import AppointmentFactory

pytestmark = pytest.mark.django_db

OLD, NEW = Fernet.generate_key().decode(), Fernet.generate_key().decode()


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
    Connection.objects.create()
    use_keys(NEW, OLD)

    def kill(report):
        if report.rotated >= 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        rotate_keys(on_batch=kill)
    before = stored_secrets()
    assert key_rotation.needs_rotation()  # else the old key would be taken away too early
    report = rotate_keys()

    assert (report.rotated, report.current, report.unreadable) == (6, 3, 0)
    assert stored_secrets()[:3] == before[:3]
    assert rotate_keys().rotated == 0


def test_secrets_without_a_key_are_reported_and_not_changed(use_keys):
    use_keys(OLD)
    AppointmentFactory(secret="lost")
    before = stored_secrets()
    use_keys(NEW)

    with pytest.raises(CommandError, match="1 secrets cannot be decrypted"):
        call_command("meetergo_rotate_keys", verbosity=0)

    assert stored_secrets() == before
    assert Booking.objects.count() == 0


def read_doctor():
    facts = collect_facts(connection="default", now=timezone.now())
    return next(fact for fact in facts if fact.name == "encryption")


@pytest.fixture
def site(meetergo_sandbox, settings):
    """A site without ENCRYPTION_KEYS and with a mirrored appointment."""
    settings.MEETERGO = {**settings.MEETERGO, "ENCRYPTION_KEYS": []}
    call_command("meetergo_sync", "--kind", "full", verbosity=0)
    assert set(read_secrets()) - {""}
    return meetergo_sandbox


def read_secrets():
    return list(Appointment.objects.order_by("pk").values_list("secret", flat=True))


def test_the_documented_way_to_the_first_key_loses_no_secret(site, use_keys, settings):
    """Every step as it is written in docs/howto/rotate.rst."""
    docs = " ".join((Path(__file__).parents[2] / "docs" / "howto" / "rotate.rst").read_text("utf-8").split())
    before = read_secrets()
    assert read_doctor().level == GOOD

    assert "1. Put a new key first in ``ENCRYPTION_KEYS`` and keep the old ones behind it." in docs
    use_keys(NEW)
    assert "2. Restart the site. The doctor says that an older key is still needed." in docs
    assert (read_doctor().level, read_doctor().text) == (FAIR, "an older key is still needed")
    assert read_secrets() == before
    assert "3. Run ``manage.py meetergo_rotate_keys`` until it succeeds." in docs
    call_command("meetergo_rotate_keys", verbosity=0)
    assert "4. Remove the old keys from ``ENCRYPTION_KEYS``, and restart the site." in docs
    settings.SECRET_KEY = "another"
    assert read_secrets() == before
    assert read_doctor().level == GOOD


def test_a_first_key_and_a_new_secret_key_at_once_lose_no_secret(site, use_keys, settings):
    """A site that was leaked changes both; the old secret key is a fallback until everything is rotated."""
    before = read_secrets()

    use_keys(NEW)
    settings.SECRET_KEY_FALLBACKS, settings.SECRET_KEY = [settings.SECRET_KEY], "another"
    assert read_secrets() == before
    call_command("meetergo_rotate_keys", verbosity=0)
    settings.SECRET_KEY_FALLBACKS = []

    assert read_secrets() == before
    assert read_doctor().level == GOOD


def test_the_documented_way_after_a_lost_key_fetches_the_secrets_again(site, use_keys):
    before = read_secrets()
    use_keys(OLD)
    call_command("meetergo_rotate_keys", verbosity=0)
    use_keys(NEW)
    assert read_doctor().level == BAD
    with pytest.raises(CommandError, match="--discard, then meetergo_sync --kind full"):
        call_command("meetergo_rotate_keys", verbosity=0)

    call_command("meetergo_rotate_keys", "--discard", verbosity=0)
    call_command("meetergo_sync", "--kind", "full", verbosity=0)

    assert read_secrets() == before
    assert read_doctor().level == GOOD
