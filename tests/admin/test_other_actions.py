"""Staff send, check and decline bookings, apply deliveries again and start a sync."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from django.utils import timezone

from django_meetergo.admin.display import format_moment
from django_meetergo.models import (
    Appointment,
    AppointmentChange,
    Attendee,
    Booking,
    Connection,
    Event,
    MeetingType,
    SyncRun,
    WebhookDelivery,
)
from django_meetergo.services.booking.reconciliation import close_left_to_staff, resolve_left_to_staff
from django_meetergo.services.changes.requests import cancel_appointment
from django_meetergo.services.health import describe_unknown_bookings
from django_meetergo.testing.factories import BookingFactory
from tests.admin.conftest import get_text

pytestmark = pytest.mark.django_db


def test_a_dead_delivery_is_applied_again(superuser, sandbox, book):
    appointment = book().attendee.appointment
    row = WebhookDelivery.objects.create(
        digest="d", event_type="booking_created", remote_id=appointment.remote_id, state="dead", tries=11,
        received_at=timezone.now(), message="boom",
    )  # fmt: skip

    superuser.run_action("webhookdelivery", "replay", [row])
    sandbox.run_due()

    row.refresh_from_db()
    assert row.state == "applied"


def test_a_booking_left_to_staff_is_reconciled_again(superuser, sandbox, book):
    """What meetergo has is adopted; nothing is sent again."""
    booking = book()
    posts = sandbox.count_requests()
    Booking.objects.filter(pk=booking.pk).update(state="unknown", reason="needs_staff", attendee=None)

    result = superuser.run_action("booking", "reconcile", [booking])

    booking.refresh_from_db()
    assert "confirmed" in get_text(result)
    assert booking.state == "confirmed"
    assert sandbox.count_requests() == posts


def test_a_confirmed_booking_left_to_staff_is_read_again(superuser, sandbox, book):
    """Of a group whose attendee was not known: what the appointment shows now decides."""
    booking = book(slug="group-class")
    sandbox.sandbox.configure(hide_answers=True)
    Attendee.objects.filter(booking=booking).update(remote_id=None)
    Booking.objects.filter(pk=booking.pk).update(reason="needs_staff", next_at=None)
    Appointment.objects.update(raw={})

    sandbox.sandbox.configure(hide_answers=False)
    result = superuser.run_action("booking", "reconcile", [booking])

    booking.refresh_from_db()
    assert "confirmed" in get_text(result)
    assert (booking.state, booking.reason) == ("confirmed", "")
    assert booking.attendee.remote_id


def test_a_waiting_booking_is_sent_now(superuser, sandbox):
    row = BookingFactory(
        meeting_type=sandbox.meeting_type(),
        start=sandbox.list_free_starts()[0],
        next_at=timezone.now() + timedelta(hours=1),
    )

    superuser.run_action("booking", "retry", [row])
    sandbox.run_due()

    row.refresh_from_db()
    assert row.state == "confirmed"


def test_a_request_is_declined_with_a_reason(superuser, sandbox, book):
    types = MeetingType.objects.exclude(confirmation="none").filter(needs_own_page=False)
    bookings = (book(0, slug) for slug in types.values_list("slug", flat=True))
    booking = next(row for row in bookings if row.state == "pending" and row.reason in {"host", "both"})

    result = superuser.run_action("booking", "decline", [booking], reason="on holiday")

    booking.refresh_from_db()
    assert "declined" in get_text(result)
    assert (booking.state, booking.reason) == ("closed", "declined")


def test_staff_close_a_booking_that_was_left_to_them(superuser, sandbox, book, mailoutbox):
    """Its time is free again, the attendee is mailed, and what turns up all the same still counts."""
    sandbox.fail_next(kind="drop_before")
    booking = book(1)
    assert booking.state == "unknown"
    Booking.objects.filter(pk=booking.pk).update(reason="needs_staff", next_at=None)

    page = get_text(superuser.choose_action("booking", "not_booked", [booking]))
    assert f"an e-mail informs {booking.email}" in page
    superuser.run_action("booking", "not_booked", [booking])
    sandbox.run_due(after=5)

    booking.refresh_from_db()
    assert (booking.state, booking.reason) == ("closed", "not_booked")
    assert booking.slot_hold_key is booking.open_booking_key is None
    assert [message.to for message in mailoutbox] == [[booking.email]]
    assert booking.attempts.get().outcome == "absent"


def test_a_page_does_no_more_than_it_announced(superuser, sandbox, book):
    """A row that it said would stay may have become one that the action can change."""
    sandbox.fail_next(kind="drop_before", times=2)
    left, searched = book(1), book(3)
    Booking.objects.filter(pk=left.pk).update(reason="needs_staff", next_at=None)

    page = superuser.choose_action("booking", "not_booked", [left, searched])
    assert "Close 1 booking as not booked?" in get_text(page)
    Booking.objects.filter(pk=searched.pk).update(reason="needs_staff", next_at=None)
    ids = re.search(r'name="ids" value="([^"]*)"', page.content.decode())[1]
    superuser.post("booking_not_booked", ids=ids, confirmed="yes")

    assert Booking.objects.get(pk=left.pk).state == "closed"
    assert Booking.objects.get(pk=searched.pk).state == "unknown"


def test_staff_mark_a_place_in_a_group_as_resolved(superuser, sandbox, book):
    """Nothing shows whose place it is, so nothing but their word ends it."""
    booking = book(slug="group-class")
    Booking.objects.filter(pk=booking.pk).update(reason="needs_staff")
    assert describe_unknown_bookings("default").level == "bad"

    superuser.run_action("booking", "resolved", [booking])

    booking.refresh_from_db()
    assert (booking.state, booking.reason) == ("confirmed", "")
    assert describe_unknown_bookings("default").level == "good"


def test_only_a_confirmed_booking_is_marked_as_resolved(superuser, sandbox, book):
    """One without an appointment needs an outcome."""
    sandbox.fail_next(kind="drop_before")
    booking = book(1)
    Booking.objects.filter(pk=booking.pk).update(reason="needs_staff", next_at=None)

    [message] = superuser.run_action("booking", "resolved", [booking]).context["messages"]
    resolve_left_to_staff(booking=booking)

    booking.refresh_from_db()
    assert "No change: no confirmed booking" in str(message)
    assert (booking.state, booking.reason) == ("unknown", "needs_staff")


def test_only_what_was_left_to_staff_is_closed_by_them(superuser, sandbox, book):
    booked = book(1)

    page = get_text(superuser.choose_action("booking", "not_booked", [booked]))
    close_left_to_staff(booking=booked, now=sandbox.now())

    assert "No change: not left to staff" in page
    booked.refresh_from_db()
    assert booked.state == "confirmed"


def test_an_action_says_whom_and_which_time_it_is_about(superuser, sandbox, book):
    """Staff choose rows by people and times; a reference or a state alone tells them nothing."""
    booking = book()
    appointment = booking.attendee.appointment
    change = cancel_appointment(
        appointment=appointment, client=sandbox.client(), now=sandbox.now(), send=False
    )
    events = [
        Event.objects.create(
            kind="booking_confirmed", connection="default", key=str(about), created_at=timezone.now(), **about
        )
        for about in ({"appointment": appointment}, {"booking": booking})
    ]

    reported = [
        str(message)
        for name, action, row in (
            ("booking", "reconcile", booking),
            ("appointmentchange", "retry", change),
            *(("event", "retry", event) for event in events),
        )
        for message in superuser.run_action(name, action, [row]).context["messages"]
    ]

    person_and_time = f"Jane Doe0 · Intro call, {format_moment(booking.start)}"
    assert len(reported) == 4
    assert [message for message in reported if person_and_time not in message] == []
    assert f"{person_and_time} · {booking.reference}: No change" in reported[0]


def test_a_sync_is_requested_and_done_in_the_background(superuser, sandbox):
    SyncRun.objects.all().delete()
    superuser.run_action("connection", "sync", [Connection.objects.get()])
    assert SyncRun.objects.get().state == "open"

    sandbox.run_due(periodic=True)

    assert set(SyncRun.objects.filter(kind="near").values_list("state", flat=True)) == {"done"}


def test_a_waiting_change_is_sent_now(superuser, sandbox, book):
    appointment = book().attendee.appointment
    change = cancel_appointment(
        appointment=appointment, client=sandbox.client(), now=sandbox.now(), send=False
    )
    AppointmentChange.objects.update(next_at=timezone.now() + timedelta(hours=1))

    superuser.run_action("appointmentchange", "retry", [change])
    sandbox.run_due()

    change.refresh_from_db()
    assert change.state == "done"


def test_many_rows_wake_the_workers_once(superuser, sandbox, django_capture_on_commit_callbacks):
    deliveries = [
        WebhookDelivery.objects.create(
            digest=f"d{n}", remote_id="r", state="dead", received_at=timezone.now()
        )
        for n in range(5)
    ]

    with django_capture_on_commit_callbacks() as callbacks:
        superuser.run_action("webhookdelivery", "replay", deliveries)

    assert WebhookDelivery.objects.filter(state="pending").count() == 5
    assert len(callbacks) == 1


def test_a_check_that_meetergo_does_not_answer_leaves_the_booking_to_staff(superuser, sandbox, book):
    booking = book(slug="group-class")
    Attendee.objects.filter(pk=booking.attendee_id).update(remote_id=None)
    Booking.objects.filter(pk=booking.pk).update(reason="needs_staff", next_at=None)
    sandbox.go_down(500)

    result = superuser.run_action("booking", "reconcile", [booking])
    for _ in range(8):
        sandbox.run_due(after=4000)

    assert [message.level_tag for message in result.context["messages"]] == ["warning"]
    assert Booking.objects.get(pk=booking.pk).reason == "needs_staff"
