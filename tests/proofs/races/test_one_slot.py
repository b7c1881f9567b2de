"""What several visitors at once are promised."""

from __future__ import annotations

from collections import Counter

from django_meetergo.exceptions import StartNotOffered
from django_meetergo.models import Appointment, Booking, WebhookDelivery
from django_meetergo.services import scheduler
from django_meetergo.services.availability.alternatives import list_alternatives
from django_meetergo.services.booking.book import AttendeeData, book_appointment
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


def make_teller(book):
    """What somebody is told: state and reason of their booking or, a moment later, that the time is gone."""

    def tell(person):
        try:
            booking = book(person)
        except StartNotOffered:
            return "closed", "slot_taken"
        return booking.state, booking.reason

    return tell


def test_sixteen_people_want_one_time(live_meetergo_sandbox, at_once):
    """One is booked, fifteen are told with other times to choose from, and one POST has left."""
    kit = live_meetergo_sandbox
    start = kit.list_free_starts()[0]

    told = Counter(at_once(make_teller(make_booker(kit, start)), range(VISITORS)))

    assert told == {("confirmed", ""): 1, ("closed", "slot_taken"): VISITORS - 1}
    assert kit.posts() == 1
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


def test_one_form_is_submitted_by_two_tabs(live_meetergo_sandbox, at_once):
    """Two submissions of one form are one booking and one POST."""
    kit = live_meetergo_sandbox
    book = make_booker(kit, kit.list_free_starts()[0], idempotency_key="one-form")

    bookings = at_once(lambda _: book("jane"), range(8))

    assert len({booking.pk for booking in bookings}) == 1
    assert Booking.objects.count() == 1
    assert kit.posts() == 1


def test_the_last_seat_of_a_group(live_meetergo_sandbox, at_once):
    """The service decides who gets the last seats; nobody is told both things."""
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

    states = Counter(state for state, _ in at_once(make_teller(book), range(VISITORS)))

    assert states["confirmed"] == meeting_type.spots
    [appointment] = kit.appointments()
    assert len(appointment.attendees) == meeting_type.spots
    assert Appointment.objects.count() == 1


def test_several_ticks_at_once_do_each_thing_once(live_meetergo_sandbox, at_once):
    """Bookings that wait for the workers are sent once, however many workers look."""
    kit = live_meetergo_sandbox
    starts = kit.list_free_starts()
    for number, start in enumerate(starts[:6]):
        make_booker(kit, start, send=False)(number)

    at_once(lambda _: scheduler.run_due(kit.now(), periodic=False), range(4))

    assert set(Booking.objects.values_list("state", flat=True)) == {"confirmed"}
    assert kit.posts() == 6


def test_a_link_used_by_many_hands_cancels_once(live_meetergo_sandbox, at_once):
    """One change wins, the others are shown it."""
    kit = live_meetergo_sandbox
    booking = make_booker(kit, kit.list_free_starts()[0])("jane")
    appointment = booking.attendee.appointment

    changes = at_once(
        lambda _: cancel_appointment(appointment=appointment, client=kit.client(), now=kit.now()), range(8)
    )

    assert len({change.pk for change in changes}) == 1
    assert kit.posts("POST /v4/appointment/{id}/cancel") == 1


def test_answer_and_webhook_race_for_one_attendee(live_meetergo_sandbox, at_once, settings):
    """Whoever is first, there is one appointment with one attendee and one booking."""
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

        booking, *_ = at_once(act, ["book", "look", "look"])
        booking.refresh_from_db()
        assert (booking.state, booking.reason, booking.message) == ("confirmed", "", "")
        assert booking.attendee.appointment.attendees.count() == 1
    assert not WebhookDelivery.objects.filter(state="dead").exists()
