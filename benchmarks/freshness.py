"""P21 to P23: the share of page views that show wrong free times, or none, in a simulation.

The simulated documents are viewed unequally (Zipf) and change: half of the changes are bookings at
meetergo, of which a webhook tells, so that the slot is removed from the copy; the others are entries in a
host's own calendar, of which no webhook tells. Three policies spend the same request limit on the same
views and changes: the app's (``demand`` and ``RateLimiter``), stale-while-revalidate in order of arrival,
and one that knows every change at once. No request is sent.
"""

from __future__ import annotations

import argparse
import random
import sys
from bisect import bisect
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

from benchmarks.figures import Goal, Most, measure_cpu, report
from django_meetergo.exceptions import RateLimitReached
from django_meetergo.remote.rate_limit import RateLimiter
from django_meetergo.services.availability import demand
from django_meetergo.services.availability.refresh import BATCH_SIZE, REFRESH_REQUEST_SECONDS
from django_meetergo.services.availability.store import FRESH, STALE

MINUTES, WARM_UP = 60, 15
PER_MINUTE = 90
CHANGES_AN_HOUR = 1.0
ANNOUNCED = 0.5  # share of changes that a webhook announces
WEBHOOK_SECONDS = 2  # until it is applied
Document = demand.DocumentId


@dataclass(frozen=True)
class World:
    types: int
    views_a_minute: int
    goal: float

    @property
    def documents(self) -> list[Document]:
        return [(number, 30, 0) for number in range(self.types)]


WORLDS = (World(200, 300, 0.7), World(1000, 2000, 0.4))


@dataclass(frozen=True)
class Second:
    """What happens in one second, whatever the policy."""

    views: list[Document]
    changes: list[Document]
    announced: list[Document]


def simulate(world: World, seed: int) -> list[Second]:
    chance = random.Random(seed)
    documents = world.documents
    weights = list(accumulate(1 / (rank + 1) for rank in range(len(documents))))
    chance.shuffle(documents)
    seconds = [Second([], [], []) for _ in range((WARM_UP + MINUTES) * 60)]

    def draw_moments(number: float) -> Iterator[int]:
        """Yield the moments of events that are spread at random."""
        return (chance.randrange(len(seconds)) for _ in range(round(number)))

    minutes = len(seconds) / 60
    for at in draw_moments(world.views_a_minute * minutes):
        seconds[at].views.append(documents[bisect(weights, chance.uniform(0, weights[-1]))])
    for at in draw_moments(len(documents) * CHANGES_AN_HOUR * minutes / 60):
        document = chance.choice(documents)
        seconds[at].changes.append(document)
        if chance.random() < ANNOUNCED and at + WEBHOOK_SECONDS < len(seconds):
            seconds[at + WEBHOOK_SECONDS].announced.append(document)
    return seconds


class SimulatedCache:
    """The part of a cache that the rate limiter uses, on the simulated clock."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.clock, self.known = clock, dict[Any, tuple[Any, float]]()

    def get(self, key: Any) -> Any:
        value, ends = self.known.get(key, (None, 0.0))
        return value if ends > self.clock() else None

    def get_many(self, keys: Iterable[Any]) -> dict[Any, Any]:
        return {key: value for key in keys if (value := self.get(key)) is not None}

    def set(self, key: Any, value: Any, timeout: Any = 300) -> None:
        self.known[key] = value, self.clock() + timeout

    def add(self, key: Any, value: Any, timeout: Any = 300, **_: Any) -> bool:
        if self.get(key) is not None:
            return False
        self.set(key, value, timeout)
        return True


class Policy:
    """A way to refresh copies: when each was fetched, and how many changes it does not show."""

    def __init__(self, world: World) -> None:
        self.now, self.world = 0.0, world
        self.fetched: dict[Document, float] = {}
        self.unseen: dict[Document, int] = {}
        self.sent: list[float] = []
        self.rate_limiter = RateLimiter(
            "simulated", PER_MINUTE, SimulatedCache(lambda: self.now), now=lambda: self.now
        )

    def fetch(self, document: Document, priority: str) -> bool:
        try:
            self.rate_limiter.acquire(priority)
        except RateLimitReached:
            return False
        self.sent.append(self.now)
        self.fetched[document], self.unseen[document] = self.now, 0
        return True

    def age(self, document: Document) -> float:
        return self.now - self.fetched.get(document, float("-inf"))

    def change(self, document: Document) -> None:
        self.unseen[document] = self.unseen.get(document, 0) + 1

    def apply_webhook(self, document: Document) -> None:
        """Read the appointment once and remove its slot from the copy."""
        try:
            self.rate_limiter.acquire("reread")
        except RateLimitReached:
            return
        self.sent.append(self.now)
        self.unseen[document] = max(self.unseen.get(document, 0) - 1, 0)

    def is_wrong(self, document: Document) -> bool:
        return self.age(document) > STALE.total_seconds() or self.unseen.get(document, 0) > 0

    def view(self, document: Document) -> bool:
        """Return whether the view shows wrong times or none."""
        if self.age(document) > STALE.total_seconds():
            self.fetch(document, "view")
        return self.is_wrong(document)

    def work(self) -> None:
        """Do what is due once a second."""

    def run(self, seconds: list[Second]) -> float:
        """Return the percentage of bad views after the warm-up."""
        bad = seen = 0
        for at, second in enumerate(seconds):
            self.now = float(at)
            for document in second.changes:
                self.change(document)
            for document in second.announced:
                self.apply_webhook(document)
            for document in second.views:
                was_bad = self.view(document)
                if at >= WARM_UP * 60:
                    seen, bad = seen + 1, bad + was_bad
            self.work()
        return 100 * bad / seen

    def busiest_minute(self) -> int:
        return max(bisect(self.sent, moment + 60) - index for index, moment in enumerate(self.sent))


class ByDemand(Policy):
    """The app's policy: show the copy, and refresh the most wanted documents in rounds."""

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self.interest: dict[Document, demand.Interest] = {}

    def view(self, document: Document) -> bool:
        known = self.interest.get(document)
        weight = (known.at(self.now) if known else 0.0) + 1
        self.interest[document] = demand.Interest(weight=weight, as_of=self.now)
        return super().view(document)

    def work(self) -> None:
        if self.now % REFRESH_REQUEST_SECONDS:
            return
        candidates = [
            demand.Candidate(document=document, interest=interest.at(self.now), age=self.age(document))
            for document, interest in self.interest.items()
            if document in self.fetched
        ]
        for document in demand.choose_documents(candidates, number=BATCH_SIZE):
            if not self.fetch(document, "planned"):
                break


class InOrderOfArrival(Policy):
    """Stale-while-revalidate: the view of an old copy fetches it again if there is a permit."""

    def view(self, document: Document) -> bool:
        was_wrong = super().view(document)
        if self.age(document) >= FRESH.total_seconds():
            self.fetch(document, "view")
        return was_wrong


class AllKnowing(Policy):
    """The optimum: every change is known, and the most viewed document is fetched first."""

    def __init__(self, world: World, seconds: list[Second]) -> None:
        super().__init__(world)
        self.worth: dict[Document, int] = {}
        for second in seconds:
            for document in second.views:
                self.worth[document] = self.worth.get(document, 0) + 1

    def work(self) -> None:
        wrong = [document for document in self.worth if self.is_wrong(document)]
        for document in sorted(wrong, key=self.worth.__getitem__, reverse=True):
            if not self.fetch(document, "write"):
                break


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks freshness")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--plan", action="store_true", help="P23 alone: what planning costs")
    chosen = parser.parse_args(arguments)
    return report([measure_planning()] if chosen.plan else [*compare(chosen.seeds), measure_planning()])


def compare(seeds: int) -> Iterator[Goal | Most]:
    busiest: list[float] = []
    for world in WORLDS:
        ours, peer, least = [], [], []
        for seed in range(seeds):
            seconds = simulate(world, seed)
            policies = ByDemand(world), InOrderOfArrival(world), AllKnowing(world, seconds)
            for policy, shares in zip(policies, (ours, peer, least), strict=True):
                shares.append(policy.run(seconds))
            busiest.append(float(policies[0].busiest_minute()))
        name = f"P21 {world.types} types, {world.views_a_minute} views/min"
        sys.stdout.write(
            f"{name}: a policy that knows every change has {sum(least) / seeds:.2f} % bad views\n"
        )
        yield Goal(name, "%", ours, peer, world.goal)
    yield Most("P22 requests in the busiest minute", "", busiest, PER_MINUTE)


def measure_planning() -> Goal:
    """P23: choose what to refresh of 2,000 documents, compared with sorting as many rows."""
    chance = random.Random(0)
    candidates = [
        demand.Candidate(document=(number, 30, 0), interest=chance.random(), age=chance.uniform(0, 900))
        for number in range(2000)
    ]

    def plan() -> None:
        demand.choose_documents(candidates, number=BATCH_SIZE)

    def sort() -> None:
        sorted(((one.age, one.document) for one in candidates), reverse=True)

    times = [(measure_cpu(plan) * 1e6, measure_cpu(sort) * 1e6) for _ in range(51)]
    ours, floor = zip(*times, strict=True)
    return Goal("P23 planning, 2,000 documents", "us", list(ours), list(floor), 4)
