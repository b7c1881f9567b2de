"""Render the booking widget, the next free times and a user's appointments inside a page of the site."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django.conf import settings as django_settings
from django.db import models
from django.urls import reverse
from django.utils import timezone as clock
from django.utils.safestring import SafeString

from django_meetergo import links
from django_meetergo.formatting import describe_when, name_hosts
from django_meetergo.languages import use_text_language
from django_meetergo.models import Appointment, Attendee, MeetingType
from django_meetergo.presentation.context import build_slot_reader, describe_type, find_stored_zone
from django_meetergo.presentation.page_cache import (
    EMPTY_PART,
    PagePart,
    build_cache_entry,
    render_page_part,
)
from django_meetergo.presentation.page_urls import PageUrl, describe_widget, parse_link
from django_meetergo.presentation.slots import list_next_slots
from django_meetergo.presentation.tag_arguments import report_tag_error
from django_meetergo.presentation.time_choice import TimeQuery, choose_time
from django_meetergo.services.availability.store import SlotList, Source
from django_meetergo.timezones import choose_zone
from django_meetergo.transactions import reading_for_site

#: The periods searched for the next free times; the longer one only if the shorter one has too few.
SEARCH_SPANS = (timedelta(days=7), timedelta(days=31))


@dataclass(frozen=True, kw_only=True)
class WidgetContext:
    """What a widget knows before it reads free times: the request, the meeting type, the visitor's zone.

    ``carried`` holds the query parameters that its links hand on to the pages.
    """

    request: Any
    meeting_type: MeetingType
    zone: ZoneInfo
    carried: dict[str, str]

    @property
    def is_unavailable(self) -> bool:
        return not self.meeting_type.is_bookable

    def build_url(self, name: str) -> PageUrl:
        return PageUrl(reverse(f"meetergo:{name}", args=[self.meeting_type.slug]), self.carried)


def build_widget_context(
    request: Any, tag: str, slug: str, subject: models.Model | None, *, with_hosts: bool = False
) -> WidgetContext | None:
    """Return the context of a widget; None for an unknown slug, which is reported to the developer."""
    rows = MeetingType.objects.defer("raw")
    meeting_type = (rows.prefetch_related("hosts") if with_hosts else rows).filter(slug=slug).first()
    if meeting_type is None:
        report_tag_error(tag, f"no meeting type has the slug {slug!r}. Run manage.py meetergo_sync first.")
        return None
    return WidgetContext(
        request=request,
        meeting_type=meeting_type,
        zone=find_zone(request),
        carried={"subject": links.sign_subject(subject) if subject is not None else ""},
    )


def find_zone(request: Any) -> ZoneInfo:
    """Return the time zone that the visitor has chosen, else the site's."""
    return find_stored_zone(request) or choose_zone(django_settings.TIME_ZONE)


# Caching


def render_cached(
    request: Any, render: Callable[[], PagePart], subject: models.Model | None, *variants: object
) -> SafeString:
    """Return the cached widget, or render it; a widget with a subject is never cached."""
    entry = None
    mark_page_as_varying(request)
    if request is not None and subject is None:
        variants = (*variants, reverse("meetergo:index"), find_stored_zone(request) is None)
        entry = build_cache_entry(request, find_zone(request), clock.now(), *variants)
    part = entry.load() if entry else None
    if part is None:
        with reading_for_site(), use_text_language():
            part = render()
        if entry:
            entry.save(part)
    return part.render_for(request)


def mark_page_as_varying(request: Any) -> None:
    """Make the response vary on cookies, since the zone is in one.

    A template tag has no response. Django's session middleware adds the header for a session that was read.
    """
    session = getattr(request, "session", None)
    if session is not None:
        session.accessed = True


# The booking widget


def render_booking_widget(
    request: Any, slug: str, *, subject: models.Model | None, number: int, heading_level: int
) -> SafeString:
    """Render step 1. ``number`` keeps the ids of several widgets on one page apart."""

    def render() -> PagePart:
        widget = build_widget_context(request, "meetergo_booking_widget", slug, subject, with_hosts=True)
        return render_booking_part(widget, number, heading_level) if widget else EMPTY_PART

    return render_cached(request, render, subject, "widget", slug, number, heading_level)


def render_booking_part(widget: WidgetContext, number: int, heading_level: int) -> PagePart:
    context: dict[str, Any] = {
        "meeting_type": widget.meeting_type,
        "is_unavailable": widget.is_unavailable,
        **describe_widget(number, heading_level),
    }
    sources: Sequence[Source] = ()
    if widget.meeting_type.is_booked_at_meetergo:
        context["link"] = parse_link(widget.meeting_type.booking_url)
    elif not widget.is_unavailable:
        context |= describe_times(widget)
        sources = context["choice"].sources
    return render_page_part("tags/widget", context, sources=sources)


def describe_times(widget: WidgetContext) -> dict[str, Any]:
    """Return the context of the includes of step 1. Their links lead to the pages of the package."""
    now, meeting_type = clock.now(), widget.meeting_type
    here, details = widget.build_url("book"), widget.build_url("details")
    choice = choose_time(
        read_slots=build_slot_reader(meeting_type, meeting_type.duration, now),
        now=now,
        zone=widget.zone,
        duration=meeting_type.duration,
        query=TimeQuery(),
        here=here,
        next_step=details,
    )
    return {
        **describe_type(meeting_type),
        "choice": choice,
        "duration": meeting_type.duration,
        "carried": widget.carried,
        "here": here,
        "next_step": details.path,
        "zone": widget.zone,
        "zone_all": here.to(zones="all"),
        "zone_in_query": widget.request is None,
        "is_zone_unknown": widget.request is not None and find_stored_zone(widget.request) is None,
    }


# The next free times


def render_next_slots(request: Any, slug: str, count: int, *, subject: models.Model | None) -> SafeString:
    """Render the next ``count`` free times as links to the booking form."""

    def render() -> PagePart:
        widget = build_widget_context(request, "meetergo_next_slots", slug, subject)
        return render_next_slots_part(widget, count) if widget else EMPTY_PART

    return render_cached(request, render, subject, "next", slug, count)


def render_next_slots_part(widget: WidgetContext, count: int) -> PagePart:
    context: dict[str, Any] = {
        "meeting_type": widget.meeting_type,
        "is_unavailable": widget.is_unavailable,
    }
    sources: Sequence[Source] = ()
    if widget.meeting_type.is_booked_at_meetergo:
        context["link"] = parse_link(widget.meeting_type.booking_url)
    elif not widget.is_unavailable:
        found = find_next_slots(widget.meeting_type, count)
        times = list_next_slots(found.times, widget.zone, widget.build_url("details"), count)
        context |= {"times": times, "failed": found.failed, "all_times": widget.build_url("book").to()}
        sources = found.sources
    return render_page_part("tags/next_slots", context, sources=sources)


def find_next_slots(meeting_type: MeetingType, count: int) -> SlotList:
    """Return the free times of the shorter period if they are enough, else of the longer one."""
    now, (short, long) = clock.now(), SEARCH_SPANS
    read_slots = build_slot_reader(meeting_type, meeting_type.duration, now)
    found = read_slots(now, now + short)
    return found if found.failed or len(found.times) >= count else read_slots(now, now + long)


# A user's appointments


def list_upcoming(user: Any, zone: ZoneInfo) -> list[dict[str, Any]]:
    """Describe the upcoming appointments of a signed-in user, the next one first."""
    attendees = (
        Attendee.objects.filter(user=user, status=Attendee.Status.ATTENDING)
        .filter(
            appointment__end__gte=clock.now(),
            appointment__status=Appointment.Status.CONFIRMED,
            appointment__missing_since=None,
        )
        .select_related("appointment__meeting_type")
        .prefetch_related("appointment__hosts")
        .defer("raw", "appointment__raw", "appointment__meeting_type__raw")
        .order_by("appointment__start", "pk")
    )
    return [describe_upcoming(attendee, zone) for attendee in attendees]


def describe_upcoming(attendee: Attendee, zone: ZoneInfo) -> dict[str, Any]:
    appointment = attendee.appointment
    return {
        "name": appointment.display_name,
        "when": describe_when(appointment.start, appointment.end, zone),
        "host_name": name_hosts(list(appointment.hosts.all())),
        "link": links.get_manage_path(attendee),
    }
