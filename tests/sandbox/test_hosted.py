"""The pages meetergo hosts: booking elsewhere than on the site, and the links of mails."""

import re
from html import unescape
from urllib.parse import urlencode

import pytest

from django_meetergo.sandbox import seed

HEADERS = {
    "Host": "localhost",
    "Origin": "http://localhost",
    "Content-Type": "application/x-www-form-urlencoded",
}
JANE = {"firstname": "Jane", "lastname": "Doe", "email": "jane@example.com"}


@pytest.fixture
def visit(call):
    """Open a hosted page, or send its form; return the response."""

    def visit(path, **fields):
        method = "POST" if fields else "GET"
        return call.exchange(method, path, urlencode(fields).encode(), HEADERS)

    return visit


def list_times(visit, path):
    return [
        unescape(link) for link in re.findall(r'<a href="([^"]+\?start=[^"]+)"', visit(path).body.decode())
    ]


def book(visit, path, nth=0, **fields):
    link = list_times(visit, path)[nth]
    start = re.search(r'name="start" value="([^"]+)"', visit(link).body.decode())[1]
    return visit(path, start=start, **JANE, **fields)


@pytest.mark.parametrize(
    "slug", ["intro-call", "consultation", "next-therapist", "checkup", "second-opinion", "group-class"]
)
def test_every_meeting_type_is_booked_on_its_own_page(sandbox, call, visit, slug):
    """At the address its document names; what has to be confirmed waits."""
    kind = next(one for one in sandbox.state.meeting_types.values() if one.slug == slug)
    url = call("GET", f"/v4/meeting-type/{kind.id}").document["bookingUrl"]
    reply = book(visit, url.removeprefix(sandbox.state.public_url))
    page = visit(reply.headers["Location"])

    assert (reply.status, page.status) == (303, 200)
    waits = slug in {"checkup", "second-opinion"}
    assert ("One more step" if waits else "Your appointment is booked") in page.body.decode()
    assert len(sandbox.state.pending) == waits


def test_a_taken_time_is_refused_and_the_form_kept(sandbox, visit):
    """Reading and sending are two moments."""
    path = "/praxis-am-lindenhof/intro-call"
    link = list_times(visit, path)[0]
    start = re.search(r'name="start" value="([^"]+)"', visit(link).body.decode())[1]
    visit(path, start=start, **JANE)
    reply = visit(path, start=start, **{**JANE, "firstname": "<Joe>"})

    assert reply.status == 400
    assert "no longer available" in reply.body.decode()
    assert 'value="&lt;Joe&gt;"' in reply.body.decode()
    assert start[:16] not in str(list_times(visit, path))


@pytest.mark.parametrize("fields", [{"start": "tomorrow"}, {"start": "2026-10-06T09:00:00Z", "email": "x"}])
def test_bad_input_is_explained(visit, fields):
    reply = visit("/praxis-am-lindenhof/intro-call", **{**JANE, **fields})
    assert reply.status == 400
    assert "<h1>" in reply.body.decode()


def test_a_one_time_link_books_once(sandbox, call, visit):
    """Looking at it does not use it up."""
    url = call("POST", f"/v4/one-time-booking-link/create/{seed.INTRO_CALL}").document["url"]
    path = url.removeprefix(sandbox.state.public_url)
    assert visit(path).status == visit(path).status == 200
    assert book(visit, path).status == 303

    assert visit(path).status == 410
    assert visit(path, start="2026-10-06T09:00:00Z", **JANE).status == 410
    assert visit("/1t/unknown").status == 404


def test_a_one_time_link_lapses(sandbox, call, visit):
    """After thirty days without use."""
    url = call("POST", f"/v4/one-time-booking-link/create/{seed.INTRO_CALL}").document["url"]
    sandbox.clock.offset_seconds = 31 * 86_400
    assert visit(url.removeprefix(sandbox.state.public_url)).status == 410


def test_reading_a_page_changes_nothing(sandbox, call, visit):
    """Scanners of mail open every link."""
    for kind in (seed.CHECKUP, seed.SECOND_OPINION):
        call.book(kind, call.free(kind)[5])
    call.book(seed.INTRO_CALL, call.free(seed.INTRO_CALL)[0])
    before = len(sandbox.request_log.entries(kind="applied"))
    paths = [mail.path for mail in sandbox.state.mailbox.mails if mail.path]
    assert len(paths) == 3
    for path in paths:
        assert visit(path).status == 200
    assert len(sandbox.request_log.entries(kind="applied")) == before


def test_a_host_approves_or_declines_by_mail(sandbox, call, visit):
    """And the attendee is told."""
    for decision, subject in (
        ("approve", "Your appointment is confirmed"),
        ("decline", "Your booking request was declined"),
    ):
        call.book(seed.SECOND_OPINION, call.free(seed.SECOND_OPINION)[5])
        path = sandbox.state.mailbox.mails[-1].path
        assert visit(visit(path, decision=decision).headers["Location"]).status == 200
        assert sandbox.state.mailbox.mails[-1].subject == subject


def test_an_attendee_moves_and_cancels_by_mail(sandbox, call, visit):
    """With the secret in the link, and with no other."""
    made = call.book(seed.INTRO_CALL, call.free(seed.INTRO_CALL)[0]).document["appointmentId"]
    appointment = sandbox.state.appointments[made]
    path = sandbox.state.mailbox.mails[-1].path
    start = re.search(r'<option value="([^"]+)"', visit(path).body.decode())[1]
    moved = visit(path, action="move", start=start)
    assert (moved.status, appointment.reschedule_count) == (303, 1)
    assert visit(f"/appointment/{made}/wrong", action="cancel").status == 404
    visit(moved.headers["Location"], action="cancel")
    assert (appointment.is_cancelled, appointment.cancel_source) == (True, "attendee")
    assert "was cancelled" in visit(path).body.decode()


def test_one_attendee_of_a_group_leaves_by_mail(sandbox, call, visit):
    """The others keep their places."""
    start = call.free(seed.GROUP_CLASS)[0]
    for email in ("a@example.com", "b@example.com"):
        made = call.book(seed.GROUP_CLASS, start, email).document["appointmentId"]
    visit(sandbox.state.mailbox.mails[-1].path, action="cancel")
    appointment = sandbox.state.appointments[made]
    assert [one.email for one in appointment.attendees] == ["a@example.com"]
    assert not appointment.is_cancelled


def test_nobody_cancels_a_group_for_others(sandbox, call, visit):
    """Neither who was its first attendee, nor who got a mail about all of them."""
    path = book(visit, "/praxis-am-lindenhof/group-class").headers["Location"]
    [appointment] = [one for one in sandbox.state.appointments.values() if not one.is_cancelled]
    call.book(seed.GROUP_CLASS, appointment.start.isoformat(), "b@example.com")
    later = call.free(seed.GROUP_CLASS, existingAppointmentId=appointment.id)[-1]
    assert call("POST", f"/v4/appointment/{appointment.id}/reschedule", {"start": later}).status < 300
    links = [mail.path for mail in sandbox.state.mailbox.mails[-2:]]
    assert len(set(links)) == 2

    assert visit(path, action="move", start=call.free(seed.GROUP_CLASS)[0]).status == 400
    visit(path, action="cancel")
    assert [one.email for one in appointment.attendees] == ["b@example.com"]
    assert visit(path.partition("?")[0], action="cancel").status == 400
    visit(links[1], action="cancel")
    assert (appointment.attendees, appointment.is_cancelled) == ([], False)
