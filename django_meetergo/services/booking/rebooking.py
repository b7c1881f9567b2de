"""Another time for somebody who agreed to one: which, and for how long we go on trying.

The site says how far it may go (``REBOOK``), the attendee says so once more and may narrow it. What was
agreed is stored with the booking, in the words they agreed to.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django_meetergo.conf import get_settings
from django_meetergo.exceptions import InvalidRequest
from django_meetergo.models import Booking, BookingAttempt
from django_meetergo.remote.client import MeetergoClient
from django_meetergo.services.availability.slots import list_slots

MAX_DAYS = 7
MAX_ATTEMPTS = 3
MAX_MINUTES = 10
WHOLE_WEEK = tuple(range(7))
WHOLE_DAY = (0, 24)


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """How far from their wish somebody may be booked. Weekdays count from Monday = 0; hours are local."""

    wished: datetime
    days: int = MAX_DAYS
    weekdays: tuple[int, ...] = WHOLE_WEEK
    hours: tuple[int, int] = WHOLE_DAY
    attempts: int = MAX_ATTEMPTS
    minutes: int = MAX_MINUTES
    zone: str = "UTC"
    words: str = ""

    def allows(self, start: datetime) -> bool:
        local = start.astimezone(ZoneInfo(self.zone))
        first, last = self.hours
        near = abs(start - self.wished) <= timedelta(days=self.days)
        return near and local.weekday() in self.weekdays and first <= local.hour < last

    def as_json(self) -> dict[str, Any]:
        return {**asdict(self), "wished": self.wished.isoformat()}


def make_agreement(consent: Mapping[str, Any] | None, *, start: datetime, zone: str) -> dict[str, Any] | None:
    """What is stored for a tick in the box: the site's offer, narrowed as the attendee asked.

    None without a tick, or where the site offers nothing. Raises InvalidRequest for what cannot be right.
    """
    offered = get_settings().REBOOK
    if consent is None or offered is None:
        return None
    weekdays = set(offered.get("weekdays") or WHOLE_WEEK) & set(consent.get("weekdays") or WHOLE_WEEK)
    widest, asked = tuple(offered.get("hours") or WHOLE_DAY), tuple(consent.get("hours") or WHOLE_DAY)
    hours = max(widest[0], asked[0]), min(widest[1], asked[1])
    if not weekdays or hours[0] >= hours[1]:
        raise InvalidRequest("No weekday or no hour is left to book another time in.", field="rebook")
    return Agreement(
        wished=start,
        days=min(offered.get("days", MAX_DAYS), MAX_DAYS),
        weekdays=tuple(sorted(weekdays)),
        hours=hours,
        attempts=min(offered.get("attempts", MAX_ATTEMPTS), MAX_ATTEMPTS),
        minutes=min(offered.get("minutes", MAX_MINUTES), MAX_MINUTES),
        zone=zone or "UTC",
        words=str(consent.get("words", ""))[:500],
    ).as_json()


def read_agreement(booking: Booking) -> Agreement | None:
    stored = booking.rebook_consent
    if not stored:
        return None
    lists = {"weekdays": tuple(stored["weekdays"]), "hours": tuple(stored["hours"])}
    return Agreement(**{**stored, **lists, "wished": datetime.fromisoformat(stored["wished"])})


def list_next_starts(booking: Booking, *, client: MeetergoClient, now: datetime) -> list[datetime]:
    """Free times within what was agreed, nearest to the wish first; none when the attempts are used up."""
    agreement = read_agreement(booking)
    if agreement is None or not may_try_again(booking, agreement, now):
        return []
    tried = set(booking.attempts.values_list("start", flat=True))
    reach = timedelta(days=agreement.days)
    found = list_slots(
        meeting_type=booking.meeting_type,
        start=agreement.wished - reach,
        end=agreement.wished + reach + timedelta(seconds=1),
        duration=booking.duration,
        client=client,
        now=now,
    )
    starts = [free.start for free in found.times if free.start not in tried and agreement.allows(free.start)]
    return sorted(starts, key=lambda start: (abs(start - agreement.wished), start))


def may_try_again(booking: Booking, agreement: Agreement, now: datetime) -> bool:
    lost = booking.attempts.filter(outcome=BookingAttempt.Outcome.SLOT_TAKEN).count()
    # The attempt that was just lost is not in the ledger's past tense yet.
    return lost + 1 < agreement.attempts and now < booking.created_at + timedelta(minutes=agreement.minutes)


def get_original_start(booking: Booking) -> datetime | None:
    """The time somebody chose, where another one is tried or was obtained as they agreed to."""
    agreement = read_agreement(booking)
    return agreement.wished if agreement and agreement.wished != booking.start else None
