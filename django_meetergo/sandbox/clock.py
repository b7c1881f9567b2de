"""The sandbox's clock, which tests can move, and the wire format of instants."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta


def get_wall_time() -> datetime:
    """Return the computer's time in UTC."""
    return datetime.now(UTC)


class Clock:
    """A UTC clock that runs ``offset_seconds`` ahead of its source."""

    def __init__(self, source: Callable[[], datetime] = get_wall_time) -> None:
        self._source = source
        self.offset_seconds: float = 0.0

    def now(self) -> datetime:
        """Return the sandbox's present as an aware datetime in UTC."""
        return self._source().astimezone(UTC) + timedelta(seconds=self.offset_seconds)


def parse_instant(text: object) -> datetime | None:
    """Parse ISO 8601 text with ``Z`` or an offset to an aware UTC datetime; return None for anything else."""
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
    """Return a moment in UTC with milliseconds and ``Z``, the form appointments use."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
