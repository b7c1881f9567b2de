"""What everybody who books is promised, whatever is delayed, lost, repeated or killed, in every order."""

from __future__ import annotations

from functools import cache

import pytest

from tests.proofs.model.model import Setting, all_moves
from tests.proofs.model.promises import ENDS, PROMISES
from tests.proofs.model.search import Search, Walk
from tests.proofs.model.worlds import BOUNDED, MISTAKES, REPEATING, UNBOUNDED


@cache
def walk(setting: Setting) -> Walk:
    return Search(setting).run()


@pytest.mark.parametrize("setting", BOUNDED, ids=str)
def test_every_promise_is_kept_where_meetergo_keeps_to_its_time(setting, record_property):
    """One appointment or none, told as it is, however calls, crashes and rivals fall together."""
    seen = walk(setting)

    record_property("states", seen.states)
    assert not seen.broken, str(seen)


@pytest.mark.parametrize("setting", UNBOUNDED, ids=str)
def test_what_lands_long_afterwards_is_found_and_told(setting, record_property):
    """Without any bound on delays, nothing stands unknown to its attendee once everything is quiet."""
    seen = walk(setting)

    record_property("states", seen.states)
    assert not seen.broken, str(seen)


def test_a_wish_that_was_delivered_twice_is_left_with_one_appointment(record_property):
    """The surplus of a repeated request is cancelled, even when whoever cancels dies in between."""
    seen = walk(REPEATING)

    record_property("states", seen.states)
    assert not seen.broken, str(seen)


def test_the_shortcuts_of_the_walk_hide_nothing():
    """Leaving out orders that cannot matter, and names of workers, loses no ending and no verdict."""
    short, whole = Search(BOUNDED[0]), Search(BOUNDED[0], options=all_moves)

    assert not short.run().broken
    assert not whole.run().broken
    assert short.quiet_worlds() == whole.quiet_worlds()
    assert len(short.numbers) < len(whole.numbers) / 4


def test_everybody_can_die_at_every_fault_point():
    """K1 to K10 are all met: a promise about crashes is worth nothing where none can happen."""
    met = walk(BOUNDED[0]).points | walk(REPEATING).points

    assert met == {f"K{number}" for number in range(1, 11)}


@pytest.mark.parametrize("mistake", MISTAKES, ids=str)
def test_a_mistake_is_caught_with_the_shortest_way_to_its_harm(mistake, record_property):
    """Each wrong policy breaks its promise in a world where ours keeps all of them."""
    seen = Search(mistake.setting, mistake.promises).run()

    record_property("states", seen.states)
    record_property("trace", "\n".join(seen.trace))
    assert seen.broken == mistake.promise, str(seen)
    assert seen.trace
    assert mistake.world in BOUNDED + UNBOUNDED


def test_every_promise_is_broken_by_some_mistake():
    """A check that nothing can fail would prove nothing."""
    assert {mistake.promise for mistake in MISTAKES} == {*PROMISES, ENDS}
