"""What somebody who cancels or moves is promised."""

from __future__ import annotations

from datetime import timedelta

import pytest

from django_meetergo.exceptions import ChangeNotAllowed, InvalidRequest
from django_meetergo.models import Appointment, Event
from django_meetergo.services.booking.book import AttendeeData
from django_meetergo.services.changes.requests import cancel_appointment, reschedule_appointment

pytestmark = pytest.mark.django_db

CANCEL_AS_HOST = "POST /v4/appointment/{id}/cancel"
CANCEL_AS_ATTENDEE = "POST /booking/confirm/cancel/{id}/{secret}"
MOVE_AS_HOST = "POST /v4/appointment/{id}/reschedule"
MOVE_AS_ATTENDEE = "POST /booking/confirm/reschedule/"


@pytest.fixture
def booked(meetergo_sandbox, book):
    booking = book()
    meetergo_sandbox.run_due()
    booking.attendee.refresh_from_db()
    return booking.attendee


@pytest.fixture
def cancel(meetergo_sandbox):
    def cancel(booked, /, **options):
        kit = meetergo_sandbox
        return cancel_appointment(
            appointment=Appointment.objects.get(pk=booked.appointment_id),
            client=kit.client(), now=kit.now(), **options,
        )  # fmt: skip

    return cancel


@pytest.fixture
def move(meetergo_sandbox):
    def move(booked, start, /, **options):
        kit = meetergo_sandbox
        return reschedule_appointment(
            appointment=Appointment.objects.get(pk=booked.appointment_id),
            start=start, client=kit.client(), now=kit.now(), **options,
        )  # fmt: skip

    return move


def reload(attendee):
    return Appointment.objects.get(pk=attendee.appointment_id)


def test_a_host_cancels(meetergo_sandbox, booked, cancel):
    """The appointment is cancelled on both sides, with its reason."""
    change = cancel(booked, reason="Room closed")

    assert change.state == "done"
    assert reload(booked).status == "cancelled"
    assert reload(booked).cancellation_reason == "Room closed"
    assert meetergo_sandbox.appointments() == []
    assert meetergo_sandbox.posts(CANCEL_AS_HOST) == 1


def test_an_attendee_cancels_with_the_secret(meetergo_sandbox, booked, cancel):
    """The attendee's own route is used, and no credential is needed for it."""
    change = cancel(booked, attendee=booked, by="attendee")

    assert change.state == "done"
    assert meetergo_sandbox.posts(CANCEL_AS_ATTENDEE) == 1
    assert reload(booked).is_cancelled


def test_cancelling_twice_is_one_cancel(meetergo_sandbox, booked, cancel):
    """The second call gets the first change; nothing more is sent."""
    first = cancel(booked)
    second = cancel(booked)

    assert first.pk == second.pk
    assert meetergo_sandbox.posts(CANCEL_AS_HOST) == 1


@pytest.mark.parametrize("by", ["host", "attendee"])
def test_a_move_keeps_the_length_and_the_id(meetergo_sandbox, booked, move, by):
    """Both routes end with the same appointment at another time."""
    target = meetergo_sandbox.list_free_starts()[4]
    before = reload(booked)

    change = move(booked, target, by=by, attendee=booked)

    after = reload(booked)
    assert change.state == "done"
    assert (after.start, after.duration) == (target, before.duration)
    assert after.remote_id == before.remote_id
    assert after.previous_start == before.start
    assert meetergo_sandbox.posts(MOVE_AS_HOST if by == "host" else MOVE_AS_ATTENDEE) == 1


def test_a_move_that_loses_its_slot_leaves_the_old_time(meetergo_sandbox, booked, move):
    """The refusal says why; the old time stands on both sides."""
    target = meetergo_sandbox.list_free_starts()[4]
    before = reload(booked).start
    meetergo_sandbox.fail_next(MOVE_AS_HOST, "occupy_slot")

    change = move(booked, target)

    assert (change.state, change.outcome) == ("refused", "slot_taken")
    assert reload(booked).start == before
    assert change.open_change_key is None


@pytest.mark.parametrize("kind", ["drop_after", "drop_before"])
def test_an_unclear_cancel_is_looked_at_and_sent_again_only_when_it_did_not_happen(
    meetergo_sandbox, booked, cancel, kind
):
    """Whatever was lost, the appointment ends cancelled."""
    meetergo_sandbox.fail_next(CANCEL_AS_HOST, kind)
    change = cancel(booked)
    assert change.state == "unknown"

    for _ in range(6):
        meetergo_sandbox.run_due(after=40)

    change.refresh_from_db()
    assert change.state == "done"
    assert reload(booked).is_cancelled
    assert meetergo_sandbox.posts(CANCEL_AS_HOST) == (1 if kind == "drop_after" else 2)


def test_one_open_change_per_appointment(meetergo_sandbox, booked, cancel, move):
    """A move that is asked for while a cancel is unclear gets the cancel back."""
    meetergo_sandbox.fail_next(CANCEL_AS_HOST, "drop_before")
    first = cancel(booked)

    second = move(booked, meetergo_sandbox.list_free_starts()[4])

    assert second.pk == first.pk
    assert meetergo_sandbox.posts(MOVE_AS_HOST) == 0


def test_one_place_in_a_group_can_be_given_up(meetergo_sandbox, book, cancel):
    """Only that person leaves; the appointment goes on."""
    start = meetergo_sandbox.list_free_starts("group-class")[0]
    jane = book("group-class", start=start).attendee
    meetergo_sandbox.clear_availability()
    john = book(
        "group-class", start=start, attendee=AttendeeData(email="john@example.com", first_name="John")
    ).attendee
    meetergo_sandbox.run_due()
    john.refresh_from_db()

    change = cancel(john, attendee=john, by="attendee")

    john.refresh_from_db()
    jane.refresh_from_db()
    assert change.state == "done"
    assert (john.status, jane.status) == ("removed", "attending")
    assert not reload(jane).is_cancelled


def test_a_group_cancel_names_whom_it_means(meetergo_sandbox, book, cancel):
    """Neither a person nor everybody is refused before anything is sent."""
    attendee = book("group-class").attendee

    with pytest.raises(InvalidRequest):
        cancel(attendee)

    assert meetergo_sandbox.posts(CANCEL_AS_HOST) == 0


def test_what_has_passed_or_is_cancelled_is_not_changed(meetergo_sandbox, booked, cancel, move):
    """The state binds everybody."""
    target = meetergo_sandbox.list_free_starts()[4]
    cancel(booked)

    with pytest.raises(ChangeNotAllowed) as refusal:
        move(booked, target)
    assert refusal.value.reason == "cancelled"


def test_the_sites_policy_binds_attendees(meetergo_sandbox, booked, cancel, settings):
    """A site that says no is obeyed at the service, not only on the page."""
    settings.MEETERGO = {**settings.MEETERGO, "POLICY": "tests.services.test_changes.refuse_all"}

    with pytest.raises(ChangeNotAllowed) as refusal:
        cancel(booked, attendee=booked, by="attendee")

    assert refusal.value.reason == "too_late"
    assert cancel(booked).state == "done"


def refuse_all(action, attendee, now):
    from django_meetergo.services.changes.policy import Decision

    return Decision(allowed=False, until=now - timedelta(hours=1), reason="too_late")


def test_each_transition_leaves_one_event(meetergo_sandbox, booked, move, cancel):
    """Booked, moved, cancelled: one line each, however often it is read."""
    move(booked, meetergo_sandbox.list_free_starts()[4])
    cancel(booked)
    meetergo_sandbox.run_due(after=5)

    kinds = Event.objects.filter(appointment=booked.appointment_id).values_list("kind", flat=True)
    assert list(kinds) == ["appointment_booked", "appointment_rescheduled", "appointment_cancelled"]


def test_an_appointment_does_not_stand_in_its_own_way(meetergo_sandbox, booked, move):
    """Moving by less than its own length is possible, and offered."""
    from django_meetergo.services.availability.slots import list_slots

    kit = meetergo_sandbox
    appointment = reload(booked)

    def offered(**options):
        found = list_slots(
            meeting_type=appointment.meeting_type,
            start=appointment.start,
            end=appointment.end,
            client=kit.client("view"),
            now=kit.now(),
            **options,
        )
        return [free.start for free in found.times]

    assert appointment.start not in offered()
    assert appointment.start in offered(moving=appointment.remote_id)
