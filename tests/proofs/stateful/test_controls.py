"""The machine can fail: it finds each defect that is planted on purpose."""

from __future__ import annotations

import re

import pytest
from hypothesis import Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.proofs.stateful.machine import shorten
from tests.proofs.stateful.sabotages import CONTROLS

#: The defect must be found within this many examples, always the same ones.
EXAMPLES = 60


@pytest.mark.parametrize("control", CONTROLS, ids=[control.sabotage.__name__ for control in CONTROLS])
def test_a_planted_defect_is_found(world, profile, monkeypatch, control):
    """The invariant that the defect breaks is violated."""
    machine = shorten(*control.rules)
    machine.world = world
    control.sabotage(monkeypatch)
    brief = settings(
        profile,
        derandomize=True,
        phases=[Phase.generate],
        max_examples=EXAMPLES,
        stateful_step_count=20,
        report_multiple_bugs=False,
    )

    with pytest.raises(AssertionError) as failure:
        run_state_machine_as_test(machine, settings=brief)

    named = set(re.findall(r"^(I\d+):", str(failure.value), re.MULTILINE))
    assert named & set(control.caught_by), failure.value
