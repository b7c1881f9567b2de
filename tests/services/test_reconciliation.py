"""Reconciliation: what becomes of bookings whose answer was lost, late or doubled."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta

import pytest
from django.core import mail

from django_meetergo.models import (
    Appointment,
    AppointmentChange,
    Booking,
    BookingAttempt,
    Connection,
    Event,
    MeetingType,
)
from django_meetergo.remote import http
from django_meetergo.remote.client import MeetergoClient
from django_meetergo.remote.payloads import ItemList
from django_meetergo.sandbox.seed import ANNA, BEN, QUEUE
from django_meetergo.services import AttendeeData, book_appointment
from django_meetergo.services.booking import outcomes, pending, reconciliation, search
from django_meetergo.services.booking.outcomes import adopt
from django_meetergo.services.booking.pending import check_pending
from django_meetergo.services.booking.reconciliation import reconcile_booking
from django_meetergo.services.booking.sending import begin_attempt, build_payload, mark_slot_taken
from django_meetergo.services.booking.watching import watch_closed_booking
from django_meetergo.services.changes.requests import cancel_appointment
from django_meetergo.services.clients import record_contact
from django_meetergo.services.mirror.appointments import record_appointment
from django_meetergo.visitors import Visitor
from tests.free_times import list_starts_of_a_full_week

pytestmark = pytest.mark.django_db

BROWSER = Visitor(person="a browser")

LIST = "GET /v4/appointment/paginated"


def run_due_after(kit, *seconds):
    for moment in seconds or (3, 20, 60, 60, 60):
        kit.run_due(after=moment)


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


def test_a_request_that_is_carried_out_late_confirms_the_closed_booking(meetergo_sandbox, book):
    """Closed as not booked, then carried out: the booking is confirmed and a mail says so."""
    kit = meetergo_sandbox
    kit.fail_next(kind="drop_after")
    kit.fail_next(LIST, "list_lag", times=-1, seconds=100_000)
    booking = book()
    run_due_after(kit)
    booking.refresh_from_db()
    assert (booking.state, booking.reason) == ("closed", "not_booked")
    assert "not booked" in mail.outbox[-1].subject

    kit.sandbox.faults.clear()
    kit.reread_all()
    kit.run_due(after=3)

    booking.refresh_from_db()
    assert booking.state == "confirmed"
    assert "booked after all" in mail.outbox[-1].subject
    assert "/manage/" in mail.outbox[-1].body
    assert len(mail.outbox) == 2


def test_without_references_a_booking_is_matched_by_type_time_and_address(meetergo_sandbox, book):
    """An account that does not return references still returns the booking."""
    meetergo_sandbox.sandbox.configure(hide_answers=True)
    meetergo_sandbox.fail_next(kind="drop_after")
    booking = book()

    run_due_after(meetergo_sandbox, 3)

    booking.refresh_from_db()
    assert booking.state == "confirmed"


def test_an_older_appointment_of_the_same_person_is_not_matched(meetergo_sandbox, book):
    """An appointment that existed before the request was sent cannot be its result."""
    kit = meetergo_sandbox
    kit.sandbox.configure(hide_answers=True)
    first = book("group-class")
    kit.travel(minutes=10)
    kit.fail_next(kind="drop_before")
    second = book("group-class", start=first.start)

    run_due_after(kit)

    second.refresh_from_db()
    assert (second.state, second.reason) == ("closed", "not_booked")


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


def test_our_own_bookings_show_whether_references_are_returned(meetergo_sandbox, book):
    """The first re-read records it; nothing is assumed."""
    assert not Connection.objects.filter(echoes_references=True).exists()

    book()
    meetergo_sandbox.run_due()

    assert Connection.objects.get().echoes_references is True


def test_adopting_the_same_appointment_twice_changes_nothing(meetergo_sandbox, book):
    """``adopt`` is idempotent."""
    booking = book()
    meetergo_sandbox.run_due()
    document = meetergo_sandbox.client().get_appointment(booking.attendee.appointment.remote_id)

    again = adopt(booking=booking, document=document, now=meetergo_sandbox.now())

    assert again.attendee_id == booking.attendee_id
    assert Appointment.objects.count() == 1


@pytest.mark.parametrize(
    ("slug", "ending", "words"),
    [("checkup", "expire", "expired"), ("second-opinion", "decline", "declined")],
)
def test_the_end_of_a_pending_booking_is_mailed(meetergo_sandbox, book, slug, ending, words):
    """The mail says how it ended and links to the page."""
    booking = book(slug)
    getattr(meetergo_sandbox, ending)(booking)
    run_due_after(meetergo_sandbox, 90)

    [message] = mail.outbox
    assert words in message.subject
    assert message.to == ["jane.doe@example.com"]
    assert "https://" in message.body


def test_a_mail_that_could_not_be_sent_is_sent_later(meetergo_sandbox, book, monkeypatch):
    """The event stays due until the mail is out; nothing else is undone."""
    booking = book("checkup")
    meetergo_sandbox.expire(booking)
    with monkeypatch.context() as away:
        away.setattr(mail.EmailMessage, "send", refuse)
        run_due_after(meetergo_sandbox, 90)
    booking.refresh_from_db()
    assert booking.reason == "lapsed"

    run_due_after(meetergo_sandbox, 10)

    assert len(mail.outbox) == 1


def refuse(*args, **kwargs):
    raise ConnectionRefusedError


def test_a_confirmation_after_the_booking_lapsed_still_counts(meetergo_sandbox, book):
    """Closed here and confirmed at meetergo: the booking is confirmed."""
    kit = meetergo_sandbox
    booking = book("checkup")
    Booking.objects.filter(pk=booking.pk).update(
        state="closed", reason="lapsed", open_booking_key=None, slot_hold_key=None, next_at=None
    )
    kit.confirm(booking)

    kit.reread_all()
    kit.run_due(after=3)

    booking.refresh_from_db()
    assert booking.state == "confirmed"


def test_choosing_again_replaces_a_pending_booking(meetergo_sandbox, book):
    """The first booking is closed as replaced and is still watched."""
    kit = meetergo_sandbox
    first = book("checkup")
    second = book("checkup", start=kit.list_free_starts("checkup")[3], replaces=first)

    first.refresh_from_db()
    assert (first.state, first.reason, first.replaced_by) == ("closed", "replaced", second)
    assert second.state == "pending"

    kit.confirm(first)
    kit.reread_all()
    kit.run_due(after=3)
    first.refresh_from_db()
    assert first.state == "confirmed"


def test_a_signed_in_person_may_choose_again_without_naming_the_first(
    meetergo_sandbox, book, django_user_model
):
    """Their own pending booking is replaced."""
    user = django_user_model.objects.create_user("jane")
    first = book("checkup", user=user, visitor=BROWSER)
    second = book(
        "checkup", start=meetergo_sandbox.list_free_starts("checkup")[3], user=user, visitor=BROWSER
    )

    first.refresh_from_db()
    assert (first.reason, second.state) == ("replaced", "pending")


def test_an_unknown_booking_is_never_replaced(meetergo_sandbox, book):
    """Its appointment may exist already."""
    from django_meetergo.exceptions import BookingAlreadyOpen

    meetergo_sandbox.fail_next(kind="drop_after")
    first = book(visitor=BROWSER)

    with pytest.raises(BookingAlreadyOpen):
        book(start=meetergo_sandbox.list_free_starts()[4], replaces=first, visitor=BROWSER)

    first.refresh_from_db()
    assert first.state == "unknown"


def test_a_worker_that_lost_its_lease_closes_nothing(meetergo_sandbox, book, jane):
    """Another worker has the booking; a late refusal does not close what that one may still find."""
    from django_meetergo.exceptions import SlotUnavailable

    kit = meetergo_sandbox
    booking = book_appointment(
        meeting_type=kit.meeting_type(), start=kit.list_free_starts()[0], attendee=jane,
        client=kit.client(), now=kit.now(), send=False,
    )  # fmt: skip
    lease = begin_attempt(booking, kit.now())
    kit.run_due(after=61)
    booking.refresh_from_db()
    assert booking.state == "unknown"

    mark_slot_taken(booking, lease, SlotUnavailable("taken", status=400), kit.client(), kit.now())

    booking.refresh_from_db()
    assert booking.state == "unknown"


def test_a_booking_whose_process_died_while_sending_is_reconciled(meetergo_sandbox, book, jane):
    """Nothing was sent: it ends as not booked, without a second request."""
    kit = meetergo_sandbox
    booking = book_appointment(
        meeting_type=kit.meeting_type(), start=kit.list_free_starts()[0], attendee=jane,
        client=kit.client(), now=kit.now(), send=False,
    )  # fmt: skip
    begin_attempt(booking, kit.now())

    run_due_after(kit, 61, 30, 30, 31, 31)

    booking.refresh_from_db()
    assert (booking.state, booking.reason) == ("closed", "not_booked")
    assert kit.count_requests() == 0
    assert timedelta() < booking.closed_at - booking.created_at < timedelta(minutes=5)


def test_a_seat_in_a_group_is_found_though_the_group_is_older(meetergo_sandbox, book):
    """The appointment is as old as its first attendee, which proves nothing about the others."""
    kit = meetergo_sandbox
    kit.sandbox.configure(hide_answers=True)
    start = kit.list_free_starts("group-class")[0]
    kit.occupy_slot(start, "group-class")
    kit.travel(minutes=10)
    kit.clear_availability()
    kit.fail_next(kind="drop_after")
    booking = book("group-class", start=start)

    run_due_after(kit)

    booking.refresh_from_db()
    assert booking.state == "confirmed"


def test_an_appointment_cancelled_before_it_was_found_is_not_announced_as_booked(meetergo_sandbox, book):
    """The only event of the appointment is its cancellation."""
    from django_meetergo.models import Event

    kit = meetergo_sandbox
    kit.fail_next(kind="drop_after")
    booking = book()
    kit.client().cancel_appointment(kit.appointments()[0].id)

    run_due_after(kit, 3)

    booking.refresh_from_db()
    assert booking.state == "confirmed"
    kinds = list(Event.objects.filter(kind__startswith="appointment").values_list("kind", flat=True))
    assert kinds == ["appointment_cancelled"]


def test_a_booking_that_is_pending_for_days_is_still_polled(meetergo_sandbox, book):
    """However late it ends, the attendee can choose again then."""
    kit = meetergo_sandbox
    kit.sandbox.configure(provisional_hours=1000)
    booking = book("second-opinion")
    for _ in range(70):
        kit.run_due(after=3600)
    booking.refresh_from_db()
    assert (booking.state, booking.next_at is None) == ("pending", False)

    kit.expire(booking)
    run_due_after(kit, 6 * 3600 + 1)

    booking.refresh_from_db()
    assert (booking.reason, booking.open_booking_key) == ("lapsed", None)


def test_an_appointment_rescheduled_before_it_was_found_is_found(meetergo_sandbox, book):
    """The booking is not called not booked while its appointment exists at another time."""
    kit = meetergo_sandbox
    kit.fail_next(kind="drop_after")
    booking = book()
    [remote] = kit.appointments()
    target = kit.list_free_starts()[9]
    kit.client().reschedule_appointment(remote.id, target)

    run_due_after(kit)

    booking.refresh_from_db()
    assert booking.state == "confirmed"
    assert booking.attendee.appointment.start == target


def test_a_rescheduled_lookalike_without_reference_is_left_to_staff(meetergo_sandbox, book):
    """It is probably the booking's, and nothing proves it."""
    kit = meetergo_sandbox
    kit.sandbox.configure(hide_answers=True)
    kit.fail_next(kind="drop_after")
    booking = book()
    kit.client().reschedule_appointment(kit.appointments()[0].id, kit.list_free_starts()[9])

    run_due_after(kit)

    booking.refresh_from_db()
    assert (booking.state, booking.reason) == ("unknown", "needs_staff")


def test_a_request_that_is_carried_out_late_is_matched_without_reference(meetergo_sandbox, book):
    """However long the request was on its way, the closed booking gets its appointment."""
    kit = meetergo_sandbox
    kit.sandbox.configure(hide_answers=True)
    kit.fail_next(kind="drop_before")
    booking = book()
    run_due_after(kit)
    booking.refresh_from_db()
    assert booking.reason == "not_booked"

    kit.travel(minutes=30)
    kit.client().create_booking(build_payload(booking))
    kit.reread_all()
    kit.run_due(after=3)

    booking.refresh_from_db()
    assert booking.state == "confirmed"


def test_a_booking_that_lost_its_slot_adopts_nothing(meetergo_sandbox, book):
    """Its outcome is certain; an appointment made later elsewhere is not this booking's."""
    kit = meetergo_sandbox
    kit.sandbox.configure(hide_answers=True)
    kit.fail_next(kind="status_before", status=400, body='{"message": "slot-occupied"}')
    booking = book()
    assert booking.reason == "slot_taken"

    kit.client().create_booking(build_payload(booking))
    kit.reread_all()
    kit.run_due(after=3)

    booking.refresh_from_db()
    assert booking.reason == "slot_taken"


@pytest.mark.parametrize("after", [{"minutes": 16}, {"days": 20}])
def test_a_booking_that_was_not_sent_in_time_is_closed(meetergo_sandbox, jane, after):
    """Workers that were stopped for long do not send old bookings."""
    kit = meetergo_sandbox
    booking = book_appointment(
        meeting_type=kit.meeting_type(), start=kit.list_free_starts()[0], attendee=jane,
        client=kit.client(), now=kit.now(), send=False,
    )  # fmt: skip
    kit.travel(**after)

    kit.run_due()

    booking.refresh_from_db()
    assert (booking.state, booking.reason) == ("closed", "unreachable")
    assert kit.count_requests() == 0


def test_a_closed_booking_becomes_pending_only_if_its_attendee_has_no_other(meetergo_sandbox, book):
    """A provisional booking that turns up late does not make two open bookings of one person."""
    from django_meetergo.remote.payloads import BookingProvisional

    kit = meetergo_sandbox
    first = book("checkup")
    Booking.objects.filter(pk=first.pk).update(
        state="closed", reason="not_booked", open_booking_key=None, slot_hold_key=None, provisional_id=""
    )
    again = adopt(
        booking=first, document=BookingProvisional(provisional_id="p-1", awaits="attendee"), now=kit.now()
    )
    assert again.state == "pending"

    Booking.objects.filter(pk=first.pk).update(state="closed", reason="not_booked", open_booking_key=None)
    second = book("checkup", start=kit.list_free_starts("checkup")[4])
    again = adopt(
        booking=first, document=BookingProvisional(provisional_id="p-1", awaits="attendee"), now=kit.now()
    )

    assert (again.state, again.reason, again.provisional_id) == ("closed", "replaced", "p-1")
    second.refresh_from_db()
    assert second.state == "pending"


def test_many_lost_answers_do_not_stop_their_reconciliation(meetergo_sandbox, book):
    """A row of lost answers opens the circuit for writes; reads still reconcile the bookings."""
    kit = meetergo_sandbox
    kit.fail_next(kind="drop_after", times=-1)
    bookings = []
    for number, start in enumerate(kit.list_free_starts()[:20]):
        person = AttendeeData(email=f"person{number}@example.com", first_name="Jane")
        bookings.append(book(start=start, attendee=person))
        if bookings[-1].state != "unknown":
            break  # the circuit is open
    unknown = bookings[:-1]
    assert bookings[-1].reason == "unreachable"

    kit.run_due(after=3)

    for booking in unknown:
        booking.refresh_from_db()
    assert {booking.state for booking in unknown} == {"confirmed"}


@pytest.mark.parametrize("seconds", [-600, 600])
def test_a_measured_clock_skew_is_subtracted_from_creation_times(meetergo_sandbox, book, seconds):
    """meetergo's clock may be ten minutes wrong; its appointments are matched all the same."""
    kit = meetergo_sandbox
    kit.sandbox.configure(hide_answers=True)
    kit.fail_next(kind="drop_after")
    booking = book()
    [remote] = kit.appointments()
    remote.created_at += timedelta(seconds=seconds)
    Connection.objects.update_or_create(connection="default", defaults={"clock_skew": seconds})

    run_due_after(kit, 3)

    booking.refresh_from_db()
    assert booking.state == "confirmed"


@pytest.mark.parametrize("seconds", [-600, 600])
def test_a_lookalike_that_only_the_clock_excludes_is_left_to_staff(meetergo_sandbox, book, seconds):
    """A booking is not called not booked while its appointment may exist."""
    kit = meetergo_sandbox
    kit.sandbox.configure(hide_answers=True)
    kit.fail_next(kind="drop_after")
    booking = book()
    [remote] = kit.appointments()
    remote.created_at += timedelta(seconds=seconds)

    run_due_after(kit)

    booking.refresh_from_db()
    assert (booking.state, booking.reason) == ("unknown", "needs_staff")


@pytest.mark.parametrize("chooses_again", [False, True])
def test_a_provisional_booking_that_lands_late_is_adopted_or_declined(
    meetergo_sandbox, book, chooses_again, django_user_model
):
    """It keeps no slot for an attendee who has another open booking."""
    kit = meetergo_sandbox
    user = django_user_model.objects.create_user("jane")
    kit.fail_next(kind="drop_before")
    booking = book("second-opinion", user=user)
    run_due_after(kit)
    booking.refresh_from_db()
    assert booking.reason == "not_booked"
    kit.client().create_booking(build_payload(booking))
    [late] = kit.sandbox.state.pending
    if chooses_again:
        again = book("second-opinion", start=kit.list_free_starts("second-opinion")[5], user=user)
        assert again.state == "pending"

    run_due_after(kit, 400)

    booking.refresh_from_db()
    assert (booking.state, booking.provisional_id) == ("closed" if chooses_again else "pending", late)
    assert (late in kit.sandbox.state.pending) is not chooses_again


def test_an_appointment_that_cannot_be_parsed_is_read_a_limited_number_of_times(meetergo_sandbox, book):
    """The re-reads are counted and end; the next sync brings the appointment."""
    kit = meetergo_sandbox
    booking = book()
    kit.fail_next("GET /v4/appointment/{id}", kind="garbage", times=-1)

    for _ in range(12):
        kit.run_due(after=3700)

    booking.refresh_from_db()
    assert (booking.state, booking.next_at) == ("confirmed", None)


# Leases


class SlowClock:
    """A monotonic clock that jumps ahead whenever a list is read, as a slow service makes it do."""

    def __init__(self, kit):
        self.kit = kit

    def monotonic(self):
        return 25.0 * self.kit.count_requests("GET *paginated")


@pytest.mark.parametrize("state", ["unknown", "pending", "watched"])
def test_a_long_search_keeps_its_lease(meetergo_sandbox, book, monkeypatch, state):
    """Many hosts, each list slow: no second worker takes the booking while it is searched for."""
    kit = meetergo_sandbox
    if state == "unknown":
        kit.fail_next(kind="drop_after")
        kit.fail_next(LIST, "list_lag", times=-1, seconds=100_000)
    booking = book("intro-call" if state == "unknown" else "second-opinion")
    if state == "pending":
        kit.expire(booking)
    if state == "watched":
        Booking.objects.filter(pk=booking.pk).update(state="closed", reason="not_booked")
    host_ids = list(kit.sandbox.state.users)
    MeetingType.objects.filter(pk=booking.meeting_type_id).update(host_ids=host_ids)
    monkeypatch.setattr("django_meetergo.clock.time", SlowClock(kit))
    ends, read = [], kit.count_requests("GET *paginated")

    def note_lease(*_):
        ends.append(Booking.objects.get(pk=booking.pk).lease_until)

    monkeypatch.setattr("django_meetergo.remote.transport.BEFORE_SEND", [note_lease])
    work = {"unknown": reconcile_booking, "pending": check_pending, "watched": watch_closed_booking}[state]
    now = kit.now()
    work(booking=booking, client=kit.client("sync"), now=now)

    assert len(ends) >= 3
    for number, end in enumerate(ends):
        assert end > now + timedelta(seconds=25 * number)
    assert kit.count_requests("GET *paginated") - read == len(ends)


def test_a_booking_is_not_called_not_booked_because_lists_leave_answers_out(kit, book):
    book()
    kit.run_due(after=10)
    assert Connection.objects.get().echoes_references  # learnt from a single read
    kit.fail_next(LIST, "hide_answers", times=-1)
    kit.fail_next(kind="drop_after")
    person = AttendeeData(email="ben@example.com", first_name="Ben")
    booking = book(start=list_starts_of_a_full_week(kit)[5], attendee=person)

    run_due_after(kit, 3, 20, 60, 60, 60, 60)

    booking.refresh_from_db()
    assert len(kit.appointments_of(booking)) == 1
    assert booking.state == "confirmed"


def test_a_confirmed_request_whose_appointment_was_moved_is_not_called_lapsed(kit, book):
    kit.sandbox.configure(hide_answers=True)
    booking = book("checkup")
    kit.confirm(booking)
    kit.move_elsewhere(kit.appointments()[0], kit.list_free_starts("checkup")[9])

    kit.travel(days=(booking.start - kit.now()).days + 9)
    kit.run_due()

    booking.refresh_from_db()
    assert (booking.state, booking.reason) == ("unknown", "needs_staff")


def test_a_request_that_is_gone_beside_a_lookalike_is_not_called_lapsed(kit, book, monkeypatch):
    kit.sandbox.configure(hide_answers=True)
    booking = book("checkup")
    kit.confirm(booking)
    kit.appointments()[0].created_at -= timedelta(minutes=10)  # clocks differ
    monkeypatch.setattr(pending, "find_provisional_status", lambda *args: "")

    kit.run_due(after=100)

    booking.refresh_from_db()
    assert (booking.state, booking.reason) == ("unknown", "needs_staff")


def test_a_booking_that_is_closed_twice_has_two_events(kit, book):
    kit.fail_next(kind="delayed_apply", seconds=400)
    booking = book("checkup")
    run_due_after(kit, 3, 20, 60, 60, 60)
    booking.refresh_from_db()
    assert (booking.state, booking.reason) == ("closed", "not_booked")
    run_due_after(kit, 400, 600)
    booking.refresh_from_db()
    assert booking.state == "pending"

    kit.expire(booking)
    kit.run_due(after=4000)

    booking.refresh_from_db()
    assert (booking.state, booking.reason) == ("closed", "lapsed")
    assert Event.objects.filter(kind="booking_closed").count() == 2


def test_leaving_a_booking_to_staff_and_its_event_are_stored_together(kit, book, monkeypatch):
    booking = book("group-class")
    BookingAttempt.objects.update(known_attendee_ids=None)
    kit.sandbox.configure(hide_answers=True)

    def die(*args, **options):
        raise KeyboardInterrupt

    with monkeypatch.context() as killed:
        killed.setattr(outcomes, "record_booking_event", die)
        with pytest.raises(KeyboardInterrupt):
            reconciliation.reread_booking(booking=booking, client=kit.client(), now=kit.travel(seconds=10))
    kit.run_due(after=120)

    booking.refresh_from_db()
    assert booking.reason == "needs_staff"
    assert Event.objects.filter(kind="booking_needs_staff").exists()


def test_a_watch_that_failed_once_is_not_given_up_by_a_failure_days_later(kit, book):
    kit.sandbox.configure(provisional_hours=1000)
    kit.fail_next(kind="drop_before")
    booking = book("checkup", start=kit.list_free_starts("checkup")[-1])
    run_due_after(kit, 3, 20, 60, 60, 60)
    kit.go_down()
    kit.run_due(after=301)
    kit.recover()
    run_due_after(kit, *[3600] * 75)

    kit.go_down()
    kit.run_due(after=6 * 3600 + 5)
    kit.recover()

    booking.refresh_from_db()
    assert booking.start > kit.now()
    assert booking.next_at


def test_a_list_that_repeats_its_page_ends(kit, book):
    booking, client, calls = book(), kit.client("reread"), []
    first = client.list_appointments(page_size=100)[0]
    page = ItemList([first] * 100)

    def repeat(**options):
        calls.append(options)
        assert len(calls) < 50
        return page

    client.list_appointments = repeat
    assert not search.search_lists(booking, client, search.do_nothing).is_complete


def test_an_absurd_date_of_an_answer_does_not_stop_the_reconciliation(kit, book):
    kit.sandbox.configure(hide_answers=True)
    kit.fail_next(kind="drop_after")
    booking, client = book(), kit.client()
    client.clock_skew = http._read_clock_skew({"Date": "Fri, 31 Dec 9999 23:59:59 GMT"})
    record_contact(connection="default", client=client)

    reconciliation.reconcile_booking(booking=booking, client=client, now=kit.travel(seconds=5))

    booking.refresh_from_db()
    assert booking.state == "confirmed"


def test_a_worker_whose_clock_is_late_may_read_an_appointment_before_its_answer(kit, book, monkeypatch):
    """A webhook outruns the answer, on a machine whose clock is five seconds behind."""
    kit.sandbox.configure(hide_answers=True)
    send = MeetergoClient.create_booking

    def send_and_lose_the_race(client, payload):
        reply = send(client, payload)
        document = client.get_appointment(reply.appointment_id)
        record_appointment(connection="default", document=document, now=kit.now() - timedelta(seconds=5))
        return reply

    monkeypatch.setattr(MeetergoClient, "create_booking", send_and_lose_the_race)
    booking = book()
    run_due_after(kit, 3, 20, 60, 60, 60, 60)

    booking.refresh_from_db()
    assert booking.state == "confirmed"


@pytest.mark.parametrize("status", [404, 403])
def test_a_neighbour_that_cannot_be_read_singly_does_not_hide_a_booking(kit, book, status):
    book()
    kit.run_due(after=10)
    assert Connection.objects.get().echoes_references
    start = list_starts_of_a_full_week(kit)[5]
    kit.occupy_slot(start)
    other = next(one for one in kit.appointments() if one.start == start)
    kit.cancel_elsewhere(other)
    kit.clear_availability()
    kit.fail_next("GET /v4/appointment/{id}", "status_before", times=-1, status=status)
    kit.fail_next(kind="drop_after")
    booking = book(start=start, attendee=AttendeeData(email="ben@example.com", first_name="Ben"))

    run_due_after(kit, 3, *[60] * 11)

    booking.refresh_from_db()
    assert len(kit.appointments_of(booking)) == 1
    assert booking.state == "confirmed"


def test_a_lease_is_renewed_before_each_single_read(kit, book):
    booking, client, steps = book(), kit.client("reread"), []
    bare = replace(client.list_appointments(page_size=100)[0], attendees=())
    Connection.objects.update(echoes_references=True)
    page = ItemList([replace(bare, id=f"a{number}") for number in range(9)])
    client.list_appointments = lambda **options: page
    client.get_appointment = lambda key: steps.append("read") or bare

    search.search_lists(booking, client, lambda: steps.append("renew"))

    assert "read read" not in " ".join(steps)


def find_shared_start(kit, *slugs):
    """Return a start at which the hosts of all these types are free."""
    free = [set(kit.list_free_starts(slug)) for slug in slugs]
    return max(set.intersection(*free))


def set_queue(kit, *user_ids, last):
    [queue] = [one for one in kit.sandbox.state.queues.values() if one.id == QUEUE]
    queue.user_ids, queue.last_user_id = list(user_ids), last


@pytest.mark.parametrize("known", [[ANNA], [ANNA, BEN]], ids=["joined", "left"])
def test_a_booking_is_found_at_a_host_who_joined_or_left_the_queue_meanwhile(kit, book, known):
    """The site knew of other members when the answer was lost, or knows of others when it looks."""
    start = find_shared_start(kit, "intro-call", "consultation")
    earlier = min(set(kit.list_free_starts("consultation")) & set(kit.list_free_starts("intro-call")))
    set_queue(kit, *known, last=ANNA)
    kit.sync_directory()
    if BEN in known:
        assert book("next-therapist", start=earlier).state == "confirmed"
        kit.run_due(after=5)
        set_queue(kit, ANNA, BEN, last=ANNA)
    else:
        set_queue(kit, ANNA, BEN, last=ANNA)
    kit.fail_next(kind="drop_after")
    booking = book("next-therapist", start=start)
    assert booking.state == "unknown"
    [made] = kit.appointments_of(booking)
    assert made.host_ids == [BEN]
    if BEN in known:
        set_queue(kit, ANNA, last=ANNA)
        kit.sync_directory()

    run_due_after(kit, 3, 20, 100, 40, 40)

    booking.refresh_from_db()
    assert booking.state == "confirmed"


def test_a_request_at_a_host_who_left_the_queue_meanwhile_is_not_called_lapsed(kit, book):
    """Who requested it confirms it days later."""
    start = find_shared_start(kit, "intro-call", "consultation")
    earlier = min(set(kit.list_free_starts("consultation")) & set(kit.list_free_starts("intro-call")))
    kind = next(one for one in kit.sandbox.state.meeting_types.values() if one.slug == "next-therapist")
    set_queue(kit, ANNA, BEN, last=ANNA)
    kit.sync_directory()
    assert book("next-therapist", start=earlier).state == "confirmed"
    kit.run_due(after=5)
    kind.double_opt_in = "enabled"
    kit.sync_directory()
    set_queue(kit, ANNA, BEN, last=ANNA)
    booking = book("next-therapist", start=start)
    assert booking.state == "pending"
    set_queue(kit, ANNA, last=ANNA)
    kit.sync_directory()

    run_due_after(kit, 61, 600)

    booking.refresh_from_db()
    assert booking.state == "pending"


@pytest.mark.parametrize("status", [403, 404, 500])
def test_while_the_members_of_a_queue_cannot_be_read_nothing_is_called_not_booked(kit, book, status):
    """Nobody knows then in whose list the booking is."""
    kit.fail_next(kind="drop_before")
    booking = book("next-therapist")
    kit.fail_next("GET /v4/queue/{id}", kind="status_before", status=status, times=-1)

    run_due_after(kit, 3, 20, 100, 40, 40, 300)

    booking.refresh_from_db()
    assert (booking.state, booking.reason) == ("unknown", "needs_staff")


def test_a_request_that_a_list_showed_on_neither_of_two_pages_is_not_called_lapsed(kit, book, monkeypatch):
    """Others were confirmed between the reads of two pages, and the rest moved up."""
    booking = book("checkup")
    assert booking.state == "pending"
    read, pages = MeetergoClient.list_provisional_bookings, []

    def shift(client, *, page, status="pending", **options):
        found = read(client, page=0, status=status, **options)
        if status != "pending" or len(pages) == 2:
            return found
        pages.append(page)
        others = [replace(found[0], id=f"other-{number}") for number in range(100)]
        return ItemList(others if page == 0 else others[:30], total=131 - page)

    monkeypatch.setattr(MeetergoClient, "list_provisional_bookings", shift)
    kit.run_due(after=61)

    booking.refresh_from_db()
    assert pages == [0, 1]
    assert booking.state == "pending"
