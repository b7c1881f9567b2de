"""Texts that come from anywhere, whether every database stores them, and texts that nobody may read."""

from __future__ import annotations

import json
from typing import Any


class Secret(str):
    """A text that ``repr`` hides, so that crash reports with local variables do not contain it."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "'[hidden]'"


def is_storable(value: Any) -> bool:
    """Return whether every database stores the value as JSON: no NaN, no NUL, no half of a character pair."""
    try:
        text = json.dumps(value, allow_nan=False, ensure_ascii=False)
        text.encode()
    except ValueError:
        return False
    return "\\u0000" not in text.replace("\\\\", "")


def is_nested_deeper(value: Any, levels: int) -> bool:
    """Return whether lists and objects contain each other more than so many times."""
    if not isinstance(value, (list, tuple, dict)):
        return False
    inner = value.values() if isinstance(value, dict) else value
    return levels == 0 or any(is_nested_deeper(one, levels - 1) for one in inner)


def describe_exception(error: BaseException, max_length: int) -> str:
    """Return the class and the text of an error as every database stores them.

    The error may be one of the site's own code: its text may hold anything, and may fail to be built.
    """
    try:
        text = str(error)
    except Exception:  # noqa: BLE001 - whatever an error's __str__ raises
        text = "without a readable text"
    storable = text.encode("utf-8", "replace").decode().replace("\x00", "?")
    return f"{type(error).__name__}: {storable}"[:max_length]
