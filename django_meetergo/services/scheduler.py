"""The one table of everything that can be due, and the one function that does it.

The inline ticker, ``meetergo_tick`` and the Celery task all call ``run_due``. Two of them at once are
harmless: every row is claimed before it is worked on.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from operator import attrgetter
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.db.models import Min
from django.db.models.functions import Coalesce, Greatest

from django_meetergo.clock import Stopwatch
from django_meetergo.conf import get_settings, list_connection_names
from django_meetergo.exceptions import MeetergoError
from django_meetergo.models import AppointmentChange, Booking, Connection, Event, SyncRun, WebhookDelivery
from django_meetergo.models.leases import LeasedQuerySet
from django_meetergo.remote.client import MeetergoClient
from django_meetergo.services import events, notifications
from django_meetergo.services.availability import refresh
from django_meetergo.services.booking import pending, reconciliation
from django_meetergo.services.booking import sending as booking_sending
from django_meetergo.services.changes import sending as change_sending
from django_meetergo.services.clients import build_client, record_contact
from django_meetergo.services.sync import appointments, directory
from django_meetergo.services.webhooks import apply

logger = logging.getLogger(__name__)

BATCH_SIZE = 50
#: A row whose work raised something unforeseen is left alone for so long.
ERROR_DELAY = timedelta(minutes=1)

POLL_NAME = "refresh free times"

Change = AppointmentChange.State


@dataclass(frozen=True, kw_only=True)
class DueRows:
    """One kind of row that can fall due, and what is done with it."""

    name: str
    rows: Callable[[], LeasedQuerySet[Any]]
    do: Callable[[Any, datetime], object]
    #: Rows that are worked on together: once in a round for each answer.
    group_by: Callable[[Any], object] = attrgetter("pk")


def send_booking(booking: Booking, now: datetime) -> object:
    client = build_client(booking.connection, "write")
    return booking_sending.send_booking(booking=booking, client=client, now=now)


def reconcile_booking(booking: Booking, now: datetime) -> object:
    client = build_client(booking.connection, "reread")
    return reconciliation.reconcile_booking(booking=booking, client=client, now=now)


def check_pending(booking: Booking, now: datetime) -> object:
    client = build_client(booking.connection, "reread")
    return pending.check_pending(booking=booking, client=client, now=now)


def reread_booking(booking: Booking, now: datetime) -> object:
    client = build_client(booking.connection, "reread")
    return reconciliation.reread_booking(booking=booking, client=client, now=now)


def send_change(change: AppointmentChange, now: datetime) -> object:
    client = build_client(change.appointment.connection, "write")
    return change_sending.send_change(change=change, client=client, now=now)


def reconcile_change(change: AppointmentChange, now: datetime) -> object:
    client = build_client(change.appointment.connection, "reread")
    return change_sending.reconcile_change(change=change, client=client, now=now)


def apply_deliveries(delivery: WebhookDelivery, now: datetime) -> object:
    client = build_client(delivery.connection, "deliveries")
    return apply.apply_deliveries(connection=delivery.connection, client=client, now=now)


def dispatch_event(event: Event, now: datetime) -> object:
    return events.dispatch_event(event=event, now=now, also=notifications.send_notification)


def booking_rows(*states: str) -> Callable[[], LeasedQuerySet[Any]]:
    return lambda: Booking.objects.filter(state__in=states).select_related("meeting_type")


def change_rows(*states: str) -> Callable[[], LeasedQuerySet[Any]]:
    related = ("appointment__meeting_type", "attendee")
    return lambda: AppointmentChange.objects.filter(state__in=states).select_related(*related)


#: In order of urgency. Everything that can be left behind by a crash stands in here.
DUE_TABLE = (
    DueRows(name="send bookings", rows=booking_rows("received"), do=send_booking),
    DueRows(name="reconcile bookings", rows=booking_rows("sending", "unknown"), do=reconcile_booking),
    DueRows(name="send changes", rows=change_rows(Change.RECEIVED), do=send_change),
    DueRows(name="reconcile changes", rows=change_rows(Change.SENDING, Change.UNKNOWN), do=reconcile_change),
    DueRows(
        name="apply deliveries",
        rows=lambda: WebhookDelivery.objects.filter(state=WebhookDelivery.State.PENDING),
        do=apply_deliveries,
        group_by=attrgetter("connection"),
    ),
    DueRows(name="re-read bookings", rows=booking_rows("confirmed"), do=reread_booking),
    DueRows(name="check pending bookings", rows=booking_rows("pending"), do=check_pending),
    DueRows(
        name="tell the site",
        rows=lambda: Event.objects.filter(dispatched_at=None).select_related(
            "appointment__meeting_type", "attendee__booking", "booking__meeting_type"
        ),
        do=dispatch_event,
    ),
)


def run_due(now: datetime, *, periodic: bool = True) -> dict[str, int]:
    """Do everything that is due at ``now``; how many rows of each kind were worked on.

    ``periodic`` also brings directory and mirror up to date when their time has come.
    """
    watch = Stopwatch(now)
    done = {work.name: run_due_rows(work, watch) for work in DUE_TABLE}
    if periodic:
        done |= run_periodic(watch)
    return {name: number for name, number in done.items() if number}


def run_due_rows(work: DueRows, watch: Stopwatch) -> int:
    due = work.rows().due(watch.now()).order_by("next_at")[:BATCH_SIZE]
    first = {work.group_by(row): row for row in reversed(due)}
    for row in reversed(first.values()):
        run_row(work, row, watch.now())
    return len(first)


def run_row(work: DueRows, row: Any, now: datetime) -> None:
    """One row; what goes wrong with it must not hold up the others."""
    try:
        work.do(row, now)
    except (MeetergoError, ImproperlyConfigured) as error:
        logger.warning("Could not %s: %s", work.name, type(error).__name__)
        postpone_row(row, now, getattr(error, "retry_after", None))
    except Exception:
        logger.exception("Could not %s.", work.name)
        postpone_row(row, now)


def postpone_row(row: Any, now: datetime, seconds: float | None = None) -> None:
    """Try this row again later, unless somebody else has moved it on."""
    pause = timedelta(seconds=seconds) if seconds else ERROR_DELAY
    same = type(row).objects.filter(pk=row.pk, next_at=row.next_at)
    # A lease stays: it may be a successor's by now, and our own runs out by itself.
    same.update(next_at=now + pause)


def find_next_due(now: datetime) -> datetime | None:
    """When the next row falls due, or is free again; None when nothing waits."""
    moments = []
    for work in DUE_TABLE:
        free_at = Greatest("next_at", Coalesce("lease_until", "next_at"))
        found = work.rows().order_by().aggregate(due=Min(free_at))["due"]
        if found:
            moments.append(max(found, now))
    return min(moments, default=None)


# What comes round by itself


def run_periodic(watch: Stopwatch) -> dict[str, int]:
    done: dict[str, int] = {}
    for connection in list_connection_names():
        for name, run in list_periodic(connection, watch):
            run_one(name, run)
            done[name] = done.get(name, 0) + 1
    return done


def run_one(name: str, run: Callable[[], object]) -> None:
    try:
        run()
    except MeetergoError as error:
        logger.warning("Could not %s: %s", name, type(error).__name__)


def poll_all_connections(now: datetime) -> None:
    """Refresh what people look at, and nothing else."""
    watch = Stopwatch(now)
    for connection in list_connection_names():
        run_one(POLL_NAME, partial(poll_availability, connection, watch))


def list_periodic(connection: str, watch: Stopwatch) -> Iterator[tuple[str, Callable[[], object]]]:
    """What is due for a connection because time has passed."""
    settings, now = get_settings(), watch.now()
    yield POLL_NAME, partial(poll_availability, connection, watch)
    account, _ = Connection.objects.get_or_create(connection=connection)
    if is_over(account.directory_synced_at, settings.DIRECTORY_SYNC_INTERVAL, now):
        yield "sync the directory", partial(sync_directory, connection, watch)
    for kind, every in (
        (SyncRun.Kind.NEAR, settings.SYNC_INTERVAL),
        (SyncRun.Kind.FULL, settings.FULL_SYNC_INTERVAL),
    ):
        if is_sync_due(connection, kind, every, now):
            yield f"sync {kind}", partial(sync_appointments, connection, kind, watch)


def is_sync_due(connection: str, kind: str, every: float, now: datetime) -> bool:
    """An interrupted run goes on when its pause is over; a new one begins when the last is old enough."""
    last = SyncRun.objects.filter(connection=connection, kind=kind).order_by("-started_at").first()
    if last is not None and last.state == SyncRun.State.OPEN:
        return last.next_at is None or last.next_at <= now
    return last is None or is_over(last.started_at, every, now)


def poll_availability(connection: str, watch: Stopwatch) -> None:
    with record_errors(connection, "planned") as client:
        refresh.poll_availability(connection=connection, client=client, now=watch.now())


def sync_appointments(connection: str, kind: str, watch: Stopwatch) -> None:
    with record_errors(connection, "sync") as client:
        appointments.sync_appointments(connection=connection, client=client, now=watch.now(), kind=kind)


def sync_directory(connection: str, watch: Stopwatch) -> None:
    with record_errors(connection, "sync") as client:
        directory.sync_directory(connection=connection, client=client, now=watch.now())


@contextmanager
def record_errors(connection: str, priority: str) -> Iterator[MeetergoClient]:
    """A client; what its calls show about clock and credential is written down, however they end."""
    client = build_client(connection, priority)
    try:
        yield client
    finally:
        record_contact(connection=connection, client=client)


def is_over(since: datetime | None, seconds: float, now: datetime) -> bool:
    return since is None or now - since >= timedelta(seconds=seconds)
