"""What an answer that is not a yes means, as an exception.

The rule for writes: only a definite no, or certainty that nothing was carried out, may be told as such.
Statuses we do not know are unclear. A read has no outcome, so a read that gave nothing is ``Unreachable``.
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

LONGEST_MESSAGE = 500

# meetergo tells some refusals apart by wording only, and words the same refusal in several
# ways. This table is the only place in the house that reads the wording.
WORDINGS: tuple[tuple[str, frozenset[int], type[Refused]], ...] = (
    ("slot-occupied", frozenset({400, 409}), SlotUnavailable),
    ("no longer available", frozenset({400, 409}), SlotUnavailable),
    ("allowed durations", frozenset({400, 422}), InvalidDuration),
    ("hostids or queueid", frozenset({400, 422}), MissingHost),
)
STATUSES: dict[int, type[Refused]] = {
    401: CredentialRefused,
    403: PermissionRefused,
    404: NotFound,
    409: Refused,
}
# The attendee's own words for fields; the others only change their spelling.
FIELDS = {
    "firstname": "first_name",
    "lastname": "last_name",
    "fullname": "first_name",
    "bringalongEmails": "other_emails",
}


def is_read(method: str) -> bool:
    return method in {"GET", "HEAD"}


def is_definite(status: int) -> bool:
    """A registered redirect or refusal. 408 says only that somebody stopped waiting."""
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
    """The exception for an answer that is not 2xx; ``hide`` lists texts that must not be repeated."""
    document = _read_document(body)
    kind = _kind(method, route, status, document)
    return kind(
        _message(status, document, hide),
        method=method,
        route=route,
        status=status,
        retry_after=read_retry_after(headers),
        fields={name: _shown(text, hide) for name, text in _read_fields(document).items()},
    )


def _kind(method: str, route: str, status: int, document: dict[str, Any]) -> type[RemoteError]:
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        return RateLimited
    if status == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED:
        return Unreachable  # the proxy's answer: meetergo never saw the request
    if not is_definite(status):
        return Unreachable if is_read(method) else OutcomeUnknown
    return _refusal(route, status, document)


def _refusal(route: str, status: int, document: dict[str, Any]) -> type[Refused]:
    words = f"{document.get('errorCode')} {_read_message(document)}".lower()
    for wording, statuses, kind in WORDINGS:
        if status in statuses and wording in words:
            return kind
    if document.get("code") == "PLAN_LIMIT_REACHED":
        return PermissionRefused
    if status == HTTPStatus.NOT_ACCEPTABLE and route.startswith("/webhooks"):
        return WebhookLimitReached
    if status in STATUSES:
        return STATUSES[status]
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


def _message(status: int, document: dict[str, Any], hide: Collection[str]) -> str:
    return _shown(_read_message(document), hide) or f"answered with status {status}"


def _shown(text: str, hide: Collection[str]) -> str:
    """Foreign text made fit for logs: short, on one line, without our secrets."""
    for secret in hide:
        text = text.replace(secret, "[hidden]") if secret else text
    flat = " ".join(redact(text).split())
    return "".join(letter for letter in flat if letter.isprintable())[:LONGEST_MESSAGE]


def _read_fields(document: dict[str, Any]) -> dict[str, str]:
    """Field names with their complaints: from ``errors``, else from sentences that begin with one."""
    complaints = list(_field_errors(document)) or list(_sentences(document))
    fields: dict[str, str] = {}
    for name, text in complaints:
        fields[name] = f"{fields[name]}; {text}" if name in fields else text
    return fields


def _field_errors(document: dict[str, Any]) -> list[tuple[str, str]]:
    errors = document.get("errors")
    entries = [entry for entry in errors if isinstance(entry, dict)] if isinstance(errors, list) else []
    return [
        (_field_name(entry["field"]), str(entry.get("message", "")))
        for entry in entries
        if isinstance(entry.get("field"), str)
    ]


def _sentences(document: dict[str, Any]) -> list[tuple[str, str]]:
    message = document.get("message")
    sentences = [text for text in message if isinstance(text, str)] if isinstance(message, list) else []
    return [(_field_name(text.split(" ", 1)[0]), text) for text in sentences if " " in text]


def _field_name(path: str) -> str:
    """``attendee.receiveReminders`` becomes ``receive_reminders``: camelCase ends here."""
    name = path.removeprefix("attendee.")[:60]
    return FIELDS.get(name) or re.sub(r"(?<=[a-z0-9])([A-Z])", r"_\1", name).lower()


def read_retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds to wait, told as a number or as a date; a date is measured by the sender's own clock."""
    value = headers.get("Retry-After", "").strip()
    if re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,6})?", value):
        return float(value)
    until = read_date(value)
    if until is None:
        return None
    sent = read_date(headers.get("Date", "")) or datetime.now(UTC)
    return max((until - sent).total_seconds(), 0.0)


def read_date(value: str) -> datetime | None:
    """An HTTP date as an aware datetime, or None."""
    try:
        moment = parsedate_to_datetime(value)
    except (TypeError, ValueError, IndexError, OverflowError):
        return None
    return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
