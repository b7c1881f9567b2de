"""Switches for what the sources leave open, and faults of the network and of documents."""

import json
import math
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime

import pytest

from django_meetergo.sandbox import seed
from django_meetergo.sandbox.faults import ConnectionClosed
from django_meetergo.sandbox.oddities import DEPTH, LONG, ODDITIES
from django_meetergo.sandbox.settings import CHOICES
from tests.sandbox.conftest import NOW

AT = "2026-10-06T09:00:00+02:00"
SATURDAY = "2026-10-10T09:00:00.000+02:00"  # only Ben works
THURSDAY_EVENING = "2026-10-08T18:00:00.000+02:00"  # only Anna works
MONDAY = "2026-10-12T09:00:00.000+02:00"  # everybody works


def list_free(call, type_id=seed.NEXT_THERAPIST, **query):
    return call.free(type_id, **query)


def test_a_queue_alone_is_enough_for_the_union(sandbox, call):
    """The other reading computes one host only, unless hostIds name all of them."""
    assert {SATURDAY, THURSDAY_EVENING} <= set(list_free(call, queueId=seed.QUEUE))

    sandbox.configure(queue_availability="next_host")
    alone = list_free(call, queueId=seed.QUEUE)
    named = list_free(call, queueId=seed.QUEUE, hostIds=[seed.ANNA, seed.BEN, seed.CLARA])

    assert SATURDAY not in alone
    assert {SATURDAY, THURSDAY_EVENING} <= set(named)


def test_hosts_without_a_queue_are_asked_together(sandbox, call):
    """Their common times, unless the method or the other reading says any of them."""
    hosts = [seed.ANNA, seed.BEN]
    common = list_free(call, hostIds=hosts)
    assert MONDAY in common
    assert not {SATURDAY, THURSDAY_EVENING} & set(common)
    assert SATURDAY in list_free(call, hostIds=hosts, calculationMethod="anyone")

    sandbox.configure(hosts_availability="any")
    assert SATURDAY in list_free(call, hostIds=hosts)
    assert SATURDAY not in list_free(call, hostIds=hosts, calculationMethod="everyone")


@pytest.mark.parametrize("default", CHOICES["default_calculation"])
def test_a_team_type_needs_all_of_its_hosts(sandbox, call, default):
    """The documented default shows times of anyone, which cannot be booked; the method shows the others."""
    sandbox.configure(team_type=True, default_calculation=default)
    query = {"queueId": seed.TEAM_QUEUE}
    unstated = list_free(call, seed.TEAM_CONSULTATION, **query)
    stated = list_free(call, seed.TEAM_CONSULTATION, **query, calculationMethod="everyone")
    body = {"meetingTypeId": seed.TEAM_CONSULTATION, "attendee": {"email": "jane@example.com"}, **query}

    assert (SATURDAY in unstated) == (default == "anyone")
    assert SATURDAY not in stated
    assert call("POST", "/v4/booking", {**body, "start": SATURDAY}).document["errorCode"] == "slot-occupied"
    made = call("POST", "/v4/booking", {**body, "start": MONDAY}).document["appointmentId"]
    assert call("GET", f"/v4/appointment/{made}").document["hostIds"] == [seed.ANNA, seed.BEN]


def test_a_team_type_goes_with_its_switch(sandbox, call):
    """And comes back with its queue as it was."""
    sandbox.configure(profile="team")
    queue = sandbox.state.queues[seed.TEAM_QUEUE]
    sandbox.configure(profile="seed")
    assert not sandbox.state.meeting_types[seed.TEAM_CONSULTATION].enabled
    sandbox.configure(profile="team")
    assert sandbox.state.queues[seed.TEAM_QUEUE] is queue
    assert sandbox.state.meeting_types[seed.TEAM_CONSULTATION].enabled


def test_a_group_is_never_offered_the_time_of_another(sandbox, call):
    """Two group appointments are not merged."""
    first, second = call.free(seed.GROUP_CLASS)[:2]
    made = call.book(seed.GROUP_CLASS, first).document["appointmentId"]
    call.book(seed.GROUP_CLASS, second)
    assert second not in call.free(seed.GROUP_CLASS, existingAppointmentId=made)


def test_appointments_are_listed_by_age_though_the_clock_was_set_back(sandbox, call):
    early, late = call.free(seed.INTRO_CALL)[5:7]
    sandbox.clock.offset_seconds = 3600
    newest = call.book(seed.INTRO_CALL, late).document["appointmentId"]
    sandbox.clock.offset_seconds = 0
    oldest = call.book(seed.INTRO_CALL, early).document["appointmentId"]
    query = {"userId": seed.ANNA, "sortBy": "appointment.createdAt", "sortDirection": "ASC", "pageSize": 100}
    listed = call("GET", "/v4/appointment/paginated", query=query).document["appointments"]
    ids = [one["id"] for one in listed]
    assert ids.index(oldest) < ids.index(newest)


def test_a_moved_appointment_keeps_its_host(sandbox, call):
    """Its host alone has the times it can be moved to, also when the host has left the queue."""
    body = {"meetingTypeId": seed.NEXT_THERAPIST, "start": SATURDAY, "queueId": seed.QUEUE}
    made = call("POST", "/v4/booking", {**body, "attendee": {"email": "jane@example.com"}}).document
    appointment = f"/v4/appointment/{made['appointmentId']}"
    hosts = call("GET", appointment).document["hostIds"]
    sandbox.state.queues[seed.QUEUE].user_ids.remove(seed.BEN)
    query = {"existingAppointmentId": made["appointmentId"], "hostIds": hosts}
    free = list_free(call, **query)

    assert hosts == [seed.BEN]
    assert SATURDAY in free
    assert THURSDAY_EVENING not in free
    assert call("POST", f"{appointment}/reschedule", {"start": free[0]}).status == 200
    assert call("POST", f"{appointment}/reschedule", {"start": THURSDAY_EVENING}).status == 400


def test_untidy_availability_has_whole_days_repeats_and_no_order(sandbox, call):
    """The profile answers more than the window, each time twice."""
    window = {"start": "2026-10-06T10:00:00+02:00", "end": "2026-10-07T10:00:00+02:00"}
    tidy = call.free(seed.INTRO_CALL, **window)
    sandbox.configure(profile="untidy")
    untidy = call.free(seed.INTRO_CALL, **window)

    assert min(untidy) < window["start"][:19] < window["end"][:19] < max(untidy)
    assert set(tidy) < set(untidy)
    assert len(untidy) == 2 * len(set(untidy))
    query = {**window, "meetingTypeId": seed.INTRO_CALL, "hostIds": seed.ANNA}
    document = call("GET", "/v4/booking-availability", query=query).document
    assert all(frame["start"] < frame["end"] for frame in document["timeframes"])
    assert document["earliestAvailableDate"] == min(day["date"] for day in document["dates"])
    assert untidy != sorted(untidy)


@pytest.mark.parametrize("skew", [-600, 600])
def test_the_service_can_have_another_clock(sandbox, call, skew):
    """Its Date header and its timestamps are behind or ahead; the request log is not."""
    sandbox.configure(clock_skew=skew)
    made = call.book(seed.INTRO_CALL, AT).document["appointmentId"]
    reply = call("GET", f"/v4/appointment/{made}")
    created = datetime.fromisoformat(reply.document["createdAt"])

    assert (parsedate_to_datetime(reply.headers["Date"]) - NOW).total_seconds() == skew
    assert created - NOW == timedelta(seconds=skew)
    assert datetime.fromisoformat(sandbox.request_log.entries()[-1]["at"]) == NOW


def test_the_number_of_moves_can_be_missing(sandbox, call):
    """On every route that shows an appointment."""
    sandbox.configure(hide_reschedule_count=True)
    path = f"/v4/appointment/{call.book(seed.INTRO_CALL, AT).document['appointmentId']}"
    moved = call("POST", f"{path}/reschedule", {"start": AT.replace("09", "11")}).document["appointment"]

    assert "rescheduleCount" not in moved
    assert "rescheduleCount" not in call("GET", path).document
    assert moved["rescheduledAt"]


@pytest.mark.parametrize("type_id", [seed.INTRO_CALL, seed.CHECKUP])
def test_a_delayed_request_is_applied_when_the_clock_is_moved(sandbox, call, type_id):
    """However late: a confirmed appointment, or a provisional booking."""
    sandbox.faults.add("POST /v4/booking", "delayed_apply", seconds=900)
    with pytest.raises(ConnectionClosed):
        call.book(type_id, AT)
    assert not sandbox.state.pending

    sandbox.clock.offset_seconds = 899
    assert AT.replace("+", ".000+") in call.free(type_id)
    sandbox.clock.offset_seconds = 901
    assert AT.replace("+", ".000+") not in call.free(type_id)
    assert bool(sandbox.state.pending) == (type_id == seed.CHECKUP)


def test_a_request_can_be_replayed_by_the_network(sandbox, call):
    """The caller sees one response, and the request is carried out again later."""
    sandbox.faults.add("POST /v4/booking", "replay", seconds=60)
    made = call.book(seed.GROUP_CLASS, AT).document["appointmentId"]
    assert len(sandbox.state.appointments[made].attendees) == 1

    sandbox.clock.offset_seconds = 61
    attendees = call("GET", f"/v4/appointment/{made}").document["attendees"]
    assert [attendee["email"] for attendee in attendees] == ["jane.doe@example.com"] * 2


@pytest.mark.parametrize("oddity", ODDITIES)
def test_one_document_of_a_list_can_be_odd(wire, oddity):
    """The others are as they are, over a socket too."""
    for hour in ("09", "10", "11"):
        wire.book(seed.INTRO_CALL, AT.replace("09", hour, 1))
    query = {"page": 0, "pageSize": 20, "start": "2026-10-06", "end": "2026-10-07"}
    plain = wire("GET", "/v4/appointment/paginated", query=query).document["appointments"]
    wire.control(
        "POST",
        "faults",
        {"route": "GET /v4/appointment/paginated", "kind": "odd_document", "oddity": oddity},
    )
    body = wire("GET", "/v4/appointment/paginated", query=query, checked=False).body

    if oddity == "deep_nesting":
        assert b"[" * DEPTH in body
        return
    odd, *others = json.loads(body)["appointments"]
    assert others == plain[1:]
    assert odd != plain[0]
    if oddity == "huge_numbers":
        assert math.isinf(odd["rescheduleCount"])
    elif oddity == "long_ids":
        assert len(odd["id"]) == len(odd["attendees"][0]["id"]) == LONG
    elif oddity == "repeated_attendee_ids":
        assert odd["attendees"][0]["id"] == odd["attendees"][1]["id"]


def test_unknown_oddities_and_choices_are_refused_by_name(sandbox):
    """The message lists what there is."""
    with pytest.raises(ValueError, match="repeated_attendee_ids"):
        sandbox.faults.add("*", "odd_document", oddity="unheard_of")
    for switch, choices in CHOICES.items():
        with pytest.raises(ValueError, match=choices[0]):
            sandbox.configure(**{switch: "unheard_of"})


@pytest.mark.parametrize("type_id", [seed.INTRO_CALL, seed.GROUP_CLASS])
def test_a_booking_without_notifications_mails_nobody(sandbox, call, type_id):
    mails = sandbox.state.mailbox.mails
    before = len(mails)

    assert call.book(type_id, AT, skipNotifications=True).status == 201
    assert len(mails) == before
    assert call.book(type_id, MONDAY, email="joe@example.com").status == 201
    assert len(mails) == before + 1


def test_a_booking_by_phone_alone_is_refused_unless_the_type_allows_it(sandbox, call):
    phone = {"email": "", "phone": "+49305550100"}
    assert call.book(seed.INTRO_CALL, AT, attendee=phone, phoneOnlyBooking=True).status == 400

    sandbox.state.meeting_types[seed.INTRO_CALL].allow_phone_only = True
    assert call.book(seed.INTRO_CALL, AT, attendee=phone, phoneOnlyBooking=True).status == 201


def test_an_admin_sees_all_meeting_types_or_their_own(sandbox, call):
    """The reference says those of the acting user, and does not say what that means for an admin."""
    assert len(call("GET", "/v4/meeting-type").document) == len(sandbox.state.meeting_types)

    sandbox.configure(own_meeting_types=True)
    own = call("GET", "/v4/meeting-type").document
    assert 0 < len(own) < len(sandbox.state.meeting_types)
