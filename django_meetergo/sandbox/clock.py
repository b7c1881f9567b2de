"""The sandbox's clock, which tests can move, and the wire format of instants."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

#: A hundred years: farther away, dates of bookings could leave the calendar.
MAX_OFFSET = 100 * 366 * 86_400
#: An instant of an earlier or a later year does not exist in every time zone, or has no end.
FIRST_YEAR, LAST_YEAR = 2, 9000


def get_wall_time() -> datetime:
    """Return the computer's time in UTC."""
    return datetime.now(UTC)


class Clock:
    """A UTC clock that runs ahead of its source."""

    def __init__(self, source: Callable[[], datetime] = get_wall_time) -> None:
        self._source = source
        self._offset_seconds = 0.0

    @property
    def offset_seconds(self) -> float:
        """By how much; negative if it is behind. Setting it to more than a century raises ``ValueError``."""
        return self._offset_seconds

    @offset_seconds.setter
    def offset_seconds(self, seconds: float) -> None:
        if not -MAX_OFFSET <= seconds <= MAX_OFFSET:  # nor NaN
            raise ValueError("The clock can be moved by a hundred years at most.")
        self._offset_seconds = seconds

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
    if moment.tzinfo is None or not FIRST_YEAR <= moment.year <= LAST_YEAR:
        return None
    return moment.astimezone(UTC)


def print_instant(moment: datetime) -> str:
    """Return a moment in UTC with milliseconds and ``Z``, the form appointments use."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
