"""An attendee's own appointment: see it, move it, give it up. GET shows, POST acts."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone as clock
from django.utils.translation import gettext
from django.views.decorators.http import require_http_methods, require_safe

from django_meetergo import links, timezones
from django_meetergo.conf import get_settings
from django_meetergo.exceptions import ChangeNotAllowed, InvalidRequest
from django_meetergo.formatting import (
    format_moment,
    format_short_day,
    format_weekday,
    name_channel,
    name_hosts,
)
from django_meetergo.models import AppointmentChange, Attendee, MeetingType
from django_meetergo.presentation.context import build_slot_reader
from django_meetergo.presentation.forms import CancelForm
from django_meetergo.presentation.page_urls import parse_link
from django_meetergo.presentation.slots import label_time, parse_start
from django_meetergo.presentation.time_choice import choose_time, describe_viewed
from django_meetergo.services import calendar_files, polling
from django_meetergo.services.changes.policy import apply_policy, is_group
from django_meetergo.services.changes.requests import cancel_appointment, reschedule_appointment
from django_meetergo.services.clients import build_client
from django_meetergo.timezones import list_zones
from django_meetergo.views.common import (
    METHODS,
    build_address,
    deny_framing,
    describe_booked,
    describe_calendar,
    find_by_token,
    find_user,
    find_zone,
    is_free,
    list_hosts,
    page,
    read_time_query,
    redirect_after_post,
    show,
    show_not_found,
    show_step,
    token_page,
)
from django_meetergo.views.csrf import handle_csrf_failure

Kind, State = AppointmentChange.Kind, AppointmentChange.State

#: For so long the page says that the last change was refused.
SHOW_RESULT_FOR = timedelta(hours=1)


def find_attendee(token: str) -> Attendee | None:
    rows = Attendee.objects.select_related("appointment__meeting_type")
    return find_by_token(rows.defer("raw", "appointment__raw"), token, salt=links.MANAGE_SALT)


@page
@deny_framing
@token_page
@require_http_methods(METHODS)
@handle_csrf_failure
def manage(request: HttpRequest, token: str, *, doubt: str) -> HttpResponse:
    """The appointment as it stands. A POST looks how a change on its way is doing."""
    attendee = find_attendee(token)
    if attendee is None:
        return show_not_found(request)
    if request.method == "POST":
        if not doubt:
            polling.refresh_change_status(change=find_last_change(attendee), now=clock.now())
        return redirect_after_post(request.path)
    return show_appointment(request, attendee)


def find_last_change(attendee: Attendee) -> AppointmentChange | None:
    """The newest change that concerns this attendee; in groups each has their own."""
    rows = attendee.appointment.changes.all()
    if is_group(attendee.appointment):
        rows = rows.filter(attendee=attendee)
    return rows.first()


# The page


def show_appointment(request: HttpRequest, attendee: Attendee, *, status: int = 200) -> HttpResponse:
    now, zone = clock.now(), choose_zone(request, attendee)
    change = find_last_change(attendee)
    context = {
        **describe_appointment(attendee, zone),
        **describe_permissions(attendee, now, zone),
        "screen": choose_screen(attendee, change, now),
        "change": change,
        "refusal": describe_refusal(change, now),
    }
    return show(request, "meetergo/manage.html", context, status=status)


def choose_zone(request: HttpRequest, attendee: Attendee) -> ZoneInfo:
    """The zone in which the appointment was booked, unless the visitor says otherwise here."""
    return timezones.choose_zone(request.GET.get("tz"), attendee.timezone, find_zone(request).key)


def choose_screen(attendee: Attendee, change: AppointmentChange | None, now: datetime) -> str:
    appointment = attendee.appointment
    if change is not None and change.is_open:
        return "changing"
    if appointment.is_cancelled or attendee.status == Attendee.Status.REMOVED:
        return "cancelled"
    if appointment.missing_since:
        return "missing"
    return "past" if appointment.end <= now else "upcoming"


def describe_appointment(attendee: Attendee, zone: ZoneInfo) -> dict[str, Any]:
    appointment, meeting_type = attendee.appointment, attendee.appointment.meeting_type
    hosts = list_hosts(appointment)
    token = links.sign(attendee.public_id, salt=links.MANAGE_SALT)
    local = appointment.start.astimezone(zone)
    return {
        "attendee": attendee,
        "appointment": appointment,
        "meeting_type": meeting_type,
        "name": meeting_type.name if meeting_type else gettext("Your appointment"),
        "zone": zone,
        "when": describe_booked(appointment.start, appointment.end, zone, hosts),
        "moment": format_moment(appointment.start, zone),
        "weekday": format_weekday(local.date()),
        "duration": round(appointment.duration.total_seconds() / 60),
        "host_name": name_hosts(hosts),
        "channel": name_channel(appointment.channel),
        "place": appointment.location,
        "join": parse_link(appointment.meeting_link, schemes=("https", "http")),
        "is_group": is_group(appointment),
        "moved_from": describe_move(attendee, zone),
        "cancelled_on": describe_day(appointment.cancelled_at, zone),
        "cancel_reason": find_reason(attendee),
        "book_again": find_way_to_book(meeting_type),
        **describe_calendar(attendee, meeting_type.name if meeting_type else gettext("Appointment")),
        "manage": reverse("meetergo:manage", args=[token]),
        "reschedule": reverse("meetergo:reschedule", args=[token]),
        "cancel": reverse("meetergo:cancel", args=[token]),
    }


def describe_move(attendee: Attendee, zone: ZoneInfo) -> dict[str, str]:
    """From when, and on which day, the appointment was moved."""
    appointment = attendee.appointment
    if not appointment.previous_start or appointment.previous_start == appointment.start:
        return {}
    return {
        "moment": format_moment(appointment.previous_start, zone),
        "day": describe_day(appointment.rescheduled_at, zone),
    }


def describe_day(moment: datetime | None, zone: ZoneInfo) -> str:
    return format_short_day(moment.astimezone(zone).date()) if moment else ""


def find_reason(attendee: Attendee) -> str:
    """Why it was cancelled, where that was said here."""
    done = attendee.appointment.changes.filter(kind=Kind.CANCEL, state=State.DONE).first()
    return done.reason if done else ""


def find_way_to_book(meeting_type: MeetingType | None) -> str:
    if meeting_type is None or not meeting_type.enabled or meeting_type.missing_since:
        return ""
    return reverse("meetergo:book", args=[meeting_type.slug])


def describe_permissions(attendee: Attendee, now: datetime, zone: ZoneInfo) -> dict[str, Any]:
    """What may be done, until when, and in which words it is refused."""
    move = apply_policy(Kind.RESCHEDULE, attendee, now)
    show_change_failed = apply_policy(Kind.CANCEL, attendee, now)
    untils = [
        decision.until for decision in (move, show_change_failed) if decision.allowed and decision.until
    ]
    return {
        "may_move": move.allowed and bool(find_way_to_book(attendee.appointment.meeting_type)),
        "may_cancel": show_change_failed.allowed,
        "is_late": "too_late" in {move.reason, show_change_failed.reason}
        or attendee.appointment.start <= now,
        "until": format_moment(min(untils), zone) if untils else "",
    }


def describe_refusal(change: AppointmentChange | None, now: datetime) -> dict[str, str]:
    """What became of the last change when it was refused, told for a while."""
    if change is None or change.state != State.REFUSED or now - change.created_at > SHOW_RESULT_FOR:
        return {}
    is_move = change.kind == Kind.RESCHEDULE
    if change.outcome == "slot_taken":
        text = gettext("The new time has just been taken by someone else.")
    elif change.outcome == "unreachable":
        text = gettext("We could not reach the calendar.")
    elif is_move:
        text = gettext("The appointment could not be moved.")
    else:
        text = gettext("The appointment could not be cancelled.")
    stands = (
        gettext("Your old time is still booked.") if is_move else gettext("Your appointment is still booked.")
    )
    return {"text": text, "stands": stands}


# Into other calendars


@page
@token_page
@require_safe
def ics(request: HttpRequest, token: str) -> HttpResponse:
    """The appointment as a calendar file. Read again after a change, it replaces what was read before."""
    attendee = find_attendee(token)
    if attendee is None:
        return show_not_found(request)
    appointment = attendee.appointment
    title = appointment.meeting_type.name if appointment.meeting_type else gettext("Appointment")
    file = calendar_files.build_calendar(
        attendee=attendee,
        title=title,
        host_name=name_hosts(list_hosts(appointment)),
        site=urlsplit(get_settings().SITE_URL).hostname or request.get_host(),
        now=clock.now(),
    )
    response = HttpResponse(file.body, content_type=f"text/calendar; charset=utf-8; method={file.method}")
    response["Content-Disposition"] = 'attachment; filename="appointment.ics"'
    return response


# Moving it


@page
@deny_framing
@token_page
@require_http_methods(METHODS)
@handle_csrf_failure
def reschedule(request: HttpRequest, token: str, *, doubt: str) -> HttpResponse:
    """GET offers times, or asks about the one that was chosen; POST moves."""
    attendee = find_attendee(token)
    if attendee is None:
        return show_not_found(request)
    given = request.POST if request.method == "POST" else request.GET
    meeting_type = attendee.appointment.meeting_type
    if meeting_type is None or not may_move(attendee, clock.now()):
        return refuse(request, attendee)
    if "start" not in given and "chosen" not in given:
        return show_times(request, attendee, meeting_type)
    start = parse_start(given.get("start", ""))
    if error := find_fault(request, attendee, meeting_type, start):
        return show_times(request, attendee, meeting_type, error=error[0], status=error[1])
    assert start is not None  # noqa: S101 - find_fault has seen to it
    if request.method == "POST" and not doubt:
        return move(request, attendee, start)
    return ask_move(request, attendee, start, doubt)


def may_move(attendee: Attendee, now: datetime) -> bool:
    """Whether it can be moved at all: by its state, the site's policy, and what is on its way already."""
    change = find_last_change(attendee)
    if change is not None and change.is_open:
        return False
    allowed = apply_policy(Kind.RESCHEDULE, attendee, now).allowed
    return allowed and bool(find_way_to_book(attendee.appointment.meeting_type))


def refuse(request: HttpRequest, attendee: Attendee) -> HttpResponse:
    """The present state says why; nothing was done."""
    if request.method == "POST":
        return show_appointment(request, attendee, status=409)
    return redirect_after_post(links.get_manage_path(attendee))


def find_fault(
    request: HttpRequest, attendee: Attendee, meeting_type: MeetingType, start: datetime | None
) -> tuple[str, int] | None:
    """What is wrong with the chosen time, if anything, and the status that says so."""
    given = request.POST if request.method == "POST" else request.GET
    now, zone = clock.now(), choose_zone(request, attendee)
    if not given.get("start"):
        return gettext("Choose a time"), 422
    if start is None:
        return gettext("We could not read this time. Please choose one from the list."), 400
    if start <= now:
        return gettext("This time has passed. Please choose another one."), 409
    if start == attendee.appointment.start:
        return gettext("That is your time already. Please choose another one."), 409
    if not is_free(meeting_type, start, count_minutes(attendee), now, moving=attendee.appointment):
        words = {"time": label_time(start, zone)}
        return gettext("%(time)s is no longer free. Please choose another time.") % words, 409
    return None


def count_minutes(attendee: Attendee) -> int:
    return round(attendee.appointment.duration.total_seconds() / 60)


def show_times(
    request: HttpRequest,
    attendee: Attendee,
    meeting_type: MeetingType,
    *,
    error: str = "",
    status: int = 200,
) -> HttpResponse:
    """Step 1 again, with the present time above it; the length stays."""
    now, zone = clock.now(), choose_zone(request, attendee)
    context = describe_appointment(attendee, zone)
    tz = timezones.find_zone(request.GET.get("tz"))
    carried = {"tz": tz.key if tz else ""}
    here = build_address(request, context["reschedule"], carried)
    choice = choose_time(
        look=build_slot_reader(meeting_type, count_minutes(attendee), now, moving=attendee.appointment),
        now=now,
        zone=zone,
        duration=count_minutes(attendee),
        asked=read_time_query(request.GET, zone),
        address=here,
        onward=here,
    )
    context |= {
        "choice": choice,
        "error": error,
        "here": here,
        "carried": carried,
        "onward": context["reschedule"],
        "zones": list_zones(zone, now) if "zones" in request.GET else [],
        "zone_all": here.to(**describe_viewed(choice), zones="all"),
        "zone_in_address": True,
    }
    return show_step(request, "meetergo/reschedule.html", context, status=status)


def ask_move(request: HttpRequest, attendee: Attendee, start: datetime, doubt: str) -> HttpResponse:
    """“Move to …?” with the old and the new time, and why that is asked once more."""
    zone = choose_zone(request, attendee)
    end = start + attendee.appointment.duration
    hosts = list_hosts(attendee.appointment)
    context = {
        **describe_appointment(attendee, zone),
        "start": start.astimezone(zone).isoformat(),
        "new": describe_booked(start, end, zone, hosts),
        "new_moment": format_moment(start, zone),
        "error": doubt,
    }
    return show(request, "meetergo/reschedule_confirm.html", context, status=403 if doubt else 200)


def move(request: HttpRequest, attendee: Attendee, start: datetime) -> HttpResponse:
    appointment = attendee.appointment
    try:
        reschedule_appointment(
            appointment=appointment,
            start=start,
            attendee=attendee,
            by=AppointmentChange.Actor.ATTENDEE,
            user=find_user(request),
            client=build_client(appointment.connection, "write"),
            now=clock.now(),
        )
    except (ChangeNotAllowed, InvalidRequest):
        return show_appointment(request, attendee, status=409)
    return redirect_after_post(links.get_manage_path(attendee))


# Giving it up


@page
@deny_framing
@token_page
@require_http_methods(METHODS)
@handle_csrf_failure
def cancel(request: HttpRequest, token: str, *, doubt: str) -> HttpResponse:
    """GET asks; POST cancels, once, however often it is sent."""
    attendee = find_attendee(token)
    if attendee is None:
        return show_not_found(request)
    host = name_hosts(list_hosts(attendee.appointment))
    if request.method == "POST" and not doubt:
        return show_change_failed(request, attendee, CancelForm(request.POST, host_name=host))
    if not apply_policy(Kind.CANCEL, attendee, clock.now()).allowed:
        return refuse(request, attendee)
    form = CancelForm(request.POST if doubt else None, host_name=host)
    if doubt:
        form.add_error(None, doubt)
    return show_cancel(request, attendee, form, status=403 if doubt else 200)


def show_cancel(
    request: HttpRequest, attendee: Attendee, form: CancelForm, *, status: int = 200
) -> HttpResponse:
    context = {**describe_appointment(attendee, choose_zone(request, attendee)), "form": form}
    return show(request, "meetergo/cancel.html", context, status=status)


def show_change_failed(request: HttpRequest, attendee: Attendee, form: CancelForm) -> HttpResponse:
    if not form.is_valid():
        return show_cancel(request, attendee, form, status=422)
    appointment = attendee.appointment
    try:
        cancel_appointment(
            appointment=appointment,
            attendee=attendee,
            reason=form.cleaned_data["reason"],
            by=AppointmentChange.Actor.ATTENDEE,
            user=find_user(request),
            client=build_client(appointment.connection, "write"),
            now=clock.now(),
        )
    except (ChangeNotAllowed, InvalidRequest):
        return show_appointment(request, attendee, status=409)
    return redirect_after_post(links.get_manage_path(attendee))
