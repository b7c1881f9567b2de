"""Read the code blocks of the documentation."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
BLOCK = re.compile(r"( *)\.\. code-block:: *(\w+)$")
OPTION = re.compile(r" *:(\w+): *(.*)$")
COMMENT = re.compile(r"\.\. (visit|book|environment|run): *(.*)$")
#: The first line of a block that names its file where there is no caption.
FILE_COMMENT = re.compile(r"(?:#|\{#) (\S+\.\w+(?:, at the end)?)(?: #\})?$")


@dataclass(frozen=True, kw_only=True)
class Block:
    """A code block, or a comment that tells the tests what a reader does there (``language`` is empty)."""

    place: str
    language: str
    caption: str
    text: str


def list_pages() -> list[Path]:
    return [ROOT / "README.rst", *sorted(DOCS.rglob("*.rst"))]


def read_blocks(path: Path) -> Iterator[Block]:
    """Yield the code blocks and the comments for tests of a page, in order."""
    lines = path.read_text("utf-8").splitlines()
    number = 0
    while number < len(lines):
        place = f"{path.relative_to(ROOT)}:{number + 1}"
        if comment := COMMENT.match(lines[number]):
            yield Block(place=place, language="", caption=comment[1], text=comment[2])
        elif found := BLOCK.match(lines[number]):
            yield read_block(lines, number + 1, len(found[1]), place, found[2])
        number += 1


def read_block(lines: list[str], number: int, indent: int, place: str, language: str) -> Block:
    caption = ""
    while number < len(lines) and (option := OPTION.match(lines[number])):
        caption = option[2] if option[1] in {"caption", "class"} else caption
        number += 1
    body = []
    for line in lines[number:]:
        if line.strip() and len(line) - len(line.lstrip()) <= indent:
            break
        body.append(line)
    text = textwrap.dedent("\n".join(body)).strip("\n") + "\n"
    first = text.partition("\n")[0]
    if not caption and (named := FILE_COMMENT.match(first)):
        caption = named[1]
    return Block(place=place, language=language, caption=caption, text=text)
