"""Staff cancel and reschedule appointments, read them again and see the attendees' links."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from django.contrib.admin.models import LogEntry
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from django_meetergo import links
from django_meetergo.admin.errors import describe_error
from django_meetergo.admin.reschedule import shift
from django_meetergo.exceptions import InvalidRequest
from django_meetergo.models import Appointment, AppointmentChange, MeetingType
from django_meetergo.services import AttendeeData, book_appointment
from django_meetergo.services.changes import batches
from django_meetergo.testing.factories import AppointmentFactory, AttendeeFactory
from tests.admin.conftest import get_text
from tests.free_times import list_starts_of_a_full_week

pytestmark = pytest.mark.django_db

CANCEL = "POST /v4/appointment/{id}/cancel"


def test_a_confirmation_page_changes_nothing(superuser, sandbox, book):
    """Neither opening the page nor choosing the action sends anything; only its button does."""
    appointment = book().attendee.appointment

    chosen = superuser.choose_action("appointment", "cancel", [appointment])
    superuser.get("appointment_cancel", ids=appointment.pk)

    assert "Cancel 1 appointment?" in get_text(chosen)
    assert "Will be cancelled; meetergo notifies person0.intro-call@example.com" in get_text(chosen)
    assert AppointmentChange.objects.count() == 0
    assert sandbox.count_requests(CANCEL) == 0
    superuser.run_action("appointment", "cancel", [appointment])
    assert sandbox.count_requests(CANCEL) == 1


def test_three_are_cancelled_with_a_reason_and_the_others_are_not_changed(superuser, sandbox, book):
    """The page says what happens to each row, and the log has each cancel with its reason."""
    booked = [book(number).attendee.appointment for number in (0, 5, 9)]
    past = AppointmentFactory(start=timezone.now() - timedelta(days=1))
    cancelled = AppointmentFactory(status="cancelled")

    chosen = superuser.choose_action("appointment", "cancel", [*booked, past, cancelled])
    assert "Cancel 3 appointments?" in get_text(chosen)
    assert "No change: already started or over" in get_text(chosen)
    assert "No change: already cancelled" in get_text(chosen)
    result = superuser.run_action("appointment", "cancel", [*booked, past, cancelled], reason="water damage")

    assert "3 of 3" in get_text(result)
    assert get_text(result).count("Cancelled") == 3
    stored = Appointment.objects.filter(pk__in=[row.pk for row in booked])
    assert {row.status for row in stored} == {"cancelled"}
    assert sandbox.appointments() == []
    assert LogEntry.objects.filter(change_message__contains="water damage").count() == 3
    assert len(set(AppointmentChange.objects.values_list("batch"))) == 1


def test_one_is_rescheduled_to_a_free_time(superuser, sandbox, book):
    appointment = book().attendee.appointment
    chosen = get_text(superuser.choose_action("appointment", "reschedule", [appointment]))
    target = sandbox.list_free_starts("intro-call")[10]

    result = superuser.run_action("appointment", "reschedule", [appointment], free=target.isoformat())

    appointment.refresh_from_db()
    assert "Reschedule 1 appointment?" in chosen
    assert "Rescheduled to" in get_text(result)
    assert appointment.start == target


def test_free_times_of_a_type_whose_connection_is_gone_are_left_out(superuser, sandbox, book):
    """The appointment may still be rescheduled: another connection of the company reads it."""
    appointment = book().attendee.appointment
    MeetingType.objects.filter(pk=appointment.meeting_type_id).update(connection="old", read_by="old")
    page = superuser.choose_action("appointment", "reschedule", [appointment])
    assert page.status_code == 200
    assert "Reschedule 1 appointment?" in get_text(page)


def test_a_time_that_has_passed_is_marked_in_the_form(superuser, sandbox, book):
    appointment = book().attendee.appointment
    yesterday = timezone.localtime() - timedelta(days=1)
    result = superuser.run_action(
        "appointment", "reschedule", [appointment], other=f"{yesterday:%Y-%m-%dT%H:%M}"
    )
    assert "This time has passed." in get_text(result)
    assert "Or another time" in get_text(result)
    assert (
        describe_error(InvalidRequest("start x has passed", field="start"))
        == "Choose a time that is still to come, and not the present one."
    )


def test_a_refused_reschedule_says_why_and_the_old_time_stays(superuser, sandbox, book):
    """Another visitor takes the time between the page and the button."""
    appointment = book().attendee.appointment
    start = appointment.start
    target = sandbox.list_free_starts("intro-call")[10]
    superuser.choose_action("appointment", "reschedule", [appointment])
    sandbox.occupy_slot(target)

    result = superuser.post(
        "appointment_reschedule", ids=appointment.pk, confirmed="yes",
        other=timezone.localtime(target).strftime("%Y-%m-%dT%H:%M"),
    )  # fmt: skip

    appointment.refresh_from_db()
    refusal = "Refused: the new time is no longer free. The appointment keeps its old time."
    assert refusal in get_text(result)
    assert appointment.start == start


def test_several_are_rescheduled_by_days_and_keep_their_time_of_day(superuser, sandbox, book):
    rows = [book(number).attendee.appointment for number in (0, 3)]

    superuser.run_action("appointment", "reschedule", rows, days=7, minutes="")

    changes = AppointmentChange.objects.filter(kind="reschedule")
    assert changes.count() == 2
    for change in changes:
        before, after = timezone.localtime(change.previous_start), timezone.localtime(change.target_start)
        assert (after.date() - before.date()).days == 7
        assert after.time() == before.time()


def test_a_shift_across_the_end_of_summer_time_keeps_the_time_of_day():
    """Seven days are not always 168 hours."""
    before = datetime(2026, 10, 22, 8, 0, tzinfo=UTC)  # 10:00 in Berlin

    assert shift(before, 7, 0) == datetime(2026, 10, 29, 9, 0, tzinfo=UTC)
    assert shift(before, 0, 30) == datetime(2026, 10, 22, 8, 30, tzinfo=UTC)


def test_an_empty_form_is_shown_again(superuser, sandbox, book):
    appointment = book().attendee.appointment

    result = superuser.run_action("appointment", "reschedule", [appointment], free="", other="")

    assert "Choose one time" in get_text(result)
    assert AppointmentChange.objects.count() == 0


def test_more_than_twenty_are_sent_in_the_background(superuser, sandbox):
    """The page answers at once, shows the progress, and the workers finish."""
    start = timezone.now() + timedelta(days=3)
    active = list(Appointment.objects.filter(status="confirmed", start__gt=timezone.now())[:25])
    missing = 25 - len(active)
    active += [AppointmentFactory(start=start + timedelta(hours=n)) for n in range(missing)]

    result = superuser.run_action("appointment", "cancel", active, reason="closed")

    assert "0 of 25" in get_text(result)
    assert 'value="0" max="25"' in result.content.decode()
    assert sandbox.count_requests(CANCEL) == 0
    for _ in range(4):
        sandbox.run_due(after=120)
    page = superuser.client.get(result.request["PATH_INFO"])
    assert "25 of 25" in get_text(page)
    assert sandbox.count_requests(CANCEL) > 0


def test_a_cancel_whose_answer_is_lost_is_checked(superuser, sandbox, book):
    appointment = book().attendee.appointment
    sandbox.fail_next("*", "drop_after", times=1)

    result = superuser.run_action("appointment", "cancel", [appointment])

    assert "Being checked" in get_text(result) or "Cancelled" in get_text(result)
    sandbox.run_due(after=30)
    appointment.refresh_from_db()
    assert appointment.is_cancelled


def test_an_appointment_is_read_again(superuser, sandbox, book):
    """What changed at meetergo is shown; what no longer exists there is marked."""
    appointment = book().attendee.appointment
    sandbox.run_due(after=5)
    assert "unchanged" in get_text(superuser.run_action("appointment", "fetch", [appointment]))
    unknown = AppointmentFactory()

    assert "no longer exists at meetergo" in get_text(superuser.run_action("appointment", "fetch", [unknown]))

    unknown.refresh_from_db()
    assert unknown.missing_since


def test_an_error_of_the_service_is_reported_in_words(superuser, sandbox, book):
    appointment = book().attendee.appointment
    sandbox.expire_key()

    result = superuser.run_action("appointment", "fetch", [appointment])

    assert result.status_code == 200
    assert "not done." in get_text(result)


def test_links_are_shown_on_request_only_and_logged(superuser, sandbox, book):
    """Whoever has the link can cancel, so opening a page does not show it."""
    attendee = book().attendee
    url = links.build_absolute_url(links.get_manage_path(attendee))

    pages = [
        superuser.get("appointment_changelist"),
        superuser.get("appointment_change", attendee.appointment_id),
        superuser.get("appointment_link", ids=attendee.appointment_id),
    ]
    shown = superuser.run_action("appointment", "link", [attendee.appointment])

    assert not any(url in page.content.decode() for page in pages)
    assert url in shown.content.decode()
    assert "no-store" in shown["Cache-Control"]
    assert LogEntry.objects.filter(change_message__contains="links").count() == 1


def test_a_row_offers_the_actions_that_would_change_it(superuser, sandbox, book):
    """An upcoming appointment can be cancelled; a past one cannot."""
    active = book().attendee.appointment
    past = AttendeeFactory(appointment__start=timezone.now() - timedelta(days=1)).appointment

    assert f"/cancel/?ids={active.pk}" in superuser.get("appointment_change", active.pk).content.decode()
    page = superuser.get("appointment_change", past.pk).content.decode()
    assert f"/cancel/?ids={past.pk}" not in page
    assert 'action="/admin/meetergo/appointment/fetch/"' in page


def test_a_confirmation_page_needs_the_same_statements_for_any_number_of_rows(superuser):
    rows = [AttendeeFactory().appointment for _ in range(30)]

    def count_statements(chosen):
        with CaptureQueriesContext(connection) as statements:
            page = superuser.choose_action("appointment", "cancel", chosen)
        assert f"Cancel {len(chosen)} appointments?" in get_text(page)
        return len(statements)

    assert count_statements(rows[:2]) == count_statements(rows) <= 10


@pytest.mark.parametrize("other", ["9999-12-31T23:59", "0001-01-01T00:00"])
def test_a_date_far_from_today_is_refused(superuser, sandbox, book, other):
    appointment = book().attendee.appointment

    result = superuser.run_action("appointment", "reschedule", [appointment], other=other)

    assert result.status_code == 200
    assert "Choose a time within the next two years." in get_text(result)
    assert AppointmentChange.objects.count() == 0


def test_a_refusal_is_shown_in_words(superuser, sandbox, book):
    """The appointment is cancelled elsewhere while the confirmation page is open."""
    appointment = book().attendee.appointment
    superuser.choose_action("appointment", "cancel", [appointment])
    Appointment.objects.filter(pk=appointment.pk).update(status="cancelled")

    result = superuser.post("appointment_cancel", ids=appointment.pk, confirmed="yes")

    assert "No change: already cancelled" in get_text(result)
    assert sandbox.count_requests(CANCEL) == 0


def test_appointments_in_a_row_are_rescheduled_by_their_own_length(superuser, sandbox):
    kind = sandbox.meeting_type("intro-call")
    week, length = list_starts_of_a_full_week(sandbox, "intro-call"), timedelta(minutes=kind.duration)
    first = next(start for start in week if {start + n * length for n in range(4)} <= {*week})
    rows = [
        book_appointment(
            meeting_type=kind, start=first + number * length, client=sandbox.client(), now=sandbox.now(),
            attendee=AttendeeData(email=f"p{number}@example.com", first_name="P", last_name=f"N{number}"),
        ).attendee.appointment
        for number in range(3)
    ]  # fmt: skip

    result = superuser.run_action("appointment", "reschedule", rows, days=0, minutes=kind.duration)

    assert "refused" not in get_text(result).lower()
    starts = [Appointment.objects.get(pk=row.pk).start for row in rows]
    assert starts == [first + length, first + 2 * length, first + 3 * length]


def test_the_same_reschedule_sent_again_shows_its_result(superuser, sandbox, book):
    """The browser's Back button, and the same button once more."""
    row = book().attendee.appointment
    target = timezone.localtime(sandbox.list_free_starts("intro-call")[10])
    form = {"ids": row.pk, "confirmed": "yes", "other": target.strftime("%Y-%m-%dT%H:%M")}
    superuser.post("appointment_reschedule", **form)

    again = superuser.post("appointment_reschedule", **form)

    assert again.status_code == 200
    assert "Rescheduled to" in get_text(again)


def test_a_cancel_that_a_colleague_requested_meanwhile_shows_its_result(
    superuser, make_staff, sandbox, book, monkeypatch
):
    row, colleague = book().attendee.appointment, make_staff("cancel_appointment").user
    store = batches.cancel_appointments

    def store_after_colleague(**arguments):
        store(**{**arguments, "batch": uuid4(), "user": colleague})
        return store(**arguments)

    monkeypatch.setattr(batches, "cancel_appointments", store_after_colleague)

    assert superuser.post("appointment_cancel", ids=row.pk, confirmed="yes").status_code == 200


def test_a_shift_by_minutes_keeps_the_second_half_past_two_when_clocks_go_back():
    second = datetime(2026, 10, 25, 1, 30, tzinfo=UTC)  # 02:30 in Berlin, for the second time

    assert shift(second, 0, 15) == second + timedelta(minutes=15)
