"""The invariants hold for random sequences of events."""

from __future__ import annotations

from math import ceil

import pytest
from hypothesis import seed, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.proofs.stateful.machine import Clinic

#: Parts of the run with different seeds, so that every core has one.
SHARES = 4


@pytest.mark.parametrize("share", range(SHARES))
def test_the_invariants_hold_after_every_step(world, profile, share):
    """Every invariant holds after every step, and both sides are equal at rest."""
    machine = type("Clinic", (Clinic,), {"world": world})
    if profile.derandomize:
        seed(share)(machine)

    part = settings(profile, max_examples=ceil(profile.max_examples / SHARES))
    run_state_machine_as_test(machine, settings=part)
