"""Staff create calendar feeds, copy their addresses and revoke them."""

from __future__ import annotations

import re

import pytest
from django.contrib.auth.models import User
from django.urls import reverse
from django.utils import timezone

from django_meetergo import links
from django_meetergo.models import CalendarFeed, Host
from django_meetergo.testing.factories import AttendeeFactory
from tests.admin.conftest import StaffBrowser

pytestmark = pytest.mark.django_db

MAY = ("view_appointment", "view_calendarfeed", "add_calendarfeed", "delete_calendarfeed")


def create(staff, **data) -> CalendarFeed:
    response = staff.post("calendarfeed_add", **{"name": "Phone", "host": "", **data})
    assert response.status_code == 200
    return CalendarFeed.objects.get()


def get_address(feed) -> str:
    return links.build_absolute_url(links.get_feed_path(feed))


def test_a_feed_is_created_and_its_address_works(make_staff):
    staff = make_staff(*MAY)
    host = Host.objects.create(remote_id="a", name="Anna")

    feed = create(staff, host=host.pk, user="999")
    page = staff.get("calendarfeed_change", feed.pk).content.decode()

    assert (feed.user, feed.host, feed.shows_details) == (staff.user, host, False)
    assert f'value="{get_address(feed)}"' in page
    assert staff.client.get(links.get_feed_path(feed)).status_code == 200


def test_a_feed_is_revoked_by_deleting_it(make_staff):
    staff = make_staff(*MAY)
    feed = create(staff)
    path = links.get_feed_path(feed)

    staff.post("calendarfeed_delete", feed.pk, post="yes")

    assert staff.client.get(path).status_code == 404


def test_the_address_is_shown_to_its_user_only(make_staff, superuser: StaffBrowser):
    """It shows what that user may see. Others may revoke it."""
    feed = create(make_staff(*MAY))

    page = superuser.get("calendarfeed_change", feed.pk).content.decode()
    page += superuser.get("calendarfeed_changelist").content.decode()

    assert links.get_feed_path(feed) not in page
    superuser.post("calendarfeed_delete", feed.pk, post="yes")
    assert CalendarFeed.objects.count() == 0


def test_a_feed_cannot_be_edited(make_staff):
    staff = make_staff(*MAY, "change_calendarfeed")
    feed = create(staff)

    staff.post("calendarfeed_change", feed.pk, name="Other", shows_details="on")

    feed.refresh_from_db()
    assert (feed.name, feed.shows_details) == ("Phone", False)


def test_somebody_who_sees_own_appointments_chooses_among_own_hosts(make_staff, superuser):
    staff = make_staff("view_own_appointment", *MAY[1:])
    own = Host.objects.create(remote_id="a", name="Anna", user=staff.user)
    other = Host.objects.create(remote_id="b", name="Ben")
    CalendarFeed.objects.create(name="Boss", user=superuser.user)

    page = staff.get("calendarfeed_add").content.decode()
    refused = staff.post("calendarfeed_add", name="Phone", host=other.pk).content.decode()

    assert set(re.findall(r'<option value="(\d+)"', page)) == {str(own.pk)}
    assert "Select a valid choice" in refused
    assert "Boss" not in staff.get("calendarfeed_changelist").content.decode()


def test_a_feed_ends_when_its_user_is_no_longer_staff(make_staff, client):
    feed = CalendarFeed.objects.create(name="Phone", user=make_staff("view_appointment").user)
    assert client.get(links.get_feed_path(feed)).status_code == 200

    User.objects.update(is_staff=False)

    assert client.get(links.get_feed_path(feed)).status_code == 404


def test_the_head_of_a_feed_is_valid(make_staff, client):
    staff = make_staff("view_appointment", "add_calendarfeed", "view_calendarfeed")
    staff.post("calendarfeed_add", name="Phone, desk\nDESCRIPTION:x", host="")

    lines = client.get(links.get_feed_path(CalendarFeed.objects.get())).content.decode().split("\r\n")

    assert r"X-WR-CALNAME:Phone\, desk\nDESCRIPTION:x" in lines
    assert "X-PUBLISHED-TTL:PT15M" in lines


def test_the_calendar_file_of_a_vanished_appointment_cancels_it(client):
    attendee = AttendeeFactory(appointment__missing_since=timezone.now())
    token = links.sign(attendee.public_id, salt=links.MANAGE_SALT)

    assert "STATUS:CANCELLED" in client.get(reverse("meetergo:ics", args=[token])).content.decode()
