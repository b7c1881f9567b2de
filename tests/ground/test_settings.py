"""What a site is told about its settings."""

from __future__ import annotations

import pytest
from django.core.checks import run_checks
from django.core.exceptions import ImproperlyConfigured

from django_meetergo.conf import get_connection_settings, get_settings, list_connection_names

GOOD = {"API_KEY": "rgo-sandbox0000000000000000000000000", "SANDBOX": True}


def check(settings, *, deploy=False, **meetergo):
    settings.MEETERGO = meetergo
    found = run_checks(tags=["meetergo"], include_deployment_checks=deploy)
    return [message.id for message in found]


def test_good_settings_pass(settings):
    """The sandbox's settings are complaint-free."""
    assert check(settings, **GOOD) == []


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
def test_what_is_wrong_is_named(settings, change, expected):
    """Each mistake has an id of its own."""
    assert expected in check(settings, **{**GOOD, **change})


def test_every_message_says_what_to_do(settings):
    """No check without a hint, unless the message is the fix."""
    settings.MEETERGO = {"API_KEY": "something", "USER_ID": "x", "BACKGROUND": "magic"}

    assert all(message.hint for message in run_checks(tags=["meetergo"]))


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"SANDBOX": True}, "meetergo.E010"),
        ({"BASE_URL": "https://elsewhere.example"}, "meetergo.E011"),
        ({"BASE_URL": "http://api.meetergo.com"}, "meetergo.E011"),
    ],
)
def test_the_sandbox_is_refused_in_production(settings, change, expected):
    """``check --deploy`` stops what must not go out."""
    given = {**GOOD, "SANDBOX": False, **change}

    assert expected in check(settings, deploy=True, **given)


def test_an_unknown_key_is_refused_by_name_at_use(settings):
    """Who skips the checks is told as well."""
    settings.MEETERGO = {"APY_KEY": "x"}

    with pytest.raises(ImproperlyConfigured, match="APY_KEY"):
        get_settings()


def test_connections_have_credentials_of_their_own(settings):
    """The default connection comes first; an unknown name is refused."""
    settings.MEETERGO = {**GOOD, "CONNECTIONS": {"b": {"API_KEY": "rgo-b"}}}

    assert list_connection_names() == ["default", "b"]
    assert get_connection_settings("b").api_key == "rgo-b"
    with pytest.raises(ImproperlyConfigured, match="'c'"):
        get_connection_settings("c")


def test_a_missing_credential_says_how_to_get_one(settings):
    """The sandbox is offered to who has no account."""
    settings.MEETERGO = {}

    with pytest.raises(ImproperlyConfigured, match="meetergo_sandbox"):
        get_connection_settings()


def test_credentials_stay_out_of_repr(settings):
    """A settings object may land in a log."""
    settings.MEETERGO = {**GOOD, "WEBHOOK_TOKENS": ["canary-token"], "ENCRYPTION_KEYS": ["canary-key"]}

    shown = repr(get_settings()) + repr(get_connection_settings())
    assert GOOD["API_KEY"] not in shown
    assert "canary" not in shown
