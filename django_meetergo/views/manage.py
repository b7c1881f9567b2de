"""The page on which an attendee sees their appointment, and its calendar file."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from functools import wraps
from math import ceil
from typing import Any
from zoneinfo import ZoneInfo

from django.db.models import Q
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone as clock
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.clickjacking import xframe_options_deny
from django.views.decorators.http import require_http_methods, require_safe

from django_meetergo import links, timezones
from django_meetergo.exceptions import ChangeNotAllowed, InvalidRequest, NotAccepted, TooManyChanges
from django_meetergo.formatting import (
    format_moment,
    format_short_day,
    name_channel,
    name_hosts,
)
from django_meetergo.models import AppointmentChange, Attendee, MeetingType
from django_meetergo.presentation.page_urls import parse_link
from django_meetergo.services import calendar_files, polling
from django_meetergo.services.changes.policy import AllowedChanges, find_allowed_changes, is_group
from django_meetergo.services.changes.queue import find_last_change
from django_meetergo.services.clients import find_client
from django_meetergo.views.common import (
    describe_calendar_links,
    describe_time,
    find_zone,
)
from django_meetergo.views.csrf import handle_csrf_failure
from django_meetergo.views.decorators import METHODS, page, token_page
from django_meetergo.views.rendering import redirect_after_post, render_not_found, render_page
from django_meetergo.visitors import get_user

Kind, State, Actor = AppointmentChange.Kind, AppointmentChange.State, AppointmentChange.Actor

#: How long the page shows the result of the last change.
SHOW_RESULT_FOR = timedelta(hours=1)
#: How a change may end long after its visitor has left. No mail says so, so the page does until the start.
LATE_OUTCOMES = frozenset({"unreachable", "unverified", "needs_staff"})
#: What failed, by ``AppointmentChange.outcome``.
OUTCOMES = {
    "slot_taken": _("The new time has just been taken by someone else."),
    "unreachable": _("We could not reach the calendar."),
    "needs_staff": _("We could not tell which place in the group is yours. Our team will take care of it."),
    "unverified": _("We do not know yet whether your change was made. Our team is checking it."),
}


def find_attendee(token: str) -> Attendee | None:
    rows = Attendee.objects.select_related("appointment__meeting_type")
    return links.find_by_token(rows.defer("raw", "appointment__raw"), token, salt=links.MANAGE_SALT)


def attendee_page(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    """Give the view the attendee whose secret link was opened, and ``csrf_error``; 404 for a wrong link."""

    @page
    @xframe_options_deny  # no other page can trick a visitor into a click that changes an appointment
    @token_page
    @require_http_methods(METHODS)
    @handle_csrf_failure
    @wraps(view)
    def wrapper(request: HttpRequest, token: str, *, csrf_error: str) -> HttpResponse:
        attendee = find_attendee(token)
        if attendee is None:
            return render_not_found(request)
        return view(request, attendee, csrf_error=csrf_error)

    return wrapper


@attendee_page
def manage(request: HttpRequest, attendee: Attendee, *, csrf_error: str) -> HttpResponse:
    """GET shows the appointment; POST ("Check again") reads an open change from meetergo first."""
    if request.method == "POST":
        if not csrf_error:
            polling.refresh_change_status(change=find_last_change(attendee), now=clock.now())
        return redirect_after_post(request.path)
    return show_appointment(request, attendee)


def show_appointment(
    request: HttpRequest, attendee: Attendee, *, status: int = 200, notice: str = ""
) -> HttpResponse:
    """Show the appointment; ``notice`` says why a requested change was not made."""
    now, zone = clock.now(), choose_zone(request, attendee)
    change = find_last_change(attendee)
    context = {
        **describe_appointment(attendee, zone),
        **describe_permissions(find_allowed_changes(attendee, change, now), zone),
        "screen": attendee.get_state(now, is_changing=change is not None and change.is_open),
        "change": change,
        "move": describe_finished_move(change, attendee, zone, now),
        "refusal": {"text": notice} if notice else describe_refusal(change, attendee, now),
    }
    return render_page(request, "meetergo/manage.html", context, status=status)


def refuse_change(request: HttpRequest, attendee: Attendee) -> HttpResponse:
    """Show the appointment, which says why it cannot be changed; nothing was done."""
    if request.method == "POST":
        return show_appointment(request, attendee, status=409)
    return redirect_after_post(links.get_manage_path(attendee))


def change_appointment(
    request: HttpRequest, attendee: Attendee, service: Callable[..., AppointmentChange], **options: Any
) -> HttpResponse:
    """Request a change of a service, and redirect to the appointment; or say why it was not made."""
    try:
        service(
            appointment=attendee.appointment,
            attendee=attendee,
            by=Actor.ATTENDEE,
            user=get_user(request),
            client=find_client(attendee.appointment.reader, "write"),
            now=clock.now(),
            **options,
        )
    except (ChangeNotAllowed, InvalidRequest) as error:
        return show_not_changed(request, attendee, error)
    return redirect_after_post(links.get_manage_path(attendee))


def show_not_changed(request: HttpRequest, attendee: Attendee, error: NotAccepted) -> HttpResponse:
    """Show the appointment and why the requested change was not made: 429 with the time to wait, or 409."""
    if not isinstance(error, TooManyChanges):
        return show_appointment(request, attendee, status=409, notice=describe_not_changed(error))
    minutes = ceil(error.retry_after / 60)
    text = ngettext(
        "This appointment was changed several times. You can change it again in %(minutes)s minute.",
        "This appointment was changed several times. You can change it again in %(minutes)s minutes.",
        minutes,
    )
    response = show_appointment(request, attendee, status=429, notice=text % {"minutes": minutes})
    response["Retry-After"] = str(error.retry_after)
    return response


def describe_not_changed(error: NotAccepted) -> str:
    if isinstance(error, ChangeNotAllowed) and error.reason == "change_in_progress":
        return gettext("Another change of this appointment is in progress. Nothing else was changed.")
    return ""


def choose_zone(request: HttpRequest, attendee: Attendee) -> ZoneInfo:
    """Return the zone in which the appointment was booked, unless the query names another one."""
    return timezones.choose_zone(request.GET.get("tz"), attendee.timezone, find_zone(request).key)


# What the page shows


def describe_appointment(attendee: Attendee, zone: ZoneInfo) -> dict[str, Any]:
    appointment, meeting_type = attendee.appointment, attendee.appointment.meeting_type
    hosts = appointment.list_hosts()
    token = links.sign(attendee.public_id, salt=links.MANAGE_SALT)
    done = find_cancellation(attendee)
    return {
        "appointment": appointment,
        "meeting_type": meeting_type,
        "name": meeting_type.display_name if meeting_type else gettext("Your appointment"),
        "zone": zone,
        "when": describe_time(appointment.start, appointment.end, zone, hosts),
        "moment": format_moment(appointment.start, zone),
        "duration": appointment.minutes,
        "host_name": name_hosts(hosts),
        "channel": name_channel(appointment.channel),
        "place": appointment.location,
        "join": parse_link(appointment.meeting_link, schemes=("https", "http")),
        "is_group": is_group(appointment),
        "moved_from": describe_move(attendee, zone),
        "cancelled_on": format_date(appointment.cancelled_at, zone),
        "cancel_reason": done.reason if done else "",
        "has_given_up_place": done is not None and has_given_up_place(attendee, done),
        "book_again": get_booking_url(meeting_type),
        **describe_calendar_links(attendee, attendee.appointment.display_name),
        "manage": reverse("meetergo:manage", args=[token]),
        "reschedule": reverse("meetergo:reschedule", args=[token]),
        "cancel": reverse("meetergo:cancel", args=[token]),
    }


def describe_move(attendee: Attendee, zone: ZoneInfo) -> dict[str, str]:
    """Return the previous time and the day of the move; {} if the appointment was not moved."""
    appointment = attendee.appointment
    if not appointment.previous_start or appointment.previous_start == appointment.start:
        return {}
    return {
        "moment": format_moment(appointment.previous_start, zone),
        "day": format_date(appointment.rescheduled_at, zone),
    }


def format_date(moment: datetime | None, zone: ZoneInfo) -> str:
    return format_short_day(moment.astimezone(zone).date()) if moment else ""


def find_cancellation(attendee: Attendee) -> AppointmentChange | None:
    """Return the cancellation made on this site; in a group, not that of another attendee's place."""
    rows = attendee.appointment.changes.filter(kind=Kind.CANCEL, state=State.DONE)
    if is_group(attendee.appointment):
        rows = rows.filter(Q(attendee=attendee) | Q(attendee=None))
    return rows.first()


def has_given_up_place(attendee: Attendee, done: AppointmentChange) -> bool:
    """Return whether the attendee has left the group; False where somebody else has removed them."""
    return done.attendee_id == attendee.pk and done.requested_by == Actor.ATTENDEE


def get_booking_url(meeting_type: MeetingType | None) -> str:
    if meeting_type is None or not meeting_type.is_bookable:
        return ""
    return meeting_type.get_absolute_url()


def describe_permissions(allowed: AllowedChanges, zone: ZoneInfo) -> dict[str, Any]:
    """Return whether the attendee may move and cancel, until when, and whether it is too late."""
    return {
        "may_move": allowed.may_reschedule,
        "may_cancel": allowed.may_cancel,
        "is_late": allowed.is_late,
        "until": format_moment(allowed.until, zone) if allowed.until else "",
        "policy_messages": allowed.messages,
    }


def describe_finished_move(
    change: AppointmentChange | None, attendee: Attendee, zone: ZoneInfo, now: datetime
) -> dict[str, str]:
    """Describe a move for ``SHOW_RESULT_FOR`` after it was made: from when to when; {} otherwise."""
    if change is None or change.kind != Kind.RESCHEDULE or change.state != State.DONE:
        return {}
    is_current = change.target_start == attendee.appointment.start
    if not is_current or not change.previous_start or now - change.created_at > SHOW_RESULT_FOR:
        return {}
    return {
        "old": format_moment(change.previous_start, zone),
        "new": format_moment(attendee.appointment.start, zone),
    }


def describe_refusal(change: AppointmentChange | None, attendee: Attendee, now: datetime) -> dict[str, str]:
    """Describe a refused change: what failed, and what is still booked.

    For ``SHOW_RESULT_FOR``; what the attendee cannot know from elsewhere until the start, unless somebody has
    changed the appointment since.
    """
    if change is None or change.state != State.REFUSED:
        return {}
    if now - change.created_at > SHOW_RESULT_FOR:
        is_late = change.outcome in LATE_OUTCOMES and change.requested_by == Actor.ATTENDEE
        start = attendee.appointment.start
        if not is_late or attendee.is_cancelled or start != change.previous_start or start <= now:
            return {}
    if change.kind == Kind.RESCHEDULE:
        text = gettext("The appointment could not be moved.")
        still_booked = gettext("Your old time is still booked.")
    else:
        text = gettext("The appointment could not be cancelled.")
        still_booked = gettext("Your appointment is still booked.")
    return {
        "text": str(OUTCOMES.get(change.outcome, text)),
        "still_booked": "" if change.outcome == "unverified" else still_booked,
    }


# The calendar file


@page
@token_page
@require_safe
def ics(request: HttpRequest, token: str) -> HttpResponse:
    """Return the appointment as an iCalendar file; a newer file replaces an older one in the calendar."""
    attendee = find_attendee(token)
    if attendee is None:
        return render_not_found(request)
    appointment = attendee.appointment
    title = appointment.display_name
    file = calendar_files.build_calendar(
        attendee=attendee,
        title=title,
        host_name=name_hosts(appointment.list_hosts()),
        manage_url=request.build_absolute_uri(links.get_manage_path(attendee)),
        now=clock.now(),
    )
    response = HttpResponse(file.body, content_type=f"text/calendar; charset=utf-8; method={file.method}")
    response["Content-Disposition"] = 'attachment; filename="appointment.ics"'
    return response
