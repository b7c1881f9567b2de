"""Small readers for hostile JSON: each takes anything and gives back one type."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime
from typing import Any
from urllib.parse import urlsplit

from django_meetergo.exceptions import UnreadableReply

HIDDEN_KEYS = frozenset({"secret", "password", "token", "apikey", "accesstoken", "refreshtoken"})
LONGEST_LINK = 2000


def read_text(value: object) -> str:
    """The text, fit for any database: no NUL, no lone surrogates."""
    if not isinstance(value, str):
        return ""
    if value.isascii():
        return value.replace("\x00", "")
    return value.encode("utf-8", "ignore").decode("utf-8").replace("\x00", "")


def read_id(value: object) -> str:
    """An id as text: most are UUIDs, those of webhooks are integers."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return read_text(value)


def read_number(value: object) -> int | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return int(value) if value == value // 1 else None


def read_instant(value: object) -> datetime | None:
    """An aware datetime in UTC; None for anything else, naive times included."""
    if not isinstance(value, str):
        return None
    try:
        moment = datetime.fromisoformat(value)
        return moment.astimezone(UTC) if moment.tzinfo else None
    except (ValueError, OverflowError):
        return None


def read_object(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def read_list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def read_objects(value: object) -> Iterator[dict[str, Any]]:
    return (item for item in read_list(value) if isinstance(item, dict))


def read_ids(value: object) -> tuple[str, ...]:
    return tuple(text for item in read_list(value) if (text := read_id(item)))


def read_link(value: object) -> str:
    """An http or https address, else nothing: this text ends up in an ``href``."""
    text = read_text(value).strip()
    if len(text) > LONGEST_LINK or not text.isprintable() or " " in text:
        return ""
    try:
        parts = urlsplit(text)
    except ValueError:
        return ""
    return text if parts.scheme in {"http", "https"} and parts.hostname else ""


def read_answers(*sources: object) -> dict[str, str]:
    """Form answers as text, merged; the first source that has a key wins."""
    answers: dict[str, str] = {}
    for source in sources:
        for key, value in read_object(source).items():
            answers.setdefault(read_text(key), build_answer(value))
    return answers


def read_awaits(value: object) -> str:
    """Whose yes a provisional booking waits for. The guide and the wire differ in capitals."""
    kind = read_text(value).lower()
    return {"doubleoptin": "attendee", "requirehostconfirmation": "host"}.get(kind, "unknown")


def without_secrets(value: Any) -> Any:
    """The same document, its secrets removed at every depth."""
    if isinstance(value, dict):
        return {read_text(key): without_secrets(item) for key, item in value.items() if not _is_hidden(key)}
    if isinstance(value, list):
        return [without_secrets(item) for item in value]
    return read_text(value) if isinstance(value, str) else value


def _is_hidden(key: str) -> bool:
    return key.lower().replace("_", "").replace("-", "") in HIDDEN_KEYS


def need_object(value: object, what: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise UnreadableReply(f"expected {what}, got {type(value).__name__}")
    return value


def need_list(value: object, what: str, *, key: str) -> list[Any]:
    """A bare list, or the list under ``key``: editions of the service differ."""
    found = value.get(key) if isinstance(value, Mapping) else value
    if not isinstance(found, list):
        raise UnreadableReply(f"expected {what}, got {type(value).__name__}")
    return found


def build_answer(value: object) -> str:
    """Answers travel as text."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list | tuple):
        return ", ".join(build_answer(item) for item in value)
    return "" if value is None else read_text(str(value))


def build_instant(value: date) -> str:
    """ISO 8601 with the offset as given; a plain date is a day. A naive time is refused."""
    if isinstance(value, datetime) and value.utcoffset() is None:
        raise ValueError("a naive datetime names no instant: give it a time zone")
    return value.isoformat()
