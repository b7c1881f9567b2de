"""The booking form: step 2."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import ceil
from typing import Any
from uuid import UUID

from django.http import HttpRequest, HttpResponse, QueryDict
from django.urls import reverse
from django.utils import timezone as clock
from django.utils.translation import get_language, gettext, ngettext
from django.views.decorators.cache import cache_control
from django.views.decorators.http import require_http_methods

from django_meetergo import links
from django_meetergo.conf import get_settings
from django_meetergo.exceptions import (
    BookingAlreadyOpen,
    IdempotencyKeyReused,
    InvalidRequest,
    MeetingTypeUnavailable,
    StartNotOffered,
    TooManyBookings,
)
from django_meetergo.formatting import format_unambiguous_time
from django_meetergo.lookups import find_one
from django_meetergo.models import Booking, MeetingType
from django_meetergo.presentation.context import describe_type
from django_meetergo.presentation.form_token import find_key, make_token
from django_meetergo.presentation.forms import BookingForm
from django_meetergo.presentation.page_urls import PageUrl
from django_meetergo.presentation.slots import build_slots, parse_start
from django_meetergo.services.availability.alternatives import list_alternatives
from django_meetergo.services.booking.book import BookingRequest, submit_request
from django_meetergo.services.clients import build_client
from django_meetergo.views.browser_cookie import get_browser_key, set_browser_cookie
from django_meetergo.views.common import (
    describe_time,
    describe_wrong_start,
    find_zone,
    get_account_details,
    get_zone_parameter,
    is_free,
)
from django_meetergo.views.csrf import handle_csrf_failure
from django_meetergo.views.decorators import METHODS, page
from django_meetergo.views.details_cookie import read_details_cookie, set_details_cookie
from django_meetergo.views.rendering import redirect_after_post, render_page
from django_meetergo.views.times import (
    check_bookable,
    find_meeting_type,
    find_subject,
    get_subject_token,
    read_duration,
    show_times,
    show_unavailable,
)
from django_meetergo.visitors import get_user, identify_visitor

State, Reason = Booking.State, Booking.Reason
#: The key in the details cookie that names the booking which the same browser has made.
BOOKING_KEY = "booking"


#: Domains that the script compares with a typed address, to offer the one that was probably meant.
MAIL_DOMAINS = (
    "gmail.com googlemail.com outlook.com outlook.de outlook.fr hotmail.com hotmail.de hotmail.fr "
    "hotmail.co.uk live.com yahoo.com yahoo.de yahoo.fr yahoo.co.uk icloud.com me.com gmx.de gmx.net gmx.at "
    "gmx.ch web.de t-online.de freenet.de orange.fr free.fr wanadoo.fr laposte.net sfr.fr bluewin.ch "
    "proton.me protonmail.com aol.com hotmail.be hotmail.se hotmail.it yahoo.se yahoo.it live.de live.fr "
    "live.it gmx.com"
)


@dataclass(frozen=True, kw_only=True)
class ChosenTime:
    """The start and the duration (minutes) that a visitor chose; both can be booked as far as is known."""

    meeting_type: MeetingType
    start: datetime
    duration: int


@page
@cache_control(private=True)
@require_http_methods(METHODS)
@handle_csrf_failure
def details(request: HttpRequest, slug: str, *, csrf_error: str) -> HttpResponse:
    """GET shows the form; POST books."""
    response = respond(request, slug, csrf_error)
    set_browser_cookie(request, response)
    return response


def respond(request: HttpRequest, slug: str, csrf_error: str) -> HttpResponse:
    meeting_type = find_meeting_type(slug)
    if request.method == "POST" and not csrf_error and (first := find_first_submission(request.POST)):
        return show_first_submission(request, meeting_type, first)
    if response := check_bookable(request, meeting_type):
        if request.method == "POST" and not csrf_error:
            form = BookingForm(request.POST, meeting_type=meeting_type, request=request)
            store_form(request, response, form)
        return response
    data = request.POST if request.method == "POST" else request.GET
    duration = read_duration(data, meeting_type)
    start = parse_start(data.get("start", ""))
    if duration is None or start is None or start <= clock.now():
        return show_times_again(
            request, meeting_type, start=start, duration=duration, keep_details=not csrf_error
        )
    chosen = ChosenTime(meeting_type=meeting_type, start=start, duration=duration)
    if request.method == "POST":
        return submit(request, chosen, csrf_error)
    return show_empty_form(request, chosen)


# The same form again


def find_first_submission(data: QueryDict) -> Booking | None:
    """Return the booking that this rendered form has made, unless nothing came of it.

    It is looked up before anything is validated: whoever lost the answer is never told that nothing was
    booked, whatever has changed since.
    """
    key = find_key(data.get("token", ""))
    submitted = Booking.objects.filter(idempotency_key=key).exclude(state=State.CLOSED)
    # Nearly always there is none, and to ask for one with all its columns costs five times as much.
    return find_one(submitted) if key and submitted.exists() else None


def show_first_submission(request: HttpRequest, meeting_type: MeetingType, first: Booking) -> HttpResponse:
    """Redirect to the outcome of the first submission; say so if it had another content."""
    if first.content_digest != hash_content(request.POST, meeting_type):
        return show_already_open(request, first, is_same_form=True)
    form = BookingForm(request.POST, meeting_type=meeting_type, request=request)
    return redirect_to_outcome(request, form, first)


def hash_content(data: QueryDict, meeting_type: MeetingType) -> str:
    """Return a digest of what a form sent: with the same digest it is the same submission."""
    content = {name: values for name, values in data.lists() if name != "csrfmiddlewaretoken"}
    return hashlib.sha256(json.dumps([meeting_type.pk, content], sort_keys=True).encode()).hexdigest()


# Back to step 1


def show_times_again(
    request: HttpRequest,
    meeting_type: MeetingType,
    *,
    start: datetime | None,
    duration: int | None,
    keep_details: bool = True,
) -> HttpResponse:
    """Show step 1 with the error in the choice; what was typed is kept in the details cookie."""
    data = request.POST if request.method == "POST" else request.GET
    if duration is None:
        error, status = gettext("This length is no longer offered. Choose a length."), 409
    else:
        error, status = describe_wrong_start(data, start)
    response = show_times(
        request,
        meeting_type,
        duration or meeting_type.duration,
        error=error,
        status=status,
        query=pick_viewed_day(data) if start is None else QueryDict(),
    )
    if request.method == "POST" and keep_details:
        store_form(request, response, BookingForm(request.POST, meeting_type=meeting_type, request=request))
    return response


def pick_viewed_day(data: QueryDict) -> QueryDict:
    """Return the month and the day that were shown, without the chosen time."""
    query = QueryDict(mutable=True)
    for name in {"month", "date"} & set(data):
        query[name] = data.get(name, "")
    return query


# What the browser keeps


def store_form(
    request: HttpRequest, response: HttpResponse, form: BookingForm, booking: Booking | None = None
) -> None:
    """Store what was typed, and the last booking of this browser, in the details cookie."""
    key = booking.public_id.hex if booking else read_details_cookie(request).get(BOOKING_KEY)
    made = {BOOKING_KEY: key} if key else {}
    set_details_cookie(request, response, {**form.list_typed(), **made})


def find_pending_booking(request: HttpRequest, meeting_type: MeetingType) -> Booking | None:
    """Return the pending booking that the same browser has made; a new choice replaces it."""
    try:
        public_id = UUID(hex=str(read_details_cookie(request).get(BOOKING_KEY, "")))
    except ValueError:
        return None
    pending = Booking.objects.filter(state=State.PENDING, meeting_type=meeting_type)
    return find_one(pending.filter(public_id=public_id))


# The form


def show_empty_form(request: HttpRequest, chosen: ChosenTime) -> HttpResponse:
    """Show the form, prefilled with what the account and the cookie know; or step 1 if the time is gone."""
    pending = find_pending_booking(request, chosen.meeting_type)
    # The visitor's own request holds its time, and a new one replaces it.
    is_own = pending is not None and pending.start == chosen.start
    if not is_own and not is_free(chosen.meeting_type, chosen.start, chosen.duration, clock.now()):
        zone = find_zone(request)
        error = gettext("%(time)s is no longer free. Please choose another time.") % {
            "time": format_unambiguous_time(chosen.start.astimezone(zone))
        }
        return show_times(request, chosen.meeting_type, chosen.duration, error=error, status=409)
    initial = {**get_account_details(request), **read_details_cookie(request), "token": make_token()}
    form = BookingForm(initial=initial, meeting_type=chosen.meeting_type, request=request)
    return show_form(request, chosen, form)


def show_form(
    request: HttpRequest, chosen: ChosenTime, form: BookingForm, *, status: int = 200, **context: Any
) -> HttpResponse:
    return render_page(
        request,
        "meetergo/details.html",
        {**describe_form(request, chosen, form), **context},
        status=status,
    )


def describe_form(request: HttpRequest, chosen: ChosenTime, form: BookingForm) -> dict[str, Any]:
    meeting_type, zone = chosen.meeting_type, find_zone(request)
    hosts = list(meeting_type.hosts.all())
    end = chosen.start + timedelta(minutes=chosen.duration)
    subject = get_subject_token(request)
    carried = {"duration": str(chosen.duration), "tz": get_zone_parameter(request), "subject": subject}
    back = PageUrl(meeting_type.get_absolute_url(), carried)
    start = chosen.start.astimezone(zone).isoformat()
    return {
        **describe_type(meeting_type),
        "form": form,
        "mail_domains": MAIL_DOMAINS,
        "start": start,
        "duration": chosen.duration,
        "when": describe_time(chosen.start, end, zone, hosts),
        "time": format_unambiguous_time(chosen.start.astimezone(zone)),
        "place": next(iter(meeting_type.locations), "") if len(meeting_type.locations) == 1 else "",
        "action": PageUrl(
            reverse("meetergo:details", args=[meeting_type.slug]), {"tz": carried["tz"], "subject": subject}
        ).to(),
        "back": back.to(start=start),
        "all_times": back.to(),
    }


# Booking


def submit(request: HttpRequest, chosen: ChosenTime, csrf_error: str) -> HttpResponse:
    """Book, and redirect to the page that shows the outcome; or show what to correct."""
    form = BookingForm(request.POST, meeting_type=chosen.meeting_type, request=request)
    if csrf_error:
        form.add_error(None, csrf_error)
    if not form.is_valid():
        if form.has_error("token", code="old"):
            form.renew_token()
        return show_form(request, chosen, form, status=403 if csrf_error else 422)
    try:
        booking = book_from_form(request, chosen, form)
    except StartNotOffered:
        return show_slot_taken(request, chosen, form)
    except MeetingTypeUnavailable:
        response = show_unavailable(request, chosen.meeting_type)
        store_form(request, response, form)
        return response
    except BookingAlreadyOpen as error:
        return show_already_open(request, error.booking, is_same_form=False)
    except IdempotencyKeyReused as error:
        return show_already_open(request, error.booking, is_same_form=True)
    except TooManyBookings as error:
        return show_too_many(request, chosen, form, error)
    except InvalidRequest as error:
        return show_invalid(request, chosen, form, error)
    return respond_to_booking(request, chosen, form, booking)


def book_from_form(request: HttpRequest, chosen: ChosenTime, form: BookingForm) -> Booking:
    data = form.cleaned_data
    return submit_request(
        BookingRequest(
            meeting_type=chosen.meeting_type,
            start=chosen.start,
            duration=chosen.duration,
            channel=data.get("channel", ""),
            location=form.chosen_location,
            attendee=form.build_attendee(timezone=find_zone(request).key, language=get_language() or ""),
            custom_fields=form.answers,
            user=get_user(request),
            subject=find_subject(request),
            defer_consent="defer" in request.POST,
            rebook=form.rebook_consent,
            replaces=find_pending_booking(request, chosen.meeting_type),
            idempotency_key=data["token"],
            content_digest=hash_content(request.POST, chosen.meeting_type),
            visitor=identify_visitor(get_user(request), request.META, browser=get_browser_key(request)),
        ),
        client=build_client(chosen.meeting_type.reader, "write"),
        now=clock.now(),
    )


def respond_to_booking(
    request: HttpRequest, chosen: ChosenTime, form: BookingForm, booking: Booking
) -> HttpResponse:
    """Redirect to the outcome page, or show the step in which the visitor can correct the refusal."""
    if booking.state == State.CLOSED and booking.reason == Reason.SLOT_TAKEN:
        return show_slot_taken(request, chosen, form)
    if booking.state == State.CLOSED and booking.reason == Reason.REFUSED:
        if "duration" in booking.field_errors:
            return show_times_again(request, chosen.meeting_type, start=chosen.start, duration=None)
        if form.add_refusals(booking.field_errors):
            form.renew_token()
            return show_form(request, chosen, form, status=422)
    if may_be_deferred(booking):
        form.renew_token()
        return show_form(request, chosen, form, may_be_deferred=True)
    return redirect_to_outcome(request, form, booking)


def redirect_to_outcome(request: HttpRequest, form: BookingForm, booking: Booking) -> HttpResponse:
    response = redirect_after_post(links.get_booking_path(booking))
    if booking.is_open:
        store_form(request, response, form, booking)
    return response


def may_be_deferred(booking: Booking) -> bool:
    """Return whether to offer to send the booking later: once, and only where the site allows it."""
    is_unreachable = booking.state == State.CLOSED and booking.reason == Reason.UNREACHABLE
    return is_unreachable and get_settings().DEFER_WHEN_DOWN and not booking.defer_consent


def show_invalid(
    request: HttpRequest, chosen: ChosenTime, form: BookingForm, error: InvalidRequest
) -> HttpResponse:
    """Show an error that the form does not check itself, at its field where there is one."""
    if error.field == "duration":
        return show_times_again(request, chosen.meeting_type, start=chosen.start, duration=None)
    if error.field == "start":
        return show_times_again(request, chosen.meeting_type, start=chosen.start, duration=chosen.duration)
    if not form.add_refusals({error.field: str(error)}):
        form.add_error(None, gettext("These details were not accepted. Please check them."))
    return show_form(request, chosen, form, status=422)


def show_too_many(
    request: HttpRequest, chosen: ChosenTime, form: BookingForm, error: TooManyBookings
) -> HttpResponse:
    minutes = ceil(error.retry_after / 60)
    text = ngettext(
        "There have been many bookings from you or with this e-mail address. Nothing was booked just now. "
        "Please try again in %(minutes)s minute.",
        "There have been many bookings from you or with this e-mail address. Nothing was booked just now. "
        "Please try again in %(minutes)s minutes.",
        minutes,
    )
    form.add_error(None, text % {"minutes": minutes})
    response = show_form(request, chosen, form, status=429)
    response["Retry-After"] = str(error.retry_after)
    return response


def show_slot_taken(request: HttpRequest, chosen: ChosenTime, form: BookingForm) -> HttpResponse:
    """Offer the nearest free times in a form that carries everything typed."""
    meeting_type, zone = chosen.meeting_type, find_zone(request)
    free = list_alternatives(
        meeting_type=meeting_type,
        start=chosen.start,
        duration=chosen.duration,
        zone=zone,
        client=build_client(meeting_type.reader, "view"),
        now=clock.now(),
    )
    context = {
        **describe_form(request, chosen, form),
        "alternatives": build_slots(free, zone, duration=chosen.duration, with_day=True),
        "typed": form.list_hidden(),
        "token": make_token(),
    }
    response = render_page(request, "meetergo/slot_taken.html", context, status=409)
    store_form(request, response, form)
    return response


def show_already_open(request: HttpRequest, booking: Booking, *, is_same_form: bool) -> HttpResponse:
    """Link to the visitor's own first booking: of the same form, or of the same browser or user."""
    context = {
        "meeting_type": booking.meeting_type,
        "link": links.get_booking_path(booking),
        "is_same_form": is_same_form,
    }
    return render_page(request, "meetergo/already_open.html", context, status=409)
