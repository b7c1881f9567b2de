"""What the page of a booking says in each of its states."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo

from django.urls import reverse
from django.utils.translation import gettext

from django_meetergo import links
from django_meetergo.formatting import format_moment, name_channel, name_hosts
from django_meetergo.models import Attendee, Booking
from django_meetergo.presentation.page_urls import PageUrl, parse_link
from django_meetergo.presentation.slots import label_time
from django_meetergo.services.booking import rebooking
from django_meetergo.views.common import describe_booked, describe_calendar, list_hosts

State, Reason = Booking.State, Booking.Reason


@dataclass(frozen=True, kw_only=True)
class OutcomeTexts:
    """The names that headings need."""

    host: str
    time: str


@dataclass(frozen=True, kw_only=True)
class Screen:
    """One state's screen: which include it is, how it looks, what its heading says."""

    name: str
    tone: str
    heading: Callable[[OutcomeTexts], str]
    #: How often our script looks again: every so many seconds, for so many, and how often after that.
    poll: str = ""


def describe_requested(words: OutcomeTexts) -> str:
    if words.host:
        return gettext("We have asked %(host)s") % {"host": words.host}
    return gettext("We have asked for your appointment")


def describe_declined(words: OutcomeTexts) -> str:
    if words.host:
        return gettext("%(host)s cannot take this appointment") % {"host": words.host}
    return gettext("This appointment cannot take place")


def describe_slot_taken(words: OutcomeTexts) -> str:
    return gettext("Someone else has just taken %(time)s") % {"time": words.time}


CANCELLED = Screen(
    name="cancelled", tone="neutral", heading=lambda _: gettext("This appointment was cancelled")
)
#: Somebody waits for an answer that should be there any moment.
POLL_SOON = "5 120 30"

BOOKING_NOW = Screen(
    name="sending", tone="wait", heading=lambda _: gettext("We are booking your time"), poll=POLL_SOON
)

#: The screens of `Booking`'s states. A state without its reason stands for all reasons not named.
SCREENS: dict[tuple[str, str], Screen] = {
    (State.RECEIVED, ""): BOOKING_NOW,
    (State.SENDING, ""): BOOKING_NOW,
    (State.RECEIVED, Reason.DEFERRED): Screen(
        name="deferred", tone="wait", heading=lambda _: gettext("Your request is waiting"), poll="30"
    ),
    (State.UNKNOWN, ""): Screen(
        name="unknown", tone="wait", heading=lambda _: gettext("We are checking your booking"), poll=POLL_SOON
    ),
    (State.UNKNOWN, Reason.NEEDS_STAFF): Screen(
        name="needs_staff", tone="wait", heading=lambda _: gettext("We could not find out")
    ),
    (State.PENDING, ""): Screen(
        name="attendee",
        tone="wait",
        heading=lambda _: gettext("One more step: confirm your e-mail"),
        poll="15 600",
    ),
    (State.PENDING, Reason.HOST): Screen(name="host", tone="wait", heading=describe_requested, poll="60"),
    (State.PENDING, Reason.BOTH): Screen(name="both", tone="wait", heading=describe_requested, poll="60"),
    (State.CONFIRMED, ""): Screen(name="confirmed", tone="ok", heading=lambda _: gettext("You are booked")),
    (State.CLOSED, ""): Screen(
        name="refused", tone="no", heading=lambda _: gettext("We could not book this time")
    ),
    (State.CLOSED, Reason.UNREACHABLE): Screen(
        name="unreachable", tone="no", heading=lambda _: gettext("We could not book this time")
    ),
    (State.CLOSED, Reason.SLOT_TAKEN): Screen(name="slot_taken", tone="no", heading=describe_slot_taken),
    (State.CLOSED, Reason.NOT_BOOKED): Screen(
        name="not_booked", tone="no", heading=lambda _: gettext("This time was not booked")
    ),
    (State.CLOSED, Reason.LAPSED): Screen(
        name="lapsed", tone="no", heading=lambda _: gettext("This request has lapsed")
    ),
    (State.CLOSED, Reason.DECLINED): Screen(name="declined", tone="no", heading=describe_declined),
    (State.CLOSED, Reason.REPLACED): Screen(
        name="replaced", tone="neutral", heading=lambda _: gettext("You chose another time")
    ),
}


def find_screen(booking: Booking) -> Screen:
    if booking.state == State.CONFIRMED and is_over(booking.attendee):
        return CANCELLED
    return SCREENS.get((booking.state, booking.reason)) or SCREENS[booking.state, ""]


def is_over(attendee: Attendee | None) -> bool:
    """Whether what was booked has been cancelled since."""
    return attendee is not None and (
        attendee.appointment.is_cancelled or attendee.status == Attendee.Status.REMOVED
    )


def offers_alternatives(booking: Booking) -> bool:
    return booking.state == State.CLOSED and booking.reason in {Reason.SLOT_TAKEN, Reason.NOT_BOOKED}


def describe_outcome(booking: Booking, zone: ZoneInfo) -> dict[str, Any]:
    """The screen, and the summary of what was wished for or, once it stands, of the appointment."""
    appointment = booking.attendee.appointment if booking.attendee else None
    start, end = (appointment.start, appointment.end) if appointment else (booking.start, booking.end)
    hosts = list_hosts(appointment) if appointment else list(booking.meeting_type.hosts.all())
    screen = find_screen(booking)
    host, wished = name_hosts(hosts), rebooking.get_original_start(booking)
    duration = round((end - start).total_seconds() / 60)
    return {
        "booking": booking,
        "meeting_type": booking.meeting_type,
        "appointment": appointment,
        "screen": screen,
        "include": f"meetergo/includes/outcome/{screen.name}.html",
        "heading": screen.heading(OutcomeTexts(host=host, time=label_time(booking.start, zone))),
        "when": describe_booked(start, end, zone, hosts),
        "wished": format_moment(wished, zone) if wished else "",
        "duration": duration,
        "host_name": host,
        "channel": name_channel((appointment.channel if appointment else "") or booking.channel),
        "place": (appointment.location if appointment else "") or booking.location,
        "join": parse_link(appointment.meeting_link, schemes=("https", "http")) if appointment else None,
        "manage": links.get_manage_path(booking.attendee) if booking.attendee else "",
        "newer": links.get_booking_path(booking.replaced_by) if booking.replaced_by else "",
        "redirect": parse_link(booking.meeting_type.redirect_url),
        **list_next_steps(booking, zone),
        **(describe_calendar(booking.attendee, booking.meeting_type.name) if booking.attendee else {}),
    }


def describe_subject(booking: Booking) -> str:
    """The token of what the booking is about, so that the next one is about the same."""
    return links.sign_subject(booking.subject) if booking.subject_type_id and booking.subject else ""


def list_next_steps(booking: Booking, zone: ZoneInfo) -> dict[str, str]:
    """Where somebody without an appointment can go: another time, or the same one with other details."""
    slug, duration = booking.meeting_type.slug, booking.duration
    carried = {
        "duration": str(duration) if duration != booking.meeting_type.duration else "",
        "subject": describe_subject(booking),
    }
    start = booking.start.astimezone(zone)
    times = PageUrl(reverse("meetergo:book", args=[slug]), carried)
    form = PageUrl(reverse("meetergo:details", args=[slug]), carried)
    return {
        "all_times": times.to(month=f"{start:%Y-%m}"),
        "same_time": form.to(start=start.isoformat()),
        "start_again": times.to(),
    }
