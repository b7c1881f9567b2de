"""Readers for untrusted JSON: each accepts any value and returns one type, within bounds."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any, TypeVar
from urllib.parse import urlsplit

from django_meetergo.exceptions import UnreadableReply
from django_meetergo.texts import Secret

T = TypeVar("T")

SECRET_KEYS = frozenset({"secret", "password", "token", "apikey", "accesstoken", "refreshtoken"})
MAX_ID_LENGTH = 128
MAX_LINK_LENGTH = 1000
MAX_TEXT_LENGTH = 10_000
MAX_LINE_LENGTH = 200
#: The largest number that an integer column of every database holds.
MAX_INTEGER = 2**31 - 1
#: Larger integers do not survive JSON columns and JavaScript.
MAX_RAW_INTEGER = 2**53
MAX_DEPTH = 20
#: The longest appointment: 31 days, in minutes.
MAX_MINUTES = 31 * 24 * 60
MAX_EMAIL_LENGTH = 254
MAX_CODE_LENGTH = 64
MAX_SECRET_LENGTH = 500
#: Instants outside these years overflow when they are converted to another time zone.
MIN_YEAR, MAX_YEAR = 1970, 2999
#: What a parser raises for a document that it cannot read, whatever that contains.
PARSE_ERRORS = (
    UnreadableReply, TypeError, ValueError, ArithmeticError, LookupError, AttributeError, RecursionError,
)  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class SkippedItem:
    """An entry of a list that could not be read, with its id (or its position) and the reason."""

    kind: str
    id: str
    reason: str

    def __str__(self) -> str:
        return f"{self.kind} {self.id}: {self.reason}"


class ItemList(tuple[T, ...]):
    """The readable items of a list or of one of its pages.

    ``skipped`` describes the other items: with any, the list is incomplete. ``total`` is how many items all
    pages have, where the answer says so.
    """

    skipped: tuple[SkippedItem, ...]
    total: int | None

    def __new__(
        cls, items: Iterable[T] = (), skipped: Iterable[SkippedItem] = (), total: int | None = None
    ) -> ItemList[T]:
        self = super().__new__(cls, items)
        self.skipped, self.total = tuple(skipped), total
        return self


def read_items(
    value: object, parse: Callable[[object], T], kind: str, *, is_unique: bool = False
) -> ItemList[T]:
    """Parse a list item by item, and skip the items that cannot be read.

    ``kind`` names an item in reports. ``is_unique`` also skips items whose id came before.
    """
    items: list[T] = []
    skipped: list[SkippedItem] = []
    seen: set[str] = set()
    for position, entry in enumerate(read_list(value)):
        item_id = read_id(entry.get("id")) if isinstance(entry, dict) else ""
        try:
            if is_unique and item_id and item_id in seen:
                raise UnreadableReply("the same id came before")
            items.append(parse(entry))
            seen.add(item_id)
        except PARSE_ERRORS as error:
            reason = error.message if isinstance(error, UnreadableReply) else f"unreadable ({error!r:.100})"
            skipped.append(SkippedItem(kind=kind, id=item_id or f"number {position}", reason=reason))
    return ItemList(items, skipped)


def parse_list(
    document: object, parse: Callable[[object], T], kind: str, *, key: str, is_unique: bool = False
) -> ItemList[T]:
    """Parse an answer that is a list or has one under ``key``; see ``read_items``.

    Raises UnreadableReply for any other answer.
    """
    items = read_items(require_list(document, f"{kind}s", key=key), parse, kind, is_unique=is_unique)
    return ItemList(items, items.skipped, total=read_number(read_object(document).get("total")))


def read_text(value: object, max_length: int = MAX_TEXT_LENGTH) -> str:
    """Return text of several lines, cut to ``max_length``, without control characters."""
    if not isinstance(value, str):
        return ""
    text = value[:max_length]
    if text.isascii() and text.isprintable():
        return text
    text = text.encode("utf-8", "ignore").decode("utf-8").replace("\r\n", "\n")
    return "".join(letter for letter in text if letter in "\n\t" or not _is_control(letter))


def _is_control(letter: str) -> bool:
    return letter < " " or "\x7f" <= letter < "\xa0" or letter in "\u2028\u2029"


def read_line(value: object, max_length: int = MAX_LINE_LENGTH) -> str:
    """Return text of one line, cut to ``max_length``, with single spaces."""
    return " ".join(read_text(value).split())[:max_length].rstrip()


def read_lines(value: object) -> tuple[str, ...]:
    return tuple(text for item in read_list(value) if (text := read_line(item)))


def read_code(value: object, max_length: int) -> str:
    """Return text that is of no use when it is cut, such as an e-mail address: empty if it does not fit."""
    text = " ".join(read_text(value).split())
    return text if len(text) <= max_length else ""


def read_secret(document: Mapping[str, object]) -> Secret:
    """Return the secret of an appointment, which authorises whoever has it; empty if there is none."""
    return Secret(read_code(document.get("secret"), MAX_SECRET_LENGTH))


def read_id(value: object) -> str:
    """Return an id as text, or an empty string for one that cannot be stored or be part of a path.

    Most are UUIDs; those of webhooks are integers.
    """
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MAX_RAW_INTEGER:
        return str(value)
    if not isinstance(value, str) or not value.isprintable() or " " in value:
        return ""
    return value if len(value) <= MAX_ID_LENGTH and value not in {".", ".."} else ""


def read_number(value: object, low: int = 0, high: int = MAX_INTEGER) -> int | None:
    """Return a whole number from ``low`` to ``high``, or None."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        return None
    return int(value) if value == int(value) else None


def read_instant(value: object) -> datetime | None:
    """Return an aware datetime in UTC, or None. Naive times and remote years are None."""
    if not isinstance(value, str):
        return None
    try:
        moment = datetime.fromisoformat(value)
        if not moment.tzinfo or not MIN_YEAR <= moment.year <= MAX_YEAR:
            return None
        return moment.astimezone(UTC)
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


def read_link(value: object, max_length: int = MAX_LINK_LENGTH) -> str:
    """Return an http or https address, or an empty string: pages use it as ``href``."""
    text = value.strip() if isinstance(value, str) else ""
    if len(text) > max_length or not text.isprintable() or " " in text:
        return ""
    try:
        parts = urlsplit(text)
    except ValueError:
        return ""
    return text if parts.scheme in {"http", "https"} and parts.hostname else ""


def read_answers(*sources: object) -> dict[str, str]:
    """Merge answers as text. The first source that has a key wins."""
    answers: dict[str, str] = {}
    for source in sources:
        for key, value in read_object(source).items():
            answers.setdefault(read_line(key), read_text(build_answer(value)))
    return answers


def read_awaits(value: object) -> str:
    """Return who must confirm a provisional booking. The guide and the API differ in capitals."""
    kind = read_text(value).lower()
    return {"doubleoptin": "attendee", "requirehostconfirmation": "host"}.get(kind, "unknown")


def remove_secrets(value: Any, depth: int = 0) -> Any:
    """Return the document without secrets and without values that a JSON column refuses.

    Values nested deeper than ``MAX_DEPTH``, infinite and huge numbers become None; texts are cut.
    """
    if depth > MAX_DEPTH:
        return None
    if isinstance(value, dict):
        return {
            read_text(key): remove_secrets(item, depth + 1)
            for key, item in value.items()
            if not _is_secret(key)
        }
    if isinstance(value, list):
        return [remove_secrets(item, depth + 1) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, int | float) and abs(value) > MAX_RAW_INTEGER:
        return None
    return read_text(value) if isinstance(value, str) else value


def _is_secret(key: str) -> bool:
    return key.lower().replace("_", "").replace("-", "") in SECRET_KEYS


def require_object(value: object, what: str) -> dict[str, Any]:
    """Return the object, or raise ``UnreadableReply``."""
    if not isinstance(value, dict):
        raise UnreadableReply(f"expected {what}, got {type(value).__name__}")
    return value


def require_list(value: object, what: str, *, key: str) -> list[Any]:
    """Return a bare list, or the list under ``key``: the dialects of the API differ."""
    found = value.get(key) if isinstance(value, Mapping) else value
    if not isinstance(found, list):
        raise UnreadableReply(f"expected {what}, got {type(value).__name__}")
    return found


def build_answer(value: object, depth: int = 0) -> str:
    """Return an answer as text, the only type that meetergo stores."""
    if depth > MAX_DEPTH:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list | tuple):
        return ", ".join(build_answer(item, depth + 1) for item in value)
    return "" if value is None else read_text(str(value))


def build_instant(value: date) -> str:
    """Return ISO 8601 with the given offset. Raise ``ValueError`` for a naive datetime."""
    if isinstance(value, datetime) and value.utcoffset() is None:
        raise ValueError("a naive datetime names no instant: give it a time zone")
    return value.isoformat()
