"""Whatever happens, in whatever order, the promises hold."""

from __future__ import annotations

from math import ceil

import pytest
from hypothesis import seed, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.proofs.stateful.machine import Clinic

#: Parts of the run, each elsewhere in the space, so that every core has one.
SHARES = 4


@pytest.mark.parametrize("share", range(SHARES))
def test_the_promises_hold_whatever_happens(world, profile, share):
    """Every invariant after every step, and both sides equal once all is quiet."""
    machine = type("Clinic", (Clinic,), {"world": world})
    if profile.derandomize:
        seed(share)(machine)

    part = settings(profile, max_examples=ceil(profile.max_examples / SHARES))
    run_state_machine_as_test(machine, settings=part)
