"""A site's own tests, in pytest: what happens to its bookings."""

import re

import pytest
from django.urls import reverse

import django_meetergo
from checks.visitors import book
from django_meetergo.models import Appointment, Booking, Host
from django_meetergo.services import cancel_appointment
from django_meetergo.testing.sandbox_adapter import RefusedHost

pytestmark = pytest.mark.django_db


def test_the_installed_package_is_tested():
    """And not a checkout beside it."""
    assert "site-packages" in django_meetergo.__file__


def test_it_books_and_cancels(meetergo_sandbox):
    booking = book(meetergo_sandbox)
    assert booking.state == Booking.State.CONFIRMED
    cancel_appointment(appointment=booking.attendee.appointment, now=meetergo_sandbox.now())
    meetergo_sandbox.run_due(after=10)
    assert meetergo_sandbox.appointments() == []


def test_a_visitor_books_on_the_pages(meetergo_sandbox, client):
    start = meetergo_sandbox.list_free_starts()[0]
    path = reverse("meetergo:details", args=["intro-call"])
    page = client.get(path, {"start": start.isoformat()}).content.decode()
    hidden = dict(re.findall(r'type="hidden" name="(start|duration|token)" value="([^"]+)"', page))
    jane = {"first_name": "Jane", "last_name": "Doe", "email": "jane@example.com"}
    answer = client.post(path, {**hidden, **jane}, follow=True)
    assert "Your appointment is booked" in answer.content.decode()


def test_it_loses_a_race(meetergo_sandbox):
    start = meetergo_sandbox.list_free_starts()[0]
    meetergo_sandbox.occupy_slot(start)
    booking = book(meetergo_sandbox, start=start)
    assert (booking.state, booking.reason) == ("closed", "slot_taken")


def test_it_survives_a_lost_answer(meetergo_sandbox):
    meetergo_sandbox.fail_next(kind="drop_after")
    booking = book(meetergo_sandbox)
    assert booking.state == "unknown"
    meetergo_sandbox.run_until_idle()
    booking.refresh_from_db()
    assert booking.state == "confirmed"
    assert len(meetergo_sandbox.appointments_of(booking)) == 1


def test_it_receives_doubled_webhooks_in_the_wrong_order(meetergo_sandbox):
    meetergo_sandbox.register_webhook()
    starts = meetergo_sandbox.list_free_starts()
    made = [meetergo_sandbox.book_elsewhere(start) for start in (starts[0], starts[8])]
    meetergo_sandbox.cancel_elsewhere(made[0])
    assert meetergo_sandbox.deliver(duplicate=2, shuffle=True) == 6
    meetergo_sandbox.run_due(after=10)
    rows = {row.remote_id: row.status for row in Appointment.objects.all()}
    assert rows == {made[0].id: "cancelled", made[1].id: "confirmed"}


def test_it_follows_a_handover(meetergo_sandbox):
    anna, ben = (set(meetergo_sandbox.list_free_starts(slug)) for slug in ("intro-call", "consultation"))
    booking = book(meetergo_sandbox, "next-therapist", start=min(anna & ben))  # late in a day some are off
    appointment = booking.attendee.appointment
    host = Host.objects.filter(name__regex="Anna|Ben").exclude(pk__in=appointment.hosts.all()).first()
    meetergo_sandbox.hand_over(appointment, host)
    meetergo_sandbox.run_until_idle()
    meetergo_sandbox.run_due(after=600, periodic=True)
    assert list(appointment.hosts.all()) == [host]


def test_it_travels_in_time(meetergo_sandbox):
    booking = book(meetergo_sandbox, "checkup")
    assert booking.state == "pending"
    meetergo_sandbox.travel(days=2)
    meetergo_sandbox.run_due(periodic=True)
    booking.refresh_from_db()
    assert (booking.state, booking.reason) == ("closed", "lapsed")


def test_the_real_service_is_out_of_reach():
    """Also in a test that asks for no sandbox."""
    from django_meetergo.services.clients import build_client

    with pytest.raises(RefusedHost, match="Use the fixture meetergo_sandbox"):
        build_client("default", "sync").get_current_user()
