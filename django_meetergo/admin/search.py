"""Search for people, and the primary keys in a request."""

from __future__ import annotations

from collections.abc import Iterable

from django.db import connection, models
from django.db.models import Q

from django_meetergo.models import fold_email


def fold_name(name: str) -> str:
    """Return the name as this database's LOWER() returns it.

    SQLite's LOWER() changes ASCII letters only.
    """
    if connection.vendor != "sqlite":
        return name.lower()
    return "".join(letter.lower() if letter.isascii() else letter for letter in name)


def starts_with(column: str, text: str) -> Q:
    """Match a prefix in a way that uses the column's index on every database."""
    match = Q(**{f"{column}__startswith": text})
    if connection.vendor == "sqlite":
        # SQLite's LIKE does not use the index; a range does.
        match &= Q(**{f"{column}__gte": text, f"{column}__lt": f"{text}\U0010ffff"})
    return match


def match_person(term: str, prefix: str = "") -> Q:
    """Match people by the start of their e-mail address, or of their first or last name.

    With several words, each word must start a first or a last name. ``prefix`` is a lookup path that ends
    in ``__``.
    """
    address = starts_with(f"{prefix}email_folded", fold_email(term))
    if "@" in term or any(letter.isdigit() for letter in term):
        return address
    names = Q()
    for word in term.split():
        folded = fold_name(word)
        names &= starts_with(f"{prefix}first_folded", folded) | starts_with(f"{prefix}last_folded", folded)
    return address | names


def parse_ids(text: str) -> list[int]:
    """Return the primary keys in a comma-separated text; ignore everything else in it."""
    return [int(part) for part in text.split(",") if part.isascii() and part.isdigit() and len(part) < 19]


def join_ids(rows: Iterable[models.Model]) -> str:
    """Return the primary keys of rows as a comma-separated text."""
    return ",".join(str(row.pk) for row in rows)
