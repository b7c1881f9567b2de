"""The app is at home in sites of many kinds: visit, book, move, webhook, cancel and admin work in each."""

from __future__ import annotations

import pkgutil

import pytest

from tests.hosts import sites
from tests.hosts.run import run

NAMES = sorted(module.name for module in pkgutil.iter_modules(sites.__path__))


@pytest.mark.parametrize("name", NAMES)
def test_the_journey_works(name, tmp_path):
    log = tmp_path / "log.txt"

    assert run(name, log) == 0, log.read_text()[-6000:]


def test_there_are_enough_kinds_of_sites():
    assert len(NAMES) >= 20
