"""``{% load meetergo %}``: our pages' parts for your pages, and meetergo's official embed.

The native tags show the states of the booking page and never raise because meetergo does not answer. What a
developer got wrong is told with ``DEBUG`` on; otherwise nothing is shown and the log says why.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django import template
from django.conf import settings as django_settings
from django.db import models
from django.template.loader import render_to_string
from django.templatetags.static import static
from django.urls import reverse
from django.utils import timezone as clock
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext

from django_meetergo import embed, links
from django_meetergo.formatting import (
    describe_when,
    format_day,
    format_full_day,
    format_time,
    name_channel,
    name_hosts,
)
from django_meetergo.models import Appointment, Attendee, MeetingType
from django_meetergo.presentation.context import ZONE_COOKIE, build_slot_reader, describe_type
from django_meetergo.presentation.page_cache import NO_PAGE_PART, PagePart, get_first_visit, render_page_part
from django_meetergo.presentation.page_urls import PageUrl, parse_link, sign_widget
from django_meetergo.presentation.slots import list_next_slots
from django_meetergo.presentation.time_choice import SlotReader, TimeQuery, choose_time
from django_meetergo.services.availability.store import SlotList, Source
from django_meetergo.timezones import choose_zone

register = template.Library()
logger = logging.getLogger(__name__)

STYLESHEET, PAGES_STYLESHEET, MODULE = "meetergo/meetergo.css", "meetergo/pages.css", "meetergo/meetergo.js"
#: How far ahead the next few times are looked for; further only if there are too few.
AHEAD = (timedelta(days=7), timedelta(days=31))
#: Pages whose address is a secret: nobody else's script may read it.
TOKEN_PAGES = frozenset({"outcome", "manage", "reschedule", "cancel", "ics"})


class WrongTag(ValueError):
    """A tag was given something that cannot be shown."""


def complain(what: str) -> str:
    """Tell the developer; show a visitor nothing."""
    if django_settings.DEBUG:
        raise WrongTag(what)
    logger.error("%s", what)
    return ""


# The parts of every page


@register.simple_tag(takes_context=True)
def meetergo_assets(context: template.Context, *, whole: object = True) -> SafeString:
    """Our stylesheets and our script, with the request's CSP nonce if a middleware gave it one.

    Not ``whole``: enough for choosing a time, the widget and the next free times.
    """
    nonce = write_nonce(find_nonce(context.get("request")))
    sheets = [STYLESHEET, PAGES_STYLESHEET] if whole else [STYLESHEET]
    styles = format_html_join(
        "", '<link rel="stylesheet" href="{}"{}>', [(static(sheet), nonce) for sheet in sheets]
    )
    script = format_html('<script type="module" src="{}"{}></script>', static(MODULE), nonce)
    return styles + script


def write_nonce(nonce: str) -> str:
    return format_html(' nonce="{}"', nonce) if nonce else ""


def find_nonce(request: Any) -> str:
    """Under the two names that are in use. Both may be lazy, and false until somebody reads them."""
    for name in ("csp_nonce", "_csp_nonce"):
        nonce = getattr(request, name, None)
        if nonce is not None and (text := str(nonce)):
            return text
    return ""


@register.filter
def meetergo_day(day: date) -> str:
    """“Thursday 3 December”"""
    return format_day(day)


@register.filter
def meetergo_full_day(day: date) -> str:
    """“Thursday 3 December 2026”"""
    return format_full_day(day)


@register.filter
def meetergo_time(moment: datetime) -> str:
    """“09:30”, of a moment that is in the right zone already."""
    return format_time(moment)


@register.filter
def meetergo_channel(channel: str) -> str:
    """“Video call”"""
    return name_channel(channel)


# Our own widgets


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a tag stands: a page, whoever reads it, and a meeting type."""

    request: Any
    meeting_type: MeetingType
    zone: ZoneInfo
    carried: dict[str, str]

    @property
    def is_gone(self) -> bool:
        return not self.meeting_type.enabled or self.meeting_type.missing_since is not None

    def address(self, name: str) -> PageUrl:
        return PageUrl(reverse(f"meetergo:{name}", args=[self.meeting_type.slug]), self.carried)

    @property
    def look(self) -> SlotReader:
        return build_slot_reader(self.meeting_type, self.meeting_type.duration, clock.now())


def find_place(
    context: template.Context, tag: str, slug: str, subject: models.Model | None, *, hosts: bool = False
) -> Place | None:
    """Everything a widget needs to know before it asks for times; None for a slug that does not exist."""
    rows = MeetingType.objects.defer("raw")
    meeting_type = (rows.prefetch_related("hosts") if hosts else rows).filter(slug=slug).first()
    if meeting_type is None:
        complain(f"{{% {tag} %}}: no meeting type has the slug {slug!r}. Run manage.py meetergo_sync first.")
        return None
    request = context.get("request")
    return Place(
        request=request,
        meeting_type=meeting_type,
        zone=find_zone(request),
        carried={"subject": links.sign_subject(subject) if subject is not None else ""},
    )


def find_zone(request: Any) -> ZoneInfo:
    """What the visitor chose before, else the site's own."""
    cookies = getattr(request, "COOKIES", {})
    return choose_zone(cookies.get(ZONE_COOKIE), django_settings.TIME_ZONE)


def render(place_request: Any, name: str, shown: Mapping[str, Any]) -> SafeString:
    return render_to_string(f"meetergo/{name}.html", dict(shown), request=place_request)


def count_up(context: template.Context, name: str) -> int:
    """1 for the first of its kind on a page, 2 for the second: across included templates as well."""
    request = context.get("request")
    counts: Any = context.render_context if request is None else request.__dict__
    number: int = counts.get(f"_meetergo_{name}", 0) + 1
    counts[f"_meetergo_{name}"] = number
    return number


@register.simple_tag(takes_context=True)
def meetergo_booking_widget(
    context: template.Context, slug: str, *, subject: models.Model | None = None, heading_level: int = 2
) -> str:
    """Choosing a time, inside any page; what follows are pages of ours.

    ``subject`` ties the booking to an object of the site's own. ``heading_level`` is that of its title.
    """
    number, level = count_up(context, "widgets"), int(heading_level)

    def draw() -> PagePart:
        place = find_place(context, "meetergo_booking_widget", slug, subject, hosts=True)
        return draw_widget(place, number, level) if place else NO_PAGE_PART

    return show_once(context, draw, subject, "widget", slug, number, level)


def draw_widget(place: Place, number: int, level: int) -> PagePart:
    shown: dict[str, Any] = {"meeting_type": place.meeting_type, "is_gone": place.is_gone}
    sources: Sequence[Source] = ()
    if place.meeting_type.needs_own_page:
        shown["link"] = parse_link(place.meeting_type.booking_url)
    elif not place.is_gone:
        shown |= describe_times(place)
        sources = shown["choice"].sources
    return render_page_part("tags/widget", {**shown, **sign_widget(number, level)}, sources=sources)


def show_once(
    context: template.Context, draw: Callable[[], PagePart], subject: models.Model | None, *shown: object
) -> SafeString:
    """What was drawn for the last one who saw the same, or what is drawn now."""
    request = context.get("request")
    arrival = None
    vary_on_cookies(request)
    if request is not None and subject is None:
        seen = (*shown, reverse("meetergo:index"), is_first_visit(request))
        arrival = get_first_visit(request, find_zone(request), clock.now(), *seen)
    part = arrival.find() if arrival else None
    if part is None:
        part = draw()
        if arrival:
            arrival.keep(part)
    return part.give_to(request)


def vary_on_cookies(request: Any) -> None:
    """The zone is in a cookie. A tag has no response to say so on; whoever looks into the session says it."""
    session = getattr(request, "session", None)
    if session is not None:
        session.accessed = True


def is_first_visit(request: Any) -> bool:
    return request is not None and ZONE_COOKIE not in request.COOKIES


def describe_times(place: Place) -> dict[str, Any]:
    """What the includes of step 1 need. Its links lead to our own page, which works without script."""
    now, meeting_type = clock.now(), place.meeting_type
    here, onward = place.address("book"), place.address("details")
    choice = choose_time(
        look=place.look,
        now=now,
        zone=place.zone,
        duration=meeting_type.duration,
        asked=TimeQuery(),
        address=here,
        onward=onward,
    )
    request = place.request
    return {
        **describe_type(meeting_type),
        "choice": choice,
        "duration": meeting_type.duration,
        "carried": place.carried,
        "here": here,
        "onward": onward.path,
        "zone": place.zone,
        "zone_all": here.to(zones="all"),
        "zone_in_address": request is None,
        "is_first_visit": is_first_visit(request),
    }


@register.simple_tag(takes_context=True)
def meetergo_next_slots(
    context: template.Context, slug: str, count: int = 3, *, subject: models.Model | None = None
) -> str:
    """The next few free times, each a link straight to the form."""

    def draw() -> PagePart:
        place = find_place(context, "meetergo_next_slots", slug, subject)
        return draw_next_slots(place, int(count)) if place else NO_PAGE_PART

    return show_once(context, draw, subject, "next", slug, int(count))


def draw_next_slots(place: Place, count: int) -> PagePart:
    shown: dict[str, Any] = {"meeting_type": place.meeting_type, "is_gone": place.is_gone}
    sources: Sequence[Source] = ()
    if not place.is_gone:
        found = find_next(place, count)
        times = list_next_slots(found.times, place.zone, place.address("details"), count)
        shown |= {"times": times, "failed": found.failed, "all_times": place.address("book").to()}
        sources = found.sources
    return render_page_part("tags/next_slots", shown, sources=sources)


def find_next(place: Place, count: int) -> SlotList:
    """The next times; a short look mostly finds enough, and costs a call less when nothing is at hand."""
    now, (near, far) = clock.now(), AHEAD
    found = place.look(now, now + near)
    return found if found.failed or len(found.times) >= count else place.look(now, now + far)


@register.simple_tag
def meetergo_manage_link(attendee: Attendee, *, absolute: bool = False) -> str:
    """The address where an attendee sees, moves and cancels the appointment: a secret of theirs."""
    path = links.get_manage_path(attendee)
    return links.build_absolute_url(path) if absolute else path


@register.simple_tag(takes_context=True)
def meetergo_upcoming(context: template.Context, user: Any) -> str:
    """Somebody's coming appointments, with the way to change them; for a stranger, nothing."""
    if user is None or not user.is_authenticated:
        return ""
    now, request = clock.now(), context.get("request")
    rows = (
        Attendee.objects.filter(user=user, status=Attendee.Status.ATTENDING, appointment__end__gte=now)
        .filter(appointment__status=Appointment.Status.CONFIRMED, appointment__missing_since=None)
        .select_related("appointment__meeting_type")
        .prefetch_related("appointment__hosts")
        .defer("raw", "appointment__raw", "appointment__meeting_type__raw")
        .order_by("appointment__start", "pk")
    )
    zone = find_zone(request)
    shown = [describe_upcoming(attendee, zone) for attendee in rows]
    return render(request, "tags/upcoming", {"appointments": shown})


def describe_upcoming(attendee: Attendee, zone: ZoneInfo) -> dict[str, Any]:
    appointment = attendee.appointment
    hosts = list(appointment.hosts.all())
    return {
        "name": appointment.meeting_type.name if appointment.meeting_type else gettext("Appointment"),
        "when": describe_when(appointment.start, appointment.end, zone),
        "host_name": name_hosts(hosts),
        "link": links.get_manage_path(attendee),
        "attendee": attendee,
    }


# meetergo's official embed: it loads their script, so pages with a secret address do without


def is_token_page(request: Any) -> bool:
    match = getattr(request, "resolver_match", None)
    return match is not None and match.app_name == "meetergo" and match.url_name in TOKEN_PAGES


@dataclass(frozen=True, kw_only=True)
class Target:
    """A booking page of meetergo's: bare, for a link, and with what is known about the visitor."""

    url: str
    address: str


def find_target(
    context: template.Context,
    tag: str,
    given: Any,
    prefill: Mapping[str, Any] | None,
    known: Mapping[str, Any],
) -> Target | None:
    """The page to embed; None where none may be."""
    if is_token_page(context.get("request")):
        return None
    url = given.booking_url if isinstance(given, MeetingType) else str(given or "")
    try:
        return Target(
            url=embed.validate_embed_url(url),
            address=embed.build_embed_url(url, {**(prefill or {}), **known}),
        )
    except embed.EmbedUrlNotAllowed as error:
        complain(f"{{% {tag} %}}: {error}")
        return None


@register.simple_tag(takes_context=True)
def meetergo_script(context: template.Context) -> str:
    """meetergo's own script and what prepares it. Once, anywhere on a page with one of the tags below."""
    request = context.get("request")
    if is_token_page(request):
        return ""
    shown = {"script": embed.SCRIPT, "nonce": find_nonce(request)}
    return render_init(context, {"forwardQueryParams": False}, "embed/script", shown)


@register.simple_tag(takes_context=True)
def meetergo_inline(
    context: template.Context, url: Any, prefill: Mapping[str, Any] | None = None, **known: Any
) -> str:
    """A booking page of meetergo's in a frame, at this place."""
    target = find_target(context, "meetergo_inline", url, prefill, known)
    if target is None:
        return ""
    framed = embed.build_embed_url(target.address, {"embed": "true"})
    return render(None, "embed/inline", {"address": target.address, "framed": framed})


@register.simple_tag(takes_context=True)
def meetergo_button(
    context: template.Context,
    url: Any,
    text: Any,
    prefill: Mapping[str, Any] | None = None,
    *,
    css_class: str = "",
    **known: Any,
) -> str:
    """A link to a booking page of meetergo's, which its script opens above this page."""
    target = find_target(context, "meetergo_button", url, prefill, known)
    if target is None:
        return ""
    shown = {"url": target.url, "address": target.address, "text": text, "css_class": css_class}
    return render(None, "embed/button", shown)


@register.simple_tag(takes_context=True)
def meetergo_floating_button(
    context: template.Context,
    url: Any,
    text: Any,
    prefill: Mapping[str, Any] | None = None,
    *,
    position: str = "bottom-right",
    background: str = "",
    color: str = "",
    animation: str = "none",
    **known: Any,
) -> str:
    """A button that stays in a corner of the page and opens a booking page of meetergo's."""
    target = find_target(context, "meetergo_floating_button", url, prefill, known)
    if target is None:
        return ""
    button = {
        "link": target.address,
        "text": str(text),
        "position": position,
        "animation": animation,
        "backgroundColor": background,
        "textColor": color,
    }
    return render_launcher(context, "floatingButton", button, target, text)


@register.simple_tag(takes_context=True)
def meetergo_sidebar(
    context: template.Context,
    url: Any,
    text: Any,
    prefill: Mapping[str, Any] | None = None,
    *,
    position: str = "right",
    width: str = "",
    background: str = "",
    color: str = "",
    **known: Any,
) -> str:
    """A tab at the edge of the page that opens a booking page of meetergo's beside it."""
    target = find_target(context, "meetergo_sidebar", url, prefill, known)
    if target is None:
        return ""
    sidebar = {
        "link": target.address,
        "buttonText": str(text),
        "position": position,
        "width": width,
        "backgroundColor": background,
        "textColor": color,
    }
    return render_launcher(context, "sidebar", sidebar, target, text)


def render_launcher(
    context: template.Context, kind: str, options: Mapping[str, str], target: Target, text: Any
) -> str:
    """A thing that meetergo's script draws. A namespace of its own: a second ``init`` undoes the first."""
    given = {name: value for name, value in options.items() if value}
    settings = {"ns": kind, "forwardQueryParams": False, kind: given}
    return render_init(context, settings, "embed/init", {"url": target.url, "text": text})


def render_init(
    context: template.Context, options: Mapping[str, Any], name: str, shown: Mapping[str, Any]
) -> str:
    number = count_up(context, "embeds")
    return render(None, name, {**shown, "options": options, "name": f"meetergo-init-{number}"})
