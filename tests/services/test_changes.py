"""What cancelling and rescheduling an appointment promises."""

from __future__ import annotations

import sys
from datetime import timedelta
from uuid import uuid4

import pytest
from django.core import mail
from django.db import transaction
from django.utils import timezone

from django_meetergo import links
from django_meetergo.admin.filters import find_given_up
from django_meetergo.exceptions import ChangeNotAllowed, InvalidRequest
from django_meetergo.models import Appointment, AppointmentChange, Event
from django_meetergo.remote.client import MeetergoClient
from django_meetergo.services.availability.slots import list_slots
from django_meetergo.services.booking.book import AttendeeData
from django_meetergo.services.changes import batches
from django_meetergo.services.changes.policy import Decision
from django_meetergo.services.changes.requests import cancel_appointment, reschedule_appointment
from django_meetergo.services.polling import refresh_change_status
from django_meetergo.services.sync.appointments import sync_appointment
from django_meetergo.wakeup import work_due

pytestmark = pytest.mark.django_db

CANCEL_AS_HOST = "POST /v4/appointment/{id}/cancel"
CANCEL_AS_ATTENDEE = "POST /booking/confirm/cancel/{id}/{secret}"
READ = "GET /v4/appointment/{id}"
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
    assert meetergo_sandbox.count_requests(CANCEL_AS_HOST) == 1


def test_an_attendee_cancels_with_the_secret(meetergo_sandbox, booked, cancel):
    """The attendee's own route is used, and no credential is needed for it."""
    change = cancel(booked, attendee=booked, by="attendee")

    assert change.state == "done"
    assert meetergo_sandbox.count_requests(CANCEL_AS_ATTENDEE) == 1
    assert reload(booked).is_cancelled


def test_cancelling_twice_is_one_cancel(meetergo_sandbox, booked, cancel):
    """The second call returns the first change; nothing more is sent."""
    first = cancel(booked)
    second = cancel(booked)

    assert first.pk == second.pk
    assert meetergo_sandbox.count_requests(CANCEL_AS_HOST) == 1


@pytest.mark.parametrize("by", ["host", "attendee"])
def test_a_reschedule_keeps_the_duration_and_the_id(meetergo_sandbox, booked, move, by):
    """Both routes end with the same appointment at another time."""
    target = meetergo_sandbox.list_free_starts()[4]
    before = reload(booked)

    change = move(booked, target, by=by, attendee=booked)

    after = reload(booked)
    assert change.state == "done"
    assert (after.start, after.duration) == (target, before.duration)
    assert after.remote_id == before.remote_id
    assert after.previous_start == before.start
    assert meetergo_sandbox.count_requests(MOVE_AS_HOST if by == "host" else MOVE_AS_ATTENDEE) == 1


def test_a_change_inside_a_transaction_is_refused_in_one_sentence(meetergo_sandbox, booked, cancel, move):
    """Each error names both ways out."""
    target, before = meetergo_sandbox.list_free_starts()[5], meetergo_sandbox.count_requests()
    for change in (lambda: cancel(booked), lambda: move(booked, target)):
        with transaction.atomic(), pytest.raises(InvalidRequest, match="send=False"):
            change()
    assert meetergo_sandbox.count_requests() == before

    with transaction.atomic():
        cancel(booked, send=False)
    meetergo_sandbox.run_due()
    booked.appointment.refresh_from_db()
    assert booked.appointment.is_cancelled


def test_a_reschedule_that_loses_its_slot_keeps_the_old_time(meetergo_sandbox, booked, move):
    """The refusal says why; both sides keep the old time."""
    target = meetergo_sandbox.list_free_starts()[4]
    before = reload(booked).start
    meetergo_sandbox.fail_next(MOVE_AS_HOST, "occupy_slot")

    change = move(booked, target)

    assert (change.state, change.outcome) == ("refused", "slot_taken")
    assert reload(booked).start == before
    assert change.open_change_key is None


@pytest.mark.parametrize("kind", ["drop_after", "drop_before"])
def test_a_cancel_with_a_lost_answer_is_sent_again_only_when_it_was_not_carried_out(
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
    assert meetergo_sandbox.count_requests(CANCEL_AS_HOST) == (1 if kind == "drop_after" else 2)


@pytest.mark.parametrize("minutes", [30, 59, 180])
def test_a_cancel_with_a_lost_answer_outlives_an_outage(meetergo_sandbox, book, cancel, minutes):
    """The reads that failed meanwhile do not use up the time in which it is sent."""
    kit = meetergo_sandbox
    booking = book(start=kit.list_free_starts()[-1])
    kit.run_due()
    booking.refresh_from_db()
    kit.go_down()
    change = cancel(booking.attendee, attendee=booking.attendee, by="attendee")
    for _ in range(minutes):
        kit.run_due(after=60)
    kit.recover()
    for _ in range(20):
        kit.run_due(after=60)
    change.refresh_from_db()
    assert (change.state, kit.appointments()) == ("done", [])


def test_a_change_that_is_given_up_is_said_to_the_attendee_and_to_staff(
    meetergo_sandbox, book, cancel, settings, client
):
    """The page was closed long ago, and no mail says that the appointment still stands."""
    kit = meetergo_sandbox
    settings.MEETERGO = {**settings.MEETERGO, "ALERT_EMAILS": ["ops@example.com"]}
    booking = book(start=kit.list_free_starts()[-1])
    kit.run_due()
    booking.refresh_from_db()
    kit.refuse_connections(10_000)
    change = cancel(booking.attendee, attendee=booking.attendee, by="attendee")
    for _ in range(75):
        kit.run_due(after=60)

    change.refresh_from_db()
    assert (change.state, change.outcome) == ("refused", "unreachable")
    AppointmentChange.objects.update(created_at=timezone.now() - timedelta(hours=2))
    page = client.get(links.get_manage_path(booking.attendee)).content.decode()
    assert "We could not reach the calendar." in page
    assert "Your appointment is still booked." in page
    [message] = [one for one in mail.outbox if one.to == ["ops@example.com"] and "Change" in one.subject]
    assert "The request “cancel” for Intro call on " in message.body
    assert "jane" not in message.body.lower()
    assert Appointment.objects.filter(find_given_up(kit.now())).exists()

    # Staff have moved it at meetergo instead.
    Appointment.objects.update(start=kit.now() + timedelta(days=3))
    page = client.get(links.get_manage_path(booking.attendee)).content.decode()
    assert "We could not reach the calendar." not in page
    assert not Appointment.objects.filter(find_given_up(kit.now())).exists()


def test_a_refusal_that_cannot_be_compared_with_a_read_is_not_final(meetergo_sandbox, booked, cancel):
    """meetergo refuses a cancel, because the host has cancelled there; the site cannot read that yet."""
    kit = meetergo_sandbox
    kit.cancel_elsewhere(kit.appointments()[0])
    kit.fail_next(READ, "status_before", times=3, status=502)
    change = cancel(booked)
    assert change.state == "unknown"
    for seconds in (3, 20, 60, 60, 60, 60):
        kit.run_due(after=seconds)
    change.refresh_from_db()
    assert change.state == "done"


@pytest.mark.parametrize("kind", ["drop_after", "drop_before", "answered"])
def test_a_reschedule_with_a_lost_answer_does_not_undo_what_the_host_did_meanwhile(
    meetergo_sandbox, booked, move, kind, monkeypatch
):
    """The host moves the appointment to a third time before it is read again."""
    kit = meetergo_sandbox
    target, third = kit.list_free_starts()[4], kit.list_free_starts()[-1]
    if kind == "answered":
        read = MeetergoClient.get_appointment

        def move_first(client, remote_id):
            monkeypatch.setattr(MeetergoClient, "get_appointment", read)
            kit.move_elsewhere(booked.appointment, third)
            return read(client, remote_id)

        monkeypatch.setattr(MeetergoClient, "get_appointment", move_first)
    else:
        kit.fail_next(MOVE_AS_HOST, kind)
    change = move(booked, target)
    if kind != "answered":
        kit.move_elsewhere(booked.appointment, third)
    for _ in range(10):
        kit.run_due(after=40)

    change.refresh_from_db()
    assert (change.state, change.outcome) == (
        ("done", "") if kind == "answered" else ("refused", "unverified")
    )
    assert reload(booked).start == third
    assert [appointment.start for appointment in kit.appointments()] == [third]
    assert kit.count_requests(MOVE_AS_HOST) == 1


def test_a_reschedule_that_waited_does_not_undo_what_the_host_did_meanwhile(meetergo_sandbox, booked, move):
    """It could not be sent for a while; by then the site knows that the host has moved the appointment."""
    kit = meetergo_sandbox
    target, third = kit.list_free_starts()[4], kit.list_free_starts()[-1]
    kit.refuse_connections()
    change = move(booked, target)
    assert change.state == "received"
    kit.move_elsewhere(booked.appointment, third)
    sync_appointment(appointment=reload(booked), client=kit.client(), now=kit.now())
    for _ in range(10):
        kit.run_due(after=40)

    change.refresh_from_db()
    assert (change.state, change.outcome) == ("refused", "refused")
    assert reload(booked).start == third
    assert kit.count_requests(MOVE_AS_HOST) == 0


def test_a_reschedule_is_refused_while_a_cancel_is_in_progress(meetergo_sandbox, booked, cancel, move):
    """The refusal has a reason of its own, and nothing is sent."""
    meetergo_sandbox.fail_next(CANCEL_AS_HOST, "drop_before")
    cancel(booked)

    with pytest.raises(ChangeNotAllowed) as refusal:
        move(booked, meetergo_sandbox.list_free_starts()[4])

    assert refusal.value.reason == "change_in_progress"
    assert meetergo_sandbox.count_requests(MOVE_AS_HOST) == 0


@pytest.mark.parametrize("kind", ["drop_after", "drop_before", "occupy_slot"])
def test_a_cancel_that_is_requested_during_a_reschedule_is_carried_out_after_it(
    meetergo_sandbox, booked, cancel, move, kind
):
    """Whatever becomes of the reschedule, the appointment ends cancelled, with one cancel sent."""
    kit = meetergo_sandbox
    kit.fail_next(MOVE_AS_HOST, "drop_before" if kind == "occupy_slot" else kind)
    rescheduling = move(booked, kit.list_free_starts()[4])
    assert rescheduling.state == "unknown"
    if kind == "occupy_slot":
        kit.occupy_slot(rescheduling.target_start)

    cancelling = cancel(booked, attendee=booked, by="attendee")
    assert (cancelling.kind, cancelling.state) == ("cancel", "received")
    assert cancel(booked, attendee=booked, by="attendee").pk == cancelling.pk
    for _ in range(10):
        kit.run_due(after=40)

    cancelling.refresh_from_db()
    rescheduling.refresh_from_db()
    assert cancelling.state == "done"
    assert not rescheduling.is_open
    assert reload(booked).is_cancelled
    assert kit.count_requests(CANCEL_AS_ATTENDEE) == 1


def test_a_repeated_reschedule_returns_the_first_and_another_target_is_refused(
    meetergo_sandbox, booked, move
):
    """A repeat has the same target. Another target would silently be ignored, so it is refused."""
    target, other = meetergo_sandbox.list_free_starts()[4:6]
    meetergo_sandbox.fail_next(MOVE_AS_HOST, "drop_before")
    first = move(booked, target)

    assert move(booked, target).pk == first.pk
    with pytest.raises(ChangeNotAllowed) as refusal:
        move(booked, other)
    assert refusal.value.reason == "change_in_progress"


def test_a_status_check_of_a_queued_cancel_reconciles_the_change_before_it(
    meetergo_sandbox, booked, cancel, move
):
    """“Check again” ends both without waiting for the workers."""
    kit = meetergo_sandbox
    kit.fail_next(MOVE_AS_HOST, "drop_after")
    move(booked, kit.list_free_starts()[4])
    cancelling = cancel(booked)

    for _ in range(2):
        refresh_change_status(change=cancelling, now=kit.now())
        cancelling.refresh_from_db()

    assert cancelling.state == "done"


@pytest.mark.parametrize(
    "failure", ["raises", "exits", "returns_none", "names_a_wrong_time", "gives_no_text"]
)
def test_a_broken_policy_forbids_and_says_whom_to_ask(booked, cancel, settings, failure, caplog):
    """No error page: the change is refused, the reason is logged."""
    settings.MEETERGO = {
        **settings.MEETERGO,
        "POLICY": f"tests.services.test_changes.policy_that_{failure}",
        "CONTACT": "Call 030 123.",
    }

    with pytest.raises(ChangeNotAllowed, match=r"Call 030 123\.") as refusal:
        cancel(booked, attendee=booked, by="attendee")

    assert refusal.value.reason == "policy_failed"
    assert "POLICY" in caplog.text


def policy_that_raises(action, attendee, now):
    raise KeyError(action)


def policy_that_exits(action, attendee, now):
    sys.exit(1)


def policy_that_names_a_wrong_time(action, attendee, now):
    return Decision(allowed=True, until="tomorrow")


def policy_that_gives_no_text(action, attendee, now):
    return Decision(allowed=False, reason=["late"])


def policy_that_returns_none(action, attendee, now):
    return None


def test_the_sentence_of_a_policy_is_kept(booked, cancel, settings):
    """A visitor reads the site's own words."""
    settings.MEETERGO = {
        **settings.MEETERGO,
        "POLICY": "tests.services.test_changes.policy_with_a_sentence",
    }

    with pytest.raises(ChangeNotAllowed, match="first visits"):
        cancel(booked, attendee=booked, by="attendee")


def policy_with_a_sentence(action, attendee, now):
    return Decision(False, reason="first_visit", message="Please call us to change first visits.")


def test_a_batch_of_cancels_wakes_the_workers_once(
    meetergo_sandbox, book, django_capture_on_commit_callbacks
):
    """One wake-up after the commit, however many changes were stored."""
    appointments = [
        book(start=start, attendee=AttendeeData(email=f"{number}@example.com", first_name="A")).attendee
        for number, start in enumerate(meetergo_sandbox.list_free_starts()[0:9:4])
    ]
    wake_ups = []

    def count(**kwargs):
        wake_ups.append(kwargs["skip_broker"])

    work_due.connect(count)
    with django_capture_on_commit_callbacks(execute=True):
        result = batches.cancel_appointments(
            appointments=[attendee.appointment for attendee in appointments],
            batch=uuid4(),
            now=meetergo_sandbox.now(),
        )

    assert len(result.changes) == 3
    assert wake_ups == [False]


def test_sending_a_batch_ends_within_seconds(meetergo_sandbox, book, monkeypatch):
    """What is left when the time is over is sent by the workers."""
    kit = meetergo_sandbox
    booked = [
        book(start=start, attendee=AttendeeData(email=f"{number}@example.com", first_name="A")).attendee
        for number, start in enumerate(kit.list_free_starts()[0:9:4])
    ]
    batch = uuid4()
    batches.cancel_appointments(
        appointments=[attendee.appointment for attendee in booked], batch=batch, now=kit.now()
    )
    monkeypatch.setattr(batches, "SEND_SECONDS", 0)

    assert batches.send_batch(batch=batch, now=kit.now()).ended == 0
    kit.run_due()
    assert batches.count_batch(batch=batch).done == 3


def test_one_place_in_a_group_can_be_cancelled(meetergo_sandbox, book, cancel):
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


def test_a_cancel_in_a_group_must_name_the_attendee_or_everybody(meetergo_sandbox, book, cancel):
    """Neither a person nor everybody is refused before anything is sent."""
    attendee = book("group-class").attendee

    with pytest.raises(InvalidRequest):
        cancel(attendee)

    assert meetergo_sandbox.count_requests(CANCEL_AS_HOST) == 0


def test_a_cancelled_appointment_cannot_be_rescheduled(meetergo_sandbox, booked, cancel, move):
    """The state applies to everybody, also to staff."""
    target = meetergo_sandbox.list_free_starts()[4]
    cancel(booked)

    with pytest.raises(ChangeNotAllowed) as refusal:
        move(booked, target)
    assert refusal.value.reason == "cancelled"


def test_the_sites_policy_applies_to_attendees_and_not_to_staff(meetergo_sandbox, booked, cancel, settings):
    """The policy is applied by the service function, not only by the page."""
    settings.MEETERGO = {**settings.MEETERGO, "POLICY": "tests.services.test_changes.refuse_all"}

    with pytest.raises(ChangeNotAllowed) as refusal:
        cancel(booked, attendee=booked, by="attendee")

    assert refusal.value.reason == "too_late"
    assert cancel(booked).state == "done"


def refuse_all(action, attendee, now):
    return Decision(allowed=False, until=now - timedelta(hours=1), reason="too_late")


def test_each_transition_leaves_one_event(meetergo_sandbox, booked, move, cancel):
    """Booked, moved, cancelled: one line each, however often it is read."""
    move(booked, meetergo_sandbox.list_free_starts()[4])
    cancel(booked)
    meetergo_sandbox.run_due(after=5)

    kinds = Event.objects.filter(appointment=booked.appointment_id).values_list("kind", flat=True)
    assert list(kinds) == ["appointment_booked", "appointment_rescheduled", "appointment_cancelled"]


def test_an_appointment_does_not_block_its_own_new_time(meetergo_sandbox, booked, move):
    """Moving by less than its own length is possible, and offered."""
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
