"""Synchronise appointments with meetergo's lists."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from itertools import count, islice

from django.db.models import F, Q

from django_meetergo.clock import Stopwatch
from django_meetergo.conf import get_settings
from django_meetergo.exceptions import (
    CredentialRefused,
    InvalidRequest,
    NotFound,
    PermissionRefused,
    Refused,
    RemoteError,
    UnreadableReply,
)
from django_meetergo.models import Appointment, Connection, Host, Lease, SyncRun
from django_meetergo.models.mirrored import is_read_by
from django_meetergo.remote.client import MeetergoClient
from django_meetergo.remote.payloads import AppointmentDocument, ItemList
from django_meetergo.services.booking.outcomes import adopt_documents
from django_meetergo.services.companies import find_mirror, select_offered
from django_meetergo.services.mirror.appointments import (
    record_appointment,
    record_appointments,
    record_missing,
    record_unchanged,
)
from django_meetergo.services.one_by_one import handle_batch
from django_meetergo.services.retry import LeaseRenewal
from django_meetergo.services.sync.runs import (
    LeaseLost,
    finish_run,
    note_skipped,
    note_skipped_items,
    open_run,
    release_when_stopped,
)
from django_meetergo.transactions import run_with_retries

Kind, State = SyncRun.Kind, SyncRun.State
#: One page of a list of appointments.
Page = ItemList[AppointmentDocument]
PAGE_SIZE = 100
#: How often a list that changed while it was read is read again from its start.
MAX_ROUNDS = 3
#: How often a run stops at a host's list that fails by itself before it goes on without it.
TRIES_BEFORE_SKIP = 2
#: How many rows that the lists no longer show are re-read singly in one run.
MAX_SUSPECTS = 50


def sync_appointments(
    *,
    connection: str,
    client: MeetergoClient,
    now: datetime,
    kind: str = Kind.NEAR,
    silent: bool = False,
    on_page: Callable[[SyncRun], None] | None = None,
) -> SyncRun:
    """Bring the mirror up to date: ``near`` from yesterday to 60 days ahead, ``full`` every appointment.

    A run that was stopped goes on where it was, whatever stopped it. Return the run: done, failed, or open
    when it was stopped by the service (``message`` says why) or another worker holds it. ``silent``: no
    signals and mails about appointments that the site does not know yet. ``on_page`` is called after each
    page.
    """
    stopwatch = Stopwatch(now)
    run, lease = open_run(connection, kind, now)
    if lease is None:
        return run
    sync = AppointmentSync(
        run=run, lease=lease, client=client, stopwatch=stopwatch, silent=silent, on_page=on_page
    )
    with suppress(RemoteError), release_when_stopped(run, lease, stopwatch):
        sync.read_lists()
    run.refresh_from_db()
    return run


def list_owners(connection: str) -> list[str]:
    """Return whose lists to read, in a fixed order; "" is the credential's own.

    An admin may read everybody's. Any other credential, or one that may not say, reads its own list first.
    """
    stored = Connection.objects.filter(connection=connection).first()
    mirror = find_mirror(connection)
    known = Host.objects.filter(connection=mirror, missing_since=None)
    # Sorted here, because a database may collate in another order and a resumed run depends on it.
    hosts = sorted(known.values_list("remote_id", flat=True))
    if stored and stored.is_admin and hosts:
        return hosts
    if mirror != connection or (stored and stored.user_id):
        return [""]
    return ["", *hosts]


@dataclass
class AppointmentSync:
    """One run in this process: its place, and which rows its lists have shown."""

    run: SyncRun
    lease: Lease
    client: MeetergoClient
    stopwatch: Stopwatch
    silent: bool = False
    on_page: Callable[[SyncRun], None] | None = None
    seen: array[int] = field(default_factory=lambda: array("q"))
    suspects_read: set[int] = field(default_factory=set)
    #: Hosts whose list was not found, until another read of this run has succeeded.
    hosts_not_found: list[str] = field(default_factory=list)
    is_whole: bool = True
    has_read: bool = False
    #: The last failure of a list that was skipped.
    failure: RemoteError | None = None

    def __post_init__(self) -> None:
        self.renewal = LeaseRenewal(SyncRun.objects.held(self.lease), self.stopwatch)
        self.mirror = find_mirror(self.run.connection)

    def read_lists(self) -> None:
        """Read every list that is left, then the rows that no list showed."""
        # Of a resumed run only the rest is known: the lists read before are not compared again.
        self.is_whole = not (self.run.page or self.run.owner)
        remaining = self.list_remaining()
        # No list may use up the re-reads of the others.
        share = max(MAX_SUSPECTS // max(len(remaining), 1), 1)
        for owner in remaining:
            is_complete = self.read_list(owner)
            self.renew_lease()
            if is_complete and owner:
                self.verify_unseen(list_unseen(self.run, self.seen, owner)[:share])
            self.is_whole = self.is_whole and is_complete
        if self.failure is not None and not self.has_read and not (self.run.owner and len(remaining) == 1):
            # Every list failed: this is the service, not one host.
            raise self.failure
        if self.is_whole:
            self.verify_unseen(list_unseen(self.run, self.seen))
        finish_run(self.run, self.lease, self.stopwatch.now())

    def list_remaining(self) -> list[str]:
        return [owner for owner in list_owners(self.run.connection) if owner >= self.run.owner]

    def read_list(self, owner: str) -> bool:
        """Read one person's list, from its start when it changed meanwhile. Return whether all was shown."""
        page = self.run.page if owner == self.run.owner else 0
        for _ in range(MAX_ROUNDS):
            try:
                if self.read_pages(owner, page):
                    return page == 0
            except (PermissionRefused, NotFound) as error:
                if not owner:
                    raise
                # A list that is not visible with this credential says nothing about the appointments.
                note_skipped(self.run, "host", owner, error)
                if isinstance(error, NotFound):
                    self.hosts_not_found.append(owner)
                    self.mark_missing_hosts()
                return False
            except RemoteError as error:
                # ``tries`` counts how often the run was stopped at this list without progress.
                if not owner or not concerns_one_item(error) or self.run.tries < TRIES_BEFORE_SKIP:
                    raise
                note_skipped(self.run, "host", owner, error)
                self.failure = error
                return False
            page = 0
        return False

    def mark_missing_hosts(self) -> None:
        """Mark the hosts whose list is gone, once another read shows that the service answers properly."""
        if self.has_read and self.hosts_not_found:
            hosts = Host.objects.filter(connection=self.mirror, missing_since=None)
            hosts.filter(remote_id__in=self.hosts_not_found).update(missing_since=self.stopwatch.now())
            self.hosts_not_found.clear()

    def read_pages(self, owner: str, first: int) -> bool:
        """Read to the end. Return False when rows may have slipped through between two pages."""
        read, last_ids, last_total = first * PAGE_SIZE, frozenset[str](), None
        for page in count(first):
            answer = read_page(self.run, owner, page, self.client)
            self.has_read = True
            self.mark_missing_hosts()
            ids = frozenset(document.id for document in answer)
            shrunk = last_total is not None and answer.total is not None and answer.total < last_total
            if shrunk or (ids and ids == last_ids):
                return False
            self.store_page(owner, page, answer)
            read += len(ids - last_ids) + len(answer.skipped)
            last_ids, last_total = ids, answer.total
            is_short = len(answer) + len(answer.skipped) < PAGE_SIZE
            if is_short or (answer.total is not None and read >= answer.total):
                return answer.total is None or read >= answer.total
        return True

    def store_page(self, owner: str, page: int, answer: Page) -> None:
        """Store a page and the checkpoint together. An appointment that cannot be stored is skipped."""
        if answer.skipped:
            self.is_whole = False
            note_skipped_items(self.run, answer.skipped)
        offered = select_offered(self.run.connection, answer)

        def store(documents: Sequence[AppointmentDocument]) -> None:
            # A page that is stored one by one is complete when the last one is.
            next_page = page + (len(documents) == len(offered))
            self.store_documents(documents, owner, next_page, answer)

        failed = handle_batch(offered, store, what="appointments", stop_on=(LeaseLost,))
        for document, error in failed:
            self.is_whole = False
            note_skipped(self.run, "appointment", document.id, error)
        if failed or not offered:
            self.save_checkpoint(owner, page + 1, answer, seen=len(failed), written=0)
        if self.on_page:
            self.run.refresh_from_db(fields=list_refreshed_columns(self.run))
            self.on_page(self.run)

    def store_documents(
        self,
        documents: Sequence[AppointmentDocument],
        owner: str,
        next_page: int,
        answer: Page,
    ) -> None:
        now = self.stopwatch.now()
        # Before the rows are locked, each in a transaction of its own.
        adopt_documents(connection=self.mirror, documents=documents, now=now)

        def store() -> list[int]:
            recorded = record_appointments(
                connection=self.mirror,
                documents=documents,
                now=now,
                silent=self.silent,
                read_by=self.run.connection,
            )
            for one in recorded.skipped:
                note_skipped(self.run, "appointment", one.remote_id, one.reason)
            self.save_checkpoint(owner, next_page, answer, seen=len(documents), written=recorded.written)
            return [row.pk for row in recorded.appointments.values()]

        self.seen.extend(run_with_retries(store))

    def save_checkpoint(self, owner: str, next_page: int, answer: Page, *, seen: int, written: int) -> None:
        """Write what is stored. Progress also ends a series of failures, and renews the lease."""
        held = SyncRun.objects.held(self.lease).update(
            owner=owner,
            page=next_page,
            total=answer.total,
            seen=F("seen") + seen,
            written=F("written") + written,
            skipped=self.run.skipped,
            lease_until=self.stopwatch.now() + get_settings().lease,
            tries=0,
            failing_since=None,
        )
        if not held:
            raise LeaseLost

    def renew_lease(self) -> None:
        if not self.renewal.renew_if_due():
            raise LeaseLost

    def verify_unseen(self, unseen: Iterable[Appointment]) -> None:
        """Re-read rows that the lists did not show; only a 404 says that one is missing."""
        for appointment in unseen:
            if appointment.pk in self.suspects_read:
                continue
            if len(self.suspects_read) >= MAX_SUSPECTS:
                return
            self.suspects_read.add(appointment.pk)
            self.renew_lease()
            try:
                document = self.client.get_appointment(appointment.remote_id)
            except NotFound:
                record_missing(appointment=appointment, now=self.stopwatch.now())
                continue
            except (RemoteError, InvalidRequest) as error:
                if not concerns_one_item(error):
                    raise
                note_skipped(self.run, "appointment", appointment.remote_id, error)
                record_unchanged(appointment=appointment, now=self.stopwatch.now())
                continue
            failed = handle_batch(
                [document],
                lambda documents: record_appointment(
                    connection=self.mirror, document=documents[0], now=self.stopwatch.now()
                ),
                what="appointments",
            )
            for _document, failure in failed:
                note_skipped(self.run, "appointment", appointment.remote_id, failure)
            # The next run begins with others: those that were not read for the longest time.
            record_unchanged(appointment=appointment, now=self.stopwatch.now())


def concerns_one_item(error: Exception) -> bool:
    """Whether a failed read says something about its own list or id only, and not about the service."""
    if isinstance(error, CredentialRefused):
        return False
    status = getattr(error, "status", None) or 0
    return isinstance(error, Refused | UnreadableReply | InvalidRequest) or status >= 500


def list_refreshed_columns(run: SyncRun) -> list[str]:
    """Return the columns to refresh: ``skipped`` is collected here and written with the next checkpoint."""
    return [column.name for column in run._meta.concrete_fields if column.name != "skipped"]


def sync_appointment(*, appointment: Appointment, client: MeetergoClient, now: datetime) -> Appointment:
    """Re-read one appointment; a 404 marks it missing. Return it as stored. Raises RemoteError."""
    stopwatch = Stopwatch(now)
    try:
        document = client.get_appointment(appointment.remote_id)
    except NotFound:
        record_missing(appointment=appointment, now=stopwatch.now())
    else:

        def store() -> None:
            record_appointment(connection=appointment.connection, document=document, now=stopwatch.now())
            adopt_documents(connection=appointment.connection, documents=[document], now=stopwatch.now())

        run_with_retries(store)
        # An unchanged document is not written, but the time of the read is.
        record_unchanged(appointment=appointment, now=stopwatch.now())
    appointment.refresh_from_db()
    return appointment


def list_unseen(run: SyncRun, seen: Iterable[int], owner: str = "") -> list[Appointment]:
    """Return our rows of the run's window, or one host's part of them, that no list has shown.

    Rows that were read after the run began are left out; those that were never read are not.
    """
    rows = Appointment.objects.filter(
        is_read_by(run.connection),
        Q(synced_at=None) | Q(synced_at__lt=run.started_at),
        connection=find_mirror(run.connection),
        missing_since=None,
    )
    if run.window_start and run.window_end:
        rows = rows.filter(start__range=(run.window_start, run.window_end))
    if owner:
        rows = rows.filter(hosts__remote_id=owner)
    # Never read first, then those whose last read is the longest ago, so that each has its turn.
    oldest = rows.order_by(F("synced_at").asc(nulls_first=True), "pk").values_list("pk", flat=True)
    shown = set(seen)
    unseen = list(islice((pk for pk in oldest if pk not in shown), MAX_SUSPECTS * 2))
    found = Appointment.objects.defer("raw").in_bulk(unseen)
    return [found[pk] for pk in unseen if pk in found]


def read_page(run: SyncRun, owner: str, page: int, client: MeetergoClient) -> Page:
    """Return one page, oldest appointments first, so that new ones land at the end.

    There is no filter by status: the values it takes are not published.
    """
    return client.list_appointments(
        page=page,
        page_size=PAGE_SIZE,
        start=run.window_start,
        end=run.window_end,
        user_id=owner,
        sort_by="appointment.createdAt",
        sort_direction="ASC",
    )
