"""The booking form."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.http import HttpRequest, HttpResponse, QueryDict
from django.urls import reverse
from django.utils import timezone as clock
from django.utils.translation import get_language, gettext
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
from django_meetergo.models import Booking, MeetingType
from django_meetergo.presentation.context import describe_type
from django_meetergo.presentation.form_token import make_token
from django_meetergo.presentation.forms import TOO_MANY, BookingForm
from django_meetergo.presentation.page_urls import PageUrl
from django_meetergo.presentation.slots import build_slots, label_time, parse_start
from django_meetergo.services.availability.alternatives import list_alternatives
from django_meetergo.services.booking.book import AttendeeData, book_appointment
from django_meetergo.services.clients import build_client
from django_meetergo.views.common import (
    METHODS,
    describe_booked,
    find_named_zone,
    find_user,
    find_zone,
    is_free,
    keep_details,
    page,
    read_account,
    read_details,
    redirect_after_post,
    show,
)
from django_meetergo.views.csrf import handle_csrf_failure
from django_meetergo.views.times import (
    find_meeting_type,
    find_obstacle,
    find_subject,
    read_duration,
    read_subject,
    show_times,
    show_unavailable,
)
from django_meetergo.visitors import identify_visitor

State, Reason = Booking.State, Booking.Reason
#: Under this name the kept details say which booking the same browser has made.
BOOKING_KEY = "booking"


@dataclass(frozen=True, kw_only=True)
class BookingFlow:
    """The time somebody chose, checked as far as we can."""

    meeting_type: MeetingType
    start: datetime
    duration: int


@page
@cache_control(private=True)
@require_http_methods(METHODS)
@handle_csrf_failure
def details(request: HttpRequest, slug: str, *, doubt: str) -> HttpResponse:
    """GET asks for the details; POST books."""
    meeting_type = find_meeting_type(slug)
    if obstacle := find_obstacle(request, meeting_type):
        return obstacle
    given = request.POST if request.method == "POST" else request.GET
    duration = read_duration(given, meeting_type)
    start = parse_start(given.get("start", ""))
    if duration is None or start is None or start <= clock.now():
        return show_details_again(request, meeting_type, start=start, duration=duration, keep=not doubt)
    wish = BookingFlow(meeting_type=meeting_type, start=start, duration=duration)
    if request.method == "POST":
        return submit(request, wish, doubt)
    return show_details(request, wish)


def show_details_again(
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
    made = {BOOKING_KEY: booking.public_id.hex} if booking else {}
    keep_details(response, {**form.list_typed(), **made}, secure=request.is_secure())


def made_here(request: HttpRequest, booking: Booking) -> bool:
    """Whether the same browser, or the signed-in owner, made this booking a short while ago."""
    user = find_user(request)
    is_owner = user is not None and booking.user_id == user.pk
    return is_owner or read_details(request).get(BOOKING_KEY) == booking.public_id.hex


def find_earlier(request: HttpRequest, meeting_type: MeetingType) -> Booking | None:
    """The booking of the same browser that waits for a yes and may give way to another choice."""
    try:
        public_id = UUID(hex=str(read_details(request).get(BOOKING_KEY, "")))
    except ValueError:
        return None
    waiting = Booking.objects.filter(state=State.PENDING, meeting_type=meeting_type)
    return waiting.filter(public_id=public_id).first()


def show_details(request: HttpRequest, wish: BookingFlow) -> HttpResponse:
    """The form, with what we know already."""
    if not is_free(wish.meeting_type, wish.start, wish.duration, clock.now()):
        zone = find_zone(request)
        error = gettext("%(time)s is no longer free. Please choose another time.") % {
            "time": label_time(wish.start, zone)
        }
        return show_times(request, wish.meeting_type, wish.duration, error=error, status=409)
    known = {**read_account(request), **read_details(request), "token": make_token()}
    return show_form(request, wish, BookingForm(initial=known, meeting_type=wish.meeting_type))


def show_form(
    request: HttpRequest, wish: BookingFlow, form: BookingForm, *, status: int = 200
) -> HttpResponse:
    return show(request, "meetergo/details.html", describe_form(request, wish, form), status=status)


def describe_form(request: HttpRequest, wish: BookingFlow, form: BookingForm) -> dict[str, Any]:
    meeting_type, zone = wish.meeting_type, find_zone(request)
    hosts = list(meeting_type.hosts.all())
    end = wish.start + timedelta(minutes=wish.duration)
    subject = read_subject(request)
    carried = {"duration": str(wish.duration), "tz": find_named_zone(request), "subject": subject}
    back = PageUrl(reverse("meetergo:book", args=[meeting_type.slug]), carried)
    start = wish.start.astimezone(zone).isoformat()
    return {
        **describe_type(meeting_type),
        "form": form,
        "start": start,
        "duration": wish.duration,
        "when": describe_booked(wish.start, end, zone, hosts),
        "time": label_time(wish.start, zone),
        "place": next(iter(meeting_type.locations), "") if len(meeting_type.locations) == 1 else "",
        "action": PageUrl(
            reverse("meetergo:details", args=[meeting_type.slug]), {"tz": carried["tz"], "subject": subject}
        ).to(),
        "back": back.to(start=start),
        "all_times": back.to(),
    }


def submit(request: HttpRequest, wish: BookingFlow, doubt: str) -> HttpResponse:
    """Book, and lead to the page that says how it went."""
    form = BookingForm(request.POST, meeting_type=wish.meeting_type)
    if doubt:
        form.add_error(None, doubt)
    if not form.is_valid():
        if form.has_error("token", code="old"):
            form.renew_token()
        return show_form(request, wish, form, status=403 if doubt else 422)
    try:
        booking = book_request(request, wish, form)
    except StartNotOffered:
        return show_slot_taken(request, wish, form)
    except MeetingTypeUnavailable:
        return show_unavailable(request, wish.meeting_type)
    except BookingAlreadyOpen as error:
        return show_already_open(request, error.booking, is_same_form=False)
    except IdempotencyKeyReused as error:
        return show_already_open(request, error.booking, is_same_form=True)
    except TooManyBookings:
        form.add_error(None, TOO_MANY)
        return show_form(request, wish, form, status=429)
    except InvalidRequest as error:
        return show_invalid(request, wish, form, error)
    return answer_booking(request, wish, form, booking)


def book_request(request: HttpRequest, wish: BookingFlow, form: BookingForm) -> Booking:
    given = form.cleaned_data
    return book_appointment(
        meeting_type=wish.meeting_type,
        start=wish.start,
        duration=wish.duration,
        channel=given.get("channel", ""),
        location=form.chosen_location,
        attendee=AttendeeData(
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
        defer_consent="queue" in request.POST,
        rebook=form.rebook_consent,
        replaces=find_earlier(request, wish.meeting_type),
        idempotency_key=given["token"],
        visitor=identify_visitor(find_user(request), request.META),
        client=build_client(wish.meeting_type.connection, "write"),
        now=clock.now(),
    )


def answer_booking(
    request: HttpRequest, wish: BookingFlow, form: BookingForm, booking: Booking
) -> HttpResponse:
    """Where the booking's state leads: on, or back to the step that can mend it."""
    if booking.state == State.CLOSED and booking.reason == Reason.SLOT_TAKEN:
        return show_slot_taken(request, wish, form)
    if booking.state == State.CLOSED and booking.reason == Reason.REFUSED:
        if "duration" in booking.field_errors:
            return show_details_again(request, wish.meeting_type, start=wish.start, duration=None)
        if form.add_refusals(booking.field_errors):
            form.renew_token()
            return show_form(request, wish, form, status=422)
    if may_be_deferred(booking):
        form.renew_token()
        return show_defer_offer(request, wish, form)
    response = redirect_after_post(links.get_booking_path(booking))
    if booking.is_open:
        keep_form(request, response, form, booking)
    return response


def may_be_deferred(booking: Booking) -> bool:
    """Whether to offer that a booking nobody took is sent later. Nobody is asked twice."""
    unreachable = booking.state == State.CLOSED and booking.reason == Reason.UNREACHABLE
    return unreachable and get_settings().DEFER_WHEN_DOWN and not booking.defer_consent


def show_defer_offer(request: HttpRequest, wish: BookingFlow, form: BookingForm) -> HttpResponse:
    """The form as it was sent, with a button of its own to leave it as a request."""
    context = {**describe_form(request, wish, form), "may_queue": True}
    return show(request, "meetergo/details.html", context)


def show_invalid(
    request: HttpRequest, wish: BookingFlow, form: BookingForm, error: InvalidRequest
) -> HttpResponse:
    """An argument that only the service could refuse: at its field, else in words of ours."""
    if error.field == "duration":
        return show_details_again(request, wish.meeting_type, start=wish.start, duration=None)
    if error.field == "start":
        return show_details_again(request, wish.meeting_type, start=wish.start, duration=wish.duration)
    if not form.add_refusals({error.field: str(error)}):
        form.add_error(None, gettext("These details were not accepted. Please check them."))
    return show_form(request, wish, form, status=422)


def show_slot_taken(request: HttpRequest, wish: BookingFlow, form: BookingForm) -> HttpResponse:
    """Somebody was faster: the nearest times, and a form that keeps everything typed."""
    meeting_type, zone = wish.meeting_type, find_zone(request)
    free = list_alternatives(
        meeting_type=meeting_type,
        start=wish.start,
        duration=wish.duration,
        zone=zone,
        client=build_client(meeting_type.connection, "view"),
        now=clock.now(),
    )
    context = {
        **describe_form(request, wish, form),
        "alternatives": build_slots(free, zone, duration=wish.duration, with_day=True),
        "typed": form.list_hidden(),
        "token": make_token(),
    }
    response = show(request, "meetergo/slot_taken.html", context, status=409)
    keep_form(request, response, form)
    return response


def show_already_open(request: HttpRequest, booking: Booking, *, is_same_form: bool) -> HttpResponse:
    """Another booking stands in the way. Its link is for whoever made it: the same form, or its user."""
    context = {
        "meeting_type": booking.meeting_type,
        "link": links.get_booking_path(booking) if is_same_form or made_here(request, booking) else "",
        "is_same_form": is_same_form,
    }
    return show(request, "meetergo/already_open.html", context, status=409)
