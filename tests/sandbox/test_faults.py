"""Every fault, over a socket where it matters, and its entry in the request log."""

import json
import time
from email.utils import parsedate_to_datetime
from http.client import BadStatusLine, HTTPConnection, HTTPException, IncompleteRead, RemoteDisconnected
from pathlib import Path

import pytest

from django_meetergo.sandbox import seed
from django_meetergo.sandbox.faults import KINDS, ConnectionClosed, ConnectionStalled, MalformedReply
from tests.sandbox.conftest import NOW

AT = "2026-10-06T09:00:00+02:00"
ROUTE = "POST /v4/booking"


def arm(call, kind, route=ROUTE, **options):
    call.control("POST", "faults", {"route": route, "kind": kind, **options})


def book(call):
    attendee = {"email": "jane.doe@example.com", "notes": {"reference": "m1"}}
    body = {"meetingTypeId": seed.INTRO_CALL, "start": AT, "hostIds": [seed.ANNA], "attendee": attendee}
    return call("POST", "/v4/booking", body, checked=False)


def active(sandbox):
    return [one for one in sandbox.state.appointments.values() if not one.is_cancelled]


def test_the_last_seats_of_a_group_are_taken_by_others(sandbox, call):
    """Of the group that is there: one start has one appointment."""
    start = call.free(seed.GROUP_CLASS)[0]
    call.book(seed.GROUP_CLASS, start)
    arm(call, "occupy_slot")
    assert call.book(seed.GROUP_CLASS, start, "b@example.com").document["errorCode"] == "slot-occupied"
    [group] = active(sandbox)
    assert len(group.attendees) == sandbox.state.meeting_types[seed.GROUP_CLASS].spots


def test_taking_the_slot_of_an_invalid_request_refuses_it(call):
    arm(call, "occupy_slot")
    assert call.book(seed.INTRO_CALL, AT, duration="x").status == 400


def test_a_request_without_a_slot_is_answered_as_ever(call):
    made = call.book(seed.INTRO_CALL, AT).document["appointmentId"]
    arm(call, "occupy_slot", "*", times=-1)
    assert call("GET", "/v4/user/me").status == 200
    assert call("POST", f"/v4/appointment/{made}/cancel", {}).status == 200


@pytest.mark.parametrize(
    ("kind", "error", "applied"),
    [
        ("drop_before", RemoteDisconnected, False),
        ("drop_after", RemoteDisconnected, True),
        ("reset_before", ConnectionResetError, False),
        ("reset_after", ConnectionResetError, True),
        ("hang_before", RemoteDisconnected, False),
        ("hang_after", RemoteDisconnected, True),
        ("bad_status_line", BadStatusLine, True),
        ("cut", IncompleteRead, True),
    ],
)
def test_endings_without_a_response(sandbox, wire, kind, error, applied):
    """The caller sees the failure, the booking is made or not, and the next request is answered."""
    arm(wire, kind, seconds=0.1)
    with pytest.raises(error) as caught:
        book(wire)
    assert type(caught.value) is error
    assert len(active(sandbox)) == applied
    assert book(wire).status == (400 if applied else 201)
    entry = next(entry for entry in sandbox.request_log.entries(kind="request") if entry["fault"])
    assert (entry["route"], entry["fault"]) == ("/v4/booking", kind)


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        ("drop_after", ConnectionClosed),
        ("hang_after", ConnectionStalled),
        ("bad_status_line", MalformedReply),
    ],
)
def test_in_process_a_missing_response_is_an_exception(sandbox, call, kind, error):
    """The exception says whether the request was carried out."""
    arm(call, kind, seconds=9)
    with pytest.raises(error) as caught:
        book(call)
    assert caught.value.applied is True
    assert len(active(sandbox)) == 1


@pytest.mark.parametrize(("kind", "applied"), [("status_before", False), ("status_after", True)])
def test_a_status_can_be_chosen(sandbox, wire, kind, applied):
    """Status, ``Retry-After`` and body are those of the fault."""
    arm(wire, kind, status=502, retry_after=7, body='{"message": "gateway"}')
    reply = book(wire)
    assert (reply.status, reply.headers["Retry-After"], reply.document) == (502, "7", {"message": "gateway"})
    assert len(active(sandbox)) == applied


@pytest.mark.parametrize("part", ["headers", "body"])
def test_a_response_can_drip(wire, part):
    """The bytes come in small pieces over the whole time."""
    arm(wire, "drip", seconds=0.4, part=part)
    before = time.monotonic()
    assert book(wire).status == 201
    assert time.monotonic() - before >= 0.35


def test_responses_can_be_slow_oversized_garbage_or_empty(sandbox, wire):
    """All of them with the right status, after the booking was made."""
    arm(wire, "slow", seconds=0.2)
    before = time.monotonic()
    made = book(wire).document
    assert time.monotonic() - before >= 0.2
    path = f"/v4/appointment/{made['appointmentId']}"
    route = "GET /v4/appointment/{id}"
    arm(wire, "oversized", route)
    assert len(wire("GET", path, checked=False).body) > 2 * 1024 * 1024
    arm(wire, "garbage", route)
    garbled = wire("GET", path, checked=False)
    assert (garbled.status, garbled.headers["Content-Type"][:9]) == (200, "text/html")
    arm(wire, "empty", route)
    empty = wire("GET", path, checked=False)
    assert (empty.status, empty.body) == (200, b"")


def test_a_slot_can_be_occupied_before_the_request(sandbox, call):
    """Another attendee books first: before bookings and moves, in queues and in groups."""
    arm(call, "occupy_slot")
    assert book(call).document["errorCode"] == "slot-occupied"
    assert "other" in active(sandbox)[0].attendees[0].email
    for kind, day in ((seed.NEXT_THERAPIST, 7), (seed.GROUP_CLASS, 9)):
        arm(call, "occupy_slot")
        assert call.book(kind, f"2026-10-0{day}T09:00:00+02:00").document["errorCode"] == "slot-occupied"
    made = call.book(seed.INTRO_CALL, "2026-10-08T09:00:00+02:00").document["appointmentId"]
    arm(call, "occupy_slot", "POST /v4/appointment/{appointmentId}/reschedule")
    moved = call("POST", f"/v4/appointment/{made}/reschedule", {"start": "2026-10-08T10:00:00+02:00"})
    assert moved.document["errorCode"] == "slot-occupied"


def test_a_control_route_occupies_a_slot(call):
    """The slot is then refused to others."""
    taken = call.control("POST", "slots/occupy", {"hostId": seed.ANNA, "start": AT})
    assert taken["appointmentId"]
    assert book(call).status == 400


def test_the_date_can_be_wrong(call):
    """The header is wrong by as many seconds as the fault says."""
    arm(call, "skew_date", "*", seconds=-90)
    off = parsedate_to_datetime(call("GET", "/v4/user/me").headers["Date"])
    assert (NOW - off).total_seconds() == 90


def test_answers_and_new_rows_can_be_missing(call):
    """Attendees come without answers, and lists without new rows, while the fault applies."""
    made = book(call).document["appointmentId"]
    arm(call, "hide_answers", "GET /v4/appointment/{id}")
    assert "notes" not in call("GET", f"/v4/appointment/{made}").document["attendees"][0]
    assert call("GET", f"/v4/appointment/{made}").document["attendees"][0]["notes"] == {"reference": "m1"}
    arm(call, "list_lag", "GET /v4/appointment/paginated", seconds=30)
    query = {"page": 0, "pageSize": 20, "start": "2026-10-06", "status": "confirmed"}
    totals = [call("GET", "/v4/appointment/paginated", query=query).document["total"] for _ in range(2)]
    assert totals[1] - totals[0] == 1


def test_a_booking_can_be_applied_late(sandbox, wire):
    """There is no response, and the appointment appears later."""
    arm(wire, "delayed_apply", seconds=0.2)
    with pytest.raises(RemoteDisconnected):
        book(wire)
    assert active(sandbox) == []
    time.sleep(0.4)
    assert len(active(sandbox)) == 1


def test_a_key_can_expire_between_requests(call):
    """After the third request the credential is refused until a reset."""
    arm(call, "expire_key", "*", after=2)
    statuses = [call("GET", "/v4/meeting-type").status for _ in range(4)]
    assert statuses == [200, 200, 401, 401]
    call.control("POST", "reset", {})
    assert call("GET", "/v4/meeting-type").status == 200


def test_faults_skip_count_and_can_be_cleared(call):
    """``after`` skips, ``times`` repeats, DELETE disarms, and an unknown kind is refused."""
    arm(call, "status_before", "GET *", status=500, after=1, times=2)
    read = "/v4/meeting-type"
    assert [call("GET", read, checked=False).status for _ in range(4)] == [200, 500, 500, 200]
    arm(call, "status_before", "*", times=None)
    call.control("DELETE", "faults")
    assert call("GET", read).status == 200
    assert call("POST", "/_sandbox/faults", {"route": "*", "kind": "unheard_of"}).status == 400


def test_every_fault_has_a_test():
    """Every kind is named in a test of this folder."""
    text = "".join(path.read_text(encoding="utf-8") for path in Path(__file__).parent.glob("test_*.py"))
    assert [kind for kind in KINDS if f'"{kind}"' not in text] == []


def test_the_request_log_is_complete_and_hides_secrets(sandbox, call):
    """Requests and changes are in order, without secrets; the state shows secrets to tests."""
    made = book(call).document
    call("POST", f"/booking/confirm/cancel/{made['appointmentId']}/{made['secret']}", token=None)
    entries = call.control("GET", "log?since=0")
    text = json.dumps(entries)
    assert made["secret"] not in text
    assert seed.ADMIN_TOKEN not in text
    assert [entry["n"] for entry in entries] == list(range(1, len(entries) + 1))
    assert {entry["kind"] for entry in entries} == {"request", "applied"}
    changes = [entry["change"] for entry in entries if entry["kind"] == "applied"][-2:]
    assert changes == ["appointment_created", "appointment_cancelled"]
    state = call.control("GET", "state")
    assert made["secret"] in [one["secret"] for one in state["appointments"]]
    assert call.control("GET", f"log?since={len(entries)}") == []


def test_a_connection_is_used_again(server):
    """HTTP/1.1: two requests on one socket, with and without a body in the answer."""
    connection = HTTPConnection("127.0.0.1", server.port, timeout=5)
    seen = []
    for _ in range(3):
        connection.request("GET", "/v4/user/me", headers={"Authorization": f"Bearer {seed.ADMIN_TOKEN}"})
        answer = connection.getresponse()
        answer.read()
        seen.append(connection.sock.getsockname())
    connection.close()
    assert len(set(seen)) == 1


@pytest.mark.parametrize("kind", ["drop_before", "reset_before", "bad_status_line", "cut"])
def test_closed_connections_print_nothing(wire, capfd, kind):
    """The sandbox writes nothing to stdout and stderr when it ends a connection."""
    arm(wire, kind)
    with pytest.raises((OSError, HTTPException)):
        book(wire)
    time.sleep(0.05)
    assert capfd.readouterr() == ("", "")
