"""Whoever holds the link of an appointment may see it, move it and give it up; nobody else may."""

from datetime import datetime, timedelta

import pytest

from django_meetergo.models import Appointment, AppointmentChange, Attendee, MeetingType
from tests.api.conftest import kind

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def managed(front_end):
    """The address of a booked appointment."""
    return front_end.book(timezone="Europe/Berlin").json()["manage"]["url"]


def list_new_starts(front_end, managed):
    answer = front_end.get(managed + "availability/")
    return [free["start"] for free in answer.json()["times"]]


def test_the_appointment_is_shown_and_kept_by_nobody(front_end, managed):
    answer = front_end.get(managed)
    document = answer.json()
    assert (document["state"], document["may_cancel"], document["may_reschedule"]) == ("upcoming", True, True)
    assert (document["email"], document["timezone"]) == ("jane@example.com", "Europe/Berlin")
    assert answer["Cache-Control"] == "no-store"


def test_it_is_cancelled_once_however_often_it_is_sent(front_end, managed, site):
    for _ in range(2):
        answer = front_end.post(managed + "cancel/", {"reason": "I am well again"})
        assert (answer.status_code, answer.json()["state"]) == (200, "cancelled")
    assert site.appointments() == []
    assert AppointmentChange.objects.count() == 1


def test_it_is_moved_to_a_time_on_offer(front_end, managed, site):
    before = Appointment.objects.get().start
    start = list_new_starts(front_end, managed)[5]
    answer = front_end.post(managed + "reschedule/", {"start": start})
    assert answer.status_code == 200, answer.content
    assert datetime.fromisoformat(answer.json()["start"]) == datetime.fromisoformat(start)
    assert datetime.fromisoformat(answer.json()["previous_start"]) == before


def test_a_new_time_that_is_lost_leaves_the_old_one_standing(front_end, managed, site):
    before = Appointment.objects.get().start
    start = list_new_starts(front_end, managed)[5]
    site.occupy_slot(datetime.fromisoformat(start))
    answer = front_end.post(managed + "reschedule/", {"start": start})
    assert (answer.status_code, kind(answer)) == (409, "slot-taken")
    assert len(answer.json()["alternatives"]) == 4
    assert datetime.fromisoformat(front_end.get(managed).json()["start"]) == before


def test_alternatives_are_times_to_which_that_appointment_can_be_moved(front_end, site):
    """It does not stand in its own way, and where it stands now is no other time."""
    managed = front_end.book("consultation", channel="connect").json()["manage"]["url"]
    before = Appointment.objects.get().start
    beside, lost = before + timedelta(minutes=15), before + timedelta(minutes=45)
    list_new_starts(front_end, managed)
    site.occupy_slot(lost, "consultation")
    refused = front_end.post(managed + "reschedule/", {"start": lost.isoformat()})
    assert kind(refused) == "slot-taken"
    offered = [datetime.fromisoformat(free["start"]) for free in refused.json()["alternatives"]]
    assert beside in offered
    assert before not in offered
    assert front_end.post(managed + "reschedule/", {"start": beside.isoformat()}).status_code == 200


def test_an_unclear_change_is_on_its_way_until_it_is_found(front_end, managed, site):
    route = "PATCH /v4/appointment/{id}/cancel/{secret}"
    site.fail_next("*", kind="drop_after")
    answer = front_end.post(managed + "cancel/")
    assert (answer.status_code, answer.json()["state"]) == (202, "changing"), route
    assert int(answer["Retry-After"]) > 0
    other = front_end.post(managed + "reschedule/", {"start": list_new_starts(front_end, managed)[5]})
    assert (other.status_code, kind(other)) == (409, "change-in-progress")
    assert front_end.post(managed + "check/").json()["state"] == "cancelled"


@pytest.mark.parametrize(
    ("start", "status"),
    [("2020-01-01T00:00:00Z", 422), ("soon", 422), ("2199-01-01T00:00:00Z", 422), (None, 422)],
)
def test_a_start_that_cannot_be_is_refused_at_its_field(front_end, managed, start, status):
    answer = front_end.post(managed + "reschedule/", {"start": start})
    assert (answer.status_code, list(answer.json()["errors"])) == (status, ["start"])


def test_the_present_time_is_no_new_one(front_end, managed):
    start = Appointment.objects.get().start.isoformat()
    assert start not in list_new_starts(front_end, managed)
    answer = front_end.post(managed + "reschedule/", {"start": start})
    assert list(answer.json()["errors"]) == ["start"]


def test_what_is_over_cannot_be_changed_and_says_why(front_end, managed):
    Appointment.objects.update(start=datetime.now().astimezone() - timedelta(hours=1))
    for action, body in (("cancel", {}), ("reschedule", {"start": "2026-12-01T00:00:00Z"})):
        answer = front_end.post(f"{managed}{action}/", body)
        assert (answer.status_code, kind(answer)) == (409, "change-not-allowed")
        assert answer.json()["reason"] == "past"


def test_a_type_that_is_switched_off_offers_no_new_times(front_end, managed):
    start = list_new_starts(front_end, managed)[5]
    MeetingType.objects.update(enabled=False)
    for answer in (
        front_end.get(managed + "availability/"),
        front_end.post(managed + "reschedule/", {"start": start}),
    ):
        assert (answer.status_code, answer.json()["reason"]) == (409, "unavailable")
    assert not front_end.get(managed).json()["may_reschedule"]


def test_one_of_a_group_leaves_and_the_others_stay(front_end, site):
    start = front_end.list_starts("group-class")[0]
    jane = front_end.book("group-class", start=start)
    joe = front_end.book("group-class", start=start, email="joe@example.com", first_name="Joe")
    site.run_due(after=10)
    gone = front_end.post(jane.json()["manage"]["url"] + "cancel/")
    assert (gone.status_code, gone.json()["state"]) == (200, "cancelled"), gone.json()
    assert front_end.get(joe.json()["manage"]["url"]).json()["state"] == "upcoming"


def test_a_new_public_id_revokes_the_link(front_end, managed):
    import uuid

    Attendee.objects.update(public_id=uuid.uuid4())
    assert kind(front_end.get(managed)) == "not-found"
