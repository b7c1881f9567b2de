"""Odd documents: what a careful reader of the service's lists has to survive.

Each oddity changes one document of a response, the first of a list or the only one; its neighbours stay as
they are.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from django_meetergo.sandbox.http import Response

Document = dict[str, Any]

LONG = 5_000  # characters, longer than any column
DEPTH = 5_000  # nested lists, more than a recursive parser takes

#: Texts that are replaced in the encoded response by what ``json.dumps`` cannot write.
HUGE_NUMBER, DEEP_NESTING = "@@huge-number@@", "@@deep-nesting@@"
RAW = {
    f'"{HUGE_NUMBER}"'.encode(): b"1e400",
    f'"{DEEP_NESTING}"'.encode(): b"[" * DEPTH + b"]" * DEPTH,
}

LIST_KEYS = ("appointments", "provisionalBookings", "meetingTypes", "users", "nextHosts")


def repeat_attendee_ids(document: Document) -> None:
    """Give two attendees the same id."""
    if attendees := document.get("attendees"):
        document["attendees"] = [attendees[0], {**attendees[0], "email": "twin@example.com"}]


def remove_attendee_ids(document: Document) -> None:
    """Remove the ids of the attendees."""
    for attendee in document.get("attendees") or ():
        del attendee["id"]


def remove_id(document: Document) -> None:
    """Remove the document's own id."""
    document.pop("id", None)


def lengthen_ids(document: Document) -> None:
    """Give the document and its attendees ids longer than any column."""
    for one in (document, *(document.get("attendees") or ())):
        one["id"] = "x" * LONG


def use_dots_as_id(document: Document) -> None:
    """Give the document an id that changes the path it is put into."""
    document["id"] = ".."


def lengthen_links(document: Document) -> None:
    """Make every link longer than any column."""
    link = "https://video.example.com/" + "x" * LONG
    for owner in ("hostingInfo", "meetingInfo"):
        if isinstance(document.get(owner), dict):
            document[owner]["meetingLink"] = link
    if "bookingUrl" in document:
        document["bookingUrl"] = link


def remove_attendees(document: Document) -> None:
    """Leave out the attendees."""
    if "attendees" in document:
        document["attendees"] = None


def remove_meeting_type(document: Document) -> None:
    """Leave out which meeting type an appointment is of."""
    for key in ("meetingTypeId", "meetingType"):
        document.pop(key, None)


def overflow_numbers(document: Document) -> None:
    """Put 1e400, which no column holds, where a number belongs."""
    for key in ("rescheduleCount", "spots"):
        if key in document:
            document[key] = HUGE_NUMBER
    if isinstance(document.get("meetingInfo"), dict):
        document["meetingInfo"]["duration"] = HUGE_NUMBER


def add_control_characters(document: Document) -> None:
    """Put a null character, an escape and a lone surrogate into texts."""
    text = "a\x00b\x1bc\ud800"
    for one in document.get("attendees") or ():
        one["firstname"], one["fullname"] = text, text
    document["location"] = document["note"] = text
    if isinstance(document.get("meetingInfo"), dict):
        document["meetingInfo"]["name"] = text


def nest_deeply(document: Document) -> None:
    """Nest lists deeper than a recursive reader can follow."""
    document["metadata"] = DEEP_NESTING


def use_impossible_times(document: Document) -> None:
    """Put times into the document that no calendar has."""
    document["start"], document["end"] = "0000-00-00T25:61:00.000Z", "99999-12-31T00:00:00.000Z"


def use_wrong_types(document: Document) -> None:
    """Put a value of another type into every key but the id."""
    for key, value in document.items():
        if key != "id":
            document[key] = 7 if isinstance(value, (str, list, dict)) else ["?"]


ODDITIES: dict[str, Callable[[Document], None]] = {
    "repeated_attendee_ids": repeat_attendee_ids,
    "missing_attendee_ids": remove_attendee_ids,
    "missing_attendees": remove_attendees,
    "missing_meeting_type": remove_meeting_type,
    "missing_id": remove_id,
    "long_ids": lengthen_ids,
    "dots_as_id": use_dots_as_id,
    "long_links": lengthen_links,
    "huge_numbers": overflow_numbers,
    "control_characters": add_control_characters,
    "deep_nesting": nest_deeply,
    "impossible_times": use_impossible_times,
    "wrong_types": use_wrong_types,
}


def make_odd(response: Response, oddity: str) -> None:
    """Apply an oddity to a document of a response; other responses stay as they are."""
    try:
        content = json.loads(response.body)
    except ValueError:
        return
    document = _find_document(content)
    if document is None or response.status >= 300:
        return
    ODDITIES[oddity](document)
    # ASCII only, so that a lone surrogate can be sent as an escape.
    body = json.dumps(content, separators=(",", ":")).encode()
    for text, raw in RAW.items():
        body = body.replace(text, raw)
    response.body = body


def _find_document(content: Any) -> Document | None:
    if isinstance(content, dict):
        key = next((key for key in LIST_KEYS if key in content), None)
        if key is None:
            return content
        content = content[key]
    return content[0] if content and isinstance(content[0], dict) else None
