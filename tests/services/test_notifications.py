"""The mails to attendees: which are sent, what they contain, and how a site changes them."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from html import unescape
from typing import Any

import pytest
from django.core import mail
from django.template import engines
from django.test import override_settings
from django.utils import timezone

from django_meetergo import links
from django_meetergo.conf import list_problems
from django_meetergo.models import Appointment, Attendee, Event, MeetingType
from django_meetergo.services import notifications
from django_meetergo.services.notifications import link_addresses, request_links
from django_meetergo.testing.factories import AttendeeFactory, BookingFactory
from tests.mails import send_mails

pytestmark = pytest.mark.django_db

Kind = Event.Kind
OWN = ["confirmed", "rescheduled", "cancelled"]


@pytest.fixture
def attendee(settings: Any) -> Attendee:
    settings.MEETERGO = {
        **settings.MEETERGO,
        "SITE_URL": "https://clinic.example",
        "SITE_NAME": "The Clinic",
        "SEND_MAIL": OWN,
    }
    return make_attendee()


def make_attendee(email: str = "jane@example.com", days: int = 3, **options: Any) -> Attendee:
    meeting_type, _ = MeetingType.objects.get_or_create(slug="intro-call", defaults={"name": "Intro <call>"})
    start = timezone.now() + timedelta(days=days)
    appointment = Appointment.objects.create(
        meeting_type=meeting_type, start=start, end=start + timedelta(minutes=30), remote_id=f"{email}{days}"
    )
    values = {"first_name": "Jane", "last_name": "Doe", "timezone": "Europe/Berlin", "language": "en-gb"}
    return Attendee.objects.create(appointment=appointment, email=email, **{**values, **options})


def make_event(attendee: Attendee, kind: str, **options: Any) -> Event:
    return Event(kind=kind, appointment=attendee.appointment, created_at=timezone.now(), **options)


@pytest.mark.parametrize(
    ("kind", "subject"),
    [
        (Kind.APPOINTMENT_BOOKED, "Your appointment is booked: Intro <call>"),
        (Kind.APPOINTMENT_RESCHEDULED, "Your appointment has been moved: Intro <call>"),
        (Kind.APPOINTMENT_CANCELLED, "Your appointment has been cancelled: Intro <call>"),
    ],
)
def test_a_site_can_send_its_own_mails_about_appointments(attendee, settings, kind, subject):
    """Each has a text and an HTML part, the site's name, and a link to the site's own page."""
    data = {"previous_start": "2026-01-02T09:00:00+00:00"} if "moved" in subject else {}
    send_mails(make_event(attendee, kind, data=data))
    [message] = mail.outbox
    html = message.alternatives[0].content
    assert (message.subject, message.to) == (subject, ["jane@example.com"])
    assert message.body.startswith("Hello Jane Doe,\n\nYour appointment")
    assert message.body.endswith("\nThe Clinic\n")
    assert "Intro &lt;call&gt;" in html
    link = "book/intro-call/" if kind == Kind.APPOINTMENT_CANCELLED else links.get_manage_path(attendee)
    assert link.strip("/") in message.body
    assert re.search(rf'<a href="https://clinic\.example/[^"]*{re.escape(link.strip("/"))}', unescape(html))
    assert ("Friday 2 January 2026, 10:00" in message.body) == bool(data)
    settings.MEETERGO = {**settings.MEETERGO, "SEND_MAIL": []}
    send_mails(make_event(attendee, kind))
    assert len(mail.outbox) == 1


def test_nobody_is_mailed_about_an_appointment_that_is_over(attendee):
    send_mails(make_event(make_attendee(days=-3), Kind.APPOINTMENT_CANCELLED))
    assert mail.outbox == []


def test_a_name_that_looks_like_a_link_is_not_printed(attendee):
    attendee.first_name, attendee.last_name = "Pay at", "evil.example"
    attendee.save()
    send_mails(make_event(attendee, Kind.APPOINTMENT_BOOKED))
    [message] = mail.outbox
    assert message.body.startswith("Hello,\n")
    assert "evil" not in message.body + message.alternatives[0].content


def test_the_mail_is_in_the_attendees_language(attendee):
    Attendee.objects.update(language="de")
    send_mails(make_event(attendee, Kind.APPOINTMENT_BOOKED))
    assert mail.outbox[0].subject == "Ihr Termin ist gebucht: Intro <call>"
    assert " Uhr (Ortszeit " in mail.outbox[0].body


@pytest.mark.parametrize("zone", ["W. Europe Standard Time", "Mars/Olympus", "../etc/passwd"])
def test_a_time_zone_that_nobody_knows_keeps_no_mail_back(attendee, zone):
    """Another calendar named it when somebody booked at meetergo. Times are in the site's zone then."""
    Attendee.objects.update(timezone=zone)
    event = make_event(Attendee.objects.get(), Kind.APPOINTMENT_BOOKED)

    send_mails(event)

    [message] = mail.outbox
    assert f"{timezone.localtime(event.appointment.start):%H:%M}" in message.body


def test_each_mail_can_be_overridden_alone(attendee, settings):
    own = {
        "meetergo/mail/confirmed.txt": "See {{ manage_url }}",
        "meetergo/mail/confirmed.html": "<p>Own HTML for {{ name }}</p>",
    }
    loaders = [
        ("django.template.loaders.locmem.Loader", own),
        "django.template.loaders.app_directories.Loader",
    ]
    templates = [{**settings.TEMPLATES[0], "APP_DIRS": False}]
    templates[0]["OPTIONS"] = {**templates[0]["OPTIONS"], "loaders": loaders}
    with override_settings(TEMPLATES=templates):
        engines._templates = None
        send_mails(make_event(attendee, Kind.APPOINTMENT_BOOKED))
        send_mails(make_event(attendee, Kind.APPOINTMENT_CANCELLED))
    first, second = mail.outbox
    assert first.body.startswith("See https://clinic.example/")
    assert first.alternatives[0].content == "<p>Own HTML for Jane Doe</p>"
    assert second.body.startswith("Hello Jane Doe,")


def test_a_person_gets_the_links_of_their_coming_appointments(attendee):
    """In one mail, soonest first; other people's and past or cancelled ones are not in it."""
    sooner = make_attendee("JANE@example.com", days=1)
    other, past = make_attendee("jo@example.com"), make_attendee(days=-2)
    cancelled = make_attendee(days=5)
    Appointment.objects.filter(pk=cancelled.appointment_id).update(status=Appointment.Status.CANCELLED)
    request_links(email="Jane@Example.com", now=timezone.now())
    request_links(email="jane@example.com", now=timezone.now())
    [event] = Event.objects.filter(kind=Kind.LINKS_REQUESTED)
    assert mail.outbox == []
    send_mails(event)
    [message] = mail.outbox
    found = re.findall(r"https://clinic\.example\S+/manage/(\S+)/", message.body)
    expected = [links.sign(one.public_id, salt=links.MANAGE_SALT) for one in (sooner, attendee)]
    assert found == expected
    assert not {links.sign(one.public_id, salt=links.MANAGE_SALT) for one in (other, past, cancelled)} & {
        *found
    }
    request_links(email="nobody@example.com", now=timezone.now())
    assert Event.objects.filter(kind=Kind.LINKS_REQUESTED).count() == 1


def test_an_unknown_mail_is_reported():
    [(place, problem)] = list_problems({"SEND_MAIL": ["confirmed", "confirm"]})
    assert place == '["SEND_MAIL"]'
    assert problem.startswith("has unknown mails: confirm; they are cancelled, confirmed, declined, ")


def test_a_booking_that_was_closed_twice_is_mailed_about_its_last_end(mailoutbox):
    """Both events may have waited for the mail server."""
    booking = BookingFactory(state="closed", reason="lapsed", closed_at=timezone.now())
    for step in ("1:not_booked", "2:lapsed"):
        key = f"booking:{booking.pk}:{Kind.BOOKING_CLOSED}:{step}"
        send_mails(Event(kind=Kind.BOOKING_CLOSED, key=key, booking=booking, created_at=timezone.now()))
    assert [message.subject.partition(":")[0] for message in mailoutbox] == ["Your request has expired"]


def test_the_factories_give_an_attendee_the_connection_of_the_appointment():
    assert AttendeeFactory(appointment__connection="praxis").connection == "praxis"


def test_only_complete_addresses_are_links():
    """A name or a host without a scheme stays text, and nothing a visitor typed becomes HTML."""
    html = link_addresses("See https://clinic.example/a?b=1&c=2. evil.example <b>x</b>")
    assert html == (
        'See <a href="https://clinic.example/a?b=1&amp;c=2">https://clinic.example/a?b=1&amp;c=2</a>. '
        "evil.example &lt;b&gt;x&lt;/b&gt;"
    )


def test_an_address_in_brackets_or_quotes_ends_before_them():
    html = link_addresses("<https://a.example/1> \"https://b.example/2\", 'https://c.example/3'")
    assert re.findall(r'href="([^"]*)"', html) == [
        "https://a.example/1", "https://b.example/2", "https://c.example/3",
    ]  # fmt: skip
    assert html.startswith("&lt;<a ")


def test_a_mail_about_a_booking_found_late_names_the_present_time(mailoutbox):
    """The appointment may have been moved before anybody knew of it."""
    attendee = AttendeeFactory(appointment__start=datetime(2030, 5, 8, 12, tzinfo=UTC))
    booking = BookingFactory(
        attendee=attendee, email="j@example.com", start=datetime(2030, 5, 7, 8, tzinfo=UTC)
    )

    notifications.send_to_booker("found_late", booking)

    assert "8 May 2030" in mailoutbox[0].body
    assert "7 May" not in mailoutbox[0].body


@pytest.mark.parametrize("kind", ["lapsed", "declined", "not_booked"])
def test_a_mail_has_no_link_where_the_site_has_no_address(settings, kind):
    settings.MEETERGO = {**settings.MEETERGO, "SITE_URL": ""}
    booking = BookingFactory(state="closed", reason="lapsed", email="j@example.com")

    notifications.send_to_booker(kind, booking)

    assert "/book/booking" not in mail.outbox[0].body
    assert "time here:" not in mail.outbox[0].body


@pytest.mark.parametrize("name", ["Etc/Unknown", "UTC+2", "../Europe/Berlin", "x" * 64])
def test_an_attendee_whose_time_zone_is_unknown_is_mailed_in_the_zone_of_the_site(attendee, name):
    """The time zone of a person who booked at meetergo is what their browser said."""
    attendee = make_attendee("ann@example.com", days=4, timezone=name)

    send_mails(make_event(attendee, Kind.APPOINTMENT_BOOKED))

    [message] = mail.outbox
    assert notifications.describe_moment(attendee.appointment.start) in message.body


@pytest.mark.parametrize("kind", ["found_late", "rebooked", "lapsed", "declined", "not_booked"])
def test_a_mail_has_no_link_where_the_site_has_no_pages(settings, kind):
    """A site with a front end of its own includes the REST API only."""
    settings.MEETERGO = {**settings.MEETERGO, "SITE_URL": "https://clinic.example"}
    settings.ROOT_URLCONF = "tests.api.bare_urls"

    notifications.send_to_booker(kind, BookingFactory(attendee=make_attendee(), email="jane@example.com"))

    assert "https://" not in mail.outbox[0].body


@pytest.mark.parametrize(
    "kind", [Kind.APPOINTMENT_BOOKED, Kind.APPOINTMENT_RESCHEDULED, Kind.APPOINTMENT_CANCELLED]
)
def test_a_mail_about_an_appointment_has_no_link_where_the_site_has_no_pages(attendee, settings, kind):
    settings.ROOT_URLCONF = "tests.api.bare_urls"

    send_mails(make_event(attendee, kind))

    assert "https://" not in mail.outbox[0].body


@pytest.mark.parametrize(
    ("zone", "words"),
    [("Asia/Shanghai", "Shanghai time, GMT+8"), ("America/Sao_Paulo", "Sao Paulo time, GMT−3")],
)
def test_a_mail_names_the_zone_by_its_place(attendee, zone, words):
    """CST is the time of Chicago and of Shanghai, and Sao Paulo has no abbreviation at all."""
    attendee = make_attendee("ann@example.com", days=4, timezone=zone)
    send_mails(make_event(attendee, Kind.APPOINTMENT_BOOKED))
    assert f"({words})" in mail.outbox[0].body
    assert attendee.describe_start() in mail.outbox[0].body
