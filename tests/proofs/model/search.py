"""Explore every reachable snapshot, breadth first, and stop at the first violated invariant."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from tests.proofs.model.invariants import INVARIANTS, TERMINATES, Invariant
from tests.proofs.model.model import (
    NETWORK,
    PROGRAM,
    TIME,
    Environment,
    Snapshot,
    Transition,
    list_fault_points,
    list_transitions,
)

BUSY = frozenset({PROGRAM, NETWORK, TIME})


@contextmanager
def garbage_collection_disabled() -> Iterator[None]:
    """Disable the collector: no reference cycles are created, and it would take a third of the time."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


@dataclass
class Result:
    """``violated`` names the first invariant that did not hold, ``trace`` is a shortest path to it."""

    states: int = 0
    quiescent: int = 0
    violated: str = ""
    trace: list[str] = field(default_factory=list)
    fault_points: set[str] = field(default_factory=set)

    def __str__(self) -> str:
        verdict = f"violates {self.violated!r}" if self.violated else "every invariant holds"
        steps = [f"  {number}. {step}" for number, step in enumerate(self.trace, 1)]
        return "\n".join([f"{self.states} states, {self.quiescent} quiescent: {verdict}", *steps])


class Search:
    """A breadth-first search, so that the first counterexample is a shortest one."""

    def __init__(
        self,
        environment: Environment,
        invariants: Mapping[str, Invariant] = INVARIANTS,
        list_next: Callable[[Snapshot, Environment], Iterator[Transition]] = list_transitions,
    ) -> None:
        self.environment = environment
        self.list_next = list_next
        self.invariants = invariants
        self.ids: dict[Snapshot, int] = {}
        self.predecessors: list[tuple[int, str]] = []
        self.before: list[list[int]] = []
        self.quiescent: list[int] = []

    def run(self) -> Result:
        with garbage_collection_disabled():
            return self.explore()

    def explore(self) -> Result:
        result = Result()
        queue = [Snapshot()]
        self.add(queue[0], 0, "")
        for number, snapshot in enumerate(queue):
            transitions = list(self.list_next(snapshot, self.environment))
            is_quiescent = not any(transition.actor in BUSY for transition in transitions)
            if is_quiescent:
                self.quiescent.append(number)
            result.fault_points |= list_fault_points(snapshot)
            result.violated = self.find_violated(snapshot, is_quiescent=is_quiescent)
            if result.violated:
                result.trace = self.build_trace(number)
                break
            queue.extend(self.add_all(transitions, number))
        else:
            self.find_nonterminating(result)
        result.states, result.quiescent = len(self.ids), len(self.quiescent)
        return result

    def add_all(self, transitions: list[Transition], number: int) -> list[Snapshot]:
        return [
            transition.snapshot
            for transition in transitions
            if self.add(transition.snapshot, number, transition.label)
        ]

    def add(self, snapshot: Snapshot, before: int, label: str) -> bool:
        """Record how a snapshot is reached. Return True when it is new."""
        number = self.ids.setdefault(snapshot, len(self.predecessors))
        new = number == len(self.predecessors)
        if new:
            self.predecessors.append((before, label))
            self.before.append([])
        self.before[number].append(before)
        return new

    def get_quiescent_snapshots(self) -> set[Snapshot]:
        snapshots = list(self.ids)
        return {snapshots[number] for number in self.quiescent}

    def find_violated(self, snapshot: Snapshot, *, is_quiescent: bool) -> str:
        for name, holds in self.invariants.items():
            if not holds(snapshot, self.environment, is_quiescent):
                return name
        return ""

    def build_trace(self, number: int) -> list[str]:
        trace = []
        while number:
            number, label = self.predecessors[number]
            trace.append(label)
        return trace[::-1]

    def find_nonterminating(self, result: Result) -> None:
        """I4: from every snapshot a quiescent one can be reached."""
        terminating = set(self.quiescent)
        queue = list(self.quiescent)
        for number in queue:
            fresh = [before for before in self.before[number] if before not in terminating]
            terminating.update(fresh)
            queue.extend(set(fresh))
        nonterminating = next(
            (number for number in range(len(self.predecessors)) if number not in terminating), None
        )
        if nonterminating is not None:
            result.violated, result.trace = TERMINATES, self.build_trace(nonterminating)
