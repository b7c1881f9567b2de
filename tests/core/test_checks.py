"""System checks."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import fields
from datetime import date, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import django
import pytest
from celery import Celery
from cryptography.fernet import Fernet
from django import forms
from django.conf import settings as django_settings
from django.core.checks import run_checks
from django.core.exceptions import ImproperlyConfigured
from django.core.management import call_command
from django.urls import reverse_lazy
from django.utils import timezone
from django.utils.translation import gettext_lazy

from django_meetergo import DOCS_URL, checks, conf
from django_meetergo.conf import Settings, get_settings
from django_meetergo.testing.factories import MeetingTypeFactory

VALID = {"API_KEY": "rgo-sandbox0000000000000000000000000", "SANDBOX": True}
#: A site in production, without the sandbox.
REAL = {"SANDBOX": False, "SITE_URL": "https://clinic.example"}
REFERENCE = Path(__file__).parents[2] / "docs" / "reference" / "checks.rst"


class TooManyQuestions(forms.Form):
    """Fifty questions and a file."""

    locals().update({f"q{number}": forms.CharField() for number in range(50)}, document=forms.FileField())


class NeedsMore(forms.Form):
    """Needs an argument that the booking form does not know."""

    def __init__(self, patient, *args, **kwargs):
        super().__init__(*args, **kwargs)


class TakesLess(forms.Form):
    def __init__(self, data=None):
        super().__init__(data)


async def wait_for_it(action, attendee, now):
    """A policy that nobody awaits."""


def forget_the_action(attendee, now):
    """A policy with too few arguments."""


pytestmark = pytest.mark.django_db  # newer Djangos run database checks each time


def check(settings, *, deploy=False, **changes):
    """Return the messages for valid settings with these changes, by id."""
    settings.MEETERGO = {**VALID, **changes}
    return run(deploy=deploy)


def run(*, deploy=False):
    found = run_checks(tags=["meetergo"], include_deployment_checks=deploy)
    return {message.id: message for message in found}


def test_the_settings_of_the_sandbox_are_valid(settings):
    assert check(settings) == {}


#: What breaks a setting, and the ids that report it. Other tests break what is not a setting of ours.
MISTAKES = [
    ([], "E001"),
    ({"APY_KEY": "x"}, "E002"),
    ({"CONNECTIONS": {"b": {"API_KEY": "rgo-x", "USERID": "u"}}}, "E002"),
    ({"REBOOK": {"day": 3}}, "E002"),
    ({"RETENTION_DAYS": {"delivery": 3}}, "E002"),
    ({"API_KEY": "something"}, "E004"),
    ({"API_KEY": "rgo-sandbox0000000000000000000000000\n"}, "E004"),
    ({"USER_ID": "u1"}, "E005"),
    ({"API_KEY": "ak_live:a:b"}, "E006"),
    ({"BACKGROUND": "magic"}, "E007"),
    ({"WEBHOOK_TOKENS": ["a-token/with-a-slash-in-the-middle"]}, "E008"),
    ({"WEBHOOK_TOKENS": [""]}, "E008"),
    ({"CACHE": "nowhere"}, "E009"),
    ({"FORMS": {"intro": "shop.forms.Missing"}}, "E012"),
    ({"FORMS": {"intro": ".forms.Intro"}}, "E012"),
    ({"FORMS": {"intro": ".Intro"}}, "E012"),
    ({"FORMS": {"intro": "django_meetergo.conf.Settings"}}, "E013"),
    ({"FORMS": {"intro": "tests.core.test_checks.NeedsMore"}}, "E013"),
    ({"FORMS": {"intro": "tests.core.test_checks.TakesLess"}}, "E013"),
    ({"FORMS": {"intro": "tests.core.test_checks.TooManyQuestions"}}, "E014"),
    ({"FORMS": {"intro": "tests.core.test_checks.TooManyQuestions"}}, "E015"),
    ({"KEY_EXPIRES": "2027-01-31"}, "E016"),
    ({"ENCRYPTION_KEYS": ["x"]}, "E017"),
    ({"TIMEOUT": "20"}, "E018"),
    ({"COLOR_SCHEME": "blue"}, "E018"),
    ({"POLICY": "shop.policies.missing"}, "E019"),
    ({"POLICY": ".policies.may_change"}, "E019"),
    ({"POLICY": ".may_change"}, "E019"),
    ({"POLICY": "django_meetergo.conf.SETTING_NAME"}, "E019"),
    ({"POLICY": "tests.core.test_checks.wait_for_it"}, "E019"),
    ({"POLICY": "tests.core.test_checks.forget_the_action"}, "E019"),
    ({"BASE_TEMPLATE": "missing.html"}, "E020"),
    ({"BASE_TEMPLATE": "meetergo/includes/times.html"}, "E020"),
    ({"BASE_TEMPLATE": ""}, "E020"),
    ({"PRIVACY_URL": "www.clinic.example/privacy"}, "E032"),
    ({"PRIVACY_URL": "javascript:alert(1)"}, "E032"),
    ({"SITE_URL": "clinic.example"}, "E024"),
    ({"SITE_URL": "https://clinic.example/?a=b"}, "E024"),
    ({"SITE_URL": "https://[::1"}, "E024"),
    ({"SITE_URL": "https://[www.clinic.example]"}, "E024"),
    ({"SITE_URL": "https://clinic.example "}, "E024"),
    ({"BASE_URL": "api.meetergo.com"}, "E025"),
    ({"BASE_URL": "http://[::1"}, "E025"),
    ({"BASE_URL": "https://api.mee tergo.com"}, "E025"),
    ({"ALERT_EMAILS": ["Desk <desk@clinic.example>"]}, "E026"),
    ({"CONNECTIONS": {"default": {"API_KEY": "rgo-b"}}}, "E027"),
    ({"CONNECTIONS": {"clinic/b": {"API_KEY": "rgo-b"}}}, "E027"),
    ({"CONNECTIONS": {"..": {"API_KEY": "rgo-b"}}}, "E027"),
    ({"CLIENT_IP_HEADER": "X-Forwarded-For: 1"}, "E028"),
    ({"WEBHOOK_TOKENS": ["short"]}, "W001"),
    ({"SITE_URL": "http://clinic.example", "SANDBOX": False}, "W002"),
    ({"SANDBOX": False}, "W003"),
    ({"BACKGROUND": "cron"}, "W020"),
    ({"EMBED_HOSTS": ["https://cal.meetergo.com"]}, "W004"),
    ({"KEY_EXPIRES": date(2020, 1, 1)}, "W005"),
    ({"API_KEY": ""}, "W008"),
    ({"CONNECTIONS": {"b": {}}}, "W008"),
    ({"SANDBOX": False}, "W012"),
    ({**REAL, "REQUESTS_PER_MINUTE": 200}, "W018"),
]
DEPLOYMENT_MISTAKES = [
    ({"SANDBOX": True}, "E010"),
    ({"BASE_URL": "https://elsewhere.example"}, "E011"),
    ({"BASE_URL": "http://api.meetergo.com"}, "E011"),
    ({"BASE_URL": "https://[api.meetergo.com"}, "E011"),
    (REAL, "W014"),
    (REAL, "W015"),
    (REAL, "W021"),
]
#: Ids that tests of their own see: they report other settings than ``MEETERGO``.
SEEN_ELSEWHERE = {
    "E021", "E022", "E023", "E029", "E030",
    "W006", "W007", "W009", "W010", "W011", "W013", "W016", "W017", "W019",
}  # fmt: skip


@pytest.mark.parametrize(("change", "expected"), MISTAKES)
def test_each_mistake_is_reported_under_an_id_of_its_own(settings, change, expected):
    settings.MEETERGO = {**VALID, **change} if isinstance(change, dict) else change

    assert f"meetergo.{expected}" in run()


@pytest.mark.parametrize(("change", "expected"), DEPLOYMENT_MISTAKES)
def test_the_deployment_check_reports_what_only_matters_in_production(settings, change, expected):
    assert f"meetergo.{expected}" in check(settings, deploy=True, **{"SANDBOX": False, **change})


def test_every_id_has_a_row_in_the_reference_and_a_test():
    """The rows are the targets of the links in the hints."""
    sources = (Path(path).read_text() for path in checks.__path__ for path in Path(path).glob("*.py"))
    ids = {found for text in sources for found in re.findall(r'"([EW]\d{3})"', text)}
    rows = set(re.findall(r"^_`meetergo\.([EW]\d{3})`", REFERENCE.read_text(), re.MULTILINE))

    assert ids == rows
    assert ids == {expected for _, expected in (*MISTAKES, *DEPLOYMENT_MISTAKES)} | SEEN_ELSEWHERE


def test_a_privacy_page_that_no_url_pattern_names_is_reported(settings, monkeypatch):
    monkeypatch.setattr(conf, "_cached", None)  # the address would be looked up to compare the settings

    assert "meetergo.E032" in check(settings, PRIVACY_URL=reverse_lazy("no-such-page"))


WRONG_VALUES = [
    ({"WEBHOOK_TOKENS": "a-token-that-is-written-without-a-list"}, "a list of texts, not a str"),
    ({"WEBHOOK_TOKENS": ["x" * 40, 1]}, '["WEBHOOK_TOKENS"][1] must be a text, not a int'),
    ({"ENCRYPTION_KEYS": [b"x" * 44]}, '["ENCRYPTION_KEYS"][0] must be a text, not a bytes'),
    ({"EMBED_HOSTS": "cal.meetergo.com"}, "a list of texts"),
    ({"TIMEOUT": "20"}, "a number, not a str"),
    ({"TIMEOUT": True}, "a number, not a bool"),
    ({"TIMEOUT": 0}, "greater than 0"),
    ({"LEASE": None}, "a number, not None"),
    ({"REQUESTS_PER_MINUTE": 1.5}, "a whole number"),
    ({"MAX_FUTURE_APPOINTMENTS": -1}, "not be negative"),
    ({"LEASE": 10**400}, "at most 1000000000"),
    ({"SYNC_INTERVAL": float("inf")}, "at most 1000000000"),
    ({"TIMEOUT": float("nan")}, "at most 1000000000"),
    ({"FULL_SYNC_INTERVAL": 1e308}, "at most 1000000000"),
    ({"MAX_BOOKINGS_PER_HOUR": 10**20}, "at most 1000000000"),
    ({"REQUESTS_PER_MINUTE": 10**9}, "at most 10000"),
    ({"MIN_FILL_SECONDS": 86_400}, "at most 3600"),
    ({"OUTCOME_DEADLINE": float("-inf")}, "not be negative"),
    ({"RETENTION_DAYS": {"events": 999_999_999}}, "at most 100000"),
    ({"REBOOK": {"days": 10**9}}, "at most 100000"),
    ({"SANDBOX": "False"}, "True or False"),
    ({"API_KEY": None}, "a text, not None"),
    ({"CONTACT": b"x"}, "a text"),
    ({"FORMS": ["intro"]}, "a dictionary of texts"),
    ({"FORMS": {"intro": NeedsMore}}, '["FORMS"]["intro"] must be a text'),
    ({"CONNECTIONS": {"b": "rgo-b"}}, '["CONNECTIONS"]["b"] must be a dictionary, not a str'),
    ({"CONNECTIONS": {"b": None}}, '["CONNECTIONS"]["b"] must be a dictionary, not None'),
    ({"CONNECTIONS": {1: {}}}, '["CONNECTIONS"] must have texts as its keys, and one is a int'),
    ({"REBOOK": {1: 2}}, '["REBOOK"] must have texts as its keys, and one is a int'),
    ({"REBOOK": {"hours": (8, None)}}, '["REBOOK"]["hours"][1] must be a whole number, not None'),
    ({"CONNECTIONS": {"b": {"API_KEY": 1}}}, "a text"),
    ({"RETENTION_DAYS": {"events": "365"}}, '["RETENTION_DAYS"]["events"] must be a whole number, not a str'),
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
        assert {"meetergo.E018", "meetergo.E016", "meetergo.E007"} & set(
            check(settings, **{key.name: object()})
        )


def test_a_text_that_visitors_read_may_be_translated_and_no_other(settings):
    for name in ("CONTACT", "SITE_NAME"):
        assert check(settings, **{name: gettext_lazy("Anna")}) == {}

    for name in ("SITE_URL", "BASE_URL", "API_KEY", "CLIENT_IP_HEADER", "CACHE"):
        found = check(settings, **{name: gettext_lazy("https://clinic.example")})
        assert "not a lazy text" in str(found["meetergo.E018"]), name


@pytest.mark.parametrize(
    "command",
    [
        ["makemigrations", "--check", "--dry-run"],
        ["migrate"],
        ["collectstatic", "--no-input", "--dry-run"],
    ],
)
def test_without_a_credential_an_image_can_be_built(settings, tmp_path, command):
    settings.MEETERGO = {}
    settings.STATIC_ROOT = tmp_path

    call_command(*command, verbosity=0, skip_checks=False)


@pytest.mark.parametrize(
    ("installed", "missing"), [("", "contenttypes"), ("'django.contrib.contenttypes', ", "auth")]
)
def test_a_missing_app_of_django_is_named_instead_of_its_model(installed, missing):
    """The models are loaded before any check runs, and those of users by the first check of Django."""
    program = (
        "import django; from django.conf import settings;"
        f"settings.configure(INSTALLED_APPS=[{installed}'django_meetergo']); django.setup()"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)

    assert f'add "django.contrib.{missing}" to INSTALLED_APPS' in done.stderr.splitlines()[-1]


@pytest.mark.parametrize("method", ["db_for_read", "db_for_write"])
def test_a_router_that_sends_statements_elsewhere_is_reported(settings, method):
    """A replica lacks the row that the same transaction has just written."""
    settings.DATABASE_ROUTERS = [SimpleNamespace(**{method: lambda model, **hints: "replica"})]

    assert "meetergo.E022" in check(settings)


def test_what_the_app_needs_of_the_site_is_reported(settings, monkeypatch):
    settings.ROOT_URLCONF = "tests.api.bare_urls"
    assert "meetergo.W010" in check(settings)
    monkeypatch.setattr("django.db.router.db_for_write", lambda model: "other")
    assert "meetergo.E022" in check(settings)
    settings.USE_TZ = False
    assert "meetergo.E021" in check(settings)


def test_urls_are_missing_where_there_is_no_urlconf(settings):
    del settings.ROOT_URLCONF

    assert "meetergo.W010" in check(settings)


def test_a_host_that_django_refuses_is_reported(settings):
    settings.ALLOWED_HOSTS = ["www.clinic.example"]

    assert "meetergo.W013" in check(settings, **REAL)
    assert "meetergo.W013" not in check(settings, SANDBOX=False, SITE_URL="https://www.clinic.example")
    settings.ALLOWED_HOSTS = ["[2001:db8::1]"]
    assert "meetergo.W013" not in check(settings, SANDBOX=False, SITE_URL="https://[2001:db8::1]")


def test_templates_without_the_request_are_reported(settings):
    engine = {"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True}
    settings.TEMPLATES = [engine]

    assert "meetergo.W016" in check(settings)


def test_what_the_proxy_says_about_a_request_is_not_asked_for_twice(settings):
    settings.SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")

    found = check(settings, deploy=True, CLIENT_IP_HEADER="X-Forwarded-For", **REAL)
    assert not {"meetergo.W014", "meetergo.W015"} & set(found)


@pytest.mark.parametrize(
    ("origin", "is_reported"),
    [
        ("https://www.clinic.example", False),
        ("https://*.clinic.example", False),
        ("https://WWW.clinic.example", True),
        ("http://www.clinic.example", True),
        ("https://*.other.example", True),
    ],
)
def test_trusted_origins_are_compared_as_django_does(settings, origin, is_reported):
    settings.CSRF_TRUSTED_ORIGINS = [origin]

    found = check(settings, deploy=True, SANDBOX=False, SITE_URL="https://www.clinic.example")

    assert ("meetergo.W015" in found) is is_reported


@pytest.fixture
def _shared_cache(settings, tmp_path):
    """A cache that web processes and workers share."""
    backend = "django.core.cache.backends.filebased.FileBasedCache"
    options = {"MAX_ENTRIES": 10_000}
    settings.CACHES = {"default": {"BACKEND": backend, "LOCATION": str(tmp_path), "OPTIONS": options}}


@pytest.mark.usefixtures("_shared_cache")
def test_workers_that_share_the_cache_are_in_order(settings):
    assert check(settings, BACKGROUND="cron") == {}


@pytest.mark.usefixtures("_shared_cache")
def test_celery_that_is_missing_or_has_no_broker_is_reported(settings, monkeypatch):
    monkeypatch.setattr("celery.current_app", Celery("default", set_as_current=False))
    assert "meetergo.W017" in check(settings, BACKGROUND="celery")
    monkeypatch.setattr("celery.current_app", Celery("clinic", broker="redis://", set_as_current=False))
    assert check(settings, BACKGROUND="celery") == {}
    monkeypatch.setattr("django_meetergo.checks.infrastructure.find_spec", lambda name: None)
    assert "meetergo.E023" in check(settings, BACKGROUND="celery")
    assert "meetergo.E029" in check(settings, BACKGROUND="tasks")


PACKAGE = "django.tasks" if django.VERSION >= (6, 0) else "django_tasks"


@pytest.mark.parametrize(
    ("backend", "text"),
    [
        ({"BACKEND": f"{PACKAGE}.backends.immediate.ImmediateBackend"}, "inside the request"),
        ({"BACKEND": f"{PACKAGE}.backends.dummy.DummyBackend"}, "runs no tasks"),
        ({"BACKEND": "shop.tasks.Missing"}, "cannot be loaded"),
        ({"BACKEND": "django_tasks_db.DatabaseBackend", "QUEUES": ["mails"]}, "no queue"),
        ({"BACKEND": "django_tasks_db.DatabaseBackend"}, ""),
    ],
)
@pytest.mark.usefixtures("_shared_cache")
def test_a_task_backend_without_workers_is_reported(settings, backend, text):
    settings.TASKS = {"default": backend}
    found = check(settings, BACKGROUND="tasks")

    assert set(found) == ({"meetergo.E030"} if text else set())
    assert not text or text in found["meetergo.E030"].msg


def test_a_base_template_may_inherit_its_blocks(settings, tmp_path):
    (tmp_path / "child.html").write_text('{% extends "meetergo/base.html" %}')
    (tmp_path / "any.html").write_text("{% extends layout %}")
    (tmp_path / "meetergo").mkdir()
    (tmp_path / "meetergo" / "base.html").write_text('{% extends "meetergo/base.html" %}')
    (tmp_path / "bare.html").write_text("{% block main %}{% endblock %}")
    settings.TEMPLATES = [{**settings.TEMPLATES[0], "DIRS": [tmp_path]}]

    assert check(settings, BASE_TEMPLATE="child.html") == {}
    assert check(settings, BASE_TEMPLATE="any.html") == {}
    assert check(settings, BASE_TEMPLATE="meetergo/base.html") == {}
    assert 'no block "content"' in check(settings, BASE_TEMPLATE="bare.html")["meetergo.E020"].msg


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


@pytest.mark.django_db
def test_a_limit_to_an_unknown_meeting_type_is_reported(meetergo_sandbox, settings):
    """Its type would silently not be offered."""

    def list_found(*slugs):
        settings.MEETERGO = {**settings.MEETERGO, "MEETING_TYPES": slugs}
        return [found.msg for found in run_checks(tags=["database"], databases=["default"])]

    meetergo_sandbox.sync_directory()

    assert list_found("intro-call") == []
    assert ['"MEETING_TYPES"' in text for text in list_found("intro-call", "intro-cal")] == [True]


@pytest.mark.parametrize(
    ("options", "is_reported"),
    [
        ({}, True),
        ({"transaction_mode": "IMMEDIATE"}, True),
        ({"transaction_mode": "IMMEDIATE", "init_command": "PRAGMA journal_mode=WAL"}, False),
        ({"transaction_mode": "immediate", "init_command": "PRAGMA journal_mode=WAL"}, False),
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
def test_every_message_has_a_hint_with_a_link_to_its_row(settings, change):
    found = check(settings, **change)

    assert found
    for message in found.values():
        anchor = message.id.replace(".", "-").lower()
        assert re.fullmatch(rf".+\. See {re.escape(DOCS_URL)}reference/checks\.html#{anchor}", message.hint)


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
    monkeypatch.setattr(django_settings, "DATABASES", {"default": database})

    assert ("meetergo.W006" in check(settings, SANDBOX=False)) is is_reported


@pytest.mark.parametrize(
    ("cache", "is_reported"),
    [
        ({"BACKEND": "django.core.cache.backends.db.DatabaseCache"}, True),
        ({"BACKEND": "django.core.cache.backends.db.DatabaseCache", "OPTIONS": {"MAX_ENTRIES": 500}}, True),
        ({"BACKEND": "django.core.cache.backends.db.DatabaseCache", "OPTIONS": {"MAX_ENTRIES": 9000}}, False),
        ({"BACKEND": "django.core.cache.backends.db.DatabaseCache", "max_entries": 9000}, False),
        # From the environment, as Django accepts it.
        ({"BACKEND": "django.core.cache.backends.db.DatabaseCache", "OPTIONS": {"MAX_ENTRIES": "500"}}, True),
        ({"BACKEND": "django.core.cache.backends.db.DatabaseCache", "OPTIONS": {"MAX_ENTRIES": "9e"}}, True),
        ({"BACKEND": "django.core.cache.backends.db.DatabaseCache", "max_entries": "9000"}, False),
        ({"BACKEND": "django.core.cache.backends.filebased.FileBasedCache"}, True),
        ({"BACKEND": "django.core.cache.backends.redis.RedisCache"}, False),
    ],
)
def test_a_cache_that_is_too_small_is_reported(settings, monkeypatch, cache, is_reported):
    monkeypatch.setattr(django_settings, "CACHES", {"default": cache})

    assert ("meetergo.W007" in check(settings)) is is_reported


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
    settings.MEETERGO = VALID
    assert checks.check_database(None, databases=["default"]) == []
    MeetingTypeFactory(connection="clinic-b")

    [found] = checks.check_database(None, databases=["default"])

    assert found.id == "meetergo.W019"
    assert "'clinic-b'" in found.msg
    settings.MEETERGO = {**VALID, "CONNECTIONS": {"clinic-b": {"API_KEY": "rgo-b"}}}
    assert checks.check_database(None, databases=["default"]) == []
    assert checks.check_database(None) == []
