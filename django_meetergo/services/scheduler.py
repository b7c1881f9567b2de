"""The table of everything that can be due, and ``run_due``, which does it.

The background thread, ``meetergo_tick`` and the tasks all call ``run_due``. Several may run at once: every
row is claimed before it is worked on.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
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
from django_meetergo.services import alerts, companies, events, notifications, retry
from django_meetergo.services.availability import refresh
from django_meetergo.services.booking import outcomes, pending, reconciliation, watching
from django_meetergo.services.booking import sending as booking_sending
from django_meetergo.services.changes import sending as change_sending
from django_meetergo.services.clients import build_client, record_contact
from django_meetergo.services.privacy import retention
from django_meetergo.services.retry import RetryPolicy
from django_meetergo.services.sync import appointments, directory, runs
from django_meetergo.services.webhooks import apply

logger = logging.getLogger(__name__)

BATCH_SIZE = 50
#: A run begins nothing after so many seconds. What it has begun ends within its limits.
RUN_SECONDS = 150.0

POLL_NAME = "refresh free times"

Change = AppointmentChange.State


@dataclass(frozen=True, kw_only=True)
class DueRows:
    """One kind of row that can be due, what is done with it, and what happens when that fails.

    ``policy`` says when a row whose handler raised is tried again; ``give_up`` ends the row when the policy
    is used up. Rows with the same ``group_by`` value are handled together, by one call of the handler.
    """

    name: str
    rows: Callable[[], LeasedQuerySet[Any]]
    handler: Callable[[Any, datetime], object]
    policy: RetryPolicy
    give_up: Callable[[Any, datetime, Exception], object]
    group_by: Callable[[Any], object] = attrgetter("pk")


def send_booking(booking: Booking, now: datetime) -> None:
    # Before a client is built: a booking ends in time also when its connection has been removed.
    if not booking_sending.close_if_expired(booking, now):
        client = build_client(booking.reader, "write")
        booking_sending.send_booking(booking=booking, client=client, now=now)


def with_client(do: Callable[..., object], row_name: str, priority: str) -> Callable[[Any, datetime], object]:
    """Return a handler that calls a service with the row, a client for it, and the time."""

    def handle(row: Any, now: datetime) -> object:
        return do(**{row_name: row}, client=build_client(row.reader, priority), now=now)

    return handle


def apply_deliveries(delivery: WebhookDelivery, now: datetime) -> None:
    client = build_client(delivery.connection, "deliveries")
    apply.apply_deliveries(connection=delivery.connection, client=client, now=now)


def dispatch_event(event: Event, now: datetime) -> None:
    events.dispatch_event(event=event, now=now, also=notifications.list_mails)


def stop_reading(booking: Booking, now: datetime, error: Exception) -> None:
    """Read nothing more for a booking that has ended anyway, unless its state has changed meanwhile."""
    Booking.objects.filter(pk=booking.pk, state=booking.state).update(next_at=None)


def booking_rows(*states: str) -> Callable[[], LeasedQuerySet[Any]]:
    return lambda: Booking.objects.filter(state__in=states).select_related("meeting_type")


def change_rows(*states: str) -> Callable[[], LeasedQuerySet[Any]]:
    related = ("appointment__meeting_type", "attendee", "target_host")
    return lambda: AppointmentChange.objects.filter(state__in=states).select_related(*related)


#: In order of urgency. Every row that a crash can leave behind is found through this table.
DUE_TABLE = (
    DueRows(
        name="send bookings",
        rows=booking_rows("received"),
        handler=send_booking,
        policy=retry.BOOKING_DEFERRED,
        give_up=lambda booking, now, error: booking_sending.close_unsent(booking, now),
    ),
    DueRows(
        name="reconcile bookings",
        rows=booking_rows("sending", "unknown"),
        handler=with_client(reconciliation.reconcile_booking, "booking", "reread"),
        policy=retry.BOOKING_SEARCH,
        give_up=lambda booking, now, error: outcomes.give_up_search(booking, now),
    ),
    DueRows(
        name="send changes",
        rows=change_rows(Change.RECEIVED),
        handler=with_client(change_sending.send_change, "change", "write"),
        policy=retry.CHANGE_SEND,
        give_up=partial(change_sending.give_up_unclaimed, retry.CHANGE_SEND),
    ),
    DueRows(
        name="reconcile changes",
        rows=change_rows(Change.SENDING, Change.UNKNOWN),
        handler=with_client(change_sending.reconcile_change, "change", "reread"),
        policy=retry.CHANGE_POLL,
        give_up=partial(change_sending.give_up_unclaimed, retry.CHANGE_POLL),
    ),
    DueRows(
        name="apply deliveries",
        rows=lambda: WebhookDelivery.objects.filter(state=WebhookDelivery.State.PENDING),
        handler=apply_deliveries,
        policy=retry.DELIVERY,
        give_up=apply.give_up_delivery,
        group_by=attrgetter("connection"),
    ),
    DueRows(
        name="re-read bookings",
        rows=booking_rows("confirmed"),
        handler=with_client(reconciliation.reread_booking, "booking", "reread"),
        policy=retry.BOOKING_REREAD,
        give_up=stop_reading,
    ),
    DueRows(
        name="check pending bookings",
        rows=booking_rows("pending"),
        handler=with_client(pending.check_pending, "booking", "reread"),
        policy=retry.BOOKING_PENDING_UNREAD,
        give_up=lambda booking, now, error: outcomes.give_up_search(booking, now),
    ),
    DueRows(
        name="watch closed bookings",
        rows=booking_rows("closed"),
        handler=with_client(watching.watch_closed_booking, "booking", "reread"),
        policy=retry.BOOKING_PENDING_UNREAD,
        give_up=stop_reading,
    ),
    DueRows(
        name="dispatch events",
        rows=lambda: Event.objects.filter(dispatched_at=None),
        handler=dispatch_event,
        policy=retry.EVENT,
        give_up=events.give_up_event,
    ),
)


def run_due(now: datetime, *, periodic: bool = True, seconds: float = RUN_SECONDS) -> dict[str, int]:
    """Do everything that is due at ``now``. Return how many rows of each kind were worked on.

    ``periodic`` also brings the directory and the mirror up to date when their interval is over. After
    ``seconds`` nothing more is begun: a worker that ends its tasks by force leaves no call half done then.
    """
    stopwatch, until = Stopwatch(now), now + timedelta(seconds=seconds)
    done: Counter[str] = Counter()
    is_more = True
    # A backlog is handled in rounds: what becomes urgent meanwhile waits for a batch of each kind only.
    while is_more and stopwatch.now() < until:
        handled = {work.name: run_due_rows(work, stopwatch, until) for work in DUE_TABLE}
        done.update(handled)
        if periodic:
            done.update(run_periodic(stopwatch, until))
        is_more = max(handled.values()) >= BATCH_SIZE
    return {name: number for name, number in done.items() if number}


def run_due_rows(work: DueRows, stopwatch: Stopwatch, until: datetime) -> int:
    """Handle a batch of due rows of one kind, the oldest first. Return how many."""
    if stopwatch.now() >= until:
        return 0
    # Keys only: most of the time nothing is due, and ordering rows with all their columns is most of a round.
    due = work.rows().due(stopwatch.now()).order_by("next_at", "pk").values_list("pk", flat=True)
    keys = list(due[:BATCH_SIZE])
    rows = work.rows().order_by().in_bulk(keys)
    groups: dict[object, list[Any]] = {}
    for row in (rows[key] for key in keys if key in rows):
        groups.setdefault(work.group_by(row), []).append(row)
    handled = 0
    for group in groups.values():
        if stopwatch.now() >= until:
            break
        run_rows(work, group, stopwatch.now())
        handled += len(group)
    return handled


def run_rows(work: DueRows, rows: Sequence[Any], now: datetime) -> None:
    """Handle rows that belong together. What goes wrong with them does not stop the others."""
    try:
        work.handler(rows[0], now)
    except (MeetergoError, ImproperlyConfigured) as error:
        logger.warning("%s: row %s failed and is tried again later. %s", work.name, rows[0].pk, error)
        postpone_rows(work, rows, now, error)
    except Exception as error:
        logger.exception("%s: row %s failed and is tried again later.", work.name, rows[0].pk)
        postpone_rows(work, rows, now, error)


def postpone_rows(work: DueRows, rows: Sequence[Any], now: datetime, error: Exception) -> None:
    """Try these rows again by their policy, or give them up, unless another worker has changed them."""
    for row in rows:
        planned = work.policy.plan(row, now, error)
        if planned is None:
            logger.error("%s: row %s is given up. %s", work.name, row.pk, error)
            work.give_up(row, now, error)
        else:
            # The lease is not released: it may belong to a successor by now, and ours expires.
            type(row).objects.filter(pk=row.pk, next_at=row.next_at).update(**planned)


def find_next_due(now: datetime) -> datetime | None:
    """Return when the next row is due or its lease expires; None when no row waits."""
    moments = []
    for work in DUE_TABLE:
        free_at = Greatest("next_at", Coalesce("lease_until", "next_at"))
        # Most rows wait for nothing; the database finds the others by the index of ``next_at``.
        waiting = work.rows().filter(next_at__isnull=False)
        found = waiting.order_by().aggregate(due=Min(free_at))["due"]
        if found:
            moments.append(max(found, now))
    return min(moments, default=None)


# Periodic work


def run_periodic(stopwatch: Stopwatch, until: datetime) -> dict[str, int]:
    """Do what is due for each connection because an interval is over."""
    done: dict[str, int] = {}
    for connection in list_connection_names():
        for name, run in list_periodic(connection, stopwatch):
            if stopwatch.now() >= until:
                return done
            run_one(connection, name, run)
            done[name] = done.get(name, 0) + 1
        run_one(
            connection,
            "record alerts",
            partial(alerts.record_alerts, connection=connection, now=stopwatch.now()),
        )
    return done


def run_one(connection: str, name: str, run: Callable[[], object]) -> None:
    """Do one piece of periodic work. What goes wrong with it does not stop the others."""
    try:
        run()
    except (MeetergoError, ImproperlyConfigured) as error:
        logger.warning("%s of connection %s failed and is tried again later. %s", name, connection, error)
    except Exception:
        logger.exception("%s of connection %s failed and is tried again later.", name, connection)


def poll_all_connections(now: datetime) -> None:
    """Refresh the availability that visitors look at, for every connection, and nothing else."""
    stopwatch = Stopwatch(now)
    for connection in list_connection_names():
        run_one(connection, POLL_NAME, build_poll(connection, stopwatch))


def list_periodic(connection: str, stopwatch: Stopwatch) -> Iterator[tuple[str, Callable[[], object]]]:
    """Return the periodic work of a connection that is due, by name."""
    settings, now = get_settings(), stopwatch.now()
    yield POLL_NAME, build_poll(connection, stopwatch)
    known, _ = Connection.objects.get_or_create(connection=connection)
    last_read, interval = known.directory_synced_at, settings.DIRECTORY_SYNC_INTERVAL
    if is_over(last_read, interval, now) and is_free(find_last_run(connection, SyncRun.Kind.DIRECTORY), now):
        yield "sync the directory", with_contact(directory.sync_directory, connection, "sync", stopwatch)
    if companies.find_covering(connection):
        return  # another connection reads the same appointments
    for kind, every in (
        (SyncRun.Kind.NEAR, settings.SYNC_INTERVAL),
        (SyncRun.Kind.FULL, settings.FULL_SYNC_INTERVAL),
    ):
        last = find_last_run(connection, kind)
        is_new = last is None or last.state != SyncRun.State.OPEN
        if is_sync_due(last, every, now):
            if kind == SyncRun.Kind.FULL and is_new:
                yield "delete old data", partial(retention.prune, now=now)
            run = partial(appointments.sync_appointments, kind=kind, silent=not runs.is_imported(connection))
            yield f"sync {kind}", with_contact(run, connection, "sync", stopwatch)


def is_sync_due(last: SyncRun | None, every: float, now: datetime) -> bool:
    """Whether a stopped run may go on, or the last run is old enough for a new one."""
    if last is not None and last.state == SyncRun.State.OPEN:
        return is_free(last, now)
    return last is None or is_over(last.started_at, every, now)


def find_last_run(connection: str, kind: str) -> SyncRun | None:
    return SyncRun.objects.filter(connection=connection, kind=kind).order_by("-started_at").first()


def is_free(run: SyncRun | None, now: datetime) -> bool:
    """Whether a run is not open, or is open and due."""
    if run is None or run.state != SyncRun.State.OPEN:
        return True
    is_held = run.lease_until is not None and run.lease_until >= now
    return not is_held and (run.next_at is None or run.next_at <= now)


def build_poll(connection: str, stopwatch: Stopwatch) -> Callable[[], object]:
    return with_contact(refresh.poll_availability, connection, "planned", stopwatch)


def with_contact(
    do: Callable[..., object], connection: str, priority: str, stopwatch: Stopwatch
) -> Callable[[], object]:
    """Return a call of a service with a client of the connection and the time.

    What its requests show about clock and credential is recorded, however they end.
    """

    def run() -> None:
        client = build_client(connection, priority)
        try:
            do(connection=connection, client=client, now=stopwatch.now())
        finally:
            record_contact(connection=connection, client=client)

    return run


def is_over(since: datetime | None, seconds: float, now: datetime) -> bool:
    return since is None or now - since >= timedelta(seconds=seconds)
