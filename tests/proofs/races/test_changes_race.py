"""Concurrent changes of one appointment, and concurrent workers on one booking."""

from __future__ import annotations

import json
import random

import pytest

from django_meetergo.exceptions import ChangeNotAllowed
from django_meetergo.models import Appointment, AppointmentChange, Event, WebhookDelivery
from django_meetergo.services import AttendeeData, book_appointment, scheduler
from django_meetergo.services.booking.reconciliation import reconcile_booking
from django_meetergo.services.changes.requests import cancel_appointment, reschedule_appointment
from django_meetergo.services.sync.appointments import sync_appointments
from django_meetergo.services.webhooks.receive import receive_delivery


@pytest.fixture
def unlimited(settings):
    settings.MEETERGO = {**settings.MEETERGO, "REQUESTS_PER_MINUTE": 5000}


@pytest.fixture
def kit(live_meetergo_sandbox, unlimited):
    live_meetergo_sandbox.sync_directory()
    return live_meetergo_sandbox


def book(kit, start, person="jane", **options):
    return book_appointment(
        meeting_type=kit.meeting_type(),
        start=start,
        attendee=AttendeeData(email=f"{person}@example.com", first_name=person),
        client=kit.client(),
        now=kit.now(),
        **options,
    )


def test_webhook_sync_and_move_meet_on_one_appointment(kit, at_once, rounds):
    """Whatever the order, mirror and service agree and each transition has one event."""
    starts = kit.list_free_starts()
    booking = book(kit, starts[0])
    appointment = booking.attendee.appointment
    scheduler.run_due(kit.now(), periodic=False)
    dice = random.Random(1)
    for _ in range(rounds):
        target = dice.choice([start for start in starts[:8] if start != appointment.start])

        def act(what, target=target, appointment=appointment):
            if what == "move":
                current = Appointment.objects.get(pk=appointment.pk)
                return reschedule_appointment(
                    appointment=current, start=target, client=kit.client(), now=kit.now()
                )
            if what == "webhook":
                kit.reread_all()
                return scheduler.run_due(kit.now(), periodic=False)
            return sync_appointments(connection="default", client=kit.client("sync"), now=kit.now())

        at_once(act, dice.sample(["move", "webhook", "webhook", "sync"], 4))
        kit.reread_all()
        scheduler.run_due(kit.now(), periodic=False)
        appointment = Appointment.objects.get(pk=appointment.pk)
        [remote] = kit.appointments()
        assert (appointment.start, appointment.status) == (remote.start, "confirmed")
        assert appointment.attendees.count() == 1
    moves = Event.objects.filter(kind="appointment_rescheduled", appointment=appointment)
    done = AppointmentChange.objects.filter(state="done").count()
    assert moves.count() == done == appointment.reschedule_count


def test_a_delivery_received_many_times_at_once_is_one_row_with_a_count(kit, at_once, rounds):
    for number in range(rounds):
        body = json.dumps({"webhookType": "booking_created", "id": f"one-{number}"}).encode()
        at_once(
            lambda _, body=body: receive_delivery(connection="default", body=body, now=kit.now()),
            range(16),
        )
        assert WebhookDelivery.objects.get(remote_id=f"one-{number}").receive_count == 16


def test_several_workers_reconcile_one_lost_booking_once(kit, at_once, rounds):
    """All of them read, one adopts, and the booking is not called not booked."""
    for number, start in enumerate(kit.list_free_starts()[: min(rounds, 12)]):
        kit.clear_availability()  # lost answers open the circuit, which is not tested here
        kit.fail_next(kind="drop_after")
        booking = book(kit, start, f"person{number}")
        assert booking.state == "unknown"
        now = kit.travel(seconds=3)

        at_once(lambda _, now=now: scheduler.run_due(now, periodic=False), range(3))

        booking.refresh_from_db()
        assert booking.state == "confirmed"
        assert len(kit.appointments_of(booking)) == 1
        assert booking.attendee.appointment.attendees.count() == 1
    assert kit.count_requests() == min(rounds, 12)


def test_several_workers_never_close_a_booking_before_its_deadline(kit, at_once, rounds):
    """Their reads count once, however close together."""
    kit.fail_next(kind="drop_before")
    booking = book(kit, kit.list_free_starts()[0])

    for _ in range(min(rounds, 10)):
        now = kit.travel(seconds=9)
        at_once(
            lambda _, now=now: reconcile_booking(booking=booking, client=kit.client("reread"), now=now),
            range(4),
        )
        booking.refresh_from_db()
        assert booking.state == ("unknown" if now < booking.outcome_deadline else booking.state)
    assert booking.first_absent_at


def test_a_cancel_and_a_move_at_once_follow_each_other(kit, at_once, rounds):
    """A cancel that comes second is queued behind the move; a move that comes second is refused."""
    starts = kit.list_free_starts()
    for number in range(min(rounds, 8)):
        appointment = book(kit, starts[number * 2], f"person{number}").attendee.appointment

        def act(what, appointment=appointment, target=starts[number * 2 + 1]):
            options = {"appointment": appointment, "client": kit.client(), "now": kit.now()}
            try:
                if what == "cancel":
                    return cancel_appointment(**options)
                return reschedule_appointment(start=target, **options)
            except ChangeNotAllowed:
                return None

        at_once(act, ["cancel", "move", "cancel", "move"])
        kit.run_due(after=5)

        done = AppointmentChange.objects.filter(appointment=appointment, state="done")
        assert 1 <= done.count() <= 2
        assert (
            not AppointmentChange.objects.filter(appointment=appointment)
            .exclude(open_change_key=None)
            .exists()
        )
        remote = kit.sandbox.state.appointments[appointment.remote_id]
        stored = Appointment.objects.get(pk=appointment.pk)
        assert (stored.is_cancelled, stored.start) == (remote.is_cancelled, remote.start)
        if not remote.is_cancelled:
            cancel_appointment(appointment=stored, client=kit.client(), now=kit.now())
