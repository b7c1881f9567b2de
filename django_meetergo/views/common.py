"""What the doors share: how a page is answered, whose clock it shows, and what was typed before."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import wraps
from typing import Any, TypeVar
from uuid import UUID
from zoneinfo import ZoneInfo

from cryptography.fernet import InvalidToken
from django.conf import settings as django_settings
from django.db import models, transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, QueryDict
from django.shortcuts import render
from django.urls import reverse
from django.utils.cache import patch_vary_headers

from django_meetergo import links, timezones
from django_meetergo.conf import get_settings
from django_meetergo.fields import build_cipher, encrypt, get_encryption_keys
from django_meetergo.formatting import When, describe_when, find_host_zone, name_hosts
from django_meetergo.models import Appointment, Attendee, Host, MeetingType
from django_meetergo.presentation.context import ZONE_COOKIE, build_slot_reader
from django_meetergo.presentation.month import first_of_month, parse_day, parse_month
from django_meetergo.presentation.page_urls import PageUrl, build_calendar_links, read_widget
from django_meetergo.presentation.slots import parse_start
from django_meetergo.presentation.time_choice import WINDOW, TimeQuery
from django_meetergo.timezones import choose_zone
from django_meetergo.transactions import DATABASE_ERRORS, is_database_away
from django_meetergo.visitors import Limit, get_client_address

logger = logging.getLogger(__name__)

View = Callable[..., HttpResponse]
T = TypeVar("T", bound=models.Model)

DETAILS_COOKIE = "meetergo_details"
DETAILS_AGE = timedelta(minutes=30)

SEE_OTHER, NOT_FOUND = 303, 404
#: What one address may guess wrong before it has to wait.
WRONG_LINK_LIMIT = Limit(name="wrong-links", times=30, seconds=600)
FRAGMENT, WIDGET = "X-Meetergo-Fragment", "X-Meetergo-Widget"
ASKS_FRAGMENT, ASKS_WIDGET = "HTTP_X_MEETERGO_FRAGMENT", "HTTP_X_MEETERGO_WIDGET"
FRAGMENTS = {
    "calendar": "meetergo/includes/times.html",
    "slots": "meetergo/includes/slots.html",
    "zone": "meetergo/includes/timezone.html",
}
METHODS = ("GET", "HEAD", "POST")


def page(view: View) -> View:
    """A page of ours: no transaction around it, and words for a database that is not there.

    Services commit before they telephone, so a site's ``ATOMIC_REQUESTS`` must not hold a transaction open.
    """

    @wraps(view)
    def answer(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        try:
            return view(request, *args, **kwargs)
        except DATABASE_ERRORS as error:
            if not is_database_away(error):
                raise
            logger.exception("The database is away; the page %s answers 503.", view.__name__)
            return show(request, "meetergo/database_down.html", status=503)

    return transaction.non_atomic_requests(answer)


def token_page(view: View) -> View:
    """A page whose address is a secret: kept by nobody, listed by nobody, and told to no other site."""

    @wraps(view)
    def answer(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        response = handle_known_errors(view, request, *args, **kwargs)
        response["Cache-Control"] = "no-store"
        response["X-Robots-Tag"] = "noindex"
        response["Referrer-Policy"] = "same-origin"
        return response

    return answer


def handle_known_errors(view: View, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
    """What the view says, unless its address has been guessing links: then it is not even asked."""
    address = get_client_address(request.META)
    if WRONG_LINK_LIMIT.is_reached(address):
        response = show(request, "meetergo/too_many.html", status=429)
        response["Retry-After"] = str(WRONG_LINK_LIMIT.seconds)
        return response
    response = view(request, *args, **kwargs)
    if response.status_code == NOT_FOUND:
        WRONG_LINK_LIMIT.count(address)
    return response


def deny_framing(view: View) -> View:
    """A page on which one click changes an appointment: no other page may lay itself over it."""

    @wraps(view)
    def answer(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        response = view(request, *args, **kwargs)
        response["X-Frame-Options"] = "DENY"
        return response

    return answer


def show(
    request: HttpRequest,
    template: str,
    context: Mapping[str, Any] | None = None,
    *,
    status: int = 200,
    vary: Sequence[str] = (),
) -> HttpResponse:
    settings = get_settings()
    common = {"base_template": settings.BASE_TEMPLATE, "contact": settings.CONTACT}
    response = render(request, template, {**common, **(context or {})}, status=status)
    # The zone, and what was typed before, come from cookies.
    patch_vary_headers(response, ["Cookie", *vary])
    return response


def show_step(
    request: HttpRequest, template: str, context: Mapping[str, Any], *, status: int = 200
) -> HttpResponse:
    """A page with free times, or only the part of it that our script asks for.

    ``calendar`` is the month and, because another month has other times, what is free on its chosen day.
    """
    part = find_fragment(request)
    place = read_widget(request.META.get(ASKS_WIDGET, "")) if part else {}
    response = show(request, part or template, {**context, **place}, status=status, vary=[FRAGMENT, WIDGET])
    if request.GET:
        # Half a year of days and months, each a page of its own: a search engine reads the first page.
        response["X-Robots-Tag"] = "noindex, nofollow"
    return response


def is_fragment_request(request: HttpRequest) -> bool:
    """Whether our script asks, for a page or a widget it has in front of it."""
    return ASKS_FRAGMENT in request.META or ASKS_WIDGET in request.META


def find_fragment(request: HttpRequest) -> str | None:
    """The template of the part that our script asks for; None when it is the whole page."""
    return FRAGMENTS.get(request.META.get(ASKS_FRAGMENT, ""))


def build_address(request: HttpRequest, path: str, carried: Mapping[str, str]) -> PageUrl:
    """The address of this page: in short, unless its links are to work elsewhere."""
    is_here = request.path == path and ASKS_WIDGET not in request.META
    return PageUrl("" if is_here else path, carried)


def redirect_after_post(path: str) -> HttpResponseRedirect:
    """Go and look there: the answer to a POST."""
    return HttpResponseRedirect(path, status=SEE_OTHER)


def find_by_token(rows: models.QuerySet[T], token: str, *, salt: str) -> T | None:
    """The row a link opens. A link we did not sign is refused without asking the database."""
    public_id: UUID | None = links.unsign(token, salt=salt)
    return rows.filter(public_id=public_id).first() if public_id else None


def show_not_found(request: HttpRequest) -> HttpResponse:
    """The same words whether the link is wrong, old or somebody else's."""
    return show(request, "meetergo/not_found.html", status=404)


# Whose clock


def find_zone(request: HttpRequest) -> ZoneInfo:
    """The visitor's zone: what the address says, what was chosen before, the site's own."""
    return choose_zone(request.GET.get("tz"), request.COOKIES.get(ZONE_COOKIE), django_settings.TIME_ZONE)


def find_named_zone(request: HttpRequest) -> str:
    """The zone in the address, to be handed on to the next page's."""
    return zone.key if (zone := timezones.find_zone(request.GET.get("tz"))) else ""


def is_first_visit(request: HttpRequest) -> bool:
    """Whether nobody has said yet which zone to use; our script may then ask the browser."""
    return not find_named_zone(request) and ZONE_COOKIE not in request.COOKIES


def describe_booked(start: datetime, end: datetime, zone: ZoneInfo, hosts: list[Any]) -> When:
    """When something is, by the visitor's clock and, where it differs, by the host's."""
    return describe_when(start, end, zone, host_zone=find_host_zone(hosts), host_name=name_hosts(hosts))


def describe_calendar(attendee: Attendee, title: str) -> dict[str, Any]:
    """The ways into somebody's own calendar: a file, and two services' pages."""
    appointment = attendee.appointment
    token = links.sign(attendee.public_id, salt=links.MANAGE_SALT)
    return {
        "ics": reverse("meetergo:ics", args=[token]),
        "calendars": build_calendar_links(
            title=title,
            start=appointment.start,
            end=appointment.end,
            place=appointment.location or appointment.meeting_link,
        ),
    }


def list_hosts(appointment: Appointment) -> list[Host]:
    """Who receives. Until the appointment has been read, whoever its meeting type names."""
    hosts = list(appointment.hosts.all())
    if hosts or appointment.meeting_type is None:
        return hosts
    return list(appointment.meeting_type.hosts.all())


# What was typed before


def keep_details(response: HttpResponse, typed: Mapping[str, Any], *, secure: bool) -> None:
    """Let the visitor's own browser carry what was typed to the next form, sealed, for a short while."""
    response.set_cookie(
        DETAILS_COOKIE,
        encrypt(json.dumps(typed, default=str)),
        max_age=DETAILS_AGE,
        path=reverse("meetergo:index"),
        secure=secure,
        httponly=True,
        samesite="Lax",
    )


def forget_details(response: HttpResponse) -> None:
    response.delete_cookie(DETAILS_COOKIE, path=reverse("meetergo:index"), samesite="Lax")


def read_details(request: HttpRequest) -> dict[str, Any]:
    """What the same browser typed before, or nothing."""
    sealed = request.COOKIES.get(DETAILS_COOKIE, "")
    cipher = build_cipher(get_encryption_keys())
    try:
        typed = json.loads(cipher.decrypt(sealed.encode(), ttl=int(DETAILS_AGE.total_seconds())))
    except (InvalidToken, ValueError):
        return {}
    return typed if isinstance(typed, dict) else {}


def read_account(request: HttpRequest) -> dict[str, str]:
    """What the site knows about the person who is signed in."""
    user = getattr(request, "user", None)
    if user is None or not user.is_authenticated:
        return {}
    email_field = getattr(user, "EMAIL_FIELD", "email")
    known = {
        "first_name": getattr(user, "first_name", ""),
        "last_name": getattr(user, "last_name", ""),
        "email": getattr(user, email_field, ""),
    }
    return {name: value for name, value in known.items() if value}


def find_user(request: HttpRequest) -> Any:
    user = getattr(request, "user", None)
    return user if user is not None and user.is_authenticated else None


# Free times


def is_free(
    meeting_type: MeetingType,
    start: datetime,
    duration: int,
    now: datetime,
    *,
    moving: Appointment | None = None,
) -> bool:
    """Whether a start is among the times we show. When nobody can say, it is left to the booking."""
    if start > now + WINDOW + timedelta(days=31):
        return False
    found = build_slot_reader(meeting_type, duration, now, moving=moving)(start, start + timedelta(seconds=1))
    return bool(found.times) or found.stale or found.failed


def read_time_query(query: QueryDict, zone: ZoneInfo) -> TimeQuery:
    """What the address asks to see; a time that is named brings its day along."""
    start = parse_start(query.get("start", ""))
    day, month = parse_day(query.get("date")), parse_month(query.get("month"))
    if day is None and start is not None:
        day = start.astimezone(zone).date()
    if day and month and first_of_month(day) != month:
        day = None
    return TimeQuery(
        month=month,
        day=day,
        start=start.astimezone(zone).isoformat() if start else "",
    )
