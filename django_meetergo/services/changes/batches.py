"""Cancel or move many appointments: each a change of its own, tied together so that they can be watched."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import Count

from django_meetergo.clock import Stopwatch
from django_meetergo.exceptions import NotAccepted
from django_meetergo.models import Appointment, AppointmentChange
from django_meetergo.services.changes.policy import is_group
from django_meetergo.services.changes.requests import cancel_appointment, reschedule_appointment
from django_meetergo.services.changes.sending import send_change
from django_meetergo.services.clients import build_client

State = AppointmentChange.State

#: Somebody waits for the first changes; after so many seconds the workers go on with the others.
SEND_SECONDS = 20.0


@dataclass(kw_only=True)
class BatchResult:
    """Which appointments have a change on its way now, and which were refused one, and why."""

    changes: list[AppointmentChange] = field(default_factory=list)
    refused: list[tuple[Appointment, NotAccepted]] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class Progress:
    """How far a batch has come."""

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
    """Leave a cancel for each appointment, for everybody in groups. Nothing is sent yet."""

    def request(appointment: Appointment) -> AppointmentChange:
        return cancel_appointment(
            appointment=appointment,
            client=build_client(appointment.connection, "write"),
            now=now,
            reason=reason,
            cancel_all=is_group(appointment),
            user=user,
            send=False,
        )

    return store_changes(appointments, request, batch)


def reschedule_appointments(
    *,
    moves: Sequence[tuple[Appointment, datetime]],
    batch: UUID,
    now: datetime,
    user: Any = None,
) -> BatchResult:
    """Leave a move for each appointment to the start beside it. Nothing is sent yet."""
    starts = {appointment.pk: start for appointment, start in moves}

    def request(appointment: Appointment) -> AppointmentChange:
        return reschedule_appointment(
            appointment=appointment,
            start=starts[appointment.pk],
            client=build_client(appointment.connection, "write"),
            now=now,
            user=user,
            send=False,
        )

    return store_changes([appointment for appointment, _start in moves], request, batch)


def store_changes(
    appointments: Iterable[Appointment], request: Callable[[Appointment], AppointmentChange], batch: UUID
) -> BatchResult:
    asked = BatchResult()
    for appointment in appointments:
        try:
            asked.changes.append(request(appointment))
        except NotAccepted as error:
            asked.refused.append((appointment, error))
    # A change that somebody else asked for stays in their batch.
    own = AppointmentChange.objects.filter(pk__in=[change.pk for change in asked.changes], batch=None)
    own.update(batch=batch)
    return asked


def send_batch(*, batch: UUID, now: datetime) -> Progress:
    """Send a batch's changes while somebody waits; what is left after a while is the workers'."""
    watch = Stopwatch(now)
    waiting = AppointmentChange.objects.filter(batch=batch, state=State.RECEIVED)
    for change in waiting.select_related("appointment").order_by("pk"):
        if (watch.now() - now).total_seconds() > SEND_SECONDS:
            break
        client = build_client(change.appointment.connection, "write")
        send_change(change=change, client=client, now=watch.now())
    return count_batch(batch=batch)


def count_batch(*, batch: UUID) -> Progress:
    counted = AppointmentChange.objects.filter(batch=batch).order_by().values_list("state")
    by_state = dict(counted.annotate(number=Count("pk")))
    return Progress(
        total=sum(by_state.values()),
        done=by_state.get(State.DONE, 0),
        refused=by_state.get(State.REFUSED, 0),
    )
