"""Free starts, and how bookings change them."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest

from django_meetergo.sandbox import scenarios, seed
from django_meetergo.sandbox.clock import parse_instant
from tests.sandbox.conftest import NOW, choose_hosts

TUESDAY = "2026-10-06T09:00:00+02:00"


@pytest.mark.parametrize(
    ("friday", "monday", "before", "after"),
    [
        ("2026-10-23", "2026-10-26", "+02:00", "+01:00"),
        ("2027-03-26", "2027-03-29", "+01:00", "+02:00"),
    ],
)
def test_nine_stays_nine_across_a_clock_change(sandbox, call, friday, monday, before, after):
    """The host opens at nine local time, whatever the offset of the day."""
    sandbox.clock.offset_seconds = (
        datetime.fromisoformat(f"{friday}T00:00+00:00") - NOW
    ).total_seconds() - 86_400
    spots = call.free(seed.INTRO_CALL, start=friday, end=f"{monday[:8]}{int(monday[8:]) + 1:02d}")

    assert spots[0] == f"{friday}T09:00:00.000{before}"
    assert f"{monday}T09:00:00.000{after}" in spots
    assert not any(spot.startswith(f"{friday[:8]}{int(friday[8:]) + 1:02d}") for spot in spots)
    assert call.book(seed.INTRO_CALL, f"{monday}T09:00:00{after}").status == 201


def test_the_zone_asked_for_decides_how_times_are_printed(call):
    """The same instants, in another zone's words."""
    window = {"start": "2026-10-05T00:00:00Z", "end": "2026-10-12T00:00:00Z"}
    berlin = call.free(seed.INTRO_CALL, **window)
    tokyo = call.free(seed.INTRO_CALL, timezone="Asia/Tokyo", **window)
    assert tokyo[0].endswith("+09:00")
    assert [parse_instant(spot) for spot in berlin] == [parse_instant(spot) for spot in tokyo]
    unknown = {**choose_hosts(seed.INTRO_CALL), "meetingTypeId": seed.INTRO_CALL, "start": "2026-10-05"}
    query = {**unknown, "end": "2026-10-06", "timezone": "Mars/Olympus"}
    assert call("GET", "/v4/booking-availability", query=query).status == 400


def test_notice_and_horizon_bound_the_offer(sandbox, call):
    """Nothing within the notice, nothing beyond the horizon, and neither can be booked."""
    kind = sandbox.state.meeting_types[seed.INTRO_CALL]
    kind.notice, kind.horizon = 24 * 60 + 150, 7 * 24 * 60
    spots = [parse_instant(spot) for spot in call.free(seed.INTRO_CALL)]

    assert min(spots) == datetime(2026, 10, 6, 8, 30, tzinfo=UTC)
    assert max(spots) < NOW + timedelta(days=7)
    assert call.book(seed.INTRO_CALL, TUESDAY).document["errorCode"] == "slot-occupied"
    assert call.book(seed.INTRO_CALL, "2026-10-20T09:00:00+02:00").document["errorCode"] == "slot-occupied"


def test_buffers_keep_neighbours_apart(call):
    """A check-up of 45 minutes keeps five minutes before it and ten after it free."""
    busy = "2026-10-06T10:00:00+02:00"
    assert call.book(seed.CHECKUP, busy).status == 201
    spots = [spot[11:16] for spot in call.free(seed.CHECKUP) if spot.startswith("2026-10-06")]
    assert "09:00" in spots
    assert not {"09:15", "10:00", "10:45"} & set(spots)
    assert "11:00" in spots


def test_a_longer_duration_needs_a_longer_gap(call):
    """Availability and booking agree about durations."""
    hour = call.free(seed.CONSULTATION, meetingDuration=60)
    quarter = call.free(seed.CONSULTATION, meetingDuration=15)
    assert len(hour) < len(quarter)
    assert call.book(seed.CONSULTATION, hour[0], duration=60, channel="phone").status == 201
    assert call.book(seed.CONSULTATION, quarter[1], duration=15).status == 400
    query = {**choose_hosts(seed.CONSULTATION), "meetingTypeId": seed.CONSULTATION, "start": "2026-10-06"}
    query |= {"end": "2026-10-07", "meetingDuration": 20}
    assert call("GET", "/v4/booking-availability", query=query).status == 400


def test_a_queue_takes_turns(call):
    """Each booking goes to the next host who is free; when nobody is left the slot is gone."""
    hosts = []
    for _ in range(3):
        made = call.book(seed.NEXT_THERAPIST, TUESDAY).document["appointmentId"]
        hosts += call("GET", f"/v4/appointment/{made}").document["hostIds"]
    assert hosts == [seed.ANNA, seed.BEN, seed.CLARA]
    assert call.book(seed.NEXT_THERAPIST, TUESDAY).document["errorCode"] == "slot-occupied"


def test_everyone_means_all_hosts_at_once(call):
    """Saturday has one host, so a meeting of all of them is not offered."""
    saturday = "2026-10-10T09:00:00.000+02:00"
    assert saturday in call.free(seed.NEXT_THERAPIST)
    assert saturday not in call.free(seed.NEXT_THERAPIST, calculationMethod="everyone")


def test_a_queue_must_not_be_named_for_a_single_host(call):
    """``queueId`` belongs to queue types only."""
    assert call.book(seed.INTRO_CALL, TUESDAY, queueId=seed.QUEUE).status == 400


def test_a_group_shares_one_appointment_until_it_is_full(call):
    """Eight people get the same appointment, the ninth is too late, and the list counts along."""
    made = {
        call.book(seed.GROUP_CLASS, TUESDAY, f"p{n}@example.com").document["appointmentId"] for n in range(8)
    }
    assert len(made) == 1
    assert call.book(seed.GROUP_CLASS, TUESDAY).document["errorCode"] == "slot-occupied"
    query = {**choose_hosts(seed.GROUP_CLASS), "meetingTypeId": seed.GROUP_CLASS}
    query |= {"start": "2026-10-06", "end": "2026-10-07"}
    days = call("GET", "/v4/booking-availability", query=query).document["dates"]
    full = days[0]["spots"][0]
    assert full["appointment"] == {"totalSpots": 8, "takenSpots": 8, "id": made.pop()}
    hidden = call("GET", "/v4/booking-availability", query={**query, "hideGroupAppointments": "true"})
    assert hidden.document["dates"][0]["spots"][0] != full


def test_a_group_is_cancelled_by_person_or_as_a_whole(call):
    """One of the two must be given; an attendee who leaves frees a seat."""
    made = call.book(seed.GROUP_CLASS, TUESDAY, "one@example.com").document["appointmentId"]
    call.book(seed.GROUP_CLASS, TUESDAY, "two@example.com")
    path = f"/v4/appointment/{made}/cancel"
    unsaid = call("POST", path, {"reason": "?"})
    assert unsaid.status == 400
    person = call("GET", f"/v4/appointment/{made}").document["attendeeIds"][1]
    left = call("POST", path, {"attendeeId": person}).document
    assert (left["isCancelled"], len(left["attendees"])) == (False, 1)
    assert call("POST", path, {"cancelAll": True, "reason": "Room closed"}).document["isCancelled"] is True


def test_the_last_seat_is_given_once(wire):
    """Of sixteen concurrent requests one gets the slot."""
    with ThreadPoolExecutor(16) as pool:
        replies = list(
            pool.map(lambda n: wire.book(seed.INTRO_CALL, TUESDAY, f"p{n}@example.com"), range(16))
        )
    assert sorted(reply.status for reply in replies) == [201] + [400] * 15
    lost = [reply.document for reply in replies if reply.status == 400]
    assert {one["errorCode"] for one in lost} == {"slot-occupied"}


def test_only_free_starts_can_be_booked(call):
    """Other starts and past ones are refused; a host may book any time that is not past."""
    for start in ("2026-10-06T09:07:00+02:00", "2026-10-06T22:00:00+02:00", "2026-10-02T09:00:00+02:00"):
        assert call.book(seed.INTRO_CALL, start).document["errorCode"] == "slot-occupied"
    assert call.book(seed.INTRO_CALL, "2026-10-06T22:00:00+02:00", ignoreAvailability=True).status == 201
    assert call.book(seed.INTRO_CALL, "2026-10-02T09:00:00+02:00", ignoreAvailability=True).status == 400


def test_validation_errors_are_a_list(call):
    """Naive times, missing attendees, too many guests and unknown channels."""
    for body in (
        {
            "meetingTypeId": seed.INTRO_CALL,
            "start": "2026-10-06T09:00:00",
            "attendee": {"email": "a@b.example"},
        },
        {"meetingTypeId": seed.INTRO_CALL, "start": TUESDAY},
        {"start": TUESDAY, "attendee": {"email": "nobody"}},
    ):
        reply = call("POST", "/v4/booking", body)
        assert reply.status == 400
        assert isinstance(reply.document["message"], list)
    guests = {"bringalongEmails": [f"g{n}@example.com" for n in range(6)]}
    assert call.book(seed.INTRO_CALL, TUESDAY, attendee=guests).status == 400
    assert call.book(seed.INTRO_CALL, TUESDAY, channel="carrier pigeon").status == 400


def test_a_move_checks_again_and_its_own_time_does_not_block(call):
    """A move may overlap its own time, but no other appointment; past appointments cannot be moved."""
    made = call.book(seed.CONSULTATION, "2026-10-06T10:00:00+02:00", duration=30).document["appointmentId"]
    call.book(seed.CONSULTATION, "2026-10-06T11:00:00+02:00")
    path = f"/v4/appointment/{made}/reschedule"
    own = call.free(seed.CONSULTATION, existingAppointmentId=made)

    assert "2026-10-06T10:15:00.000+02:00" in own
    assert call("POST", path, {"start": "2026-10-06T10:15:00+02:00"}).status == 200
    assert call("POST", path, {"start": "2026-10-06T11:00:00+02:00"}).document["errorCode"] == "slot-occupied"
    call.control("POST", "clock", {"offset_seconds": 3 * 86_400})
    assert call("POST", path, {"start": "2026-10-12T10:15:00+02:00"}).status == 400


def test_a_cancelled_slot_is_free_again_and_cannot_be_moved(call):
    """Cancelling frees the slot."""
    made = call.book(seed.INTRO_CALL, TUESDAY).document["appointmentId"]
    call("POST", f"/v4/appointment/{made}/cancel", {"reason": "x"})
    assert call("POST", f"/v4/appointment/{made}/cancel").status == 400
    assert call("POST", f"/v4/appointment/{made}/reschedule", {"start": TUESDAY}).status == 400
    assert call.book(seed.INTRO_CALL, TUESDAY).status == 201


def test_updated_at_always_advances(call):
    """Changes within one millisecond differ, and the secret rotates with its switch on."""
    made = call.book(seed.INTRO_CALL, TUESDAY).document
    path = f"/v4/appointment/{made['appointmentId']}"
    seen = [call("GET", path).document["updatedAt"]]
    person = call("GET", path).document["attendeeIds"][0]
    seen.append(call("PATCH", f"{path}/notes", {"note": "Bring the findings"}).document["updatedAt"])
    seen.append(
        call("PATCH", f"{path}/guest", {"attendeeId": person, "email": "g@example.com"}).document["updatedAt"]
    )
    call.control("POST", "settings", {"rotate_secret": True})
    moved = call("POST", f"{path}/reschedule", {"start": "2026-10-06T10:00:00+02:00"}).document["appointment"]
    seen.append(moved["updatedAt"])
    assert seen == sorted(set(seen))
    assert moved["secret"] != made["secret"]


def test_the_list_filters_sorts_and_pages(sandbox, call):
    """Every filter of the list narrows it, in both directions, without losing or repeating anything."""
    starts = call.free(seed.INTRO_CALL)[:5]
    made = [call.book(seed.INTRO_CALL, start, f"p{n}@example.com").document for n, start in enumerate(starts)]
    paginated = "/v4/appointment/paginated"
    ids = [one["appointmentId"] for one in made]

    def listed(**query):
        reply = call("GET", paginated, query={"page": 0, "pageSize": 50, "status": "confirmed", **query})
        return [one["id"] for one in reply.document["appointments"]]

    assert listed() == ids
    assert listed(sortDirection="DESC", sortBy="appointment.createdAt") == ids[::-1]
    assert listed(start=starts[1], end=starts[2]) == ids[1:3]
    assert listed(search="P3@") == [ids[3]]
    assert listed(meetingTypeId=seed.CHECKUP) == []
    assert listed(userId=seed.BEN) == []
    assert listed(page=1, pageSize=2) + listed(page=2, pageSize=2) == ids[2:]
    assert call("GET", paginated, query={"page": 0, "pageSize": 101}).status == 400
    sandbox.clock.offset_seconds = 3600
    assert [one["id"] for one in call("GET", "/v4/appointment/today").document] == ids


def test_many_appointments_are_listed_without_loss(sandbox, call):
    """Thousands of appointments are added quickly and counted correctly."""
    scenarios.add_appointments(sandbox.state, 3000)
    page = call("GET", "/v4/appointment/paginated", query={"page": 9, "pageSize": 100}).document
    assert len(page["appointments"]) == 100
    assert page["total"] >= 1000
