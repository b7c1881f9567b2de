"""Refuse words of the project's former private vocabulary in every tracked text file.

    python .ci/check_words.py            all tracked files
    python .ci/check_words.py FILE …     these files

Prints ``file:line: word`` for each finding and exits 1 if there is one. A word counts where it is a whole
word or a part of an identifier: ``old_word`` and ``OldWord`` contain ``word``, ``sword`` does not. In
translation files only the originals are read, not the translations.

Only words without another meaning in this project are listed. A file in ``EXCEPTIONS`` may use them between a
line that contains ``check-words: off`` and one that contains ``check-words: on``.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

#: Whole words and parts of identifiers, in lower case.
WORDS = frozenset(
    {
        "cellar",
        "crew",
        "doorbell",
        "doorbells",
        "herd",
        "knock",
        "knocked",
        "knocking",
        "knocks",
        "ledger",
        "letterbox",
        "letterboxes",
        "sweeper",
        "sweepers",
        "untold",
        "warden",
        "wardens",
        "wish",
        "wished",
        "wishes",
        "wishing",
    }
)
#: Whole identifiers that were renamed.
NAMES = frozenset(
    {
        "BudgetSpent",
        "CallersDesk",
        "ClientKeyReused",
        "DIRECTORY_EVERY",
        "FULL_EVERY",
        "NEAR_EVERY",
        "QUEUE_WHEN_DOWN",
        "client_key",
        "first_negative_at",
        "health_account",
        "hear_again",
        "open_key",
        "queue_consent",
        "ring_doorbell",
        "settle_at",
        "settle_booking",
        "settle_change",
        "slot_key",
        "stands_already",
        "sync_account",
        "work_ready",
    }
)
#: The table of renamed names is for people who upgrade.
EXCEPTIONS = ("CHANGELOG.rst",)
#: This list, and documents of the service that are kept as they were received.
SKIPPED = (".ci/check_words.py", "tests/recordings/")

IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
PIECE = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")


def main(arguments: list[str]) -> int:
    paths = [Path(argument) for argument in arguments] or list_tracked_files()
    findings = [finding for path in paths for finding in check_file(path)]
    for finding in findings:
        sys.stdout.write(f"{finding}\n")
    return 1 if findings else 0


def list_tracked_files() -> list[Path]:
    command = ["git", "-C", str(ROOT), "ls-files", "-z"]
    names = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split("\0")
    return [ROOT / name for name in names if name and not name.startswith(SKIPPED)]


def check_file(path: Path) -> Iterator[str]:
    """Yield ``file:line: word`` for each retired word in a text file; nothing for other files."""
    try:
        lines = path.read_text("utf-8").splitlines()
    except (UnicodeDecodeError, FileNotFoundError, IsADirectoryError):
        return
    shown = path.relative_to(ROOT) if path.is_relative_to(ROOT) else path
    for number, line in select_lines(path, lines):
        for word in find_retired(line):
            yield f"{shown}:{number}: {word}"


def select_lines(path: Path, lines: Iterable[str]) -> Iterator[tuple[int, str]]:
    """Yield the lines to check with their numbers."""
    is_checked, is_translation = True, False
    for number, line in enumerate(lines, 1):
        if path.name in EXCEPTIONS and "check-words: off" in line:
            is_checked = False
        if path.suffix == ".po" and not line.startswith('"'):
            is_translation = line.startswith("msgstr")
        if is_checked and not is_translation:
            yield number, line
        if "check-words: on" in line:
            is_checked = True


def find_retired(line: str) -> list[str]:
    """Return the retired words of a line."""
    return [
        identifier
        for identifier in IDENTIFIER.findall(line)
        if identifier in NAMES or any(piece.lower() in WORDS for piece in PIECE.findall(identifier))
    ]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
