"""Free times that do not depend on the day and the hour at which the tests run."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Any

from django.utils import timezone


def list_starts_of_a_full_week(kit: Any, slug: str = "intro-call") -> list[datetime]:
    """Return the free starts from the first Monday on that is a week ahead, in at most two weeks.

    On Mondays every host works all day.
    """
    next_week = timezone.localdate(kit.now()) + timedelta(days=7)
    monday = next_week + timedelta(days=-next_week.weekday() % 7)
    return [start for start in kit.list_free_starts(slug) if timezone.localdate(start) >= monday]


def find_whole_day() -> date:
    """Return the next working day but one."""
    day = timezone.localdate() + timedelta(days=2)
    return day + timedelta(days=max(0, 7 - day.weekday()) if day.weekday() > 4 else 0)
