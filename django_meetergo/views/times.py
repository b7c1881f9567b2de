"""Pages that list meeting types and free times."""

from __future__ import annotations

import logging
from datetime import datetime
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
from django_meetergo.presentation.page_cache import FirstVisit, PagePart, get_first_visit, render_page_part
from django_meetergo.presentation.page_urls import PageUrl, parse_link
from django_meetergo.presentation.time_choice import TimeChoice, choose_time, describe_viewed
from django_meetergo.timezones import list_zones
from django_meetergo.views.common import (
    build_address,
    find_fragment,
    find_named_zone,
    find_zone,
    is_first_visit,
    is_fragment_request,
    page,
    read_time_query,
    redirect_after_post,
    show,
    show_step,
)

logger = logging.getLogger(__name__)
#: The query parameters of the page that lists times.
QUERY_PARAMETERS = frozenset({"month", "date", "start", "duration", "tz", "subject", "zones"})
ZONE_AGE = 365 * 24 * 3600


@page
@require_safe
def index(request: HttpRequest) -> HttpResponse:
    """The meeting types; a site may have a list of its own instead."""
    if not get_settings().SHOW_INDEX:
        raise Http404
    return show(request, "meetergo/index.html", {"meeting_types": list_bookable()})


def list_bookable(but: MeetingType | None = None) -> list[MeetingType]:
    rows = MeetingType.objects.bookable().defer("raw").prefetch_related("hosts")
    return list(rows.exclude(pk=but.pk) if but else rows)


def find_meeting_type(slug: str) -> MeetingType:
    return get_object_or_404(MeetingType.objects.defer("raw"), slug=slug)


def find_obstacle(request: HttpRequest, meeting_type: MeetingType) -> HttpResponse | None:
    """The page to show instead, when this meeting type cannot be booked here."""
    if not meeting_type.enabled or meeting_type.missing_since:
        return show_unavailable(request, meeting_type)
    if meeting_type.needs_own_page:
        link = parse_link(meeting_type.booking_url)
        return show(request, "meetergo/unavailable.html", {"meeting_type": meeting_type, "link": link})
    return None


def show_unavailable(request: HttpRequest, meeting_type: MeetingType) -> HttpResponse:
    others = list_bookable(but=meeting_type)
    return show(
        request,
        "meetergo/meeting_type_unavailable.html",
        {"meeting_type": meeting_type, "meeting_types": others},
        status=410,
    )


@page
@require_safe
def book(request: HttpRequest, slug: str) -> HttpResponse:
    """The month and its free times. Costs no call while they are fresh, and no query while they are kept."""
    arrival = find_arrival(request, slug)
    if arrival and (part := arrival.find()):
        return show_part(request, part)
    meeting_type = find_meeting_type(slug)
    if obstacle := find_obstacle(request, meeting_type):
        return obstacle
    duration = read_duration(request.GET, meeting_type) or meeting_type.duration
    return show_times(request, meeting_type, duration, arrival=arrival)


def find_arrival(request: HttpRequest, slug: str) -> FirstVisit | None:
    """Which page this is, if it is the one that people arrive at: nobody has chosen anything in it yet."""
    if is_fragment_request(request) or not QUERY_PARAMETERS.isdisjoint(request.GET):
        return None
    return get_first_visit(
        request, find_zone(request), clock.now(), "page", slug, request.path, is_first_visit(request)
    )


def read_subject(request: HttpRequest) -> str:
    """The token in the address that says what the booking is about, to be handed on to the next page."""
    return request.GET.get("subject", "")


def find_subject(request: HttpRequest) -> models.Model | None:
    """The site's object that a widget tied to this booking. A token that is not ours ties nothing."""
    token = read_subject(request)
    subject = links.find_subject(token) if token else None
    if token and subject is None:
        logger.warning("A booking's subject was left out: its token is not ours, or the object is gone.")
    return subject


def read_duration(given: QueryDict, meeting_type: MeetingType) -> int | None:
    """The length that was asked for, in minutes; None when it is not offered."""
    text = given.get("duration") or str(meeting_type.duration)
    return next((minutes for minutes in meeting_type.durations if str(minutes) == text), None)


def show_times(
    request: HttpRequest,
    meeting_type: MeetingType,
    duration: int,
    *,
    error: str = "",
    status: int = 200,
    given: QueryDict | None = None,
    arrival: FirstVisit | None = None,
) -> HttpResponse:
    """Step 1; with ``error``, what was wrong with the choice that led back here."""
    now, zone = arrival.now if arrival else clock.now(), find_zone(request)
    carried = {
        "duration": str(duration) if duration != meeting_type.duration else "",
        "tz": find_named_zone(request),
        "subject": read_subject(request),
    }
    path = reverse("meetergo:book", args=[meeting_type.slug])
    address = build_address(request, path, carried)
    onward = PageUrl(reverse("meetergo:details", args=[meeting_type.slug]), carried)
    choice = choose_time(
        look=build_slot_reader(meeting_type, duration, now),
        now=now,
        zone=zone,
        duration=duration,
        asked=read_time_query(given if given is not None else request.GET, zone),
        address=address,
        onward=onward,
    )
    context = {
        **describe_type(meeting_type),
        **describe_zones(request, zone, now, address, choice),
        "choice": choice,
        "duration": duration,
        "carried": carried,
        "onward": onward.path,
        "here": address,
        "error": error,
    }
    if find_fragment(request):
        return show_step(request, "meetergo/book.html", context, status=status)
    part = render_page_part(
        "includes/choose", context, sources=choice.sources, title=title_times(meeting_type, error)
    )
    if arrival:
        arrival.keep(part)
    return show_part(request, part, error=error, status=status)


def show_part(request: HttpRequest, part: PagePart, *, error: str = "", status: int = 200) -> HttpResponse:
    shown = {"title": part.title, "part": part.give_to(request), "error": error}
    return show_step(request, "meetergo/book.html", shown, status=status)


def title_times(meeting_type: MeetingType, error: str) -> str:
    name = {"name": meeting_type.name}
    if error:
        return gettext("Error: Choose a date and time – %(name)s") % name
    return gettext("Choose a date and time – %(name)s") % name


def describe_zones(
    request: HttpRequest, zone: ZoneInfo, now: datetime, address: PageUrl, choice: TimeChoice
) -> dict[str, Any]:
    """The line about the zone and, for whoever asks to change it, the zones there are."""
    return {
        "zone": zone,
        "is_first_visit": is_first_visit(request),
        "zones": list_zones(zone, now) if "zones" in request.GET else [],
        "zone_next": request.get_full_path() if "zones" in request.GET else "",
        "zone_all": address.to(**describe_viewed(choice), zones="all"),
    }


@page
@require_POST
def timezone(request: HttpRequest) -> HttpResponse:
    """Remember the visitor's zone and go back to the page they were on."""
    form = TimeZoneForm(request.POST)
    form.is_valid()
    response = redirect_after_post(find_way_back(request, form.cleaned_data.get("next", "")))
    if zone := form.cleaned_data.get("tz"):
        response.set_cookie(
            ZONE_COOKIE,
            zone,
            max_age=ZONE_AGE,
            path="/",  # widgets on other pages of the site show the same zone
            secure=request.is_secure(),
            httponly=True,
            samesite="Lax",
        )
    return response


def find_way_back(request: HttpRequest, asked: str) -> str:
    """A page of this site, without the zone in its address: that would outweigh the one just chosen."""
    if not asked.startswith("/") or not url_has_allowed_host_and_scheme(asked, allowed_hosts=None):
        return reverse("meetergo:index")
    parts = urlsplit(asked)
    query = [(name, value) for name, value in parse_qsl(parts.query) if name not in {"tz", "zones"}]
    return f"{parts.path}?{urlencode(query)}" if query else parts.path
