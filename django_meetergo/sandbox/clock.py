"""The sandbox's own time, which can be moved."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta


def _wall_time() -> datetime:
    return datetime.now(UTC)


class Clock:
    """Tells the time, in UTC, shifted by ``offset_seconds``."""

    def __init__(self, source: Callable[[], datetime] = _wall_time) -> None:
        self._source = source
        self.offset_seconds: float = 0.0

    def now(self) -> datetime:
        """The present moment as everything in this sandbox sees it."""
        return self._source().astimezone(UTC) + timedelta(seconds=self.offset_seconds)


def parse_instant(text: object) -> datetime | None:
    """An aware UTC datetime from ISO 8601 text with ``Z`` or an offset; None for anything else."""
    if not isinstance(text, str) or len(text) < 11:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    if moment.tzinfo is None:
        return None
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        return None


def print_instant(moment: datetime) -> str:
    """UTC with milliseconds and ``Z``, as appointments print their times."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
