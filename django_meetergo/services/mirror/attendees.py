"""Write the mirrored attendees of appointments."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from django.db.models import F

from django_meetergo.models import Appointment, AppointmentChange, Attendee, Booking, fold_email
from django_meetergo.remote.payloads import AppointmentDocument, AttendeeDocument
from django_meetergo.remote.payloads.reading import build_answer
from django_meetergo.services.matching import REFERENCE_KEY, match_attendees
from django_meetergo.services.mirror.rows import save_rows

if TYPE_CHECKING:
    from django_meetergo.services.mirror.appointments import AppointmentDraft

ATTENDEE_COLUMNS = (
    "remote_id", "first_name", "last_name", "email", "email_folded", "phone", "company", "timezone",
    "language", "status", "custom_fields", "digest", "synced_at",
)  # fmt: skip


@dataclass
class AttendeeChanges:
    """The attendees that one document added to an appointment, no longer names, or names again."""

    joined: list[Attendee] = field(default_factory=list)
    left: list[Attendee] = field(default_factory=list)
    returned: list[Attendee] = field(default_factory=list)

    @property
    def is_revision(self) -> bool:
        """Whether somebody's own entry in a calendar changes."""
        return bool(self.left or self.returned)


def write_attendees(drafts: list[AppointmentDraft], now: datetime) -> dict[str, AttendeeChanges]:
    """Store the attendees of these appointments; return what changed by the appointment's remote id."""
    known = [draft.row.pk for draft in drafts if not draft.is_new]
    stored: dict[int, list[Attendee]] = {}
    for attendee in Attendee.objects.filter(appointment_id__in=known) if known else ():
        stored.setdefault(attendee.appointment_id, []).append(attendee)
    changed: list[Attendee] = []
    changes = {}
    for draft in drafts:
        changes[draft.document.id] = compare_attendees(draft, stored.get(draft.row.pk, []), changed, now)
    save_rows(Attendee, changed, ATTENDEE_COLUMNS)
    revised = [draft.row for draft in drafts if changes[draft.document.id].is_revision]
    for row in revised:
        row.revision += 1
    if revised:
        Appointment.objects.filter(pk__in=[row.pk for row in revised]).update(revision=F("revision") + 1)
    return changes


def compare_attendees(
    draft: AppointmentDraft, stored: list[Attendee], changed: list[Attendee], now: datetime
) -> AttendeeChanges:
    """Return who joined and who left one appointment; rows to be written are added to ``changed``."""
    changes = AttendeeChanges()
    # Stored from the answer to our own booking until now; their events have the same keys.
    changes.joined += assign_remote_ids(draft.document, stored)
    by_id = {attendee.remote_id: attendee for attendee in stored if attendee.remote_id}
    present = set()
    for document in draft.document.attendees:
        attendee = by_id.get(document.id)
        if attendee is None:
            attendee = Attendee(appointment=draft.row, connection=draft.row.connection)
            changes.joined.append(attendee)
        elif attendee.status == Attendee.Status.REMOVED:
            changes.returned.append(attendee)
        copy_attendee(attendee, document, now)
        changed.append(attendee)
        present.add(document.id)
    # An attendee whose entry cannot be read has not left.
    for attendee in by_id.values() if draft.document.names_everyone else ():
        if attendee.remote_id not in present and attendee.status == Attendee.Status.ATTENDING:
            attendee.status = Attendee.Status.REMOVED
            changes.left.append(attendee)
            changed.append(attendee)
    return changes


def assign_remote_ids(document: AppointmentDocument, stored: list[Attendee]) -> list[Attendee]:
    """Give the attendees that were stored from an answer their remote ids, as far as they are certain.

    Returns those attendees, unsaved. A row that a re-read has added for the same attendee is deleted, and
    removed from ``stored``.
    """
    unidentified = [attendee for attendee in stored if attendee.remote_id is None]
    if not unidentified:
        return []
    found = match_attendees(document, unidentified)
    identified = [attendee for attendee in unidentified if attendee.pk in found]
    for attendee in identified:
        remote_id = found[attendee.pk]
        for duplicate in [one for one in stored if one.remote_id == remote_id]:
            replace_duplicate(attendee, duplicate)
            stored.remove(duplicate)
        attendee.remote_id = remote_id
    resolved = Booking.objects.filter(attendee__in=identified, reason=Booking.Reason.NEEDS_STAFF)
    resolved.update(reason=Booking.Reason.NONE)
    return identified


def replace_duplicate(attendee: Attendee, duplicate: Attendee) -> None:
    """Delete the second row of one attendee. The first takes its place in its appointment, unsaved."""
    AppointmentChange.objects.filter(attendee=duplicate).update(attendee=attendee)
    duplicate.delete()
    attendee.appointment, attendee.remote_id = duplicate.appointment, duplicate.remote_id


def record_remote_ids(*, appointment: Appointment, document: AppointmentDocument) -> None:
    """Identify the attendees of an appointment whose document has not changed since it was stored."""
    for attendee in assign_remote_ids(document, list(appointment.attendees.all())):
        attendee.save(update_fields=["remote_id"])


def copy_attendee(attendee: Attendee, document: AttendeeDocument, now: datetime) -> None:
    """Copy the document's values to the row. The parser has cut them to the width of their columns."""
    attendee.remote_id = document.id
    attendee.first_name = document.first_name
    attendee.last_name = document.last_name
    attendee.email = document.email
    attendee.email_folded = fold_email(attendee.email)[:254]  # folding may lengthen it
    attendee.phone = document.phone
    attendee.company = document.company or attendee.company
    attendee.timezone = document.timezone
    attendee.language = document.language
    attendee.status = Attendee.Status.ATTENDING
    attendee.custom_fields = merge_answers(attendee.custom_fields, document.answers)
    attendee.synced_at = now


def merge_answers(stored: dict[str, Any], received: dict[str, str]) -> dict[str, Any]:
    """Return meetergo's answers, which are text, with our own typed values where both are equal.

    A list may leave the answers out; the stored ones stay then.
    """
    answers = {
        key: stored[key] if key in stored and build_answer(stored[key]) == text else text
        for key, text in received.items()
        if key != REFERENCE_KEY
    }
    return answers or stored
