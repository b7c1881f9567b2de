"""The examples of the booking guide work as printed, apart from ids and dates."""

import pytest

from django_meetergo.sandbox import seed

EIGHT = "2026-10-06T09:00:00+02:00"
NINE = "2026-10-06T10:00:00+02:00"


@pytest.fixture(params=["call", "wire"])
def ask(request):
    """A caller in-process, and one over a socket."""
    return request.getfixturevalue(request.param)


def book_as_printed(ask, **more):
    attendee = {
        "email": "jane.doe@example.com",
        "firstname": "Jane",
        "lastname": "Doe",
        "phone": "+49305550100",
    }
    attendee.update(more.pop("attendee", {}))
    body = {
        "meetingTypeId": seed.INTRO_CALL,
        "start": EIGHT,
        "hostIds": [seed.ANNA],
        "attendee": attendee,
        **more,
    }
    return ask("POST", "/v4/booking", body)


def test_a_single_host_is_booked_without_reminder_fields(ask):
    """The guide omits ``receiveReminders`` and ``notes``, and the booking is confirmed."""
    reply = book_as_printed(ask, channel="google_meet", skipNotifications=False)

    assert reply.status == 201
    assert set(reply.document) >= {"appointmentId", "secret"}
    shown = ask("GET", f"/v4/appointment/{reply.document['appointmentId']}").document
    assert (shown["start"], shown["end"]) == ("2026-10-06T07:00:00.000Z", "2026-10-06T07:30:00.000Z")
    assert shown["meetingInfo"]["channel"] == "google"
    assert shown["hostingInfo"]["meetingLink"].startswith("https://video.example.com/j/")
    assert shown["meetingType"]["name"] == "Intro call"
    assert shown["hosts"][0]["id"] == seed.ANNA


def test_a_queue_picks_a_host(ask):
    """A booking with ``queueId`` is given to one of its hosts."""
    attendee = {"email": "jane.doe@example.com", "fullname": "Jane Doe"}
    body = {"meetingTypeId": seed.NEXT_THERAPIST, "start": EIGHT, "queueId": seed.QUEUE, "attendee": attendee}
    reply = ask("POST", "/v4/booking", body)

    shown = ask("GET", f"/v4/appointment/{reply.document['appointmentId']}").document
    assert shown["hostIds"] == [seed.ANNA]


def test_custom_fields_and_notes_come_back_under_both_names(ask):
    """Answers are merged and echoed as ``notes`` and as ``customFields``."""
    answers = {
        "customFields": {"company_size": "50-200", "a": "old"},
        "notes": {"a": "new"},
        "company": "Example",
    }
    made = book_as_printed(ask, attendee=answers).document
    person = ask("GET", f"/v4/appointment/{made['appointmentId']}").document["attendees"][0]

    assert person["notes"] == person["customFields"] == {"company_size": "50-200", "a": "new"}
    assert person["company"] == "Example"


def test_the_list_is_paged_as_the_guide_pages_it(ask):
    """``page=1&limit=20`` with a slash is the first page."""
    made = book_as_printed(ask).document["appointmentId"]
    page = ask("GET", "/v4/appointment/paginated/", query={"page": 1, "limit": 20}).document

    assert made in [one["id"] for one in page["appointments"]]
    again = ask("GET", "/v4/appointment/paginated", query={"page": 0, "pageSize": 20}).document
    assert again["appointments"] == page["appointments"]


def test_a_host_cancels(ask):
    """``/booking/cancel/{id}`` cancels with the guide's name of the reason."""
    made = book_as_printed(ask).document["appointmentId"]
    ask("POST", f"/booking/cancel/{made}", {"cancellationReason": "Schedule conflict"})
    shown = ask("GET", f"/v4/appointment/{made}").document

    assert shown["isCancelled"] is True
    assert shown["cancel"]["reason"] == "Schedule conflict"
    assert shown["cancel"]["actionSource"] == "host"


def test_an_attendee_cancels_with_the_secret(ask):
    """The secret is the only credential; a wrong one looks like a missing appointment."""
    made = book_as_printed(ask).document
    path = f"/booking/confirm/cancel/{made['appointmentId']}"

    assert ask("POST", f"{path}/wrong", token=None).status == 404
    assert ask("POST", f"{path}/{made['secret']}", token=None).status == 200
    again = ask("POST", f"{path}/{made['secret']}", token=None)
    assert (again.status, again.document["message"]) == (400, "Appointment is already cancelled")


def test_an_attendee_moves_with_the_secret(ask):
    """The id stays, the times move, and the answer holds id and secret."""
    made = book_as_printed(ask).document
    body = {"appointmentId": made["appointmentId"], "secret": made["secret"], "start": NINE}
    moved = ask("POST", "/booking/confirm/reschedule/", body, token=None)

    assert moved.document == {"appointmentId": made["appointmentId"], "secret": made["secret"]}
    shown = ask("GET", f"/v4/appointment/{made['appointmentId']}").document
    assert shown["start"] == "2026-10-06T08:00:00.000Z"
    assert shown["rescheduleCount"] == 1


def test_a_host_moves_on_both_route_families(ask):
    """The root route answers id and secret, the v4 route the appointment and its former start."""
    made = book_as_printed(ask).document["appointmentId"]
    assert ask("POST", f"/booking/reschedule/{made}", {"start": NINE}).document["appointmentId"] == made
    moved = ask("POST", f"/v4/appointment/{made}/reschedule", {"start": EIGHT}).document

    assert moved["previousStart"] == "2026-10-06T08:00:00.000Z"
    assert moved["appointment"]["start"] == "2026-10-06T07:00:00.000Z"


def test_the_three_errors_have_the_printed_texts(ask):
    """Occupied slot, wrong duration and missing host have the guide's texts."""
    book_as_printed(ask)
    occupied = book_as_printed(ask)
    duration = book_as_printed(ask, duration=25)
    hostless = book_as_printed(ask, hostIds=[])

    assert occupied.document["message"] == "The selected time slot is no longer available"
    assert occupied.document["errorCode"] == "slot-occupied"
    assert (
        duration.document["message"]
        == "Duration must match one of the allowed durations for this meeting type"
    )
    assert hostless.document["message"] == "hostIds or queueId is required"
    assert {occupied.status, duration.status, hostless.status} == {400}
