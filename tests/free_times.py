"""Free times that do not depend on the day and the hour at which the tests run."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.utils import timezone


def list_starts_of_a_full_week(kit: Any, slug: str = "intro-call") -> list[datetime]:
    """Return the free starts from a Monday on that is a week ahead: on Mondays every host works all day."""
    today = timezone.localdate(kit.now())
    monday = today + timedelta(days=14 - today.weekday())
    return [start for start in kit.list_free_starts(slug, days=21) if timezone.localdate(start) >= monday]
