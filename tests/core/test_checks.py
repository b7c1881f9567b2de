"""System checks."""

from __future__ import annotations

from datetime import date, datetime, timedelta

import pytest
from cryptography.fernet import Fernet
from django.core.checks import run_checks
from django.utils import timezone

VALID = {"API_KEY": "rgo-sandbox0000000000000000000000000", "SANDBOX": True}


def check(settings, *, deploy=False, **changes):
    """Return the messages for valid settings with these changes, by id."""
    settings.MEETERGO = {**VALID, **changes}
    return {
        message.id: message for message in run_checks(tags=["meetergo"], include_deployment_checks=deploy)
    }


def test_the_settings_of_the_sandbox_are_valid(settings):
    assert check(settings) == {}


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"APY_KEY": "x"}, "meetergo.E002"),
        ({"API_KEY": ""}, "meetergo.E003"),
        ({"API_KEY": "something"}, "meetergo.E004"),
        ({"USER_ID": "u1"}, "meetergo.E005"),
        ({"API_KEY": "ak_live:a:b"}, "meetergo.E006"),
        ({"BACKGROUND": "magic"}, "meetergo.E007"),
        ({"WEBHOOK_TOKENS": ["a-token/with-a-slash-in-the-middle"]}, "meetergo.E008"),
        ({"CACHE": "nowhere"}, "meetergo.E009"),
        ({"CONNECTIONS": {"b": {"API_KEY": "rgo-x", "USERID": "u"}}}, "meetergo.E002"),
        ({"WEBHOOK_TOKENS": ["short"]}, "meetergo.W001"),
        ({"SITE_URL": "http://clinic.example", "SANDBOX": False}, "meetergo.W002"),
        ({"SANDBOX": False}, "meetergo.W003"),
    ],
)
def test_each_mistake_is_reported_under_an_id_of_its_own(settings, change, expected):
    assert expected in check(settings, **change)


@pytest.mark.parametrize(
    "change",
    [
        {"API_KEY": "something", "USER_ID": "x", "BACKGROUND": "magic"},
        {"ENCRYPTION_KEYS": ["x"], "KEY_EXPIRES": date(2020, 1, 1)},
    ],
)
def test_every_message_has_a_hint(settings, change):
    found = check(settings, **change)

    assert found
    assert all(message.hint for message in found.values())


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"SANDBOX": True}, "meetergo.E010"),
        ({"BASE_URL": "https://elsewhere.example"}, "meetergo.E011"),
        ({"BASE_URL": "http://api.meetergo.com"}, "meetergo.E011"),
    ],
)
def test_the_deployment_check_refuses_the_sandbox_and_other_hosts(settings, change, expected):
    assert expected in check(settings, deploy=True, **{"SANDBOX": False, **change})


@pytest.mark.parametrize(("days", "is_reported"), [(60, False), (14, True), (-3, True)])
def test_a_credential_that_expires_soon_is_reported(settings, days, is_reported):
    day = timezone.localdate() + timedelta(days=days)

    assert ("meetergo.W005" in check(settings, KEY_EXPIRES=day)) is is_reported
    others = {"b": {"API_KEY": "rgo-b", "KEY_EXPIRES": day}}
    assert ("meetergo.W005" in check(settings, CONNECTIONS=others)) is is_reported


@pytest.mark.parametrize("day", ["2027-01-31", datetime(2027, 1, 31)])  # noqa: DTZ001 - the mistake itself
def test_an_expiry_that_is_not_a_date_is_reported(settings, day):
    assert "meetergo.E016" in check(settings, KEY_EXPIRES=day)
    assert "meetergo.E016" not in check(settings, KEY_EXPIRES=date(2099, 1, 31))


def test_an_invalid_encryption_key_is_reported_without_its_value(settings):
    found = check(settings, ENCRYPTION_KEYS=[Fernet.generate_key().decode(), "hunter2"])

    assert "[1] is not a Fernet key" in found["meetergo.E017"].msg
    assert "hunter2" not in found["meetergo.E017"].msg


@pytest.mark.parametrize(
    ("database", "is_reported"),
    [
        ({"ENGINE": "django.db.backends.postgresql"}, True),
        ({"ENGINE": "django.db.backends.postgresql", "CONN_MAX_AGE": 60}, False),
        ({"ENGINE": "django.db.backends.postgresql", "OPTIONS": {"pool": True}}, False),
        ({"ENGINE": "django.db.backends.sqlite3"}, False),
    ],
)
def test_a_new_database_connection_per_request_is_reported(settings, monkeypatch, database, is_reported):
    monkeypatch.setattr("django_meetergo.checks.django_settings", type("S", (), {
        "DATABASES": {"default": database}, "DEBUG": False, "CACHES": settings.CACHES, "USE_TZ": True,
    }))  # fmt: skip

    assert ("meetergo.W006" in check(settings, SANDBOX=False)) is is_reported


@pytest.mark.parametrize(
    ("cache", "is_reported"),
    [
        ({"BACKEND": "django.core.cache.backends.db.DatabaseCache"}, True),
        ({"BACKEND": "django.core.cache.backends.db.DatabaseCache", "OPTIONS": {"MAX_ENTRIES": 500}}, True),
        ({"BACKEND": "django.core.cache.backends.db.DatabaseCache", "OPTIONS": {"MAX_ENTRIES": 9000}}, False),
        ({"BACKEND": "django.core.cache.backends.db.DatabaseCache", "max_entries": 9000}, False),
        ({"BACKEND": "django.core.cache.backends.redis.RedisCache"}, False),
    ],
)
def test_a_cache_that_is_too_small_is_reported(settings, monkeypatch, cache, is_reported):
    monkeypatch.setattr("django_meetergo.checks.django_settings", type("S", (), {
        "CACHES": {"default": cache}, "DATABASES": {}, "DEBUG": False, "USE_TZ": True,
    }))  # fmt: skip

    assert ("meetergo.W007" in check(settings)) is is_reported
