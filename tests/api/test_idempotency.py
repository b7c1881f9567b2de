"""A request that is sent again, because its answer was lost, gets the answer to the first one."""

from datetime import datetime, timedelta

import pytest
from django.utils import timezone

from django_meetergo.models import Appointment, AppointmentChange, Booking, MeetingType
from tests.api.conftest import get_problem_type
from tests.site_changes import SITE_CHANGES

pytestmark = pytest.mark.django_db(transaction=True)

KEY = "0123456789abcdef-0123456789abcdef"


@pytest.mark.parametrize("change_site", SITE_CHANGES)
def test_the_same_key_shows_the_booking_whatever_has_changed(front_end, site, settings, change_site):
    start = front_end.list_starts()[0]
    first = front_end.book(start=start, key=KEY)
    change_site(settings)
    again = front_end.book(start=start, key=KEY)
    assert (again.status_code, again["Location"]) == (201, first["Location"]), again.content
    assert len(site.appointments()) == 1


def test_a_start_that_has_passed_meanwhile_is_no_error_for_a_known_key(front_end, monkeypatch):
    """The phone was offline until after the appointment had begun."""
    start = front_end.list_starts()[0]
    first = front_end.book(start=start, key=KEY)
    later = timezone.now() + timedelta(days=30)
    monkeypatch.setattr(timezone, "now", lambda: later)
    assert front_end.book(start=start, key=KEY)["Location"] == first["Location"]


def test_a_repeated_request_is_not_counted_against_the_booking_rate(front_end, site, settings):
    start = front_end.list_starts()[0]
    settings.MEETERGO = {**settings.MEETERGO, "CLIENT_IP_HEADER": "REMOTE_ADDR"}
    settings.REST_FRAMEWORK = {"DEFAULT_THROTTLE_RATES": {"meetergo-book": "1/hour"}}
    first = front_end.book(start=start, key=KEY)
    assert front_end.book(start=start, key="another-key-of-16-letters").status_code == 429
    assert front_end.book(start=start, key=KEY)["Location"] == first["Location"]


def test_a_refused_booking_is_refused_the_same_way_again(front_end, site):
    start = front_end.list_starts()[0]
    body = '{"message": "Validation failed", "errors": [{"field": "email", "message": "no"}]}'
    site.fail_next("POST /v4/booking", kind="status_before", status=400, body=body)
    first, again = (front_end.book(start=start, key=KEY) for _ in range(2))
    assert (first.status_code, again.status_code) == (422, 422)
    assert first.json()["errors"] == again.json()["errors"]
    assert Booking.objects.count() == 1


# Changes


@pytest.fixture
def managed(front_end):
    return front_end.book(timezone="Europe/Berlin").json()["manage"]["url"]


def test_a_repeated_reschedule_shows_the_present_state(front_end, managed, site):
    start = front_end.get(managed + "/availability/").json()["times"][5]["start"]
    answers = [front_end.post(managed + "/reschedule/", {"start": start}) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [200, 200], answers[1].content
    assert datetime.fromisoformat(answers[1].json()["start"]) == datetime.fromisoformat(start)
    assert AppointmentChange.objects.count() == 1


@pytest.mark.parametrize("action", ["cancel", "reschedule"])
def test_a_change_that_is_sent_again_while_it_is_in_progress_is_not_refused(
    front_end, managed, site, settings, action
):
    """Whatever the policy and the limits say meanwhile."""
    start = front_end.get(managed + "/availability/").json()["times"][5]["start"]
    body = {"start": start} if action == "reschedule" else {}
    for route in ("POST /booking/confirm/reschedule/", "POST /booking/confirm/cancel/{id}/{secret}"):
        site.fail_next(route, "drop_after")
    first = front_end.post(f"{managed}/{action}", body)
    settings.MEETERGO = {
        **settings.MEETERGO,
        "POLICY": "tests.api.test_idempotency.forbid",
        "MAX_CHANGES_PER_HOUR": 1,
    }
    again = front_end.post(f"{managed}/{action}", body)
    assert (first.status_code, again.status_code) == (202, 202), again.content
    assert AppointmentChange.objects.count() == 1


def test_a_repeated_reschedule_shows_the_present_state_when_changes_are_no_longer_allowed(
    front_end, managed, settings
):
    start = front_end.get(managed + "/availability/").json()["times"][5]["start"]
    assert front_end.post(managed + "/reschedule/", {"start": start}).status_code == 200
    MeetingType.objects.update(enabled=False)
    settings.MEETERGO = {**settings.MEETERGO, "POLICY": "tests.api.test_idempotency.forbid"}
    assert front_end.post(managed + "/reschedule/", {"start": start}).status_code == 200


def forbid(action, attendee, now):
    from django_meetergo.services.changes.policy import Decision

    return Decision(allowed=False, reason="closed_season")


def test_a_reason_of_the_sites_policy_is_shown_beside_a_known_one(front_end, managed, settings):
    settings.MEETERGO = {**settings.MEETERGO, "POLICY": "tests.api.test_idempotency.forbid"}
    start = front_end.get(managed + "/availability/").json()["times"][5]["start"]
    for action, body in (("cancel", {}), ("reschedule", {"start": start})):
        answer = front_end.post(f"{managed}/{action}", body)
        assert (answer.status_code, get_problem_type(answer)) == (409, "change-not-allowed")
        document = answer.json()
        assert (document["reason"], document["policy_reason"]) == ("not_allowed", "closed_season")
        assert document["detail"]


def test_staff_can_repeat_a_reschedule(front_end, managed, make_user):
    staff = make_user("staff", "view_appointment", "reschedule_appointment")
    start = front_end.get(managed + "/availability/").json()["times"][5]["start"]
    path = f"/appointments/{Appointment.objects.get().public_id}/reschedule/"
    assert [staff.post(path, {"start": start}).status_code for _ in range(2)] == [200, 200]


def test_a_start_without_a_reschedule_to_it_is_still_refused(front_end, managed):
    start = Appointment.objects.get().start.isoformat()
    answer = front_end.post(managed + "/reschedule/", {"start": start})
    assert answer.json()["errors"]["start"][0]["code"] == "unchanged"
