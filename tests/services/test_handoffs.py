"""What handing over an appointment to another host promises."""

from __future__ import annotations

import pytest

from django_meetergo.exceptions import ChangeNotAllowed, InvalidRequest
from django_meetergo.models import Appointment, Event, Host
from django_meetergo.services.changes.colleagues import find_colleagues
from django_meetergo.services.changes.requests import (
    cancel_appointment,
    handoff_appointment,
    reschedule_appointment,
)
from django_meetergo.services.webhooks.receive import DEBOUNCE
from django_meetergo.signals import appointment_handed_over

pytestmark = pytest.mark.django_db

HAND_OVER = "POST /v4/handoff/appointment"


@pytest.fixture
def appointment(meetergo_sandbox, book):
    """An appointment of Anna."""
    booking = book()
    meetergo_sandbox.run_due()
    return Appointment.objects.get(pk=booking.attendee.appointment_id)


def find_host(name):
    return Host.objects.get(name__startswith=name)


@pytest.fixture
def hand_over(meetergo_sandbox):
    def hand_over(appointment, name, **options):
        kit = meetergo_sandbox
        return handoff_appointment(
            appointment=Appointment.objects.get(pk=appointment.pk),
            host=find_host(name), client=kit.client(), now=kit.now(), **options,
        )  # fmt: skip

    return hand_over


def list_hosts(appointment):
    return [host.name.split()[0] for host in Appointment.objects.get(pk=appointment.pk).hosts.all()]


def occupy(kit, appointment, slug):
    """Book the appointment's time with the host of another type."""
    kit.occupy_slot(appointment.start, slug)


def test_an_appointment_is_handed_over_and_keeps_its_time_and_id(meetergo_sandbox, appointment, hand_over):
    """Both sides name the new host; the change is done after a re-read only."""
    assert list_hosts(appointment) == ["Anna"]

    change = hand_over(appointment, "Ben")

    after = Appointment.objects.get(pk=appointment.pk)
    assert (change.state, change.kind) == ("done", "handoff")
    assert (after.start, after.remote_id) == (appointment.start, appointment.remote_id)
    assert list_hosts(appointment) == ["Ben"]
    (served,) = meetergo_sandbox.appointments()
    assert served.host_ids == [find_host("Ben").remote_id]


def test_a_host_who_is_not_free_is_refused_and_the_appointment_keeps_its_host(
    meetergo_sandbox, appointment, hand_over
):
    occupy(meetergo_sandbox, appointment, "consultation")

    change = hand_over(appointment, "Ben")

    assert (change.state, change.outcome) == ("refused", "slot_taken")
    assert list_hosts(appointment) == ["Anna"]
    assert change.open_change_key is None


@pytest.mark.parametrize("kind", ["drop_after", "drop_before"])
def test_a_handoff_with_a_lost_answer_is_sent_again_only_when_it_was_not_carried_out(
    meetergo_sandbox, appointment, hand_over, kind
):
    """Whatever was lost, the colleague holds the appointment in the end."""
    meetergo_sandbox.fail_next(HAND_OVER, kind)
    change = hand_over(appointment, "Ben")
    assert change.state == "unknown"

    for _ in range(6):
        meetergo_sandbox.run_due(after=40)

    change.refresh_from_db()
    assert change.state == "done"
    assert list_hosts(appointment) == ["Ben"]
    assert meetergo_sandbox.count_requests(HAND_OVER) == (1 if kind == "drop_after" else 2)


@pytest.mark.parametrize("kind", ["drop_after", "drop_before"])
def test_a_handoff_with_a_lost_answer_does_not_undo_what_others_did_meanwhile(
    meetergo_sandbox, appointment, hand_over, kind
):
    """Somebody gives the appointment to a third host before it is read again."""
    kit = meetergo_sandbox
    kit.fail_next(HAND_OVER, kind)
    change = hand_over(appointment, "Ben")
    kit.hand_over(appointment, find_host("Clara"))
    for _ in range(10):
        kit.run_due(after=40)

    change.refresh_from_db()
    assert (change.state, change.outcome) == ("refused", "unverified")
    assert list_hosts(appointment) == ["Clara"]
    assert kit.count_requests(HAND_OVER) == 1


def test_a_repeated_handoff_is_one_and_another_host_is_refused(meetergo_sandbox, appointment, hand_over):
    meetergo_sandbox.fail_next(HAND_OVER, "drop_before")
    first = hand_over(appointment, "Ben")

    assert hand_over(appointment, "Ben").pk == first.pk
    with pytest.raises(ChangeNotAllowed) as refusal:
        hand_over(appointment, "Clara")
    assert refusal.value.reason == "change_in_progress"
    for _ in range(6):
        meetergo_sandbox.run_due(after=40)
    assert hand_over(appointment, "Ben").pk == first.pk
    assert list_hosts(appointment) == ["Ben"]


def test_a_cancel_waits_for_a_handoff_and_a_reschedule_is_refused(meetergo_sandbox, appointment, hand_over):
    kit = meetergo_sandbox
    kit.fail_next(HAND_OVER, "drop_after")
    hand_over(appointment, "Ben")
    options = {"client": kit.client(), "now": kit.now()}

    with pytest.raises(ChangeNotAllowed):
        reschedule_appointment(appointment=appointment, start=kit.list_free_starts()[4], **options)
    cancelling = cancel_appointment(appointment=appointment, **options)

    assert cancelling.state == "received"
    for _ in range(10):
        kit.run_due(after=40)
    assert Appointment.objects.get(pk=appointment.pk).is_cancelled


def test_a_handoff_that_cannot_succeed_sends_nothing(meetergo_sandbox, appointment, hand_over):
    """To the present host, to a host of another connection, and of a cancelled appointment."""
    kit = meetergo_sandbox
    with pytest.raises(InvalidRequest, match="the host already"):
        hand_over(appointment, "Anna")
    Host.objects.create(connection="other", remote_id="x", name="Zoe")
    with pytest.raises(InvalidRequest, match="not a host of this appointment's account"):
        hand_over(appointment, "Zoe")
    cancel_appointment(appointment=appointment, client=kit.client(), now=kit.now())
    with pytest.raises(ChangeNotAllowed):
        hand_over(appointment, "Ben")

    assert kit.count_requests(HAND_OVER) == 0


def test_receivers_are_told_once_with_the_former_hosts(meetergo_sandbox, appointment, hand_over):
    """Whether this site handed it over or somebody at meetergo did, and back again."""
    told = []

    def receive(appointment, previous_hosts, **others):
        told.append(([host.name.split()[0] for host in previous_hosts], list_hosts(appointment)))

    appointment_handed_over.connect(receive)
    try:
        hand_over(appointment, "Ben")
        meetergo_sandbox.run_due()
        client = meetergo_sandbox.client()
        client.handoff_appointment(appointment.remote_id, user_id=find_host("Anna").remote_id)
        for _ in range(2):
            meetergo_sandbox.reread_all()
            meetergo_sandbox.run_due(after=DEBOUNCE.total_seconds())
    finally:
        appointment_handed_over.disconnect(receive)

    assert told == [(["Anna"], ["Ben"]), (["Ben"], ["Anna"])]
    assert Event.objects.filter(kind="appointment_handed_over").count() == 2


def test_the_colleagues_who_are_free_come_first(meetergo_sandbox, appointment):
    """Of one appointment without its own host; who is busy is named with the time."""
    occupy(meetergo_sandbox, appointment, "consultation")

    found = find_colleagues(appointments=[appointment], now=meetergo_sandbox.now())

    by_name = {one.host.name.split()[0]: one.busy for one in found}
    assert by_name["Ben"] == [appointment.start]
    assert by_name["Clara"] == []
    assert "Anna" not in by_name
    assert found[0].busy == []


@pytest.mark.parametrize("fault", ["status_before", "drop_before"])
def test_who_is_free_is_unknown_when_meetergo_does_not_answer(meetergo_sandbox, appointment, fault):
    meetergo_sandbox.fail_next("GET /v4/handoff/available-handoffs", fault, times=5)

    assert find_colleagues(appointments=[appointment], now=meetergo_sandbox.now()) is None
