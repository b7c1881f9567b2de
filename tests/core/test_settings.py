"""The ``MEETERGO`` setting and the credentials in it."""

from __future__ import annotations

import pytest
from django.core.exceptions import ImproperlyConfigured

from django_meetergo.conf import get_connection_settings, get_settings, list_connection_names

VALID = {"API_KEY": "rgo-sandbox0000000000000000000000000", "SANDBOX": True}


def test_an_unknown_key_raises_where_settings_are_read(settings):
    """Also without running the checks."""
    settings.MEETERGO = {"APY_KEY": "x"}

    with pytest.raises(ImproperlyConfigured, match="APY_KEY"):
        get_settings()


def test_connections_have_credentials_of_their_own(settings):
    settings.MEETERGO = {**VALID, "CONNECTIONS": {"b": {"API_KEY": "rgo-b"}}}

    assert list_connection_names() == ["default", "b"]
    assert get_connection_settings("b").api_key == "rgo-b"
    with pytest.raises(ImproperlyConfigured, match="'c'"):
        get_connection_settings("c")


def test_the_error_for_a_missing_credential_names_the_sandbox(settings):
    settings.MEETERGO = {}

    with pytest.raises(ImproperlyConfigured, match="meetergo_sandbox"):
        get_connection_settings()


def test_credentials_are_not_in_the_repr(settings):
    settings.MEETERGO = {**VALID, "WEBHOOK_TOKENS": ["canary-token"], "ENCRYPTION_KEYS": ["canary-key"]}

    shown = repr(get_settings()) + repr(get_connection_settings())
    assert VALID["API_KEY"] not in shown
    assert "canary" not in shown
