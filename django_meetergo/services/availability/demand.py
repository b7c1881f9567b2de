"""Which free times people look at, and which documents are worth a request now.

Views are counted in this process and handed over every few seconds to one shared entry in the cache. Losing
some of that costs a little freshness and nothing else, so no lock guards it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import exp, log

from django.core.cache import BaseCache

#: A document is meeting type, minutes and window number.
DocumentId = tuple[int, int, int]

CACHE_KEY = "meetergo:demand"
KEEP_SECONDS = 3600  # seconds the shared entry lives without views
FLUSH_SECONDS = 5.0  # seconds between two hand-overs of one process
HALF_LIFE = timedelta(minutes=15).total_seconds()
#: How often the free times of a document change, a second: one change an hour, until somebody measures it.
CHANGES = 1 / 3600
#: Below this weight, some hours after its last view, a document is forgotten.
MIN_INTEREST = 0.02


@dataclass(frozen=True, kw_only=True)
class Interest:
    """How much a document is looked at: a count of views that halves every quarter of an hour."""

    weight: float
    as_of: float  # seconds since 1970

    def at(self, now: float) -> float:
        return self.weight * float(0.5 ** (max(now - self.as_of, 0.0) / HALF_LIFE))


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A document that could be refreshed. ``age`` is in seconds; a marked one is known to have changed."""

    document: DocumentId
    interest: float
    age: float
    marked: bool = False


def measure_worth(interest: float, age: float) -> float:
    """How many more views are right thanks to a refresh now: those before the next change, and only if the
    copy has become wrong meanwhile. Of changes we know no more than that they come once in a while.
    """
    unchanged = exp(-CHANGES * age)
    return interest * log(2) / HALF_LIFE * ((1 - unchanged) / CHANGES - age * unchanged)


def choose_documents(candidates: Iterable[Candidate], *, number: int) -> list[DocumentId]:
    """The documents most worth a request, best first: what is looked at most is refreshed more often.

    Less than one view in the last minutes is worth a request a minute at most. A marked copy is wrong for
    certain, and comes before all that are not.
    """
    worth = [
        (candidate.marked, measure_worth(candidate.interest, candidate.age), candidate.document)
        for candidate in candidates
    ]
    chosen = sorted((one for one in worth if one[0] or one[1] >= MIN_WORTH), reverse=True)
    return [document for _, _, document in chosen[:number]]


MIN_WORTH = measure_worth(1.0, 60.0)


class RecentViews:
    """What this process has seen since it last handed over."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counted: dict[DocumentId, int] = {}
        self._handed_over = 0.0

    def note(self, document: DocumentId, cache: BaseCache, now: datetime) -> None:
        """Count a view; from time to time, tell the others."""
        with self._lock:
            self._counted[document] = self._counted.get(document, 0) + 1
            if time.monotonic() - self._handed_over < FLUSH_SECONDS:
                return
            self._handed_over = time.monotonic()
            counted, self._counted = self._counted, {}
        add_views(counted, cache, now.timestamp())

    def forget(self) -> None:
        with self._lock:
            self._counted, self._handed_over = {}, 0.0


recent_views = RecentViews()


def add_views(counted: Mapping[DocumentId, int], cache: BaseCache, now: float) -> None:
    """Add to the shared entry, and drop what nobody looks at any more."""
    shared = read_interest(cache)
    for document, number in counted.items():
        known = shared.get(document)
        shared[document] = Interest(weight=(known.at(now) if known else 0.0) + number, as_of=now)
    kept = {
        document: (interest.weight, interest.as_of)
        for document, interest in shared.items()
        if interest.at(now) >= MIN_INTEREST
    }
    cache.set(CACHE_KEY, kept, KEEP_SECONDS)


def read_interest(cache: BaseCache) -> dict[DocumentId, Interest]:
    stored = cache.get(CACHE_KEY) or {}
    return {document: Interest(weight=weight, as_of=as_of) for document, (weight, as_of) in stored.items()}
