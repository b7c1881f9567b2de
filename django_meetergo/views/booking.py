"""Book: choose a time, say who you are, and see what became of it."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit
from uuid import UUID
from zoneinfo import ZoneInfo

from django.db import models
from django.http import Http404, HttpRequest, HttpResponse, QueryDict
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils import timezone as clock
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import get_language, gettext
from django.views.decorators.cache import cache_control
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from django_meetergo import links, pages
from django_meetergo.conf import get_settings
from django_meetergo.exceptions import (
    BookingAlreadyOpen,
    ClientKeyReused,
    InvalidRequest,
    MeetingTypeUnavailable,
    StartNotOffered,
    TooManyBookings,
)
from django_meetergo.forms import TOO_MANY, BookingForm, TimeZoneForm, details_of, make_token
from django_meetergo.models import Booking, MeetingType
from django_meetergo.services import availability, bookings, looking
from django_meetergo.services.clients import client_for
from django_meetergo.views import outcomes
from django_meetergo.views.common import (
    METHODS,
    asks_for_part,
    build_address,
    describe_booked,
    find_by_token,
    find_fragment,
    find_named_zone,
    find_user,
    find_zone,
    forget_details,
    is_first_visit,
    is_free,
    keep_details,
    page,
    read_account,
    read_asked,
    read_details,
    see_other,
    show,
    show_not_found,
    show_step,
    token_page,
)
from django_meetergo.views.forgery import doubts_forms
from django_meetergo.visitors import name_visitor

logger = logging.getLogger(__name__)

State, Reason = Booking.State, Booking.Reason

ZONE_AGE = 365 * 24 * 3600
#: What an address may ask of the first step.
ASKS = frozenset({"month", "date", "start", "duration", "tz", "subject", "zones"})
#: Under this name the kept details say which booking the same browser has made.
MADE = "booking"


# What can be booked


@page
@require_safe
def index(request: HttpRequest) -> HttpResponse:
    """The meeting types; a site may have a list of its own instead."""
    if not get_settings().INDEX:
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
        return show_gone(request, meeting_type)
    if meeting_type.needs_own_page:
        link = pages.read_link(meeting_type.booking_url)
        return show(request, "meetergo/unavailable.html", {"meeting_type": meeting_type, "link": link})
    return None


def show_gone(request: HttpRequest, meeting_type: MeetingType) -> HttpResponse:
    others = list_bookable(but=meeting_type)
    return show(
        request, "meetergo/gone.html", {"meeting_type": meeting_type, "meeting_types": others}, status=410
    )


# Step 1: choose a time


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


def find_arrival(request: HttpRequest, slug: str) -> pages.Arrival | None:
    """Which page this is, if it is the one that people arrive at: nobody has chosen anything in it yet."""
    if asks_for_part(request) or not ASKS.isdisjoint(request.GET):
        return None
    return pages.arrive(
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
    arrival: pages.Arrival | None = None,
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
    onward = pages.Address(reverse("meetergo:details", args=[meeting_type.slug]), carried)
    choice = pages.choose_time(
        look=pages.build_look(meeting_type, duration, now),
        now=now,
        zone=zone,
        duration=duration,
        asked=read_asked(given if given is not None else request.GET, zone),
        address=address,
        onward=onward,
    )
    context = {
        **pages.describe_type(meeting_type),
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
    part = pages.render_part(
        "includes/choose", context, sources=choice.sources, title=title_times(meeting_type, error)
    )
    if arrival:
        arrival.keep(part)
    return show_part(request, part, error=error, status=status)


def show_part(request: HttpRequest, part: pages.Part, *, error: str = "", status: int = 200) -> HttpResponse:
    shown = {"title": part.title, "part": part.give_to(request), "error": error}
    return show_step(request, "meetergo/book.html", shown, status=status)


def title_times(meeting_type: MeetingType, error: str) -> str:
    name = {"name": meeting_type.name}
    if error:
        return gettext("Error: Choose a date and time – %(name)s") % name
    return gettext("Choose a date and time – %(name)s") % name


def describe_zones(
    request: HttpRequest, zone: ZoneInfo, now: datetime, address: pages.Address, choice: pages.TimeChoice
) -> dict[str, Any]:
    """The line about the zone and, for whoever asks to change it, the zones there are."""
    return {
        "zone": zone,
        "is_first_visit": is_first_visit(request),
        "zones": pages.list_zones(zone, now) if "zones" in request.GET else [],
        "zone_next": request.get_full_path() if "zones" in request.GET else "",
        "zone_all": address.to(**pages.tell_seen(choice), zones="all"),
    }


@page
@require_POST
def timezone(request: HttpRequest) -> HttpResponse:
    """Remember the visitor's zone and go back to the page they were on."""
    form = TimeZoneForm(request.POST)
    form.is_valid()
    response = see_other(find_way_back(request, form.cleaned_data.get("next", "")))
    if zone := form.cleaned_data.get("tz"):
        response.set_cookie(
            pages.ZONE_COOKIE,
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


# Step 2: say who you are


@dataclass(frozen=True, kw_only=True)
class Wish:
    """The time somebody chose, checked as far as we can."""

    meeting_type: MeetingType
    start: datetime
    duration: int


@page
@cache_control(private=True)
@require_http_methods(METHODS)
@doubts_forms
def details(request: HttpRequest, slug: str, *, doubt: str) -> HttpResponse:
    """GET asks for the details; POST books."""
    meeting_type = find_meeting_type(slug)
    if obstacle := find_obstacle(request, meeting_type):
        return obstacle
    given = request.POST if request.method == "POST" else request.GET
    duration = read_duration(given, meeting_type)
    start = pages.parse_start(given.get("start", ""))
    if duration is None or start is None or start <= clock.now():
        return ask_again(request, meeting_type, start=start, duration=duration, keep=not doubt)
    wish = Wish(meeting_type=meeting_type, start=start, duration=duration)
    if request.method == "POST":
        return submit(request, wish, doubt)
    return ask(request, wish)


def ask_again(
    request: HttpRequest,
    meeting_type: MeetingType,
    *,
    start: datetime | None,
    duration: int | None,
    keep: bool = True,
) -> HttpResponse:
    """Back to step 1, with what is wrong about the choice. What was typed waits in the browser."""
    given = request.POST if request.method == "POST" else request.GET
    if duration is None:
        error, status = gettext("This length is no longer offered. Choose a length."), 409
    elif not given.get("start"):
        error, status = gettext("Choose a time"), 422
    elif start is None:
        error, status = gettext("We could not read this time. Please choose one from the list."), 400
    else:
        error, status = gettext("This time has passed. Please choose another one."), 409
    response = show_times(
        request,
        meeting_type,
        duration or meeting_type.duration,
        error=error,
        status=status,
        given=pick_view(given) if start is None else QueryDict(),
    )
    if request.method == "POST" and keep:
        keep_form(request, response, BookingForm(request.POST, meeting_type=meeting_type))
    return response


def pick_view(given: QueryDict) -> QueryDict:
    """The month and day somebody was looking at, without the time."""
    seen = QueryDict(mutable=True)
    for name in {"month", "date"} & set(given):
        seen[name] = given.get(name, "")
    return seen


def keep_form(
    request: HttpRequest, response: HttpResponse, form: BookingForm, booking: Booking | None = None
) -> None:
    """Keep what was typed in the visitor's own browser, and which booking it has made."""
    made = {MADE: booking.public_id.hex} if booking else {}
    keep_details(response, {**form.list_typed(), **made}, secure=request.is_secure())


def made_here(request: HttpRequest, booking: Booking) -> bool:
    """Whether the same browser, or the signed-in owner, made this booking a short while ago."""
    user = find_user(request)
    is_owner = user is not None and booking.user_id == user.pk
    return is_owner or read_details(request).get(MADE) == booking.public_id.hex


def find_earlier(request: HttpRequest, meeting_type: MeetingType) -> Booking | None:
    """The booking of the same browser that waits for a yes and may give way to another choice."""
    try:
        public_id = UUID(hex=str(read_details(request).get(MADE, "")))
    except ValueError:
        return None
    waiting = Booking.objects.filter(state=State.PENDING, meeting_type=meeting_type)
    return waiting.filter(public_id=public_id).first()


def ask(request: HttpRequest, wish: Wish) -> HttpResponse:
    """The form, with what we know already."""
    if not is_free(wish.meeting_type, wish.start, wish.duration, clock.now()):
        zone = find_zone(request)
        error = gettext("%(time)s is no longer free. Please choose another time.") % {
            "time": pages.label_time(wish.start, zone)
        }
        return show_times(request, wish.meeting_type, wish.duration, error=error, status=409)
    known = {**read_account(request), **read_details(request), "token": make_token()}
    return show_form(request, wish, BookingForm(initial=known, meeting_type=wish.meeting_type))


def show_form(request: HttpRequest, wish: Wish, form: BookingForm, *, status: int = 200) -> HttpResponse:
    return show(request, "meetergo/details.html", describe_form(request, wish, form), status=status)


def describe_form(request: HttpRequest, wish: Wish, form: BookingForm) -> dict[str, Any]:
    meeting_type, zone = wish.meeting_type, find_zone(request)
    hosts = list(meeting_type.hosts.all())
    end = wish.start + timedelta(minutes=wish.duration)
    subject = read_subject(request)
    carried = {"duration": str(wish.duration), "tz": find_named_zone(request), "subject": subject}
    back = pages.Address(reverse("meetergo:book", args=[meeting_type.slug]), carried)
    start = wish.start.astimezone(zone).isoformat()
    return {
        **pages.describe_type(meeting_type),
        "form": form,
        "start": start,
        "duration": wish.duration,
        "when": describe_booked(wish.start, end, zone, hosts),
        "time": pages.label_time(wish.start, zone),
        "place": next(iter(meeting_type.locations), "") if len(meeting_type.locations) == 1 else "",
        "action": pages.Address(
            reverse("meetergo:details", args=[meeting_type.slug]), {"tz": carried["tz"], "subject": subject}
        ).to(),
        "back": back.to(start=start),
        "all_times": back.to(),
    }


def submit(request: HttpRequest, wish: Wish, doubt: str) -> HttpResponse:
    """Book, and lead to the page that says how it went."""
    form = BookingForm(request.POST, meeting_type=wish.meeting_type)
    if doubt:
        form.add_error(None, doubt)
    if not form.is_valid():
        if form.has_error("token", code="old"):
            form.renew_token()
        return show_form(request, wish, form, status=403 if doubt else 422)
    try:
        booking = book_wish(request, wish, form)
    except StartNotOffered:
        return show_lost(request, wish, form)
    except MeetingTypeUnavailable:
        return show_gone(request, wish.meeting_type)
    except BookingAlreadyOpen as error:
        return show_already_open(request, error.booking, is_same_form=False)
    except ClientKeyReused as error:
        return show_already_open(request, error.booking, is_same_form=True)
    except TooManyBookings:
        form.add_error(None, TOO_MANY)
        return show_form(request, wish, form, status=429)
    except InvalidRequest as error:
        return show_invalid(request, wish, form, error)
    return answer_booking(request, wish, form, booking)


def book_wish(request: HttpRequest, wish: Wish, form: BookingForm) -> Booking:
    given = form.cleaned_data
    return bookings.book_appointment(
        meeting_type=wish.meeting_type,
        start=wish.start,
        duration=wish.duration,
        channel=given.get("channel", ""),
        location=form.chosen_location,
        attendee=bookings.AttendeeData(
            email=given["email"],
            first_name=given["first_name"],
            last_name=given["last_name"],
            phone=given["phone"],
            timezone=find_zone(request).key,
            language=get_language() or "",
            receive_reminders=given["receive_reminders"],
            other_emails=given.get("other_emails", ()),
        ),
        custom_fields=form.answers,
        user=find_user(request),
        subject=find_subject(request),
        queue_consent="queue" in request.POST,
        rebook=form.rebook_consent,
        replaces=find_earlier(request, wish.meeting_type),
        client_key=given["token"],
        visitor=name_visitor(find_user(request), request.META),
        client=client_for(wish.meeting_type.connection, "write"),
        now=clock.now(),
    )


def answer_booking(request: HttpRequest, wish: Wish, form: BookingForm, booking: Booking) -> HttpResponse:
    """Where the booking's state leads: on, or back to the step that can mend it."""
    if booking.state == State.CLOSED and booking.reason == Reason.SLOT_TAKEN:
        return show_lost(request, wish, form)
    if booking.state == State.CLOSED and booking.reason == Reason.REFUSED:
        if "duration" in booking.field_errors:
            return ask_again(request, wish.meeting_type, start=wish.start, duration=None)
        if form.add_refusals(booking.field_errors):
            form.renew_token()
            return show_form(request, wish, form, status=422)
    if may_be_queued(booking):
        form.renew_token()
        return show_queue_offer(request, wish, form)
    response = see_other(links.booking(booking))
    if booking.is_open:
        keep_form(request, response, form, booking)
    return response


def may_be_queued(booking: Booking) -> bool:
    """Whether to offer that a booking nobody took is sent later. Nobody is asked twice."""
    unreachable = booking.state == State.CLOSED and booking.reason == Reason.UNREACHABLE
    return unreachable and get_settings().QUEUE_WHEN_DOWN and not booking.queue_consent


def show_queue_offer(request: HttpRequest, wish: Wish, form: BookingForm) -> HttpResponse:
    """The form as it was sent, with a button of its own to leave it as a request."""
    context = {**describe_form(request, wish, form), "may_queue": True}
    return show(request, "meetergo/details.html", context)


def show_invalid(request: HttpRequest, wish: Wish, form: BookingForm, error: InvalidRequest) -> HttpResponse:
    """An argument that only the service could refuse: at its field, else in words of ours."""
    if error.field == "duration":
        return ask_again(request, wish.meeting_type, start=wish.start, duration=None)
    if error.field == "start":
        return ask_again(request, wish.meeting_type, start=wish.start, duration=wish.duration)
    if not form.add_refusals({error.field: str(error)}):
        form.add_error(None, gettext("These details were not accepted. Please check them."))
    return show_form(request, wish, form, status=422)


def show_lost(request: HttpRequest, wish: Wish, form: BookingForm) -> HttpResponse:
    """Somebody was faster: the nearest times, and a form that keeps everything typed."""
    meeting_type, zone = wish.meeting_type, find_zone(request)
    free = availability.list_alternatives(
        meeting_type=meeting_type,
        start=wish.start,
        duration=wish.duration,
        zone=zone,
        client=client_for(meeting_type.connection, "view"),
        now=clock.now(),
    )
    context = {
        **describe_form(request, wish, form),
        "alternatives": pages.build_slots(free, zone, duration=wish.duration, with_day=True),
        "typed": form.list_hidden(),
        "token": make_token(),
    }
    response = show(request, "meetergo/lost.html", context, status=409)
    keep_form(request, response, form)
    return response


def show_already_open(request: HttpRequest, booking: Booking, *, is_same_form: bool) -> HttpResponse:
    """Another booking stands in the way. Its link is for whoever made it: the same form, or its user."""
    context = {
        "meeting_type": booking.meeting_type,
        "link": links.booking(booking) if is_same_form or made_here(request, booking) else "",
        "is_same_form": is_same_form,
    }
    return show(request, "meetergo/already_open.html", context, status=409)


# What became of it


@page
@token_page
@require_http_methods(METHODS)
@doubts_forms
def outcome(request: HttpRequest, token: str, *, doubt: str) -> HttpResponse:
    """One booking's present state. A POST looks at meetergo now, then shows it."""
    rows = Booking.objects.select_related(
        "meeting_type", "attendee__appointment", "replaced_by__meeting_type"
    )
    booking = find_by_token(rows, token, salt=links.BOOKING)
    if booking is None:
        return show_not_found(request)
    if request.method == "POST":
        if not doubt:
            looking.look_at_booking(booking=booking, now=clock.now())
        return see_other(request.path)
    return show_outcome(request, booking)


def show_outcome(request: HttpRequest, booking: Booking) -> HttpResponse:
    zone = pages.choose_zone(booking.timezone, find_zone(request).key)
    context = outcomes.describe_outcome(booking, zone)
    if outcomes.offers_alternatives(booking):
        context |= describe_alternatives(booking, zone)
    response = show(request, "meetergo/outcome.html", context)
    if booking.state == State.CLOSED:
        keep_details(response, details_of(booking), secure=request.is_secure())
    elif booking.state == State.CONFIRMED:
        forget_details(response)
    return response


def describe_alternatives(booking: Booking, zone: ZoneInfo) -> Mapping[str, Any]:
    """Near times for somebody who has none, from the times at hand; what they typed goes along."""
    meeting_type, now = booking.meeting_type, clock.now()
    if booking.start <= now or not meeting_type.enabled or meeting_type.missing_since:
        return {}
    wanted = booking.start.astimezone(zone)
    day = pages.midnight(wanted.date(), zone)
    found = pages.build_look(meeting_type, booking.duration, now)(day, day + availability.SEARCH)
    times = [free for free in found.times if free.start != booking.start]
    free = availability.choose_alternatives(times, wanted, zone)
    form = BookingForm(initial=details_of(booking), meeting_type=meeting_type)
    return {
        "alternatives": pages.build_slots(free, zone, duration=booking.duration, with_day=True),
        # Consent is given anew each time, so a site that asks for it gets the form instead of one click.
        "typed": form.list_hidden() if "privacy" not in form.fields else [],
        "token": make_token(),
        "action": pages.Address(
            reverse("meetergo:details", args=[meeting_type.slug]), {"subject": outcomes.tell_subject(booking)}
        ).to(),
        "asks_first": "privacy" in form.fields,
    }
