"""Credentials, profiles and limits."""

import pytest

from django_meetergo.sandbox import seed
from django_meetergo.sandbox.app import Sandbox
from django_meetergo.sandbox.clock import Clock
from tests.sandbox.conftest import NOW, Caller, exchange_in_process

USER_HEADER = "x-meetergo-api-user-id"


@pytest.mark.parametrize(
    ("token", "status", "message"),
    [
        (None, 401, "Missing authorization header"),
        ("rgo-nobody", 401, "Invalid API key"),
        ("something-else", 401, "Invalid API key"),
        (seed.EXPIRED_TOKEN, 401, "API key has expired"),
        (seed.CRM_TOKEN, 403, "Forbidden resource"),
        (
            seed.PLATFORM_KEY,
            400,
            "Missing required header 'x-meetergo-api-user-id' for API key authentication",
        ),
    ],
)
def test_each_refusal_has_its_text(call, token, status, message):
    """Missing, unknown, expired and limited credentials are refused with the service's texts."""
    reply = call("GET", "/v4/appointment/paginated", token=token)
    assert (reply.status, reply.document["message"]) == (status, message)


def test_a_personal_token_cannot_name_another_user(call):
    """The acting-user header belongs to platform keys."""
    assert call("GET", "/v4/user/me", headers={USER_HEADER: seed.BEN}).status == 403


def test_a_platform_key_acts_as_the_user_it_names(call):
    """Without a user it acts as the owner, on the routes that allow it."""
    assert call("GET", "/v4/user/me", token=seed.PLATFORM_KEY).document["id"] == seed.OWNER
    named = call("GET", "/v4/user/me", token=seed.PLATFORM_KEY, headers={USER_HEADER: seed.BEN})
    assert named.document["id"] == seed.BEN


def test_a_limited_token_is_refused_outside_its_scope(call):
    """Scheduling opens meeting types but neither webhooks nor the user."""
    assert call("GET", "/v4/meeting-type", token=seed.SCHEDULING_TOKEN).status == 200
    assert call("GET", "/webhooks", token=seed.SCHEDULING_TOKEN).status == 403
    assert call("GET", "/v4/user/me", token=seed.SCHEDULING_TOKEN).status == 403


def test_only_an_admin_reads_data_of_other_users(call):
    """A member may not read users, or lists and appointments of other hosts."""
    made = call.book(seed.INTRO_CALL, "2026-10-06T09:00:00+02:00").document["appointmentId"]
    assert call("GET", "/v4/user").document["total"] == 3
    assert call("GET", "/v4/user", token=seed.MEMBER_TOKEN).status == 403
    query = {"userId": seed.ANNA}
    assert call("GET", "/v4/appointment/paginated", query=query, token=seed.MEMBER_TOKEN).status == 403
    assert call("GET", f"/v4/appointment/{made}", token=seed.MEMBER_TOKEN).status == 404


def test_strict_refuses_what_production_refuses(sandbox, call):
    """Missing attendee fields and page numbers are reported as a list."""
    sandbox.reset(profile="strict")
    sandbox.clock.offset_seconds = 0
    booked = call.book(seed.INTRO_CALL, "2026-10-06T09:00:00+02:00")
    listed = call("GET", "/v4/appointment/paginated/", query={"page": 1, "limit": 20})

    assert booked.document["message"] == [
        "attendee.receiveReminders must be a boolean value",
        "attendee.notes must be an object",
    ]
    assert listed.document["message"] == ["pageSize must be an integer number"]
    complete = {"receiveReminders": True, "notes": {}}
    assert call.book(seed.INTRO_CALL, "2026-10-06T09:00:00+02:00", attendee=complete).status == 201


@pytest.mark.parametrize("profile", ["seed", "strict", "legacy"])
def test_availability_without_hosts_is_refused_in_every_profile(sandbox, call, profile):
    """The missing host is reported before the meeting type is read."""
    sandbox.reset(profile=profile)
    reply = call("GET", "/v4/booking-availability", query={"meetingTypeId": "unknown"})
    assert (reply.status, reply.document["message"]) == (400, "Expected hostIds or queueId")


def test_legacy_sends_the_old_shapes(sandbox, call):
    """Slots by day, a flat list behind a switch, and wrapped meeting types."""
    sandbox.reset(profile="legacy")
    query = {
        "meetingTypeId": seed.INTRO_CALL,
        "hostIds": seed.ANNA,
        "start": "2026-10-06",
        "end": "2026-10-08",
    }
    assert call("GET", "/v4/booking-availability", query=query).document["slots"][0]["date"] == "2026-10-06"
    call.control("POST", "settings", {"availability_shape": "flat"})
    assert call("GET", "/v4/booking-availability", query=query).document["availableSlots"]
    assert len(call("GET", "/v4/meeting-type").document["meetingTypes"]) == 6


def test_the_201st_request_of_a_burst_waits():
    """The limit counts per credential, sends ``Retry-After``, and refills with time."""
    sandbox = Sandbox(clock=Clock(lambda: NOW))
    call = Caller(exchange_in_process(sandbox))
    answers = [call("GET", "/v4/meeting-type").status for _ in range(200)]
    reply = call("GET", "/v4/meeting-type")

    assert set(answers) == {200}
    assert (reply.status, reply.document["message"]) == (429, "Too Many Requests")
    assert int(reply.headers["Retry-After"]) >= 1
    assert call("GET", "/v4/meeting-type", token=seed.MEMBER_TOKEN).status == 200
    call.control("POST", "settings", {"retry_after": False})
    assert "Retry-After" not in call("GET", "/v4/meeting-type").headers
    call.control("POST", "clock", {"offset_seconds": 60})
    assert call("GET", "/v4/meeting-type").status == 200
    sandbox.close()


def test_unknown_and_malformed_ids_are_missing(call):
    """An id that cannot exist is a 404, or production's 500 behind a switch."""
    assert call("GET", "/v4/meeting-type/not-an-id").status == 404
    assert call("GET", "/v4/appointment/not-an-id").status == 404
    call.control("POST", "settings", {"malformed_id_500": True})
    assert call("GET", "/v4/meeting-type/not-an-id").status == 500
    assert call("GET", "/v4/appointment", checked=False).status == 404


def test_the_small_reads_keep_to_the_contract(call):
    """Queues, links, fields and single meeting types have the documented shape."""
    assert call("GET", f"/v4/meeting-type/{seed.NEXT_THERAPIST}").document["queueId"] == seed.QUEUE
    assert call("GET", f"/v4/queue/{seed.QUEUE}").document["userIds"] == [seed.ANNA, seed.BEN, seed.CLARA]
    assert len(call("GET", f"/v4/queue/{seed.QUEUE}/next").document["nextHosts"]) == 3
    assert len(call("GET", f"/v4/queue/workspace/{seed.WORKSPACE}").document) == 1
    assert call("POST", f"/v4/one-time-booking-link/create/{seed.INTRO_CALL}").status == 201
    assert len(call("GET", "/v4/data-field").document) == 2


def test_ids_are_the_same_on_every_start():
    """Two sandboxes open with the same ids and secrets, and share nothing afterwards."""
    one, other = Sandbox(), Sandbox()
    assert list(one.state.appointments) == list(other.state.appointments)
    assert [a.secret for a in one.state.appointments.values()] == [
        a.secret for a in other.state.appointments.values()
    ]
    assert set(one.state.meeting_types) == {
        seed.INTRO_CALL,
        seed.CONSULTATION,
        seed.NEXT_THERAPIST,
        seed.CHECKUP,
        seed.SECOND_OPINION,
        seed.GROUP_CLASS,
    }
    one.state.appointments.clear()
    assert other.state.appointments


def test_switches_are_checked_and_a_profile_brings_its_own(sandbox):
    """Unknown names and values are refused; changing the profile sets the former one's switches back."""
    for wrong in ({"colour": "red"}, {"availability_shape": "round"}, {"profile": "gentle"}):
        with pytest.raises(ValueError):
            sandbox.configure(**wrong)
    sandbox.configure(profile="legacy", hold_pending=False)
    assert (sandbox.settings.availability_shape, sandbox.settings.legacy_envelope) == ("slots", True)
    sandbox.configure(profile="strict")
    assert (sandbox.settings.availability_shape, sandbox.settings.strict) == ("v4", True)
    assert sandbox.settings.hold_pending is False
    sandbox.reset()
    assert (sandbox.settings.profile, sandbox.settings.hold_pending) == ("strict", True)
