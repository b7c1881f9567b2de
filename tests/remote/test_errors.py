"""Classification of answers that are not 2xx."""

from __future__ import annotations

import json

import pytest

from django_meetergo import exceptions
from django_meetergo.remote.errors import classify_answer, read_retry_after
from django_meetergo.texts import is_storable
from tests.recordings import PAYLOADS
from tests.remote.scripted import recorded

KINDS = {
    "error_400_expected_scope.json": exceptions.MissingHost,
    "error_400_group_cancel_scope.json": exceptions.Refused,
    "error_400_invalid_duration.json": exceptions.InvalidDuration,
    "error_400_missing_host.json": exceptions.MissingHost,
    "error_400_missing_user_header.json": exceptions.Refused,
    "error_400_slot_occupied.json": exceptions.SlotUnavailable,
    "error_400_slot_unavailable.json": exceptions.SlotUnavailable,
    "error_400_validation_fields.json": exceptions.InvalidFields,
    "error_400_validation_list.json": exceptions.InvalidFields,
    "error_401_expired_key.json": exceptions.CredentialRefused,
    "error_401_invalid_key.json": exceptions.CredentialRefused,
    "error_401_missing_header.json": exceptions.CredentialRefused,
    "error_403_forbidden.json": exceptions.PermissionRefused,
    "error_403_plan_limit.json": exceptions.PermissionRefused,
    "error_404_not_found.json": exceptions.NotFound,
    "error_406_webhook_limit.json": exceptions.WebhookLimitReached,
    "error_429_rate_limit.json": exceptions.RateLimited,
    "error_500_internal.json": exceptions.OutcomeUnknown,
}


def classify(name: str, **more) -> exceptions.RemoteError:
    route = "/webhooks" if "webhook" in name else "/v4/booking"
    return classify_answer("POST", route, int(name.split("_")[1]), recorded(name), {}, **more)


def test_every_recorded_error_has_an_exception():
    assert set(KINDS) == {path.name for path in PAYLOADS.glob("error_*.json")}


@pytest.mark.parametrize(("name", "kind"), KINDS.items())
def test_each_recorded_error_has_one_exception(name, kind):
    error = classify(name)
    assert type(error) is kind
    assert error.status == int(name.split("_")[1])
    assert error.message


def test_refused_fields_have_our_names():
    assert classify("error_400_validation_fields.json").fields == {"email": "Invalid email format"}
    assert set(classify("error_400_validation_list.json").fields) == {"receive_reminders", "notes"}


def test_a_failed_read_has_no_outcome():
    assert type(classify_answer("GET", "/v4/user/me", 500, b"", {})) is exceptions.Unreachable


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"[1]", b"7", b'{"message": {}}', b'{"message": [7]}', b"\xff"]
)
def test_an_unreadable_refusal_is_still_a_refusal(body):
    error = classify_answer("POST", "/v4/booking", 400, body, {})
    assert type(error) is exceptions.Refused
    assert error.message == "answered with status 400"


def test_messages_of_the_service_are_made_fit_for_logs():
    """A 404 repeats the path, and on one route the path contains the secret."""
    message = (
        "Cannot POST /booking/confirm/cancel/a-1/s3cr3t\nrgo-abcdef ak_live:1:2 hush \x1b[0m" + "x" * 900
    )
    body = json.dumps({"message": message, "errors": [{"field": "a", "message": "hush"}]}).encode()
    error = classify_answer("POST", "/x", 404, body, {}, hide=["hush", ""])
    shown = f"{error} {error.fields}"
    assert not [word for word in ("s3cr3t", "rgo-abc", "ak_live", "hush", "\n", "\x1b") if word in shown]
    assert len(error.message) <= 500


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("7", 7.0),
        ("0", 0.0),
        ("Fri, 23 Oct 2026 07:00:30 GMT", 30.0),
        ("Fri, 23 Oct 2026 06:00:00 GMT", 0.0),
        ("Fri, 31 Dec 9999 23:59:59 -1200", None),
        ("soon", None),
        ("-3", None),
        ("nan", None),
        ("", None),
    ],
)
def test_retry_after_is_read_as_seconds(value, seconds):
    """A date is relative to the sender's clock, which may differ from ours."""
    headers = {"Retry-After": value, "Date": "Fri, 23 Oct 2026 07:00:00 GMT"}
    assert read_retry_after(headers) == seconds


def test_names_of_refused_fields_can_be_stored():
    body = json.dumps({"errors": [{"field": "a\x00\ud800", "message": "b\x00"}]}).encode()

    assert is_storable(classify_answer("POST", "/v4/booking", 400, body, {}).fields)
