"""What load tests and proofs replace by dotted path exists: else a sabotage would sabotage nothing."""

from __future__ import annotations

import pkgutil
import re
from pathlib import Path

import pytest

from tests.harness.kill_points import POINTS

TESTS = Path(__file__).parent.parent
PATH = re.compile(r'"(django_meetergo(?:\.\w+)+)"')


NAMED = {
    path
    for folder in ("harness", "proofs")
    for file in (TESTS / folder).rglob("*.py")
    for path in PATH.findall(file.read_text())
}


@pytest.mark.parametrize("path", sorted(NAMED | {point.path for point in POINTS}))
def test_every_name_that_is_replaced_exists(path):
    assert pkgutil.resolve_name(path) is not None
