"""Find every row about one person."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any

from django.apps import apps
from django.contrib.contenttypes.models import ContentType
from django.db.models import Model, Q, QuerySet, TextField
from django.db.models.functions import Cast, Lower

from django_meetergo.models import Appointment, Attendee, Booking, fold_email
from django_meetergo.services.matching import is_linked_person
from django_meetergo.services.mirror.erasure import find_addresses, list_texts

LABEL = re.compile(r"[a-z0-9-]+")


@dataclass(kw_only=True)
class PersonRows:
    """The rows about a person, and all addresses (folded) that they have used."""

    addresses: set[str]
    attendees: list[Attendee] = field(default_factory=list)
    bookings: list[Booking] = field(default_factory=list)
    #: Bookings of other people who have invited the person.
    invitations: list[Booking] = field(default_factory=list)
    #: Appointments of other people whose last document names the person, for example as a guest.
    mentions: list[Appointment] = field(default_factory=list)


def find_person(email: str) -> PersonRows:
    """Return everything about the person with this address, and with the other addresses they have used."""
    addresses, attendees, bookings = find_rows_of_person(email)
    own_appointments = {attendee.appointment_id for attendee in attendees}
    return PersonRows(
        addresses=addresses,
        attendees=attendees,
        bookings=bookings,
        invitations=[
            booking
            for booking in search(Booking.objects.all(), "other_emails", addresses)
            if addresses & set(map(fold_email, booking.other_emails))
        ],
        mentions=[
            appointment
            for appointment in search(Appointment.objects.exclude(pk__in=own_appointments), "raw", addresses)
            if mentions_any(appointment.raw, addresses)
        ],
    )


def find_rows_of_person(email: str) -> tuple[set[str], list[Attendee], list[Booking]]:
    """Return the addresses (folded), attendees and bookings of the person with an address.

    An address may have been changed at meetergo since the booking. Bookings and attendees of the same person
    are therefore followed both ways, and rows with the addresses found there belong to the person as well.
    No address belongs to nobody.
    """
    addresses, known = {fold_email(email)} - {""}, set[str]()
    attendees: dict[int, Attendee] = {}
    bookings: dict[int, Booking] = {}
    while addresses != known:
        known = set(addresses)
        own = Q(email_folded__in=known)
        pairs = Booking.objects.exclude(attendee=None).filter(own | Q(attendee__email_folded__in=known))
        attendees = {row.pk: row for row in Attendee.objects.filter(own)}
        bookings = {row.pk: row for row in Booking.objects.filter(own)}
        for booking in pairs.select_related("attendee"):
            if booking.attendee and is_linked_person(booking, booking.attendee):
                bookings[booking.pk], attendees[booking.attendee.pk] = booking, booking.attendee
        addresses |= {row.email_folded for row in (*attendees.values(), *bookings.values())} - {""}
    by_key = attrgetter("pk")
    return addresses, sorted(attendees.values(), key=by_key), sorted(bookings.values(), key=by_key)


def mentions_any(document: Any, addresses: set[str]) -> bool:
    """Return whether a text in a JSON document contains one of the folded addresses."""
    return any(not addresses.isdisjoint(find_addresses(text)) for text in list_texts(document))


def search(rows: QuerySet[Any], column: str, addresses: set[str]) -> Iterator[Any]:
    """Return rows whose JSON column may contain one of the addresses: a superset, to be checked in Python.

    The database compares what is written alike everywhere: the longest label of the domain that is in ASCII
    letters. Databases fold and escape other letters in different ways, and the DNS has another spelling.
    """
    parts = Q()
    for address in addresses:
        labels = address.rpartition("@")[2].split(".")
        longest = max((label for label in labels if LABEL.fullmatch(label)), key=len, default="")
        parts |= Q(text__contains=longest) if longest else Q(pk__isnull=False)
    text = Lower(Cast(column, TextField()))
    found: Iterator[Any] = rows.annotate(text=text).filter(parts).order_by("pk").iterator(chunk_size=500)
    return found


def list_log_entries(rows: Iterable[Model]) -> QuerySet[Any] | None:
    """Return what staff did with these rows in the admin; None on a site without it."""
    if not apps.is_installed("django.contrib.admin"):
        return None
    from django.contrib.admin.models import LogEntry

    found = Q(pk__in=[])
    for row in rows:
        found |= Q(content_type=ContentType.objects.get_for_model(row), object_id=str(row.pk))
    return LogEntry.objects.filter(found)
