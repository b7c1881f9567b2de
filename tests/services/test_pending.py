"""Bookings that wait for a confirmation: how they end, and what may replace them."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from django.core import mail

from django_meetergo.models import Booking
from django_meetergo.remote.client import MeetergoClient
from django_meetergo.remote.payloads import ItemList
from django_meetergo.sandbox.seed import ANNA, BEN
from django_meetergo.services.booking import pending
from django_meetergo.services.booking.outcomes import adopt
from django_meetergo.services.booking.sending import build_payload
from django_meetergo.services.sync.appointments import sync_appointments
from django_meetergo.visitors import Visitor
from tests.services.lost_answers import find_shared_start, run_due_after, set_queue

pytestmark = pytest.mark.django_db

BROWSER = Visitor(person="a browser")


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


@pytest.mark.parametrize("is_known", [True, False])
def test_a_first_choice_stays_open_when_the_second_one_fails(kit, book, is_known):
    """Its time was taken: the mirror knows, or meetergo says so."""
    browser = Visitor(person="browser")
    first = book("checkup", visitor=browser)
    held = first.slot_hold_key
    start = kit.list_free_starts("checkup")[3]
    (kit.book_elsewhere if is_known else kit.occupy_slot)(start, "checkup")
    if is_known:
        sync_appointments(connection="default", client=kit.client("sync"), now=kit.now())
    second = book("checkup", start=start, replaces=first, visitor=browser)
    assert (second.state, second.reason) == ("closed", "slot_taken")
    first.refresh_from_db()
    assert (first.state, first.reason, first.slot_hold_key) == ("pending", "attendee", held)
    assert first.replaced_by is None


def test_a_first_choice_that_is_open_again_can_be_replaced_again(kit, book):
    """Without being named: by the same person in the same browser. Each end is an event."""
    browser = Visitor(person="browser")
    first = book("checkup", visitor=browser)
    starts = kit.list_free_starts("checkup")
    kit.occupy_slot(starts[3], "checkup")
    assert book("checkup", start=starts[3], visitor=browser).reason == "slot_taken"
    third = book("checkup", start=starts[-1], visitor=browser)
    first.refresh_from_db()
    assert (first.state, first.reason, third.state) == ("closed", "replaced", "pending")
    assert first.replaced_by == third
    assert first.events.filter(kind="booking_closed").count() == 2
