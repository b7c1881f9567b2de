"""Free times by whole days of a time zone."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django.conf import settings as django_settings
from django.utils import timezone as clock
from django.utils.translation import gettext as _
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter
from rest_framework.exceptions import NotFound
from rest_framework.response import Response

from django_meetergo.contrib.rest_framework import examples, problems
from django_meetergo.contrib.rest_framework.base import PublicView
from django_meetergo.contrib.rest_framework.meeting_types import SLUG, ensure_bookable, find_meeting_type
from django_meetergo.contrib.rest_framework.operations import ETAG, describe_operation
from django_meetergo.contrib.rest_framework.problems import build_invalid, build_unavailable
from django_meetergo.contrib.rest_framework.serializers.meeting_types import (
    AvailabilitySerializer,
    SlotSerializer,
)
from django_meetergo.models import MeetingType
from django_meetergo.presentation.month import midnight, parse_day
from django_meetergo.presentation.time_choice import WINDOW
from django_meetergo.services.availability.alternatives import list_alternatives
from django_meetergo.services.availability.slots import list_slots
from django_meetergo.services.clients import build_client
from django_meetergo.timezones import choose_zone, find_zone

#: No name, and what browsers call a zone that they do not know.
NO_ZONE = ("", "Etc/Unknown")
MAX_DAYS = 62
DEFAULT_DAYS = 31
#: How far ahead free times are listed and accepted; the pages stop a month earlier.
HORIZON = WINDOW + timedelta(days=31)


@dataclass(frozen=True, kw_only=True)
class DayRange:
    """Whole days in a time zone, the last one included."""

    first: date
    last: date
    zone: ZoneInfo

    @property
    def start(self) -> datetime:
        return midnight(self.first, self.zone)

    @property
    def end(self) -> datetime:
        return midnight(self.last + timedelta(days=1), self.zone)


DAY_RANGE = [
    OpenApiParameter("first_day", OpenApiTypes.DATE, description="A day in `timezone`; today if left out."),
    OpenApiParameter(
        "last_day",
        OpenApiTypes.DATE,
        description=f"The last day of the range, which has at most {MAX_DAYS} days; "
        f"if left out, the range has {DEFAULT_DAYS} days.",
    ),
    OpenApiParameter("timezone", str, description="A name like Europe/Berlin; the site's if left out."),
]
DURATION = OpenApiParameter(
    "duration",
    {"type": "integer", "minimum": 1},
    description="Minutes; the meeting type's default if left out.",
)


def read_zone(text: str) -> ZoneInfo:
    """Return the named time zone; the site's where there is none. Raises a problem for an unknown one."""
    if text in NO_ZONE:
        return choose_zone(django_settings.TIME_ZONE)
    zone = find_zone(text)
    if zone is None:
        raise build_invalid("timezone", _("This is not a time zone; use a name like Europe/Berlin."))
    return zone


def read_day_range(query: Any, now: datetime) -> DayRange:
    """Return the days that the query parameters name. Raises a problem at the parameter that is wrong."""
    zone = read_zone(query.get("timezone", ""))
    today = now.astimezone(zone).date()
    first = read_day(query, "first_day", today)
    last = read_day(query, "last_day", first + timedelta(days=DEFAULT_DAYS - 1))
    if last < first:
        raise build_invalid("last_day", _("The last day is before the first."))
    if (last - first).days >= MAX_DAYS:
        raise build_invalid("last_day", _("Choose at most %(days)d days.") % {"days": MAX_DAYS})
    return DayRange(first=first, last=last, zone=zone)


def read_day(query: Any, name: str, default: date) -> date:
    text = query.get(name)
    if text is None:
        return default
    day = parse_day(text)
    if day is None or not 1970 <= day.year < 2200:
        raise build_invalid(name, _("Write a day like 2026-12-01."))
    return day


def read_duration(query: Any, meeting_type: MeetingType) -> int:
    """Return the duration in minutes. Raises a problem if the meeting type does not offer it."""
    text = query.get("duration")
    if text is None:
        return meeting_type.duration
    duration = next((minutes for minutes in meeting_type.durations if str(minutes) == text), None)
    if duration is None:
        offered = ", ".join(str(minutes) for minutes in meeting_type.durations)
        raise build_invalid("duration", _("Choose one of: %(offered)s.") % {"offered": offered})
    return duration


def describe_availability(
    meeting_type: MeetingType, duration: int, days: DayRange, now: datetime, *, moving: str = ""
) -> dict[str, Any]:
    """Return what ``AvailabilitySerializer`` shows. Raises a problem when no time is known at all.

    ``moving`` is the meetergo id of the appointment that is to be rescheduled; its own time counts as free.
    """
    found = list_slots(
        meeting_type=meeting_type,
        start=days.start,
        end=min(days.end, now + HORIZON),
        duration=duration,
        moving=moving,
        client=build_client(meeting_type.reader, "view"),
        now=now,
    )
    if found.failed and not found.times:
        raise build_unavailable()
    return {
        "meeting_type": meeting_type.slug,
        "duration": duration,
        "timezone": days.zone.key,
        "first_day": days.first,
        "last_day": days.last,
        "as_of": found.as_of,
        "stale": found.stale,
        "complete": not found.failed,
        "times": describe_slots(found.times, days.zone),
    }


def describe_slots(slots: Any, zone: ZoneInfo) -> list[dict[str, Any]]:
    """Return what ``SlotSerializer`` shows, with starts in the zone."""
    return [{"start": slot.start.astimezone(zone), "seats_left": slot.seats_left} for slot in slots]


def list_alternative_slots(
    meeting_type: MeetingType, start: datetime, duration: int, zone: ZoneInfo, now: datetime, **options: Any
) -> list[Any]:
    """Return up to four fresh times near a taken one, as a problem shows them.

    ``options`` are those of the service ``list_alternatives``.
    """
    if start <= now or not meeting_type.is_connected:
        return []
    found = list_alternatives(
        meeting_type=meeting_type,
        start=start,
        duration=duration,
        zone=zone,
        client=build_client(meeting_type.reader, "view"),
        now=now,
        **options,
    )
    return list(SlotSerializer(describe_slots(found, zone), many=True).data)


class Availability(PublicView):
    throttle_scope = "meetergo-availability"
    cache_control = "no-cache"

    @describe_operation(
        "list_free_times",
        "List free times",
        {200: AvailabilitySerializer},
        problems.NOT_FOUND,
        problems.BOOKED_ELSEWHERE,
        problems.GONE,
        problems.INVALID,
        parameters=[SLUG, *DAY_RANGE, DURATION, ETAG],
        examples=examples.LIST_FREE_TIMES,
    )
    def get(self, request: Any, slug: str) -> Response:
        """List free times, from the cache while it is fresh; `as_of` and `stale` say how old they are."""
        meeting_type, now = find_meeting_type(slug), clock.now()
        if meeting_type is None:
            raise NotFound
        ensure_bookable(meeting_type)
        days = read_day_range(request.query_params, now)
        duration = read_duration(request.query_params, meeting_type)
        shown = describe_availability(meeting_type, duration, days, now)
        return self.build_response(AvailabilitySerializer, shown)
