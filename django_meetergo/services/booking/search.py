"""Search meetergo's lists for the appointment or provisional booking that a lost answer may have made."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from itertools import count
from typing import Any, TypeVar

from django_meetergo.exceptions import (
    InvalidRequest,
    NotFound,
    PermissionRefused,
    RemoteError,
    UnreadableReply,
)
from django_meetergo.models import Attendee, Booking, Host
from django_meetergo.remote.client import MeetergoClient
from django_meetergo.remote.payloads import AppointmentDocument, ItemList, ProvisionalDocument
from django_meetergo.services.clients import CALLS_SUSPENDED
from django_meetergo.services.matching import (
    CLOCK_TOLERANCE,
    echoes_references,
    find_first_sent,
    get_clock_skew,
    was_rescheduled,
)

Document = TypeVar("Document", AppointmentDocument, ProvisionalDocument)
Listed = AppointmentDocument | ProvisionalDocument
PAGE_SIZE = 100
#: Called before each read: renews the lease of the booking that is searched for.
Renew = Callable[[], object]


def do_nothing() -> None:
    """Renew no lease: the caller holds none."""


@dataclass(frozen=True)
class SearchResult:
    """The documents that were read, and whether every page of every list could be read."""

    documents: tuple[Listed, ...]
    is_complete: bool


def search_lists(booking: Booking, client: MeetergoClient, renew: Renew) -> SearchResult:
    """Read every list that could hold the booking: appointments at its start, provisional bookings.

    Raises the errors of ``CALLS_SUSPENDED``: they say nothing about the booking.
    """

    def read() -> Iterator[Listed]:
        for host_id in list_host_ids(booking, client):
            yield from list_appointments_at(booking, host_id, client, renew)
            if booking.meeting_type.confirmation != "none":
                yield from list_provisional(booking, host_id, client, renew)

    def complete(one: Listed) -> Listed:
        return one if isinstance(one, ProvisionalDocument) else read_answers(booking, one, client, renew)

    return collect_documents(read(), complete)


def collect_documents(documents: Iterator[Listed], complete: Callable[[Any], Listed]) -> SearchResult:
    """Read to the end, or until a list fails; each document once, as ``complete`` returns it.

    A document that cannot be read singly, or whose attendees cannot be read, hides no other, and keeps the
    search from proving anything.
    """
    found: dict[str, Listed] = {}
    is_complete = True
    try:
        for document in documents:
            if document.id in found:
                continue
            found[document.id] = document
            try:
                found[document.id] = complete(document)
            except (NotFound, PermissionRefused):
                is_complete = False
            is_complete &= shows_everyone(found[document.id])
    except CALLS_SUSPENDED:
        raise
    except RemoteError:
        is_complete = False
    return SearchResult(tuple(found.values()), is_complete)


def shows_everyone(document: Listed) -> bool:
    """Whether all attendees could be read; meetergo may leave them out, or return entries without an id."""
    return isinstance(document, ProvisionalDocument) or document.names_everyone


def search_moved_appointments(booking: Booking, client: MeetergoClient, renew: Renew) -> SearchResult:
    """Read the appointments made since the booking's first request, for those rescheduled meanwhile.

    Raises the errors of ``CALLS_SUSPENDED``.
    """

    def read() -> Iterator[AppointmentDocument]:
        for host_id in list_host_ids(booking, client):
            yield from list_appointments_since(booking, host_id, client, renew)

    def complete(one: AppointmentDocument) -> AppointmentDocument:
        is_possible = was_rescheduled(one) or not shows_everyone(one)
        return read_answers(booking, one, client, renew) if is_possible else one

    return collect_documents(read(), complete)


def read_answers(
    booking: Booking, document: AppointmentDocument, client: MeetergoClient, renew: Renew
) -> AppointmentDocument:
    """Return a document of a list with its attendees and answers, which the list may leave out.

    Where references are returned, a document without one is another booking's. That is known of the single
    document only.
    """
    has_answers = any(attendee.answers for attendee in document.attendees)
    if document.names_everyone and (has_answers or not echoes_references(booking.connection)):
        return document
    renew()
    return client.get_appointment(document.id)


def read_attendee_ids(booking: Booking, client: MeetergoClient) -> list[str] | None:
    """Return the ids of the attendees that a group already has at the booking's start.

    None when they could not be read. Mirrored attendees count as well: a list may be older than the mirror.
    """
    mirrored = Attendee.objects.exclude(remote_id=None).filter(
        connection=booking.connection,
        appointment__meeting_type=booking.meeting_type,
        appointment__start=booking.start,
    )
    ids = {attendee_id or "" for attendee_id in mirrored.values_list("remote_id", flat=True)}
    try:
        for host_id in list_host_ids(booking, client):
            for document in list_appointments_at(booking, host_id, client):
                ids |= {attendee.id for attendee in document.attendees}
    except RemoteError:
        return None
    return sorted(ids - {""})


def list_appointments_since(
    booking: Booking, host_id: str, client: MeetergoClient, renew: Renew
) -> Iterator[AppointmentDocument]:
    """Yield a host's appointments of this type, newest first, back to the moment of the first request."""
    sent_at = find_first_sent(booking) or booking.created_at
    earliest = sent_at + get_clock_skew(booking.connection) - CLOCK_TOLERANCE

    def read(page: int) -> ItemList[AppointmentDocument]:
        return client.list_appointments(
            page=page,
            page_size=PAGE_SIZE,
            meeting_type_id=booking.meeting_type.remote_id,
            user_id=host_id,
            sort_by="appointment.createdAt",
            sort_direction="DESC",
        )

    for document in read_pages(read, renew):
        if document.created_at and document.created_at < earliest:
            return
        yield document


def list_host_ids(booking: Booking, client: MeetergoClient) -> Iterator[str]:
    """Yield the ids of the hosts whose lists could hold the booking; "" is the credential's own list.

    The members of a queue may have changed since the directory was read, or since the request was sent: those
    it has now are read, and former ones are recognised by appointments they have of this type. Raises
    RemoteError, after the members that are known, when the present ones cannot be read.
    """
    kind = booking.meeting_type
    if kind.host_ids:
        yield from kind.host_ids
        return
    known = list(kind.hosts.order_by("pk").values_list("remote_id", flat=True))
    if kind.queue_id:
        former = Host.objects.filter(appointments__meeting_type=kind, missing_since=None)
        former = former.exclude(remote_id__in=known).order_by("remote_id").distinct()
        known += former.values_list("remote_id", flat=True)
    yield from known or [""]
    if kind.queue_id:
        yield from [host_id for host_id in read_members(kind.queue_id, client) if host_id not in known]


def read_members(queue_id: str, client: MeetergoClient) -> list[str]:
    """Return the ids of the present members of a queue. Raises RemoteError."""
    try:
        return [host.id for host in client.get_queue(queue_id)]
    except InvalidRequest as error:
        raise UnreadableReply("the id of the queue is no part of an address") from error


def list_appointments_at(
    booking: Booking, host_id: str, client: MeetergoClient, renew: Renew = do_nothing
) -> Iterator[AppointmentDocument]:
    """Yield a host's appointments of this meeting type that start when the booking does."""
    minute = timedelta(minutes=1)

    def read(page: int) -> ItemList[AppointmentDocument]:
        return client.list_appointments(
            page=page,
            page_size=PAGE_SIZE,
            start=booking.start - minute,
            end=booking.start + minute,
            meeting_type_id=booking.meeting_type.remote_id,
            user_id=host_id,
        )

    return read_pages(read, renew)


def list_provisional(
    booking: Booking, host_id: str, client: MeetergoClient, renew: Renew, *, status: str = "pending"
) -> Iterator[ProvisionalDocument]:
    """Yield a host's provisional bookings of this meeting type."""

    def read(page: int) -> ItemList[ProvisionalDocument]:
        return client.list_provisional_bookings(
            page=page,
            page_size=PAGE_SIZE,
            status=status,
            user_id=host_id,
            meeting_type_id=booking.meeting_type.remote_id,
        )

    return read_pages(read, renew)


def read_pages(read: Callable[[int], ItemList[Document]], renew: Renew) -> Iterator[Document]:
    """Yield the documents of every page of a list.

    Raises UnreadableReply when an entry could not be parsed, which may be the one that is searched for, when
    the list has become shorter, so that one may have moved to a page that was read before, and when a page
    repeats the one before it: such a list has no end. The search proves nothing then.
    """
    last_ids: list[str] = []
    last_total: int | None = None
    for page in count():
        renew()
        found = read(page)
        yield from found
        ids = [document.id for document in found]
        if found.skipped or (ids and ids == last_ids):
            raise UnreadableReply("an entry of the list could not be parsed, or a page came twice")
        if found.total is not None and last_total is not None and found.total < last_total:
            raise UnreadableReply("the list has become shorter while its pages were read")
        if len(found) < PAGE_SIZE:
            return
        last_ids, last_total = ids, found.total
