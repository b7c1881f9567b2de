"""The booking protocol holds under every order of delays, losses, duplicates and crashes."""

from __future__ import annotations

from functools import cache

import pytest

from tests.proofs.model.environments import BOUNDED, DUPLICATING, MISTAKES, UNBOUNDED
from tests.proofs.model.invariants import INVARIANTS, TERMINATES
from tests.proofs.model.model import Environment, list_all_transitions
from tests.proofs.model.search import Result, Search


@cache
def explore(environment: Environment) -> Result:
    return Search(environment).run()


@pytest.mark.parametrize("environment", BOUNDED, ids=str)
def test_every_invariant_holds_with_bounded_delays(environment, record_property):
    """One appointment or none, and the attendee is notified correctly, for every order of events."""
    result = explore(environment)

    record_property("states", result.states)
    assert not result.violated, str(result)


@pytest.mark.parametrize("environment", UNBOUNDED, ids=str)
def test_every_invariant_holds_with_unbounded_delays(environment, record_property):
    """Once nothing can change any more, every attendee knows of every active appointment."""
    result = explore(environment)

    record_property("states", result.states)
    assert not result.violated, str(result)


def test_a_duplicated_request_ends_with_one_appointment(record_property):
    """The surplus of a duplicated request is cancelled, also when the cancelling worker dies."""
    result = explore(DUPLICATING)

    record_property("states", result.states)
    assert not result.violated, str(result)


def test_the_reductions_of_the_search_hide_nothing():
    """Reordering independent transitions and interchanging workers loses no quiescent snapshot."""
    short, whole = Search(BOUNDED[0]), Search(BOUNDED[0], list_next=list_all_transitions)

    assert not short.run().violated
    assert not whole.run().violated
    assert short.get_quiescent_snapshots() == whole.get_quiescent_snapshots()
    assert len(short.ids) < len(whole.ids) / 4


def test_every_fault_point_is_reached():
    """K1 to K10 are all reached; an invariant about crashes proves nothing where none can happen."""
    reached = explore(BOUNDED[0]).fault_points | explore(DUPLICATING).fault_points

    assert reached == {f"K{number}" for number in range(1, 11)}


@pytest.mark.parametrize("mistake", MISTAKES, ids=str)
def test_each_mistake_is_found_with_a_shortest_trace(mistake, record_property):
    """Each wrong policy violates its invariant in an environment where the protocol holds."""
    result = Search(mistake.environment, mistake.invariants).run()

    record_property("states", result.states)
    record_property("trace", "\n".join(result.trace))
    assert result.violated == mistake.invariant, str(result)
    assert result.trace
    assert mistake.base in BOUNDED + UNBOUNDED


def test_every_invariant_is_violated_by_some_mistake():
    """An invariant that no mistake violates would prove nothing."""
    assert {mistake.invariant for mistake in MISTAKES} == {*INVARIANTS, TERMINATES}
