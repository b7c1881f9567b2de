"""The sandbox's page: what it shows, and the trouble it can cause."""

import re
from urllib.parse import urlencode

import pytest

from django_meetergo.sandbox import seed
from django_meetergo.sandbox.faults import ConnectionClosed

AT = "2026-10-06T09:00:00+02:00"


@pytest.fixture
def press(call):
    """Send a form of the page as a browser does; return the page it leads to."""

    def press(path, **fields):
        headers = {
            "Host": "localhost",
            "Origin": "http://localhost",
            "Content-Type": "application/x-www-form-urlencoded",
        }
        reply = call.exchange("POST", f"/_sandbox/{path}", urlencode(fields).encode(), headers)
        assert (reply.status, reply.headers["Location"]) == (303, "/"), reply.body
        return call("GET", "/", token=None).body.decode()

    return press


def test_every_form_of_the_page_can_be_sent(call, press):
    """With its hidden fields and first choices, and without any script."""
    call.book(seed.CHECKUP, AT)
    page = call("GET", "/", token=None).body.decode()
    forms = re.findall(r'<form method="post" action="/_sandbox/([^"]+)">(.*?)</form>', page, re.DOTALL)

    assert len(forms) >= 12
    for path, content in forms:
        if "provisional/" in path:
            continue
        fields = dict(re.findall(r'<input[^>]* name="(\w+)"[^>]* value="([^"]*)"', content))
        fields |= re.findall(r'<select name="(\w+)"><option value="([^"]*)"', content)
        press(path, **fields)


def test_a_fault_is_armed_and_cleared_by_a_form(call, press):
    """The page lists what is armed."""
    page = press("faults", kind="drop_after", route="POST /v4/booking", times="2", seconds="5")
    assert "drop_after on POST /v4/booking, 2 more" in page
    with pytest.raises(ConnectionClosed):
        call.book(seed.INTRO_CALL, AT)

    assert "None is armed" in press("faults/clear")
    assert call.book(seed.INTRO_CALL, AT).status == 400  # the lost response was of a booking


def test_the_clock_is_moved_by_a_form(sandbox, press):
    """Forward in steps, and back."""
    press("clock", advance_seconds=3600)
    assert "Mon 05 Oct 2026, 10:00" in press("clock", advance_seconds=3600)
    press("clock", offset_seconds=0)
    assert sandbox.clock.offset_seconds == 0


def test_deliveries_are_held_and_released_by_a_form(sandbox, call, press):
    """The page shows how many are pending."""
    call("POST", "/webhooks", {"endpoint": "https://app.example/", "eventTypes": ["booking_created"]})
    press("deliveries", action="hold")
    call.book(seed.INTRO_CALL, AT)

    assert "Endpoints: 1. Deliveries pending: 1." in press("deliveries", action="shuffle")
    press("deliveries", action="release")
    assert sandbox.deliveries.wait_idle()


def test_mails_and_calls_are_listed(call, press):
    """What the service would send to whom, and what the site has called."""
    made = call.book(seed.CHECKUP, AT).document["provisionalBookingId"]
    page = press(f"provisional/{made}/confirm")
    subjects = [mail["subject"] for mail in call.control("GET", "mails")][-2:]

    assert subjects == ["Please confirm your appointment", "Your appointment is confirmed"]
    assert "jane.doe@example.com" in page
    assert "<td>POST</td><td>/v4/booking</td><td>201</td>" in page


def test_a_reset_removes_everything(call, press):
    """And sets the profile that was chosen."""
    call.book(seed.INTRO_CALL, AT)
    page = press("reset", profile="strict")

    assert "No mail was sent" in page
    assert "Nobody has called" in page
    assert '<option value="strict" selected>' in page


def test_a_wrong_entry_is_explained(call):
    """With a way back."""
    headers = {"Host": "localhost", "Content-Type": "application/x-www-form-urlencoded"}
    reply = call.exchange("POST", "/_sandbox/faults", b"kind=unheard_of", headers)

    assert reply.status == 400
    assert "unheard_of" in reply.body.decode()
    assert '<a href="/">' in reply.body.decode()
