"""Bookings that wait for their attendee or their host."""

import pytest

from django_meetergo.sandbox import seed

FORM = {"Content-Type": "application/x-www-form-urlencoded"}
CHECKUP_AT = "2026-10-06T09:00:00+02:00"
OPINION_AT = "2026-10-08T09:00:00+02:00"


def list_waiting(call, **query):
    query = {"page": 0, "pageSize": 20, "companyWide": "true", **query}
    return call("GET", "/v4/provisional-booking/paginated", query=query).document["provisionalBookings"]


def test_a_double_opt_in_holds_the_slot_until_it_is_confirmed(call):
    """The booking is provisional, the slot is taken, and confirming makes the appointment."""
    made = call.book(seed.CHECKUP, CHECKUP_AT)
    assert (made.status, made.document["bookingType"]) == (201, "doubleOptIn")
    assert call.book(seed.CHECKUP, CHECKUP_AT).status == 400
    assert [one["id"] for one in list_waiting(call, status="pending")] == [
        made.document["provisionalBookingId"]
    ]
    made_of = call.control("POST", f"provisional/{made.document['provisionalBookingId']}/confirm")
    assert call("GET", f"/v4/appointment/{made_of['appointmentId']}").status == 200
    assert list_waiting(call, status="pending") == []
    assert list_waiting(call, status="confirmed")[0]["dto"]["attendee"]["email"] == "jane.doe@example.com"


@pytest.mark.parametrize("ending", ["expired", "declined_by_host"])
def test_a_provisional_booking_that_ends_frees_its_slot(call, ending):
    """Expiry and decline free the slot, and neither can be confirmed afterwards."""
    made = call.book(seed.SECOND_OPINION, OPINION_AT).document
    assert made["bookingType"] == "requireHostConfirmation"
    path = f"/v4/provisional-booking/{made['provisionalBookingId']}/decline"
    if ending == "expired":
        call.control("POST", f"provisional/{made['provisionalBookingId']}/expire")
    else:
        assert call("POST", path, {"reason": "No time"}, token=seed.MEMBER_TOKEN).body == b""
    assert list_waiting(call, status=ending)[0]["deletedAt"] is not None
    assert call("POST", path).status == 400
    assert call.book(seed.SECOND_OPINION, OPINION_AT).status == 201


def test_with_both_the_host_decides_first(sandbox, call):
    """After the approval the attendee has to confirm."""
    sandbox.state.meeting_types[seed.SECOND_OPINION].double_opt_in = "enabled"
    made = call.book(seed.SECOND_OPINION, OPINION_AT).document["provisionalBookingId"]
    assert call("POST", f"/_sandbox/provisional/{made}/confirm", token=None).status == 400
    assert call.control("POST", f"provisional/{made}/approve")["type"] == "doubleOptIn"
    assert call.control("POST", f"provisional/{made}/confirm")["status"] == "confirmed"


def test_a_provisional_booking_expires_after_a_day(call):
    """Nobody has to expire it."""
    call.book(seed.SECOND_OPINION, OPINION_AT)
    call.control("POST", "clock", {"offset_seconds": 25 * 3600})
    assert len(list_waiting(call, status="expired")) == 1


def test_it_expires_although_the_clock_was_set_back(call):
    """An older hold of a clock that was ahead does not keep the later one."""
    call.control("POST", "clock", {"offset_seconds": 86_400})
    call.book(seed.CHECKUP, "2026-10-08T09:00:00+02:00")
    call.control("POST", "clock", {"offset_seconds": 0})
    call.book(seed.SECOND_OPINION, OPINION_AT)
    call.control("POST", "clock", {"offset_seconds": 25 * 3600})
    assert [one["meetingTypeId"] for one in list_waiting(call, status="expired")] == [seed.SECOND_OPINION]


def test_without_holding_a_late_confirmation_can_fail(call):
    """With the switch off two bookings share a slot, and the second confirmation is refused."""
    call.control("POST", "settings", {"hold_pending": False})
    one, two = (call.book(seed.CHECKUP, CHECKUP_AT).document["provisionalBookingId"] for _ in range(2))
    call.control("POST", f"provisional/{two}/confirm")
    late = call("POST", f"/_sandbox/provisional/{one}/confirm", token=None)
    assert (late.status, late.document["errorCode"]) == (400, "slot-occupied")


def test_the_dashboard_shows_and_ends_provisional_bookings(call):
    """Text is escaped, the button works and leads back, and foreign hosts are refused."""
    made = call.book(seed.CHECKUP, CHECKUP_AT, attendee={"fullname": "<b>x</b>"}).document[
        "provisionalBookingId"
    ]
    page = call("GET", "/", token=None)
    assert "nothing here leaves this computer" in page.body.decode()
    assert f"/_sandbox/provisional/{made}/confirm" in page.body.decode()
    pressed = call("POST", f"/_sandbox/provisional/{made}/confirm", headers=FORM)
    assert (pressed.status, pressed.headers["Location"]) == (303, "/")
    after = call("GET", "/", token=None).body.decode()
    assert "&lt;b&gt;x&lt;/b&gt;" in after
    assert "<b>x" not in after
    for path in ("/", "/_sandbox/state"):
        assert call("GET", path, headers={"Host": "evil.example"}).status == 403
        assert call("GET", path, headers={"Origin": "https://evil.example"}).status == 403
