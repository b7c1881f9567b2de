"""Record transitions once and dispatch them to the site's receivers at least once."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

from asgiref.sync import async_to_sync
from django.db.models import F
from django.dispatch import Signal

from django_meetergo import signals
from django_meetergo.clock import Stopwatch
from django_meetergo.lookups import find_one
from django_meetergo.models import Appointment, AppointmentChange, Attendee, Booking, Event, Host, Lease
from django_meetergo.services.retry import EVENT, LeaseRenewal
from django_meetergo.texts import describe_exception
from django_meetergo.transactions import write_transaction
from django_meetergo.wakeup import wake_workers

logger = logging.getLogger(__name__)

Kind = Event.Kind

#: The transitions that have a public signal. The others appear in the timeline only.
SIGNALS: dict[str, Signal] = {
    Kind.APPOINTMENT_BOOKED: signals.appointment_booked,
    Kind.APPOINTMENT_RESCHEDULED: signals.appointment_rescheduled,
    Kind.APPOINTMENT_HANDED_OVER: signals.appointment_handed_over,
    Kind.APPOINTMENT_CANCELLED: signals.appointment_cancelled,
    Kind.ATTENDEE_REMOVED: signals.attendee_removed,
    Kind.BOOKING_PENDING: signals.booking_pending,
    Kind.BOOKING_CLOSED: signals.booking_closed,
    Kind.BOOKING_NEEDS_STAFF: signals.booking_needs_staff,
}

#: Transitions without a signal that lead to a mail.
MAILED_KINDS = frozenset(
    {
        Kind.BOOKING_FOUND,
        Kind.BOOKING_REBOOKED,
        Kind.CHANGE_FAILED,
        Kind.LINKS_REQUESTED,
        Kind.CREDENTIAL_REFUSED,
        Kind.SERVICE_AWAY,
    }
)

#: States of a receiver in ``Event.receivers``.
CALLING, DONE, FAILING, DEAD = "calling", "done", "failing", "dead"
MAX_ERROR = 500


def build_event(
    *,
    kind: str,
    key: str,
    now: datetime,
    connection: str,
    appointment: Appointment | None = None,
    attendee: Attendee | None = None,
    booking: Booking | None = None,
    silent: bool = False,
    **data: Any,
) -> Event:
    """Return an unsaved event. ``silent`` events are history and are not dispatched."""
    is_dispatched = silent or not (kind in SIGNALS or kind in MAILED_KINDS)
    return Event(
        kind=kind,
        key=key,
        connection=connection,
        appointment=appointment,
        attendee=attendee,
        booking=booking,
        data=data,
        created_at=now,
        next_at=None if is_dispatched else now,
        dispatched_at=now if is_dispatched else None,
    )


def record_events(events: Iterable[Event]) -> None:
    """Store events inside the caller's transaction. An event whose key is stored already is left alone."""
    rows = list(events)
    if not rows:
        return
    Event.objects.bulk_create(rows, ignore_conflicts=True)
    if any(row.next_at for row in rows):
        wake_workers()


def record_booking_event(booking: Booking, kind: str, *, now: datetime, step: str = "") -> None:
    """Store a transition of a booking. ``step`` distinguishes transitions that may be repeated."""
    key = ":".join(filter(None, ["booking", str(booking.pk), kind, step]))
    record_events([build_event(kind=kind, key=key, now=now, connection=booking.connection, booking=booking)])


def record_change_event(change: AppointmentChange, kind: str, *, now: datetime) -> None:
    """Store a transition of a change."""
    event = build_event(
        kind=kind,
        key=f"change:{change.pk}:{kind}",
        now=now,
        connection=change.appointment.connection,
        appointment=change.appointment,
        attendee=change.attendee,
        change=change.kind,
    )
    record_events([event])


# Dispatching


@dataclass(frozen=True)
class Receiver:
    """A function to call for an event, under a name that is the same in every process."""

    name: str
    call: Callable[[], object]


def dispatch_event(
    *, event: Event, now: datetime, also: Callable[[Event, datetime], Iterable[Receiver]]
) -> bool:
    """Call the receivers of one due event and those that ``also`` returns. Return whether all have succeeded.

    Each receiver has its own result: one that fails is called again by the policy ``EVENT`` and is dead when
    that is used up; one that succeeded is not called again. Whatever a receiver raises, also SystemExit, is
    stored and logged.
    """
    stopwatch = Stopwatch(now)
    is_repeated = event.tries > 0
    # A row that was read before another worker called receivers does not show which have succeeded.
    due = Event.objects.due(now).filter(tries=event.tries)
    lease = due.claim(event.pk, now=now, tries=F("tries") + 1)
    if lease is None:
        return False
    stored = fetch_event(event)
    if stored is None:
        return False
    event = stored
    held = Event.objects.held(lease)
    renewal = LeaseRenewal(held, stopwatch)
    results, names, is_held = dict(event.receivers), [], True
    for receiver in list_receivers(event, also, now):
        names.append(receiver.name)
        known = results.get(receiver.name, {})
        if known.get("state") in {DONE, DEAD}:
            continue
        is_held = is_held and renewal.renew_if_due()
        if not is_held:
            continue
        tries = known.get("tries", 0) + 1
        if is_repeated:
            # A receiver that ends the process leaves this mark, so that its calls are counted, too.
            error = known.get("error") or "The process ended during the call."
            results[receiver.name] = {"state": CALLING, "tries": tries, "error": error}
            held.update(receivers=results)
        results[receiver.name] = call_receiver(event, receiver, tries)
    # One that failed, and that a new version of the site no longer has, is not waited for.
    results = {name: known for name, known in results.items() if name in names or known["state"] == DONE}
    return store_results(event, lease, results, names, stopwatch.now())


def fetch_event(event: Event) -> Event | None:
    """Read an event with what it is about; None when that was deleted while receivers were called."""
    about = ("appointment__meeting_type", "attendee__booking", "booking__meeting_type")
    return find_one(Event.objects.select_related(*about).filter(pk=event.pk))


def store_results(
    event: Event, lease: Lease, results: dict[str, dict[str, Any]], names: Sequence[str], now: datetime
) -> bool:
    """Store what the receivers of these names did. Return whether all have succeeded.

    A receiver that takes longer than the lease outlives it every time. What it did counts all the same:
    otherwise each worker would call it once more, for ever.
    """
    columns = plan_results(event, results, names, now)
    if not Event.objects.finish(lease, **columns):
        with write_transaction():
            waiting = Event.objects.select_for_update()
            stored = find_one(waiting.filter(pk=event.pk, dispatched_at=None))
            if stored is None:
                return False
            succeeded = {name for name, known in stored.receivers.items() if known["state"] == DONE}
            news = {name: result for name, result in results.items() if name not in succeeded}
            columns = plan_results(stored, {**stored.receivers, **news}, names, now)
            if columns["next_at"] is not None:
                del columns["next_at"]  # the successor decides when
            Event.objects.filter(pk=event.pk).update(**columns)
    return "dispatched_at" in columns


def plan_results(
    event: Event, results: dict[str, dict[str, Any]], names: Sequence[str], now: datetime
) -> dict[str, Any]:
    """Return the columns of an event after its receivers were called."""
    if all(results.get(name, {}).get("state") == DONE for name in names):
        return {"dispatched_at": now, "next_at": None, "receivers": {}, "failing_since": None}
    retry = EVENT.plan(event, now, is_counted=True)
    if retry is None:
        logger.error("Event %s (%s) is given up: %s.", event.pk, event.kind, ", ".join(list_failed(results)))
        return {"next_at": None, "receivers": mark_failed(results, DEAD)}
    return {"receivers": results, **retry}


def list_receivers(
    event: Event, also: Callable[[Event, datetime], Iterable[Receiver]], now: datetime
) -> Iterator[Receiver]:
    """Yield what is called for an event: the receivers of its signal, then those of ``also``.

    What ``also`` calls depends on what is true once the receivers of the signal have been called.
    """
    arguments = {
        "event_key": event.key,
        "connection": event.connection,
        "appointment": event.appointment,
        "attendee": event.attendee,
        "booking": event.booking or getattr(event.attendee, "booking", None),
        **parse_event_data(event.data),
    }
    signal = SIGNALS.get(event.kind)
    names: dict[str, int] = {}
    if signal is not None:
        # Signal.send_robust calls every receiver each time, so each one is called here by itself.
        called, awaited = signal._live_receivers(Event)
        for function in [*called, *map(async_to_sync, awaited)]:
            name = name_function(function)
            names[name] = names.get(name, 0) + 1
            call = partial(function, signal=signal, sender=Event, **arguments)
            yield Receiver(name if names[name] == 1 else f"{name}#{names[name]}", call)
    # Receivers may have taken long, or have changed what the event is about.
    current = fetch_event(event) if names else event
    if current is not None:
        yield from also(current, now)


def name_function(function: Any) -> str:
    """Return the dotted path of a receiver, also of a method, a partial or an async function."""
    function = getattr(function, "awaitable", function)
    function = getattr(function, "func", function)
    named = function if hasattr(function, "__qualname__") else type(function)
    return f"{named.__module__}.{named.__qualname__}"


def call_receiver(event: Event, receiver: Receiver, tries: int) -> dict[str, Any]:
    """Call a receiver and return its entry for ``Event.receivers``."""
    try:
        receiver.call()
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        # SystemExit as well: a receiver that runs a management command must not end the worker.
        logger.exception("Receiver %s failed for event %s (%s).", receiver.name, event.pk, event.kind)
        return {"state": FAILING, "tries": tries, "error": describe_exception(error, MAX_ERROR)}
    return {"state": DONE, "tries": tries, "error": ""}


def list_failed(results: dict[str, dict[str, Any]]) -> list[str]:
    return sorted(name for name, result in results.items() if result["state"] != DONE)


def mark_failed(results: dict[str, dict[str, Any]], state: str) -> dict[str, dict[str, Any]]:
    """Return the results with another state of the receivers that have not succeeded."""
    return {
        name: result if result["state"] == DONE else {**result, "state": state}
        for name, result in results.items()
    }


def retry_event(*, event: Event, now: datetime) -> bool:
    """Call the receivers of an event again that failed or were given up. Return whether it is due now."""
    revived = mark_failed(event.receivers, FAILING)
    waiting = Event.objects.filter(pk=event.pk, dispatched_at=None, lease_token=None)
    is_due = waiting.update(receivers=revived, tries=0, failing_since=None, next_at=now)
    if is_due:
        wake_workers()
    return bool(is_due)


def give_up_event(event: Event, now: datetime, error: Exception | None = None) -> None:
    """Leave an event to staff that cannot even be dispatched."""
    Event.objects.filter(pk=event.pk, lease_token=None, dispatched_at=None).update(next_at=None)


def parse_event_data(data: dict[str, Any]) -> dict[str, Any]:
    """Return event data as receivers get it: start times become datetimes, keys of hosts become hosts."""
    parsed: dict[str, Any] = {
        key: datetime.fromisoformat(value) if key.endswith("_start") else value for key, value in data.items()
    }
    if "previous_hosts" in parsed:
        parsed["previous_hosts"] = list(Host.objects.filter(pk__in=parsed["previous_hosts"]).defer("raw"))
    return parsed
