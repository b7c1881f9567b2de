"""Count which documents are viewed, and choose those that are worth a refresh.

Each process counts views and adds them to one shared cache entry every few seconds. Losing some of them costs
a little freshness and nothing else, so no lock protects the entry.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import exp, log

from django_meetergo.cache import cache

#: Primary key of the meeting type, duration in minutes and number of the window.
DocumentId = tuple[int, int, int]

CACHE_KEY = "meetergo:demand"
#: How long the shared entry is kept without views.
KEEP_SECONDS = 3600
#: How often a process adds its views to the shared entry.
FLUSH_SECONDS = 5.0
HALF_LIFE_SECONDS = timedelta(minutes=15).total_seconds()
#: How often the free times of a document change: assumed to be once an hour.
CHANGES_PER_SECOND = 1 / 3600
#: A document with less interest, some hours after its last view, is dropped from the shared entry.
MIN_INTEREST = 0.02


@dataclass(frozen=True, kw_only=True)
class Interest:
    """How often a document is viewed: a count of views that halves every 15 minutes."""

    weight: float
    as_of: float  # seconds since 1970

    def at(self, now: float) -> float:
        """Return the weight at a later time, in seconds since 1970."""
        return self.weight * float(0.5 ** (max(now - self.as_of, 0.0) / HALF_LIFE_SECONDS))


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A document that could be refreshed. ``age`` is in seconds."""

    document: DocumentId
    interest: float
    age: float
    outdated: bool = False  # it is known to have changed


def measure_worth(interest: float, age: float) -> float:
    """Return how many more views show the truth if the document is refreshed now.

    These are the views before the next change, and only if the copy has become wrong since it was fetched.
    Changes are assumed to come at random, ``CHANGES_PER_SECOND`` on average.
    """
    unchanged = exp(-CHANGES_PER_SECOND * age)
    return interest * log(2) / HALF_LIFE_SECONDS * ((1 - unchanged) / CHANGES_PER_SECOND - age * unchanged)


def choose_documents(candidates: Iterable[Candidate], *, number: int) -> list[DocumentId]:
    """Return the documents that are most worth a request, best first.

    Documents with more views are refreshed more often; one view is worth at most one request a minute.
    Outdated documents come before all others.
    """
    worth = [
        (candidate.outdated, measure_worth(candidate.interest, candidate.age), candidate.document)
        for candidate in candidates
    ]
    chosen = sorted((one for one in worth if one[0] or one[1] >= MIN_WORTH), reverse=True)
    return [document for _, _, document in chosen[:number]]


MIN_WORTH = measure_worth(1.0, 60.0)


class RecentViews:
    """The views that this process has counted since it last added them to the shared entry."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counted: dict[DocumentId, int] = {}
        self._flushed_at = 0.0

    def count(self, document: DocumentId, now: datetime) -> None:
        """Count a view. Every ``FLUSH_SECONDS``, add the counted views to the shared entry."""
        with self._lock:
            self._counted[document] = self._counted.get(document, 0) + 1
            if time.monotonic() - self._flushed_at < FLUSH_SECONDS:
                return
            self._flushed_at = time.monotonic()
            counted, self._counted = self._counted, {}
        add_views(counted, now.timestamp())

    def clear(self) -> None:
        """Drop the counted views."""
        with self._lock:
            self._counted, self._flushed_at = {}, 0.0


recent_views = RecentViews()


def add_views(counted: Mapping[DocumentId, int], now: float) -> None:
    """Add views to the shared entry, and drop documents that nobody views any more."""
    shared = read_interest()
    for document, number in counted.items():
        known = shared.get(document)
        shared[document] = Interest(weight=(known.at(now) if known else 0.0) + number, as_of=now)
    kept = {
        document: (interest.weight, interest.as_of)
        for document, interest in shared.items()
        if interest.at(now) >= MIN_INTEREST
    }
    cache.set(CACHE_KEY, kept, KEEP_SECONDS)


def read_interest() -> dict[DocumentId, Interest]:
    """Return the interest in each viewed document."""
    stored = cache.get(CACHE_KEY) or {}
    return {document: Interest(weight=weight, as_of=as_of) for document, (weight, as_of) in stored.items()}
