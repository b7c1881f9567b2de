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
from django_meetergo.conf import connection_names, get_settings
from django_meetergo.exceptions import MeetergoError
from django_meetergo.models import Account, AppointmentChange, Booking, Event, SyncRun, WebhookDelivery
from django_meetergo.models.leases import LeasedQuerySet
from django_meetergo.remote.client import MeetergoClient
from django_meetergo.services import (
    availability,
    bookings,
    changes,
    directory,
    events,
    notices,
    settling,
    sync,
    webhooks,
)
from django_meetergo.services.clients import client_for, record_contact

logger = logging.getLogger(__name__)

BATCH = 50
#: A row whose work raised something unforeseen is left alone for so long.
AFTER_ERROR = timedelta(minutes=1)

POLL = "refresh free times"

Change = AppointmentChange.State


@dataclass(frozen=True, kw_only=True)
class Work:
    """One kind of row that can fall due, and what is done with it."""

    name: str
    rows: Callable[[], LeasedQuerySet[Any]]
    do: Callable[[Any, datetime], object]
    #: Rows that are worked on together: once in a round for each answer.
    together: Callable[[Any], object] = attrgetter("pk")


def send_booking(booking: Booking, now: datetime) -> object:
    client = client_for(booking.connection, "write")
    return bookings.send_booking(booking=booking, client=client, now=now)


def settle_booking(booking: Booking, now: datetime) -> object:
    client = client_for(booking.connection, "reread")
    return settling.settle_booking(booking=booking, client=client, now=now)


def check_pending(booking: Booking, now: datetime) -> object:
    client = client_for(booking.connection, "reread")
    return settling.check_pending(booking=booking, client=client, now=now)


def reread_booking(booking: Booking, now: datetime) -> object:
    client = client_for(booking.connection, "reread")
    return settling.reread_booking(booking=booking, client=client, now=now)


def send_change(change: AppointmentChange, now: datetime) -> object:
    client = client_for(change.appointment.connection, "write")
    return changes.send_change(change=change, client=client, now=now)


def settle_change(change: AppointmentChange, now: datetime) -> object:
    client = client_for(change.appointment.connection, "reread")
    return changes.settle_change(change=change, client=client, now=now)


def apply_deliveries(delivery: WebhookDelivery, now: datetime) -> object:
    client = client_for(delivery.connection, "reread")
    return webhooks.apply_deliveries(connection=delivery.connection, client=client, now=now)


def dispatch_event(event: Event, now: datetime) -> object:
    return events.dispatch_event(event=event, now=now, also=notices.send_notice)


def booking_rows(*states: str) -> Callable[[], LeasedQuerySet[Any]]:
    return lambda: Booking.objects.filter(state__in=states).select_related("meeting_type")


def change_rows(*states: str) -> Callable[[], LeasedQuerySet[Any]]:
    related = ("appointment__meeting_type", "attendee")
    return lambda: AppointmentChange.objects.filter(state__in=states).select_related(*related)


#: In order of urgency. Everything that can be left behind by a crash stands in here.
TABLE = (
    Work(name="send bookings", rows=booking_rows("received"), do=send_booking),
    Work(name="settle bookings", rows=booking_rows("sending", "unknown"), do=settle_booking),
    Work(name="send changes", rows=change_rows(Change.RECEIVED), do=send_change),
    Work(name="settle changes", rows=change_rows(Change.SENDING, Change.UNKNOWN), do=settle_change),
    Work(
        name="apply deliveries",
        rows=lambda: WebhookDelivery.objects.filter(state=WebhookDelivery.State.PENDING),
        do=apply_deliveries,
        together=attrgetter("connection"),
    ),
    Work(name="re-read bookings", rows=booking_rows("confirmed"), do=reread_booking),
    Work(name="check pending bookings", rows=booking_rows("pending"), do=check_pending),
    Work(
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
    done = {work.name: run_work(work, watch) for work in TABLE}
    if periodic:
        done |= run_periodic(watch)
    return {name: number for name, number in done.items() if number}


def run_work(work: Work, watch: Stopwatch) -> int:
    due = work.rows().due(watch.now()).order_by("next_at")[:BATCH]
    first = {work.together(row): row for row in reversed(due)}
    for row in reversed(first.values()):
        run_row(work, row, watch.now())
    return len(first)


def run_row(work: Work, row: Any, now: datetime) -> None:
    """One row; what goes wrong with it must not hold up the others."""
    try:
        work.do(row, now)
    except (MeetergoError, ImproperlyConfigured) as error:
        logger.warning("Could not %s: %s", work.name, type(error).__name__)
        put_off(row, now, getattr(error, "retry_after", None))
    except Exception:
        logger.exception("Could not %s.", work.name)
        put_off(row, now)


def put_off(row: Any, now: datetime, seconds: float | None = None) -> None:
    """Try this row again later, unless somebody else has moved it on."""
    pause = timedelta(seconds=seconds) if seconds else AFTER_ERROR
    same = type(row).objects.filter(pk=row.pk, next_at=row.next_at)
    # A lease stays: it may be a successor's by now, and our own runs out by itself.
    same.update(next_at=now + pause)


def find_next_due(now: datetime) -> datetime | None:
    """When the next row falls due, or is free again; None when nothing waits."""
    moments = []
    for work in TABLE:
        free_at = Greatest("next_at", Coalesce("lease_until", "next_at"))
        found = work.rows().order_by().aggregate(due=Min(free_at))["due"]
        if found:
            moments.append(max(found, now))
    return min(moments, default=None)


# What comes round by itself


def run_periodic(watch: Stopwatch) -> dict[str, int]:
    done: dict[str, int] = {}
    for connection in connection_names():
        for name, run in list_periodic(connection, watch):
            run_one(name, run)
            done[name] = done.get(name, 0) + 1
    return done


def run_one(name: str, run: Callable[[], object]) -> None:
    try:
        run()
    except MeetergoError as error:
        logger.warning("Could not %s: %s", name, type(error).__name__)


def poll_all(now: datetime) -> None:
    """Refresh what people look at, and nothing else."""
    watch = Stopwatch(now)
    for connection in connection_names():
        run_one(POLL, partial(poll_availability, connection, watch))


def list_periodic(connection: str, watch: Stopwatch) -> Iterator[tuple[str, Callable[[], object]]]:
    """What is due for a connection because time has passed."""
    settings, now = get_settings(), watch.now()
    yield POLL, partial(poll_availability, connection, watch)
    account, _ = Account.objects.get_or_create(connection=connection)
    if is_over(account.directory_synced_at, settings.DIRECTORY_EVERY, now):
        yield "sync the directory", partial(sync_directory, connection, watch)
    for kind, every in ((SyncRun.Kind.NEAR, settings.NEAR_EVERY), (SyncRun.Kind.FULL, settings.FULL_EVERY)):
        if is_sync_due(connection, kind, every, now):
            yield f"sync {kind}", partial(sync_appointments, connection, kind, watch)


def is_sync_due(connection: str, kind: str, every: float, now: datetime) -> bool:
    """An interrupted run goes on when its pause is over; a new one begins when the last is old enough."""
    last = SyncRun.objects.filter(connection=connection, kind=kind).order_by("-started_at").first()
    if last is not None and last.state == SyncRun.State.OPEN:
        return last.next_at is None or last.next_at <= now
    return last is None or is_over(last.started_at, every, now)


def poll_availability(connection: str, watch: Stopwatch) -> None:
    with calling(connection, "planned") as client:
        availability.poll_availability(connection=connection, client=client, now=watch.now())


def sync_appointments(connection: str, kind: str, watch: Stopwatch) -> None:
    with calling(connection, "sync") as client:
        sync.sync_appointments(connection=connection, client=client, now=watch.now(), kind=kind)


def sync_directory(connection: str, watch: Stopwatch) -> None:
    with calling(connection, "sync") as client:
        directory.sync_directory(connection=connection, client=client, now=watch.now())


@contextmanager
def calling(connection: str, lane: str) -> Iterator[MeetergoClient]:
    """A client; what its calls show about clock and credential is written down, however they end."""
    client = client_for(connection, lane)
    try:
        yield client
    finally:
        record_contact(connection=connection, client=client)


def is_over(since: datetime | None, seconds: float, now: datetime) -> bool:
    return since is None or now - since >= timedelta(seconds=seconds)
