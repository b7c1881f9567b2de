"""Compare mirror and service without writing to the mirror."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from itertools import count

from django_meetergo.exceptions import (
    InvalidRequest,
    NotFound,
    PermissionRefused,
    RemoteError,
    UnreadableReply,
)
from django_meetergo.models import Connection, SyncRun
from django_meetergo.remote.client import MeetergoClient
from django_meetergo.remote.payloads import AppointmentDocument, ItemList
from django_meetergo.services.companies import find_mirror, select_offered
from django_meetergo.services.matching import list_orphans
from django_meetergo.services.mirror.appointments import find_appointments, list_differences
from django_meetergo.services.mirror.erasure import remove_erased_people
from django_meetergo.services.sync.appointments import (
    PAGE_SIZE,
    concerns_one_item,
    list_owners,
    list_unseen,
    read_page,
)
from django_meetergo.services.sync.runs import build_run

Kind = SyncRun.Kind


@dataclass
class Drift:
    """How mirror and service differ: ids by kind and the names of differing fields; no personal data.

    ``not_compared`` lists the hosts and appointments that could not be read.
    """

    compared: int = 0
    only_remote: list[str] = field(default_factory=list)
    only_local: list[str] = field(default_factory=list)
    differs: dict[str, list[str]] = field(default_factory=dict)
    secret_missing: list[str] = field(default_factory=list)
    orphans: list[str] = field(default_factory=list)
    not_compared: list[str] = field(default_factory=list)

    @property
    def is_none(self) -> bool:
        return not (self.only_remote or self.only_local or self.differs or self.secret_missing)

    def count(self) -> dict[str, int]:
        """Return the number of entries of each kind."""
        return {
            "compared": self.compared,
            "only_remote": len(self.only_remote),
            "only_local": len(self.only_local),
            "differs": len(self.differs),
            "secret_missing": len(self.secret_missing),
            "orphans": len(self.orphans),
            "not_compared": len(self.not_compared),
        }


def find_drift(*, connection: str, client: MeetergoClient, now: datetime, kind: str = Kind.NEAR) -> Drift:
    """Compare the lists with our rows and keep the counts on the connection.

    Raises RemoteError when the credential's own list, or the service, cannot be read.
    """
    run = build_run(connection, kind, now)
    drift, seen = Drift(), set[int]()
    for owner in list_owners(connection):
        try:
            for page in read_list(run, owner, client):
                offered = select_offered(connection, page)
                seen |= compare_page(find_mirror(connection), offered, drift)
                unread = (one.id for one in page.skipped)
                drift.not_compared += [one for one in unread if one not in drift.not_compared]
        except (PermissionRefused, NotFound):
            if not owner:
                raise
            drift.not_compared.append(owner)
    for row in list_unseen(run, seen):
        compare_unseen(row.remote_id, client, drift)
    Connection.objects.update_or_create(
        connection=connection, defaults={"last_drift": {"at": now.isoformat(), **drift.count()}}
    )
    return drift


def read_list(run: SyncRun, owner: str, client: MeetergoClient) -> Iterator[ItemList[AppointmentDocument]]:
    """Yield the pages of a list. Raises UnreadableReply when one repeats the page before: it has no end."""
    last_ids: list[str] = []
    for page in count():
        answer = read_page(run, owner, page, client)
        ids = [document.id for document in answer]
        if ids and ids == last_ids:
            raise UnreadableReply("a page of the list of appointments came twice")
        yield answer
        if len(answer) + len(answer.skipped) < PAGE_SIZE:
            return
        last_ids = ids


def compare_page(connection: str, documents: Iterable[AppointmentDocument], drift: Drift) -> set[int]:
    """Note the differences of one page. Return the primary keys of the rows that were compared."""
    documents = remove_erased_people(list(documents))
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


def compare_unseen(remote_id: str, client: MeetergoClient, drift: Drift) -> None:
    """Note whether a row that no list shows is gone at meetergo."""
    try:
        client.get_appointment(remote_id)
    except NotFound:
        drift.only_local.append(remote_id)
    except (RemoteError, InvalidRequest) as error:
        if not concerns_one_item(error):
            raise
        drift.not_compared.append(remote_id)
