"""What a page offers: a meeting type in a few words, and a way to look for its free times.

This is the one module in here that reads the database and, for times that are not at hand, telephones.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any

from django_meetergo.models import Appointment, MeetingType
from django_meetergo.pages.choice import Look
from django_meetergo.pages.words import name_channel, name_hosts
from django_meetergo.services import availability
from django_meetergo.services.clients import client_for

#: Where a browser keeps the zone that was chosen.
ZONE_COOKIE = "meetergo_tz"
#: A description of more letters is folded away.
LONG_DESCRIPTION = 300


def describe_type(meeting_type: MeetingType) -> dict[str, Any]:
    """What every page about a meeting type says on top."""
    hosts = list(meeting_type.hosts.all())
    return {
        "meeting_type": meeting_type,
        "hosts": [host for host in hosts if host.name],
        "host_name": name_hosts(hosts),
        "channel": name_channel(meeting_type.channel) if not meeting_type.allowed_channels else "",
        "is_long": len(meeting_type.description) > LONG_DESCRIPTION,
    }


def build_look(
    meeting_type: MeetingType, duration: int, now: datetime, *, moving: Appointment | None = None
) -> Look:
    """A way to list the free times between two moments.

    An appointment that is ``moving`` does not stand in its own way; the time it has is no new one.
    """
    client = client_for(meeting_type.connection, "view")

    def look(start: datetime, end: datetime) -> availability.FreeTimes:
        found = availability.list_slots(
            meeting_type=meeting_type,
            start=start,
            end=end,
            duration=duration,
            moving=moving.remote_id if moving else "",
            client=client,
            now=now,
        )
        if moving is None:
            return found
        return replace(found, times=tuple(free for free in found.times if free.start != moving.start))

    return look
