"""Keep erased people out of the mirror."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from django.db.models import Exists
from django.utils.crypto import salted_hmac

from django_meetergo.models import (
    Connection,
    ErasedPerson,
    fold_email,
)
from django_meetergo.remote.payloads import (
    AppointmentDocument,
    AttendeeDocument,
)

#: What is left of somebody who must not be remembered. meetergo's id stays: it says who not to name.
BLANK_PERSON: dict[str, Any] = {
    "first_name": "", "last_name": "", "email": "", "phone": "", "company": "", "timezone": "",
    "language": "", "custom_fields": {},
}  # fmt: skip


def digest_person(salt: str, folded_email: str) -> str:
    """What is kept of an erased address: nobody can tell the address from it."""
    return salted_hmac("meetergo.erased", folded_email, secret=salt, algorithm="sha256").hexdigest()


def build_erasure_digest(digest: str) -> dict[str, Any]:
    """What is kept in place of a whole document that names an erased person: enough to know it again."""
    return {"erased": digest}


def hash_erasure_digest(digest: str) -> str:
    text = json.dumps(build_erasure_digest(digest), separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def find_erased(connection: str, emails: Iterable[str]) -> set[str]:
    """Those of these addresses, folded, whose people were erased. One statement while nobody was."""
    folded = {fold_email(email) for email in emails} - {""}
    if not folded:
        return set()
    somebody = Exists(ErasedPerson.objects.all())
    salt = Connection.objects.filter(somebody, connection=connection).values_list("salt", flat=True).first()
    if salt is None:
        return set()
    digests = {digest_person(salt, email): email for email in folded}
    known = ErasedPerson.objects.filter(digest__in=digests).values_list("digest", flat=True)
    return {digests[digest] for digest in known}


def remove_erased_people(
    connection: str, documents: Sequence[AppointmentDocument]
) -> list[AppointmentDocument]:
    """The documents without what they say about erased people."""
    people = (attendee.email for document in documents for attendee in document.attendees)
    erased = find_erased(connection, people)
    return [remove_people(document, erased) for document in documents] if erased else list(documents)


def remove_people(document: AppointmentDocument, erased: set[str]) -> AppointmentDocument:
    """Blank the erased people, and the texts that may speak of them; the whole document is not kept."""
    gone = [attendee for attendee in document.attendees if fold_email(attendee.email) in erased]
    if not gone:
        return document
    kept = tuple(blank_attendee(one) if one in gone else one for one in document.attendees)
    location = "" if len(gone) == len(document.attendees) else document.location
    trace = build_erasure_digest(document.digest)
    return replace(document, attendees=kept, raw=trace, cancellation_reason="", location=location)


def blank_attendee(document: AttendeeDocument) -> AttendeeDocument:
    return AttendeeDocument(id=document.id)
