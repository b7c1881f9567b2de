"""The pages on which an attendee moves their appointment."""

from __future__ import annotations

from datetime import datetime

from django.http import HttpRequest, HttpResponse
from django.utils import timezone as clock
from django.utils.translation import gettext

from django_meetergo import links
from django_meetergo.formatting import format_moment, format_unambiguous_time
from django_meetergo.models import Attendee, MeetingType
from django_meetergo.presentation.context import build_slot_reader
from django_meetergo.presentation.month import first_of_month
from django_meetergo.presentation.slots import parse_start
from django_meetergo.presentation.time_choice import TimeQuery, choose_time, describe_viewed
from django_meetergo.presentation.zone_options import render_zone_options
from django_meetergo.services.changes.policy import find_allowed_changes
from django_meetergo.services.changes.queue import find_last_change
from django_meetergo.services.changes.requests import find_same_reschedule, reschedule_appointment
from django_meetergo.views.common import (
    describe_time,
    describe_wrong_start,
    get_zone_parameter,
    is_free,
    read_time_query,
)
from django_meetergo.views.manage import (
    attendee_page,
    change_appointment,
    choose_zone,
    describe_appointment,
    refuse_change,
)
from django_meetergo.views.rendering import (
    build_page_url,
    redirect_after_post,
    render_page,
    render_times_page,
)


@attendee_page
def reschedule(request: HttpRequest, attendee: Attendee, *, csrf_error: str) -> HttpResponse:
    """GET lists times, or asks to confirm the chosen one; POST moves the appointment."""
    data = request.POST if request.method == "POST" else request.GET
    start = parse_start(data.get("start", ""))
    if request.method == "POST" and start and find_same_reschedule(attendee.appointment, start):
        return redirect_after_post(links.get_manage_path(attendee))
    meeting_type = attendee.appointment.meeting_type
    allowed = find_allowed_changes(attendee, find_last_change(attendee), clock.now())
    if meeting_type is None or not allowed.may_reschedule:
        return refuse_change(request, attendee)
    if "start" not in data and "chosen" not in data:
        return show_times(request, attendee, meeting_type)
    if error := validate_start(request, attendee, meeting_type, start):
        return show_times(request, attendee, meeting_type, error=error[0], status=error[1])
    assert start is not None  # noqa: S101 - validate_start refuses None
    if request.method == "POST" and not csrf_error:
        return change_appointment(request, attendee, reschedule_appointment, start=start)
    return ask_to_confirm(request, attendee, start, csrf_error)


def validate_start(
    request: HttpRequest, attendee: Attendee, meeting_type: MeetingType, start: datetime | None
) -> tuple[str, int] | None:
    """Return the error in the chosen start and the HTTP status for it; None if it can be requested."""
    data = request.POST if request.method == "POST" else request.GET
    now, zone = clock.now(), choose_zone(request, attendee)
    if start is None or start <= now:
        return describe_wrong_start(data, start)
    if start == attendee.appointment.start:
        return gettext("This is your current time. Please choose another one."), 409
    if not is_free(meeting_type, start, attendee.appointment.minutes, now, moving=attendee.appointment):
        time = {"time": format_unambiguous_time(start.astimezone(zone))}
        return gettext("%(time)s is no longer free. Please choose another time.") % time, 409
    return None


def show_times(
    request: HttpRequest,
    attendee: Attendee,
    meeting_type: MeetingType,
    *,
    error: str = "",
    status: int = 200,
) -> HttpResponse:
    """Show step 1 with the present time above it; the length cannot be changed."""
    now, zone = clock.now(), choose_zone(request, attendee)
    context = describe_appointment(attendee, zone)
    carried = {"tz": get_zone_parameter(request)}
    here = build_page_url(request, context["reschedule"], carried)
    query = read_time_query(request.GET, zone)
    if not query.month and not query.day:
        day = attendee.appointment.start.astimezone(zone).date()
        query = TimeQuery(month=first_of_month(day), near=day)
    choice = choose_time(
        read_slots=build_slot_reader(
            meeting_type, attendee.appointment.minutes, now, moving=attendee.appointment
        ),
        now=now,
        zone=zone,
        duration=attendee.appointment.minutes,
        query=query,
        here=here,
        next_step=here,
    )
    context |= {
        "choice": choice,
        "error": error,
        "here": here,
        "carried": carried,
        "next_step": context["reschedule"],
        "zones": render_zone_options(zone, now) if "zones" in request.GET else "",
        "zone_all": here.to(**describe_viewed(choice), zones="all"),
        "zone_in_query": True,
    }
    return render_times_page(request, "meetergo/reschedule.html", context, status=status)


def ask_to_confirm(
    request: HttpRequest, attendee: Attendee, start: datetime, csrf_error: str
) -> HttpResponse:
    """Ask "Move to …?" with the old and the new time, and the CSRF error if there was one."""
    zone = choose_zone(request, attendee)
    end = start + attendee.appointment.duration
    hosts = attendee.appointment.list_hosts()
    context = {
        **describe_appointment(attendee, zone),
        "start": start.astimezone(zone).isoformat(),
        "new": describe_time(start, end, zone, hosts),
        "new_moment": format_moment(start, zone),
        "error": csrf_error,
    }
    status = 403 if csrf_error else 200
    return render_page(request, "meetergo/reschedule_confirm.html", context, status=status)
