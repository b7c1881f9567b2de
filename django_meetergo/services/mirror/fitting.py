"""Leave out the parts of a document that no column can hold, and report them.

Texts are cut where they are copied. An id or a link that is cut would name something else, so one that does
not fit is left out.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TypeVar

from django_meetergo.models import Appointment, Attendee
from django_meetergo.remote.payloads import AppointmentDocument, AttendeeDocument, HostDocument

MAX_ID = Attendee._meta.get_field("remote_id").max_length or 0
MAX_LINK = Appointment._meta.get_field("meeting_link").max_length or 0
#: The largest number that an integer column of every database holds.
MAX_NUMBER = 2**31 - 1

Person = TypeVar("Person", AttendeeDocument, HostDocument)


@dataclass(frozen=True, kw_only=True)
class Skipped:
    """Something that was not stored: the id of its appointment, and what and why."""

    remote_id: str
    reason: str


def fit_documents(
    documents: Iterable[AppointmentDocument], skipped: list[Skipped]
) -> list[AppointmentDocument]:
    """Return the documents without what no column can hold; what is left out is added to ``skipped``."""
    fitting = []
    for document in documents:
        problems: list[str] = []
        if len(document.id) <= MAX_ID:
            fitting.append(fit_document(document, problems))
        else:
            problems.append(f"id longer than {MAX_ID} characters")
        skipped += [Skipped(remote_id=document.id[:MAX_ID], reason=problem) for problem in problems]
    return fitting


def fit_document(document: AppointmentDocument, problems: list[str]) -> AppointmentDocument:
    attendees = fit_people(document.attendees, "attendee", problems)
    return replace(
        document,
        attendees=attendees,
        names_everyone=document.names_everyone and len(attendees) == len(document.attendees),
        hosts=fit_people(document.hosts, "host", problems),
        host_ids=tuple(one for one in document.host_ids if len(one) <= MAX_ID),
        meeting_link=fit_link(document.meeting_link, MAX_LINK, "meeting link", problems),
        reschedule_count=fit_number(document.reschedule_count, "reschedule count", problems) or 0,
    )


def fit_people(people: Iterable[Person], what: str, problems: list[str]) -> tuple[Person, ...]:
    """Return the people with an id of their own that fits its column."""
    fitting: dict[str, Person] = {}
    for person in people:
        if not person.id:
            problems.append(f"{what} without an id")
        elif len(person.id) > MAX_ID:
            problems.append(f"{what} id longer than {MAX_ID} characters")
        elif person.id in fitting:
            problems.append(f"{what} {person.id} named twice")
        else:
            fitting[person.id] = person
    return tuple(fitting.values())


def fit_link(link: str, limit: int, what: str, problems: list[str]) -> str:
    if len(link) <= limit:
        return link
    problems.append(f"{what} longer than {limit} characters")
    return ""


def fit_number(number: int | None, what: str, problems: list[str]) -> int | None:
    """Return a number that a positive integer column holds, else None."""
    if number is None or 0 <= number <= MAX_NUMBER:
        return number
    problems.append(f"{what} out of range")
    return None
