"""The database goes away after meetergo has been called (F18): pages say only what is known."""

from __future__ import annotations

from contextlib import closing
from datetime import timedelta

import pytest
from django.db import connection
from django.test import Client
from django.utils import timezone

from django_meetergo import links
from django_meetergo.models import Appointment, Booking
from django_meetergo.remote import transport
from django_meetergo.services import scheduler
from tests.pages.conftest import Visitor

DETAILS = "/book/intro-call/details/"


class Outage:
    """End the database session when one request leaves; with ``down``, refuse new sessions too."""

    def __init__(self, *call, down):
        self.call, self.down, self.cuts = call, down, 0
        self.port = connection.settings_dict["PORT"]

    def __call__(self, *call):
        if call != self.call:
            return
        self.cuts += 1
        if connection.vendor == "postgresql":
            session, statement = connection.connection.info.backend_pid, "SELECT pg_terminate_backend(%s)"
        else:
            session, statement = connection.connection.thread_id(), "KILL %s"
        with closing(connection.copy("default")) as admin, admin.cursor() as cursor:
            cursor.execute(statement, [session])
        if self.down:
            connection.settings_dict["PORT"] = 1

    def end(self):
        connection.settings_dict["PORT"] = self.port
        connection.close()


@pytest.fixture
def start_outage(monkeypatch):
    """Start an outage when a method and route are called."""
    outages = []

    def start_outage(*call, down=True):
        outages.append(Outage(*call, down=down))
        monkeypatch.setattr(transport, "BEFORE_SEND", [*transport.BEFORE_SEND, outages[-1]])
        return outages[-1]

    yield start_outage
    for outage in outages:
        outage.end()
    assert [outage.cuts for outage in outages] == [1]


@pytest.fixture
def visitor(live_meetergo_sandbox):
    live_meetergo_sandbox.sync_directory()
    return Visitor(Client())


def run_due_later(**later):
    scheduler.run_due(now=timezone.now() + timedelta(**later), periodic=False)


def count_posts(sandbox):
    calls = sandbox.sandbox.request_log.entries(kind="request")
    return sum((call["method"], call["path"]) == ("POST", "/v4/booking") for call in calls)


def test_a_session_that_was_ended_is_opened_again(visitor, start_outage):
    form = visitor.fill_in("intro-call")
    start_outage("POST", "/v4/booking", down=False)
    assert visitor.post(DETAILS, **form).status_code == 303
    assert Booking.objects.get().state == Booking.State.CONFIRMED


def test_a_booking_being_sent_is_checked_and_then_found(visitor, live_meetergo_sandbox, start_outage):
    form = visitor.fill_in("intro-call")
    outage = start_outage("POST", "/v4/booking")
    answer = visitor.post(DETAILS, **form)
    assert answer.status_code == 303
    assert visitor.get(answer["Location"]).status_code == 503

    outage.end()
    assert "We are booking your time" in visitor.text(answer["Location"])
    run_due_later(minutes=3)
    booking = Booking.objects.get()
    assert booking.state == Booking.State.CONFIRMED
    assert links.get_booking_path(booking) == answer["Location"]
    assert count_posts(live_meetergo_sandbox) == 1


def test_a_form_submitted_again_after_the_outage_books_nothing_more(
    visitor, live_meetergo_sandbox, start_outage
):
    form = visitor.fill_in("intro-call")
    outage = start_outage("POST", "/v4/booking")
    first = visitor.post(DETAILS, **form)
    outage.end()
    again = visitor.post(DETAILS, **form)
    assert again["Location"] == first["Location"]
    assert count_posts(live_meetergo_sandbox) == 1


def test_a_cancel_being_sent_is_checked_and_then_done(visitor, start_outage):
    visitor.book()
    manage = links.get_manage_path(Booking.objects.get().attendee)
    outage = start_outage("POST", "/booking/confirm/cancel/{id}/{secret}")
    answer = visitor.post(f"{manage}cancel/")
    assert (answer.status_code, answer["Location"]) == (303, manage)

    outage.end()
    assert "checking" in visitor.text(manage)
    run_due_later(minutes=3)
    assert Appointment.objects.get().is_cancelled
