"""What the outcome page shows for each state of a booking."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from django_meetergo import links
from django_meetergo.formatting import (
    NEEDS_PHONE,
    format_moment,
    format_unambiguous_time,
    name_channel,
    name_hosts,
)
from django_meetergo.models import Appointment, Booking
from django_meetergo.presentation.page_urls import PageUrl, parse_link
from django_meetergo.views.common import describe_calendar_links, describe_time

State, Reason = Booking.State, Booking.Reason


@dataclass(frozen=True, kw_only=True)
class Screen:
    """One screen: the name of its include, its tone, its heading, which may name host, day and time.

    ``without_host`` replaces a heading that names the host where there is none. ``poll`` tells the script
    when to check again, in seconds: "every 5 for 120, then every 30" is "5 120 30"; empty: never.
    """

    name: str
    tone: str
    heading: Any
    without_host: Any = None
    poll: str = ""

    def get_heading(self, *, host: str, day: str, time: str) -> str:
        text = self.heading if host or self.without_host is None else self.without_host
        return str(text) % {"host": host, "day": day, "time": time}


#: For states in which the answer is expected within seconds.
POLL_SOON = "5 120 30"

#: The link of a call, or the address, is often known a moment after the booking.
POLL_FOR_LINK = "2 60"

CANCELLED = Screen(name="cancelled", tone="neutral", heading=_("This appointment was cancelled"))
MISSING = Screen(name="missing", tone="neutral", heading=_("This appointment is no longer available"))
PAST = Screen(name="past", tone="neutral", heading=_("This appointment was on %(day)s"))
SENDING = Screen(name="sending", tone="wait", heading=_("We are booking your time"), poll=POLL_SOON)

REQUESTED = Screen(
    name="host",
    tone="wait",
    heading=_("We have passed your request on to %(host)s"),
    without_host=_("We have passed on your request"),
    poll="60",
)

#: The screen of each state and reason. The entry without a reason serves all reasons that are not listed.
SCREENS: dict[tuple[str, str], Screen] = {
    (State.RECEIVED, ""): SENDING,
    (State.SENDING, ""): SENDING,
    (State.RECEIVED, Reason.DEFERRED): Screen(
        name="deferred", tone="wait", heading=_("Your request is waiting"), poll="30"
    ),
    (State.UNKNOWN, ""): Screen(
        name="unknown", tone="wait", heading=_("We are checking your booking"), poll=POLL_SOON
    ),
    (State.UNKNOWN, Reason.NEEDS_STAFF): Screen(
        name="needs_staff",
        tone="wait",
        heading=_("We could not confirm your booking"),
    ),
    (State.PENDING, ""): Screen(
        name="attendee",
        tone="wait",
        heading=_("One more step: confirm your e-mail"),
        poll="15 600",
    ),
    (State.PENDING, Reason.HOST): REQUESTED,
    (State.PENDING, Reason.BOTH): replace(REQUESTED, name="both"),
    (State.CONFIRMED, ""): Screen(name="confirmed", tone="ok", heading=_("Your appointment is booked")),
    (State.CLOSED, ""): Screen(name="refused", tone="no", heading=_("We could not book this time")),
    (State.CLOSED, Reason.UNREACHABLE): Screen(
        name="unreachable", tone="no", heading=_("We could not book this time")
    ),
    (State.CLOSED, Reason.SLOT_TAKEN): Screen(
        name="slot_taken", tone="no", heading=_("%(time)s is no longer free")
    ),
    (State.CLOSED, Reason.NOT_BOOKED): Screen(
        name="not_booked", tone="no", heading=_("This time was not booked")
    ),
    (State.CLOSED, Reason.LAPSED): Screen(name="lapsed", tone="no", heading=_("This request has expired")),
    (State.CLOSED, Reason.DECLINED): Screen(
        name="declined",
        tone="no",
        heading=_("%(host)s cannot take this appointment"),
        without_host=_("This appointment cannot take place"),
    ),
    (State.CLOSED, Reason.REPLACED): Screen(
        name="replaced", tone="neutral", heading=_("You chose another time")
    ),
}


#: The screen of a booked appointment that is no longer to come.
LATER_SCREENS = {"cancelled": CANCELLED, "missing": MISSING, "past": PAST}


def get_screen(booking: Booking, now: datetime) -> Screen:
    if booking.state == State.CONFIRMED and booking.attendee:
        screen = LATER_SCREENS.get(booking.attendee.get_state(now))
        if screen is not None:
            return screen
    return SCREENS.get((booking.state, booking.reason)) or SCREENS[booking.state, ""]


def lacks_place(appointment: Appointment | None) -> bool:
    """Return whether the appointment has neither the link of a call nor an address yet."""
    return appointment is not None and not (
        appointment.meeting_link or appointment.location or appointment.channel in NEEDS_PHONE
    )


def offers_alternatives(booking: Booking) -> bool:
    return booking.state == State.CLOSED and booking.reason in {Reason.SLOT_TAKEN, Reason.NOT_BOOKED}


def describe_outcome(booking: Booking, zone: ZoneInfo, now: datetime) -> dict[str, Any]:
    """Describe the screen, and the appointment if there is one, else what was requested."""
    appointment = booking.attendee.appointment if booking.attendee else None
    start, end = (appointment.start, appointment.end) if appointment else (booking.start, booking.end)
    hosts = appointment.list_hosts() if appointment else list(booking.meeting_type.hosts.all())
    screen = get_screen(booking, now)
    when = describe_time(start, end, zone, hosts)
    requested = format_unambiguous_time(booking.start.astimezone(zone))
    host, original_start = name_hosts(hosts), booking.original_start
    duration = round((end - start).total_seconds() / 60)
    return {
        "booking": booking,
        "meeting_type": booking.meeting_type,
        "appointment": appointment,
        "screen": screen,
        "poll": POLL_FOR_LINK if screen.name == "confirmed" and lacks_place(appointment) else screen.poll,
        "include": f"meetergo/includes/outcome/{screen.name}.html",
        "heading": screen.get_heading(host=host, day=when.day, time=requested),
        "when": when,
        "original_time": format_moment(original_start, zone) if original_start else "",
        "duration": duration,
        "host_name": host,
        "channel": name_channel((appointment.channel if appointment else "") or booking.channel),
        "place": (appointment.location if appointment else "") or booking.location,
        "join": parse_link(appointment.meeting_link, schemes=("https", "http")) if appointment else None,
        "manage": links.get_manage_path(booking.attendee) if booking.attendee else "",
        "newer": links.get_booking_path(booking.replaced_by) if booking.replaced_by else "",
        "redirect": parse_link(booking.meeting_type.redirect_url),
        **list_next_steps(booking, zone),
        **(
            describe_calendar_links(booking.attendee, booking.meeting_type.display_name)
            if booking.attendee
            else {}
        ),
    }


def sign_subject(booking: Booking) -> str:
    """Return the token of the booking's subject, for a next booking about the same object."""
    return links.sign_subject(booking.subject) if booking.subject_type_id and booking.subject else ""


def list_next_steps(booking: Booking, zone: ZoneInfo) -> dict[str, str]:
    """Return the URLs to book again: all times of the month, the same time, or from the beginning."""
    slug, duration = booking.meeting_type.slug, booking.duration
    carried = {
        "duration": str(duration) if duration != booking.meeting_type.duration else "",
        "tz": zone.key,
        "subject": sign_subject(booking),
    }
    start = booking.start.astimezone(zone)
    times = PageUrl(reverse("meetergo:book", args=[slug]), carried)
    form = PageUrl(reverse("meetergo:details", args=[slug]), carried)
    return {
        "all_times": times.to(month=f"{start:%Y-%m}"),
        "same_time": form.to(start=start.isoformat()),
        "start_again": times.to(),
    }
