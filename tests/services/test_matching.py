"""Matching: which attendee of a group, and which appointment, belongs to which booking."""

from __future__ import annotations

from dataclasses import replace

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from django_meetergo.exceptions import BookingAlreadyOpen, InvalidRequest
from django_meetergo.models import (
    Appointment,
    AppointmentChange,
    Attendee,
    Booking,
    Connection,
    ErasedPerson,
    Event,
)
from django_meetergo.remote.payloads import AttendeePayload, BookingPayload
from django_meetergo.services import AttendeeData, book_appointment
from django_meetergo.services.booking import reconciliation
from django_meetergo.services.changes.requests import cancel_appointment
from django_meetergo.services.clients import build_client
from django_meetergo.services.matching import list_claimed_ids
from django_meetergo.services.privacy.erasure import erase_person

pytestmark = pytest.mark.django_db

GROUP = "group-class"
VERA = AttendeeData(email="vera@example.com", first_name="Vera", last_name="Holm")


@pytest.fixture
def kit(meetergo_sandbox):
    """A sandbox with a group type that may be booked with a phone number only."""
    kit = meetergo_sandbox
    meeting_type = kit.meeting_type(GROUP)
    meeting_type.allows_phone_only = True
    meeting_type.save()
    kit.sandbox.state.meeting_types[meeting_type.remote_id].allow_phone_only = True
    return kit


def book_seat(kit, attendee, **options):
    return book_appointment(
        meeting_type=kit.meeting_type(GROUP),
        start=kit.list_free_starts(GROUP)[0],
        attendee=attendee,
        client=kit.client(),
        now=kit.now(),
        **options,
    )


def book_elsewhere(kit, attendee):
    """Take a seat at meetergo itself, without a booking of this site."""
    meeting_type = kit.meeting_type(GROUP)
    payload = BookingPayload(
        meeting_type_id=meeting_type.remote_id,
        start=kit.list_free_starts(GROUP)[0],
        host_ids=tuple(meeting_type.host_ids),
        phone_only=not attendee.email,
        attendee=AttendeePayload(
            email=attendee.email,
            first_name=attendee.first_name,
            last_name=attendee.last_name,
            phone=attendee.phone,
        ),
    )
    kit.client().create_booking(payload)


def cancel_seat(kit, attendee):
    return cancel_appointment(
        appointment=attendee.appointment, attendee=attendee, client=kit.client(), now=kit.now()
    )


def reconcile_all(kit):
    kit.reread_all()
    for seconds in (0, 3, 6):
        kit.run_due(after=seconds)


def list_seats(kit):
    """Return the references of the seats at meetergo by attendee id; "" for seats booked elsewhere."""
    return {
        attendee.id: attendee.answers.get("Booking reference", "")
        for appointment in kit.appointments()
        for attendee in appointment.attendees
    }


@pytest.mark.parametrize("hides_answers", [False, True])
def test_a_seat_booked_elsewhere_is_not_matched_by_its_address(kit, hides_answers):
    """Another person who types Vera's address gets a seat of their own, and hers stays hers."""
    kit.sandbox.configure(hide_answers=hides_answers)
    book_elsewhere(kit, VERA)
    reconcile_all(kit)
    vera = Attendee.objects.get(email="vera@example.com")

    booking = book_seat(kit, replace(VERA, email="VERA@Example.com", first_name="Mallory"))
    reconcile_all(kit)

    booking.refresh_from_db()
    assert booking.attendee_id != vera.pk
    assert booking.attendee.remote_id not in {None, vera.remote_id}
    assert len(list_seats(kit)) == 2
    assert not AppointmentChange.objects.exists()


@pytest.mark.parametrize("hides_answers", [False, True])
def test_two_seats_under_one_address_are_two_attendees(kit, hides_answers):
    """A parent books twice; each cancel gives up its own seat."""
    kit.sandbox.configure(hide_answers=hides_answers)
    bookings = [book_seat(kit, VERA), book_seat(kit, VERA)]
    reconcile_all(kit)
    for booking in bookings:
        booking.refresh_from_db()
    first, second = (booking.attendee for booking in bookings)
    assert None not in {first.remote_id, second.remote_id}
    assert first.remote_id != second.remote_id
    assert first.appointment.attendees.count() == 2

    cancel_seat(kit, first)

    assert set(list_seats(kit)) == {second.remote_id}


@pytest.mark.parametrize("hides_answers", [False, True])
def test_phone_only_bookings_never_match_on_an_empty_address(kit, hides_answers):
    """Ann and Sue have no address; Ann's cancel leaves Sue's seat alone."""
    kit.sandbox.configure(hide_answers=hides_answers)
    book_elsewhere(kit, AttendeeData(first_name="Sue", phone="+49 30 222"))
    reconcile_all(kit)

    booking = book_seat(kit, AttendeeData(first_name="Ann", phone="+49 30 111"))
    reconcile_all(kit)

    booking.refresh_from_db()
    attendee = booking.attendee
    assert (attendee.first_name, attendee.phone) == ("Ann", "+49 30 111")
    cancel_appointment(
        appointment=attendee.appointment, attendee=attendee, client=kit.client(), now=kit.now()
    )
    [left] = [person for one in kit.appointments() for person in one.attendees]
    assert left.firstname == "Sue"


def test_a_seat_that_two_may_own_is_left_to_staff(kit, settings, mailoutbox):
    """Without references, an equal person who booked elsewhere meanwhile makes the seat uncertain."""
    settings.MEETERGO = {**settings.MEETERGO, "ALERT_EMAILS": ["desk@clinic.example"]}
    kit.sandbox.configure(hide_answers=True)
    booking = book_seat(kit, VERA)
    book_elsewhere(kit, VERA)

    reconcile_all(kit)

    booking.refresh_from_db()
    assert (booking.state, booking.reason) == ("confirmed", "needs_staff")
    assert booking.attendee.remote_id is None
    assert Event.objects.filter(kind="booking_needs_staff", booking=booking).count() == 1
    kit.run_due(after=5)
    [alert] = [message.body for message in mailoutbox if message.to == ["desk@clinic.example"]]
    assert "is booked, but meetergo does not show which place" in alert

    attendee = booking.attendee
    change = cancel_seat(kit, attendee)
    assert (change.state, change.outcome) == ("refused", "needs_staff")
    assert len(list_seats(kit)) == 2


@pytest.mark.parametrize("hides_answers", [False, True])
def test_a_seat_is_cancelled_before_its_first_re_read(kit, hides_answers):
    """The cancel reads the attendee's id first and gives up that seat only."""
    kit.sandbox.configure(hide_answers=hides_answers)
    book_elsewhere(kit, VERA)
    booking = book_seat(kit, replace(VERA, first_name="Ann"))
    attendee = booking.attendee
    assert attendee.remote_id is None

    change = cancel_seat(kit, attendee)

    assert change.state == "done"
    [left] = [person for one in kit.appointments() for person in one.attendees]
    assert left.firstname == "Vera"


def test_the_attendees_of_a_group_are_read_before_the_request_and_only_without_references(kit):
    """Where references are returned, a booking of a group costs no extra request."""
    booking = book_seat(kit, VERA)
    assert booking.attempts.get().known_attendee_ids == []
    reconcile_all(kit)
    assert Connection.objects.get().echoes_references is True

    again = book_seat(kit, replace(VERA, email="ann@example.com"))
    assert again.attempts.get().known_attendee_ids is None


PEOPLE = [
    AttendeeData(email=email, phone=phone, first_name=name, last_name="Holm")
    for email in ("", "a@example.com", "A@Example.com")
    for phone in ("", "+49 30 1")
    for name in ("Ann", "Sue")
    if email or phone
]
STEPS = ("book", "book", "lose the answer", "elsewhere", "reread", "erase")


@settings(
    max_examples=15,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)
@given(
    steps=st.lists(st.tuples(st.sampled_from(STEPS), st.sampled_from(PEOPLE)), min_size=2, max_size=6),
    hides_answers=st.booleans(),
    cancels=st.sets(st.integers(0, 3)),
)
def test_every_booking_keeps_its_own_seat(kit, steps, hides_answers, cancels):
    """Whatever addresses, phones and names collide: no booking is given, or cancels, another's seat."""
    start_example(kit, hides_answers)
    for step, person in steps:
        take_step(kit, step, person)
    reconcile_all(kit)
    seats = list_seats(kit)
    bookings = list(
        Booking.objects.exclude(attendee=None).select_related("attendee__appointment").order_by("pk")
    )
    for booking in bookings:
        assert seats.get(booking.attendee.remote_id) in {None, booking.reference}
    assert not AppointmentChange.objects.exists()

    chosen = [booking for number, booking in enumerate(bookings) if number in cancels]
    for booking in chosen:
        cancel_seat(kit, booking.attendee)
    reconcile_all(kit)
    cancelled = {seats[attendee_id] for attendee_id in set(seats) - set(list_seats(kit))}
    assert cancelled <= {booking.reference for booking in chosen}


def take_step(kit, step, person):
    if step == "elsewhere":
        book_elsewhere(kit, person)
    elif step == "reread":
        reconcile_all(kit)
    elif step == "erase":
        erase_person(email=person.email or "a@example.com", now=kit.now())
    else:
        if step == "lose the answer":
            kit.fail_next(kind="drop_after")
        try:
            book_seat(kit, person)
        except BookingAlreadyOpen:
            kit.sandbox.faults.clear()


def start_example(kit, hides_answers):
    """Empty the tables and the sandbox of what the last example left."""
    for model in (AppointmentChange, Event, Booking, Attendee, Appointment, ErasedPerson):
        model.objects.all().delete()
    Connection.objects.update(echoes_references=None)
    for appointment in kit.appointments(active=False):
        kit.sandbox.state.delete_appointment(appointment.id)
    kit.sandbox.faults.clear()
    kit.clear_availability()
    kit.sandbox.configure(hide_answers=hides_answers)


def test_a_client_of_another_connection_is_refused(kit, settings):
    """Its credential would book in another account."""
    settings.MEETERGO = {
        **settings.MEETERGO,
        "CONNECTIONS": {"other": {"API_KEY": "rgo-another-key-of-another-company"}},
    }
    with pytest.raises(InvalidRequest) as refusal:
        book_appointment(
            meeting_type=kit.meeting_type(),
            start=kit.list_free_starts()[0],
            attendee=VERA,
            client=build_client("other", "write"),
            now=kit.now(),
        )
    assert refusal.value.field == "client"
    assert not Booking.objects.exists()


def list_statements(captured, beginning):
    """Return the statements that begin so, whatever the quotes of the database."""
    texts = [query["sql"].replace("`", "").replace('"', "") for query in captured]
    return [text for text in texts if text.startswith(beginning)]


def test_the_attendees_of_one_appointment_are_found_by_the_index_of_its_id(kit):
    """It holds the appointment's connection; by the attendee's own, every attendee would be read."""
    with CaptureQueriesContext(connection) as captured:
        list_claimed_ids("default", "x")

    [text] = list_statements(captured, "SELECT")
    assert "meetergo_appointment.connection = " in text


def test_a_lease_is_renewed_by_the_key_of_its_row(kit, book, monkeypatch):
    """Its token has no index."""
    monkeypatch.setattr(
        reconciliation.LeaseRenewal, "renew_if_due", lambda self: self.rows.update(lease_until=kit.now())
    )
    kit.fail_next(kind="drop_after")
    booking = book()

    with CaptureQueriesContext(connection) as captured:
        reconciliation.reconcile_booking(booking=booking, client=kit.client(), now=kit.travel(seconds=5))

    renewals = list_statements(captured, "UPDATE meetergo_booking SET lease_until")
    assert renewals
    assert all("meetergo_booking.id = " in text for text in renewals)
