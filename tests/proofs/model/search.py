"""Walk through every world that can come about, nearest first, and stop at the first broken promise."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from tests.proofs.model.model import NETWORK, PROGRAM, TIME, Move, Setting, World, fault_points, moves
from tests.proofs.model.promises import ENDS, PROMISES, Promise

BUSY = frozenset({PROGRAM, NETWORK, TIME})


@contextmanager
def collector_at_rest() -> Iterator[None]:
    """Nothing here is a circle, and looking for one among so many worlds takes a third of the time."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


@dataclass
class Walk:
    """What was seen. ``broken`` names the promise that did not hold, ``trace`` the shortest way there."""

    states: int = 0
    quiet: int = 0
    broken: str = ""
    trace: list[str] = field(default_factory=list)
    points: set[str] = field(default_factory=set)

    def __str__(self) -> str:
        verdict = f"breaks {self.broken!r}" if self.broken else "keeps every promise"
        steps = [f"  {number}. {step}" for number, step in enumerate(self.trace, 1)]
        return "\n".join([f"{self.states} states, {self.quiet} quiet: {verdict}", *steps])


class Search:
    """Breadth first, so that the first counterexample is a shortest one."""

    def __init__(
        self,
        setting: Setting,
        promises: Mapping[str, Promise] = PROMISES,
        options: Callable[[World, Setting], Iterator[Move]] = moves,
    ) -> None:
        self.setting = setting
        self.options = options
        self.promises = promises
        self.numbers: dict[World, int] = {}
        self.cameby: list[tuple[int, str]] = []
        self.before: list[list[int]] = []
        self.quiet: list[int] = []

    def run(self) -> Walk:
        with collector_at_rest():
            return self.walk()

    def walk(self) -> Walk:
        walk = Walk()
        queue = [World()]
        self.meet(queue[0], 0, "")
        for number, world in enumerate(queue):
            options = list(self.options(world, self.setting))
            quiet = not any(move.who in BUSY for move in options)
            if quiet:
                self.quiet.append(number)
            walk.points |= fault_points(world)
            walk.broken = self.find_broken(world, quiet=quiet)
            if walk.broken:
                walk.trace = self.tell_way(number)
                break
            queue.extend(self.meet_all(options, number))
        else:
            self.find_stuck(walk)
        walk.states, walk.quiet = len(self.numbers), len(self.quiet)
        return walk

    def meet_all(self, options: list[Move], number: int) -> list[World]:
        return [move.world for move in options if self.meet(move.world, number, move.says)]

    def meet(self, world: World, before: int, says: str) -> bool:
        """Note how a world is reached; True when it is new."""
        number = self.numbers.setdefault(world, len(self.cameby))
        new = number == len(self.cameby)
        if new:
            self.cameby.append((before, says))
            self.before.append([])
        self.before[number].append(before)
        return new

    def quiet_worlds(self) -> set[World]:
        worlds = list(self.numbers)
        return {worlds[number] for number in self.quiet}

    def find_broken(self, world: World, *, quiet: bool) -> str:
        for name, keeps in self.promises.items():
            if not keeps(world, self.setting, quiet):
                return name
        return ""

    def tell_way(self, number: int) -> list[str]:
        way = []
        while number:
            number, says = self.cameby[number]
            way.append(says)
        return way[::-1]

    def find_stuck(self, walk: Walk) -> None:
        """I4: from everywhere there is a way to quiet, so no run goes on for ever unless it is made to."""
        ends = set(self.quiet)
        queue = list(self.quiet)
        for number in queue:
            fresh = [before for before in self.before[number] if before not in ends]
            ends.update(fresh)
            queue.extend(set(fresh))
        stuck = next((number for number in range(len(self.cameby)) if number not in ends), None)
        if stuck is not None:
            walk.broken, walk.trace = ENDS, self.tell_way(stuck)
