"""Looking up one row, and a text in a JSON column."""

from __future__ import annotations

from typing import Any, TypeVar

from django.db import models
from django.db.models import Func, TextField, Value
from django.db.models.fields.json import KeyTextTransform, KeyTransform
from django.db.models.functions import NullIf

Row = TypeVar("Row", bound=models.Model)


def find_one(rows: models.QuerySet[Row]) -> Row | None:
    """Return the row of a query by a unique key, or None.

    Unlike ``first()`` it does not order the rows: for an ORDER BY Django hashes each selected column, which
    takes longer than all else about a query with many columns.
    """
    return next(iter(rows.order_by()[:1]), None)


def read_json_text(column: str, *keys: str) -> Func:
    """Return an expression for the text at ``keys`` in a JSON column: NULL where it is missing or null.

    Always a text: SQLite reads one of digits as a number, and a null as the text "null", as MariaDB does.
    """
    *outer, last = keys
    place: Any = column
    for key in outer:
        place = KeyTransform(key, place)
    return NullIf(KeyTextTransform(last, place), Value("null"), output_field=TextField())
