"""A site whose front end uses the REST API has the admin and no pages: links to pages are left out."""

from __future__ import annotations

import pytest
from django.contrib.admin.models import LogEntry
from django.core.management import call_command
from django.core.management.base import CommandError

from django_meetergo.models import CalendarFeed
from tests.admin.conftest import get_text

pytestmark = pytest.mark.django_db
WITHOUT_PAGES = "This site does not include the pages of this app"


@pytest.fixture(autouse=True)
def _without_pages(settings):
    settings.ROOT_URLCONF = "tests.admin.urls_without_pages"


def test_there_is_no_link_of_an_attendee_to_copy(superuser, sandbox, book):
    appointment = book().attendee.appointment

    page = superuser.run_action("appointment", "link", [appointment])

    assert page.status_code == 200
    assert WITHOUT_PAGES in get_text(page)
    assert not LogEntry.objects.filter(change_message__contains="links").exists()
    assert WITHOUT_PAGES not in get_text(superuser.get("appointment_change", appointment.pk))


def test_a_meeting_type_is_not_viewed_on_the_site(superuser, sandbox):
    page = superuser.get("meetingtype_change", sandbox.meeting_type().pk)

    assert page.status_code == 200
    assert "View on site" not in get_text(page)


def test_a_feed_has_no_address(superuser):
    feed = CalendarFeed.objects.create(name="Mine", user=superuser.user)

    assert WITHOUT_PAGES in get_text(superuser.get("calendarfeed_change", feed.pk))


@pytest.mark.parametrize("command", [("meetergo_webhooks", "ensure"), ("meetergo_webhooks", "list")])
def test_a_command_about_webhooks_says_what_is_missing(sandbox, command):
    with pytest.raises(CommandError, match=r'include\("django_meetergo\.urls"\)'):
        call_command(*command)


def test_the_doctor_says_what_is_missing(sandbox, capsys):
    call_command("meetergo_doctor")

    assert 'include("django_meetergo.urls")' in capsys.readouterr().out


def test_the_kit_says_what_is_missing(sandbox):
    with pytest.raises(AssertionError, match=r'include\("django_meetergo\.urls"\)'):
        sandbox.register_webhook()
