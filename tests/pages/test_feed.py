"""Calendar feeds: what calendar apps read from them, and who can no longer read them."""

from __future__ import annotations

from datetime import UTC, timedelta

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.utils import timezone
from icalendar import Calendar

from django_meetergo import links
from django_meetergo.models import Appointment, CalendarFeed, Host
from django_meetergo.testing.factories import AppointmentFactory, AttendeeFactory

pytestmark = pytest.mark.django_db


def make_user(name, *codenames, **options):
    user = User.objects.create_user(name, is_staff=True, **options)
    user.user_permissions.set(Permission.objects.filter(codename__in=codenames))
    return user


@pytest.fixture
def anna():
    return Host.objects.create(remote_id="anna", name="Anna Weber")


@pytest.fixture
def owner(db):
    return make_user("carla", "view_appointment")


def add(host, days=2, **values):
    start = timezone.now().replace(microsecond=0) + timedelta(days=days)
    appointment = AppointmentFactory(
        start=start, end=start + timedelta(minutes=50), meeting_type__name="Massage",
        location="Room 7", meeting_link="https://meet.example/x", **values,
    )  # fmt: skip
    appointment.hosts.add(host)
    AttendeeFactory(
        appointment=appointment,
        first_name="Mia",
        last_name="Kowalski",
        email="mia@example.com",
        phone="030 7654",
    )
    return appointment


def make_feed(owner, host=None, **values):
    return CalendarFeed.objects.create(name="Phone", user=owner, host=host, **values)


def fetch(feed, **headers):
    return Client().get(links.get_feed_path(feed), headers=headers)


def read(feed):
    """Return the events of the feed by UID, as a calendar app parses them."""
    response = fetch(feed)
    assert response.status_code == 200
    assert response["Content-Type"] == "text/calendar; charset=utf-8"
    calendar = Calendar.from_ical(response.content)
    assert calendar["version"] == "2.0"
    return {str(event["uid"]): event for event in calendar.walk("VEVENT")}


def test_a_feed_shows_type_and_initials_and_times_in_utc(owner, anna):
    """No name, address, phone number, place or link: a third party reads it."""
    appointment = add(anna)
    feed = make_feed(owner, anna)

    (event,) = read(feed).values()

    assert str(event["summary"]) == "Massage – M.K."
    assert event["dtstart"].dt == appointment.start
    assert event["dtstart"].dt.tzinfo is not None
    assert event.to_ical().count(f"{appointment.start.astimezone(UTC):%Y%m%dT%H%M%SZ}".encode()) >= 1
    assert event["dtend"].dt - event["dtstart"].dt == timedelta(minutes=50)
    assert str(event["status"]) == "CONFIRMED"
    text = fetch(feed).content
    for word in (b"Mia", b"Kowalski", b"mia@", b"030 7654", b"Room 7", b"meet.example"):
        assert word not in text


def test_a_feed_with_details_shows_names_contact_and_place(owner, anna):
    add(anna)

    (event,) = read(make_feed(owner, shows_details=True)).values()

    assert str(event["summary"]) == "Massage – Mia Kowalski – Anna Weber"
    assert str(event["description"]) == "Mia Kowalski, mia@example.com, 030 7654"
    assert str(event["location"]) == "Room 7"


def test_a_feed_has_the_appointments_of_its_host_or_of_all(owner, anna):
    ben = Host.objects.create(remote_id="ben", name="Ben")
    add(anna)
    add(ben)

    assert len(read(make_feed(owner, anna))) == 1
    assert len(read(make_feed(owner))) == 2


def test_a_moved_and_a_cancelled_appointment_are_right_at_the_next_fetch(owner, anna):
    """The same UID with a higher sequence, then CANCELLED with one that is higher again."""
    appointment = add(anna)
    feed = make_feed(owner, anna)
    (first,) = read(feed).values()

    moved_to = appointment.start + timedelta(days=1)
    end = moved_to + timedelta(minutes=50)
    changed_at = timezone.now() + timedelta(seconds=5)
    Appointment.objects.update(start=moved_to, end=end, revision=1, remote_updated_at=changed_at)
    (moved,) = read(feed).values()
    Appointment.objects.update(status="cancelled", revision=2)
    (cancelled,) = read(feed).values()

    assert first["uid"] == moved["uid"] == cancelled["uid"]
    assert moved["dtstart"].dt == moved_to
    assert first["sequence"] < moved["sequence"] < cancelled["sequence"]
    assert str(cancelled["status"]) == "CANCELLED"
    assert moved["last-modified"].dt > first["last-modified"].dt


def test_an_appointment_that_meetergo_no_longer_has_is_struck_out(owner, anna):
    add(anna, missing_since=timezone.now())

    (event,) = read(make_feed(owner, anna)).values()

    assert str(event["status"]) == "CANCELLED"


def test_an_unchanged_feed_is_not_sent_again(owner, anna):
    """304 for the ETag, also after the appointment was merely read again; 200 after a change."""
    appointment = add(anna)
    feed = make_feed(owner, anna)
    etag = fetch(feed)["ETag"]

    Appointment.objects.update(synced_at=timezone.now())
    again = fetch(feed, if_none_match=etag)
    AttendeeFactory(appointment=appointment, first_name="Noah", last_name="Berg")
    changed = fetch(feed, if_none_match=etag)

    assert (again.status_code, again.content) == (304, b"")
    assert changed.status_code == 200
    assert changed["ETag"] != etag


def test_a_deleted_feed_is_revoked(owner, anna):
    """Every wrong address gets the same answer, and a new feed has another address."""
    feed = make_feed(owner, anna)
    path = links.get_feed_path(feed)
    assert Client().get(path).status_code == 200

    feed.delete()

    assert Client().get(path).status_code == 404
    assert links.get_feed_path(make_feed(owner, anna)) != path
    assert Client().get(path.replace("~", "~x")).status_code == 404


@pytest.mark.parametrize("lost", ["active", "permission"])
def test_a_feed_ends_with_the_rights_of_its_user(owner, anna, lost):
    """Somebody who has left the practice reads nothing more."""
    add(anna)
    feed = make_feed(owner, anna)
    assert len(read(feed)) == 1

    if lost == "active":
        User.objects.update(is_active=False)
    else:
        owner.user_permissions.clear()

    assert fetch(feed).status_code == 404


def test_a_feed_of_somebody_who_sees_own_appointments_shows_no_others(anna):
    """Whatever host the feed names."""
    therapist = make_user("anna", "view_own_appointment")
    Host.objects.filter(pk=anna.pk).update(user=therapist)
    ben = Host.objects.create(remote_id="ben", name="Ben")
    add(anna)
    add(ben)

    assert len(read(make_feed(therapist))) == 1
    assert read(make_feed(therapist, ben)) == {}


def test_the_cost_of_a_feed_does_not_grow_with_it(owner, anna, django_assert_num_queries):
    feed = make_feed(owner, anna, fetched_at=timezone.now())
    for _ in range(30):
        add(anna)

    with django_assert_num_queries(6):  # feed, two for the permissions, appointments, attendees, hosts
        assert fetch(feed).content.count(b"BEGIN:VEVENT") == 30
