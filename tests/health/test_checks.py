"""What the settings alone give away."""

from __future__ import annotations

from datetime import date, datetime, timedelta

import pytest
from cryptography.fernet import Fernet
from django.core.checks import run_checks
from django.utils import timezone

GOOD = {"API_KEY": "rgo-sandbox0000000000000000000000000", "SANDBOX": True}


def check(settings, **meetergo):
    settings.MEETERGO = {**GOOD, **meetergo}
    return {message.id: message for message in run_checks(tags=["meetergo"])}


@pytest.mark.parametrize(("days", "told"), [(60, False), (14, True), (-3, True)])
def test_a_key_that_ends_soon_is_told(settings, days, told):
    day = timezone.localdate() + timedelta(days=days)

    assert ("meetergo.W005" in check(settings, KEY_EXPIRES=day)) is told
    others = {"b": {"API_KEY": "rgo-b", "KEY_EXPIRES": day}}
    assert ("meetergo.W005" in check(settings, CONNECTIONS=others)) is told


@pytest.mark.parametrize("day", ["2027-01-31", datetime(2027, 1, 31)])  # noqa: DTZ001 - a mistake to be told
def test_a_day_that_is_none_is_told(settings, day):
    assert "meetergo.E016" in check(settings, KEY_EXPIRES=day)
    assert "meetergo.E016" not in check(settings, KEY_EXPIRES=date(2099, 1, 31))


def test_an_encryption_key_that_is_none_is_told_without_showing_it(settings):
    found = check(settings, ENCRYPTION_KEYS=[Fernet.generate_key().decode(), "hunter2"])

    assert "[1] is not a key" in found["meetergo.E017"].msg
    assert "hunter2" not in found["meetergo.E017"].msg


@pytest.mark.parametrize(
    ("database", "told"),
    [
        ({"ENGINE": "django.db.backends.postgresql"}, True),
        ({"ENGINE": "django.db.backends.postgresql", "CONN_MAX_AGE": 60}, False),
        ({"ENGINE": "django.db.backends.postgresql", "OPTIONS": {"pool": True}}, False),
        ({"ENGINE": "django.db.backends.sqlite3"}, False),
    ],
)
def test_a_new_connection_for_each_request_is_told(settings, monkeypatch, database, told):
    monkeypatch.setattr("django_meetergo.checks.django_settings", type("S", (), {
        "DATABASES": {"default": database}, "DEBUG": False, "CACHES": settings.CACHES, "USE_TZ": True,
    }))  # fmt: skip

    assert ("meetergo.W006" in check(settings, SANDBOX=False)) is told


@pytest.mark.parametrize(
    ("cache", "told"),
    [
        ({"BACKEND": "django.core.cache.backends.db.DatabaseCache"}, True),
        ({"BACKEND": "django.core.cache.backends.db.DatabaseCache", "OPTIONS": {"MAX_ENTRIES": 500}}, True),
        ({"BACKEND": "django.core.cache.backends.db.DatabaseCache", "OPTIONS": {"MAX_ENTRIES": 9000}}, False),
        ({"BACKEND": "django.core.cache.backends.db.DatabaseCache", "max_entries": 9000}, False),
        ({"BACKEND": "django.core.cache.backends.redis.RedisCache"}, False),
    ],
)
def test_a_cache_that_forgets_permits_is_told(settings, monkeypatch, cache, told):
    monkeypatch.setattr("django_meetergo.checks.django_settings", type("S", (), {
        "CACHES": {"default": cache}, "DATABASES": {}, "DEBUG": False, "USE_TZ": True,
    }))  # fmt: skip

    assert ("meetergo.W007" in check(settings)) is told


def test_every_message_says_what_to_do(settings):
    found = check(settings, ENCRYPTION_KEYS=["x"], KEY_EXPIRES=date(2020, 1, 1))

    assert all(message.hint for message in found.values())
