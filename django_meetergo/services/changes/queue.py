"""Which changes of one appointment exclude each other, and in which order they are sent.

A repeated request returns the change that is open already. A cancel waits behind an open change of another
kind and is sent when that one has ended. Everything else is refused while a change is open.
"""

from __future__ import annotations

import hashlib
from datetime import datetime

from django.db.models import Q, QuerySet

from django_meetergo.exceptions import ChangeNotAllowed
from django_meetergo.lookups import find_one
from django_meetergo.models import AppointmentChange, Attendee
from django_meetergo.services.changes.policy import is_group
from django_meetergo.services.retry import CHANGE_QUEUED
from django_meetergo.wakeup import wake_workers

Kind, State = AppointmentChange.Kind, AppointmentChange.State


def hash_open_change_key(change: AppointmentChange) -> str:
    """Return the key that keeps a second change of this kind from being opened."""
    attendee = change.attendee_id if is_for_one_attendee(change) else ""
    return hashlib.sha256(f"{change.appointment_id}|{attendee}|{change.kind}".encode()).hexdigest()


def find_open_change(change: AppointmentChange) -> AppointmentChange | None:
    """Return the change of this kind that is open already for the same people."""
    return find_one(AppointmentChange.objects.filter(open_change_key=hash_open_change_key(change)))


def is_for_one_attendee(change: AppointmentChange) -> bool:
    """Whether the change concerns one place in a group only."""
    return is_group(change.appointment) and not change.cancel_all and change.attendee_id is not None


def list_overlapping(change: AppointmentChange) -> QuerySet[AppointmentChange]:
    """Return the other open changes that concern the same people."""
    rows = AppointmentChange.objects.filter(
        appointment_id=change.appointment_id, state__in=AppointmentChange.OPEN
    )
    if is_for_one_attendee(change):
        rows = rows.filter(Q(attendee_id=change.attendee_id) | Q(attendee=None) | Q(cancel_all=True))
    return rows.exclude(pk=change.pk)


def ensure_no_other_change(change: AppointmentChange) -> None:
    """Raise ChangeNotAllowed when a change of another kind is open. A cancel is queued instead."""
    if change.kind == Kind.CANCEL:
        return
    if list_overlapping(change).exclude(kind=change.kind).exists():
        raise refuse_second_change()


def refuse_second_change() -> ChangeNotAllowed:
    return ChangeNotAllowed(
        "Another change of this appointment is in progress; try again when it has ended.",
        reason="change_in_progress",
    )


def find_blocking_change(change: AppointmentChange) -> AppointmentChange | None:
    """Return the older open change that must end before this one is sent."""
    older = list_overlapping(change).filter(pk__lt=change.pk)
    return older.select_related("appointment__meeting_type", "attendee").order_by("pk").first()


def wait_for_turn(change: AppointmentChange, now: datetime) -> None:
    """Leave a queued change alone until the change before it ends, which makes this one due."""
    waiting = AppointmentChange.objects.filter(pk=change.pk, state=State.RECEIVED, lease_token=None)
    waiting.update(next_at=CHANGE_QUEUED.find_next(1, now))


def release_queued_changes(change: AppointmentChange, now: datetime) -> None:
    """Make the changes that waited for this one due."""
    queued = list_overlapping(change).filter(state=State.RECEIVED, lease_token=None, pk__gt=change.pk)
    if queued.update(next_at=now):
        wake_workers()


def find_last_change(attendee: Attendee) -> AppointmentChange | None:
    """Return the newest cancel or reschedule; in a group, the newest one of this attendee."""
    rows = attendee.appointment.changes.exclude(kind=AppointmentChange.Kind.HANDOFF)
    if is_group(attendee.appointment):
        rows = rows.filter(attendee=attendee)
    return rows.first()
