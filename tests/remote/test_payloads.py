"""Parsing of documents: every recording, every shape, wrong types and bounds."""

from __future__ import annotations

import contextlib
import datetime as dt
import json

import pytest

from django_meetergo.exceptions import UnreadableReply
from django_meetergo.remote import payloads
from django_meetergo.remote.answer import Answer, cut_nesting
from django_meetergo.remote.payloads import reading
from tests.recordings import PAYLOADS, list_recordings, read_folder
from tests.remote.scripted import recorded

SECRET = "9d1b7c0e5f3a4826b1d0"
PARSERS = {
    "User": payloads.parse_host,
    "UserList": payloads.parse_host_page,
    "MeetingType": payloads.parse_meeting_type,
    "array:MeetingType": payloads.parse_meeting_types,
    "MeetingTypeListLegacy": payloads.parse_meeting_types,
    "AvailabilityV4": payloads.parse_availability,
    "AvailabilityLegacySlots": payloads.parse_availability,
    "AvailabilityLegacyFlat": payloads.parse_availability,
    "BookingProvisional": payloads.parse_booking_reply,
    "Appointment": payloads.parse_appointment,
    "AppointmentPage": payloads.parse_appointments,
    "array:Appointment": payloads.parse_appointments,
    "RescheduleResult": payloads.parse_reschedule_reply,
    "ProvisionalBookingPage": payloads.parse_provisional_page,
    "Queue": payloads.parse_queue,
    "array:DataField": payloads.parse_data_fields,
    "Webhook": payloads.parse_webhook,
    "array:Webhook": payloads.parse_webhooks,
    "BookingWebhookFlat": payloads.parse_delivery,
    "OtherWebhook": payloads.parse_delivery,
    "WebhookEnvelopeLegacy": payloads.parse_delivery,
    "BookingConfirmed": payloads.parse_booking_reply,
}
READABLE = [recording for recording in list_recordings() if recording.schema in PARSERS]


def load(name: str):
    return json.loads(recorded(name))


def utc(*parts: int) -> dt.datetime:
    return dt.datetime(*parts, tzinfo=dt.UTC)


def test_the_index_names_every_recording():
    names = {path.name for path in PAYLOADS.glob("*.json")} - {"index.json"}
    assert {recording.path.name for recording in read_folder(PAYLOADS)} == names


@pytest.mark.parametrize("recording", READABLE, ids=str)
def test_every_recording_is_parsed_without_showing_its_secret(recording):
    """Neither ``repr`` nor ``raw`` contains the secret."""
    found = PARSERS[recording.schema](recording.load())
    assert found is not None
    assert SECRET not in repr(found)
    for one in found if isinstance(found, tuple) else (found,):
        assert SECRET not in json.dumps(getattr(one, "raw", {}))


@pytest.mark.parametrize("recording", READABLE, ids=str)
@pytest.mark.parametrize("junk", [None, [], {}, "text", 7, True, [None], {"id": []}], ids=repr)
def test_junk_is_parsed_or_refused(recording, junk):
    """A parser returns a document or raises one of the documented exceptions."""
    with contextlib.suppress(UnreadableReply):
        PARSERS[recording.schema](junk)


def replace_each_value(document, junk):
    """Yield the document once for each of its values, with that value replaced by junk."""
    if isinstance(document, dict):
        for key, value in document.items():
            yield document | {key: junk}
            yield from (document | {key: changed} for changed in replace_each_value(value, junk))
    elif isinstance(document, list):
        for position, value in enumerate(document):
            before, after = document[:position], document[position + 1 :]
            yield [*before, junk, *after]
            yield from ([*before, changed, *after] for changed in replace_each_value(value, junk))


@pytest.mark.parametrize("recording", READABLE, ids=str)
def test_one_value_of_a_wrong_type_is_parsed_or_refused(recording):
    """Each value of each recording is replaced by each wrong type."""
    document = recording.load()
    for junk in (None, 5, "x\x00\ud800", [], {}, [1], {"a": 1}, 1e300, True):
        for changed in replace_each_value(document, junk):
            with contextlib.suppress(UnreadableReply):
                PARSERS[recording.schema](changed)


@pytest.mark.parametrize(
    ("name", "starts"),
    [
        ("availability_v4.json", 6),
        ("availability_v4_empty.json", 0),
        ("availability_v4_group.json", 1),
        ("availability_v4_troubleshoot.json", 1),
        ("availability_legacy_slots.json", 4),
        ("availability_legacy_flat.json", 2),
    ],
)
def test_all_shapes_of_availability_become_one(name, starts):
    found = payloads.parse_availability(load(name))
    assert len(found.slots) == starts
    assert [slot.start for slot in found.slots] == sorted({slot.start for slot in found.slots})
    assert all(slot.start.tzinfo is dt.UTC for slot in found.slots)


def test_the_offset_of_each_date_is_used():
    """The same wall time is another instant after the clocks change."""
    slots = payloads.parse_availability(load("availability_v4.json")).slots
    assert (slots[0].start, slots[3].start) == (utc(2026, 10, 23, 7), utc(2026, 10, 26, 8))


def test_seats_are_counted_and_full_starts_left_out():
    (slot,) = payloads.parse_availability(load("availability_v4_group.json")).slots
    assert slot.seats_left == 7


def test_blocked_starts_come_with_their_reasons():
    found = payloads.parse_availability(load("availability_v4_troubleshoot.json"))
    assert found.blocked == (
        payloads.BlockedSlot(start=utc(2026, 10, 23, 7), reasons=("event: John Smith",)),
    )


@pytest.mark.parametrize("events", [{"type": "event"}, "event", [{}]])
def test_a_start_with_any_reason_against_it_is_not_free(events):
    document = {"dates": [{"spots": [{"startTime": "2026-10-23T09:00:00Z", "unavailabilityEvents": events}]}]}
    found = payloads.parse_availability(document)
    assert (found.slots, len(found.blocked)) == ((), 1)


def test_an_appointment_that_ends_before_it_starts_has_its_duration():
    document = load("appointment.json")
    document |= {"end": document["start"], "meetingInfo": {**document["meetingInfo"], "duration": 30}}
    found = payloads.parse_appointment(document)
    assert found.end - found.start == dt.timedelta(minutes=30)


def test_a_code_that_does_not_fit_is_none_wherever_it_would_be_cut():
    assert reading.read_code("a" * 254 + " b", 254) == ""
    assert reading.read_code(" a  b ", 3) == "a b"


def test_availability_of_unknown_shape_is_not_read_as_empty():
    with pytest.raises(UnreadableReply):
        payloads.parse_availability({"timeframes": []})


@pytest.mark.parametrize(
    ("name", "awaits"),
    [
        ("booking_double_opt_in.json", "attendee"),
        ("booking_double_opt_in_seed.json", "attendee"),
        ("booking_host_confirmation.json", "host"),
    ],
)
def test_a_provisional_booking_names_who_must_confirm(name, awaits):
    reply = payloads.parse_booking_reply(load(name))
    assert isinstance(reply, payloads.BookingProvisional)
    assert reply.awaits == awaits


@pytest.mark.parametrize("extra", [{"bookingType": "somethingNew"}, {}, {"bookingType": 7}])
def test_an_unknown_kind_of_booking_is_provisional(extra):
    """Only an appointment id without a booking type may be shown as booked."""
    reply = payloads.parse_booking_reply({"provisionalBookingId": "p-1"} | extra)
    assert reply == payloads.BookingProvisional(provisional_id="p-1", awaits="unknown")
    odd = payloads.parse_booking_reply({"appointmentId": "a-1", "bookingType": "somethingNew"})
    assert isinstance(odd, payloads.BookingProvisional)


def test_repr_of_a_confirmed_booking_hides_its_secret():
    reply = payloads.parse_booking_reply(load("booking_confirmed.json"))
    assert isinstance(reply, payloads.BookingConfirmed)
    assert (reply.secret, SECRET in repr(reply)) == (SECRET, False)


def test_every_field_of_an_appointment_is_parsed():
    found = payloads.parse_appointment(load("appointment.json"))
    assert (found.start, found.end) == (utc(2026, 10, 23, 7), utc(2026, 10, 23, 7, 30))
    assert (found.secret, found.channel, found.is_cancelled) == (SECRET, "zoom", False)
    assert found.meeting_link == "https://video.example.com/j/123456789"
    (attendee,) = found.attendees
    assert attendee.answers == {"company_size": "50-200", "referral_source": "Search"}
    assert [host.name for host in found.hosts] == ["John Smith"]


def test_a_flag_or_a_time_marks_a_cancelled_appointment():
    document = load("appointment_cancelled.json")
    assert payloads.parse_appointment(document | {"isCancelled": False}).is_cancelled
    assert payloads.parse_appointment(document | {"cancel": None}).is_cancelled
    found = payloads.parse_appointment(document)
    assert (found.cancelled_by, found.cancellation_reason) == ("host", "Unable to attend")


@pytest.mark.parametrize("missing", ["id", "start"])
def test_an_appointment_without_id_or_start_is_unreadable(missing):
    document = load("appointment.json")
    del document[missing]
    with pytest.raises(UnreadableReply):
        payloads.parse_appointment(document)
    page = payloads.parse_appointments({"appointments": [load("appointment.json"), document], "total": 2})
    assert (len(page), len(page.skipped), page.total) == (1, 1, 2)


def test_a_missing_end_is_computed_from_the_duration():
    document = load("appointment.json") | {"end": None}
    assert payloads.parse_appointment(document).end == utc(2026, 10, 23, 7, 30)


@pytest.mark.parametrize(
    "link", ["javascript:alert(1)", "data:text/html,x", "//host/x", "https://", "http://a b", "x"]
)
def test_only_web_links_are_kept(link):
    """Pages use a meeting link as ``href``, and text of the service is untrusted."""
    document = load("appointment.json") | {"hostingInfo": {"meetingLink": link}, "location": link}
    assert payloads.parse_appointment(document).meeting_link == ""


def test_the_link_of_a_webhook_body_and_of_a_location():
    document = load("appointment.json") | {"hostingInfo": None, "location": "http://place.example.com"}
    assert payloads.parse_appointment(document).meeting_link == "http://place.example.com"
    document["meetingInfo"] = {"meetingLink": "https://info.example.com"}
    assert payloads.parse_appointment(document).meeting_link == "https://info.example.com"


def test_the_digest_ignores_order_and_secret_but_nothing_else():
    document = load("appointment.json")
    turned = dict(reversed(document.items())) | {"secret": "another"}
    same = payloads.parse_appointment(document).digest
    assert payloads.parse_appointment(turned).digest == same
    assert payloads.parse_appointment(document | {"note": "new"}).digest != same


def test_answers_are_merged_and_a_full_name_is_split():
    person = {
        "fullname": "Anna Maria Muster",
        "notes": {"a": 1, "company": "Example"},
        "customFields": {"a": 2, "b": True, "c": ["x", "y"], "d": None},
    }
    found = payloads.parse_attendee(person)
    assert (found.first_name, found.last_name, found.company) == ("Anna", "Maria Muster", "Example")
    assert found.answers == {"a": "1", "b": "true", "c": "x, y", "d": ""}


def test_both_answers_to_a_reschedule_are_parsed():
    whole = payloads.parse_reschedule_reply(load("reschedule_result.json"))
    short = payloads.parse_reschedule_reply(load("reschedule_result_legacy.json"))
    assert whole.appointment_id == short.appointment_id
    assert whole.secret == short.secret == SECRET


def test_a_meeting_type_has_its_host_or_queue_and_options():
    single = payloads.parse_meeting_type(load("meeting_type.json"))
    queue = payloads.parse_meeting_type(load("meeting_type_queue.json"))
    (old,) = payloads.parse_meeting_types(load("meeting_types_list_legacy.json"))
    assert (bool(single.host_id), single.queue_id) == (True, "")
    assert (queue.host_id, bool(queue.queue_id)) == ("", True)
    assert (single.allowed_durations, single.allows_guests, single.confirmation) == (
        (30, 60),
        True,
        "unknown",
    )
    assert (old.name, old.duration, old.enabled) == ("Discovery Call", 30, True)


@pytest.mark.parametrize(
    ("attendee", "host", "expected"),
    [
        (True, True, "both"),
        ("enabled", "useCompanySettings", "attendee"),
        ("disabled", "always", "host"),
        (False, "never", "none"),
        (False, "useCompanySettings", "unknown"),
        (None, None, "unknown"),
    ],
)
def test_the_kind_of_confirmation_is_read_from_both_options(attendee, host, expected):
    options = {"doubleOptIn": attendee, "requireHostConfirmation": host}
    found = payloads.parse_meeting_type({"id": "mt", "meetingOptions": options})
    assert found.confirmation == expected


def test_a_type_with_a_password_needs_its_own_page_and_the_password_is_not_stored():
    options = {"bookingPagePassword": {"enable": True, "password": "hunter2"}}
    found = payloads.parse_meeting_type({"id": "mt", "meetingOptions": options})
    assert found.needs_own_page
    assert "hunter2" not in json.dumps(found.raw)


def test_both_envelopes_of_a_delivery_are_parsed():
    flat = payloads.parse_delivery(load("event_booking_created.json"))
    assert flat == payloads.parse_delivery(load("event_legacy_envelope.json"))
    assert flat.event_type == "booking_created"
    unknown = payloads.parse_delivery({"id": "x"})
    assert (unknown.event_type, unknown.remote_id) == ("", "")


BERLIN = dt.timezone(dt.timedelta(hours=2))


def payload(**changes) -> payloads.BookingPayload:
    attendee = {
        "email": "jane.doe@example.com",
        "first_name": "Jane",
        "last_name": "Doe",
        "company": "Example Consulting",
        "answers": {"company_size": "50-200", "guests": 3},
    } | changes.pop("attendee", {})
    given = {
        "meeting_type_id": "mt-1",
        "start": dt.datetime(2026, 10, 23, 9, tzinfo=BERLIN),
        "attendee": payloads.AttendeePayload(**attendee),
        "host_ids": ("h-1",),
    }
    return payloads.BookingPayload(**(given | changes))


def test_the_body_of_a_booking_suits_both_dialects():
    """Answers are sent under both keys as text, the two required keys are present, the offset is kept."""
    answers = {"company_size": "50-200", "guests": "3", "company": "Example Consulting"}
    assert payloads.build_booking(payload()) == {
        "meetingTypeId": "mt-1",
        "start": "2026-10-23T09:00:00+02:00",
        "hostIds": ["h-1"],
        "attendee": {
            "email": "jane.doe@example.com",
            "firstname": "Jane",
            "lastname": "Doe",
            "company": "Example Consulting",
            "receiveReminders": True,
            "dataPolicyAccepted": True,
            "notes": answers,
            "customFields": answers,
        },
    }


def test_a_booking_names_hosts_or_a_queue():
    queued = payloads.build_booking(payload(queue_id="q-1"))
    assert (queued["queueId"], "hostIds" in queued) == ("q-1", False)
    assert "queueId" not in payloads.build_booking(payload())


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [("google_meet", "google"), ("teams", "teamsForBusiness2"), ("in_person", "local"), ("zoom", "zoom")],
)
def test_channels_are_sent_by_their_current_names(ours, theirs):
    assert payloads.build_booking(payload(channel=ours))["channel"] == theirs


def test_declined_reminders_are_sent():
    refused = {"receive_reminders": False, "answers": {}, "company": ""}
    attendee = payloads.build_booking(payload(attendee=refused))["attendee"]
    assert (attendee["receiveReminders"], attendee["dataPolicyAccepted"]) == (False, True)
    assert attendee["notes"] == {}


def test_a_phone_only_booking_sends_no_email():
    body = payloads.build_booking(payload(phone_only=True, attendee={"phone": "+49 30 5550100"}))
    assert (body["phoneOnlyBooking"], "email" in body["attendee"]) == (True, False)


def test_a_naive_start_is_refused():
    with pytest.raises(ValueError, match="naive"):
        payloads.build_booking(payload(start=dt.datetime(2026, 10, 23, 9)))  # noqa: DTZ001 - the point


# Bounds


@pytest.mark.parametrize(
    "value",
    ["", ".", "..", "x" * 129, "a b", "line\nbreak", "\x00", "\ud800", -1, 2**70, True, None, 1.5, [], {}],
)
def test_an_id_that_cannot_be_stored_or_be_part_of_a_path_is_left_out(value):
    assert reading.read_id(value) == ""


@pytest.mark.parametrize(
    ("value", "expected"), [("a-1", "a-1"), (1492, "1492"), ("x" * 128, "x" * 128), ("ü", "ü")]
)
def test_a_usable_id_is_kept(value, expected):
    assert reading.read_id(value) == expected


@pytest.mark.parametrize("value", [float("inf"), float("nan"), -1, 2**31, 1.5, True, "5", None])
def test_a_number_that_no_column_holds_is_left_out(value):
    assert reading.read_number(value) is None


def test_texts_are_cut_and_lose_their_control_characters():
    assert reading.read_text("a\r\nb\x00\x1b\u2028c\td") == "a\nbc\td"
    assert len(reading.read_text("x" * 20_000)) == reading.MAX_TEXT_LENGTH
    assert reading.read_line("To: \r\n Bcc: x") == "To: Bcc: x"
    assert reading.read_line("x " * 300, 10) == "x x x x x"


@pytest.mark.parametrize("email", ["x" * 250 + "@example.com"])
def test_an_address_that_does_not_fit_is_left_out_instead_of_cut(email):
    """A cut address belongs to another person."""
    assert payloads.parse_attendee({"id": "a", "email": email}).email == ""


@pytest.mark.parametrize(
    "text", ["9999-12-31T23:59:59Z", "0001-01-01T00:00:00+14:00", "1969-12-31T00:00:00Z"]
)
def test_an_instant_that_overflows_in_other_zones_is_left_out(text):
    assert reading.read_instant(text) is None


def test_a_link_that_does_not_fit_its_column_is_left_out():
    link = "https://video.example.com/" + "x" * 1000
    document = load("appointment.json") | {"hostingInfo": {"meetingLink": link}, "location": "Room 1"}
    assert payloads.parse_appointment(document).meeting_link == ""


def test_one_unreadable_entry_never_hides_a_list():
    """It is skipped and reported with its kind, its id or position, and the reason."""
    types = payloads.parse_meeting_types([{"id": ".."}, load("meeting_type.json"), None])
    assert len(types) == 1
    assert [str(item) for item in types.skipped] == [
        "meeting type number 0: a meeting type without a usable id",
        "meeting type number 2: expected a meeting type, got NoneType",
    ]
    webhooks = payloads.parse_webhooks([load("webhook.json"), {"id": "w" * 200}])
    assert (len(webhooks), len(webhooks.skipped)) == (1, 1)


def test_an_attendee_that_comes_twice_is_read_once():
    document = load("appointment.json")
    document["attendees"] *= 2
    attendees = payloads.parse_appointment(document).attendees
    assert (len(attendees), len(attendees.skipped)) == (1, 1)


def test_raw_holds_nothing_that_a_json_column_refuses():
    odd = {"a": float("inf"), "b": 2**70, "c": "\x00x\ud800", "d": float("nan")}
    nested = {"x": 1}
    for _ in range(100):
        nested = {"n": nested}
    raw = payloads.parse_appointment(load("appointment.json") | {"odd": odd, "nested": nested}).raw
    assert raw["odd"] == {"a": None, "b": None, "c": "x", "d": None}
    assert json.dumps(raw).count('"n"') <= reading.MAX_DEPTH


@pytest.mark.parametrize(
    "odd",
    ["1e400", "NaN", "9" * 5000, "[" * 100_000 + "]" * 100_000, '{"a":' * 5000 + "1" + "}" * 5000, '"\xff"'],
)
def test_one_odd_value_does_not_make_a_whole_page_unreadable(odd):
    body = b'[{"id": "a"}, {"id": "b", "odd": %s}]' % odd.encode("latin-1")
    answer = Answer(status=200, method="GET", route="/x", body=body)
    assert [entry["id"] for entry in answer.read_json()] == ["a", "b"]


def test_a_text_that_does_not_end_is_read_once():
    """Read again from each of its quotes, half a megabyte would take hours."""
    assert cut_nesting('"' + '\\"' * 250_000) == '"' + '\\"' * 250_000
    assert cut_nesting('["\\') == '["\\'
