"""Bad input is refused with a text, changes nothing, and leaves every other request as it was."""

import json
import socket
from urllib.parse import urlsplit

import pytest

from django_meetergo.sandbox import seed
from tests.sandbox.test_dashboard import FORM_HEADERS

AT = "2026-10-06T09:00:00+02:00"
FAR = "9999-12-31T23:50:00Z"
HALF = '"\\ud83d"'  # half of a character, as JSON writes it


def send_text(call, method, path, text):
    """Send a body that ``json.dumps`` would not write."""
    headers = {"Host": "localhost", "Authorization": f"Bearer {seed.ADMIN_TOKEN}"}
    return call.exchange(method, path, text.encode(errors="surrogatepass"), headers)


def list_ids(call):
    listed = call("GET", "/v4/appointment/paginated", query={"userId": seed.ANNA, "pageSize": 100})
    return [one["id"] for one in listed.document["appointments"]]


def test_a_refused_move_leaves_the_lists_as_they_are(call):
    made = [
        call.book(seed.INTRO_CALL, start).document["appointmentId"]
        for start in call.free(seed.INTRO_CALL)[:3]
    ]
    before = list_ids(call)
    body = {"start": FAR, "ignoreAvailability": True}
    assert call("POST", f"/v4/appointment/{made[0]}/reschedule", body).status == 400
    later = {"start": call.free(seed.INTRO_CALL)[5]}
    assert call("POST", f"/v4/appointment/{made[0]}/reschedule", later).status < 300
    assert sorted(list_ids(call)) == sorted(before)


@pytest.mark.parametrize("start", [FAR, "0001-01-01T00:00:00Z"])
def test_an_instant_at_an_end_of_the_calendar_is_refused(call, start):
    assert call.book(seed.INTRO_CALL, start, ignoreAvailability=True).status == 400
    page = call.exchange("GET", f"/praxis-am-lindenhof/intro-call?start={start}", b"", {"Host": "localhost"})
    assert page.status == 200
    assert call("GET", "/", token=None).status == 200


@pytest.mark.parametrize("offset", ["1e18", "-1e300", "NaN", "Infinity"])
def test_a_clock_that_cannot_be_moved_so_far_stays(call, sandbox, offset):
    assert send_text(call, "POST", "/_sandbox/clock", f'{{"offset_seconds": {offset}}}').status == 400
    assert sandbox.clock.offset_seconds == 0
    assert call.control("POST", "reset")


@pytest.mark.parametrize(
    "notes",
    [
        f'{{"a": {HALF}}}',
        '{"a": "\ud83d"}',
        '{"a": NaN}',
        '{"a": 1e400}',
        f'{{"a": {"[" * 200 + "]" * 200}}}',
    ],
)
def test_text_that_cannot_be_returned_is_refused(call, notes):
    """Stored, it would break every list."""
    attendee = f'{{"email": "jane@example.com", "firstname": "Jane", "notes": {notes}}}'
    slot = f'"meetingTypeId": "{seed.INTRO_CALL}", "start": "{AT}", "hostIds": ["{seed.ANNA}"]'
    body = f'{{{slot}, "attendee": {attendee}}}'
    assert send_text(call, "POST", "/v4/booking", body).status == 400
    assert call("GET", "/", token=None).status == 200
    assert list_ids(call) is not None


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("settings", {"clock_skew": "5"}),
        ("settings", {"strict": 1}),
        ("settings", {"provisional_hours": 1e9}),
        ("settings", {"profile": "untidy", "list_lag": "x"}),
        ("faults", {"kind": "slow", "times": "2"}),
        ("faults", {"kind": "slow", "seconds": "2"}),
        ("faults", {"kind": "status_before", "status": "500"}),
        ("faults", {"kind": "status_before", "status": -5}),
        ("faults", {"kind": "slow", "times": 0.5}),
        ("faults", {"kind": "slow", "times": -7}),
        ("faults", {"kind": "slow", "seconds": -1}),
        ("faults", {"kind": "oversized", "size": 1.5}),
        ("faults", {"kind": "garbage", "body": 5}),
        ("deliveries", {"action": "delay", "seconds": 1e12}),
        ("deliveries", {"action": "retries", "count": 1000}),
        ("deliveries", {"action": "duplicate", "count": 1e6}),
        ("slots/occupy", {"hostId": seed.ANNA, "start": AT, "meetingTypeId": "unknown"}),
        ("slots/occupy", {"hostId": seed.ANNA, "start": AT, "duration": -30}),
        ("appointments", {"count": "many"}),
    ],
)
def test_a_control_request_of_the_wrong_kind_is_refused(call, path, body):
    reply = call("POST", f"/_sandbox/{path}", body, token=None)
    assert reply.status in {400, 404}
    assert reply.document["message"]
    assert call.control("GET", "state")["appointments"]
    assert call("GET", "/", token=None).status == 200


def test_a_huge_count_is_refused(call):
    assert send_text(call, "POST", "/_sandbox/appointments", '{"count": 1e999}').status == 400


def test_a_form_says_no_with_a_word(call, sandbox):
    """A form has texts only."""
    sandbox.configure(strict=True)
    call.exchange("POST", "/_sandbox/settings", b"strict=false", FORM_HEADERS)
    assert sandbox.settings.strict is False


def test_an_unforeseen_failure_is_answered(call, sandbox, monkeypatch):
    def fail(*args):
        raise KeyError("unforeseen")

    monkeypatch.setattr("django_meetergo.sandbox.dashboard.respond", fail)
    assert call("GET", "/", token=None).status == 500


def test_a_panel_is_no_header(call):
    reply = call.exchange("POST", "/_sandbox/faults/clear?panel=x%0d%0aX-Evil:%201", b"a=b", FORM_HEADERS)
    assert (reply.status, reply.headers["Location"]) == (303, "/#x%0D%0AX-Evil%3A%201")


def test_a_secret_in_a_path_is_never_logged(call, sandbox):
    """Nor where the method or the host is wrong."""
    path = "/booking/confirm/cancel/an-id/top-secret"
    for one in (path, f"/{path}", f"/v4/..{path}", f"{path}/more", "/appointment/an-id/top-secret"):
        call.exchange("GET", one, b"", {"Host": "localhost"})
        call.exchange("POST", one, b"", {"Host": "elsewhere.example.com"})
    assert "top-secret" not in json.dumps(sandbox.request_log.entries())
    assert "top-secret" not in call("GET", "/", token=None).body.decode()


def test_a_request_that_is_cut_off_is_not_carried_out(server, sandbox):
    sandbox.configure(strict=True)
    address = urlsplit(server.url)
    with socket.create_connection((address.hostname, address.port), timeout=5) as connection:
        head = "POST /_sandbox/reset HTTP/1.1\r\nHost: localhost\r\nContent-Length: 500\r\n\r\n"
        connection.sendall(head.encode() + b'{"profile": "seed"}')
        connection.shutdown(socket.SHUT_WR)
        assert connection.recv(100) == b""
    assert sandbox.settings.strict is True


@pytest.mark.parametrize("kind", ["garbage", "oversized"])
def test_an_answer_that_has_no_body_sends_none(call, wire, sandbox, server, kind):
    """A body after 204 would be taken for the next answer on the same connection."""
    from http.client import HTTPConnection

    made = wire(
        "POST", "/webhooks", {"endpoint": "https://app.example.com/", "eventTypes": ["booking_created"]}
    )
    sandbox.faults.add("DELETE /webhooks/{id}", kind)
    address = urlsplit(server.url)
    connection = HTTPConnection(address.hostname, address.port, timeout=5)
    headers = {"Host": "localhost", "Authorization": f"Bearer {seed.ADMIN_TOKEN}"}
    for method, path in (("DELETE", f"/webhooks/{made.document['id']}"), ("GET", "/webhooks")):
        connection.request(method, path, headers=headers)
        reply = connection.getresponse()
        body = reply.read()
    assert (reply.status, body) == (200, b"[]")
    connection.close()
