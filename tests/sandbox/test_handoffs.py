"""Appointments that are handed over to colleagues."""

from django_meetergo.sandbox import seed

TUESDAY = "2026-10-06T09:00:00+02:00"


def book(call, start=TUESDAY, type_id=seed.INTRO_CALL):
    return call.book(type_id, start).document["appointmentId"]


def hand_over(call, appointment_id, token="own", **target):
    body = {"appointmentId": appointment_id, **target}
    return call("POST", "/v4/handoff/appointment", body, token=token)


def get_hosts(call, appointment_id):
    return call("GET", f"/v4/appointment/{appointment_id}").document["hostIds"]


def test_an_appointment_is_handed_over_to_a_colleague(call):
    """Id and time stay, the former host is free again, and both lists follow."""
    made = book(call)
    start = call("GET", f"/v4/appointment/{made}").document["start"]
    document = hand_over(call, made, userId=seed.BEN).document
    page = {"page": 0, "pageSize": 20, "status": "confirmed"}
    listed = [
        call("GET", "/v4/appointment/paginated", query={**page, "userId": host}).document["total"]
        for host in (seed.ANNA, seed.BEN)
    ]

    assert (document["id"], document["start"], document["hostIds"]) == (made, start, [seed.BEN])
    assert listed == [0, 1]
    assert TUESDAY.replace("+", ".000+") in call.free(seed.INTRO_CALL)
    assert TUESDAY.replace("+", ".000+") not in call.free(seed.CONSULTATION)


def test_a_busy_colleague_is_refused(call):
    """As a lost slot, and the appointment stays with its host."""
    made = book(call)
    book(call, type_id=seed.CONSULTATION)
    refused = hand_over(call, made, userId=seed.BEN)

    assert (refused.status, refused.document["errorCode"]) == (400, "slot-occupied")
    assert get_hosts(call, made) == [seed.ANNA]


def test_a_queue_chooses_a_host_who_is_free(call):
    """The host whose turn it is may be busy."""
    made = book(call)
    book(call, type_id=seed.CONSULTATION)
    assert hand_over(call, made, queueId=seed.QUEUE).document["hostIds"] == [seed.ANNA]
    assert hand_over(call, made, queueId="unknown").status == 404


def test_the_colleagues_of_an_appointment_are_listed_with_their_availability(call):
    """Without its own host."""
    made = book(call)
    book(call, type_id=seed.CONSULTATION)
    query = {"appointmentId": made}
    users = call("GET", "/v4/handoff/available-handoffs", query=query).document["users"]

    assert {user["id"]: user["blocked"] for user in users} == {seed.BEN: True, seed.CLARA: False}


def test_a_day_is_handed_over_at_once(call):
    """Appointments for which no colleague is free stay and are listed as conflicts."""
    early, late = book(call), book(call, "2026-10-06T11:00:00+02:00")
    later = book(call, "2026-10-07T11:00:00+02:00")
    book(call, type_id=seed.CONSULTATION)
    body = {"userId": [seed.ANNA], "start": "2026-10-06", "end": "2026-10-07", "targetUserIds": [seed.BEN]}
    document = call("POST", "/v4/handoff/bulk", body).document

    assert document == {"success": False, "conflicts": [{"appointmentId": early}]}
    assert [get_hosts(call, one)[0] for one in (early, late, later)] == [seed.ANNA, seed.BEN, seed.ANNA]
    again = {**body, "appointmentIds": [early], "ignoreAvailability": True}
    assert call("POST", "/v4/handoff/bulk", again).document["success"] is True
    assert get_hosts(call, early) == [seed.BEN]


def test_a_member_hands_over_their_own_appointments_only(call):
    """And no day of others."""
    assert hand_over(call, book(call), token=seed.MEMBER_TOKEN, userId=seed.BEN).status == 404
    reply = call("POST", "/v4/handoff/bulk", {}, token=seed.MEMBER_TOKEN)
    assert reply.status == 403
