"""The mails this app sends itself. meetergo mails everything else.

Attendees get one when a booking ends after they were shown a waiting page. Staff (``ALERT_EMAILS``) get one
when a booking is left to them, a credential stops working, or the service has been out of reach for long.
"""

from __future__ import annotations

from datetime import datetime

from django.conf import settings as django_settings
from django.core.mail import EmailMessage
from django.template.loader import render_to_string
from django.urls import NoReverseMatch, reverse
from django.utils import timezone, translation

from django_meetergo import links
from django_meetergo.conf import get_settings
from django_meetergo.formatting import format_full_moment
from django_meetergo.models import Booking, Event

Kind, Reason = Event.Kind, Booking.Reason

#: The template in ``meetergo/mail/`` for each way a booking can end that is mailed.
ENDING_TEMPLATES = {
    Reason.NOT_BOOKED: "not_booked",
    Reason.LAPSED: "lapsed",
    Reason.DECLINED: "declined",
}

#: The templates of the mails to ``ALERT_EMAILS``.
ALERT_TEMPLATES: dict[str, str] = {
    Kind.BOOKING_NEEDS_STAFF: "needs_staff",
    Kind.CREDENTIAL_REFUSED: "credential_refused",
    Kind.SERVICE_AWAY: "service_away",
}


def send_notification(event: Event) -> None:
    """Send the mail an event calls for, if any. Raises what the mail server raises."""
    if event.kind in ALERT_TEMPLATES:
        send_alert(event)
    elif (name := choose_template(event)) and event.booking is not None:
        send_to_attendee(name, event.booking)


def choose_template(event: Event) -> str:
    """Return the template of the mail to the attendee; an empty text when there is none."""
    booking = event.booking
    if booking is None or not booking.email or not get_settings().SEND_MAIL:
        return ""
    if event.kind == Kind.BOOKING_FOUND and booking.state == Booking.State.CONFIRMED:
        return "found_late"
    if event.kind == Kind.BOOKING_REBOOKED:
        return "rebooked"
    if event.kind == Kind.BOOKING_CLOSED and booking.state == Booking.State.CLOSED:
        reason = booking.reason
        # An attendee who agreed to wait has left the page by the time the booking ends.
        has_waited = booking.defer_consent or booking.rebook_consent
        if has_waited and reason in {Reason.UNREACHABLE, Reason.SLOT_TAKEN}:
            return "not_booked"
        return ENDING_TEMPLATES.get(Reason(reason), "")
    return ""


def send_to_attendee(name: str, booking: Booking) -> None:
    """Mail the attendee in their language and time zone."""
    language = booking.language or django_settings.LANGUAGE_CODE
    with translation.override(language), timezone.override(booking.timezone or None):
        send_mail(name, build_context(booking), [booking.email])


def send_alert(event: Event) -> None:
    """Mail ``ALERT_EMAILS`` in the site's language and time zone."""
    recipients = list(get_settings().ALERT_EMAILS)
    if not recipients:
        return
    with translation.override(django_settings.LANGUAGE_CODE), timezone.override(None):
        send_mail(ALERT_TEMPLATES[event.kind], build_alert_context(event), recipients)


def send_mail(name: str, context: dict[str, object], recipients: list[str]) -> None:
    """Render and send one of the mails in ``templates/meetergo/mail/``."""
    subject = render_to_string(f"meetergo/mail/{name}_subject.txt", context)
    body = render_to_string(f"meetergo/mail/{name}.txt", context)
    EmailMessage(
        subject=" ".join(subject.split()),
        body=body,
        from_email=django_settings.DEFAULT_FROM_EMAIL,
        to=recipients,
        headers={"Auto-Submitted": "auto-generated"},
    ).send()


def build_context(booking: Booking) -> dict[str, object]:
    """Return the context of the mails to attendees."""
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


def build_alert_context(event: Event) -> dict[str, object]:
    """Return the context of the mails to staff. No personal data: mail is not encrypted."""
    booking = event.booking
    since = datetime.fromisoformat(event.data["since"]) if "since" in event.data else event.created_at
    return {
        "connection": event.connection,
        "since": format_full_moment(since, timezone.get_current_timezone()),
        "reference": booking.reference if booking else "",
        "meeting_type": booking.meeting_type if booking else None,
        "when": describe_start(booking) if booking else "",
        "admin_url": get_admin_url(booking) if booking else "",
    }


def get_admin_url(booking: Booking) -> str:
    """Return the address of the booking in the admin; an empty text where the site has none."""
    if not get_settings().SITE_URL:
        return ""
    try:
        return links.build_absolute_url(reverse("admin:meetergo_booking_change", args=[booking.pk]))
    except NoReverseMatch:
        return ""


def describe_start(booking: Booking) -> str:
    """Return the date, the time and the zone of the start, in the active language and zone."""
    local = timezone.localtime(booking.start)
    return f"{format_full_moment(local, timezone.get_current_timezone())} ({local:%Z})"
