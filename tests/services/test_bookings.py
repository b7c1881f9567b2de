"""Booking: what a caller of ``submit_request`` gets in each case."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from django.db import IntegrityError, OperationalError, transaction

from django_meetergo.exceptions import (
    BookingAlreadyOpen,
    IdempotencyKeyReused,
    InvalidRequest,
    MeetingTypeUnavailable,
    StartNotOffered,
)
from django_meetergo.models import Appointment, Attendee, Booking, BookingAttempt, Event, MeetingType
from django_meetergo.services.availability import refresh, store
from django_meetergo.services.booking import book as book_module
from django_meetergo.services.booking.book import AttendeeData
from django_meetergo.services.booking.sending import close_unsent
from django_meetergo.visitors import Visitor
from tests.free_times import list_starts_of_a_full_week
from tests.services.conftest import sync

pytestmark = pytest.mark.django_db

BROWSER = Visitor(person="a browser")


def test_a_confirmed_booking_has_one_appointment_here_and_at_meetergo(meetergo_sandbox, book):
    """The mirror has the appointment that meetergo has, and one request was sent."""
    booking = book()

    assert (booking.state, booking.reason) == ("confirmed", "")
    [remote] = meetergo_sandbox.appointments_of(booking)
    assert booking.attendee.appointment.remote_id == remote.id
    assert booking.attendee.appointment.start == booking.start
    assert meetergo_sandbox.count_requests() == 1


def test_the_first_reread_fills_in_what_the_answer_left_out(meetergo_sandbox, book):
    """Attendee id, host and link come from a re-read that is due at once."""
    booking = book()
    assert booking.attendee.remote_id is None

    meetergo_sandbox.run_due()

    booking.attendee.refresh_from_db()
    appointment = booking.attendee.appointment
    appointment.refresh_from_db()
    assert booking.attendee.remote_id
    assert appointment.meeting_link.startswith("https://")
    assert [host.name for host in appointment.hosts.all()]
    assert appointment.attendees.count() == 1


def test_a_lost_answer_is_reconciled_by_reading_and_never_sent_again(meetergo_sandbox, book):
    """The appointment of a lost answer is found in the list and adopted."""
    meetergo_sandbox.fail_next(kind="drop_after")
    booking = book()
    assert booking.state == "unknown"

    meetergo_sandbox.run_due(after=3)

    booking.refresh_from_db()
    assert booking.state == "confirmed"
    assert meetergo_sandbox.count_requests() == 1
    assert len(meetergo_sandbox.appointments_of(booking)) == 1


def test_a_lost_request_is_closed_as_not_booked_after_two_complete_reads(meetergo_sandbox, book):
    """The booking stays unknown until its deadline and is then closed."""
    meetergo_sandbox.fail_next(kind="drop_before")
    booking = book()

    for seconds in (3, 20, 60):
        meetergo_sandbox.run_due(after=seconds)
        booking.refresh_from_db()
        assert booking.state == "unknown"
    meetergo_sandbox.run_due(after=60)

    booking.refresh_from_db()
    assert (booking.state, booking.reason) == ("closed", "not_booked")
    assert booking.open_booking_key is None
    assert meetergo_sandbox.count_requests() == 1
    assert meetergo_sandbox.appointments() == []


@pytest.mark.parametrize("kind", ["garbage", "empty", "status_after", "hang_after"])
def test_an_unreadable_answer_is_reconciled(meetergo_sandbox, book, kind):
    """Garbage, silence and a 5xx after the booking was made all end with the appointment that was made."""
    options = {"status": 500} if kind == "status_after" else {}
    meetergo_sandbox.fail_next(kind=kind, **options)
    booking = book()
    assert booking.state == "unknown"

    meetergo_sandbox.run_due(after=3)

    booking.refresh_from_db()
    assert booking.state == "confirmed"
    assert meetergo_sandbox.count_requests() == 1


def test_incomplete_reads_are_left_to_staff_and_never_called_not_booked(meetergo_sandbox, book):
    """Without a complete read nothing is proven."""
    meetergo_sandbox.fail_next(kind="drop_after")
    booking = book()
    meetergo_sandbox.fail_next("GET /v4/appointment/paginated", kind="status_before", status=500, times=-1)

    for _ in range(30):
        meetergo_sandbox.run_due(after=30)
    booking.refresh_from_db()

    assert (booking.state, booking.reason) == ("unknown", "needs_staff")


def test_a_taken_slot_closes_the_booking_at_once(meetergo_sandbox, book):
    """The booking is closed as slot_taken and no appointment exists."""
    meetergo_sandbox.fail_next(kind="occupy_slot")

    booking = book()

    assert (booking.state, booking.reason) == ("closed", "slot_taken")
    assert meetergo_sandbox.appointments_of(booking) == []


def test_a_second_visitor_of_a_booked_slot_costs_no_request(meetergo_sandbox, book):
    """The mirror's active appointment of the host at that start is enough to close the booking."""
    kit = meetergo_sandbox
    first = book()
    # meetergo offers the slot again, and the mirror does not know that yet.
    kit.client().cancel_appointment(first.attendee.appointment.remote_id)
    kit.clear_availability()

    second = book(start=first.start, attendee=AttendeeData(email="john@example.com", first_name="John"))

    assert (second.state, second.reason) == ("closed", "slot_taken")
    assert kit.count_requests() == 1


def test_the_same_form_twice_is_one_booking(meetergo_sandbox, book):
    """A repeat with the same idempotency key returns the first booking and sends nothing."""
    start = meetergo_sandbox.list_free_starts()[0]
    first = book(start=start, idempotency_key="one-form")
    second = book(start=start, idempotency_key="one-form")

    assert first.pk == second.pk
    assert meetergo_sandbox.count_requests() == 1


def test_the_same_key_with_other_content_is_refused(meetergo_sandbox, book):
    """An idempotency key belongs to one request."""
    starts = meetergo_sandbox.list_free_starts()
    first = book(start=starts[0], idempotency_key="one-form")

    with pytest.raises(IdempotencyKeyReused) as refusal:
        book(start=starts[5], idempotency_key="one-form")

    assert refusal.value.booking == first
    assert meetergo_sandbox.count_requests() == 1


def test_a_person_has_one_open_booking_per_meeting_type(meetergo_sandbox, book):
    """While the first is unknown, another choice is refused before anything is sent."""
    meetergo_sandbox.fail_next(kind="drop_after")
    first = book(visitor=BROWSER)

    with pytest.raises(BookingAlreadyOpen) as refusal:
        book(start=meetergo_sandbox.list_free_starts()[7], visitor=BROWSER)

    assert refusal.value.booking == first
    assert meetergo_sandbox.count_requests() == 1


def test_a_request_that_was_not_carried_out_is_sent_twice_and_then_closed(meetergo_sandbox, book):
    """A 429 is not carried out; after two attempts the booking is closed as unreachable."""
    meetergo_sandbox.fail_next(kind="status_before", status=429, retry_after=15, times=5)

    booking = book()

    assert (booking.state, booking.reason) == ("closed", "unreachable")
    assert set(booking.attempts.values_list("outcome", flat=True)) == {"not_sent"}


def test_a_deferred_booking_is_sent_when_the_service_is_back(meetergo_sandbox, book, settings):
    """With the attendee's consent the booking waits and is sent later."""
    settings.MEETERGO = {**settings.MEETERGO, "DEFER_WHEN_DOWN": True}
    meetergo_sandbox.fail_next(kind="status_before", status=429, retry_after=15)

    booking = book(defer_consent=True)
    assert (booking.state, booking.reason) == ("received", "deferred")

    meetergo_sandbox.clear_availability()  # the 429 blocked the rate limiter
    meetergo_sandbox.run_due(after=30)
    booking.refresh_from_db()
    assert booking.state == "confirmed"


def test_a_refusal_is_stored_with_its_fields(meetergo_sandbox, book):
    """A refusal closes the booking; meetergo's messages are stored for the page."""
    body = '{"message": "Validation failed", "errors": [{"field": "email", "message": "Bad"}]}'
    meetergo_sandbox.fail_next(kind="status_before", status=400, body=body)

    booking = book()

    assert (booking.state, booking.reason) == ("closed", "refused")
    assert booking.field_errors == {"email": "Bad"}


@pytest.mark.parametrize(("slug", "reason"), [("checkup", "attendee"), ("second-opinion", "host")])
def test_a_provisional_booking_is_pending_until_it_is_confirmed(meetergo_sandbox, book, slug, reason):
    """It becomes confirmed when there is an appointment, and not before."""
    booking = book(slug)
    assert (booking.state, booking.reason) == ("pending", reason)

    accept = meetergo_sandbox.confirm if reason == "attendee" else meetergo_sandbox.approve
    accept(booking)
    meetergo_sandbox.run_due(after=90)

    booking.refresh_from_db()
    assert booking.state == "confirmed"
    assert booking.attendee.appointment.start == booking.start


@pytest.mark.parametrize(
    ("slug", "ending", "reason"),
    [("checkup", "expire", "lapsed"), ("second-opinion", "decline", "declined")],
)
def test_a_provisional_booking_that_ends_is_closed_with_its_reason(
    meetergo_sandbox, book, slug, ending, reason
):
    """Lapsed and declined are different reasons."""
    booking = book(slug)

    getattr(meetergo_sandbox, ending)(booking)
    meetergo_sandbox.run_due(after=90)

    booking.refresh_from_db()
    assert (booking.state, booking.reason) == ("closed", reason)


def test_queue_and_group_types_are_booked_too(meetergo_sandbox, book):
    """A queue chooses a host; a seat of a group is taken."""
    queued, group = book("next-therapist"), book("group-class")

    assert queued.state == group.state == "confirmed"


def test_answers_and_length_reach_the_service(meetergo_sandbox, book):
    """Custom fields arrive under their own names, beside the reference."""
    meeting_type = meetergo_sandbox.meeting_type("consultation")
    booking = book("consultation", duration=meeting_type.durations[-1], custom_fields={"topic": "Knee"})

    [remote] = meetergo_sandbox.appointments_of(booking)
    assert remote.attendees[0].answers["topic"] == "Knee"
    assert booking.attendee.custom_fields == {"topic": "Knee"}
    assert booking.attendee.appointment.duration == timedelta(minutes=meeting_type.durations[-1])


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"start": datetime(2020, 1, 1, tzinfo=UTC)}, "start"),
        ({"start": datetime(2030, 1, 1)}, "start"),  # noqa: DTZ001 - naive is the point
        ({"duration": 47}, "duration"),
        ({"channel": "carrier-pigeon"}, "channel"),
        ({"attendee": AttendeeData(email="jane@example.com")}, "first_name"),
        ({"attendee": AttendeeData(first_name="Jane")}, "email"),
        ({"attendee": AttendeeData(first_name="J" * 200, email="j@example.com")}, "first_name"),
        ({"attendee": AttendeeData(first_name="J\nBcc: x", email="j@example.com")}, "first_name"),
        (
            {
                "attendee": AttendeeData(
                    first_name="Jane",
                    email="j@example.com",
                    other_emails=[f"guest{number}@b.example" for number in range(6)],
                )
            },
            "other_emails",
        ),
        ({"custom_fields": {"topic": "x" * 2001}}, "custom_fields"),
        # Some databases refuse what others store.
        ({"custom_fields": {"weight": float("nan")}}, "custom_fields"),
        ({"custom_fields": {"topic": ["knee\x00"]}}, "custom_fields"),
        ({"custom_fields": {"topic\ud800": "knee"}}, "custom_fields"),
        ({"custom_fields": {"topic": {(1, 2): "knee"}}}, "custom_fields"),
        ({"custom_fields": {"topic": {1: "knee", "left": "knee"}}}, "custom_fields"),
        ({"attendee": AttendeeData(first_name="J\x00ane", email="j@example.com")}, "first_name"),
        ({"attendee": AttendeeData(first_name="Jane", phone="030\ud800")}, "phone"),
        ({"attendee": AttendeeData(first_name="Jane", language="x" * 17)}, "language"),
        ({"idempotency_key": "k" * 65}, "idempotency_key"),
        ({"idempotency_key": "k\x00"}, "idempotency_key"),
        ({"location": "Mars"}, "location"),
        # Years that do not exist in every time zone.
        ({"start": datetime(9999, 12, 31, 23, 59, tzinfo=timezone(timedelta(hours=-12)))}, "start"),
        ({"start": datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=14)))}, "start"),
    ],
)
def test_what_cannot_be_right_is_refused_by_name_before_anything_is_stored(
    meetergo_sandbox, book, change, field
):
    """The exception names the argument; nothing is stored or sent."""
    meetergo_sandbox.meeting_type()

    with pytest.raises(InvalidRequest) as refusal:
        book(**change)

    assert refusal.value.field == field
    assert Booking.objects.count() == meetergo_sandbox.count_requests() == 0


def test_a_call_by_phone_needs_a_number(meetergo_sandbox, book):
    """As on the page, where the form requires one."""
    meeting_type = meetergo_sandbox.meeting_type()
    MeetingType.objects.filter(pk=meeting_type.pk).update(channel="phone")

    with pytest.raises(InvalidRequest) as refusal:
        book()

    assert refusal.value.field == "phone"


def test_a_row_that_the_database_refuses_ends_in_one_error(meetergo_sandbox, book, monkeypatch):
    """An integrity error that is no conflict with another booking is not tried again and again."""
    saves = []

    def refuse(booking, **options):
        saves.append(booking)
        raise IntegrityError("a constraint of the site's own")

    monkeypatch.setattr(Booking, "save", refuse)
    with pytest.raises(IntegrityError):
        book()

    assert len(saves) == 3
    assert meetergo_sandbox.count_requests() == 0


def test_an_unlisted_start_is_refused(meetergo_sandbox, book):
    """A start must be one that meetergo offers."""
    start = meetergo_sandbox.list_free_starts()[0] + timedelta(minutes=7)

    with pytest.raises(StartNotOffered):
        book(start=start)

    assert Booking.objects.count() == meetergo_sandbox.count_requests() == 0


def test_a_disabled_meeting_type_cannot_be_booked(meetergo_sandbox, book):
    """``enabled`` binds every caller."""
    start = meetergo_sandbox.list_free_starts()[0]
    meeting_type = meetergo_sandbox.meeting_type()
    meeting_type.enabled = False
    meeting_type.save()

    with pytest.raises(MeetingTypeUnavailable):
        book(start=start)


def test_every_post_has_a_committed_attempt(meetergo_sandbox, book):
    """Each POST has an attempt with its outcome."""
    book()

    [attempt] = BookingAttempt.objects.all()
    assert (attempt.number, attempt.outcome) == (1, "confirmed")
    assert attempt.ended_at >= attempt.sent_at


def test_a_booking_leaves_its_events_once(meetergo_sandbox, book):
    """Answer, re-read and webhook of one appointment leave one event."""
    meetergo_sandbox.register_webhook()
    book()
    meetergo_sandbox.deliver(duplicate=2)
    meetergo_sandbox.run_due(after=5)

    kinds = list(Event.objects.values_list("kind", flat=True))
    assert sorted(kinds) == ["appointment_booked", "booking_received"]
    assert Appointment.objects.count() == 1


def test_one_address_has_a_limited_number_of_future_appointments(meetergo_sandbox, book, settings):
    """``MAX_FUTURE_APPOINTMENTS`` is the site's limit."""
    settings.MEETERGO = {**settings.MEETERGO, "MAX_FUTURE_APPOINTMENTS": 1}
    first = book()

    with pytest.raises(InvalidRequest) as refusal:
        book(start=meetergo_sandbox.list_free_starts()[5])

    assert refusal.value.field == "email"
    assert first.state == "confirmed"


def test_zero_switches_the_limit_of_future_appointments_off(book, settings):
    settings.MEETERGO = {**settings.MEETERGO, "MAX_FUTURE_APPOINTMENTS": 0}

    assert book().state == "confirmed"


def test_a_booking_inside_a_transaction_is_refused_in_one_sentence(meetergo_sandbox, book):
    """It would send a request while rows are locked; the error names both ways out."""
    start = meetergo_sandbox.list_free_starts()[0]
    with transaction.atomic(), pytest.raises(InvalidRequest, match="send=False") as refusal:
        book(start=start)

    assert refusal.value.field == "send"
    assert meetergo_sandbox.count_requests() == 0


def test_an_unsent_booking_joins_the_transaction_and_is_sent_after_its_commit(meetergo_sandbox, book):
    """Rolled back with it or sent after it; no request leaves inside it."""
    start = meetergo_sandbox.list_free_starts()[0]
    meetergo_sandbox.clear_availability()
    with transaction.atomic():
        book(start=start, send=False)
        transaction.set_rollback(True)
    assert not Booking.objects.exists()

    with transaction.atomic():
        booking = book(start=start, send=False)
    meetergo_sandbox.run_due()

    booking.refresh_from_db()
    assert booking.state == "confirmed"


def test_the_losers_of_a_slot_cost_no_request(meetergo_sandbox, book):
    """The slot is known to be booked, so neither availability nor the booking is requested."""
    kit = meetergo_sandbox
    first = book()
    before = len(kit.sandbox.request_log.entries(kind="request"))

    for number in range(5):
        person = AttendeeData(email=f"loser{number}@example.com", first_name="Jo")
        booking = book(start=first.start, attendee=person)
        assert (booking.state, booking.reason) == ("closed", "slot_taken")

    assert len(kit.sandbox.request_log.entries(kind="request")) == before


def test_a_booking_of_a_connection_with_a_webhook_costs_one_post_and_one_read(meetergo_sandbox, book):
    """The read that the delivery causes makes the re-read of the booking needless."""
    kit = meetergo_sandbox
    kit.register_webhook()
    start = kit.list_free_starts()[0]
    before = len(kit.sandbox.request_log.entries(kind="request"))

    booking = book(start=start)
    kit.run_due()
    kit.deliver()
    for seconds in (3, 3):
        kit.run_due(after=seconds)

    booking.refresh_from_db()
    assert booking.attendee.remote_id
    assert booking.next_at is None
    assert len(kit.sandbox.request_log.entries(kind="request")) == before + 2


@pytest.mark.parametrize("hides_answers", [False, True])
def test_an_answer_that_names_an_older_appointment_is_not_believed(kit, book, hides_answers):
    kit.sandbox.configure(hide_answers=hides_answers)
    kit.sync_directory()
    kit.occupy_slot(list_starts_of_a_full_week(kit)[6])
    [other] = kit.appointments()
    sync(kit)
    theirs = Attendee.objects.get(appointment__remote_id=other.id)
    kit.travel(minutes=5)
    adapter = kit._get_adapter()
    sound = adapter.wsgi

    def misname(environ, start_response):
        body = b"".join(sound(environ, start_response))
        if environ["PATH_INFO"] == "/v4/booking":
            body = body.replace(kit.appointments()[-1].id.encode(), other.id.encode())
        return [body]

    adapter.wsgi = misname
    booking = book()
    adapter.wsgi = sound
    kit.run_until_idle()

    booking.refresh_from_db()
    assert booking.attendee != theirs
    assert booking.attendee.appointment.remote_id == kit.appointments()[-1].id


@pytest.mark.django_db(transaction=True)
def test_the_victim_of_a_deadlock_is_booked_all_the_same(kit, book, monkeypatch):
    save, calls = Booking.save, []

    def fail_once(self, *args, **options):
        calls.append(1)
        if len(calls) == 1:
            raise OperationalError(1213, "Deadlock found when trying to get lock; try restarting transaction")
        return save(self, *args, **options)

    monkeypatch.setattr(Booking, "save", fail_once)

    assert book().state == "confirmed"


def test_a_booking_in_the_hour_that_clocks_repeat_is_offered(kit, book, monkeypatch):
    start = datetime(2027, 10, 31, 2, 30, tzinfo=ZoneInfo("Europe/Berlin"))
    found = store.SlotList(times=(store.Slot(start=start.astimezone(UTC)),), as_of=kit.now())
    monkeypatch.setattr(refresh, "refetch_once", lambda *args, **options: found)

    assert book(start=start).attempts.exists()  # raised StartNotOffered


def test_a_deferred_booking_stays_deferred_after_a_further_failure(kit, book, settings):
    settings.MEETERGO = {**settings.MEETERGO, "DEFER_WHEN_DOWN": True}
    kit.fail_next(kind="status_before", status=429, retry_after=15, times=2)
    booking = book(defer_consent=True)
    assert (booking.state, booking.reason) == ("received", "deferred")

    kit.clear_availability()
    kit.run_due(after=30)

    booking.refresh_from_db()
    assert booking.attempts.count() == 3
    assert (booking.state, booking.reason) == ("received", "deferred")


def test_an_answer_with_very_many_levels_is_refused(book):
    """Whatever reads it later goes down level by level."""
    answer = ["x"]
    for _ in range(30):
        answer = [answer]

    with pytest.raises(InvalidRequest, match="levels"):
        book(custom_fields={"deep": answer})

    assert not Booking.objects.exists()


def test_a_holder_that_has_just_ended_takes_no_slot(kit, book, jane, monkeypatch):
    """It held the slot when the new booking was stored, and had ended when the new one looked for it."""
    start = kit.list_free_starts()[-1]
    holder = book(start=start, send=False)
    look, store = book_module.find_rivals, book_module.run_with_retries
    looks = []

    def look_too_early(booking):
        looks.append(booking)
        return (
            book_module.Rivals(first=None, other=None, holder_id=None) if len(looks) == 1 else look(booking)
        )

    def store_and_end(*args, **kwargs):
        try:
            return store(*args, **kwargs)
        except IntegrityError:
            close_unsent(holder, kit.now())
            raise

    monkeypatch.setattr(book_module, "find_rivals", look_too_early)
    monkeypatch.setattr(book_module, "run_with_retries", store_and_end)
    assert book(start=start, attendee=replace(jane, email="c@example.com")).state == "confirmed"
