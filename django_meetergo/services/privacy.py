"""Forget people, forget what is old, and keep secrets under the newest key. All of it can be interrupted.

Who has been erased is known by a salted digest of the address alone: ``mirror`` asks for it whenever
meetergo names people, and stores those blank.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

from cryptography.fernet import Fernet, InvalidToken
from django.apps import apps
from django.contrib.contenttypes.models import ContentType
from django.db import models, transaction
from django.db.models import F, QuerySet, TextField
from django.db.models.functions import Cast

from django_meetergo.conf import get_settings, list_connection_names
from django_meetergo.fields import UnreadableText, get_encryption_keys
from django_meetergo.models import (
    Appointment,
    Attendee,
    Booking,
    Connection,
    ErasedPerson,
    Event,
    SyncRun,
    WebhookDelivery,
    fold_email,
)
from django_meetergo.services.mirror.erasure import (
    BLANK_PERSON,
    build_erasure_digest,
    digest_person,
    hash_erasure_digest,
)

BATCH_SIZE = 500

#: What a person's row holds when the person has been erased.
BLANK_BOOKING: dict[str, Any] = {
    **BLANK_PERSON,
    "email_folded": "",
    "user": None,
    "subject_type": None,
    "subject_id": "",
}


# Erasing


@dataclass(kw_only=True)
class Erasure:
    """What was blanked, and what cannot be yet."""

    attendees: int = 0
    bookings: int = 0
    log_entries: int = 0
    #: References of bookings that are still on their way: erase again when they have ended.
    still_open: list[str] = field(default_factory=list)


def erase_person(*, email: str, now: datetime) -> Erasure:
    """Blank everything about the person of this address, for good. Doing it again goes on where it was.

    First the digest is stored, so that nothing comes back from meetergo meanwhile. meetergo's own data is
    untouched: that must be erased there.
    """
    folded = fold_email(email)
    record_erasure(folded, now)
    report = Erasure()
    for attendee in list(Attendee.objects.filter(email_folded=folded).order_by("pk")):
        with transaction.atomic():
            report.log_entries += erase_attendee(attendee)
        report.attendees += 1
    for booking in list(Booking.objects.filter(email_folded=folded).order_by("pk")):
        if booking.is_open:
            report.still_open.append(booking.reference)
            continue
        with transaction.atomic():
            report.log_entries += erase_booking(booking)
        report.bookings += 1
    erase_invitations(folded)
    return report


def record_erasure(folded: str, now: datetime) -> None:
    """Each connection has a salt of its own; a digest under one says nothing about another."""
    for connection in list_connection_names():
        Connection.objects.get_or_create(connection=connection)
    salts = Connection.objects.values_list("salt", flat=True)
    rows = [ErasedPerson(digest=digest_person(salt, folded), erased_at=now) for salt in salts]
    ErasedPerson.objects.bulk_create(rows, ignore_conflicts=True)


def erase_attendee(attendee: Attendee) -> int:
    """The row, what the appointment says about its only person, and what staff wrote about it."""
    appointment = Appointment.objects.select_for_update().get(pk=attendee.appointment_id)
    others = appointment.attendees.exclude(pk=attendee.pk).exclude(email_folded="")
    alone = not others.exists()
    # A new public id: the links that were sent open nothing any more.
    Attendee.objects.filter(pk=attendee.pk).update(**BLANK_BOOKING, public_id=uuid4(), raw={})
    blank: dict[str, Any] = {"cancellation_reason": ""}
    if "erased" not in appointment.raw:
        blank["raw"] = build_erasure_digest(appointment.digest)
        blank["digest"] = hash_erasure_digest(appointment.digest)
    if alone:
        blank |= {"location": "", "note": ""}
    elif mentions(appointment.note, attendee):
        blank["note"] = ""
    Appointment.objects.filter(pk=appointment.pk).update(**blank)
    changed = appointment.changes.all() if alone else appointment.changes.filter(attendee=attendee)
    about = [appointment, attendee, *changed]
    changed.update(reason="", message="")
    return erase_log(about)


def mentions(text: str, attendee: Attendee) -> bool:
    words = (attendee.email, attendee.first_name, attendee.last_name, attendee.phone, attendee.company)
    return any(word and word.casefold() in text.casefold() for word in words)


def erase_booking(booking: Booking) -> int:
    Booking.objects.filter(pk=booking.pk).update(
        **BLANK_BOOKING,
        public_id=uuid4(),
        other_emails=[],
        location="",
        message="",
        field_errors={},
        content_digest="",
        rebook_consent=None,
    )
    booking.attempts.update(error_type="")
    return erase_log([booking])


def erase_invitations(folded: str) -> None:
    """The address where others brought the person along."""
    for booking in Booking.objects.filter(other_emails__icontains=folded).iterator():
        kept = [address for address in booking.other_emails if fold_email(address) != folded]
        Booking.objects.filter(pk=booking.pk).update(other_emails=kept)


def erase_log(rows: Iterable[models.Model]) -> int:
    """What the admin wrote down about these rows: that something was done stays, what was typed does not."""
    if not apps.is_installed("django.contrib.admin"):
        return 0
    from django.contrib.admin.models import LogEntry

    erased = 0
    for row in rows:
        kind = ContentType.objects.get_for_model(row)
        entries = LogEntry.objects.filter(content_type=kind, object_id=str(row.pk))
        erased += entries.update(object_repr="–", change_message="")
    return erased


# Pruning


def prune(*, now: datetime, show: Callable[[str, int], None] | None = None) -> dict[str, int]:
    """Forget what is older than ``RETENTION_DAYS``, batch by batch; how many rows of each kind."""
    days = get_settings().RETENTION_DAYS
    done: dict[str, int] = {}
    if "deliveries" in days:
        before = now - timedelta(days=days["deliveries"])
        old = WebhookDelivery.objects.filter(received_at__lt=before)
        done["deliveries"] = delete_rows(old.exclude(state=WebhookDelivery.State.PENDING))
        ended = SyncRun.objects.filter(finished_at__lt=before).exclude(state=SyncRun.State.OPEN)
        done["sync runs"] = delete_rows(ended)
    if "bookings" in days:
        before = now - timedelta(days=days["bookings"])
        closed = Booking.objects.filter(state=Booking.State.CLOSED, closed_at__lt=before)
        done["bookings"] = blank_bookings(closed.exclude(email="", first_name="", last_name="", phone=""))
    if "events" in days:
        before = now - timedelta(days=days["events"])
        done["events"] = delete_rows(Event.objects.filter(created_at__lt=before).exclude(dispatched_at=None))
    done["erased people"] = finish_erasures()
    if show:
        for name, number in done.items():
            show(name, number)
    return done


def delete_rows(rows: QuerySet[Any]) -> int:
    deleted = 0
    while keys := list(rows.order_by("pk").values_list("pk", flat=True)[:BATCH_SIZE]):
        deleted += rows.model._default_manager.filter(pk__in=keys).delete()[0]
    return deleted


def blank_bookings(rows: QuerySet[Booking]) -> int:
    """What was typed into the form of a booking that came to nothing; the ledger stays."""
    blanked = 0
    while keys := list(rows.order_by("pk").values_list("pk", flat=True)[:BATCH_SIZE]):
        blanked += Booking.objects.filter(pk__in=keys).update(
            **BLANK_BOOKING, other_emails=[], location="", message="", field_errors={}, content_digest=""
        )
    return blanked


def finish_erasures() -> int:
    """Bookings that were on their way when their person was erased, and have ended since."""
    if not ErasedPerson.objects.exists():
        return 0
    erased = 0
    digests = set(ErasedPerson.objects.values_list("digest", flat=True))
    salts = dict(Connection.objects.values_list("connection", "salt"))
    ended = Booking.objects.exclude(state__in=Booking.OPEN).exclude(email_folded="")
    for booking in ended.iterator(chunk_size=BATCH_SIZE):
        salt = salts.get(booking.connection)
        if salt and digest_person(salt, booking.email_folded) in digests:
            with transaction.atomic():
                erase_booking(booking)
            erased += 1
    return erased


# Rotating keys


@dataclass(kw_only=True)
class Rotation:
    """How many secrets are under the first key now, were before, and open with no key at all."""

    rotated: int = 0
    current: int = 0
    unreadable: int = 0


#: Where secrets are kept.
ENCRYPTED_COLUMNS: tuple[tuple[type[models.Model], str], ...] = (
    (Connection, "canary"),
    (Appointment, "secret"),
)


def rotate_keys(*, show: Callable[[Rotation], None] | None = None) -> Rotation:
    """Write every secret anew that is not under the first key; a repeat finds only what is left to do."""
    report = Rotation()
    newest = Fernet(get_encryption_keys()[0])
    for model, column in ENCRYPTED_COLUMNS:
        last = 0
        while batch := read_batch(model, column, after=last):
            rotate_batch(model, column, batch, newest, report)
            last = batch[-1].pk
            if show:
                show(report)
    return report


def read_batch(model: type[models.Model], column: str, *, after: int) -> list[Any]:
    """Rows with the text as it is stored beside the secret as it reads."""
    filled = model._default_manager.exclude(**{column: ""}).filter(pk__gt=after)
    rows = filled.only("pk", column).annotate(stored=Cast(F(column), TextField()))
    return list(rows.order_by("pk")[:BATCH_SIZE])


def rotate_batch(
    model: type[models.Model], column: str, batch: list[Any], newest: Fernet, report: Rotation
) -> None:
    outdated = []
    for row in batch:
        if isinstance(getattr(row, column), UnreadableText):
            report.unreadable += 1
        elif is_encrypted_with(newest, row.stored):
            report.current += 1
        else:
            outdated.append(row)
    if not outdated:
        return
    with transaction.atomic():
        # A secret that changed since it was read is newer, and under the first key already.
        stored = dict(
            model._default_manager.select_for_update()
            .filter(pk__in=[row.pk for row in outdated])
            .annotate(stored=Cast(F(column), TextField()))
            .values_list("pk", "stored")
        )
        unchanged = [row for row in outdated if stored.get(row.pk) == row.stored]
        model._default_manager.bulk_update(unchanged, [column])
    report.rotated += len(outdated)


def is_encrypted_with(key: Fernet, token: str) -> bool:
    try:
        key.decrypt(token.encode())
    except InvalidToken:
        return False
    return True
