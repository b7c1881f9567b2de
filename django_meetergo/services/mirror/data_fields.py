"""Write the mirrored data fields, and note what follows from the ones that staff have chosen."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime

from django_meetergo.models import DataField, MeetingType
from django_meetergo.remote.payloads import DataFieldDocument
from django_meetergo.services.mirror.rows import find_by_remote_id, save_rows
from django_meetergo.transactions import write_transaction

COLUMNS = (
    "name", "label", "kind", "required", "choices", "position", "raw", "synced_at", "missing_since",
)  # fmt: skip


def record_data_fields(
    *,
    connection: str,
    documents: Sequence[DataFieldDocument],
    now: datetime,
    unreadable: Collection[str] = (),
) -> None:
    """Store the complete list of a company's data fields; those that it does not name are marked missing.

    ``unreadable`` are ids that the list names with a document that cannot be read: their rows stay.
    """
    known = find_by_remote_id(DataField, connection, {document.id for document in documents})
    rows = []
    for position, document in enumerate(documents):
        row = known.get(document.id) or DataField(connection=connection, remote_id=document.id)
        row.name, row.label, row.kind = document.name, document.label, document.kind
        row.required, row.choices = document.required, [list(choice) for choice in document.choices]
        row.position, row.raw, row.synced_at, row.missing_since = position, document.raw, now, None
        rows.append(row)
    with write_transaction():
        save_rows(DataField, rows, COLUMNS)
        present = DataField.objects.filter(connection=connection, missing_since=None)
        named = [*(row.remote_id for row in rows), *unreadable]
        present.exclude(remote_id__in=named).update(missing_since=now)
        note_uploads()


def note_uploads() -> None:
    """Note on each meeting type whether a required question asks for a file, which is sent at meetergo only.

    Call it after the chosen questions have changed.
    """
    uploads = DataField.objects.filter(kind=DataField.Kind.UPLOAD, required=True, missing_since=None)
    # As a list, because MariaDB does not update a table that the condition reads.
    needing = list(MeetingType.objects.filter(data_fields__in=uploads).values_list("pk", flat=True))
    MeetingType.objects.filter(needs_upload=True).exclude(pk__in=needing).update(needs_upload=False)
    MeetingType.objects.filter(needs_upload=False, pk__in=needing).update(needs_upload=True)
