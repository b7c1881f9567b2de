"""Looking up one row."""

from __future__ import annotations

from typing import TypeVar

from django.db import models

Row = TypeVar("Row", bound=models.Model)


def find_one(rows: models.QuerySet[Row]) -> Row | None:
    """Return the row of a query by a unique key, or None.

    Unlike ``first()`` it does not order the rows: for an ORDER BY Django hashes each selected column, which
    takes longer than all else about a query with many columns.
    """
    return next(iter(rows.order_by()[:1]), None)
