"""Validate the instants that code of the site passes."""

from __future__ import annotations

from datetime import MAXYEAR, MINYEAR, datetime

from django_meetergo.exceptions import InvalidRequest


def validate_instant(name: str, moment: datetime) -> None:
    """Check that an argument names an instant that exists in every time zone. Raises InvalidRequest."""
    if moment.tzinfo is None:
        raise InvalidRequest(f"{name} has no time zone; pass an aware datetime.", field=name)
    if not MINYEAR < moment.year < MAXYEAR:
        raise InvalidRequest(f"{name} {moment.isoformat()} is out of range; choose another.", field=name)
