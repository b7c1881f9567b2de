"""Compare mirror and service without writing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from itertools import count

from django_meetergo.exceptions import NotFound
from django_meetergo.models import Connection, SyncRun
from django_meetergo.remote.client import MeetergoClient
from django_meetergo.remote.payloads import AppointmentDocument
from django_meetergo.services.matching import list_orphans
from django_meetergo.services.mirror.appointments import find_appointments, list_differences
from django_meetergo.services.mirror.erasure import remove_erased_people
from django_meetergo.services.sync.appointments import (
    NEAR_AFTER,
    NEAR_BEFORE,
    PAGE_SIZE,
    list_owners,
    list_unseen,
    read_page,
)

Kind, State = SyncRun.Kind, SyncRun.State


@dataclass
class Drift:
    """How mirror and service differ: ids by kind, and which fields, but nobody's data."""

    compared: int = 0
    only_remote: list[str] = field(default_factory=list)
    only_local: list[str] = field(default_factory=list)
    differs: dict[str, list[str]] = field(default_factory=dict)
    secret_missing: list[str] = field(default_factory=list)
    orphans: list[str] = field(default_factory=list)

    @property
    def is_none(self) -> bool:
        return not (self.only_remote or self.only_local or self.differs or self.secret_missing)

    def count(self) -> dict[str, int]:
        return {
            "compared": self.compared,
            "only_remote": len(self.only_remote),
            "only_local": len(self.only_local),
            "differs": len(self.differs),
            "secret_missing": len(self.secret_missing),
            "orphans": len(self.orphans),
        }


def find_drift(*, connection: str, client: MeetergoClient, now: datetime, kind: str = Kind.NEAR) -> Drift:
    """Compare without writing a mirrored row. Raises RemoteError when a list cannot be read."""
    near = kind == Kind.NEAR
    run = SyncRun(
        connection=connection,
        kind=kind,
        started_at=now,
        window_start=now - NEAR_BEFORE if near else None,
        window_end=now + NEAR_AFTER if near else None,
    )
    drift, seen = Drift(), set[int]()
    for owner in list_owners(connection):
        for documents in read_list(run, owner, client):
            seen |= compare_page(connection, documents, drift)
    suspects = list_unseen(run, seen)
    drift.only_local = [row.remote_id for row in suspects if not exists_at_service(client, row.remote_id)]
    Connection.objects.update_or_create(
        connection=connection, defaults={"last_drift": {"at": now.isoformat(), **drift.count()}}
    )
    return drift


def read_list(run: SyncRun, owner: str, client: MeetergoClient) -> Iterator[tuple[AppointmentDocument, ...]]:
    for page in count():
        answer = read_page(run, owner, page, client)
        yield answer.appointments
        if len(answer.appointments) + answer.unreadable < PAGE_SIZE:
            return


def compare_page(connection: str, documents: Iterable[AppointmentDocument], drift: Drift) -> set[int]:
    """Note the differences of one page; the primary keys of the rows that were compared."""
    documents = remove_erased_people(connection, list(documents))
    by_id = {document.id: document for document in documents}
    rows = find_appointments(connection, by_id)
    drift.compared += len(by_id)
    drift.only_remote += sorted(set(by_id) - set(rows))
    for remote_id, row in rows.items():
        if fields := list_differences(row, by_id[remote_id]):
            drift.differs[remote_id] = fields
        if by_id[remote_id].secret and not row.secret:
            drift.secret_missing.append(remote_id)
    drift.orphans += list_orphans(connection, by_id.values())
    return {row.pk for row in rows.values()}


def exists_at_service(client: MeetergoClient, remote_id: str) -> bool:
    try:
        client.get_appointment(remote_id)
    except NotFound:
        return False
    return True
