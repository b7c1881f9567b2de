"""Webhook endpoints and what is delivered to them."""

import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from django_meetergo.sandbox import seed
from django_meetergo.sandbox.deliveries import is_loopback
from tests.sandbox.contract import load_contract

EVENTS = ["booking_created", "booking_cancelled", "booking_rescheduled"]


@pytest.fixture
def inbox():
    """An endpoint on this computer: its address, the bodies received, and the statuses to answer with."""
    came, statuses = [], []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            came.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(statuses.pop(0) if statuses else 200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *args):
            pass

    listener = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=listener.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield f"http://127.0.0.1:{listener.server_port}/hooks/secret-token", came, statuses
    listener.shutdown()
    thread.join()
    listener.server_close()


def register(call, endpoint="https://app.example.com/hook", **more):
    return call("POST", "/webhooks", {"endpoint": endpoint, "eventTypes": EVENTS, **more})


def book_three(call):
    return [
        call.book(seed.INTRO_CALL, start).document["appointmentId"]
        for start in call.free(seed.INTRO_CALL)[:3]
    ]


def test_a_reset_drops_the_delivery_that_is_under_way(sandbox, call):
    """Its retries would go to an endpoint that is not registered any more."""

    def fail(endpoint, body):
        sandbox.reset()
        raise OSError

    sandbox.deliveries.settings.manual = True
    sandbox.deliveries.transport = fail
    register(call)
    call.book(seed.INTRO_CALL, call.free(seed.INTRO_CALL)[0])
    assert sandbox.deliveries.send_pending() == []
    assert (sandbox.deliveries.count_pending(), sandbox.request_log.entries(kind="delivery")) == (0, [])


def test_a_thread_that_was_busy_at_the_end_stops_afterwards(sandbox, call, monkeypatch):
    started, ends, threads = threading.Event(), threading.Event(), []

    def wait(endpoint, body):
        threads.append(threading.current_thread())
        started.set()
        ends.wait(10)
        return 200

    sandbox.deliveries.transport = wait
    register(call)
    call.book(seed.INTRO_CALL, call.free(seed.INTRO_CALL)[0])
    assert started.wait(5)
    monkeypatch.setattr(threads[0], "join", lambda seconds: None)
    sandbox.deliveries.close()
    ends.set()
    threading.Thread.join(threads[0], 5)
    assert not threads[0].is_alive()


@pytest.mark.parametrize(
    ("endpoint", "is_local"),
    [
        ("http://127.0.0.1/", True),
        ("http://127.8.9.1:80/", True),
        ("http://[::1]/", True),
        ("http://shop.localhost/", True),
        ("http://127.attacker.example/", False),
        ("http://localhost.example.com/", False),
    ],
)
def test_deliveries_stay_on_this_computer(endpoint, is_local):
    assert is_loopback(endpoint) is is_local


def test_endpoints_are_numbered_changed_and_removed(call):
    """Ids are integers, a change replaces the events, a removal answers nothing."""
    made = register(call, description="Production")
    assert (made.status, made.document["id"]) == (201, 1492)
    changed = call("PATCH", "/webhooks/1492", {"eventTypes": ["booking_created"]}).document
    assert changed["eventTypes"] == ["booking_created"]
    assert [one["id"] for one in call("GET", "/webhooks").document] == [1492]
    assert call("DELETE", "/webhooks/1492").body == b""
    assert call("DELETE", "/webhooks/1492").status == 404
    assert call("GET", "/webhooks").document == []


def test_a_seventh_endpoint_is_refused(call):
    """The status is 406."""
    assert {register(call).status for _ in range(6)} == {201}
    assert register(call).status == 406


def test_endpoints_must_be_https_or_local(call):
    """HTTPS anywhere, plain HTTP on this computer only, known events only."""
    assert register(call, "http://app.example.com/hook").status == 400
    assert register(call, "http://127.0.0.1:8000/hook").status == 201
    assert register(call, eventTypes=[]).status == 400
    assert register(call, eventTypes=["unheard_of"]).status == 400


def test_each_change_is_delivered_in_the_documented_shape(sandbox, call, inbox):
    """Created, moved, cancelled: three bodies, times with an offset and without milliseconds."""
    endpoint, came, _ = inbox
    register(call, endpoint)
    made = call.book(seed.INTRO_CALL, "2026-10-06T09:00:00+02:00").document["appointmentId"]
    call("POST", f"/v4/appointment/{made}/reschedule", {"start": "2026-10-06T10:00:00+02:00"})
    call("POST", f"/v4/appointment/{made}/cancel", {"reason": "x"})
    assert sandbox.deliveries.wait_idle()

    assert [body["webhookType"] for body in came] == [EVENTS[0], EVENTS[2], EVENTS[1]]
    assert [body["start"] for body in came[:2]] == ["2026-10-06T09:00:00+02:00", "2026-10-06T10:00:00+02:00"]
    assert came[2]["cancel"]["reason"] == "x"
    for body in came:
        load_contract().check_schema(body, "BookingWebhookFlat")
    written = json.dumps(sandbox.request_log.entries(kind="delivery"))
    assert "secret-token" not in written


def test_an_attendee_who_leaves_a_group_sends_booking_cancelled(sandbox, call, inbox):
    """The appointment itself is not cancelled."""
    endpoint, came, _ = inbox
    register(call, endpoint)
    made = call.book(seed.GROUP_CLASS, "2026-10-06T09:00:00+02:00").document["appointmentId"]
    person = call("GET", f"/v4/appointment/{made}").document["attendeeIds"][0]
    call("POST", f"/v4/appointment/{made}/cancel", {"attendeeId": person})
    assert sandbox.deliveries.wait_idle()
    assert (came[1]["webhookType"], came[1]["isCancelled"]) == ("booking_cancelled", False)


def test_deliveries_are_repeated_shuffled_dropped_and_replayed(sandbox, call, inbox):
    """And they can have the old envelope."""
    endpoint, came, _ = inbox
    register(call, endpoint)

    def control(action, **more):
        call.control("POST", "deliveries", {"action": action, **more})

    control("hold")
    control("duplicate", count=2)
    ids = book_three(call)
    assert came == []
    control("shuffle")
    control("release")
    assert sandbox.deliveries.wait_idle()
    order = [body["id"] for body in came]
    assert sorted(order) == sorted(ids * 2)
    assert order != [one for one in ids for _ in range(2)]
    control("replay")
    assert sandbox.deliveries.wait_idle()
    assert len(came) == 12
    control("duplicate", count=1)
    control("drop", count=2)
    control("legacy")
    book_three(call)
    assert sandbox.deliveries.wait_idle()
    assert len(came) == 13
    load_contract().check_schema(came[-1], "WebhookEnvelopeLegacy")
    results = [entry["result"] for entry in sandbox.request_log.entries(kind="delivery")]
    assert results.count("dropped") == 2


def test_a_failed_delivery_is_retried(sandbox, call, inbox):
    """Until the endpoint answers 2xx."""
    endpoint, came, statuses = inbox
    statuses += [500, 503]
    register(call, endpoint)
    call.control("POST", "deliveries", {"action": "retries", "count": 3, "seconds": 0.01})
    call.book(seed.INTRO_CALL, "2026-10-06T09:00:00+02:00")
    assert sandbox.deliveries.wait_idle()
    assert len(came) == 3
    assert [entry["attempt"] for entry in sandbox.request_log.entries(kind="delivery")] == [1, 2, 3]


def test_nothing_is_sent_to_another_computer(sandbox, call):
    """Its endpoint is registered, and never called."""
    register(call)
    call.book(seed.INTRO_CALL, "2026-10-06T09:00:00+02:00")
    assert sandbox.deliveries.wait_idle()
    assert "outside" in sandbox.request_log.entries(kind="delivery")[0]["result"]


def test_a_test_can_send_deliveries_itself(sandbox, call):
    """In the caller's thread, through its own transport."""
    sent = []
    sandbox.deliveries.settings.manual = True
    sandbox.deliveries.transport = lambda endpoint, body: sent.append((endpoint, body)) or 200
    register(call)
    call.book(seed.INTRO_CALL, "2026-10-06T09:00:00+02:00")
    assert sandbox.deliveries.count_pending() == 1
    assert sandbox.deliveries.send_pending()[0]["status"] == 200
    assert len(sent) == 1
