"""Describe a meeting type for a template, and read its free times.

The only module of the package that queries the database and, for times that are not cached, calls meetergo.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from django.http import HttpRequest

from django_meetergo.formatting import name_channel, name_hosts
from django_meetergo.models import Appointment, MeetingType
from django_meetergo.presentation.time_choice import SlotReader
from django_meetergo.services.availability.slots import list_slots
from django_meetergo.services.availability.store import NO_ANSWER, SlotList
from django_meetergo.services.clients import build_client
from django_meetergo.timezones import find_zone

#: The cookie with the visitor's time zone.
ZONE_COOKIE = "meetergo_tz"
#: Characters; a longer description is folded away.
LONG_DESCRIPTION = 300


def describe_type(meeting_type: MeetingType) -> dict[str, Any]:
    """Return what each page about a meeting type shows at its top."""
    hosts = list(meeting_type.hosts.all())
    return {
        "meeting_type": meeting_type,
        "hosts": [host for host in hosts if host.name],
        "host_name": name_hosts(hosts),
        "channel": name_channel(meeting_type.channel) if not meeting_type.allowed_channels else "",
        "is_long": len(meeting_type.display_description) > LONG_DESCRIPTION,
    }


def find_stored_zone(request: HttpRequest | None) -> ZoneInfo | None:
    """Return the time zone that the visitor has chosen, from the cookie; None if there is none."""
    return find_zone(request.COOKIES.get(ZONE_COOKIE)) if request is not None else None


def build_slot_reader(
    meeting_type: MeetingType, duration: int, now: datetime, *, moving: Appointment | None = None
) -> SlotReader:
    """Return a function that lists the free times between two datetimes; it never raises.

    An appointment that is ``moving`` does not block itself, and its present time is left out.
    """
    if not meeting_type.is_connected:
        return lambda start, end: NO_ANSWER
    client = build_client(meeting_type.reader, "view")

    def read_slots(start: datetime, end: datetime) -> SlotList:
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

    return read_slots
