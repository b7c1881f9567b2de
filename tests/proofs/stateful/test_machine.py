"""Whatever happens, in whatever order, the promises hold."""

from __future__ import annotations

from hypothesis.stateful import run_state_machine_as_test

from tests.proofs.stateful.machine import Clinic


def test_the_promises_hold_whatever_happens(world, profile, monkeypatch):
    """Every invariant after every step, and both sides equal once all is quiet."""
    monkeypatch.setattr(Clinic, "world", world, raising=False)

    run_state_machine_as_test(Clinic, settings=profile)
