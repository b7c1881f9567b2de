"""Examples of requests and answers in the OpenAPI schema. A test validates each against its schema."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import OpenApiExample

from django_meetergo.contrib.rest_framework.problems import CONTENT_TYPE, SLOT_TAKEN

API = "https://clinic.example/api/meetergo"
PAGES = "https://clinic.example/book"
BOOKING = "0f8fad5bd9cb469fa16570867728950e~c2lnbmVkLWJ5LXRoZS1zaXRl"
ATTENDEE = "7c9e6679742540de944be07fc1f90ae7~c2lnbmVkLWJ5LXRoZS1zaXRl"
START, END = "2026-12-01T09:30:00+01:00", "2026-12-01T10:00:00+01:00"


def build_request(name: str, value: Any) -> OpenApiExample:
    return OpenApiExample(name, value, request_only=True)


def build_answer(name: str, status: int, value: Any) -> OpenApiExample:
    media_type = "application/json" if status < 400 else CONTENT_TYPE
    return OpenApiExample(name, value, response_only=True, status_codes=[str(status)], media_type=media_type)


WAITING = {
    "token": BOOKING,
    "url": f"{API}/bookings/{BOOKING}",
    "page": f"{PAGES}/booking/{BOOKING}/",
    "reference": "MG-BACB21F9F5B1685B3722",
    "state": "pending",
    "reason": "attendee",
    "is_open": True,
    "poll_after_seconds": 15,
    "meeting_type": "intro-call",
    "start": START,
    "end": END,
    "duration": 30,
    "timezone": "Europe/Berlin",
    "email": "jane@example.com",
    "appointment": None,
    "manage": None,
    "replaced_by": None,
}
CONFIRMED = {
    **WAITING,
    "state": "confirmed",
    "reason": "",
    "is_open": False,
    "poll_after_seconds": None,
    "appointment": {
        "status": "confirmed",
        "start": START,
        "end": END,
        "channel": "zoom",
        "location": "",
        "meeting_link": "https://zoom.example/j/123",
        "hosts": [{"name": "Anna Weber", "initials": "AW"}],
    },
    "manage": {
        "token": ATTENDEE,
        "url": f"{API}/manage/{ATTENDEE}",
        "page": f"{PAGES}/manage/{ATTENDEE}/",
    },
}
TAKEN = {
    "type": SLOT_TAKEN.uri,
    "title": SLOT_TAKEN.title,
    "status": int(SLOT_TAKEN.status),
    "alternatives": [{"start": "2026-12-01T10:00:00+01:00", "seats_left": None}],
}
FREE_TIMES = {
    "meeting_type": "intro-call",
    "duration": 30,
    "timezone": "Europe/Berlin",
    "first_day": "2026-12-01",
    "last_day": "2026-12-31",
    "as_of": "2026-11-30T08:00:00+00:00",
    "stale": False,
    "complete": True,
    "times": [{"start": START, "seats_left": None}],
}

BOOK = [
    build_request(
        "A free time",
        {
            "meeting_type": "intro-call",
            "start": START,
            "first_name": "Jane",
            "last_name": "Doe",
            "email": "jane@example.com",
            "timezone": "Europe/Berlin",
            "answers": {"topic": "plan"},
        },
    ),
    build_answer("Confirmed", 201, CONFIRMED),
    build_answer("Waiting for the attendee's confirmation", 202, WAITING),
    build_answer("Taken meanwhile", 409, TAKEN),
]
LIST_FREE_TIMES = [build_answer("One free time", 200, FREE_TIMES)]
RESCHEDULE = [build_request("Another time", {"start": "2026-12-02T09:30:00+01:00"})]
CANCEL = [build_request("With a reason", {"reason": "I am well again."})]
