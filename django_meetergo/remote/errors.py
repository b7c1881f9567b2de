"""Map answers that are not 2xx to exceptions.

A write is reported as refused only if the answer is definite; an unknown status leaves its outcome unknown.
A read has no outcome, so a failed read is ``Unreachable``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any

from django_meetergo.exceptions import (
    CredentialRefused,
    InvalidDuration,
    InvalidFields,
    MissingHost,
    NotFound,
    OutcomeUnknown,
    PermissionRefused,
    RateLimited,
    Refused,
    RemoteError,
    SlotUnavailable,
    Unreachable,
    WebhookLimitReached,
)
from django_meetergo.remote.redaction import redact

MAX_MESSAGE_LENGTH = 500

# Some refusals differ only in their wording, and one refusal has several wordings. No other code reads it.
REFUSAL_WORDINGS: tuple[tuple[str, frozenset[int], type[Refused]], ...] = (
    ("slot-occupied", frozenset({400, 409}), SlotUnavailable),
    ("no longer available", frozenset({400, 409}), SlotUnavailable),
    ("allowed durations", frozenset({400, 422}), InvalidDuration),
    ("hostids or queueid", frozenset({400, 422}), MissingHost),
)
REFUSAL_STATUSES: dict[int, type[Refused]] = {
    401: CredentialRefused,
    403: PermissionRefused,
    404: NotFound,
    409: Refused,
}
# Fields whose names differ from ours in more than their spelling.
FIELD_NAMES = {
    "firstname": "first_name",
    "lastname": "last_name",
    "fullname": "first_name",
    "bringalongEmails": "other_emails",
}


def is_read(method: str) -> bool:
    """Whether a request with this method changes nothing and may be repeated."""
    return method in {"GET", "HEAD"}


def is_definite(status: int) -> bool:
    """Whether the request was certainly not carried out. A 408 says only that a server stopped waiting."""
    return 300 <= status < 500 and status != HTTPStatus.REQUEST_TIMEOUT and status in set(HTTPStatus)


def classify_answer(
    method: str,
    route: str,
    status: int,
    body: bytes,
    headers: Mapping[str, str],
    *,
    hide: Collection[str] = (),
) -> RemoteError:
    """Return the exception for an answer that is not 2xx. Its message contains no text of ``hide``."""
    document = _read_document(body)
    kind = _choose_exception(method, route, status, document)
    return kind(
        _build_message(status, document, hide),
        method=method,
        route=route,
        status=status,
        retry_after=read_retry_after(headers),
        fields={_clean(name, hide): _clean(text, hide) for name, text in _read_fields(document).items()},
    )


def _choose_exception(method: str, route: str, status: int, document: dict[str, Any]) -> type[RemoteError]:
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        return RateLimited
    if status == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED:
        return Unreachable  # the proxy's answer: meetergo never saw the request
    if not is_definite(status):
        return Unreachable if is_read(method) else OutcomeUnknown
    return _choose_refusal(route, status, document)


def _choose_refusal(route: str, status: int, document: dict[str, Any]) -> type[Refused]:
    wording = f"{document.get('errorCode')} {_read_message(document)}".lower()
    for known_wording, statuses, kind in REFUSAL_WORDINGS:
        if status in statuses and known_wording in wording:
            return kind
    if document.get("code") == "PLAN_LIMIT_REACHED":
        return PermissionRefused
    if status == HTTPStatus.NOT_ACCEPTABLE and route.startswith("/webhooks"):
        return WebhookLimitReached
    if status in REFUSAL_STATUSES:
        return REFUSAL_STATUSES[status]
    return InvalidFields if _read_fields(document) else Refused


def _read_document(body: bytes) -> dict[str, Any]:
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}


def _read_message(document: dict[str, Any]) -> str:
    message = document.get("message")
    texts = message if isinstance(message, list) else [message]
    return "; ".join(text for text in texts if isinstance(text, str))


def _build_message(status: int, document: dict[str, Any], hide: Collection[str]) -> str:
    return _clean(_read_message(document), hide) or f"answered with status {status}"


def _clean(text: str, hide: Collection[str]) -> str:
    """Make text of the service fit for logs: short, on one line and without secrets."""
    for secret in hide:
        text = text.replace(secret, "[hidden]") if secret else text
    flat = " ".join(redact(text).split())
    return "".join(letter for letter in flat if letter.isprintable())[:MAX_MESSAGE_LENGTH]


def _read_fields(document: dict[str, Any]) -> dict[str, str]:
    """Map field names to complaints, taken from ``errors`` or from messages that begin with a field name."""
    complaints = _read_field_errors(document) or _read_field_messages(document)
    fields: dict[str, str] = {}
    for name, text in complaints:
        fields[name] = f"{fields[name]}; {text}" if name in fields else text
    return fields


def _read_field_errors(document: dict[str, Any]) -> list[tuple[str, str]]:
    errors = document.get("errors")
    entries = [entry for entry in errors if isinstance(entry, dict)] if isinstance(errors, list) else []
    return [
        (_convert_field_name(entry["field"]), str(entry.get("message", "")))
        for entry in entries
        if isinstance(entry.get("field"), str)
    ]


def _read_field_messages(document: dict[str, Any]) -> list[tuple[str, str]]:
    message = document.get("message")
    messages = [text for text in message if isinstance(text, str)] if isinstance(message, list) else []
    return [(_convert_field_name(text.split(" ", 1)[0]), text) for text in messages if " " in text]


def _convert_field_name(path: str) -> str:
    """Return our name of a field: ``receive_reminders`` for ``attendee.receiveReminders``."""
    name = path.removeprefix("attendee.")[:60]
    return FIELD_NAMES.get(name) or re.sub(r"(?<=[a-z0-9])([A-Z])", r"_\1", name).lower()


def read_retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds to wait: the header holds a number, or a date by the sender's clock."""
    value = headers.get("Retry-After", "").strip()
    if re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,6})?", value):
        return float(value)
    until = read_date(value)
    if until is None:
        return None
    sent = read_date(headers.get("Date", "")) or datetime.now(UTC)
    return max((until - sent).total_seconds(), 0.0)


def read_date(value: str) -> datetime | None:
    """Parse an HTTP date to an aware datetime in UTC, or None."""
    try:
        moment = parsedate_to_datetime(value)
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (TypeError, ValueError, IndexError, OverflowError):
        return None
