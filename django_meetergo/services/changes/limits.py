"""Limit how often an attendee changes an appointment with its link."""

from __future__ import annotations

from datetime import datetime, timedelta
from math import ceil

from django_meetergo.conf import get_settings
from django_meetergo.exceptions import TooManyChanges
from django_meetergo.models import AppointmentChange

PERIOD = timedelta(hours=1)


def check_change_limit(change: AppointmentChange, now: datetime) -> None:
    """Raise TooManyChanges if the attendee has requested ``MAX_CHANGES_PER_HOUR`` of this kind.

    meetergo mails each change to all attendees and guests, so a link must not be usable without end.
    """
    limit = get_settings().MAX_CHANGES_PER_HOUR
    if not limit or change.requested_by != AppointmentChange.Actor.ATTENDEE:
        return
    recent = AppointmentChange.objects.filter(
        appointment=change.appointment,
        attendee=change.attendee,
        kind=change.kind,
        requested_by=change.requested_by,
        created_at__gt=now - PERIOD,
    )
    requested = list(recent.order_by("-created_at").values_list("created_at", flat=True)[:limit])
    is_repeated = recent.filter(open_change_key__isnull=False).exists()
    if len(requested) == limit and not is_repeated:
        wait = ceil((requested[-1] + PERIOD - now).total_seconds())
        raise TooManyChanges(f"Too many changes of one appointment; try again in {wait} s.", retry_after=wait)
