"""The page that shows what became of a booking."""

from __future__ import annotations

from typing import Any
from zoneinfo import ZoneInfo

from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone as clock
from django.views.decorators.http import require_http_methods

from django_meetergo import links
from django_meetergo.models import Booking
from django_meetergo.presentation.context import build_slot_reader
from django_meetergo.presentation.form_token import make_token
from django_meetergo.presentation.forms import BookingForm, get_details
from django_meetergo.presentation.month import midnight
from django_meetergo.presentation.page_urls import PageUrl
from django_meetergo.presentation.slots import build_slots
from django_meetergo.services import polling
from django_meetergo.services.availability.alternatives import SEARCH_SPAN, choose_alternatives
from django_meetergo.timezones import choose_zone
from django_meetergo.views import outcome_screens
from django_meetergo.views.common import find_zone
from django_meetergo.views.csrf import handle_csrf_failure
from django_meetergo.views.decorators import METHODS, page, token_page
from django_meetergo.views.details_cookie import delete_details_cookie, set_details_cookie
from django_meetergo.views.rendering import redirect_after_post, render_not_found, render_page

State, Reason = Booking.State, Booking.Reason


@page
@token_page
@require_http_methods(METHODS)
@handle_csrf_failure
def outcome(request: HttpRequest, token: str, *, csrf_error: str) -> HttpResponse:
    """GET shows the present state of a booking; POST ("Check again") reads it from meetergo first."""
    rows = Booking.objects.select_related(
        "meeting_type", "attendee__appointment", "replaced_by__meeting_type"
    )
    booking = links.find_by_token(rows, token, salt=links.BOOKING_SALT)
    if booking is None:
        return render_not_found(request)
    if request.method == "POST":
        if not csrf_error:
            polling.refresh_booking_status(booking=booking, now=clock.now())
        return redirect_after_post(request.path)
    return show_outcome(request, booking)


def show_outcome(request: HttpRequest, booking: Booking) -> HttpResponse:
    zone = choose_zone(booking.timezone, find_zone(request).key)
    context = outcome_screens.describe_outcome(booking, zone, clock.now())
    if outcome_screens.offers_alternatives(booking):
        context |= describe_alternatives(request, booking, zone)
    response = render_page(request, "meetergo/outcome.html", context)
    if booking.state == State.CLOSED:
        set_details_cookie(request, response, get_details(booking))
    elif booking.state == State.CONFIRMED:
        delete_details_cookie(response)
    return response


def describe_alternatives(request: HttpRequest, booking: Booking, zone: ZoneInfo) -> dict[str, Any]:
    """Describe the nearest free times, in a form with the details of a booking that was not made."""
    meeting_type, now = booking.meeting_type, clock.now()
    if booking.start <= now or not meeting_type.is_bookable:
        return {}
    wanted = booking.start.astimezone(zone)
    day = midnight(wanted.date(), zone)
    found = build_slot_reader(meeting_type, booking.duration, now)(day, day + SEARCH_SPAN)
    times = [free for free in found.times if free.start != booking.start]
    free = choose_alternatives(times, wanted, zone)
    form = BookingForm(initial=get_details(booking), meeting_type=meeting_type, request=request)
    needs_consent = "privacy" in form.fields
    return {
        "alternatives": build_slots(free, zone, duration=booking.duration, with_day=True),
        # Consent is given for each booking, so the visitor gets the form instead of booking with one click.
        "typed": [] if needs_consent else form.list_hidden(),
        "token": make_token(),
        "action": PageUrl(
            reverse("meetergo:details", args=[meeting_type.slug]),
            {"tz": zone.key, "subject": outcome_screens.sign_subject(booking)},
        ).to(),
    }
