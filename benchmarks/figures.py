"""Goals of benchmarks and the lines that report them."""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Goal:
    """A figure of several rounds and its largest allowed ratio to a floor."""

    name: str
    unit: str
    ours: list[float]
    floor: list[float]
    most: float

    @property
    def ratios(self) -> list[float]:
        return [ours / floor for ours, floor in zip(self.ours, self.floor, strict=True)]

    @property
    def ratio(self) -> float:
        return statistics.median(self.ratios)

    @property
    def is_met(self) -> bool:
        return self.ratio <= self.most

    def line(self) -> str:
        low, high = min(self.ratios), max(self.ratios)
        verdict = "ok" if self.is_met else "MISSED"
        return (
            f"{self.name:<34} ours {statistics.median(self.ours):9.1f} {self.unit}  "
            f"floor {statistics.median(self.floor):9.1f}  "
            f"ratio {self.ratio:5.2f} ({low:.2f} to {high:.2f})  goal <= {self.most:g}  {verdict}"
        )


@dataclass(frozen=True)
class Most:
    """A figure of several rounds and its largest allowed value."""

    name: str
    unit: str
    ours: list[float]
    most: float

    @property
    def is_met(self) -> bool:
        return statistics.median(self.ours) <= self.most

    def line(self) -> str:
        low, high = min(self.ours), max(self.ours)
        verdict = "ok" if self.is_met else "MISSED"
        return (
            f"{self.name:<34} ours {statistics.median(self.ours):9.1f} {self.unit}  "
            f"({low:.1f} to {high:.1f})  goal <= {self.most:g}  {verdict}"
        )


@dataclass(frozen=True)
class Exactly:
    """A count that has to be the same in every round."""

    name: str
    ours: Sequence[int]
    value: int

    @property
    def is_met(self) -> bool:
        return set(self.ours) == {self.value}

    def line(self) -> str:
        found = ", ".join(map(str, sorted(set(self.ours))))
        verdict = "ok" if self.is_met else "MISSED"
        return f"{self.name:<34} ours {found:>9}  goal = {self.value}  {verdict}"


def measure_cpu(do: Callable[[], object]) -> float:
    """Return the seconds of processor time that a call takes."""
    started = time.process_time()
    do()
    return time.process_time() - started


def report(goals: Sequence[Goal | Most | Exactly]) -> int:
    for goal in goals:
        sys.stdout.write(goal.line() + "\n")
    return 0 if all(goal.is_met for goal in goals) else 1
