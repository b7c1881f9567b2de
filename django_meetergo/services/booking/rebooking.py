"""Choose another slot for an attendee whose slot was taken and who agreed to another one.

The setting ``REBOOK`` is the site's offer. The attendee accepts it in the form and may narrow it. The
agreement is stored with the booking, together with the text that the attendee agreed to.
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
    """Which slots may be booked instead of the requested one.

    ``days`` is the largest distance from ``requested_start``; weekdays count from Monday = 0; ``hours`` are
    the first and the last hour (exclusive) in ``zone``; ``attempts`` and ``minutes`` limit the search;
    ``words`` is the text that the attendee agreed to.
    """

    requested_start: datetime
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
        is_near = abs(start - self.requested_start) <= timedelta(days=self.days)
        return is_near and local.weekday() in self.weekdays and first <= local.hour < last

    def as_json(self) -> dict[str, Any]:
        return {**asdict(self), "requested_start": self.requested_start.isoformat()}


def build_agreement(
    consent: Mapping[str, Any] | None, *, start: datetime, zone: str
) -> dict[str, Any] | None:
    """Return what is stored for a consent: the site's offer, narrowed as the attendee asked.

    None without a consent or without an offer. Raises InvalidRequest when no weekday or hour is left.
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
        requested_start=start,
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
    requested_start = datetime.fromisoformat(stored["requested_start"])
    return Agreement(**{**stored, **lists, "requested_start": requested_start})


def list_next_starts(booking: Booking, *, client: MeetergoClient, now: datetime) -> list[datetime]:
    """Return the free starts that the agreement allows, nearest to the requested one first.

    Empty when the agreed attempts or minutes are used up. Calls meetergo.
    """
    agreement = read_agreement(booking)
    if agreement is None or not may_try_again(booking, agreement, now):
        return []
    tried = set(booking.attempts.values_list("start", flat=True))
    span = timedelta(days=agreement.days)
    found = list_slots(
        meeting_type=booking.meeting_type,
        start=agreement.requested_start - span,
        end=agreement.requested_start + span + timedelta(seconds=1),
        duration=booking.duration,
        client=client,
        now=now,
    )
    starts = [slot.start for slot in found.times if slot.start not in tried and agreement.allows(slot.start)]
    return sorted(starts, key=lambda start: (abs(start - agreement.requested_start), start))


def may_try_again(booking: Booking, agreement: Agreement, now: datetime) -> bool:
    lost = booking.attempts.filter(outcome=BookingAttempt.Outcome.SLOT_TAKEN).count()
    # The outcome of the attempt that has just lost its slot is not stored yet.
    return lost + 1 < agreement.attempts and now < booking.created_at + timedelta(minutes=agreement.minutes)
