"""The one hand that writes mirrored columns.

Everything here takes what meetergo answered and makes our rows equal to it: set-based, so that a page of a
hundred costs a dozen statements, and an unchanged page costs one. The transitions that this reveals are
written in the same transaction.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import Exists
from django.utils.crypto import salted_hmac
from django.utils.text import slugify

from django_meetergo.models import (
    Account,
    Appointment,
    Attendee,
    Booking,
    ErasedPerson,
    Event,
    Host,
    MeetingType,
    fold_email,
)
from django_meetergo.remote.payloads import (
    AppointmentDocument,
    AttendeeDocument,
    BookingConfirmed,
    HostDocument,
    MeetingTypeDocument,
)
from django_meetergo.services.events import build_event, record_events
from django_meetergo.transactions import run_short

#: Under this key the reference of a booking travels among its answers.
MARKER_KEY = "Booking reference"

#: First parts of our own addresses, which a slug must not hide.
RESERVED_SLUGS = frozenset({"booking", "manage", "timezone", "webhooks"})

Kind = Event.Kind


# Appointments


@dataclass
class Recorded:
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
) -> Recorded:
    """Make our rows equal to these documents, unless what we hold is newer.

    ``silent`` imports history: events are kept for the timeline, but nobody is told. ``known`` are our rows
    of these appointments where the caller has just read them.
    """
    latest = {document.id: document for document in documents}
    known = find_appointments(connection, latest) if known is None else known
    news = [document for document in latest.values() if is_news(known.get(document.id), document)]
    if not news:
        return Recorded(known)
    news = leave_out_erased(connection, news)
    written = run_short(lambda: write_appointments(connection, news, now=now, silent=silent))
    return Recorded(known | written, len(written))


def find_appointments(connection: str, ids: Iterable[str]) -> dict[str, Appointment]:
    rows = Appointment.objects.filter(connection=connection, remote_id__in=list(ids)).defer("raw")
    return {row.remote_id: row for row in rows}


def is_news(row: Appointment | None, document: AppointmentDocument) -> bool:
    """Whether the document says something our row does not, and is not older than it."""
    if row is None or row.synced_at is None:
        return True
    if document.updated_at and row.remote_updated_at and document.updated_at < row.remote_updated_at:
        return False
    if row.missing_since is not None:
        return True
    return row.digest not in {document.digest, digest_trace(document.digest)}


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
        Draft.of(connection, document, known.get(document.id), types, now)
        for document in documents
        if is_news(known.get(document.id), document)
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
class Draft:
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
    ) -> Draft:
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

    def events(self, people: People, *, silent: bool) -> Iterable[Event]:
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
            yield build_booked(attendee, appointment=self.row, now=self.now, silent=silent)
        for attendee in people.left:
            key = f"attendee:{attendee.pk}:removed"
            yield build_event(kind=Kind.ATTENDEE_REMOVED, key=key, attendee=attendee, **common)
        if self.moved and self.previous_start:
            key = f"{name}:rescheduled:{self.document.start.isoformat()}:{self.document.reschedule_count}"
            previous = self.previous_start.isoformat()
            yield build_event(kind=Kind.APPOINTMENT_RESCHEDULED, key=key, previous_start=previous, **common)


def build_booked(
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


def save_rows(model: type[Any], rows: list[Any], columns: Sequence[str]) -> None:
    """Insert what is new and update what is not, in one statement each."""
    new = [row for row in rows if row.pk is None]
    known = [row for row in rows if row.pk is not None]
    if new:
        model.objects.bulk_create(new)
    if known:
        model.objects.bulk_update(known, columns)


def find_by_remote_id(model: type[Any], connection: str, ids: set[str]) -> dict[str, Any]:
    rows = model.objects.filter(connection=connection, remote_id__in=ids - {""})
    return {row.remote_id: row for row in rows}


def write_host_links(drafts: list[Draft], hosts: dict[str, Host]) -> None:
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


# Attendees

ATTENDEE_COLUMNS = (
    "remote_id", "first_name", "last_name", "email", "email_folded", "phone", "company", "timezone",
    "language", "status", "custom_fields", "digest", "synced_at",
)  # fmt: skip


@dataclass
class People:
    """Who came and who went, as far as one document tells."""

    joined: list[Attendee] = field(default_factory=list)
    left: list[Attendee] = field(default_factory=list)


def write_attendees(drafts: list[Draft], now: datetime) -> dict[str, People]:
    known = [draft.row.pk for draft in drafts if not draft.is_new]
    stored: dict[int, list[Attendee]] = {}
    for attendee in Attendee.objects.filter(appointment_id__in=known) if known else ():
        stored.setdefault(attendee.appointment_id, []).append(attendee)
    changed: list[Attendee] = []
    people = {}
    for draft in drafts:
        people[draft.document.id] = compare_people(draft, stored.get(draft.row.pk, []), changed, now)
    save_rows(Attendee, changed, ATTENDEE_COLUMNS)
    return people


def compare_people(draft: Draft, stored: list[Attendee], changed: list[Attendee], now: datetime) -> People:
    """Sort one appointment's people into joined and left; rows to be written are added to ``changed``."""
    people = People()
    present = set()
    for document in draft.document.attendees:
        attendee = find_attendee(stored, document)
        if attendee is None:
            attendee = Attendee(appointment=draft.row, connection=draft.row.connection)
            people.joined.append(attendee)
        elif attendee.remote_id is None:
            # Known from the answer to our own booking until now; its event has the same key.
            people.joined.append(attendee)
        copy_attendee(attendee, document, now)
        changed.append(attendee)
        present.add(document.id)
    for attendee in stored:
        gone = attendee.remote_id is not None and attendee.remote_id not in present
        if gone and attendee.status == Attendee.Status.ATTENDING:
            attendee.status = Attendee.Status.REMOVED
            people.left.append(attendee)
            changed.append(attendee)
    return people


def find_attendee(stored: list[Attendee], document: AttendeeDocument) -> Attendee | None:
    """The row of this person: by meetergo's id, else the one that waits for it under the same address."""
    for attendee in stored:
        if attendee.remote_id == document.id:
            return attendee
    folded = fold_email(document.email)
    for attendee in stored:
        if attendee.remote_id is None and attendee.email_folded == folded:
            return attendee
    return None


def copy_attendee(attendee: Attendee, document: AttendeeDocument, now: datetime) -> None:
    attendee.remote_id = document.id
    attendee.first_name = document.first_name[:150]
    attendee.last_name = document.last_name[:150]
    attendee.email = document.email[:254]
    attendee.email_folded = fold_email(attendee.email)
    attendee.phone = document.phone[:64]
    attendee.company = document.company[:200] or attendee.company
    attendee.timezone = document.timezone[:64]
    attendee.language = document.language[:16]
    attendee.status = Attendee.Status.ATTENDING
    attendee.custom_fields = merge_answers(attendee.custom_fields, document.answers)
    attendee.synced_at = now


def write_answer(answer: Any) -> str:
    """An answer as meetergo keeps it: text, several choices side by side."""
    if isinstance(answer, bool):
        return "true" if answer else "false"
    return ", ".join(write_answer(one) for one in answer) if isinstance(answer, list) else str(answer)


def merge_answers(stored: dict[str, Any], told: dict[str, str]) -> dict[str, Any]:
    """meetergo's answers, which are text, with our own typed values where they say the same.

    A list may leave the answers out; what we know stays then.
    """
    answers = {
        key: stored[key] if key in stored and write_answer(stored[key]) == text else text
        for key, text in told.items()
        if key != MARKER_KEY
    }
    return answers or stored


# People who were erased

#: What is left of somebody who must not be remembered. meetergo's id stays: it says who not to name.
BLANK_PERSON: dict[str, Any] = {
    "first_name": "", "last_name": "", "email": "", "phone": "", "company": "", "timezone": "",
    "language": "", "custom_fields": {},
}  # fmt: skip


def digest_person(salt: str, folded_email: str) -> str:
    """What is kept of an erased address: nobody can tell the address from it."""
    return salted_hmac("meetergo.erased", folded_email, secret=salt, algorithm="sha256").hexdigest()


def leave_trace(digest: str) -> dict[str, Any]:
    """What is kept in place of a whole document that names an erased person: enough to know it again."""
    return {"erased": digest}


def digest_trace(digest: str) -> str:
    text = json.dumps(leave_trace(digest), separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def find_erased(connection: str, emails: Iterable[str]) -> set[str]:
    """Those of these addresses, folded, whose people were erased. One statement while nobody was."""
    folded = {fold_email(email) for email in emails} - {""}
    if not folded:
        return set()
    somebody = Exists(ErasedPerson.objects.all())
    salt = Account.objects.filter(somebody, connection=connection).values_list("salt", flat=True).first()
    if salt is None:
        return set()
    digests = {digest_person(salt, email): email for email in folded}
    known = ErasedPerson.objects.filter(digest__in=digests).values_list("digest", flat=True)
    return {digests[digest] for digest in known}


def leave_out_erased(connection: str, documents: Sequence[AppointmentDocument]) -> list[AppointmentDocument]:
    """The documents without what they say about erased people."""
    people = (attendee.email for document in documents for attendee in document.attendees)
    erased = find_erased(connection, people)
    return [leave_out(document, erased) for document in documents] if erased else list(documents)


def leave_out(document: AppointmentDocument, erased: set[str]) -> AppointmentDocument:
    """Blank the erased people, and the texts that may speak of them; the whole document is not kept."""
    gone = [attendee for attendee in document.attendees if fold_email(attendee.email) in erased]
    if not gone:
        return document
    kept = tuple(blank_attendee(one) if one in gone else one for one in document.attendees)
    location = "" if len(gone) == len(document.attendees) else document.location
    trace = leave_trace(document.digest)
    return replace(document, attendees=kept, raw=trace, cancellation_reason="", location=location)


def blank_attendee(document: AttendeeDocument) -> AttendeeDocument:
    return AttendeeDocument(id=document.id)


# What the answer to a booking tells


def record_confirmation(*, booking: Booking, evidence: BookingConfirmed, now: datetime) -> Attendee:
    """Write the appointment an answer names. All but the id is our own wish until it has been read."""
    meeting_type = booking.meeting_type
    appointment, created = Appointment.objects.get_or_create(
        connection=booking.connection,
        remote_id=evidence.appointment_id,
        defaults={
            "meeting_type": meeting_type,
            "start": booking.start,
            "end": booking.start + timedelta(minutes=booking.duration),
            "channel": booking.channel,
            "location": booking.location,
            "secret": evidence.secret,
        },
    )
    if created and meeting_type.only_host_id:
        appointment.hosts.set(meeting_type.hosts.filter(remote_id=meeting_type.only_host_id))
    if evidence.secret and appointment.secret != evidence.secret:
        record_secret(appointment=appointment, secret=evidence.secret)
    return record_attendee_of(booking=booking, appointment=appointment, now=now)


def record_attendee_of(*, booking: Booking, appointment: Appointment, now: datetime) -> Attendee:
    """The attendee of this appointment who made this booking; a new row until meetergo names one."""
    # The lock keeps a re-read of the same appointment from adding the same person beside us.
    Appointment.objects.select_for_update().get(pk=appointment.pk)
    own = appointment.attendees.filter(email_folded=booking.email_folded, booking=None)
    attendee = own.order_by("-pk").first()
    if attendee is None:
        attendee = Attendee.objects.create(
            appointment=appointment,
            connection=booking.connection,
            **describe_person(booking),
        )
    if not appointment.is_cancelled:
        record_events([build_booked(attendee, appointment=appointment, now=now)])
    return attendee


def describe_person(booking: Booking) -> dict[str, Any]:
    """The attendee's columns as the booking knows them; blank for somebody who was erased meanwhile."""
    if find_erased(booking.connection, [booking.email]):
        return dict(BLANK_PERSON)
    return {name: getattr(booking, name) for name in PERSON_COLUMNS}


PERSON_COLUMNS = (
    "first_name", "last_name", "email", "phone", "company", "timezone", "language", "custom_fields",
)  # fmt: skip


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


# The directory


def list_hosts(documents: Iterable[AppointmentDocument]) -> list[HostDocument]:
    return list({host.id: host for document in documents for host in document.hosts}.values())


def record_hosts(
    *, connection: str, documents: Sequence[HostDocument], now: datetime, refresh: bool = False
) -> dict[str, Host]:
    """Our rows of these hosts by meetergo's id. Known ones are only rewritten with ``refresh``:
    an appointment names its hosts in passing, the directory knows them."""
    known = find_by_remote_id(Host, connection, {document.id for document in documents})
    rows = []
    for document in documents:
        row = known.get(document.id)
        if row is not None and not refresh:
            continue
        row = row or Host(connection=connection, remote_id=document.id)
        row.name, row.email = document.name[:200], document.email[:254]
        row.timezone = document.timezone or row.timezone
        row.raw, row.synced_at, row.missing_since = document.raw, now, None
        rows.append(row)
        known[document.id] = row
    save_rows(Host, rows, ("name", "email", "timezone", "raw", "synced_at", "missing_since"))
    return known


MEETING_TYPE_COLUMNS = (
    "name", "description", "duration", "allowed_durations", "channel", "allowed_channels", "locations",
    "spots", "host_ids", "queue_id", "enabled", "booking_url", "redirect_url", "confirmation",
    "needs_own_page", "allows_guests", "allows_phone_only", "raw", "synced_at", "missing_since",
)  # fmt: skip


def record_meeting_types(
    *,
    connection: str,
    documents: Sequence[MeetingTypeDocument],
    hosts_of: dict[str, list[Host]],
    now: datetime,
) -> list[MeetingType]:
    """Make our meeting types equal to meetergo's list; those it no longer names are marked missing.

    ``hosts_of`` maps a meeting type's id to its hosts.
    """
    known = find_by_remote_id(MeetingType, connection, {document.id for document in documents})
    taken = set(MeetingType.objects.values_list("slug", flat=True))
    rows = []
    for document in documents:
        row = known.get(document.id) or MeetingType(connection=connection, remote_id=document.id)
        row.slug = row.slug or choose_slug(document, taken)
        copy_meeting_type(row, document, now)
        rows.append(row)
    with transaction.atomic():
        save_rows(MeetingType, rows, MEETING_TYPE_COLUMNS)
        for row in rows:
            row.hosts.set(hosts_of.get(row.remote_id, []))
        gone = MeetingType.objects.filter(connection=connection, missing_since=None)
        gone.exclude(remote_id__in=[row.remote_id for row in rows]).update(missing_since=now)
    return rows


def copy_meeting_type(row: MeetingType, document: MeetingTypeDocument, now: datetime) -> None:
    row.name = (document.name or document.slug or document.id)[:200]
    row.description = document.description
    row.duration = document.duration or row.duration
    row.allowed_durations = list(document.allowed_durations)
    row.channel = document.channel[:64]
    row.allowed_channels = list(document.allowed_channels) if document.select_channel else []
    row.locations = list(document.locations)
    row.spots = document.spots
    row.host_ids = [document.host_id] if document.host_id and not document.queue_id else []
    row.queue_id = document.queue_id
    row.enabled = document.enabled
    row.booking_url, row.redirect_url = document.booking_url, document.redirect_url
    # What our own bookings have taught us outlives a list that does not say.
    if document.confirmation != "unknown" or not row.confirmation:
        row.confirmation = document.confirmation
    row.needs_own_page = document.needs_own_page
    row.allows_guests, row.allows_phone_only = document.allows_guests, document.allows_phone_only
    row.raw, row.synced_at, row.missing_since = document.raw, now, None


def choose_slug(document: MeetingTypeDocument, taken: set[str]) -> str:
    """A slug that is ours alone: meetergo's own, with a number behind it where that is taken."""
    base = slugify(document.slug or document.name)[:190] or "appointment"
    slug, number = base, 2
    while slug in taken or slug in RESERVED_SLUGS:
        slug, number = f"{base}-{number}", number + 1
    taken.add(slug)
    return slug
