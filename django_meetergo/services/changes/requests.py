"""Request a cancel or a reschedule."""

from __future__ import annotations

import hashlib
import logging
from datetime import datetime
from typing import Any

from django.db import IntegrityError, models, transaction

from django_meetergo.exceptions import (
    InvalidRequest,
)
from django_meetergo.models import Appointment, AppointmentChange, Attendee
from django_meetergo.remote.client import MeetergoClient
from django_meetergo.services.changes.policy import ensure_allowed, is_group
from django_meetergo.services.changes.sending import send_change
from django_meetergo.transactions import DATABASE_LOST
from django_meetergo.wakeup import wake_workers

logger = logging.getLogger(__name__)
Kind, State, Actor = AppointmentChange.Kind, AppointmentChange.State, AppointmentChange.Actor
MAX_REASON = 500


def cancel_appointment(
    *,
    appointment: Appointment,
    client: MeetergoClient,
    now: datetime,
    attendee: Attendee | None = None,
    reason: str = "",
    by: str = Actor.HOST,
    cancel_all: bool = False,
    user: Any = None,
    send: bool = True,
) -> AppointmentChange:
    """Cancel an appointment, or one attendee's place in a group; returns the stored change.

    A second call while the first is on its way, or after it was done, returns that first change. In groups
    name the attendee, or say ``cancel_all``. Raises InvalidRequest and ChangeNotAllowed before anything
    is stored or sent.
    """
    if len(reason) > MAX_REASON:
        raise InvalidRequest(f"reason is longer than {MAX_REASON} characters; shorten it.", field="reason")
    if is_group(appointment) and attendee is None and not cancel_all:
        raise InvalidRequest(
            "A group appointment needs to know who leaves: pass attendee, or cancel_all=True.",
            field="attendee",
        )
    if done := find_finished_cancel(appointment, attendee):
        return done
    ensure_allowed(Kind.CANCEL, appointment, attendee, by=by, now=now)
    change = AppointmentChange(
        kind=Kind.CANCEL,
        appointment=appointment,
        attendee=attendee,
        requested_by=by,
        user=user,
        reason=reason,
        cancel_all=cancel_all,
        previous_start=appointment.start,
        created_at=now,
        next_at=now,
    )
    return store_change(change, client=client, now=now, send=send)


def reschedule_appointment(
    *,
    appointment: Appointment,
    start: datetime,
    client: MeetergoClient,
    now: datetime,
    attendee: Attendee | None = None,
    by: str = Actor.HOST,
    user: Any = None,
    send: bool = True,
) -> AppointmentChange:
    """Move an appointment to another start; its length stays. Returns the stored change.

    When the new time is taken the change is refused with outcome ``slot_taken`` and the old time stands.
    Raises InvalidRequest and ChangeNotAllowed before anything is stored or sent.
    """
    if start.tzinfo is None:
        raise InvalidRequest("start has no time zone; pass an aware datetime.", field="start")
    if done := find_finished_reschedule(appointment, start):
        return done
    if start <= now:
        raise InvalidRequest(f"start {start.isoformat()} has passed; choose a later one.", field="start")
    if start == appointment.start:
        raise InvalidRequest("That is the time the appointment has already; choose another.", field="start")
    ensure_allowed(Kind.RESCHEDULE, appointment, attendee, by=by, now=now)
    change = AppointmentChange(
        kind=Kind.RESCHEDULE,
        appointment=appointment,
        attendee=attendee,
        requested_by=by,
        user=user,
        target_start=start,
        previous_start=appointment.start,
        created_at=now,
        next_at=now,
    )
    return store_change(change, client=client, now=now, send=send)


def find_finished_reschedule(appointment: Appointment, start: datetime) -> AppointmentChange | None:
    """Return the reschedule that gave the appointment its present start, if that is ``start``.

    A client that lost the answer sends the same request again, and must not be told that it was refused.
    """
    if appointment.start != start:
        return None
    return appointment.changes.filter(kind=Kind.RESCHEDULE, state=State.DONE, target_start=start).first()


def find_finished_cancel(appointment: Appointment, attendee: Attendee | None) -> AppointmentChange | None:
    """The cancel that brought the appointment, or this attendee's place, where it is now."""
    gone = appointment.is_cancelled or (attendee is not None and attendee.status == Attendee.Status.REMOVED)
    if not gone:
        return None
    done = appointment.changes.filter(kind=Kind.CANCEL, state=State.DONE)
    return done.filter(models.Q(attendee=attendee) | models.Q(cancel_all=True)).first()


def hash_open_change_key(change: AppointmentChange) -> str:
    """One open change per appointment, or per attendee in groups."""
    person = change.attendee_id if is_group(change.appointment) and not change.cancel_all else ""
    return hashlib.sha256(f"{change.appointment_id}|{person}".encode()).hexdigest()


def store_change(
    change: AppointmentChange, *, client: MeetergoClient, now: datetime, send: bool
) -> AppointmentChange:
    change.open_change_key = hash_open_change_key(change)
    try:
        with transaction.atomic(durable=True):
            change.save()
    except IntegrityError:
        active = AppointmentChange.objects.filter(open_change_key=change.open_change_key).first()
        if active is None:
            raise
        return active
    if not send:
        wake_workers()
        return change
    try:
        return send_change(change=change, client=client, now=now)
    except DATABASE_LOST:
        # The call may have been carried out. It stands on paper, and whoever finds its lease lapsed looks.
        logger.exception("The database went away while change %s was on its way.", change.pk)
        return change


def schedule_cancel(*, appointment: Appointment, attendee_id: str, reason: str, now: datetime) -> None:
    """Leave a cancel for the workers; one that is on its way already is left alone.

    ``attendee_id`` is meetergo's id of the one person it is about.
    """
    attendee = appointment.attendees.filter(remote_id=attendee_id).first()
    if appointment.is_cancelled or attendee is None or attendee.status == Attendee.Status.REMOVED:
        return
    change = AppointmentChange(
        kind=Kind.CANCEL,
        appointment=appointment,
        attendee=attendee,
        requested_by=Actor.HOST,
        reason=reason,
        previous_start=appointment.start,
        created_at=now,
        next_at=now,
    )
    change.open_change_key = hash_open_change_key(change)
    AppointmentChange.objects.bulk_create([change], ignore_conflicts=True)
    wake_workers()
