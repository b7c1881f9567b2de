"""Request a cancel, a reschedule or a handoff."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import Any

from django.db import IntegrityError, models

from django_meetergo.exceptions import InvalidRequest
from django_meetergo.models import Appointment, AppointmentChange, Attendee, Host
from django_meetergo.remote.client import MeetergoClient
from django_meetergo.services.changes.limits import check_change_limit
from django_meetergo.services.changes.policy import ensure_allowed, is_group
from django_meetergo.services.changes.queue import (
    ensure_no_other_change,
    find_open_change,
    hash_open_change_key,
    refuse_second_change,
)
from django_meetergo.services.changes.sending import send_change
from django_meetergo.services.clients import ensure_no_transaction
from django_meetergo.services.instants import validate_instant
from django_meetergo.texts import is_storable
from django_meetergo.transactions import DATABASE_ERRORS, is_database_away, write_transaction
from django_meetergo.wakeup import wake_workers

logger = logging.getLogger(__name__)
Kind, State, Actor = AppointmentChange.Kind, AppointmentChange.State, AppointmentChange.Actor
MAX_REASON = 500


def cancel_appointment(
    *,
    appointment: Appointment,
    client: MeetergoClient | None,
    now: datetime,
    attendee: Attendee | None = None,
    reason: str = "",
    by: str = Actor.HOST,
    cancel_all: bool = False,
    user: Any = None,
    send: bool = True,
) -> AppointmentChange:
    """Cancel an appointment, or one attendee's place in a group. Return the stored change.

    A second call while the first is in progress, or after it succeeded, returns that first change. While a
    reschedule is open the cancel waits for it to end and is sent then. For groups pass the attendee or
    ``cancel_all``. With ``send=False`` the workers send it, and ``client`` may be None. Raises InvalidRequest
    and ChangeNotAllowed before anything is stored or sent.
    """
    if len(reason) > MAX_REASON:
        raise InvalidRequest(f"reason is longer than {MAX_REASON} characters; shorten it.", field="reason")
    if not is_storable(reason):
        raise InvalidRequest("reason holds a character that cannot be stored; remove it.", field="reason")
    if is_group(appointment) and attendee is None and not cancel_all:
        raise InvalidRequest(
            "A group appointment needs to know who leaves: pass attendee, or cancel_all=True.",
            field="attendee",
        )
    if done := find_finished_cancel(appointment, attendee):
        return done
    change = build_change(
        Kind.CANCEL,
        appointment,
        now,
        attendee=attendee,
        requested_by=by,
        user=user,
        reason=reason,
        cancel_all=cancel_all,
    )
    if first := find_open_change(change):
        return first
    ensure_allowed(Kind.CANCEL, appointment, attendee, by=by, now=now)
    return store_change(change, client=client, now=now, send=send)


def reschedule_appointment(
    *,
    appointment: Appointment,
    start: datetime,
    client: MeetergoClient | None,
    now: datetime,
    attendee: Attendee | None = None,
    by: str = Actor.HOST,
    user: Any = None,
    send: bool = True,
) -> AppointmentChange:
    """Reschedule an appointment to another start; its duration stays. Return the stored change.

    When the new time is taken, the change is refused with outcome ``slot_taken`` and the appointment keeps
    its time. A repeated call returns the open change. Raises InvalidRequest and ChangeNotAllowed (reason
    ``change_in_progress`` while another change is open) before anything is stored or sent.
    """
    validate_instant("start", start)
    start = start.astimezone(UTC)  # comparable in the hour that clocks repeat
    if first := find_same_reschedule(appointment, start):
        return first
    if start <= now:
        raise InvalidRequest(f"start {start.isoformat()} has passed; choose a later one.", field="start")
    if start == appointment.start:
        raise InvalidRequest("That is the time the appointment has already; choose another.", field="start")
    ensure_allowed(Kind.RESCHEDULE, appointment, attendee, by=by, now=now)
    change = build_change(
        Kind.RESCHEDULE, appointment, now, attendee=attendee, requested_by=by, user=user, target_start=start
    )
    return store_change(change, client=client, now=now, send=send)


def handoff_appointment(
    *,
    appointment: Appointment,
    host: Host,
    client: MeetergoClient | None,
    now: datetime,
    user: Any = None,
    send: bool = True,
) -> AppointmentChange:
    """Hand an appointment over to another host at the same time. Return the stored change.

    When that host is not free, the change is refused with outcome ``slot_taken`` and the hosts stay. A
    repeated call returns the open change, or the one that gave the appointment to this host. Raises
    InvalidRequest and ChangeNotAllowed (reason ``change_in_progress`` while another change is open) before
    anything is stored or sent.
    """
    if host.connection != appointment.connection or host.missing_since is not None:
        raise InvalidRequest(
            f"{host} is not a host of this appointment's account at meetergo; choose one of its hosts.",
            field="host",
        )
    if host in appointment.hosts.all():
        if done := find_finished_handoff(appointment, host):
            return done
        raise InvalidRequest(f"{host} is the host already; choose another.", field="host")
    ensure_allowed(Kind.HANDOFF, appointment, None, by=Actor.HOST, now=now)
    change = build_change(
        Kind.HANDOFF, appointment, now, requested_by=Actor.HOST, user=user, target_host=host
    )
    return store_change(change, client=client, now=now, send=send)


def build_change(kind: str, appointment: Appointment, now: datetime, **columns: Any) -> AppointmentChange:
    """Return an unsaved change of an appointment that is due now."""
    return AppointmentChange(
        kind=kind,
        appointment=appointment,
        previous_start=appointment.start,
        created_at=now,
        next_at=now,
        **columns,
    )


def find_finished_handoff(appointment: Appointment, host: Host) -> AppointmentChange | None:
    """Return the handoff that gave the appointment to its present host."""
    return appointment.changes.filter(kind=Kind.HANDOFF, state=State.DONE, target_host=host).first()


def find_same_reschedule(appointment: Appointment, start: datetime) -> AppointmentChange | None:
    """Return the reschedule to ``start`` that is open, or that gave the appointment its present start.

    A client that lost the answer sends the same request again, and must not be told that it was refused.
    """
    same = appointment.changes.filter(kind=Kind.RESCHEDULE, target_start=start)
    states = [*AppointmentChange.OPEN, *([State.DONE] if appointment.start == start else [])]
    return same.filter(state__in=states).first()


def find_finished_cancel(appointment: Appointment, attendee: Attendee | None) -> AppointmentChange | None:
    """Return the cancel that ended the appointment, or this attendee's place, if it is ended."""
    is_over = appointment.is_cancelled or (
        attendee is not None and attendee.status == Attendee.Status.REMOVED
    )
    if not is_over:
        return None
    done = appointment.changes.filter(kind=Kind.CANCEL, state=State.DONE)
    return done.filter(models.Q(attendee=attendee) | models.Q(cancel_all=True)).first()


def store_change(
    change: AppointmentChange, *, client: MeetergoClient | None, now: datetime, send: bool
) -> AppointmentChange:
    """Store a change and send it; return the open one instead when this one repeats it.

    Raises InvalidRequest when it would be sent inside a transaction, ChangeNotAllowed when an open change of
    the appointment excludes this one, and TooManyChanges.
    """
    if send:
        ensure_no_transaction()
    ensure_no_other_change(change)
    check_change_limit(change, now)
    change.open_change_key = hash_open_change_key(change)
    try:
        with write_transaction(durable=send):
            change.save()
    except IntegrityError:
        first = find_open_change(change)
        if first is None:
            raise
        if (first.target_start, first.target_host_id) != (change.target_start, change.target_host_id):
            raise refuse_second_change() from None
        return first
    if not send or client is None:
        wake_workers()
        return change
    try:
        return send_change(change=change, client=client, now=now)
    except DATABASE_ERRORS as error:
        if not is_database_away(error):
            raise
        # The call may have been carried out. The stored row is reconciled when its lease expires.
        logger.exception("The database was lost while change %s was sent; it will be reconciled.", change.pk)
        return change


def schedule_cancel(*, appointment: Appointment, attendee_id: str, reason: str, now: datetime) -> None:
    """Store a cancel for the workers, unless one is open already.

    ``attendee_id`` is meetergo's id of the one attendee whose place is cancelled.
    """
    attendee = appointment.attendees.filter(remote_id=attendee_id).first()
    if appointment.is_cancelled or attendee is None or attendee.status == Attendee.Status.REMOVED:
        return
    change = build_change(
        Kind.CANCEL, appointment, now, attendee=attendee, requested_by=Actor.HOST, reason=reason
    )
    change.open_change_key = hash_open_change_key(change)
    AppointmentChange.objects.bulk_create([change], ignore_conflicts=True)
    wake_workers()
