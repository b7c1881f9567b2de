"""The holder of an appointment's token can see, reschedule and cancel it."""

from datetime import datetime, timedelta

import pytest

from django_meetergo.models import Appointment, AppointmentChange, Attendee, Host, MeetingType
from django_meetergo.services.changes.requests import handoff_appointment
from tests.api.conftest import get_problem_type

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def managed(front_end):
    """The address where the attendee of a booked appointment manages it."""
    return front_end.book(timezone="Europe/Berlin").json()["manage"]["url"]


def list_new_starts(front_end, managed):
    answer = front_end.get(managed + "/availability/")
    return [slot["start"] for slot in answer.json()["times"]]


def test_the_appointment_is_shown_and_never_stored_by_caches(front_end, managed):
    answer = front_end.get(managed)
    document = answer.json()
    assert (document["state"], document["may_cancel"], document["may_reschedule"]) == ("upcoming", True, True)
    assert (document["email"], document["timezone"]) == ("jane@example.com", "Europe/Berlin")
    assert answer["Cache-Control"] == "no-store"


def test_a_repeated_cancel_cancels_once(front_end, managed, site):
    for _ in range(2):
        answer = front_end.post(managed + "/cancel/", {"reason": "I have recovered"})
        assert (answer.status_code, answer.json()["state"]) == (200, "cancelled")
    assert site.appointments() == []
    assert AppointmentChange.objects.count() == 1


def test_the_appointment_is_rescheduled_to_a_free_time(front_end, managed, site):
    before = Appointment.objects.get().start
    start = list_new_starts(front_end, managed)[5]
    answer = front_end.post(managed + "/reschedule/", {"start": start})
    assert answer.status_code == 200, answer.content
    assert datetime.fromisoformat(answer.json()["start"]) == datetime.fromisoformat(start)
    assert datetime.fromisoformat(answer.json()["previous_start"]) == before


def test_a_taken_new_time_leaves_the_appointment_unchanged(front_end, managed, site):
    before = Appointment.objects.get().start
    start = list_new_starts(front_end, managed)[5]
    site.occupy_slot(datetime.fromisoformat(start))
    answer = front_end.post(managed + "/reschedule/", {"start": start})
    assert (answer.status_code, get_problem_type(answer)) == (409, "slot-taken")
    assert len(answer.json()["alternatives"]) == 4
    assert datetime.fromisoformat(front_end.get(managed).json()["start"]) == before


def test_alternatives_can_be_booked_by_rescheduling(front_end, site):
    """The appointment does not block its own neighbours, and its present time is not offered."""
    starts = set(map(datetime.fromisoformat, front_end.list_starts("consultation")))
    quarter = timedelta(minutes=15)
    before = min(start for start in starts if {start + quarter, start + 3 * quarter} <= starts)
    booked = front_end.book("consultation", channel="connect", start=before.isoformat())
    managed = booked.json()["manage"]["url"]
    beside, taken = before + timedelta(minutes=15), before + timedelta(minutes=45)
    list_new_starts(front_end, managed)
    site.occupy_slot(taken, "consultation")
    refused = front_end.post(managed + "/reschedule/", {"start": taken.isoformat()})
    assert get_problem_type(refused) == "slot-taken"
    offered = [datetime.fromisoformat(slot["start"]) for slot in refused.json()["alternatives"]]
    assert beside in offered
    assert before not in offered
    assert front_end.post(managed + "/reschedule/", {"start": beside.isoformat()}).status_code == 200


def test_a_change_with_a_lost_answer_is_in_progress_until_it_is_found(front_end, managed, site):
    site.fail_next("*", kind="drop_after")
    answer = front_end.post(managed + "/cancel/")
    assert (answer.status_code, answer.json()["state"]) == (202, "changing")
    assert int(answer["Retry-After"]) > 0
    other = front_end.post(managed + "/reschedule/", {"start": list_new_starts(front_end, managed)[5]})
    assert (other.status_code, get_problem_type(other)) == (409, "change-in-progress")
    assert front_end.post(managed + "/check/").json()["state"] == "cancelled"


def test_a_cancel_during_an_unclear_handoff_is_accepted_and_carried_out_after_it(front_end, managed, site):
    """The answer says that it is under way, and it is never lost silently."""
    appointment = Appointment.objects.get()
    site.fail_next("POST /v4/handoff/appointment", "drop_after")
    site.fail_next("GET /v4/appointment/{id}", "drop_before", times=3)
    other = next(host for host in Host.objects.all() if host not in appointment.hosts.all())
    handoff_appointment(appointment=appointment, host=other, client=site.client(), now=site.now())

    answer = front_end.post(managed + "/cancel/")
    assert (answer.status_code, answer.json()["state"]) == (202, "changing")

    site.sandbox.faults.clear()
    for _ in range(4):
        site.run_due(after=600)
    assert site.appointments() == []
    assert front_end.get(managed + "/").json()["state"] == "cancelled"


@pytest.mark.parametrize(
    ("start", "status"),
    [("2020-01-01T00:00:00Z", 422), ("soon", 422), ("2199-01-01T00:00:00Z", 422), (None, 422)],
)
def test_an_invalid_start_is_refused_at_its_field(front_end, managed, start, status):
    answer = front_end.post(managed + "/reschedule/", {"start": start})
    assert (answer.status_code, list(answer.json()["errors"])) == (status, ["start"])


def test_the_present_start_is_neither_offered_nor_accepted(front_end, managed):
    start = Appointment.objects.get().start.isoformat()
    assert start not in list_new_starts(front_end, managed)
    answer = front_end.post(managed + "/reschedule/", {"start": start})
    assert list(answer.json()["errors"]) == ["start"]


def test_a_past_appointment_cannot_be_changed(front_end, managed):
    Appointment.objects.update(start=datetime.now().astimezone() - timedelta(hours=1))
    for action, body in (("cancel", {}), ("reschedule", {"start": "2026-12-01T00:00:00Z"})):
        answer = front_end.post(f"{managed}/{action}", body)
        assert (answer.status_code, get_problem_type(answer)) == (409, "change-not-allowed")
        assert answer.json()["reason"] == "past"


def test_a_disabled_meeting_type_offers_no_reschedule(front_end, managed):
    start = list_new_starts(front_end, managed)[5]
    MeetingType.objects.update(enabled=False)
    for answer in (
        front_end.get(managed + "/availability/"),
        front_end.post(managed + "/reschedule/", {"start": start}),
    ):
        assert (answer.status_code, answer.json()["reason"]) == (409, "unavailable")
    assert not front_end.get(managed).json()["may_reschedule"]


def test_one_attendee_leaves_a_group_and_the_others_stay(front_end, site):
    start = front_end.list_starts("group-class")[0]
    jane = front_end.book("group-class", start=start)
    joe = front_end.book("group-class", start=start, email="joe@example.com", first_name="Joe")
    site.run_due(after=10)
    cancelled = front_end.post(jane.json()["manage"]["url"] + "/cancel/")
    assert (cancelled.status_code, cancelled.json()["state"]) == (200, "cancelled"), cancelled.json()
    assert front_end.get(joe.json()["manage"]["url"]).json()["state"] == "upcoming"


def test_a_new_public_id_revokes_the_token(front_end, managed):
    import uuid

    Attendee.objects.update(public_id=uuid.uuid4())
    assert get_problem_type(front_end.get(managed)) == "not-found"


def test_too_many_changes_are_429_and_say_when(front_end, managed, settings):
    """The limit of the pages; the answer names the time after which a change is accepted again."""
    settings.MEETERGO = {**settings.MEETERGO, "MAX_CHANGES_PER_HOUR": 1}
    starts = list_new_starts(front_end, managed)
    assert front_end.post(managed + "/reschedule/", {"start": starts[5]}).status_code == 200
    answer = front_end.post(managed + "/reschedule/", {"start": starts[9]})
    assert (answer.status_code, get_problem_type(answer)) == (429, "too-many-changes")
    assert 0 < int(answer["Retry-After"]) <= 3600
