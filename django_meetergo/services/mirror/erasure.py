"""Keep erased people out of the mirror."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import chain
from typing import Any

from django.utils.crypto import salted_hmac

from django_meetergo.models import Connection, ErasedPerson, fold_email
from django_meetergo.remote.payloads import AppointmentDocument, AttendeeDocument
from django_meetergo.services.matching import REFERENCE_KEY

#: An address within a text, perhaps with ``PUNCTUATION`` around it.
ADDRESS = re.compile(r"""[^\s<>()\[\]{},;:"“”„«»/|&=?!@]+@[^\s<>()\[\]{},;:"“”„«»/|&=?!@]+""")
PUNCTUATION = ".…'‘’*`"
#: Digests are looked up in batches of this size.
MAX_DIGESTS = 500

#: The columns of an erased person. meetergo's id stays, so that the row is found again.
BLANK_PERSON: dict[str, Any] = {
    "first_name": "", "last_name": "", "email": "", "phone": "", "company": "", "timezone": "",
    "language": "", "custom_fields": {},
}  # fmt: skip


def digest_person(salt: str, folded_email: str) -> str:
    """Return the salted digest that is stored in place of an erased address."""
    return salted_hmac("meetergo.erased", folded_email, secret=salt, algorithm="sha256").hexdigest()


def build_erasure_digest(digest: str) -> dict[str, Any]:
    """Return what is stored in place of a document that names an erased person: its digest."""
    return {"erased": digest}


def hash_erasure_digest(digest: str) -> str:
    """Return the digest of a row whose document was replaced by its erasure digest."""
    text = json.dumps(build_erasure_digest(digest), separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def find_erased(emails: Iterable[str]) -> set[str]:
    """Return those of these addresses, folded, that were erased. One statement while nobody was erased.

    Whichever salt their digests were made with: a connection that is set up later has another one, and an
    erased person must not come back under its name.
    """
    if not ErasedPerson.objects.exists():
        return set()
    folded = {fold_email(email) for email in emails} - {""}
    salts = Connection.objects.order_by("pk").values_list("salt", flat=True) if folded else ()
    digests = {digest_person(salt, email): email for salt in salts for email in folded}
    erased: set[str] = set()
    for batch in split(sorted(digests), MAX_DIGESTS):
        known = ErasedPerson.objects.filter(digest__in=batch).values_list("digest", flat=True)
        erased |= {digests[digest] for digest in known}
    return erased


def split(items: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    return (items[start : start + size] for start in range(0, len(items), size))


def list_texts(document: Any) -> Iterator[str]:
    """Yield every text in a JSON document."""
    if isinstance(document, str):
        yield document
    elif isinstance(document, dict):
        yield from list_texts(list(document.values()))
    elif isinstance(document, list):
        for item in document:
            yield from list_texts(item)


def find_addresses(text: str) -> Iterator[str]:
    """Yield every address in a text, folded; also a text that is one, whatever letters it has."""
    if "@" in text:
        yield fold_email(text)
        yield from (fold_email(found.strip(PUNCTUATION)) for found in ADDRESS.findall(text))


def list_addresses(document: AppointmentDocument) -> Iterator[str]:
    """Yield the folded addresses of the attendees, of their guests, and of anybody else in the document."""
    texts = chain((attendee.email for attendee in document.attendees), list_texts(document.raw))
    yield from chain.from_iterable(map(find_addresses, texts))


def remove_erased_people(documents: Sequence[AppointmentDocument]) -> list[AppointmentDocument]:
    """Return the documents without the data of erased people."""
    addresses = (address for document in documents for address in list_addresses(document))
    erased = find_erased(addresses)
    return [remove_people(document, erased) for document in documents] if erased else list(documents)


def remove_people(document: AppointmentDocument, erased: set[str]) -> AppointmentDocument:
    """Blank erased attendees and the texts that may be about them; drop a raw document that names them."""
    blanked = [attendee for attendee in document.attendees if fold_email(attendee.email) in erased]
    if not blanked and erased.isdisjoint(list_addresses(document)):
        return document
    attendees = tuple(blank_attendee(one) if one in blanked else one for one in document.attendees)
    location = "" if len(blanked) == len(document.attendees) else document.location
    raw = build_erasure_digest(document.digest)
    return replace(document, attendees=attendees, raw=raw, cancellation_reason="", location=location)


def blank_attendee(document: AttendeeDocument) -> AttendeeDocument:
    """Return the attendee without personal data. A booking reference is random, so it stays."""
    reference = document.answers.get(REFERENCE_KEY)
    return AttendeeDocument(id=document.id, answers={REFERENCE_KEY: reference} if reference else {})
