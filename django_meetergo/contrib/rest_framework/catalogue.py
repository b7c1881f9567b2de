"""What can be booked, and when."""

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

from django_meetergo.conf import get_settings
from django_meetergo.contrib.rest_framework.base import PublicView, build_responses, document
from django_meetergo.contrib.rest_framework.pagination import PARAMETERS, Pages
from django_meetergo.contrib.rest_framework.problems import (
    BOOKED_ELSEWHERE,
    GONE,
    Problem,
    invalid,
    unavailable,
)
from django_meetergo.contrib.rest_framework.serializers import (
    AvailabilitySerializer,
    MeetingTypeDetailSerializer,
    MeetingTypeSerializer,
)
from django_meetergo.models import MeetingType
from django_meetergo.presentation.month import midnight, parse_day
from django_meetergo.presentation.page_urls import parse_link
from django_meetergo.presentation.time_choice import WINDOW
from django_meetergo.services.availability.slots import list_slots
from django_meetergo.services.clients import build_client
from django_meetergo.timezones import choose_zone, find_zone

MAX_DAYS = 62
DAYS = 31
#: Free times are looked for up to so far ahead; the pages stop earlier.
HORIZON = WINDOW + timedelta(days=31)


def find_meeting_type(slug: str) -> MeetingType | None:
    if "\0" in slug:
        return None
    return MeetingType.objects.defer("raw").prefetch_related("hosts").filter(slug=slug).first()


def check_bookable(meeting_type: MeetingType) -> None:
    """Raise what stands in the way of booking this meeting type here."""
    if not meeting_type.enabled or meeting_type.missing_since:
        raise Problem(GONE)
    if meeting_type.needs_own_page:
        link = parse_link(meeting_type.booking_url)
        members: dict[str, Any] = {"url": link.url} if link else {}
        raise Problem(BOOKED_ELSEWHERE, **members)


SLUG = OpenApiParameter("slug", str, OpenApiParameter.PATH)


class MeetingTypeList(PublicView):
    throttle_scope = "meetergo-read"
    cache_control = "max-age=60"
    pagination_class = Pages
    serializer_class = MeetingTypeSerializer

    @document(
        operation_id="list_meeting_types",
        parameters=PARAMETERS,
        responses=build_responses({200: MeetingTypeSerializer(many=True)}, 404, 422),
    )
    def get(self, request: Any) -> Response:
        """Everything that can be booked, by slug. 404 where the site has a list of its own (`SHOW_INDEX`)."""
        if not get_settings().SHOW_INDEX:
            raise NotFound
        rows = MeetingType.objects.bookable().defer("raw").prefetch_related("hosts")
        paginator = Pages()
        page = paginator.paginate_queryset(rows, request, view=self)
        answer: Response = paginator.get_paginated_response(
            MeetingTypeSerializer(page, many=True, context=self.get_context()).data
        )
        return answer


class MeetingTypeDetail(PublicView):
    throttle_scope = "meetergo-read"
    cache_control = "max-age=60"

    @document(
        operation_id="get_meeting_type",
        parameters=[SLUG],
        responses=build_responses({200: MeetingTypeDetailSerializer}, 404, 410),
    )
    def get(self, request: Any, slug: str) -> Response:
        """One meeting type, and what to ask an attendee for."""
        meeting_type = find_meeting_type(slug)
        if meeting_type is None:
            raise NotFound
        if not meeting_type.enabled or meeting_type.missing_since:
            raise Problem(GONE)
        return self.show(MeetingTypeDetailSerializer, meeting_type)


# Free times


@dataclass(frozen=True, kw_only=True)
class Span:
    """Whole days by somebody's calendar; both ends are in."""

    first: date
    last: date
    zone: ZoneInfo

    @property
    def start(self) -> datetime:
        return midnight(self.first, self.zone)

    @property
    def end(self) -> datetime:
        return midnight(self.last + timedelta(days=1), self.zone)


SPAN = [
    OpenApiParameter(
        "first_day", OpenApiTypes.DATE, description="By the calendar of `timezone`; today if left out."
    ),
    OpenApiParameter(
        "last_day",
        OpenApiTypes.DATE,
        description=f"The last day that is looked at, at most {MAX_DAYS} days in all; "
        f"if left out, {DAYS} days are.",
    ),
    OpenApiParameter("timezone", str, description="A name like Europe/Berlin; the site's if left out."),
]
DURATION = OpenApiParameter(
    "duration", {"type": "integer", "minimum": 1}, description="Minutes; the usual length if left out."
)


def read_zone(text: str, field: str = "timezone") -> ZoneInfo:
    """The zone of that name, the site's for none."""
    if not text:
        return choose_zone(django_settings.TIME_ZONE)
    zone = find_zone(text)
    if zone is None:
        raise invalid(field, _("This is not a time zone; use a name like Europe/Berlin."))
    return zone


def read_span(query: Any, now: datetime) -> Span:
    zone = read_zone(query.get("timezone", ""))
    today = now.astimezone(zone).date()
    first = read_day(query, "first_day", today)
    last = read_day(query, "last_day", first + timedelta(days=DAYS - 1))
    if last < first:
        raise invalid("last_day", _("The last day is before the first."))
    if (last - first).days >= MAX_DAYS:
        raise invalid("last_day", _("At most %(days)d days can be looked at.") % {"days": MAX_DAYS})
    return Span(first=first, last=last, zone=zone)


def read_day(query: Any, name: str, default: date) -> date:
    text = query.get(name)
    if text is None:
        return default
    day = parse_day(text)
    if day is None or not 1970 <= day.year < 2200:
        raise invalid(name, _("Write a day like 2026-12-01."))
    return day


def read_duration(query: Any, meeting_type: MeetingType) -> int:
    text = query.get("duration")
    if text is None:
        return meeting_type.duration
    found = next((minutes for minutes in meeting_type.durations if str(minutes) == text), None)
    if found is None:
        offered = ", ".join(str(minutes) for minutes in meeting_type.durations)
        raise invalid("duration", _("Choose one of: %(offered)s.") % {"offered": offered})
    return found


def list_times(
    meeting_type: MeetingType, duration: int, span: Span, now: datetime, *, moving: str = ""
) -> dict[str, Any]:
    """What ``AvailabilitySerializer`` shows. Raises when nothing at all is known."""
    found = list_slots(
        meeting_type=meeting_type,
        start=span.start,
        end=min(span.end, now + HORIZON),
        duration=duration,
        moving=moving,
        client=build_client(meeting_type.connection, "view"),
        now=now,
    )
    if found.failed and not found.times:
        raise unavailable()
    return {
        "meeting_type": meeting_type.slug,
        "duration": duration,
        "timezone": span.zone.key,
        "first_day": span.first,
        "last_day": span.last,
        "as_of": found.as_of,
        "stale": found.stale,
        "complete": not found.failed,
        "times": describe_times(found.times, span.zone),
    }


def describe_times(times: Any, zone: ZoneInfo) -> list[dict[str, Any]]:
    return [{"start": free.start.astimezone(zone), "seats_left": free.seats_left} for free in times]


class Availability(PublicView):
    throttle_scope = "meetergo-availability"

    @document(
        operation_id="list_free_times",
        parameters=[SLUG, *SPAN, DURATION],
        responses=build_responses({200: AvailabilitySerializer}, 404, 409, 410, 422),
    )
    def get(self, request: Any, slug: str) -> Response:
        """Free times. Costs the service nothing while they are fresh; `as_of` and `stale` say how fresh."""
        meeting_type, now = find_meeting_type(slug), clock.now()
        if meeting_type is None:
            raise NotFound
        check_bookable(meeting_type)
        span = read_span(request.query_params, now)
        duration = read_duration(request.query_params, meeting_type)
        return self.show(AvailabilitySerializer, list_times(meeting_type, duration, span, now))
