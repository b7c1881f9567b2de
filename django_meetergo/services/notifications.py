"""The mails this app sends itself. meetergo mails everything else.

Attendees get one when a booking ends after they were shown a waiting page, and those about their appointments
that ``SEND_MAIL`` names. Staff (``ALERT_EMAILS``) get one when a booking is left to them, a change was
given up, a credential stops working, or the service has been out of reach for long.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from functools import partial
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings as django_settings
from django.core.mail import EmailMultiAlternatives
from django.db.models import QuerySet
from django.template.loader import render_to_string
from django.urls import NoReverseMatch, reverse
from django.utils import timezone, translation
from django.utils.html import escape, format_html
from django.utils.safestring import mark_safe

from django_meetergo import links
from django_meetergo.conf import get_settings
from django_meetergo.formatting import describe_moment, has_link, name_hosts
from django_meetergo.languages import use_text_language
from django_meetergo.models import (
    Appointment,
    AppointmentChange,
    Attendee,
    Booking,
    Event,
    MeetingType,
    fold_email,
)
from django_meetergo.services.events import Receiver, build_event, name_function, record_events
from django_meetergo.timezones import find_zone
from django_meetergo.wakeup import wake_workers

Kind, Reason = Event.Kind, Booking.Reason
ATTENDING = Attendee.Status.ATTENDING
ADDRESS = re.compile(r"""(https?://[^\s<>"]*[^\s<>".,;:!?)'])""")
#: Links in one mail.
MAX_LINKS = 20

#: The template in ``meetergo/mail/`` for each way a booking can end that is mailed.
ENDING_TEMPLATES = {
    Reason.NOT_BOOKED: "not_booked",
    Reason.LAPSED: "lapsed",
    Reason.DECLINED: "declined",
}

#: The templates of the mails that somebody is booked after all, or at another time.
SUCCESS_TEMPLATES: dict[str, str] = {
    Kind.BOOKING_FOUND: "found_late",
    Kind.BOOKING_REBOOKED: "rebooked",
}

#: The templates of the mails to ``ALERT_EMAILS``.
ALERT_TEMPLATES: dict[str, str] = {
    Kind.BOOKING_NEEDS_STAFF: "needs_staff",
    Kind.CHANGE_FAILED: "change_failed",
    Kind.CREDENTIAL_REFUSED: "credential_refused",
    Kind.SERVICE_AWAY: "service_away",
}


#: The mails that tell what happened to an appointment, if ``SEND_MAIL`` names them.
APPOINTMENT_TEMPLATES: dict[str, str] = {
    Kind.APPOINTMENT_BOOKED: "confirmed",
    Kind.APPOINTMENT_RESCHEDULED: "rescheduled",
    Kind.APPOINTMENT_CANCELLED: "cancelled",
    Kind.ATTENDEE_REMOVED: "cancelled",
}


def list_mails(event: Event, now: datetime) -> list[Receiver]:
    """Return what sends the mails an event calls for.

    Each attendee's mail has a result of its own: one that cannot be sent does not repeat the others.
    """
    name = name_function(send_notification)
    if event.kind not in APPOINTMENT_TEMPLATES:
        return [Receiver(name, partial(send_notification, event, now))]
    return [
        Receiver(f"{name}:{attendee.pk}", partial(send_to_attendee, attendee, event))
        for attendee in list_addressees(event, now)
    ]


def send_notification(event: Event, now: datetime) -> None:
    """Send the mail that an event calls for, if any, unless the event is about an appointment.

    ``send_to_attendee`` sends those. Raises what the mail server raises.
    """
    if event.kind in ALERT_TEMPLATES:
        send_alert(event)
    elif event.kind == Kind.LINKS_REQUESTED:
        send_links(event, now)
    elif (name := choose_template(event, now)) and event.booking is not None:
        send_to_booker(name, event.booking)


def choose_template(event: Event, now: datetime) -> str:
    """Return the template of the mail to who booked; an empty text when there is none."""
    booking = event.booking
    if booking is None or not booking.email:
        return ""
    name = choose_ending(event, booking, now)
    return name if name in get_settings().SEND_MAIL else ""


def choose_ending(event: Event, booking: Booking, now: datetime) -> str:
    if event.kind in SUCCESS_TEMPLATES:
        # The mail may have waited for the mail server, and the appointment been cancelled meanwhile.
        attendee = booking.attendee
        if attendee is None or not is_expected(attendee, attendee.appointment, now):
            return ""
        return SUCCESS_TEMPLATES[event.kind]
    if event.kind == Kind.BOOKING_CLOSED and booking.state == Booking.State.CLOSED:
        reason = booking.reason
        # It may have been found and closed again for another reason, which has an event of its own.
        if not event.key.endswith(f":{reason}"):
            return ""
        if reason in {Reason.UNREACHABLE, Reason.SLOT_TAKEN} and has_left_page(booking):
            return "not_booked"
        return ENDING_TEMPLATES.get(Reason(reason), "")
    return ""


def has_left_page(booking: Booking) -> bool:
    """Whether the request was deferred, or another slot was tried: who booked did not wait for the end.

    Others read it on the page, and may have chosen another time there or sent the request again.
    """
    return booking.defer_consent or booking.original_start is not None


def send_to_booker(name: str, booking: Booking) -> None:
    """Mail who booked, in their language and time zone."""
    with use_language_of(booking):
        send_mail(name, build_context(booking), [booking.email])


def list_addressees(event: Event, now: datetime) -> list[Attendee]:
    """Return whom to mail about an appointment that is still to come.

    What was true when the event was recorded may not be any more: a mail that waited for the mail server
    does not announce an appointment that has been cancelled since.
    """
    appointment, name = event.appointment, APPOINTMENT_TEMPLATES[event.kind]
    if appointment is None or name not in get_settings().SEND_MAIL or appointment.end <= now:
        return []
    # A mail with links is sent only where the links are known.
    if not get_settings().SITE_URL:
        return []
    rows = [event.attendee] if event.attendee else appointment.attendees.filter(status=ATTENDING)
    if name != "cancelled":
        rows = [attendee for attendee in rows if is_expected(attendee, appointment, now)]
    left_out = list_surplus_attendees(appointment)
    if name == "confirmed":
        left_out |= list_notified_attendees(appointment)
    return [attendee for attendee in rows if attendee.email and attendee.pk not in left_out]


def list_surplus_attendees(appointment: Appointment) -> set[int | None]:
    """Return the keys of attendees whose place this site cancels because their booking has another one.

    They keep that, and would take a mail about the surplus one as one about it.
    """
    cancels = appointment.changes.filter(
        kind=AppointmentChange.Kind.CANCEL, reason=AppointmentChange.SURPLUS_REASON, user=None
    )
    counted = cancels.exclude(state=AppointmentChange.State.REFUSED)
    return set(counted.values_list("attendee_id", flat=True))


def list_notified_attendees(appointment: Appointment) -> set[int | None]:
    """Return the keys of attendees who get one of ``SUCCESS_TEMPLATES``, which says that they are booked."""
    kinds = [kind for kind, name in SUCCESS_TEMPLATES.items() if name in get_settings().SEND_MAIL]
    events = Event.objects.filter(kind__in=kinds, booking__attendee__appointment=appointment)
    return set(events.values_list("booking__attendee", flat=True))


def is_expected(attendee: Attendee, appointment: Appointment, now: datetime) -> bool:
    """Whether an attendee has a place in an appointment that takes place and is not over."""
    is_active = not appointment.is_cancelled and appointment.missing_since is None
    return attendee.status == ATTENDING and is_active and appointment.end > now


def send_to_attendee(attendee: Attendee, event: Event) -> None:
    """Mail one attendee of an appointment, with their own link."""
    assert event.appointment is not None  # noqa: S101 - list_addressees has looked
    name = APPOINTMENT_TEMPLATES[event.kind]
    with use_language_of(attendee):
        send_mail(name, build_attendee_context(attendee, event.appointment, event), [attendee.email])


def request_links(*, email: str, now: datetime) -> None:
    """Have a person mailed the links of their coming appointments, at most once an hour.

    Nothing is sent here, so that the answer of the page takes as long for every address.
    """
    attendee = list_coming(email, now).first()
    if attendee is None:
        wake_workers()  # as for a person who is known, which may take a second while the broker is away
        return
    event = build_event(
        kind=Kind.LINKS_REQUESTED,
        key=f"links:{attendee.pk}:{now:%Y%m%d%H}",
        now=now,
        connection=attendee.connection,
        attendee=attendee,
    )
    record_events([event])


def list_coming(email: str, now: datetime) -> QuerySet[Attendee]:
    """Return the attendees with this address whose appointments are still to come, the soonest first."""
    rows = Attendee.objects.filter(
        email_folded=fold_email(email), status=ATTENDING, appointment__in=Appointment.objects.upcoming(now)
    )
    return rows.select_related("appointment__meeting_type").order_by("appointment__start", "pk")


def send_links(event: Event, now: datetime) -> None:
    """Mail the links, in the language and the time zone of the soonest appointment."""
    email = event.attendee.email if event.attendee else ""
    attendees = list(list_coming(email, now)[:MAX_LINKS]) if email else []
    if not attendees:
        return
    with use_language_of(attendees[0]):
        described = [describe_link(attendee) for attendee in attendees]
        send_mail("links", {"name": "", "appointments": described}, [attendees[0].email])


def describe_link(attendee: Attendee) -> dict[str, str]:
    """Describe one appointment for the mail with the links."""
    return {
        "name": attendee.appointment.display_name,
        "when": describe_moment(attendee.appointment.start),
        "url": links.build_absolute_url(links.get_manage_path(attendee)),
    }


@contextmanager
def use_language_of(person: Booking | Attendee) -> Iterator[None]:
    """Activate the language and the time zone of a person; the site's for a zone that nobody knows.

    meetergo passes on what another calendar, or a browser, calls its zone, for example "Etc/Unknown".
    """
    language, zone = links.choose_language(person.language), find_zone(person.timezone)
    with translation.override(language), use_text_language(), timezone.override(zone):
        yield


def send_alert(event: Event) -> None:
    """Mail ``ALERT_EMAILS`` in the site's language and time zone."""
    recipients = list(get_settings().ALERT_EMAILS)
    if not recipients:
        return
    language = django_settings.LANGUAGE_CODE
    with translation.override(language), use_text_language(), timezone.override(None):
        send_mail(ALERT_TEMPLATES[event.kind], build_alert_context(event), recipients)


def send_mail(name: str, context: dict[str, object], recipients: list[str]) -> None:
    """Render and send one of the mails in ``templates/meetergo/mail/``, as text and as HTML.

    The HTML part is the text in paragraphs, or the template ``<name>.html`` if a site has one.
    """
    settings = get_settings()
    context = {
        "contact": settings.CONTACT,
        "site_name": settings.SITE_NAME or urlsplit(settings.SITE_URL).hostname or "",
        "language": translation.get_language(),
        **context,
    }
    subject = " ".join(render_to_string(f"meetergo/mail/{name}_subject.txt", context).split())
    body = render_to_string(f"meetergo/mail/{name}.txt", context).strip() + "\n"
    message = EmailMultiAlternatives(
        subject=subject,
        body=body,
        from_email=django_settings.DEFAULT_FROM_EMAIL,
        to=recipients,
        headers={"Auto-Submitted": "auto-generated"},
    )
    templates = [f"meetergo/mail/{name}.html", "meetergo/mail/base.html"]
    html = render_to_string(templates, {**context, "subject": subject, "body": link_addresses(body)})
    message.attach_alternative(html, "text/html")
    message.send()


def link_addresses(text: str) -> str:
    """Return a text as HTML in which complete addresses are links, and nothing that only looks like one."""
    # Every other part is an address.
    parts = [
        format_html('<a href="{0}">{0}</a>', part) if number % 2 else escape(part)
        for number, part in enumerate(ADDRESS.split(text))
    ]
    return mark_safe("".join(parts))  # noqa: S308 - escaped before


def build_context(booking: Booking) -> dict[str, object]:
    """Return the context of the mails about a booking."""
    # The appointment may have been moved before the mail is sent.
    start = booking.attendee.appointment.start if booking.attendee else booking.start
    return {
        "booking": booking,
        "name": choose_greeting(booking.full_name),
        "meeting_type": booking.meeting_type,
        "when": describe_moment(start),
        "outcome_url": build_link(links.get_booking_path, booking),
        "manage_url": build_link(links.get_manage_path, booking.attendee) if booking.attendee else "",
    }


def build_attendee_context(attendee: Attendee, appointment: Appointment, event: Event) -> dict[str, object]:
    """Return the context of the mails about an appointment."""
    meeting_type, previous = appointment.meeting_type, event.data.get("previous_start")
    return {
        "attendee": attendee,
        "appointment": appointment,
        "name": choose_greeting(attendee.full_name),
        "meeting_type": {"display_name": appointment.display_name},
        "host_name": name_hosts(appointment.hosts.all()),
        "place": appointment.location or appointment.meeting_link,
        "when": describe_moment(appointment.start),
        "previous": describe_moment(datetime.fromisoformat(previous)) if previous else "",
        "manage_url": build_link(links.get_manage_path, attendee),
        "book_url": build_link(MeetingType.get_absolute_url, meeting_type) if meeting_type else "",
    }


def build_link(get_path: Callable[[Any], str], row: Any) -> str:
    """Return the address of a page about a row; an empty text where the site has no address, or no pages.

    A site with a front end of its own may include the REST API only.
    """
    try:
        return links.build_absolute_url(get_path(row)) if get_settings().SITE_URL else ""
    except NoReverseMatch:
        return ""


def get_admin_path(row: Booking | Appointment) -> str:
    return reverse(f"admin:meetergo_{row._meta.model_name}_change", args=[row.pk])


def choose_greeting(name: str) -> str:
    """Return the name to greet by; empty if a mail program might turn a part of it into a link."""
    return "" if has_link(name) else name


def build_alert_context(event: Event) -> dict[str, object]:
    """Return the context of the mails to staff. No personal data: mail is not encrypted."""
    booking, appointment = event.booking, event.appointment
    row = booking or appointment
    since = datetime.fromisoformat(event.data["since"]) if "since" in event.data else event.created_at
    return {
        "connection": event.connection,
        "since": describe_moment(since),
        "reference": booking.reference if booking else "",
        "is_booked": booking is not None and booking.state == Booking.State.CONFIRMED,
        "change": AppointmentChange.Kind(event.data["change"]).label if "change" in event.data else "",
        "meeting_type": booking.meeting_type
        if booking
        else {"display_name": appointment.display_name if appointment else ""},
        "when": describe_moment(row.start) if row else "",
        "admin_url": build_link(get_admin_path, row) if row else "",
    }
