"""Synchronise appointments."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import count

from django.db import IntegrityError, transaction
from django.db.models import F

from django_meetergo.clock import Stopwatch
from django_meetergo.conf import get_settings
from django_meetergo.exceptions import NotFound, PermissionRefused, RemoteError
from django_meetergo.models import Appointment, Connection, Host, Lease, SyncRun
from django_meetergo.remote.client import MeetergoClient
from django_meetergo.remote.payloads import AppointmentPage
from django_meetergo.services.booking.outcomes import adopt_documents
from django_meetergo.services.mirror.appointments import (
    RecordedAppointments,
    record_appointment,
    record_appointments,
    record_missing,
    record_unchanged,
)
from django_meetergo.transactions import run_with_retries
from django_meetergo.wakeup import wake_workers

Kind, State = SyncRun.Kind, SyncRun.State
PAGE_SIZE = 100
NEAR_BEFORE = timedelta(days=1)
NEAR_AFTER = timedelta(days=60)
#: How often a list that changed under our eyes is read again from its start.
MAX_ROUNDS = 3
#: How many rows that a list no longer shows are looked up singly in one run.
MAX_SUSPECTS = 50
#: An interrupted run is left alone for so long.
RETRY_DELAY = timedelta(minutes=1)


class LeaseLost(Exception):
    """Somebody else has taken the run over; what we read counts no more."""


def sync_appointments(
    *,
    connection: str,
    client: MeetergoClient,
    now: datetime,
    kind: str = Kind.NEAR,
    silent: bool = False,
    on_page: Callable[[SyncRun], None] | None = None,
) -> SyncRun:
    """Bring the mirror up to date: ``near`` from yesterday to 60 days ahead, ``full`` everything.

    A run that was interrupted goes on where it was. Returns the run: done, failed, or open when somebody
    else is walking. ``silent`` imports history: nobody is told. ``on_page`` is called after each page.
    """
    run, lease = open_run(connection, kind, now)
    if lease is None:
        return run
    walk = SyncWalk(run=run, lease=lease, client=client, watch=Stopwatch(now), silent=silent, on_page=on_page)
    try:
        walk.go()
    except LeaseLost:
        pass
    except RemoteError as error:
        stop_run(run, lease, error, walk.watch.now())
    run.refresh_from_db()
    return run


def stop_run(run: SyncRun, lease: Lease, error: RemoteError, now: datetime) -> None:
    """A full run keeps its place for the next call; a near one is short and soon begins anew."""
    if run.kind == Kind.FULL:
        SyncRun.objects.finish(lease, message=str(error), next_at=now + RETRY_DELAY)
        return
    SyncRun.objects.finish(lease, state=State.FAILED, message=str(error), finished_at=now, open_run_key=None)


def open_run(connection: str, kind: str, now: datetime) -> tuple[SyncRun, Lease | None]:
    """The open run of this kind, or a new one, and its lease unless somebody else is walking."""
    run = find_open_run(connection, kind, now)
    claimed = SyncRun.objects.filter(state=State.OPEN).claim(
        run.pk, now=now, lease=get_settings().lease, message=""
    )
    run.refresh_from_db()
    return run, claimed


def find_open_run(connection: str, kind: str, now: datetime) -> SyncRun:
    key = f"{connection}|{kind}"
    near = kind == Kind.NEAR
    try:
        with transaction.atomic():
            return SyncRun.objects.create(
                connection=connection,
                kind=kind,
                open_run_key=key,
                started_at=now,
                window_start=now - NEAR_BEFORE if near else None,
                window_end=now + NEAR_AFTER if near else None,
            )
    except IntegrityError:
        # Whoever was faster may have come to the end by now: then it is our turn.
        return SyncRun.objects.filter(open_run_key=key).first() or find_open_run(connection, kind, now)


def list_owners(connection: str) -> list[str]:
    """Whose lists to walk, in a fixed order; "" is the credential's own.

    An admin may read everybody's. Who is not, or may not say, is asked for its own first.
    """
    account = Connection.objects.filter(connection=connection).first()
    known = Host.objects.filter(connection=connection, missing_since=None)
    # Sorted here: a database's collation may see another order, and a resumed run depends on it.
    hosts = sorted(known.values_list("remote_id", flat=True))
    if account and account.is_admin and hosts:
        return hosts
    if account and account.user_id:
        return [""]
    return ["", *hosts]


@dataclass
class SyncWalk:
    """One run in this process: where it is, and what it has seen of each list."""

    run: SyncRun
    lease: Lease
    client: MeetergoClient
    watch: Stopwatch
    silent: bool = False
    on_page: Callable[[SyncRun], None] | None = None
    seen: array[int] = field(default_factory=lambda: array("q"))
    is_whole: bool = True

    def go(self) -> None:
        # Of a run that others began we know only the rest: nobody can be missed by that.
        self.is_whole = not (self.run.page or self.run.owner)
        for owner in self.list_remaining():
            self.walk_list(owner)
        if self.is_whole:
            self.look_up_suspects()
        SyncRun.objects.finish(self.lease, state=State.DONE, finished_at=self.watch.now(), open_run_key=None)

    def list_remaining(self) -> list[str]:
        return [owner for owner in list_owners(self.run.connection) if owner >= self.run.owner]

    def walk_list(self, owner: str) -> None:
        """One person's list, read again from its start when it changed under our eyes."""
        page = self.run.page if owner == self.run.owner else 0
        for _ in range(MAX_ROUNDS):
            try:
                if self.walk_pages(owner, page):
                    return
            except PermissionRefused:
                if not owner:
                    raise
                # Not for this credential's eyes; nothing can be said of what is not shown.
                self.is_whole = False
                return
            page = 0
        self.is_whole = False

    def walk_pages(self, owner: str, first: int) -> bool:
        """Read to the end; False when rows may have slipped through between two pages."""
        read, last_ids, last_total = first * PAGE_SIZE, frozenset[str](), None
        for page in count(first):
            answer = read_page(self.run, owner, page, self.client)
            ids = frozenset(document.id for document in answer.appointments)
            shrunk = last_total is not None and answer.total is not None and answer.total < last_total
            if shrunk or (ids and ids == last_ids):
                return False
            self.store_page(owner, page, answer)
            read += len(ids - last_ids) + answer.unreadable
            last_ids, last_total = ids, answer.total
            is_short = len(answer.appointments) + answer.unreadable < PAGE_SIZE
            if is_short or (answer.total is not None and read >= answer.total):
                return answer.total is None or read >= answer.total
        return True

    def store_page(self, owner: str, page: int, answer: AppointmentPage) -> None:
        """Rows and checkpoint of a page are one transaction."""
        now, run = self.watch.now(), self.run
        # Bookings first, each in a transaction of its own: they lock themselves, then their appointment.
        adopt_documents(connection=run.connection, documents=answer.appointments, now=now)

        def store() -> RecordedAppointments:
            recorded = record_appointments(
                connection=run.connection, documents=answer.appointments, now=now, silent=self.silent
            )
            held = SyncRun.objects.filter(pk=run.pk, lease_token=self.lease.token).update(
                owner=owner,
                page=page + 1,
                total=answer.total,
                seen=F("seen") + len(answer.appointments),
                written=F("written") + recorded.written,
                lease_until=now + get_settings().lease,
            )
            if not held:
                raise LeaseLost
            return recorded

        recorded = run_with_retries(store)
        self.seen.extend(row.pk for row in recorded.appointments.values())
        if answer.unreadable:
            self.is_whole = False
        if self.on_page:
            run.refresh_from_db()
            self.on_page(run)

    def look_up_suspects(self) -> None:
        """Rows that no list showed are read singly; only a 404 says that one is gone."""
        for appointment in list_unseen(self.run, self.seen)[:MAX_SUSPECTS]:
            now = self.watch.now()
            try:
                document = self.client.get_appointment(appointment.remote_id)
            except NotFound:
                record_missing(appointment=appointment, now=now)
            else:
                record_appointment(connection=appointment.connection, document=document, now=now)


def sync_appointment(*, appointment: Appointment, client: MeetergoClient, now: datetime) -> Appointment:
    """Read one appointment again; a 404 marks it missing. Returns it as stored. Raises RemoteError."""
    watch = Stopwatch(now)
    try:
        document = client.get_appointment(appointment.remote_id)
    except NotFound:
        record_missing(appointment=appointment, now=watch.now())
    else:
        with transaction.atomic():
            record_appointment(connection=appointment.connection, document=document, now=watch.now())
            adopt_documents(connection=appointment.connection, documents=[document], now=watch.now())
        # An unchanged document is not written; that it was read just now is worth knowing all the same.
        record_unchanged(appointment=appointment, now=watch.now())
    appointment.refresh_from_db()
    return appointment


def schedule_sync(*, connection: str, now: datetime, kind: str = Kind.NEAR) -> SyncRun:
    """Have the workers sync as soon as they can; a run that is open already is theirs to go on with."""
    run = find_open_run(connection, kind, now)
    SyncRun.objects.filter(pk=run.pk, lease_token=None).update(next_at=now)
    wake_workers()
    return run


def list_unseen(run: SyncRun, seen: Iterable[int]) -> list[Appointment]:
    """Our rows of the run's window that were there before it began and did not turn up."""
    rows = Appointment.objects.filter(
        connection=run.connection, missing_since=None, synced_at__lt=run.started_at
    )
    if run.window_start and run.window_end:
        rows = rows.filter(start__range=(run.window_start, run.window_end))
    gone = set(rows.values_list("pk", flat=True)) - set(seen)
    return list(Appointment.objects.filter(pk__in=sorted(gone)[: MAX_SUSPECTS * 2]).defer("raw"))


def read_page(run: SyncRun, owner: str, page: int, client: MeetergoClient) -> AppointmentPage:
    """By creation, so that what is made meanwhile lands at the end. No status: its values are unpublished."""
    return client.list_appointments(
        page=page,
        page_size=PAGE_SIZE,
        start=run.window_start,
        end=run.window_end,
        user_id=owner,
        sort_by="appointment.createdAt",
        sort_direction="ASC",
    )
