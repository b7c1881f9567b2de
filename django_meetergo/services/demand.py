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

from django.core.cache import BaseCache

#: A document is meeting type, minutes and window number.
DocumentId = tuple[int, int, int]

SHARED = "meetergo:demand"
KEEP = 3600  # seconds the shared entry lives without views
HAND_OVER = 5.0  # seconds between two hand-overs of one process
HALF_LIFE = timedelta(minutes=15).total_seconds()
#: Below this weight, some hours after its last view, a document is forgotten.
LEAST = 0.02


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


def choose(candidates: Iterable[Candidate], *, number: int, at_least: float) -> list[DocumentId]:
    """The documents most worth a request, best first.

    A refresh is worth what it corrects: views a second times the chance that the copy is wrong, which
    grows with its age; a marked copy is wrong for certain.
    """
    worth = [
        (candidate.interest * (candidate.age + (HALF_LIFE if candidate.marked else 0.0)), candidate.document)
        for candidate in candidates
        if candidate.marked or candidate.age >= at_least
    ]
    return [document for _, document in sorted(worth, reverse=True)[:number]]


class Views:
    """What this process has seen since it last handed over."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counted: dict[DocumentId, int] = {}
        self._handed_over = 0.0

    def note(self, document: DocumentId, cache: BaseCache, now: datetime) -> None:
        """Count a view; from time to time, tell the others."""
        with self._lock:
            self._counted[document] = self._counted.get(document, 0) + 1
            if time.monotonic() - self._handed_over < HAND_OVER:
                return
            self._handed_over = time.monotonic()
            counted, self._counted = self._counted, {}
        add_views(counted, cache, now.timestamp())

    def forget(self) -> None:
        with self._lock:
            self._counted, self._handed_over = {}, 0.0


views = Views()


def add_views(counted: Mapping[DocumentId, int], cache: BaseCache, now: float) -> None:
    """Add to the shared entry, and drop what nobody looks at any more."""
    shared = read_interest(cache)
    for document, number in counted.items():
        known = shared.get(document)
        shared[document] = Interest(weight=(known.at(now) if known else 0.0) + number, as_of=now)
    kept = {
        document: (interest.weight, interest.as_of)
        for document, interest in shared.items()
        if interest.at(now) >= LEAST
    }
    cache.set(SHARED, kept, KEEP)


def read_interest(cache: BaseCache) -> dict[DocumentId, Interest]:
    stored = cache.get(SHARED) or {}
    return {document: Interest(weight=weight, as_of=as_of) for document, (weight, as_of) in stored.items()}
