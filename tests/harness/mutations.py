"""Make hostile inputs from valid ones. Every function draws from the random generator that it is given."""

from __future__ import annotations

import copy
import random
from typing import Any

#: Texts that parsers, databases and templates stumble over.
NASTY: tuple[str, ...] = (
    "", " ", "0", "-1", "1e400", "NaN", "Infinity", "9" * 400, "\x00", "\x00\x01\x7f", "\ufeff", "\ud800",
    "ä" * 300, "😀" * 200, "\u202e\u0000", "\r\nBcc: a@b.example", "' OR 1=1 --", "<script>alert(1)</script>",
    "{{ request }}{% debug %}", "../../etc/passwd", "%00", "%ff%fe", "%s%s%n", "http://[::1",
    "//evil.example/",
    "javascript:alert(1)", "null", "true", "[]", "{}", "[object Object]", "undefined", "0001-01-01T00:00:00Z",
    "9999-12-31T23:59:59.999999+14:00", "2026-02-30T10:00:00+01:00", "2026-03-29T02:30:00", "-262144-01-01",
    "24:00", "Europe/Nowhere", "Etc/../../passwd", "a@b", "@", "a@" + "b" * 400 + ".example", "+" * 40,
    "x" * 10_000, "\n" * 500, "1" + "0" * 30, "１２", "٣", "²", "ⅷ",
)  # fmt: skip
VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 2**31, 2**63, 2**70, 1.5, 1e308, float("inf"), float("nan"), [], {}, [None],
    {"": ""}, [[[[]]]], "",
)  # fmt: skip


def choose_text(dice: random.Random) -> str:
    """Return a nasty text, or random characters of any plane but surrogates."""
    if dice.random() < 0.7:
        return dice.choice(NASTY)
    return "".join(
        chr(dice.choice((dice.randrange(1, 0x250), dice.randrange(0xE000, 0x11000)))) for _ in range(9)
    )


def choose_value(dice: random.Random) -> Any:
    """Return a value of the wrong kind; a copy, since it may be changed again."""
    return copy.deepcopy(dice.choice(VALUES))


def change_text(text: str, dice: random.Random) -> str:
    """Change, drop, repeat or insert something in a text."""
    if not text or dice.random() < 0.2:
        return choose_text(dice)
    place = dice.randrange(len(text))
    match dice.randrange(6):
        case 0:
            return text[:place]
        case 1:
            return text[:place] + chr(dice.randrange(0x20, 0x250)) + text[place + 1 :]
        case 2:
            return text[:place] + text[place + 1 :]
        case 3:
            return text + text[place:]
        case 4:
            return text.swapcase()
    return text[:place] + choose_text(dice)[:50] + text[place:]


def change_bytes(body: bytes, dice: random.Random) -> bytes:
    """Flip, cut, repeat or insert bytes."""
    if not body:
        return dice.randbytes(20)
    place = dice.randrange(len(body))
    match dice.randrange(5):
        case 0:
            return body[:place]
        case 1:
            return body[:place] + dice.randbytes(1) + body[place + 1 :]
        case 2:
            return body[:place] + dice.randbytes(8) + body[place:]
        case 3:
            return body + body
    return b"[" * dice.choice((10, 30, 2_000)) + body


def change_document(document: Any, dice: random.Random, *, times: int = 1) -> Any:
    """Return a copy of a JSON document with so many members changed, dropped, renamed or repeated."""
    changed = copy.deepcopy(document)
    for _ in range(times):
        changed = change_member(changed, dice)
    return changed


def change_member(document: Any, dice: random.Random) -> Any:
    places = list_places(document)
    if not places or dice.random() < 0.02:
        return choose_value(dice)
    holder, key = dice.choice(places)
    match dice.randrange(6):
        case 0:
            holder[key] = choose_value(dice)
        case 1:
            holder[key] = choose_text(dice)
        case 2:
            del holder[key]
        case 3 if isinstance(holder, dict):
            holder[choose_text(dice)] = holder.pop(key)
        case 4 if isinstance(holder, list):
            holder.extend([holder[key]] * dice.choice((1, 3, 200)))
        case _:
            old = holder[key]
            holder[key] = change_text(old, dice) if isinstance(old, str) else [old]
    return document


def list_places(document: Any) -> list[tuple[Any, Any]]:
    """Return every member of every object and list as (holder, key or index)."""
    found: list[tuple[Any, Any]] = []
    pending = [document]
    while pending:
        holder = pending.pop()
        keys = holder if isinstance(holder, dict) else range(len(holder)) if isinstance(holder, list) else ()
        for key in keys:
            found.append((holder, key))
            pending.append(holder[key])
    return found
