"""Erase everything this site stores about a person.

An erased person is remembered as a salted digest of the e-mail address. ``services.mirror`` compares the
people in every document with these digests and stores erased ones blank.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

from django.db import models

from django_meetergo.conf import list_connection_names
from django_meetergo.models import (
    Appointment,
    AppointmentChange,
    Attendee,
    Booking,
    Connection,
    ErasedPerson,
    Event,
    WebhookDelivery,
    fold_email,
)
from django_meetergo.services.mirror.erasure import (
    BLANK_PERSON,
    build_erasure_digest,
    digest_person,
    find_addresses,
    find_erased,
    hash_erasure_digest,
    list_texts,
)
from django_meetergo.services.privacy.people import find_person, list_log_entries, mentions_any
from django_meetergo.transactions import write_transaction

BATCH_SIZE = 500
#: How long after an erasure its rows are looked through once more, and which those are: what was stored so
#: long before or after it. A batch is read, and stored, within minutes.
FINISHED_FOR, STORED_WITHIN = timedelta(days=7), timedelta(hours=1)

#: The columns of an erased person.
BLANK_COLUMNS: dict[str, Any] = {
    **BLANK_PERSON,
    "email_folded": "",
    "user": None,
    "subject_type": None,
    "subject_id": "",
}
#: What else was entered for a booking of an erased person, or is left of it.
BLANK_BOOKING: dict[str, Any] = {
    **BLANK_COLUMNS, "other_emails": [], "location": "", "message": "", "field_errors": {},
    "content_digest": "",
}  # fmt: skip


@dataclass(kw_only=True)
class ErasureReport:
    """How many rows were blanked, and which could not be yet."""

    #: Every address (folded) that the person has used.
    addresses: list[str] = field(default_factory=list)
    attendees: int = 0
    bookings: int = 0
    invitations: int = 0
    log_entries: int = 0
    #: References of open bookings. ``finish_erasures`` blanks them when they have ended.
    still_open: list[str] = field(default_factory=list)


def erase_person(*, email: str, now: datetime) -> ErasureReport:
    """Blank everything about the person with this address. An interrupted run can be repeated.

    The digests are stored first, so that a sync in the meantime does not store the person again. The data
    at meetergo is not touched: it has to be deleted there.
    """
    person = find_person(email)
    record_erasure(person.addresses, now)
    report = ErasureReport(addresses=sorted(person.addresses))
    for attendee in person.attendees:
        with write_transaction():
            report.log_entries += erase_attendee(attendee)
        report.attendees += 1
    for booking in person.bookings:
        if booking.is_open:
            report.still_open.append(booking.reference)
            continue
        with write_transaction():
            report.log_entries += erase_booking(booking)
        report.bookings += 1
    for booking in person.invitations:
        erase_invitation(booking, person.addresses)
    for appointment in person.mentions:
        erase_mentions(appointment, person.addresses)
    report.invitations = len(person.invitations)
    return report


def record_erasure(addresses: Iterable[str], now: datetime) -> None:
    """Store digests for each connection: each has a salt of its own, so digests cannot be compared."""
    for connection in list_connection_names():
        Connection.objects.get_or_create(connection=connection)
    rows = [ErasedPerson(digest=digest, erased_at=now) for digest in list_digests(addresses)]
    ErasedPerson.objects.bulk_create(rows, ignore_conflicts=True)


def allow_again(*, email: str) -> bool:
    """Let meetergo bring back an address that was erased; return False if it was not.

    Only for what comes from now on: what was blanked stays blank. Other addresses of the person stay erased.
    """
    deleted, _ = ErasedPerson.objects.filter(digest__in=list_digests([fold_email(email)])).delete()
    return bool(deleted)


def list_digests(addresses: Iterable[str]) -> list[str]:
    """Return the digests of folded addresses, one for each address and connection."""
    salts = Connection.objects.values_list("salt", flat=True)
    return [digest_person(salt, address) for salt in salts for address in addresses]


def erase_attendee(attendee: Attendee) -> int:
    """Blank the attendee and what the appointment says about them; return the number of log entries."""
    appointment = Appointment.objects.select_for_update().get(pk=attendee.appointment_id)
    others = appointment.attendees.exclude(pk=attendee.pk).exclude(email_folded="")
    is_only_attendee = not others.exists()
    # A new public id invalidates the links that were sent.
    Attendee.objects.filter(pk=attendee.pk).update(**BLANK_COLUMNS, public_id=uuid4(), raw={})
    blank: dict[str, Any] = {"cancellation_reason": ""}
    if "erased" not in appointment.raw:
        blank |= replace_document(appointment)
    if is_only_attendee:
        blank |= {"location": "", "note": ""}
    elif mentions(appointment.note, attendee):
        blank["note"] = ""
    Appointment.objects.filter(pk=appointment.pk).update(**blank)
    changes = appointment.changes.all() if is_only_attendee else appointment.changes.filter(attendee=attendee)
    rows = [appointment, attendee, *changes]
    changes.update(message="")
    # This site's own words say that an open change cancels what was booked twice.
    changes.exclude(reason=AppointmentChange.SURPLUS_REASON).update(reason="")
    deliveries = WebhookDelivery.objects.filter(connection=appointment.connection)
    deliveries.filter(remote_id=appointment.remote_id).update(message="")
    erase_errors(appointment.events.all())
    return erase_log(rows)


def mentions(text: str, attendee: Attendee) -> bool:
    """Return whether a text contains a name, an address or a number of the attendee."""
    words = (attendee.email, attendee.first_name, attendee.last_name, attendee.phone, attendee.company)
    return any(word and word.casefold() in text.casefold() for word in words)


def erase_booking(booking: Booking) -> int:
    """Blank a booking and the errors of its attempts; return the number of log entries."""
    Booking.objects.filter(pk=booking.pk).update(**BLANK_BOOKING, public_id=uuid4(), rebook_consent=None)
    booking.attempts.update(error_type="")
    erase_errors(booking.events.all())
    return erase_log([booking])


def erase_invitation(booking: Booking, addresses: set[str]) -> None:
    """Remove the addresses from the guests of somebody else's booking."""
    kept = [address for address in booking.other_emails if fold_email(address) not in addresses]
    Booking.objects.filter(pk=booking.pk).update(other_emails=kept)


def erase_mentions(appointment: Appointment, addresses: set[str]) -> None:
    """Remove the last document of somebody else's appointment, and the texts that contain an address."""
    blank = replace_document(appointment)
    for column in ("location", "note", "cancellation_reason"):
        if mentions_any(getattr(appointment, column), addresses):
            blank[column] = ""
    with write_transaction():
        Appointment.objects.filter(pk=appointment.pk).update(**blank)
        erase_errors(appointment.events.all())


def erase_errors(events: models.QuerySet[Event]) -> None:
    """Blank what receivers have raised: a mail server, for example, names the addresses that it refuses."""
    for event in events.filter(dispatched_at=None).select_for_update().order_by("pk"):
        blank = {name: {**result, "error": ""} for name, result in event.receivers.items()}
        Event.objects.filter(pk=event.pk).update(receivers=blank)


def replace_document(appointment: Appointment) -> dict[str, Any]:
    """Return the columns that hold a digest in place of the document."""
    digest = appointment.digest
    return {"raw": build_erasure_digest(digest), "digest": hash_erasure_digest(digest)}


def erase_log(rows: Iterable[models.Model]) -> int:
    """Blank the admin's log entries about these rows: the fact remains, the text does not."""
    entries = list_log_entries(rows)
    return entries.update(object_repr="–", change_message="") if entries is not None else 0


def finish_erasures(*, now: datetime) -> int:
    """Blank what an erasure could not, and return how many rows that were.

    These are bookings that were open at that time and have ended since, and appointments that another
    process was storing at the same moment: it had read them before, and its rows appeared afterwards.
    """
    if not ErasedPerson.objects.exists():
        return 0
    erased = 0
    digests = set(ErasedPerson.objects.values_list("digest", flat=True))
    salts = list(Connection.objects.values_list("salt", flat=True))
    ended = Booking.objects.exclude(state__in=Booking.OPEN).exclude(email_folded="")
    for booking in ended.iterator(chunk_size=BATCH_SIZE):
        if any(digest_person(salt, booking.email_folded) in digests for salt in salts):
            with write_transaction():
                erase_booking(booking)
            erased += 1
    recent = ErasedPerson.objects.filter(erased_at__gt=now - FINISHED_FOR).order_by()
    for erased_at in set(recent.values_list("erased_at", flat=True)):
        erased += erase_stored_meanwhile(erased_at)
    return erased


def erase_stored_meanwhile(erased_at: datetime) -> int:
    """Blank erased people in the appointments that were stored at about the time of an erasure.

    Returns how many rows named them.
    """
    span = (erased_at - STORED_WITHIN, erased_at + STORED_WITHIN)
    keys = list(Appointment.objects.filter(synced_at__range=span).order_by("pk").values_list("pk", flat=True))
    blanked = 0
    for first in range(0, len(keys), BATCH_SIZE):
        found = Appointment.objects.filter(pk__in=keys[first : first + BATCH_SIZE])
        rows = list(found.prefetch_related("attendees").order_by("pk"))
        addresses = find_erased(address for row in rows for address in list_stored_addresses(row))
        for row in rows if addresses else ():
            named = [one for one in row.attendees.all() if one.email_folded in addresses]
            for attendee in named:
                with write_transaction():
                    erase_attendee(attendee)
            if not named and not addresses.isdisjoint(list_stored_addresses(row)):
                erase_mentions(row, addresses)
                blanked += 1
            blanked += len(named)
    return blanked


def list_stored_addresses(appointment: Appointment) -> list[str]:
    """Return the folded addresses of the attendees, and those that the last document names."""
    texts = [attendee.email for attendee in appointment.attendees.all()] + list(list_texts(appointment.raw))
    return [address for text in texts for address in find_addresses(text)]
