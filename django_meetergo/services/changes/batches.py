"""Cancel, reschedule or hand over many appointments: one change for each, with a common batch id."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import Count

from django_meetergo.clock import Stopwatch
from django_meetergo.exceptions import NotAccepted
from django_meetergo.models import Appointment, AppointmentChange, Host
from django_meetergo.services.changes.policy import is_group
from django_meetergo.services.changes.requests import (
    cancel_appointment,
    handoff_appointment,
    reschedule_appointment,
)
from django_meetergo.services.changes.sending import send_change
from django_meetergo.services.clients import build_client
from django_meetergo.transactions import write_transaction

State = AppointmentChange.State

#: Seconds after which a request begins no further change; the workers send the rest.
SEND_SECONDS = 3.0
#: Seconds that one call of such a request may take.
CALL_SECONDS = 5.0


@dataclass(kw_only=True)
class BatchResult:
    """The changes that were stored, and the appointments that were refused one, each with the reason."""

    changes: list[AppointmentChange] = field(default_factory=list)
    refused: list[tuple[Appointment, NotAccepted]] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class Progress:
    """How many changes of a batch there are, and how many have ended."""

    total: int
    done: int
    refused: int

    @property
    def ended(self) -> int:
        return self.done + self.refused

    @property
    def is_over(self) -> bool:
        return self.ended == self.total


def cancel_appointments(
    *,
    appointments: Iterable[Appointment],
    batch: UUID,
    now: datetime,
    reason: str = "",
    user: Any = None,
) -> BatchResult:
    """Store a cancel for each appointment; a group is cancelled for everybody. Nothing is sent yet."""

    def request_cancel(appointment: Appointment) -> AppointmentChange:
        return cancel_appointment(
            appointment=appointment,
            client=None,
            now=now,
            reason=reason,
            cancel_all=is_group(appointment),
            user=user,
            send=False,
        )

    return store_changes(appointments, request_cancel, batch)


def reschedule_appointments(
    *,
    moves: Sequence[tuple[Appointment, datetime]],
    batch: UUID,
    now: datetime,
    user: Any = None,
) -> BatchResult:
    """Store a reschedule for each pair of an appointment and its new start. Nothing is sent yet.

    The changes are sent in the order of their storing. An appointment may move to the present time of
    another one, which must leave first: of those that move later, the latest comes first.
    """
    moves = sorted(moves, key=lambda move: get_place_in_batch(*move))
    starts = {appointment.pk: start for appointment, start in moves}

    def request_reschedule(appointment: Appointment) -> AppointmentChange:
        return reschedule_appointment(
            appointment=appointment,
            start=starts[appointment.pk],
            client=None,
            now=now,
            user=user,
            send=False,
        )

    return store_changes([appointment for appointment, _start in moves], request_reschedule, batch)


def get_place_in_batch(appointment: Appointment, start: datetime) -> float:
    moment = appointment.start.timestamp()
    return -moment if start > appointment.start else moment


def handoff_appointments(
    *,
    appointments: Iterable[Appointment],
    host: Host,
    batch: UUID,
    now: datetime,
    user: Any = None,
) -> BatchResult:
    """Store a handoff to this host for each appointment. Nothing is sent yet."""

    def request_handoff(appointment: Appointment) -> AppointmentChange:
        return handoff_appointment(
            appointment=appointment, host=host, client=None, now=now, user=user, send=False
        )

    return store_changes(appointments, request_handoff, batch)


def store_changes(
    appointments: Iterable[Appointment], request: Callable[[Appointment], AppointmentChange], batch: UUID
) -> BatchResult:
    """Store the changes in one transaction, so that the workers are woken once, after its commit."""
    result = BatchResult()
    with write_transaction():
        for appointment in appointments:
            try:
                result.changes.append(request(appointment))
            except NotAccepted as error:
                result.refused.append((appointment, error))
        # A change that was requested before stays in the batch it belongs to.
        stored = AppointmentChange.objects.filter(pk__in=[change.pk for change in result.changes], batch=None)
        stored.update(batch=batch)
    return result


def send_batch(*, batch: UUID, now: datetime) -> Progress:
    """Send changes of a batch for a few seconds and return the progress; the workers send the rest.

    A call that is cut short is reconciled by the workers like every lost answer.
    """
    stopwatch = Stopwatch(now)
    waiting = AppointmentChange.objects.filter(batch=batch, state=State.RECEIVED)
    for change in waiting.select_related("appointment__meeting_type").order_by("pk"):
        if (stopwatch.now() - now).total_seconds() > SEND_SECONDS:
            break
        client = build_client(change.reader, "write")
        client.shorten_timeout(CALL_SECONDS)
        send_change(change=change, client=client, now=stopwatch.now())
    return count_batch(batch=batch)


def count_batch(*, batch: UUID) -> Progress:
    """Return how many changes of a batch have ended."""
    counted = AppointmentChange.objects.filter(batch=batch).order_by().values_list("state")
    by_state = dict(counted.annotate(number=Count("pk")))
    return Progress(
        total=sum(by_state.values()),
        done=by_state.get(State.DONE, 0),
        refused=by_state.get(State.REFUSED, 0),
    )
