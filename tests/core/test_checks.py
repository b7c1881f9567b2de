"""System checks."""

from __future__ import annotations

import re
from dataclasses import fields
from datetime import date, datetime, timedelta

import pytest
from cryptography.fernet import Fernet
from django.conf import settings as django_settings
from django.core.checks import run_checks
from django.core.exceptions import ImproperlyConfigured
from django.core.management import call_command
from django.utils import timezone
from django.utils.translation import gettext_lazy

from django_meetergo.conf import Settings, get_settings
from django_meetergo.testing.factories import MeetingTypeFactory

VALID = {"API_KEY": "rgo-sandbox0000000000000000000000000", "SANDBOX": True}

pytestmark = pytest.mark.django_db  # newer Djangos run database checks each time


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
        ({"API_KEY": ""}, "meetergo.W008"),
        ({"CONNECTIONS": {"b": {}}}, "meetergo.W008"),
        ({"API_KEY": "something"}, "meetergo.E004"),
        ({"USER_ID": "u1"}, "meetergo.E005"),
        ({"API_KEY": "ak_live:a:b"}, "meetergo.E006"),
        ({"BACKGROUND": "magic"}, "meetergo.E007"),
        ({"WEBHOOK_TOKENS": ["a-token/with-a-slash-in-the-middle"]}, "meetergo.E008"),
        ({"SITE_URL": "clinic.example"}, "meetergo.E024"),
        ({"CACHE": "nowhere"}, "meetergo.E009"),
        ({"POLICY": "shop.policies.missing"}, "meetergo.E019"),
        ({"POLICY": "django_meetergo.conf.SETTING_NAME"}, "meetergo.E019"),
        ({"BASE_TEMPLATE": "missing.html"}, "meetergo.E020"),
        ({"CONNECTIONS": {"b": {"API_KEY": "rgo-x", "USERID": "u"}}}, "meetergo.E002"),
        ({"REBOOK": {"day": 3}}, "meetergo.E002"),
        ({"RETENTION_DAYS": {"delivery": 3}}, "meetergo.E002"),
        ({"WEBHOOK_TOKENS": ["short"]}, "meetergo.W001"),
        ({"SITE_URL": "http://clinic.example", "SANDBOX": False}, "meetergo.W002"),
        ({"SANDBOX": False}, "meetergo.W003"),
        ({"COLOR_SCHEME": "drak"}, "meetergo.E025"),
        ({"MEETING_TYPES": "intro-call"}, "meetergo.E018"),
    ],
)
def test_each_mistake_is_reported_under_an_id_of_its_own(settings, change, expected):
    assert expected in check(settings, **change)


WRONG_VALUES = [
    ({"WEBHOOK_TOKENS": "a-token-that-is-written-without-a-list"}, "a list of texts, not a str"),
    ({"WEBHOOK_TOKENS": [1]}, "a list of texts, not a list"),
    ({"EMBED_HOSTS": "cal.meetergo.com"}, "a list of texts"),
    ({"TIMEOUT": "20"}, "a number, not a str"),
    ({"TIMEOUT": True}, "a number, not a bool"),
    ({"TIMEOUT": 0}, "greater than 0"),
    ({"LEASE": None}, "a number, not None"),
    ({"REQUESTS_PER_MINUTE": 1.5}, "a whole number"),
    ({"MAX_FUTURE_APPOINTMENTS": -1}, "not be negative"),
    ({"SANDBOX": "False"}, "True or False"),
    ({"API_KEY": None}, "a text, not None"),
    ({"CONTACT": b"x"}, "a text"),
    ({"FORMS": ["intro"]}, "a dictionary of texts"),
    ({"CONNECTIONS": {"b": "rgo-b"}}, "a dictionary"),
    ({"CONNECTIONS": {"b": {"API_KEY": 1}}}, "a text"),
    ({"RETENTION_DAYS": {"events": "365"}}, "a dictionary of whole numbers"),
    ({"REBOOK": True}, "a dictionary or None, not a bool"),
    ({"REBOOK": {"hours": (18, 8)}}, "the first and the last hour"),
    ({"REBOOK": {"hours": [8]}}, "the first and the last hour"),
    ({"REBOOK": {"hours": "8-18"}}, "a list of whole numbers"),
    ({"REBOOK": {"weekdays": [7]}}, "from 0 (Monday) to 6"),
    ({"OUTCOME_DEADLINE": 5}, "at least TIMEOUT"),
    ({"LEASE": 20, "TIMEOUT_BACKGROUND": 25}, "at least TIMEOUT"),
]


@pytest.mark.parametrize(("change", "text"), WRONG_VALUES)
def test_a_value_of_a_wrong_type_is_an_error_in_the_check_and_at_use(settings, change, text):
    found = check(settings, **change)

    assert text in found["meetergo.E018"].msg
    with pytest.raises(ImproperlyConfigured, match=re.escape(text)):
        get_settings()


def test_the_error_for_a_secret_does_not_contain_it(settings):
    assert "hunter2" not in str(check(settings, WEBHOOK_TOKENS="hunter2"))


def test_every_key_accepts_its_default_and_refuses_an_object(settings):
    for key in fields(Settings):
        assert "meetergo.E018" not in check(settings, **{key.name: getattr(Settings(), key.name)})
        assert {"meetergo.E018", "meetergo.E016"} & set(check(settings, **{key.name: object()}))


def test_a_text_may_be_translated(settings):
    assert check(settings, CONTACT=gettext_lazy("Anna")) == {}


@pytest.mark.django_db
def test_without_a_credential_migrations_are_still_possible(settings):
    """Images are built where no credential is at hand."""
    settings.MEETERGO = {}

    call_command("makemigrations", "--check", "--dry-run", verbosity=0, skip_checks=False)


def test_what_the_app_needs_of_the_site_is_reported(settings, monkeypatch):
    settings.ROOT_URLCONF = "tests.api.bare_urls"
    assert "meetergo.W010" in check(settings)
    monkeypatch.setattr("django.db.router.db_for_write", lambda model: "other")
    assert "meetergo.E022" in check(settings)
    settings.USE_TZ = False
    assert "meetergo.E021" in check(settings)


def test_a_base_template_of_another_engine_is_reported(settings, tmp_path):
    (tmp_path / "base.html").write_text("<html>")
    jinja = {"BACKEND": "django.template.backends.dummy.TemplateStrings", "DIRS": [tmp_path]}
    settings.TEMPLATES = [*settings.TEMPLATES, {**jinja, "APP_DIRS": False, "OPTIONS": {}}]

    assert "meetergo.E020" in check(settings, BASE_TEMPLATE="base.html")


@pytest.mark.django_db
def test_a_form_for_an_unknown_meeting_type_is_reported(settings):
    forms = {"intro": "django.forms.Form", "into": "django.forms.Form"}
    settings.MEETERGO = {**VALID, "FORMS": forms}
    assert run_checks(tags=["database"], databases=["default"]) == []

    MeetingTypeFactory(slug="intro")
    assert ["into" in found.msg for found in run_checks(tags=["database"], databases=["default"])] == [True]


@pytest.mark.parametrize(
    ("options", "is_reported"),
    [
        ({}, True),
        ({"transaction_mode": "IMMEDIATE"}, True),
        ({"transaction_mode": "IMMEDIATE", "init_command": "PRAGMA journal_mode=WAL"}, False),
    ],
)
def test_sqlite_that_is_not_set_up_for_several_writers_is_reported(
    settings, monkeypatch, options, is_reported
):
    database = {"ENGINE": "django.db.backends.sqlite3", "OPTIONS": options}
    monkeypatch.setattr(django_settings, "DATABASES", {"default": database})

    assert ("meetergo.W009" in check(settings, SANDBOX=False)) is is_reported
    assert "meetergo.W009" not in check(settings)


@pytest.mark.parametrize(
    "change",
    [
        {"API_KEY": "something", "USER_ID": "x", "BACKGROUND": "magic", "POLICY": "x", "BASE_TEMPLATE": "x"},
        {"ENCRYPTION_KEYS": ["x"], "KEY_EXPIRES": date(2020, 1, 1), "CACHE": "x", "SITE_URL": "x"},
        {"LEASE": "x", "WRONG": "x", "KEY_EXPIRES": "x"},
        {"API_KEY": ""},
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
    monkeypatch.setattr("django_meetergo.checks.settings.django_settings", type("S", (), {
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
    monkeypatch.setattr("django_meetergo.checks.settings.django_settings", type("S", (), {
        "CACHES": {"default": cache}, "DATABASES": {}, "DEBUG": False, "USE_TZ": True,
    }))  # fmt: skip

    assert ("meetergo.W007" in check(settings)) is is_reported


@pytest.mark.parametrize("scheme", ["inherit", "light", "dark", "auto"])
def test_each_color_scheme_that_the_stylesheet_knows_is_accepted(settings, scheme):
    assert "meetergo.E025" not in check(settings, COLOR_SCHEME=scheme)


def test_another_address_of_a_connection_is_refused_in_production(settings):
    """Not only that of the default one."""
    real = "https://api.meetergo.com"
    others = {"b": {"API_KEY": "rgo-b", "BASE_URL": "https://elsewhere.example"}}

    found = check(settings, deploy=True, BASE_URL=real, CONNECTIONS=others)

    assert '["CONNECTIONS"]["b"]["BASE_URL"]' in found["meetergo.E011"].msg
    assert "meetergo.E011" not in check(settings, deploy=True, BASE_URL=real, CONNECTIONS={})


@pytest.mark.django_db
def test_a_removed_connection_with_rows_is_named(settings):
    """Its types are not offered any more, so ``check`` says why."""
    from django_meetergo.checks.database import check_removed_connections

    assert check_removed_connections(None, databases=["default"]) == []
    MeetingTypeFactory(connection="clinic-b")

    found = check_removed_connections(None, databases=["default"])

    assert [(message.id, "'clinic-b'" in message.msg) for message in found] == [("meetergo.W012", True)]
    settings.MEETERGO = {**settings.MEETERGO, "CONNECTIONS": {"clinic-b": {"API_KEY": "rgo-b"}}}
    assert check_removed_connections(None, databases=["default"]) == []
    assert check_removed_connections(None) == []


@pytest.mark.django_db
def test_a_form_for_an_unknown_type_is_answered_with_the_names_of_types(settings):
    """Also with the slug at meetergo, since that is what people write."""
    from django_meetergo.checks.database import check_slugs

    MeetingTypeFactory(slug="talk-b", connection="clinic-b", raw={"slug": "talk"})
    settings.MEETERGO = {**settings.MEETERGO, "FORMS": {"talk": "django.forms.Form"}}

    (found,) = check_slugs(None, databases=["default"])

    assert found.id == "meetergo.W011"
    assert "talk-b (clinic-b: talk)" in found.hint
