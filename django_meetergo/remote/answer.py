"""A successful answer of meetergo."""

from __future__ import annotations

import contextlib
import json
import re
from dataclasses import dataclass, field
from typing import Any

from django_meetergo.exceptions import UnreadableReply

MAX_NESTING = 50
MAX_DIGITS = 20
#: A text that does not end goes to the end: searching for its end again from each quote would take days.
JSON_TOKENS = re.compile(r'"(?:[^"\\]|\\.?)*+"?|[\[\]{}]|[^\[\]{}"]+', re.DOTALL)


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """A 2xx answer.

    ``clock_skew`` is how many seconds meetergo's clock is ahead of ours, or None without a ``Date`` header.
    """

    status: int
    method: str
    route: str
    body: bytes = field(repr=False)
    clock_skew: float | None = None

    @property
    def is_empty(self) -> bool:
        return not self.body.strip()

    def read_json(self) -> Any:
        """Return the parsed body. Raise ``UnreadableReply`` if it is empty or not JSON."""
        for load in (_load, _load_carefully):
            with contextlib.suppress(ValueError, RecursionError):
                return load(self.body)
        what = "an empty body" if self.is_empty else "something that is not JSON"
        raise self.unreadable(f"answered with {what}")

    def unreadable(self, message: str) -> UnreadableReply:
        """Return the error for an answer whose content cannot be used."""
        return UnreadableReply(message, method=self.method, route=self.route, status=self.status)


def _load(body: bytes) -> Any:
    """Parse JSON. NaN and Infinity, which are not JSON, become None."""
    return json.loads(body, parse_constant=_drop)


def _load_carefully(body: bytes) -> Any:
    """Parse JSON in spite of huge numbers, deep nesting or broken text in one of its items."""
    text = cut_nesting(body.decode("utf-8-sig", "replace"))
    return json.loads(text, parse_constant=_drop, parse_int=_parse_int)


def _drop(name: str) -> None:
    """Return None for a constant."""


def _parse_int(digits: str) -> int | None:
    return int(digits) if len(digits) <= MAX_DIGITS else None


def cut_nesting(text: str) -> str:
    """Replace what is nested deeper than ``MAX_NESTING`` with null."""
    kept, depth = [], 0
    for part in JSON_TOKENS.findall(text):
        if part in "[{":
            depth += 1
            if depth == MAX_NESTING + 1:
                kept.append("null")
        if depth <= MAX_NESTING:
            kept.append(part)
        if part in "]}":
            depth -= 1
    return "".join(kept)
