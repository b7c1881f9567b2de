"""The tutorial and the README do what they say: every command, every file, every printed line."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.documents import DOCS, ROOT
from tests.docs.executed.reader import Reader

PARTS = ("first-booking", "own-page", "signal-and-test")
#: Guides that continue with the site of the tutorial.
GUIDES = ("testing", "own-code", "reminders", "front-desk", "templates", "translate", "monitor", "privacy")


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Reader]:
    reader = Reader(tmp_path)
    yield reader
    reader.stop()


def test_the_tutorial_and_the_guides_work(reader: Reader) -> None:
    for part in PARTS:
        reader.follow(DOCS / "tutorial" / f"{part}.rst")
    for guide in GUIDES:
        reader.follow(DOCS / "howto" / f"{guide}.rst")
    reader.follow(DOCS / "tutorial" / "going-live.rst")


def test_the_readme_works(reader: Reader) -> None:
    """Its steps add the app to a project that exists."""
    reader.run("django-admin startproject mysite .")
    reader.follow(ROOT / "README.rst")
