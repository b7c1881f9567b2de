"""Write down what happened, once, and tell the site about it, at least once."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from typing import Any

from django.db.models import F
from django.dispatch import Signal

from django_meetergo import signals
from django_meetergo.conf import get_settings
from django_meetergo.models import Appointment, Attendee, Booking, Event
from django_meetergo.wakeup import wake_workers

logger = logging.getLogger(__name__)

Kind = Event.Kind

#: Which transitions a site hears of. The others are only shown in the timeline.
SIGNALS: dict[str, Signal] = {
    Kind.APPOINTMENT_BOOKED: signals.appointment_booked,
    Kind.APPOINTMENT_RESCHEDULED: signals.appointment_rescheduled,
    Kind.APPOINTMENT_CANCELLED: signals.appointment_cancelled,
    Kind.ATTENDEE_REMOVED: signals.attendee_removed,
    Kind.BOOKING_PENDING: signals.booking_pending,
    Kind.BOOKING_CLOSED: signals.booking_closed,
}

#: Told by mail only.
MAILED_KINDS = frozenset({Kind.BOOKING_FOUND, Kind.BOOKING_REBOOKED})

#: Seconds until a failing receiver is asked again; the last one repeats.
RETRY_DELAYS = (5, 30, 120, 600, 3600)


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
    """An event that is not stored yet. ``silent`` ones are history: nobody is told."""
    told = silent or not (kind in SIGNALS or kind in MAILED_KINDS)
    return Event(
        kind=kind,
        key=key,
        connection=connection,
        appointment=appointment,
        attendee=attendee,
        booking=booking,
        data=data,
        created_at=now,
        next_at=None if told else now,
        dispatched_at=now if told else None,
    )


def record_events(events: Iterable[Event]) -> None:
    """Store events inside the caller's transaction; one whose key is known already is left alone."""
    rows = list(events)
    if not rows:
        return
    Event.objects.bulk_create(rows, ignore_conflicts=True)
    if any(row.next_at for row in rows):
        wake_workers()


def record_booking_event(booking: Booking, kind: str, *, now: datetime, step: str = "") -> None:
    """A transition of a booking. ``step`` tells repeatable transitions apart."""
    key = ":".join(filter(None, ["booking", str(booking.pk), kind, step]))
    record_events([build_event(kind=kind, key=key, now=now, connection=booking.connection, booking=booking)])


def dispatch_event(*, event: Event, now: datetime, also: Callable[[Event], None]) -> bool:
    """Tell the receivers of one due event, and ``also``. False when one failed: it is due again later."""
    lease = Event.objects.due(now).claim(event.pk, now=now, lease=get_settings().lease)
    if lease is None:
        return False
    if send_signal(event) and call_hook(also, event):
        return Event.objects.finish(lease, dispatched_at=now, next_at=None)
    wait = RETRY_DELAYS[min(event.tries, len(RETRY_DELAYS) - 1)]
    Event.objects.finish(lease, tries=F("tries") + 1, next_at=now + timedelta(seconds=wait))
    return False


def call_hook(also: Callable[[Event], None], event: Event) -> bool:
    """Whether it went well. A mail server that is away must not lose the event."""
    try:
        also(event)
    except Exception:
        logger.exception("What follows from %s failed; it is tried again later.", event.kind)
        return False
    return True


def send_signal(event: Event) -> bool:
    """Call the receivers; False when one of them raised."""
    if event.kind not in SIGNALS:
        return True
    answers = SIGNALS[event.kind].send_robust(
        sender=Event,
        event_key=event.key,
        connection=event.connection,
        appointment=event.appointment,
        attendee=event.attendee,
        booking=event.booking or getattr(event.attendee, "booking", None),
        **parse_event_data(event.data),
    )
    failures = [answer for _, answer in answers if isinstance(answer, Exception)]
    for failure in failures:
        logger.error("A receiver of %s failed; it is asked again later.", event.kind, exc_info=failure)
    return not failures


def parse_event_data(data: dict[str, Any]) -> dict[str, Any]:
    """Event data as receivers get it: times are datetimes again."""
    return {
        key: datetime.fromisoformat(value) if key.endswith("_start") else value for key, value in data.items()
    }
