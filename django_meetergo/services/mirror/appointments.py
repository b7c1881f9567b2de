"""Write the mirrored appointments and the events of their transitions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from django.db.models import F

from django_meetergo.exceptions import UnreadableReply
from django_meetergo.models import Appointment, Attendee, Event, Host, MeetingType
from django_meetergo.remote.payloads import AppointmentDocument
from django_meetergo.services.events import build_event, record_events
from django_meetergo.services.mirror.attendees import AttendeeChanges, write_attendees
from django_meetergo.services.mirror.directory import list_hosts, record_hosts
from django_meetergo.services.mirror.erasure import hash_erasure_digest, remove_erased_people
from django_meetergo.services.mirror.rows import find_by_remote_id, save_rows
from django_meetergo.services.one_by_one import handle_batch
from django_meetergo.texts import describe_exception
from django_meetergo.transactions import run_with_retries

Kind = Event.Kind
MAX_FAILURE = 200
#: How far meetergo's clock may be ahead of ours.
MAX_STAMP_AHEAD = timedelta(days=1)


@dataclass(frozen=True, kw_only=True)
class Skipped:
    """Something that was not stored: the id of its appointment, and what and why."""

    remote_id: str
    reason: str


@dataclass
class RecordedAppointments:
    """The rows of a set of documents by meetergo's id, and how many of them were written.

    ``skipped`` lists what was not stored: a whole appointment, which then has no row here, or a part of one.
    """

    appointments: dict[str, Appointment] = field(default_factory=dict)
    written: int = 0
    skipped: list[Skipped] = field(default_factory=list)

    def add(self, connection: str, documents: list[AppointmentDocument], **options: Any) -> None:
        """Store documents in one transaction and add their rows."""
        written = run_with_retries(lambda: write_appointments(connection, documents, **options))
        self.appointments |= written.appointments
        self.written += written.written

    def require(self, ids: Iterable[str]) -> None:
        """Raise UnreadableReply unless these appointments have a row."""
        for remote_id in ids:
            if remote_id not in self.appointments:
                reasons = [one.reason for one in self.skipped if one.remote_id == remote_id]
                raise UnreadableReply(f"appointment {remote_id} could not be stored: {'; '.join(reasons)}")


def record_appointment(*, connection: str, document: AppointmentDocument, now: datetime) -> Appointment:
    """Store one document and return its row. Raises UnreadableReply when it cannot be stored."""
    recorded = record_appointments(connection=connection, documents=[document], now=now)
    recorded.require([document.id])
    return recorded.appointments[document.id]


def record_appointments(
    *,
    connection: str,
    documents: Sequence[AppointmentDocument],
    now: datetime,
    silent: bool = False,
    known: dict[str, Appointment] | None = None,
    read_by: str = "",
) -> RecordedAppointments:
    """Store these documents, unless the stored ones are newer.

    ``read_by`` is the connection that has read them, where that is not known from the rows.

    ``silent`` imports history: of appointments that the site does not know yet, events are stored for the
    timeline, but not sent as signals or mails.
    ``known`` are the rows of these appointments, where the caller has just read them. A document that cannot
    be stored is skipped and does not keep the others from being stored.
    """
    latest = {document.id: document for document in documents}
    known = find_appointments(connection, latest) if known is None else known
    recorded = RecordedAppointments(dict(known))
    changed = [document for document in latest.values() if is_changed(known.get(document.id), document)]
    recorded.skipped += [
        Skipped(remote_id=document.id, reason="attendee without an id")
        for document in changed
        if any(not one.id for one in document.attendees)
    ]
    failed = handle_batch(
        [leave_out_nobodies(document) for document in changed],
        lambda chosen: recorded.add(connection, list(chosen), now=now, silent=silent, read_by=read_by),
        what="appointments",
    )
    recorded.skipped += [
        Skipped(remote_id=document.id, reason=describe_failure(error)) for document, error in failed
    ]
    return recorded


def leave_out_nobodies(document: AppointmentDocument) -> AppointmentDocument:
    """Return the document without the attendees that have no id: their rows would not be found again."""
    attendees = tuple(one for one in document.attendees if one.id)
    names_everyone = document.names_everyone and len(attendees) == len(document.attendees)
    return replace(document, attendees=attendees, names_everyone=names_everyone)


def describe_failure(error: Exception) -> str:
    """Return what an error says in one line, without the values that the statement carried."""
    return describe_exception(error, MAX_FAILURE).partition("\n")[0]


def find_appointments(connection: str, ids: Iterable[str]) -> dict[str, Appointment]:
    """Return the rows of these appointments by meetergo's id, without their raw documents."""
    rows = Appointment.objects.filter(connection=connection, remote_id__in=list(ids))
    return {row.remote_id: row for row in rows.order_by().defer("raw")}


def is_changed(row: Appointment | None, document: AppointmentDocument) -> bool:
    """Whether the document differs from the row and is not older than it."""
    if row is None or row.synced_at is None:
        return True
    stored = row.remote_updated_at
    # A stamp that was in the future when it was read orders nothing: the row would never change again.
    if stored and document.updated_at and document.updated_at < stored <= row.synced_at + MAX_STAMP_AHEAD:
        return False
    if row.missing_since is not None or (document.secret and not row.secret):
        return True
    return row.digest not in {document.digest, hash_erasure_digest(document.digest)}


def write_appointments(
    connection: str, documents: list[AppointmentDocument], *, now: datetime, silent: bool, read_by: str
) -> RecordedAppointments:
    """Store the changed ones of these documents with their hosts, attendees and events."""
    types = find_by_remote_id(MeetingType, connection, {document.meeting_type_id for document in documents})
    hosts = record_hosts(connection=connection, documents=list_hosts(documents), now=now)
    # Locked in one order, so that two batches with the same rows do not deadlock.
    rows = (
        Appointment.objects.select_for_update()
        .order_by("pk")
        .filter(connection=connection, remote_id__in=[document.id for document in documents])
    )
    known = {row.remote_id: row for row in rows}
    # Under the locks: somebody may have been erased while the documents were on their way.
    documents = remove_erased_people(documents)
    drafts = [
        AppointmentDraft.build(connection, document, known.get(document.id), types, now)
        for document in documents
        if is_changed(known.get(document.id), document)
    ]
    for draft in drafts:
        draft.row.read_by = read_by or draft.row.read_by
    save_rows(Appointment, [draft.row for draft in drafts], APPOINTMENT_COLUMNS)
    write_host_links(drafts, hosts)
    changes = write_attendees(drafts, now)
    record_events(
        event
        for draft in drafts
        # What happens to an appointment that the site knows is news, also during an import.
        for event in draft.build_events(changes[draft.document.id], silent=silent and draft.is_new)
    )
    # Rows that another process has inserted meanwhile are known, too.
    return RecordedAppointments(known | {draft.document.id: draft.row for draft in drafts}, len(drafts))


APPOINTMENT_COLUMNS = (
    "meeting_type", "start", "end", "status", "channel", "meeting_link", "location", "cancelled_at",
    "cancelled_by", "cancellation_reason", "rescheduled_at", "reschedule_count", "revision", "previous_start",
    "secret", "remote_created_at", "remote_updated_at", "raw", "digest", "synced_at", "missing_since",
    "read_by",
)  # fmt: skip


@dataclass
class AppointmentDraft:
    """A changed appointment before it is stored, with the values that it had before."""

    document: AppointmentDocument
    row: Appointment
    is_new: bool
    was_cancelled: bool
    previous_start: datetime | None
    now: datetime
    #: Keys of the hosts before and after; ``write_host_links`` fills them in.
    previous_hosts: set[int] = field(default_factory=set)
    current_hosts: set[int] = field(default_factory=set)

    @classmethod
    def build(
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
        draft.copy_document(types)
        return draft

    def copy_document(self, types: dict[str, MeetingType]) -> None:
        """Copy the document's values to the row. The parser has cut them to the width of their columns."""
        row, document = self.row, self.document
        before = describe_revision(row)
        row.meeting_type = types.get(document.meeting_type_id) or row.meeting_type
        if self.is_moved:
            row.previous_start = self.previous_start
        row.start, row.end = document.start, document.end
        row.status = Appointment.Status.CANCELLED if document.is_cancelled else Appointment.Status.CONFIRMED
        row.channel = document.channel
        row.meeting_link = document.meeting_link
        row.location = document.location
        row.cancelled_at = document.cancelled_at
        row.cancelled_by = document.cancelled_by
        row.cancellation_reason = document.cancellation_reason
        row.rescheduled_at = document.rescheduled_at
        # meetergo does not always count, so every change of the start that is seen counts.
        row.reschedule_count = max(document.reschedule_count, row.reschedule_count + self.is_moved)
        row.secret = document.secret or row.secret
        row.remote_created_at = document.created_at
        row.remote_updated_at = document.updated_at
        row.raw, row.digest = document.raw, document.digest
        row.synced_at, row.missing_since = self.now, None
        row.revision += not self.is_new and describe_revision(row) != before

    @property
    def is_moved(self) -> bool:
        return self.previous_start is not None and self.previous_start != self.document.start

    @property
    def is_handed_over(self) -> bool:
        """Whether the hosts changed. A row or a document without hosts says nothing about that."""
        return bool(self.previous_hosts and self.current_hosts) and self.previous_hosts != self.current_hosts

    def build_events(self, changes: AttendeeChanges, *, silent: bool) -> Iterable[Event]:
        """Yield the events of the transitions from the stored row to the document."""
        common: dict[str, Any] = {
            "connection": self.row.connection,
            "appointment": self.row,
            "now": self.now,
            "silent": silent,
        }
        name = f"appointment:{self.row.pk}"
        if self.document.is_cancelled:
            if not self.was_cancelled:
                key = f"{name}:cancelled:{self.row.revision}"
                yield build_event(kind=Kind.APPOINTMENT_CANCELLED, key=key, **common)
            return
        for attendee in changes.joined:
            yield build_booked_event(attendee, appointment=self.row, now=self.now, silent=silent)
        for attendee in changes.left:
            key = f"attendee:{attendee.pk}:removed:{self.row.revision}"
            yield build_event(kind=Kind.ATTENDEE_REMOVED, key=key, attendee=attendee, **common)
        if self.is_moved and self.previous_start:
            key = f"{name}:rescheduled:{self.document.start.isoformat()}:{self.row.reschedule_count}"
            previous = self.previous_start.isoformat()
            yield build_event(kind=Kind.APPOINTMENT_RESCHEDULED, key=key, previous_start=previous, **common)
        if self.is_handed_over:
            # Seen under the row's lock, so only once. The document may be that of an earlier handoff.
            key = f"{name}:handed_over:{self.now.isoformat()}"
            hosts = sorted(self.previous_hosts)
            yield build_event(kind=Kind.APPOINTMENT_HANDED_OVER, key=key, previous_hosts=hosts, **common)


def describe_revision(row: Appointment) -> tuple[object, ...]:
    """Return what a calendar shows anew when it changes."""
    return row.start, row.end, row.status, row.missing_since is None


def build_booked_event(
    attendee: Attendee, *, appointment: Appointment, now: datetime, silent: bool = False
) -> Event:
    """Return the event of an attendee's booking: the same for an answer, a webhook and a sync."""
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
    """Link each appointment to the hosts that its document names, and to no others."""
    through = Appointment.hosts.through
    for draft in drafts:
        draft.current_hosts = {hosts[one].pk for one in draft.document.host_ids if one in hosts}
    wanted = {(draft.row.pk, host) for draft in drafts for host in draft.current_hosts}
    known = [draft.row.pk for draft in drafts if not draft.is_new]
    stored = {
        (link.appointment_id, link.host_id): link.pk
        for link in (through.objects.filter(appointment_id__in=known) if known else ())
    }
    by_row = {draft.row.pk: draft for draft in drafts}
    for appointment, host in stored:
        by_row[appointment].previous_hosts.add(host)
    if obsolete := [pk for pair, pk in stored.items() if pair not in wanted]:
        through.objects.filter(pk__in=obsolete).delete()
    through.objects.bulk_create(
        [through(appointment_id=appointment, host_id=host) for appointment, host in wanted - set(stored)]
    )


def list_differences(row: Appointment, document: AppointmentDocument) -> list[str]:
    """Return the names of the columns in which a row differs from a document; writes nothing."""
    status = Appointment.Status.CANCELLED if document.is_cancelled else Appointment.Status.CONFIRMED
    expected = {
        "start": document.start,
        "end": document.end,
        "status": status,
        "channel": document.channel,
        "meeting_link": document.meeting_link,
        "location": document.location,
        "missing_since": None,
    }
    differing = [name for name, value in expected.items() if getattr(row, name) != value]
    if not differing and row.digest != document.digest:
        differing = ["document"]
    return differing


def record_secret(*, appointment: Appointment, secret: str) -> None:
    """Store the newest secret; it may change when an appointment is rescheduled."""
    Appointment.objects.filter(pk=appointment.pk).update(secret=secret)
    appointment.secret = secret


def record_missing(*, appointment: Appointment, now: datetime) -> None:
    """Mark an appointment that meetergo no longer has. The row is hidden, never deleted."""
    present = Appointment.objects.filter(pk=appointment.pk, missing_since=None)
    present.update(missing_since=now, revision=F("revision") + 1)


def record_unchanged(*, appointment: Appointment, now: datetime) -> None:
    """Store that the appointment was read just now and had not changed."""
    Appointment.objects.filter(pk=appointment.pk).update(synced_at=now)
