"""Write appointments."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django_meetergo.models import (
    Appointment,
    Attendee,
    Event,
    Host,
    MeetingType,
)
from django_meetergo.remote.payloads import (
    AppointmentDocument,
)
from django_meetergo.services.events import build_event, record_events
from django_meetergo.services.mirror.attendees import AttendeeChanges, write_attendees
from django_meetergo.services.mirror.directory import list_hosts, record_hosts
from django_meetergo.services.mirror.erasure import hash_erasure_digest, remove_erased_people
from django_meetergo.services.mirror.rows import find_by_remote_id, save_rows
from django_meetergo.transactions import run_with_retries

Kind = Event.Kind


@dataclass
class RecordedAppointments:
    """What became of a set of documents: our rows by meetergo's id, and how many had to be written."""

    appointments: dict[str, Appointment] = field(default_factory=dict)
    written: int = 0


def record_appointment(*, connection: str, document: AppointmentDocument, now: datetime) -> Appointment:
    """Make our row equal to one document and return it."""
    recorded = record_appointments(connection=connection, documents=[document], now=now)
    return recorded.appointments[document.id]


def record_appointments(
    *,
    connection: str,
    documents: Sequence[AppointmentDocument],
    now: datetime,
    silent: bool = False,
    known: dict[str, Appointment] | None = None,
) -> RecordedAppointments:
    """Make our rows equal to these documents, unless what we hold is newer.

    ``silent`` imports history: events are kept for the timeline, but nobody is told. ``known`` are our rows
    of these appointments where the caller has just read them.
    """
    latest = {document.id: document for document in documents}
    known = find_appointments(connection, latest) if known is None else known
    news = [document for document in latest.values() if is_changed(known.get(document.id), document)]
    if not news:
        return RecordedAppointments(known)
    news = remove_erased_people(connection, news)
    written = run_with_retries(lambda: write_appointments(connection, news, now=now, silent=silent))
    return RecordedAppointments(known | written, len(written))


def find_appointments(connection: str, ids: Iterable[str]) -> dict[str, Appointment]:
    rows = Appointment.objects.filter(connection=connection, remote_id__in=list(ids)).defer("raw")
    return {row.remote_id: row for row in rows}


def is_changed(row: Appointment | None, document: AppointmentDocument) -> bool:
    """Whether the document says something our row does not, and is not older than it."""
    if row is None or row.synced_at is None:
        return True
    if document.updated_at and row.remote_updated_at and document.updated_at < row.remote_updated_at:
        return False
    if row.missing_since is not None:
        return True
    return row.digest not in {document.digest, hash_erasure_digest(document.digest)}


def write_appointments(
    connection: str, documents: list[AppointmentDocument], *, now: datetime, silent: bool
) -> dict[str, Appointment]:
    types = find_by_remote_id(MeetingType, connection, {document.meeting_type_id for document in documents})
    hosts = record_hosts(connection=connection, documents=list_hosts(documents), now=now)
    # In one order, so that two batches with the same rows wait for each other instead of deadlocking.
    rows = (
        Appointment.objects.select_for_update()
        .order_by("pk")
        .filter(connection=connection, remote_id__in=[document.id for document in documents])
    )
    known = {row.remote_id: row for row in rows}
    drafts = [
        AppointmentDraft.of(connection, document, known.get(document.id), types, now)
        for document in documents
        if is_changed(known.get(document.id), document)
    ]
    save_rows(Appointment, [draft.row for draft in drafts], APPOINTMENT_COLUMNS)
    write_host_links(drafts, hosts)
    people = write_attendees(drafts, now)
    record_events(
        event for draft in drafts for event in draft.events(people[draft.document.id], silent=silent)
    )
    return {draft.document.id: draft.row for draft in drafts}


APPOINTMENT_COLUMNS = (
    "meeting_type", "start", "end", "status", "channel", "meeting_link", "location", "cancelled_at",
    "cancelled_by", "cancellation_reason", "rescheduled_at", "reschedule_count", "previous_start", "secret",
    "remote_created_at", "remote_updated_at", "raw", "digest", "synced_at", "missing_since",
)  # fmt: skip


@dataclass
class AppointmentDraft:
    """One appointment on its way into the mirror, and what it was before."""

    document: AppointmentDocument
    row: Appointment
    is_new: bool
    was_cancelled: bool
    previous_start: datetime | None
    now: datetime

    @classmethod
    def of(
        cls,
        connection: str,
        document: AppointmentDocument,
        row: Appointment | None,
        types: dict[str, MeetingType],
        now: datetime,
    ) -> AppointmentDraft:
        is_new = row is None
        row = row or Appointment(connection=connection, remote_id=document.id)
        draft = cls(
            document=document,
            row=row,
            is_new=is_new,
            was_cancelled=not is_new and row.is_cancelled,
            previous_start=None if is_new else row.start,
            now=now,
        )
        draft.copy(types)
        return draft

    def copy(self, types: dict[str, MeetingType]) -> None:
        """Carry the document's facts over to the row."""
        row, document = self.row, self.document
        row.meeting_type = types.get(document.meeting_type_id) or row.meeting_type
        if self.moved:
            row.previous_start = self.previous_start
        row.start, row.end = document.start, document.end
        row.status = Appointment.Status.CANCELLED if document.is_cancelled else Appointment.Status.CONFIRMED
        row.channel = document.channel[:64]
        row.meeting_link = document.meeting_link
        row.location = document.location[:500]
        row.cancelled_at = document.cancelled_at
        row.cancelled_by = document.cancelled_by[:64]
        row.cancellation_reason = document.cancellation_reason
        row.rescheduled_at = document.rescheduled_at
        row.reschedule_count = document.reschedule_count
        row.secret = document.secret or row.secret
        row.remote_created_at = document.created_at
        row.remote_updated_at = document.updated_at
        row.raw, row.digest = document.raw, document.digest
        row.synced_at, row.missing_since = self.now, None

    @property
    def moved(self) -> bool:
        return self.previous_start is not None and self.previous_start != self.document.start

    def events(self, people: AttendeeChanges, *, silent: bool) -> Iterable[Event]:
        """The transitions between what the row was and what it is."""
        common: dict[str, Any] = {
            "connection": self.row.connection,
            "appointment": self.row,
            "now": self.now,
            "silent": silent,
        }
        name = f"appointment:{self.row.pk}"
        if self.document.is_cancelled:
            if not self.was_cancelled:
                yield build_event(kind=Kind.APPOINTMENT_CANCELLED, key=f"{name}:cancelled", **common)
            return
        for attendee in people.joined:
            yield build_booked_event(attendee, appointment=self.row, now=self.now, silent=silent)
        for attendee in people.left:
            key = f"attendee:{attendee.pk}:removed"
            yield build_event(kind=Kind.ATTENDEE_REMOVED, key=key, attendee=attendee, **common)
        if self.moved and self.previous_start:
            key = f"{name}:rescheduled:{self.document.start.isoformat()}:{self.document.reschedule_count}"
            previous = self.previous_start.isoformat()
            yield build_event(kind=Kind.APPOINTMENT_RESCHEDULED, key=key, previous_start=previous, **common)


def build_booked_event(
    attendee: Attendee, *, appointment: Appointment, now: datetime, silent: bool = False
) -> Event:
    """Somebody has an appointment; the same event whether an answer, a webhook or a sync told us first."""
    return build_event(
        kind=Kind.APPOINTMENT_BOOKED,
        key=f"attendee:{attendee.pk}:booked",
        now=now,
        connection=appointment.connection,
        appointment=appointment,
        attendee=attendee,
        silent=silent,
    )


def write_host_links(drafts: list[AppointmentDraft], hosts: dict[str, Host]) -> None:
    """Tie each appointment to the hosts it names, and to no others."""
    through = Appointment.hosts.through
    wanted = {
        (draft.row.pk, hosts[host_id].pk)
        for draft in drafts
        for host_id in draft.document.host_ids
        if host_id in hosts
    }
    known = [draft.row.pk for draft in drafts if not draft.is_new]
    stored = {
        (link.appointment_id, link.host_id): link.pk
        for link in (through.objects.filter(appointment_id__in=known) if known else ())
    }
    if gone := [pk for pair, pk in stored.items() if pair not in wanted]:
        through.objects.filter(pk__in=gone).delete()
    through.objects.bulk_create(
        [through(appointment_id=appointment, host_id=host) for appointment, host in wanted - set(stored)]
    )


def list_differences(row: Appointment, document: AppointmentDocument) -> list[str]:
    """The names of the columns in which a row and a document disagree, without touching either."""
    status = Appointment.Status.CANCELLED if document.is_cancelled else Appointment.Status.CONFIRMED
    told = {
        "start": document.start,
        "end": document.end,
        "status": status,
        "channel": document.channel[:64],
        "meeting_link": document.meeting_link,
        "location": document.location[:500],
        "missing_since": None,
    }
    differing = [name for name, value in told.items() if getattr(row, name) != value]
    if not differing and row.digest != document.digest:
        differing = ["document"]
    return differing


def record_secret(*, appointment: Appointment, secret: str) -> None:
    """Keep the newest secret: it may rotate when an appointment moves."""
    Appointment.objects.filter(pk=appointment.pk).update(secret=secret)
    appointment.secret = secret


def record_missing(*, appointment: Appointment, now: datetime) -> None:
    """meetergo no longer knows this appointment: kept and hidden, never deleted."""
    Appointment.objects.filter(pk=appointment.pk, missing_since=None).update(missing_since=now)


def record_unchanged(*, appointment: Appointment, now: datetime) -> None:
    """meetergo was asked just now, and this is what it said."""
    Appointment.objects.filter(pk=appointment.pk).update(synced_at=now)
