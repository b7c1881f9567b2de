"""The size of a run, and the world that the state machine runs in.

``MEETERGO_STATEFUL_EXAMPLES`` and ``MEETERGO_STATEFUL_STEPS`` change the default of 200 × 30;
``HYPOTHESIS_PROFILE=stateful-nightly`` runs 2,000 × 50. ``MEETERGO_STATEFUL_RANDOM`` uses other examples in
each run.
"""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, settings

from tests.proofs.stateful.world import World

PLAIN = settings(
    deadline=None,
    print_blob=True,
    database=None,  # a failure prints what reproduces it
    suppress_health_check=list(HealthCheck),
)
settings.register_profile("stateful", PLAIN, max_examples=200, stateful_step_count=30)
settings.register_profile("stateful-nightly", PLAIN, max_examples=2000, stateful_step_count=50)


def choose_profile() -> settings:
    wanted = os.environ.get("HYPOTHESIS_PROFILE", "")
    profile = settings.get_profile(wanted if wanted.startswith("stateful") else "stateful")
    examples = int(os.environ.get("MEETERGO_STATEFUL_EXAMPLES", profile.max_examples))
    steps = int(os.environ.get("MEETERGO_STATEFUL_STEPS", profile.stateful_step_count))
    # The same examples in every run, so that two versions of the code are compared by the same examples.
    same = not os.environ.get("MEETERGO_STATEFUL_RANDOM")
    return settings(profile, max_examples=examples, stateful_step_count=steps, derandomize=same)


@pytest.fixture
def profile() -> settings:
    return choose_profile()


@pytest.fixture
def world(transactional_db, settings, monkeypatch):
    """A world with real transactions, so that a process can die in the middle of one."""
    world = World(settings, monkeypatch)
    yield world
    world.close()
