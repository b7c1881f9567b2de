"""Insert, update and find many mirrored rows with few statements."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def save_rows(model: type[Any], rows: list[Any], columns: Sequence[str]) -> None:
    """Insert the new rows and update ``columns`` of the others, in one statement each."""
    new = [row for row in rows if row.pk is None]
    known = [row for row in rows if row.pk is not None]
    if new:
        model.objects.bulk_create(new)
    if known:
        model.objects.bulk_update(known, columns)


def find_by_remote_id(model: type[Any], connection: str, ids: set[str]) -> dict[str, Any]:
    """Return the rows of a connection by meetergo's id; "" is ignored."""
    rows = model.objects.filter(connection=connection, remote_id__in=ids - {""}).order_by()
    return {row.remote_id: row for row in rows}
