"""What several views look up: the visitor's time zone and account, free times."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django.conf import settings as django_settings
from django.http import HttpRequest, QueryDict
from django.urls import reverse
from django.utils.translation import gettext

from django_meetergo import links, timezones
from django_meetergo.formatting import When, describe_when, find_host_zone, name_hosts
from django_meetergo.models import Appointment, Attendee, MeetingType
from django_meetergo.presentation.context import build_slot_reader, find_stored_zone
from django_meetergo.presentation.month import parse_day, parse_month
from django_meetergo.presentation.page_urls import build_calendar_links
from django_meetergo.presentation.slots import parse_start
from django_meetergo.presentation.time_choice import WINDOW, TimeQuery
from django_meetergo.timezones import choose_zone
from django_meetergo.visitors import get_user

# The visitor's time zone


def find_zone(request: HttpRequest) -> ZoneInfo:
    """Return the visitor's time zone: from the query, else from the cookie, else the site's."""
    chosen = timezones.find_zone(request.GET.get("tz")) or find_stored_zone(request)
    return chosen or choose_zone(django_settings.TIME_ZONE)


def get_zone_parameter(request: HttpRequest) -> str:
    """Return the time zone named in the query, for the links to the next page; empty if there is none."""
    return zone.key if (zone := timezones.find_zone(request.GET.get("tz"))) else ""


def is_zone_unknown(request: HttpRequest) -> bool:
    """Return whether no time zone was chosen yet; the script then compares with the browser's."""
    return not get_zone_parameter(request) and find_stored_zone(request) is None


# Appointments


def describe_time(start: datetime, end: datetime, zone: ZoneInfo, hosts: list[Any]) -> When:
    """Describe a period in the visitor's time zone and, where it differs, in the host's."""
    return describe_when(start, end, zone, host_zone=find_host_zone(hosts), host_name=name_hosts(hosts))


def describe_calendar_links(attendee: Attendee, title: str) -> dict[str, Any]:
    """Return the URLs that add an appointment to a calendar: a file, Google and Outlook."""
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


# The visitor's account


def get_account_details(request: HttpRequest) -> dict[str, str]:
    """Return the names and the e-mail address of the signed-in user, without empty values."""
    user = get_user(request)
    if user is None:
        return {}
    email_field = getattr(user, "EMAIL_FIELD", None) or "email"
    details = {
        "first_name": getattr(user, "first_name", ""),
        "last_name": getattr(user, "last_name", ""),
        "email": getattr(user, email_field, ""),
    }
    return {name: value for name, value in details.items() if value}


# Free times


def is_free(
    meeting_type: MeetingType,
    start: datetime,
    duration: int,
    now: datetime,
    *,
    moving: Appointment | None = None,
) -> bool:
    """Return whether a start is offered. True as well when it is not known: the booking decides then."""
    if start > now + WINDOW + timedelta(days=31):
        return False
    found = build_slot_reader(meeting_type, duration, now, moving=moving)(start, start + timedelta(seconds=1))
    return bool(found.times) or found.stale or found.failed


def describe_wrong_start(data: QueryDict, start: datetime | None) -> tuple[str, int]:
    """Return the error in a start that is missing, unreadable (None) or over, and the HTTP status for it."""
    if not data.get("start"):
        return gettext("Choose a time"), 422
    if start is None:
        return gettext("We could not read this time. Please choose one from the list."), 400
    return gettext("This time has passed. Please choose another one."), 409


def read_time_query(query: QueryDict, zone: ZoneInfo) -> TimeQuery:
    """Read the month, the day and the start from the query; a start without a day sets the day."""
    start = parse_start(query.get("start", ""))
    day, month = parse_day(query.get("date")), parse_month(query.get("month"))
    if day is None and start is not None:
        day = start.astimezone(zone).date()
    return TimeQuery(
        month=month,
        day=day,
        start=start.astimezone(zone).isoformat() if start else "",
    )
