"""A site names its meeting types in its own languages: pages and mails follow."""

from __future__ import annotations

import pytest
from django.core import checks, mail
from django.utils.translation import gettext_lazy

from django_meetergo.conf import list_problems
from django_meetergo.models import Booking

pytestmark = pytest.mark.django_db

#: Django's own catalogues translate these.
TEXTS = {"name": gettext_lazy("Monday"), "description": gettext_lazy("December")}


@pytest.fixture
def _translated(settings, site):
    settings.MEETERGO = {
        **settings.MEETERGO,
        "TRANSLATIONS": {"intro-call": TEXTS},
        "SEND_MAIL": ["confirmed"],
    }


def open_in(client, path, language):
    return client.get(path, headers={"accept-language": language}).content.decode()


@pytest.mark.usefixtures("_translated")
@pytest.mark.parametrize("path", ["/book/", "/book/intro-call/"])
def test_pages_show_the_names_of_the_visitors_language(client, path):
    """And meetergo's own name nowhere, not in the title either."""
    german, english = open_in(client, path, "de"), open_in(client, path, "en")

    assert "Montag" in german
    assert "Dezember" in german
    assert "Monday" in english
    assert not any("Intro call" in page for page in (german, english))


@pytest.mark.usefixtures("_translated")
def test_the_attendees_mail_and_calendar_file_are_in_their_language(visitor, site):
    visitor.client.defaults["HTTP_ACCEPT_LANGUAGE"] = "de"
    visitor.book()
    site.run_due(after=30)
    booking = Booking.objects.get()

    [message] = [one for one in mail.outbox if one.to == ["jane@example.com"]]
    assert "Montag" in message.subject
    assert "Montag" in message.body
    assert booking.attendee.appointment.meeting_type.name == "Intro call"


@pytest.mark.usefixtures("_translated")
def test_a_type_without_an_entry_keeps_meetergos_name(client):
    assert "Consultation" in open_in(client, "/book/consultation/", "de")


def test_a_slug_that_does_not_exist_is_named(settings, site):
    settings.MEETERGO = {**settings.MEETERGO, "TRANSLATIONS": {"intro-cal": TEXTS}}
    found = checks.run_checks(databases=["default"])

    assert any(one.id == "meetergo.W011" and '["TRANSLATIONS"] names "intro-cal"' in one.msg for one in found)


@pytest.mark.parametrize(
    ("entry", "problem"),
    [
        ({"title": "x"}, "has no key title"),
        ({"name": 4}, "must be a text"),
        ("First visit", "must be a dictionary"),
    ],
)
def test_a_misspelt_entry_is_refused(entry, problem):
    assert any(problem in text for _, text in list_problems({"TRANSLATIONS": {"intro-call": entry}}))
