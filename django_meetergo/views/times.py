"""Pages that list meeting types and free times."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit
from zoneinfo import ZoneInfo

from django.db import models
from django.http import Http404, HttpRequest, HttpResponse, QueryDict
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils import timezone as clock
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext
from django.views.decorators.http import require_POST, require_safe

from django_meetergo import links
from django_meetergo.conf import get_settings
from django_meetergo.models import MeetingType
from django_meetergo.presentation.context import ZONE_COOKIE, build_slot_reader, describe_type
from django_meetergo.presentation.forms import TimeZoneForm
from django_meetergo.presentation.page_cache import CacheEntry, PagePart, build_cache_entry, render_page_part
from django_meetergo.presentation.page_urls import PageUrl, parse_link
from django_meetergo.presentation.time_choice import choose_time, describe_viewed
from django_meetergo.presentation.zone_options import render_zone_options
from django_meetergo.views.common import find_zone, get_zone_parameter, is_zone_unknown, read_time_query
from django_meetergo.views.decorators import page
from django_meetergo.views.rendering import (
    build_page_url,
    get_fragment_template,
    is_fragment_request,
    redirect_after_post,
    render_page,
    render_times_page,
    set_cookie,
)

logger = logging.getLogger(__name__)
#: The query parameters of the page that lists times.
QUERY_PARAMETERS = frozenset({"month", "date", "start", "duration", "tz", "subject", "zones"})
ZONE_COOKIE_AGE = timedelta(days=365)


@page
@require_safe
def index(request: HttpRequest) -> HttpResponse:
    """List the meeting types; 404 where the site has switched the list off."""
    if not get_settings().SHOW_INDEX:
        raise Http404
    return render_page(request, "meetergo/index.html", {"meeting_types": list_bookable()})


def list_bookable(exclude: MeetingType | None = None) -> list[MeetingType]:
    rows = MeetingType.objects.bookable().defer("raw").prefetch_related("hosts")
    return list(rows.exclude(pk=exclude.pk) if exclude else rows)


def find_meeting_type(slug: str) -> MeetingType:
    return get_object_or_404(MeetingType.objects.defer("raw"), slug=slug)


def check_bookable(request: HttpRequest, meeting_type: MeetingType) -> HttpResponse | None:
    """Return the page to show instead if the meeting type cannot be booked on this site, else None."""
    if not meeting_type.is_bookable:
        return show_unavailable(request, meeting_type)
    if meeting_type.is_booked_at_meetergo:
        link = parse_link(meeting_type.booking_url)
        context = {"meeting_type": meeting_type, "link": link}
        return render_page(request, "meetergo/unavailable.html", context)
    return None


def show_unavailable(request: HttpRequest, meeting_type: MeetingType) -> HttpResponse:
    others = list_bookable(exclude=meeting_type) if get_settings().SHOW_INDEX else []
    return render_page(
        request,
        "meetergo/meeting_type_unavailable.html",
        {"meeting_type": meeting_type, "meeting_types": others},
        status=410,
    )


@page
@require_safe
def book(request: HttpRequest, slug: str) -> HttpResponse:
    """Show a month and its free times: no call while they are fresh, no query while the page is cached."""
    entry = find_cache_entry(request, slug)
    if entry and (part := entry.load()):
        return show_part(request, part)
    meeting_type = find_meeting_type(slug)
    if response := check_bookable(request, meeting_type):
        return response
    duration = read_duration(request.GET, meeting_type) or meeting_type.duration
    return show_times(request, meeting_type, duration, entry=entry)


def find_cache_entry(request: HttpRequest, slug: str) -> CacheEntry | None:
    """Return the page's cache entry; None if the request chooses anything, such as a month or a zone."""
    if is_fragment_request(request) or not QUERY_PARAMETERS.isdisjoint(request.GET):
        return None
    return build_cache_entry(
        request, find_zone(request), clock.now(), "page", slug, request.path, is_zone_unknown(request)
    )


def get_subject_token(request: HttpRequest) -> str:
    """Return the signed token of the object that the booking is about, for the links to the next page."""
    return request.GET.get("subject", "")


def find_subject(request: HttpRequest) -> models.Model | None:
    """Return the object that the token names; None for a wrong token or a deleted object."""
    token = get_subject_token(request)
    subject = links.find_subject(token) if token else None
    if token and subject is None:
        logger.warning("The booking has no subject: the token's signature is wrong, or the object is gone.")
    return subject


def read_duration(data: QueryDict, meeting_type: MeetingType) -> int | None:
    """Return the requested duration in minutes; None if it is not offered."""
    text = data.get("duration") or str(meeting_type.duration)
    return next((minutes for minutes in meeting_type.durations if str(minutes) == text), None)


def show_times(
    request: HttpRequest,
    meeting_type: MeetingType,
    duration: int,
    *,
    error: str = "",
    status: int = 200,
    query: QueryDict | None = None,
    entry: CacheEntry | None = None,
) -> HttpResponse:
    """Show step 1. ``error`` says what was wrong with the choice; ``query`` replaces ``request.GET``."""
    now, zone = entry.now if entry else clock.now(), find_zone(request)
    carried = {
        "duration": str(duration) if duration != meeting_type.duration else "",
        "tz": get_zone_parameter(request),
        "subject": get_subject_token(request),
    }
    here = build_page_url(request, meeting_type.get_absolute_url(), carried)
    details = PageUrl(reverse("meetergo:details", args=[meeting_type.slug]), carried)
    asked = read_time_query(query if query is not None else request.GET, zone)
    choice = choose_time(
        read_slots=build_slot_reader(meeting_type, duration, now),
        now=now,
        zone=zone,
        duration=duration,
        query=asked,
        here=here,
        next_step=details,
    )
    # The first day with times may be another one in another zone, so only a chosen one is kept.
    viewed = describe_viewed(choice) if asked.month or asked.day else {}
    context = {
        **describe_type(meeting_type),
        **describe_zones(request, zone, now, here.to(**viewed, zones="all")),
        "choice": choice,
        "duration": duration,
        "carried": carried,
        "next_step": details.path,
        "here": here,
        "error": error,
    }
    if get_fragment_template(request):
        return render_times_page(request, "meetergo/book.html", context, status=status)
    part = render_page_part(
        "includes/choose", context, sources=choice.sources, title=build_title(meeting_type, error)
    )
    if entry:
        entry.save(part)
    return show_part(request, part, error=error, status=status)


def show_part(request: HttpRequest, part: PagePart, *, error: str = "", status: int = 200) -> HttpResponse:
    context = {"title": part.title, "part": part.render_for(request), "error": error}
    return render_times_page(request, "meetergo/book.html", context, status=status)


def build_title(meeting_type: MeetingType, error: str) -> str:
    name = {"name": meeting_type.display_name}
    if error:
        return gettext("Error: Choose a date and time – %(name)s") % name
    return gettext("Choose a date and time – %(name)s") % name


def describe_zones(request: HttpRequest, zone: ZoneInfo, now: datetime, list_url: str) -> dict[str, Any]:
    """Describe the time zone of the page and, if the request asks for it, the list of all zones."""
    return {
        "zone": zone,
        "is_zone_unknown": is_zone_unknown(request),
        "zones": render_zone_options(zone, now) if "zones" in request.GET else "",
        "zone_next": request.get_full_path() if "zones" in request.GET else "",
        "zone_all": list_url,
    }


@page
@require_POST
def timezone(request: HttpRequest) -> HttpResponse:
    """Store the visitor's time zone in a cookie and redirect to the page they came from."""
    form = TimeZoneForm(request.POST)
    form.is_valid()
    response = redirect_after_post(build_return_path(form.cleaned_data.get("next", "")))
    if zone := form.cleaned_data.get("tz"):
        # Widgets on other pages of the site use it too.
        set_cookie(request, response, ZONE_COOKIE, zone, age=ZONE_COOKIE_AGE, path="/")
    return response


def build_return_path(path: str) -> str:
    """Return a local path without the zone in its query, which would outweigh the one just chosen."""
    if not path.startswith("/") or not url_has_allowed_host_and_scheme(path, allowed_hosts=None):
        return reverse("meetergo:index")
    parts = urlsplit(path)
    query = [(name, value) for name, value in parse_qsl(parts.query) if name not in {"tz", "zones"}]
    return f"{parts.path}?{urlencode(query)}" if query else parts.path
