"""Concurrent bookings of one slot, one form, one group and one link."""

from __future__ import annotations

from collections import Counter

from django_meetergo.exceptions import StartNotOffered
from django_meetergo.models import Appointment, Booking, WebhookDelivery
from django_meetergo.services import AttendeeData, book_appointment, scheduler
from django_meetergo.services.availability.alternatives import list_alternatives
from django_meetergo.services.changes.requests import cancel_appointment

VISITORS = 16


def make_booker(kit, start, **options):
    meeting_type = kit.meeting_type()

    def book(person):
        return book_appointment(
            meeting_type=meeting_type,
            start=start,
            attendee=AttendeeData(email=f"{person}@example.com", first_name="Person", last_name=str(person)),
            client=kit.client(),
            now=kit.now(),
            **options,
        )

    return book


def describe_result(book):
    """Return state and reason of a booking; a slot that is no longer offered counts as taken."""

    def describe(person):
        try:
            booking = book(person)
        except StartNotOffered:
            return "closed", "slot_taken"
        return booking.state, booking.reason

    return describe


def test_one_of_sixteen_visitors_gets_the_slot(live_meetergo_sandbox, at_once):
    """One is booked, fifteen get slot_taken and alternatives, and one POST was sent."""
    kit = live_meetergo_sandbox
    start = kit.list_free_starts()[0]

    results = Counter(at_once(describe_result(make_booker(kit, start)), range(VISITORS)))

    assert results == {("confirmed", ""): 1, ("closed", "slot_taken"): VISITORS - 1}
    assert kit.count_requests() == 1
    assert len(kit.appointments()) == Appointment.objects.count() == 1
    others = list_alternatives(
        meeting_type=kit.meeting_type(),
        start=start,
        duration=kit.meeting_type().duration,
        zone=kit.zone,
        client=kit.client("view"),
        now=kit.now(),
    )
    assert len(others) == 4
    assert start not in [free.start for free in others]


def test_one_form_submitted_by_several_tabs_is_one_booking(live_meetergo_sandbox, at_once):
    """Two submissions of one form are one booking and one POST."""
    kit = live_meetergo_sandbox
    book = make_booker(kit, kit.list_free_starts()[0], idempotency_key="one-form")

    bookings = at_once(lambda _: book("jane"), range(8))

    assert len({booking.pk for booking in bookings}) == 1
    assert Booking.objects.count() == 1
    assert kit.count_requests() == 1


def test_a_group_is_booked_up_to_its_last_seat(live_meetergo_sandbox, at_once):
    """meetergo decides who gets the last seats; each booking has one result."""
    kit = live_meetergo_sandbox
    meeting_type = kit.meeting_type("group-class")
    start = kit.list_free_starts("group-class")[0]

    def book(person):
        return book_appointment(
            meeting_type=meeting_type,
            start=start,
            attendee=AttendeeData(email=f"{person}@example.com", first_name="Person"),
            client=kit.client(),
            now=kit.now(),
        )

    states = Counter(state for state, _ in at_once(describe_result(book), range(VISITORS)))

    assert states["confirmed"] == meeting_type.spots
    [appointment] = kit.appointments()
    assert len(appointment.attendees) == meeting_type.spots
    assert Appointment.objects.count() == 1


def test_several_workers_send_each_booking_once(live_meetergo_sandbox, at_once):
    """Bookings that wait for the workers are sent once, however many workers run."""
    kit = live_meetergo_sandbox
    starts = kit.list_free_starts()
    for number, start in enumerate(starts[:6]):
        make_booker(kit, start, send=False)(number)

    at_once(lambda _: scheduler.run_due(kit.now(), periodic=False), range(4))

    assert set(Booking.objects.values_list("state", flat=True)) == {"confirmed"}
    assert kit.count_requests() == 6


def test_a_link_used_many_times_at_once_cancels_once(live_meetergo_sandbox, at_once):
    """One change is stored, and every call returns it."""
    kit = live_meetergo_sandbox
    booking = make_booker(kit, kit.list_free_starts()[0])("jane")
    appointment = booking.attendee.appointment

    changes = at_once(
        lambda _: cancel_appointment(appointment=appointment, client=kit.client(), now=kit.now()), range(8)
    )

    assert len({change.pk for change in changes}) == 1
    assert kit.count_requests("POST /v4/appointment/{id}/cancel") == 1


def test_answer_and_webhook_at_once_store_one_attendee(live_meetergo_sandbox, at_once, settings):
    """Whichever comes first, there is one appointment with one attendee and one booking."""
    kit = live_meetergo_sandbox
    settings.MEETERGO = {**settings.MEETERGO, "REQUESTS_PER_MINUTE": 1000}
    for round_number, start in enumerate(kit.list_free_starts()[:4]):
        kit.fail_next(kind="slow", seconds=0.05)
        book = make_booker(kit, start)

        def act(what, book=book, number=round_number):
            if what == "book":
                return book(number)
            for _ in range(8):
                kit.reread_all()
                scheduler.run_due(kit.now(), periodic=False)
            return None

        booking, *_ = at_once(act, ["book", "reread", "reread"])
        booking.refresh_from_db()
        assert (booking.state, booking.reason, booking.message) == ("confirmed", "", "")
        assert booking.attendee.appointment.attendees.count() == 1
    assert not WebhookDelivery.objects.filter(state="dead").exists()
