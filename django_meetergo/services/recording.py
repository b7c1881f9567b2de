"""Save real answers of meetergo without personal data: the sandbox can be compared with them."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from django_meetergo.exceptions import RemoteError, UnreadableReply
from django_meetergo.remote.answer import Answer
from django_meetergo.remote.client import MeetergoClient
from django_meetergo.remote.transport import Transport

DAYS = 14
PAGE_SIZE = 20
#: Meeting types whose details and free times are saved.
MAX_TYPES = 5

#: Texts under these keys are words of the service, not of people.
WORDS = frozenset({
    "actionSource", "bookingType", "calculationMethod", "channel", "channels", "allowedChannels", "countMode",
    "distributionPeriod", "doubleOptIn", "event", "eventTypes", "fieldType", "language", "mode", "provider",
    "requireHostConfirmation", "status", "tier", "timezone", "type", "userType", "webhookType",
})  # fmt: skip
#: What stands below these keys was written by people: nothing of it is kept but its types.
FREE = frozenset({"answers", "customFields", "metadata", "notes"})
WORD = re.compile(r"[A-Za-z][\w/+-]{0,39}")
KEY = re.compile(r"[A-Za-z]\w{0,39}")
#: A day, a time of day, an instant, a colour.
HARMLESS = re.compile(
    r"\d{4}-\d\d-\d\d(T\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d)?)?|\d\d:\d\d(:\d\d)?|#[0-9A-Fa-f]{3,8}"
)
#: Shapes that a parser may rely on → what takes their place, by number.
SHAPES: tuple[tuple[re.Pattern[str], Callable[[int], str]], ...] = (
    (
        re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"),
        "00000000-0000-4000-8000-{:012x}".format,
    ),
    (re.compile(r"[^@\s]+@[^@\s]+"), "person{}@example.com".format),
    (re.compile(r"[a-z]+://\S*"), "https://example.com/{}".format),
    (re.compile(r"\+?[\d\s()/-]{6,}"), "+4930{:08d}".format),
    (re.compile(r"[0-9a-f]{12,}"), "{:020x}".format),
    (re.compile(r"[a-z0-9]+(-[a-z0-9]+)*"), "text-{}".format),
)
#: Larger whole numbers may be ids of a conference, or phone numbers.
MAX_PLAIN_NUMBER = 99_999


class Redactor:
    """Replace whatever may tell of a person. Equal values are replaced alike, here and in other documents."""

    def __init__(self) -> None:
        self._replacements: dict[object, Any] = {}

    def redact(self, document: Any, key: str = "") -> Any:
        """Return a copy with the same structure and the same types."""
        if isinstance(document, dict):
            return {
                self._redact_key(name): self.redact(value, key if key in FREE else name)
                for name, value in document.items()
            }
        if isinstance(document, list):
            return [self.redact(item, key) for item in document]
        if isinstance(document, str):
            return self._redact_text(document, key)
        if isinstance(document, float):
            return 0.5  # a position on the map, for example
        if isinstance(document, bool) or document is None:
            return document
        if document > MAX_PLAIN_NUMBER or key == "id" or key in FREE:
            return self._replace(document, lambda number: number)
        return document

    def _redact_key(self, name: str) -> str:
        return name if KEY.fullmatch(name) else str(self._redact_text(name, ""))

    def _redact_text(self, text: str, key: str) -> Any:
        if not text or (key not in FREE and HARMLESS.fullmatch(text)):
            return text
        if key in WORDS and WORD.fullmatch(text):
            return text
        fitting = (build for pattern, build in SHAPES if pattern.fullmatch(text))
        return self._replace(text, next(fitting, "Text {}".format))

    def _replace(self, value: object, build: Callable[[int], Any]) -> Any:
        if value not in self._replacements:
            self._replacements[value] = build(len(self._replacements) + 1)
        return self._replacements[value]


class RecordingTransport(Transport):
    """A transport that keeps the answers, also those that cannot be parsed."""

    def __init__(self, transport: Transport) -> None:
        super().__init__(credential=transport.credential, base_url=transport.root, timeout=transport.timeout)
        self.answers: list[Answer] = []

    def send(self, *args: Any, **options: Any) -> Answer:
        answer = super().send(*args, **options)
        self.answers.append(answer)
        return answer


@dataclass(frozen=True, kw_only=True)
class Step:
    """One read: where its answer is saved, its schema in the OpenAPI description, and what went wrong.

    ``answer`` is None without an answer that is JSON, ``document`` when the answer was not understood.
    """

    file: str
    schema: str
    answer: Answer | None
    document: Any
    problem: str


def record_answers(client: MeetergoClient, folder: Path, now: datetime) -> Iterator[Step]:
    """Read what meetergo has about this credential, and save each answer in the folder as it comes.

    Nothing is changed at meetergo. ``index.json`` names the schema of each file.
    """
    folder.mkdir(parents=True, exist_ok=True)
    redactor, index = Redactor(), []
    for step in _read_all(client, now):
        if step.answer:
            _save(folder / step.file, redactor.redact(step.answer.read_json()))
            call = f"{step.answer.method} {step.answer.route}"
            index.append(
                {"file": step.file, "schema": step.schema, "status": step.answer.status, "note": call}
            )
            _save(folder / "index.json", index)
        yield step


def _save(path: Path, document: Any) -> None:
    path.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _read_all(client: MeetergoClient, now: datetime) -> Iterator[Step]:
    reader = client.with_priority("sync")
    transport = reader.transport = RecordingTransport(client.transport)

    def read(name: str, schema: str, call: Callable[..., Any], *args: Any, **options: Any) -> Step:
        transport.answers.clear()
        document, problem = None, ""
        try:
            document = call(*args, **options)
        except RemoteError as error:
            problem = str(error)
        answer = _choose_json(transport.answers)
        return Step(file=f"{name}.json", schema=schema, answer=answer, document=document, problem=problem)

    yield read("user_me", "User", reader.get_current_user)
    yield read("users_list", "UserList", reader.list_users)
    yield read("data_fields", "array:DataField", reader.list_data_fields)
    yield read("webhooks_list", "array:Webhook", reader.list_webhooks)
    yield read("provisional_bookings_paginated", "ProvisionalBookingPage", reader.list_provisional_bookings)
    yield read("appointments_today", "array:Appointment", reader.list_todays_appointments)
    page = read("appointments_paginated", "AppointmentPage", reader.list_appointments, page_size=PAGE_SIZE)
    yield page
    for appointment in list(page.document or [])[:1]:
        yield read("appointment", "Appointment", reader.get_appointment, appointment.id)
    types = read("meeting_types_list", "array:MeetingType", reader.list_meeting_types)
    yield types
    for number, meeting_type in enumerate(list(types.document or [])[:MAX_TYPES], start=1):
        yield read(f"meeting_type_{number}", "MeetingType", reader.get_meeting_type, meeting_type.id)
        hosts = [meeting_type.host_id] if meeting_type.host_id else []
        if meeting_type.queue_id:
            queue = read(f"queue_{number}", "Queue", reader.get_queue, meeting_type.queue_id)
            yield queue
            hosts = [host.id for host in queue.document or ()]
        yield read(
            f"availability_v4_{number}",
            "AvailabilityV4",
            reader.get_booking_availability,
            meeting_type.id,
            now,
            now + timedelta(days=DAYS),
            host_ids=hosts,
            queue_id=meeting_type.queue_id,
        )


def _choose_json(answers: list[Answer]) -> Answer | None:
    """Return the answer if it is JSON: anything else could not be redacted with certainty."""
    for answer in answers:
        with suppress(UnreadableReply):
            answer.read_json()
            return answer
    return None
