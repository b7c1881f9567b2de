"""Read the lists of the service that could hold a booking."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from itertools import count

from django_meetergo.exceptions import RemoteError, UnreadableReply
from django_meetergo.models import Booking
from django_meetergo.remote.client import MeetergoClient
from django_meetergo.remote.payloads import AppointmentDocument, ProvisionalDocument
from django_meetergo.services.matching import CLOCK_TOLERANCE, find_first_sent, list_references, looks_alike

PAGE_SIZE = 100


@dataclass(frozen=True)
class Found:
    """What meetergo holds that could be this booking, and whether all of it was read."""

    candidates: tuple[AppointmentDocument | ProvisionalDocument, ...]
    complete: bool


def search_lists(booking: Booking, client: MeetergoClient) -> Found:
    """Read every list that could hold the booking."""
    candidates: list[AppointmentDocument | ProvisionalDocument] = []
    try:
        for host_id in list_host_ids(booking):
            candidates.extend(list_appointments_at(booking, host_id, client))
            if booking.meeting_type.confirmation != "none":
                candidates.extend(list_provisional(booking, host_id, client))
    except RemoteError:
        return Found(tuple(candidates), complete=False)
    return Found(tuple({document.id: document for document in candidates}.values()), complete=True)


def search_moved_appointments(booking: Booking, client: MeetergoClient) -> Found:
    """Appointments made since we sent the request that are ours by reference, or ours but for their time."""
    found: list[AppointmentDocument | ProvisionalDocument] = []
    try:
        for host_id in list_host_ids(booking):
            for document in list_appointments_since(booking, host_id, client):
                was_moved = document.rescheduled_at is not None or document.reschedule_count > 0
                ours = booking.reference in list_references(document)
                if ours or (was_moved and looks_alike(booking, document, moved=True)):
                    found.append(document)
    except RemoteError:
        return Found(tuple(found), complete=False)
    return Found(tuple({document.id: document for document in found}.values()), complete=True)


def list_appointments_since(
    booking: Booking, host_id: str, client: MeetergoClient
) -> Iterator[AppointmentDocument]:
    """A host's newest appointments, back to the moment of our first request."""
    sent_at = find_first_sent(booking) or booking.created_at
    for page in count():
        answer = client.list_appointments(
            page=page,
            page_size=PAGE_SIZE,
            meeting_type_id=booking.meeting_type.remote_id,
            user_id=host_id,
            sort_by="appointment.createdAt",
            sort_direction="DESC",
        )
        for document in answer.appointments:
            if document.created_at and document.created_at < sent_at - CLOCK_TOLERANCE:
                return
            yield document
        if is_last_page(len(answer.appointments), answer.unreadable):
            return


def list_host_ids(booking: Booking) -> list[str]:
    """Whose lists could hold it. No host known: the credential's own list."""
    queue = list(booking.meeting_type.hosts.values_list("remote_id", flat=True))
    return booking.meeting_type.host_ids or queue or [""]


def list_appointments_at(
    booking: Booking, host_id: str, client: MeetergoClient
) -> Iterator[AppointmentDocument]:
    """A host's appointments of this meeting type that start when the booking does."""
    minute = timedelta(minutes=1)
    for page in count():
        answer = client.list_appointments(
            page=page,
            page_size=PAGE_SIZE,
            start=booking.start - minute,
            end=booking.start + minute,
            meeting_type_id=booking.meeting_type.remote_id,
            user_id=host_id,
        )
        yield from answer.appointments
        if is_last_page(len(answer.appointments), answer.unreadable):
            return


def list_provisional(
    booking: Booking, host_id: str, client: MeetergoClient, *, status: str = "pending"
) -> Iterator[ProvisionalDocument]:
    """A host's provisional bookings of this meeting type."""
    for page in count():
        answer = client.list_provisional_bookings(
            page=page,
            page_size=PAGE_SIZE,
            status=status,
            user_id=host_id,
            meeting_type_id=booking.meeting_type.remote_id,
        )
        yield from answer.bookings
        if is_last_page(len(answer.bookings), answer.unreadable):
            return


def is_last_page(read: int, unreadable: int) -> bool:
    """Whether a page ends its list. An unreadable entry may be the very one: then nothing is proven."""
    if unreadable:
        raise UnreadableReply(f"{unreadable} entries of a list could not be read")
    return read < PAGE_SIZE
