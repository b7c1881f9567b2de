"""The manage page: see, move and cancel an appointment."""

import re
from datetime import datetime, timedelta

import pytest
from django.utils import timezone

from django_meetergo import links
from django_meetergo.models import Appointment, AppointmentChange, Attendee, Booking
from django_meetergo.services.changes.policy import Decision
from django_meetergo.testing.factories import AppointmentFactory, AttendeeFactory
from tests.free_times import find_whole_day
from tests.pages.test_booking import read

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def attendee(visitor, site):
    """The attendee of a booked intro call that has been read from meetergo."""
    visitor.book()
    site.run_due()
    return Booking.objects.get().attendee


@pytest.fixture
def path(attendee):
    return links.get_manage_path(attendee)


def refuse(action, attendee, now):
    return Decision(allowed=False, reason="site_rule")


def refuse_late(action, attendee, now):
    return Decision(allowed=False, reason="too_late")


def list_new_starts(visitor, path):
    """Return the times of a whole working day that the page offers."""
    page = visitor.text(f"{path}reschedule/", date=f"{find_whole_day():%Y-%m-%d}")
    return re.findall(r'name="start" value="([^"]+)"', page)


def test_the_page_shows_the_time_the_deadline_and_the_actions(visitor, path):
    answer = visitor.get(path)
    text = read(answer)
    for words in (
        "Your appointment",
        "Choose another time",
        "Cancel appointment",
        "You can change or cancel until",
    ):
        assert words in text
    assert answer["X-Frame-Options"] == "DENY"
    assert answer["Cache-Control"] == "no-store"


def test_get_requests_change_nothing(visitor, path, site):
    """A mail scanner that opens every link leaves the appointment unchanged."""
    start = list_new_starts(visitor, path)[0]
    for page in (path, f"{path}reschedule/", f"{path}cancel/"):
        assert visitor.get(page).status_code == 200
    assert "Move to" in read(visitor.get(f"{path}reschedule/", start=start))
    assert not AppointmentChange.objects.exists()
    assert Appointment.objects.active().filter(attendees__booking__isnull=False).exists()


def test_an_appointment_is_moved_after_confirmation(visitor, path, site, attendee):
    old = attendee.appointment.start
    start = list_new_starts(visitor, path)[3]
    question = read(visitor.get(f"{path}reschedule/", start=start))
    assert "Move to" in question
    assert "Move appointment" in question
    answer = visitor.post(f"{path}reschedule/", start=start)
    assert (answer.status_code, answer["Location"]) == (303, path)
    page = visitor.get(path)
    assert read(page).count("Your appointment has been moved") == 2, "in the title too"
    moved = page.context["move"]
    assert f"From {moved['old']} to {moved['new']}." in read(page)
    attendee.appointment.refresh_from_db()
    assert attendee.appointment.start.isoformat() != old.isoformat()
    assert len(site.appointments()) == 1


def test_a_move_to_a_taken_time_keeps_the_old_time(visitor, path, site, attendee):
    start = list_new_starts(visitor, path)[3]
    site.occupy_slot(datetime.fromisoformat(start))
    visitor.post(f"{path}reschedule/", start=start)
    text = read(visitor.get(path))
    assert "Your old time is still booked." in text
    assert "Choose another time" in text


@pytest.mark.parametrize(
    ("start", "status", "text"),
    [
        ("", 422, "Choose a time"),
        ("soon", 400, "We could not read this time."),
        ("2020-01-01T09:00:00+00:00", 409, "This time has passed."),
        ("2099-01-01T09:00:00+00:00", 409, "is no longer free."),
        ("9999-12-31T23:59:59+00:00", 400, "We could not read this time."),
    ],
)
def test_an_invalid_new_time_shows_the_times_and_the_error(visitor, path, start, status, text):
    for send in (visitor.get, visitor.post):
        answer = send(f"{path}reschedule/", start=start)
        assert answer.status_code == status
        assert text in read(answer)
    assert not AppointmentChange.objects.exists()


def test_the_reschedule_page_shows_the_present_time(visitor, path):
    assert "Your current appointment:" in read(visitor.get(f"{path}reschedule/"))


def test_the_reschedule_page_lists_all_time_zones(visitor, path):
    assert '<option value="Asia/Kolkata"' in visitor.text(f"{path}reschedule/", zones="all")


def test_the_reschedule_page_opens_at_the_month_of_the_appointment(visitor, path):
    start = timezone.now() + timedelta(days=70)
    Appointment.objects.update(start=start, end=start + timedelta(minutes=30))
    assert visitor.get(f"{path}reschedule/").context["choice"].month.start == start.date().replace(day=1)


def test_a_cancel_during_an_unclear_move_is_announced_and_carried_out_after_it(visitor, path, site):
    """The form says what will happen, and the cancel is stored: it is never lost silently."""
    start = list_new_starts(visitor, path)[3]
    site.fail_next("POST /booking/confirm/reschedule", "drop_after")
    site.fail_next("GET /v4/appointment/{id}", "drop_before", times=3)
    visitor.post(f"{path}reschedule/", start=start)
    move = AppointmentChange.objects.get()
    assert move.is_open
    assert "A move of this appointment is still in progress." in read(visitor.get(f"{path}cancel/"))
    assert visitor.post(f"{path}cancel/", reason="I am ill").status_code == 303
    assert "You asked to cancel this appointment." in read(visitor.get(path))
    assert visitor.get(f"{path}cancel/")["Location"] == path
    site.sandbox.faults.clear()
    for _ in range(4):
        site.run_due(after=600)
    assert site.appointments() == []
    assert "This appointment was cancelled" in read(visitor.get(path))


def explain(action, attendee, now):
    return Decision(allowed=False, reason="site_rule", message="Please call us: 01234 567890.")


def test_the_sentence_of_the_policy_is_shown(visitor, path, settings):
    settings.MEETERGO = {**settings.MEETERGO, "POLICY": "tests.pages.test_manage.explain"}
    text = read(visitor.get(path))
    assert "Please call us: 01234 567890." in text
    assert "cannot be changed online" not in text


def test_a_repeated_cancel_form_cancels_once(visitor, path, site):
    question = read(visitor.get(f"{path}cancel/"))
    assert "Keep appointment" in question
    assert "Anna Weber will see this." in question
    for _ in range(2):
        answer = visitor.post(f"{path}cancel/", reason="I am ill")
        assert (answer.status_code, answer["Location"]) == (303, path)
    assert AppointmentChange.objects.count() == 1
    assert site.appointments() == []
    text = read(visitor.get(path))
    assert "This appointment was cancelled" in text
    assert "I am ill" in text
    assert "Book again" in text


def test_a_reason_that_is_too_long_is_shown_again(visitor, path):
    answer = visitor.post(f"{path}cancel/", reason="x" * 501)
    assert answer.status_code == 422
    assert "Please use at most 500 characters." in read(answer)
    assert "x" * 501 in answer.content.decode()


@pytest.mark.parametrize(
    ("policy", "text"),
    [
        ("refuse", "This appointment cannot be changed online."),
        ("refuse_late", "It is too late to change this online."),
    ],
)
def test_a_forbidden_change_is_not_offered_and_not_done(visitor, path, settings, policy, text):
    settings.MEETERGO = {**settings.MEETERGO, "POLICY": f"tests.pages.test_manage.{policy}"}
    assert text in read(visitor.get(path))
    for page in (f"{path}cancel/", f"{path}reschedule/"):
        assert visitor.get(page)["Location"] == path
        answer = visitor.post(page, start="2099-01-01T09:00:00+00:00")
        assert answer.status_code == 409
        assert text in read(answer)
    assert not AppointmentChange.objects.exists()


def test_a_past_appointment_offers_only_a_new_booking(visitor, path):
    long_ago = timezone.now() - timedelta(days=3)
    Appointment.objects.update(start=long_ago, end=long_ago + timedelta(minutes=30))
    text = read(visitor.get(path))
    assert "This appointment was on" in text
    assert "Book again" in text
    assert "Cancel appointment" not in text


def test_an_open_change_is_shown_as_being_checked_until_its_result(visitor, path, site):
    site.fail_next("POST /booking/confirm/cancel/{id}/{secret}", "drop_after")
    site.fail_next("GET /v4/appointment/{id}", "drop_before", times=2)
    visitor.post(f"{path}cancel/", reason="")
    change = AppointmentChange.objects.get()
    assert change.is_open
    assert "We are checking your change" in read(visitor.get(path))
    assert visitor.get(f"{path}reschedule/")["Location"] == path
    site.sandbox.faults.clear()
    visitor.post(path)
    change.refresh_from_db()
    assert change.state == "done"
    assert "This appointment was cancelled" in read(visitor.get(path))


def test_a_place_in_a_group_is_cancelled_alone(visitor, site):
    visitor.book("group-class")
    site.run_due()
    attendee = Booking.objects.get().attendee
    path = links.get_manage_path(attendee)
    text = read(visitor.get(path))
    assert "Give up my place" in text
    assert "Choose another time" not in text
    visitor.post(f"{path}cancel/", reason="")
    assert Attendee.objects.get(pk=attendee.pk).status == "removed"
    assert "You have given up your place" in read(visitor.get(path))


def test_a_missing_appointment_is_shown_as_no_longer_available(visitor, path):
    Appointment.objects.update(missing_since=timezone.now())
    assert "no longer available" in read(visitor.get(path))


def test_a_forged_link_answers_404_without_a_query(visitor, path, attendee, django_assert_num_queries):
    """The token of a booking page is no valid token of a manage page either."""
    foreign = links.sign(attendee.booking.public_id, salt=links.BOOKING_SALT)
    for token in ("nope", foreign, path.split("/")[-2][:-1]):
        for page in ("", "reschedule/", "cancel/"):
            with django_assert_num_queries(0):
                answer = visitor.get(f"/book/manage/{token}/{page}")
            assert answer.status_code == 404
            assert "We cannot find this appointment." in read(answer)
    revoked = links.get_manage_path(attendee)
    Attendee.objects.update(public_id="5b1f6c1e-0d1c-4b39-9f61-2d7b51b4a111")
    assert visitor.get(revoked).status_code == 404


def add_cancel(attendee, reason, **changes):
    fields = {"kind": "cancel", "state": "done", "requested_by": "attendee", "created_at": timezone.now()}
    appointment = attendee.appointment
    AppointmentChange.objects.create(
        appointment=appointment, attendee=attendee, reason=reason, previous_start=appointment.start,
        **{**fields, **changes},
    )  # fmt: skip


def test_the_reason_of_another_attendee_of_a_group_is_not_shown(visitor):
    appointment = AppointmentFactory(meeting_type__spots=8)
    mine, other = [AttendeeFactory(appointment=appointment, status="removed") for _ in range(2)]
    add_cancel(mine, "")
    add_cancel(other, "I have been diagnosed with cancer")

    page = visitor.text(links.get_manage_path(mine))

    assert "diagnosed" not in page
    assert "You have given up your place" in page


def test_somebody_who_was_removed_by_the_host_has_not_given_up_the_place(visitor):
    attendee = AttendeeFactory(appointment=AppointmentFactory(meeting_type__spots=8), status="removed")

    assert "You have given up your place" not in visitor.text(links.get_manage_path(attendee))
