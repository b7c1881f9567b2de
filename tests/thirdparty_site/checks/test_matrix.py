"""Every row of the failure matrix that a service or a network can cause is one line of a test.

Each line is what a test does before it books; the states are those the site may be in afterwards, and in the
end nothing is double and nothing is lost.
"""

import pytest

from checks.visitors import book
from django_meetergo.models import Appointment, Booking
from django_meetergo.services import sync_appointments

pytestmark = pytest.mark.django_db

BOOKED, CHECKING = "confirmed", "unknown"
TAKEN, REFUSED, UNREACHABLE = "slot_taken", "refused", "unreachable"

#: Row, the line that causes it, the state or the reason at once, and in the end.
BOOKING = [
    ("F4 refused", lambda it: it.refuse_connections(), BOOKED, BOOKED),
    ("F4 refused for long", lambda it: it.refuse_connections(9), None, UNREACHABLE),
    ("F5 reset", lambda it: it.fail_next(kind="reset_after"), CHECKING, BOOKED),
    ("F5 timeout", lambda it: it.fail_next(kind="hang_after"), CHECKING, BOOKED),
    ("F5 not carried out", lambda it: it.fail_next(kind="drop_before"), CHECKING, "not_booked"),
    ("F5 500", lambda it: it.fail_next(kind="status_after", status=500), CHECKING, BOOKED),
    ("F5 cut", lambda it: it.fail_next(kind="cut"), CHECKING, BOOKED),
    ("F6 a page", lambda it: it.fail_next(kind="garbage"), CHECKING, BOOKED),
    ("F6 nothing", lambda it: it.fail_next(kind="empty"), CHECKING, BOOKED),
    ("F7 lost race", lambda it: it.fail_next(kind="occupy_slot"), TAKEN, TAKEN),
    ("F9 validation", lambda it: it.fail_next(kind="status_before", status=400), REFUSED, REFUSED),
    ("F10 key expired", lambda it: it.expire_key(), UNREACHABLE, UNREACHABLE),
    ("F11 too many requests", lambda it: it.fail_next(status=429, retry_after=1), None, BOOKED),
    ("F12 down", lambda it: it.go_down(), CHECKING, "not_booked"),
    ("F13 slow", lambda it: it.fail_next(kind="hang_before", seconds=30), CHECKING, "not_booked"),
    ("F16 cache flushed", lambda it: it.clear_availability(), BOOKED, BOOKED),
    ("F29 late", lambda it: it.fail_next(kind="delayed_apply", seconds=900), CHECKING, BOOKED),
]


@pytest.mark.parametrize(("cause", "at_once", "finally_"), [row[1:] for row in BOOKING],
                         ids=[row[0] for row in BOOKING])  # fmt: skip
def test_trouble_while_booking(meetergo_sandbox, cause, at_once, finally_):
    start = meetergo_sandbox.list_free_starts()[20]
    cause(meetergo_sandbox)
    booking = book(meetergo_sandbox, start=start)
    assert at_once in {None, booking.state, booking.reason}

    meetergo_sandbox.run_due(after=30)
    meetergo_sandbox.recover()
    meetergo_sandbox.run_until_idle()
    meetergo_sandbox.run_due(after=900, periodic=True)
    booking.refresh_from_db()
    assert finally_ in {booking.state, booking.reason}
    assert len(meetergo_sandbox.appointments_of(booking)) == (booking.state == BOOKED)


@pytest.mark.parametrize("after_sending", [True, False], ids=["K4 sent", "K3 not sent"])
def test_the_process_is_killed(meetergo_sandbox, after_sending):
    """F14 and F18: the next process finds out."""
    start = meetergo_sandbox.list_free_starts()[0]
    with meetergo_sandbox.kill_process(after_sending=after_sending):
        book(meetergo_sandbox, start=start)
    meetergo_sandbox.run_until_idle()
    booking = Booking.objects.get()
    assert booking.state == ("confirmed" if after_sending else "closed")
    assert len(meetergo_sandbox.appointments()) == after_sending


def test_a_repeat_is_the_same_booking(meetergo_sandbox):
    """F1: a double click."""
    start = meetergo_sandbox.list_free_starts()[0]
    one, two = (book(meetergo_sandbox, start=start, idempotency_key="form-1") for _ in range(2))
    assert (one.pk, len(meetergo_sandbox.appointments())) == (two.pk, 1)


def test_the_last_commit_is_lost(meetergo_sandbox):
    """F19: the appointment is found without its booking."""
    book(meetergo_sandbox)
    Appointment.objects.all().delete(), Booking.objects.all().delete()
    meetergo_sandbox.run_due(after=600, periodic=True)
    assert Appointment.objects.filter(remote_id=meetergo_sandbox.appointments()[0].id).exists()


@pytest.fixture
def mirrored(meetergo_sandbox):
    """A group appointment of the site, with its webhook registered."""
    meetergo_sandbox.register_webhook()
    booking = book(meetergo_sandbox, "group-class", nth=40)
    meetergo_sandbox.run_due(after=10)
    return booking.attendee.appointment


#: Row, and the line that causes it at the service; the site follows by webhook or by sync.
ELSEWHERE = [
    ("F21 webhook lost", lambda it, row: (it.cancel_elsewhere(row), it.lose_deliveries())),
    ("F22 disordered", lambda it, row: (it.cancel_elsewhere(row), it.deliver(duplicate=3, shuffle=True))),
    ("F24 flood", lambda it, row: (it.cancel_elsewhere(row), it.deliver(duplicate=40))),
    ("F26 one leaves", lambda it, row: it.cancel_elsewhere(row, attendee_id=row.attendees.get().remote_id)),
    ("F30 host cancels", lambda it, row: it.cancel_elsewhere(row)),
]  # fmt: skip


@pytest.mark.parametrize("cause", [row[1] for row in ELSEWHERE], ids=[row[0] for row in ELSEWHERE])
def test_changes_at_the_service_arrive(meetergo_sandbox, mirrored, cause):
    cause(meetergo_sandbox, mirrored)
    meetergo_sandbox.run_due(after=600, periodic=True)
    mirrored.refresh_from_db()
    attendee = mirrored.attendees.get()
    assert mirrored.is_cancelled or attendee.status == attendee.Status.REMOVED


def test_an_appointment_vanishes(meetergo_sandbox, mirrored):
    """F27: it is marked, never deleted."""
    meetergo_sandbox.delete_elsewhere(mirrored)
    sync_appointments(kind="full", now=meetergo_sandbox.travel(hours=1))
    meetergo_sandbox.run_due(after=600, periodic=True)
    mirrored.refresh_from_db()
    assert mirrored.missing_since


@pytest.mark.parametrize(
    "body", [{"webhookType": "booking_cancelled"}, {"unexpected": []}], ids=["F23", "F25"]
)
def test_a_forged_delivery_changes_nothing(meetergo_sandbox, mirrored, body):
    assert meetergo_sandbox.forge_delivery(**body, id=mirrored.remote_id) < 500
    meetergo_sandbox.run_due(after=600, periodic=True)
    mirrored.refresh_from_db()
    assert not mirrored.is_cancelled


@pytest.mark.parametrize(
    ("act", "reason"),
    [
        (lambda it, booking: it.confirm(booking), "confirmed"),
        (lambda it, booking: it.expire(booking), "lapsed"),
        (lambda it, booking: it.travel(days=2), "lapsed"),
    ],
    ids=["confirmed", "F28 lapsed", "F28 in time"],
)
def test_a_double_opt_in_ends(meetergo_sandbox, act, reason):
    booking = book(meetergo_sandbox, "checkup")
    act(meetergo_sandbox, booking)
    meetergo_sandbox.run_due(after=600, periodic=True)
    booking.refresh_from_db()
    assert reason in {booking.state, booking.reason}
