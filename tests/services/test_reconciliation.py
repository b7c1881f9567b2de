"""Reconciliation: what becomes of bookings whose answer was lost or late."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from uuid import uuid4

import pytest
from django.core import mail
from django.core.cache import cache

from django_meetergo.conf import Settings
from django_meetergo.exceptions import CircuitOpen
from django_meetergo.models import (
    Appointment,
    Booking,
    BookingAttempt,
    Connection,
    Event,
    MeetingType,
)
from django_meetergo.remote import circuit_breaker, http
from django_meetergo.remote.client import MeetergoClient
from django_meetergo.remote.payloads import ItemList
from django_meetergo.sandbox.seed import ANNA, BEN
from django_meetergo.services import AttendeeData, book_appointment
from django_meetergo.services.booking import outcomes, reconciliation, search, sending
from django_meetergo.services.booking.outcomes import adopt
from django_meetergo.services.booking.pending import check_pending
from django_meetergo.services.booking.reconciliation import mark_interrupted, reconcile_booking
from django_meetergo.services.booking.sending import begin_attempt, build_payload, mark_slot_taken
from django_meetergo.services.booking.watching import watch_closed_booking
from django_meetergo.services.clients import record_contact
from django_meetergo.services.mirror.appointments import record_appointment
from django_meetergo.visitors import Visitor
from tests.free_times import list_starts_of_a_full_week
from tests.services.lost_answers import LIST, find_shared_start, run_due_after, set_queue

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("also_mailed", [[], ["confirmed"]])
def test_a_request_that_is_carried_out_late_confirms_the_closed_booking(
    meetergo_sandbox, book, settings, also_mailed
):
    """Closed as not booked, then carried out: the booking is confirmed and one mail says so."""
    kit = meetergo_sandbox
    settings.MEETERGO = {**settings.MEETERGO, "SEND_MAIL": [*Settings.SEND_MAIL, *also_mailed]}
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


@pytest.mark.parametrize("hides_answers", [False, True])
def test_an_appointment_without_readable_attendees_proves_nothing(meetergo_sandbox, book, hides_answers):
    """It may be the missing booking: whoever reads "not booked" books again and has two."""
    kit = meetergo_sandbox
    kit.sandbox.configure(hide_answers=hides_answers)
    kit.fail_next(kind="drop_after")
    booking = book()
    kit.sandbox.faults.add("GET *", "odd_document", times=-1, oddity="missing_attendees")

    run_due_after(kit)
    booking.refresh_from_db()
    assert (booking.state, booking.reason) != ("closed", "not_booked")

    kit.recover()
    run_due_after(kit)
    booking.refresh_from_db()
    assert booking.state == "confirmed"


def test_an_appointment_without_a_meeting_type_is_left_to_staff(meetergo_sandbox, book):
    """It is probably the missing booking, and may be one of another type."""
    kit = meetergo_sandbox
    kit.sandbox.configure(hide_answers=True)
    kit.fail_next(kind="drop_after")
    booking = book()
    kit.sandbox.faults.add("GET *", "odd_document", times=-1, oddity="missing_meeting_type")

    run_due_after(kit)

    booking.refresh_from_db()
    assert (booking.state, booking.reason) == ("unknown", "needs_staff")


def test_a_booking_whose_process_died_is_searched_for_as_long_as_any_other(meetergo_sandbox, book):
    """What failed before it was sent does not count."""
    kit = meetergo_sandbox
    booking = book()
    Booking.objects.filter(pk=booking.pk).update(
        state="sending", attendee=None, failing_since=kit.now() - timedelta(minutes=6), tries=4,
        lease_token=uuid4(), lease_until=kit.now() - timedelta(seconds=1), next_at=kit.now(),
    )  # fmt: skip

    mark_interrupted(booking, kit.now())

    booking.refresh_from_db()
    assert (booking.state, booking.failing_since, booking.tries) == ("unknown", None, 0)


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


def test_an_appointment_that_cannot_be_parsed_is_read_a_limited_number_of_times(meetergo_sandbox, book):
    """The re-reads are counted and end; the next sync brings the appointment."""
    kit = meetergo_sandbox
    booking = book()
    kit.fail_next("GET /v4/appointment/{id}", kind="garbage", times=-1)

    for _ in range(12):
        kit.run_due(after=3700)

    booking.refresh_from_db()
    assert (booking.state, booking.next_at) == ("confirmed", None)


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


@pytest.mark.parametrize("landed", [True, False], ids=["made", "not made"])
def test_what_was_left_to_staff_during_an_outage_is_reconciled_after_it(kit, book, settings, landed):
    """Staff are mailed once, and nobody has to do anything when the lists can be read again."""
    settings.MEETERGO = {**settings.MEETERGO, "ALERT_EMAILS": ["desk@clinic.example"]}
    kit.fail_next(kind="drop_after" if landed else "hang_before")
    booking = book()
    kit.fail_next(LIST, kind="status_before", status=500, times=-1)
    for _ in range(60):
        kit.run_due(after=60)
    booking.refresh_from_db()
    assert (booking.state, booking.reason) == ("unknown", "needs_staff")

    kit.sandbox.faults.clear()
    # The circuit breaker's clock is not the sandbox's.
    cache.clear()
    circuit_breaker.reset_local_state()
    for _ in range(20):
        kit.run_due(after=60)

    booking.refresh_from_db()
    expected = ("confirmed", "") if landed else ("closed", "not_booked")
    assert (booking.state, booking.reason) == expected
    assert [booking.reference in message.subject for message in mail.outbox].count(True) == 1
    assert Event.objects.filter(kind="booking_needs_staff").count() == 1


def test_a_search_that_no_call_was_made_for_leaves_nothing_to_staff(kit, book, monkeypatch):
    """Calls are suspended for minutes after others have failed; that says nothing about this booking."""
    kit.fail_next(kind="drop_after")
    booking = book()

    def suspend(*_):
        raise CircuitOpen("meetergo has been failing")

    with monkeypatch.context() as patch:
        patch.setattr("django_meetergo.remote.circuit_breaker.CircuitBreaker.check", suspend)
        kit.run_due(after=8 * 60)
        kit.run_due(after=11)
    booking.refresh_from_db()
    assert (booking.state, booking.reason, booking.polls) == ("unknown", "", 0)

    kit.run_due(after=11)

    booking.refresh_from_db()
    assert booking.state == "confirmed"


def test_workers_that_come_late_search_more_than_once(kit, book):
    """They were stopped for an hour, and the first search fails."""
    kit.fail_next(kind="hang_before")
    booking = book()
    kit.fail_next(LIST, kind="status_before", status=500)

    kit.run_due(after=3600)
    booking.refresh_from_db()
    assert (booking.state, booking.reason) == ("unknown", "")

    run_due_after(kit, 60, 60, 60)
    booking.refresh_from_db()
    assert (booking.state, booking.reason) == ("closed", "not_booked")


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


@pytest.mark.parametrize("status", [403, 404, 500])
def test_while_the_members_of_a_queue_cannot_be_read_nothing_is_called_not_booked(kit, book, status):
    """Nobody knows then in whose list the booking is."""
    kit.fail_next(kind="drop_before")
    booking = book("next-therapist")
    kit.fail_next("GET /v4/queue/{id}", kind="status_before", status=status, times=-1)

    run_due_after(kit, 3, 20, 100, 40, 40, 300)

    booking.refresh_from_db()
    assert (booking.state, booking.reason) == ("unknown", "needs_staff")


def test_nothing_is_called_not_booked_once_references_stop_coming_back(kit, book, jane):
    """Something alike without any reference may be the booking's: staff decide."""
    book()
    kit.run_due()
    kit.sandbox.configure(hide_answers=True)
    kit.fail_next(kind="drop_after")
    booking = book(start=kit.list_free_starts()[-3], attendee=replace(jane, email="b@example.com"))
    run_due_after(kit, *[60] * 10)
    booking.refresh_from_db()
    assert (booking.state, booking.reason) == ("unknown", "needs_staff")


def test_a_connection_that_stops_returning_references_is_noticed(kit, book, jane):
    book()
    kit.run_due()
    assert Connection.objects.get().echoes_references
    kit.sandbox.configure(hide_answers=True)
    book(start=kit.list_free_starts()[-1], attendee=replace(jane, email="a@example.com"))
    kit.run_due()
    assert Connection.objects.get().echoes_references is False


def test_two_open_bookings_of_one_address_do_not_share_an_appointment(kit, book, jane, monkeypatch):
    """A parent books twice. The first request is lost, and searched for while the second one is answered."""
    kit.sandbox.configure(hide_answers=True)
    start = kit.list_free_starts("next-therapist")[-1]
    kit.fail_next(kind="drop_before")
    first = book("next-therapist", start=start, visitor=Visitor(person="browser a"))
    adopt = sending.adopt

    def adopt_late(**arguments):
        reconcile_booking(booking=first, client=kit.client("reread"), now=kit.travel(seconds=3))
        return adopt(**arguments)

    monkeypatch.setattr(sending, "adopt", adopt_late)
    child = replace(jane, first_name="Ben")
    second = book("next-therapist", start=start, attendee=child, visitor=Visitor(person="browser b"))
    first.refresh_from_db()
    assert (first.state, second.state) == ("unknown", "confirmed")


def test_bookings_of_one_address_for_two_types_are_told_apart(kit, book):
    kit.sandbox.configure(hide_answers=True)
    start = find_shared_start(kit, "intro-call", "consultation")
    bookings = []
    for slug in ("intro-call", "consultation"):
        kit.fail_next(kind="drop_after")
        bookings.append(book(slug, start=start))
    run_due_after(kit)
    for booking in bookings:
        booking.refresh_from_db()
    assert [booking.state for booking in bookings] == ["confirmed", "confirmed"]
