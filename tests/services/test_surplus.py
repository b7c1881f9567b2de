"""What one booking got twice is cancelled, and nothing else."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace

import pytest
from django.core import mail

from django_meetergo.models import (
    Appointment,
    AppointmentChange,
    Booking,
    Event,
)
from django_meetergo.sandbox import changes
from django_meetergo.services.changes.requests import cancel_appointment
from tests.services.conftest import sync
from tests.services.lost_answers import run_due_after

pytestmark = pytest.mark.django_db


def copy_at_service(kit, remote):
    """Make the same appointment a second time, as after a request that was duplicated on its way."""
    bookings = kit.sandbox.state
    return bookings.add_appointment(
        bookings.meeting_types[remote.meeting_type_id],
        host_ids=list(remote.host_ids),
        start=remote.start,
        minutes=30,
        attendees=[replace(attendee, id=f"{attendee.id}-2") for attendee in remote.attendees],
    )


@contextmanager
def renamed_at_service(kit, remote):
    """Let the service call an appointment, or the one that is made now, by a wrong id."""
    adapter = kit._get_adapter()
    sound = adapter.wsgi

    def rename(environ, start_response):
        body = b"".join(sound(environ, start_response))
        for one in kit.appointments():
            if remote is None or one is remote:
                body = body.replace(one.id.encode(), b"wrong" + one.id[5:].encode())
        return [body]

    adapter.wsgi = rename
    yield
    adapter.wsgi = sound


def test_a_surplus_appointment_of_one_booking_is_cancelled(meetergo_sandbox, book):
    """With the exact reference on both, the announced one stays and the other is cancelled."""
    kit = meetergo_sandbox
    booking = book()
    kit.run_due()
    [remote] = kit.appointments()
    copy_at_service(kit, remote)

    kit.reread_all()
    run_due_after(kit, 3, 3)

    [active] = kit.appointments()
    assert active.id == remote.id
    booking.refresh_from_db()
    assert booking.attendee.appointment.remote_id == remote.id
    assert AppointmentChange.objects.get().state == "done"


def test_nobody_is_mailed_about_a_surplus_appointment(meetergo_sandbox, book, settings):
    """A mail that the appointment is cancelled would be read as if the kept one were."""
    kit = meetergo_sandbox
    settings.MEETERGO = {**settings.MEETERGO, "SEND_MAIL": ["confirmed", "cancelled"]}
    book()
    kit.run_due()
    [remote] = kit.appointments()
    assert len(mail.outbox) == 1
    copy_at_service(kit, remote)

    kit.reread_all()
    run_due_after(kit, 3, 3, 3)

    assert AppointmentChange.objects.get().state == "done"
    assert Event.objects.filter(kind="appointment_cancelled").exclude(dispatched_at=None).count() == 1
    assert [message.subject.partition(":")[0] for message in mail.outbox] == ["Your appointment is booked"]


@pytest.mark.parametrize("slug", ["intro-call", "group-class"])
@pytest.mark.parametrize("landed", ["after the cancel", "while the cancel is unknown"])
def test_a_request_that_arrives_once_more_after_a_cancel_leaves_no_seat(meetergo_sandbox, book, slug, landed):
    """The network repeats the booking's request when its seat is free again."""
    kit = meetergo_sandbox
    kit.fail_next(kind="replay", seconds=60)
    booking = book(slug, start=kit.list_free_starts(slug)[-1])
    kit.run_due(after=8)
    booking.refresh_from_db()
    if landed == "while the cancel is unknown":
        kit.fail_next("POST *cancel*", kind="drop_after")
    cancel_appointment(
        appointment=booking.attendee.appointment,
        attendee=booking.attendee,
        now=kit.now(),
        client=kit.client(),
    )
    assert kit.appointments_of(booking) == []

    kit.travel(seconds=61)
    kit.sandbox.apply_due()
    assert len(kit.appointments_of(booking)) == 1
    kit.reread_all()
    run_due_after(kit)

    assert kit.appointments_of(booking) == []


@pytest.mark.parametrize("where", ["the answer", "a list"])
def test_an_appointment_that_was_once_read_under_a_wrong_id_is_kept(meetergo_sandbox, book, where):
    """What looks like a second one is the only one: the booking and its links lead to it."""
    kit = meetergo_sandbox
    if where == "a list":
        kit.fail_next(kind="drop_after")
        booking = book()
        [remote] = kit.appointments()
        with renamed_at_service(kit, remote):
            run_due_after(kit, 3)
    else:
        with renamed_at_service(kit, None):
            booking = book()
        [remote] = kit.appointments()
    booking.refresh_from_db()
    attendee = booking.attendee
    assert attendee.appointment.remote_id.startswith("wrong")

    kit.reread_all()
    run_due_after(kit, 3, 60, 60)

    assert [one.id for one in kit.appointments()] == [remote.id]
    attendee.refresh_from_db()
    assert (attendee.appointment.remote_id, attendee.remote_id) == (remote.id, remote.attendees[0].id)
    assert AppointmentChange.objects.get().outcome == "not_surplus"
    assert Appointment.objects.active().get().attendees.get() == attendee


def test_while_what_is_kept_cannot_be_read_nothing_is_cancelled_as_surplus(meetergo_sandbox, book):
    """The cancel waits until the other appointment has been read."""
    kit = meetergo_sandbox
    booking = book()
    kit.run_due()
    [remote] = kit.appointments()
    copy_at_service(kit, remote)
    kit.reread_all()
    kit.run_due(after=0)
    kit.fail_next("GET /v4/appointment/{id}", "status_before", times=-1, status=502)

    run_due_after(kit, 3, 3)
    assert len(kit.appointments()) == 2

    kit.recover()
    run_due_after(kit, 60, 60)
    assert [one.id for one in kit.appointments()] == [remote.id]
    assert Booking.objects.get() == booking


def test_a_surplus_of_a_cancelled_appointment_is_cancelled(meetergo_sandbox, book):
    """Somebody who cancelled keeps nothing, also when meetergo has deleted the appointment since."""
    kit = meetergo_sandbox
    booking = book()
    kit.run_due()
    [remote] = kit.appointments()
    attendee = booking.attendee
    cancel_appointment(
        appointment=attendee.appointment, attendee=attendee, client=kit.client(), now=kit.now(), by="attendee"
    )
    copy_at_service(kit, remote)
    kit.delete_elsewhere(remote)

    kit.reread_all()
    run_due_after(kit, 3, 60)

    assert kit.appointments() == []


def test_of_two_appointments_of_a_lost_answer_the_older_one_stays(meetergo_sandbox, book):
    """Nothing was announced yet: the first that was made is adopted."""
    kit = meetergo_sandbox
    kit.fail_next(kind="drop_after")
    booking = book()
    [remote] = kit.appointments()
    kit.travel(seconds=1)
    copy_at_service(kit, remote)

    run_due_after(kit, 3, 3)

    assert [one.id for one in kit.appointments()] == [remote.id]
    booking.refresh_from_db()
    assert booking.state == "confirmed"


def test_two_lookalikes_are_left_to_staff(meetergo_sandbox, book):
    """Without the reference nothing is cancelled automatically."""
    kit = meetergo_sandbox
    kit.sandbox.configure(hide_answers=True)
    kit.fail_next(kind="drop_after")
    booking = book()
    copy_at_service(kit, kit.appointments()[0])

    run_due_after(kit)

    booking.refresh_from_db()
    assert (booking.state, booking.reason) == ("unknown", "needs_staff")
    assert len(kit.appointments()) == 2
    assert not AppointmentChange.objects.exists()


def test_a_host_who_removes_one_of_two_leaves_the_other(kit, book):
    """Before this site knew of the second one. The booking keeps what is left."""
    booking = book()
    kit.run_due()
    [remote] = kit.appointments()
    second = copy_at_service(kit, remote)
    kit.cancel_elsewhere(remote)
    kit.reread_all()
    run_due_after(kit, 3, 3, 60, 60)
    assert [one.id for one in kit.appointments()] == [second.id]
    booking.refresh_from_db()
    assert booking.attendee.appointment.remote_id == second.id


def test_an_attendee_who_cancels_keeps_neither_of_two(kit, book):
    """Their cancel at meetergo is read together with what the booking keeps."""
    booking = book()
    kit.run_due()
    [remote] = kit.appointments()
    copy_at_service(kit, remote)
    changes.cancel(kit.sandbox.state, remote, source="attendee", by="attendee")
    sync(kit)
    run_due_after(kit, 3, 3, 60, 60)
    assert kit.appointments() == []
    booking.refresh_from_db()
    assert booking.attendee.appointment.remote_id == remote.id
