"""The sandbox's page: what it shows, and the trouble it can cause, all without script."""

import re
from html import unescape
from http.client import HTTPConnection
from urllib.parse import urlencode

import pytest

from django_meetergo.sandbox import seed
from django_meetergo.sandbox.control import ACTIONS, HANDLERS
from django_meetergo.sandbox.deliveries import reorder
from django_meetergo.sandbox.faults import KINDS, ConnectionClosed
from django_meetergo.sandbox.hosted import PAGES
from django_meetergo.sandbox.routes import ROUTES

AT = "2026-10-06T09:00:00+02:00"
FORM = re.compile(r'<form method="post" action="([^"]+)"[^>]*>(.*?)</form>', re.DOTALL)
FORM_HEADERS = {
    "Host": "localhost",
    "Origin": "http://localhost",
    "Content-Type": "application/x-www-form-urlencoded",
}


class Form:
    """A form of the page: where it goes, its fields, and the words on its button."""

    def __init__(self, action, content):
        self.action = unescape(action)
        self.fields = dict(re.findall(r'<input[^>]* name="(\w+)"[^>]* value="([^"]*)"', content))
        self.fields |= re.findall(r'<select name="(\w+)"><option value="([^"]*)"', content)
        self.fields |= dict(re.findall(r'<button name="(\w+)" value="([^"]*)"', content)[:1])
        self.text = unescape(re.sub(r"<[^>]+>", " ", content))


class Page:
    """The page as somebody without script uses it."""

    def __init__(self, call):
        self.call = call

    def read(self):
        return self.call("GET", "/", token=None).body.decode()

    def list_forms(self):
        return [Form(*found) for found in FORM.findall(self.read())]

    def send(self, form, **fields):
        """Send a form as a browser does; return the page it leads to."""
        body = urlencode({**form.fields, **fields}).encode()
        reply = self.call.exchange("POST", form.action, body, FORM_HEADERS)
        assert reply.status == 303, reply.body
        assert re.fullmatch(r"/(#\w+)?", reply.headers["Location"])
        return self.read()

    def press(self, label, **fields):
        """Press the first button with these words."""
        form = next((one for one in self.list_forms() if label in " ".join(one.text.split())), None)
        assert form, f"{label} is not on the page"
        return self.send(form, **fields)

    def get_panel(self, name):
        """Return the text of a panel."""
        found = re.search(rf'<section id="{name}".*?</section>', self.read(), re.DOTALL)
        return " ".join(unescape(re.sub(r"<[^>]+>", " ", found[0])).split())


@pytest.fixture
def dashboard(call):
    return Page(call)


def register_endpoint(call):
    call("POST", "/webhooks", {"endpoint": "https://app.example/", "eventTypes": ["booking_created"]})


def test_every_form_of_the_page_can_be_sent(call, dashboard):
    """With its hidden fields and first choices."""
    call.book(seed.CHECKUP, AT)
    register_endpoint(call)
    forms = dashboard.list_forms()

    assert len(forms) >= 40
    for form in forms:
        if "/provisional/" not in form.action:
            dashboard.send(form)


def test_every_fault_has_a_switch(dashboard):
    """So that nothing a site must survive needs a program to cause."""
    switches = [
        form for form in dashboard.list_forms() if "kind" in form.fields and "What goes" not in form.text
    ]
    assert {form.fields["kind"] for form in switches} == KINDS


def test_a_fault_is_switched_on_and_off(call, dashboard):
    """Its chip says how often it still works."""
    assert "Book, but never answer, once" in dashboard.press("Book, but never answer")
    with pytest.raises(ConnectionClosed):
        call.book(seed.INTRO_CALL, AT)
    assert "Book, but never answer, once" not in dashboard.read()
    assert call.book(seed.INTRO_CALL, AT).status == 400  # the lost response was of a booking

    dashboard.press("The API key expires")
    assert call("GET", "/v4/user/me").status == 401
    dashboard.press("The API key expires, every time")
    assert call("GET", "/v4/user/me").status == 200


def test_any_fault_can_be_armed_for_any_call(call, dashboard):
    """With its own number of times."""
    text = dashboard.press("What goes wrong", kind="slow", route="GET /v4/user/me", times="3", seconds="0")
    assert "slow on GET /v4/user/me, 3 times" in text


def test_a_free_time_is_taken_away(call, dashboard):
    """As if somebody else had booked it at meetergo."""
    forms = [form for form in dashboard.list_forms() if "slots/occupy" in form.action]
    start = forms[0].fields["start"]
    dashboard.send(forms[0])

    assert "Robin Other" in dashboard.get_panel("diary")
    assert call.book(seed.INTRO_CALL, start).document["errorCode"] == "slot-occupied"


def test_two_appointments_in_one_half_hour_are_both_shown(call, dashboard):
    for minute in ("00", "15"):
        body = {"hostId": seed.ANNA, "start": f"2026-10-06T09:{minute}:00+02:00", "duration": 15}
        call.control("POST", "slots/occupy", {**body, "name": f"Robin At{minute}"})
    panel = dashboard.get_panel("diary")
    assert "Robin At00" in panel
    assert "Robin At15" in panel


def test_a_booking_is_confirmed_approved_declined_or_lapses(call, dashboard):
    """By its attendee, its host or nobody."""
    call.book(seed.CHECKUP, AT)
    assert "waits for its attendee" in dashboard.get_panel("bookings")
    dashboard.press("Confirm as attendee")
    for hour, button, state in (
        (11, "Approve as host", "booked"),
        (14, "Decline as host", "declined"),
        (16, "Let it lapse", "lapsed"),
    ):
        assert call.book(seed.SECOND_OPINION, f"2026-10-08T{hour}:00:00+02:00").status == 201
        dashboard.press(button)
        assert state in dashboard.get_panel("bookings")


def test_an_appointment_is_moved_and_cancelled(sandbox, call, dashboard):
    """By its host, who needs no site for it."""
    made = sandbox.state.appointments[call.book(seed.INTRO_CALL, AT).document["appointmentId"]]
    start = made.start
    dashboard.press("Move to the next time")
    assert made.start > start
    dashboard.press("Cancel the appointment")
    assert made.is_cancelled


def test_one_attendee_leaves_a_group(sandbox, call, dashboard):
    """The others stay."""
    for email in ("a@example.com", "b@example.com"):
        made = call.book(seed.GROUP_CLASS, AT, email).document["appointmentId"]
    dashboard.press("Remove Jane Doe")
    group = sandbox.state.appointments[made]
    assert (group.is_cancelled, [one.email for one in group.attendees]) == (False, ["b@example.com"])


def test_the_clock_is_moved(sandbox, dashboard):
    """Forward in steps, and back."""
    dashboard.press("+ 1 hour")
    dashboard.press("+ 1 hour")
    assert "Mon 05 Oct, 10:00" in dashboard.get_panel("clock")
    dashboard.press("Back to real time")
    assert sandbox.clock.offset_seconds == 0


def test_deliveries_are_held_reordered_dropped_and_repeated(sandbox, call, dashboard):
    """Each of them, and all of them."""
    bodies = []
    sandbox.deliveries.transport = lambda endpoint, body: bodies.append(body) or 204
    register_endpoint(call)
    dashboard.press("Hold back")
    for hour in ("09", "10"):
        call.book(seed.INTRO_CALL, f"2026-10-06T{hour}:00:00+02:00")
    assert dashboard.get_panel("deliveries").count("waits") == 2
    dashboard.press("Change their order")
    dashboard.press("Drop it")
    dashboard.press("Send what is held")
    assert sandbox.deliveries.wait_idle()
    assert len(bodies) == 1
    assert "dropped" in dashboard.get_panel("deliveries")
    assert "answer 204" in dashboard.get_panel("deliveries")

    dashboard.press("Send again")
    dashboard.press("Send twice")
    assert sandbox.deliveries.wait_idle()
    assert len(bodies) == 4

    dashboard.press("Send all again in the wrong order")
    assert sandbox.deliveries.wait_idle()
    assert len(bodies) == 8


@pytest.mark.parametrize("seed_number", range(8))
def test_a_repeat_in_the_wrong_order_is_never_in_the_right_one(seed_number):
    """Even if chance would keep the order."""
    assert reorder(["first", "second"], seed_number) == ["second", "first"]


def test_mails_are_listed_with_links_that_work(call, dashboard):
    """What the service would send to whom."""
    call.book(seed.CHECKUP, AT)
    link = re.search(r'href="(/confirm/[^"]+)"', dashboard.read())[1]
    reply = call.exchange("GET", link, b"", {"Host": "localhost"})
    assert reply.status == 200
    action, content = FORM.search(reply.body.decode()).groups()
    assert "Confirm the appointment" in content
    confirmed = call.exchange("POST", action, b"", FORM_HEADERS)

    assert confirmed.status == 303
    subjects = [mail["subject"] for mail in call.control("GET", "mails")][-2:]
    assert subjects == ["Please confirm your appointment", "Your appointment is confirmed"]
    assert "To jane.doe@example.com" in dashboard.get_panel("mailbox")


def test_calls_are_listed_without_secrets(sandbox, call, dashboard):
    """With what was sent and answered."""
    made = call.book(seed.INTRO_CALL, AT).document
    path = f"/booking/confirm/cancel/{made['appointmentId']}/{made['secret']}"
    assert call("POST", path, {}, token=None).status == 200
    register_endpoint(call)
    text = dashboard.get_panel("calls")

    assert "POST /v4/booking 201" in text
    assert '"email": "jane.doe@example.com"' in text
    assert made["secret"] not in text
    assert "https://app.example/…" in text
    assert seed.ADMIN_TOKEN not in text


def test_a_reset_removes_everything(call, dashboard):
    """And sets the profile that was chosen."""
    call.book(seed.INTRO_CALL, AT)
    text = dashboard.press("Remove everything and start again", profile="strict")

    assert "No mail was sent yet" in text
    assert "Nobody has called yet" in text
    assert '<option value="strict" selected>' in text


def test_a_wrong_entry_is_explained(call):
    """With a way back."""
    reply = call.exchange("POST", "/_sandbox/faults?panel=trouble", b"kind=<unheard>", FORM_HEADERS)

    assert reply.status == 400
    assert "&lt;unheard&gt;" in reply.body.decode()
    assert 'href="/"' in reply.body.decode()


def test_hostile_text_of_an_attendee_is_shown_as_text(call, dashboard):
    """Names come from whoever books."""
    call.book(seed.INTRO_CALL, AT, attendee={"firstname": "<script>alert(1)</script>"})
    assert "<script>alert" not in dashboard.read()


def list_every_path():
    paths = {"/", "/_sandbox/static/sandbox.css", "/_sandbox/static/sandbox.js", "/nowhere"}
    paths |= {f"/_sandbox/{name}" for _, name in HANDLERS}
    paths |= {f"/_sandbox/{name}/1/send" for name in ACTIONS}
    paths |= {f"/{name}" + "/x" * parts for name, parts in PAGES}
    return sorted(paths | {route.template.replace("{", "").replace("}", "") for route in ROUTES})


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_foreign_host_is_refused_on_every_route(sandbox, server, method):
    """A page that rebinds its name to 127.0.0.1 reads and changes nothing."""
    before = (len(sandbox.state.appointments), sandbox.clock.offset_seconds)
    for path in list_every_path():
        connection = HTTPConnection("127.0.0.1", server.port, timeout=5)
        connection.request(method, path, b"", {"Host": "rebound.example"})
        status = connection.getresponse().status
        connection.close()
        assert status == 403, path
    assert (len(sandbox.state.appointments), sandbox.clock.offset_seconds) == before
