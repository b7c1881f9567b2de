"""What a page offers: a meeting type in a few words, and a way to look for its free times.

This is the one module in here that reads the database and, for times that are not at hand, telephones.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any

from django_meetergo.formatting import name_channel, name_hosts
from django_meetergo.models import Appointment, MeetingType
from django_meetergo.presentation.time_choice import SlotReader
from django_meetergo.services.availability.slots import list_slots
from django_meetergo.services.availability.store import SlotList
from django_meetergo.services.clients import build_client

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


def build_slot_reader(
    meeting_type: MeetingType, duration: int, now: datetime, *, moving: Appointment | None = None
) -> SlotReader:
    """A way to list the free times between two moments.

    An appointment that is ``moving`` does not stand in its own way; the time it has is no new one.
    """
    client = build_client(meeting_type.connection, "view")

    def look(start: datetime, end: datetime) -> SlotList:
        found = list_slots(
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
