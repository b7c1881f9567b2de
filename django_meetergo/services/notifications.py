"""The few mails we owe. Everything else is mailed by meetergo itself.

Somebody was told "we are checking", or left the page while they waited: the end of that is theirs to know.
"""

from __future__ import annotations

from django.conf import settings as django_settings
from django.core.mail import EmailMessage
from django.template.loader import render_to_string
from django.utils import timezone, translation
from django.utils.formats import date_format

from django_meetergo import links
from django_meetergo.conf import get_settings
from django_meetergo.models import Booking, Event

Kind, Reason = Event.Kind, Booking.Reason

#: Which endings are mailed, and by which template in ``meetergo/mail/``.
ENDING_TEMPLATES = {
    Reason.NOT_BOOKED: "not_booked",
    Reason.LAPSED: "lapsed",
    Reason.DECLINED: "declined",
}


def choose_template(event: Event) -> str:
    """The name of the mail an event calls for; empty when it calls for none."""
    booking = event.booking
    if booking is None or not booking.email or not get_settings().SEND_MAIL:
        return ""
    if event.kind == Kind.BOOKING_FOUND and booking.state == Booking.State.CONFIRMED:
        return "found_late"
    if event.kind == Kind.BOOKING_REBOOKED:
        return "rebooked"
    if event.kind == Kind.BOOKING_CLOSED and booking.state == Booking.State.CLOSED:
        reason = booking.reason
        # Who agreed to wait has left the page by the time it ends.
        waited = booking.defer_consent or booking.rebook_consent
        if waited and reason in {Reason.UNREACHABLE, Reason.SLOT_TAKEN}:
            return "not_booked"
        return ENDING_TEMPLATES.get(Reason(reason), "")
    return ""


def send_notification(event: Event) -> None:
    """Mail what an event calls for. Whatever the mail server raises is for the caller."""
    name = choose_template(event)
    booking = event.booking
    if not name or booking is None:
        return
    language = booking.language or django_settings.LANGUAGE_CODE
    with translation.override(language), timezone.override(booking.timezone or None):
        context = build_context(booking)
        subject = render_to_string(f"meetergo/mail/{name}_subject.txt", context)
        body = render_to_string(f"meetergo/mail/{name}.txt", context)
    EmailMessage(
        subject=" ".join(subject.split()),
        body=body,
        from_email=django_settings.DEFAULT_FROM_EMAIL,
        to=[booking.email],
        headers={"Auto-Submitted": "auto-generated"},
    ).send()


def build_context(booking: Booking) -> dict[str, object]:
    settings = get_settings()
    manage = links.get_manage_path(booking.attendee) if booking.attendee else ""
    return {
        "booking": booking,
        "meeting_type": booking.meeting_type,
        "when": describe_start(booking),
        "outcome_url": links.build_absolute_url(links.get_booking_path(booking)),
        "manage_url": links.build_absolute_url(manage) if manage else "",
        "contact": settings.CONTACT,
    }


def describe_start(booking: Booking) -> str:
    """The day, the time and the zone it is meant in, in the active language and zone."""
    local = timezone.localtime(booking.start)
    return f"{date_format(local, 'l j F Y, H:i')} ({local:%Z})"
