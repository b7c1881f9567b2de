"""Cancel and move an appointment, as its host or as one of its attendees.

Both can be verified by looking, so an unclear answer is never guessed at: the appointment is read, and only
when it still shows the old state after meetergo's time is up is the request sent again.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import IntegrityError, models, transaction
from django.utils.module_loading import import_string

from django_meetergo import signals
from django_meetergo.clock import Stopwatch
from django_meetergo.conf import get_settings
from django_meetergo.exceptions import (
    ChangeNotAllowed,
    InvalidRequest,
    NotFound,
    OutcomeUnknown,
    Refused,
    RemoteError,
    SlotUnavailable,
)
from django_meetergo.models import Appointment, AppointmentChange, Attendee, Lease
from django_meetergo.remote.client import MeetergoClient
from django_meetergo.services import availability, mirror
from django_meetergo.transactions import DATABASE_LOST

logger = logging.getLogger(__name__)

Kind, State, Actor = AppointmentChange.Kind, AppointmentChange.State, AppointmentChange.Actor

ATTEMPTS = 3
MAX_REASON = 500
LOOKS = (2, 5, 20, 60)  # seconds between looks at an unclear change


# What an attendee may do


@dataclass(frozen=True, kw_only=True)
class Decision:
    """A policy's answer. ``until`` is the last moment it holds, ``reason`` a stable word when it is no."""

    allowed: bool
    until: datetime | None = None
    reason: str = ""


def default_policy(action: str, attendee: Attendee, now: datetime) -> Decision:
    """Attendees may cancel and move until the appointment begins."""
    start = attendee.appointment.start
    return Decision(allowed=now < start, until=start, reason="" if now < start else "too_late")


def ask_policy(action: str, attendee: Attendee, now: datetime) -> Decision:
    """What the site's ``POLICY`` says to ``cancel`` or ``reschedule``; the state has the first word."""
    appointment = attendee.appointment
    if appointment.missing_since:
        return Decision(allowed=False, reason="missing")
    if appointment.is_cancelled or attendee.status == Attendee.Status.REMOVED:
        return Decision(allowed=False, reason="cancelled")
    if appointment.start <= now:
        return Decision(allowed=False, reason="past")
    if action == Kind.RESCHEDULE and is_group(appointment):
        return Decision(allowed=False, reason="group")
    policy: Callable[..., Decision] = import_string(get_settings().POLICY)
    return policy(action, attendee, now)


def is_group(appointment: Appointment) -> bool:
    return appointment.meeting_type is not None and appointment.meeting_type.is_group


# Asking for a change


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
    if done := find_done_cancel(appointment, attendee):
        return done
    check_allowed(Kind.CANCEL, appointment, attendee, by=by, now=now)
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
    return request_change(change, client=client, now=now, send=send)


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
    if start <= now:
        raise InvalidRequest(f"start {start.isoformat()} has passed; choose a later one.", field="start")
    if start == appointment.start:
        raise InvalidRequest("That is the time the appointment has already; choose another.", field="start")
    check_allowed(Kind.RESCHEDULE, appointment, attendee, by=by, now=now)
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
    return request_change(change, client=client, now=now, send=send)


def check_allowed(
    action: str, appointment: Appointment, attendee: Attendee | None, *, by: str, now: datetime
) -> None:
    """State binds everybody; the site's policy binds attendees."""
    if by == Actor.ATTENDEE and attendee is not None:
        decision = ask_policy(action, attendee, now)
        if not decision.allowed:
            raise ChangeNotAllowed(
                f"The appointment cannot be changed: {decision.reason}.", reason=decision.reason
            )
    for forbidden, reason in (
        (appointment.is_cancelled, "cancelled"),
        (appointment.missing_since is not None, "missing"),
        (appointment.start <= now, "past"),
    ):
        if forbidden:
            raise build_refusal(reason)


def build_refusal(reason: str) -> ChangeNotAllowed:
    return ChangeNotAllowed(f"The appointment cannot be changed: {reason}.", reason=reason)


def find_done_cancel(appointment: Appointment, attendee: Attendee | None) -> AppointmentChange | None:
    """The cancel that brought the appointment, or this attendee's place, where it is now."""
    gone = appointment.is_cancelled or (attendee is not None and attendee.status == Attendee.Status.REMOVED)
    if not gone:
        return None
    done = appointment.changes.filter(kind=Kind.CANCEL, state=State.DONE)
    return done.filter(models.Q(attendee=attendee) | models.Q(cancel_all=True)).first()


def build_open_key(change: AppointmentChange) -> str:
    """One open change per appointment, or per attendee in groups."""
    person = change.attendee_id if is_group(change.appointment) and not change.cancel_all else ""
    return hashlib.sha256(f"{change.appointment_id}|{person}".encode()).hexdigest()


def request_change(
    change: AppointmentChange, *, client: MeetergoClient, now: datetime, send: bool
) -> AppointmentChange:
    change.open_key = build_open_key(change)
    try:
        with transaction.atomic(durable=True):
            change.save()
    except IntegrityError:
        standing = AppointmentChange.objects.filter(open_key=change.open_key).first()
        if standing is None:
            raise
        return standing
    if not send:
        signals.ring_doorbell()
        return change
    try:
        return send_change(change=change, client=client, now=now)
    except DATABASE_LOST:
        # The call may have been carried out. It stands on paper, and whoever finds its lease lapsed looks.
        logger.exception("The database went away while change %s was on its way.", change.pk)
        return change


def plan_cancel(*, appointment: Appointment, attendee_id: str, reason: str, now: datetime) -> None:
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
    change.open_key = build_open_key(change)
    AppointmentChange.objects.bulk_create([change], ignore_conflicts=True)
    signals.ring_doorbell()


# Sending it


def send_change(*, change: AppointmentChange, client: MeetergoClient, now: datetime) -> AppointmentChange:
    """Send a change once, read the appointment, and write down which state it reached."""
    watch = Stopwatch(now)
    settings = get_settings()
    with transaction.atomic(durable=True):
        lease = AppointmentChange.objects.filter(state=State.RECEIVED).claim(
            change.pk,
            now=now,
            lease=settings.lease,
            state=State.SENDING,
            settle_at=now + settings.settle,
            next_at=now + settings.lease,
            tries=models.F("tries") + 1,
        )
    change = fetch(change)
    if lease is None:
        return change
    try:
        carry_out(change, client)
    except OutcomeUnknown as error:
        return leave_unclear(change, lease, error, watch.now())
    except Refused as error:
        return settle_with(change, lease, client, watch, refusal=error)
    except RemoteError as error:
        return put_back(change, lease, error, watch.now())
    return settle_with(change, lease, client, watch)


def fetch(change: AppointmentChange) -> AppointmentChange:
    rows = AppointmentChange.objects.select_related("appointment__meeting_type", "attendee")
    return rows.get(pk=change.pk)


def carry_out(change: AppointmentChange, client: MeetergoClient) -> None:
    """The one call of a change, on the route that fits who asked."""
    appointment = change.appointment
    remote_id, secret = appointment.remote_id, appointment.secret
    # The secret routes know no groups, and a secret that no key opens is empty.
    as_attendee = change.requested_by == Actor.ATTENDEE and secret and not is_group(appointment)
    if change.kind == Kind.CANCEL:
        if as_attendee:
            client.cancel_with_secret(remote_id, secret, reason=change.reason)
        else:
            client.cancel_appointment(
                remote_id,
                reason=change.reason,
                attendee_id=name_attendee(change),
                cancel_all=change.cancel_all,
            )
        return
    assert change.target_start is not None  # noqa: S101 - moves are never stored without one
    if as_attendee:
        reply = client.reschedule_with_secret(remote_id, secret, change.target_start)
    else:
        reply = client.reschedule_appointment(remote_id, change.target_start)
    if reply.secret and reply.secret != secret:
        mirror.record_secret(appointment=appointment, secret=reply.secret)


def name_attendee(change: AppointmentChange) -> str:
    group = is_group(change.appointment) and not change.cancel_all
    return (change.attendee.remote_id or "") if group and change.attendee else ""


# Verifying it


def settle_change(*, change: AppointmentChange, client: MeetergoClient, now: datetime) -> AppointmentChange:
    """Look whether an unclear change took effect; send it again only when it certainly did not."""
    left = AppointmentChange.objects.filter(pk=change.pk, state=State.SENDING, lease_until__lt=now)
    left.update(state=State.UNKNOWN, lease_token=None, lease_until=None, next_at=now)
    lease = AppointmentChange.objects.filter(state=State.UNKNOWN).claim(
        change.pk, now=now, lease=get_settings().lease
    )
    change = fetch(change)
    if lease is None:
        return change
    watch = Stopwatch(now)
    try:
        reached = look_at(change, client, watch)
    except RemoteError as error:
        return leave_unclear(change, lease, error, watch.now())
    if reached:
        return finish(change, lease, State.DONE)
    if now < (change.settle_at or now):
        return leave_unclear(change, lease, None, watch.now())
    if change.tries >= ATTEMPTS:
        return finish(change, lease, State.REFUSED, outcome="unreachable")
    AppointmentChange.objects.finish(lease, state=State.RECEIVED, next_at=now)
    return fetch(change)


def look_at(change: AppointmentChange, client: MeetergoClient, watch: Stopwatch) -> bool:
    """Read the appointment into the mirror; whether it now is as the change wanted it."""
    appointment = change.appointment
    try:
        document = client.get_appointment(appointment.remote_id)
    except NotFound:
        mirror.record_missing(appointment=appointment, now=watch.now())
        return change.kind == Kind.CANCEL
    mirror.record_appointment(connection=appointment.connection, document=document, now=watch.now())
    appointment.refresh_from_db()
    if change.kind == Kind.RESCHEDULE:
        return appointment.start == change.target_start and not appointment.is_cancelled
    if appointment.is_cancelled:
        return True
    if change.attendee and is_group(appointment) and not change.cancel_all:
        change.attendee.refresh_from_db()
        return change.attendee.status == Attendee.Status.REMOVED
    return False


def settle_with(
    change: AppointmentChange,
    lease: Lease,
    client: MeetergoClient,
    watch: Stopwatch,
    refusal: Refused | None = None,
) -> AppointmentChange:
    """After a definite answer: the read decides, and a refusal stands only if it did not happen anyway."""
    try:
        reached = look_at(change, client, watch)
    except RemoteError as error:
        if refusal is None:
            return leave_unclear(change, lease, error, watch.now())
        reached = False
    if reached:
        return finish(change, lease, State.DONE)
    if refusal is None:
        return leave_unclear(change, lease, None, watch.now())
    if isinstance(refusal, SlotUnavailable) and change.target_start and change.appointment.meeting_type:
        availability.forget(meeting_type=change.appointment.meeting_type, start=change.target_start)
    outcome = "slot_taken" if isinstance(refusal, SlotUnavailable) else "refused"
    return finish(change, lease, State.REFUSED, outcome=outcome, message=refusal.message)


def finish(
    change: AppointmentChange, lease: Lease, state: str, *, outcome: str = "", message: str = ""
) -> AppointmentChange:
    AppointmentChange.objects.finish(
        lease, state=state, outcome=outcome, message=message, open_key=None, next_at=None
    )
    if state == State.DONE:
        forget_times(change)
    return fetch(change)


def forget_times(change: AppointmentChange) -> None:
    """A change frees one time and may take another: ask anew for both."""
    meeting_type = change.appointment.meeting_type
    if meeting_type is not None:
        for start in filter(None, (change.previous_start, change.target_start)):
            availability.forget(meeting_type=meeting_type, start=start)


def leave_unclear(
    change: AppointmentChange, lease: Lease, error: RemoteError | None, now: datetime
) -> AppointmentChange:
    looks = LOOKS[min(change.tries, len(LOOKS)) - 1]
    AppointmentChange.objects.finish(
        lease,
        state=State.UNKNOWN,
        message=str(error or ""),
        next_at=now + timedelta(seconds=looks),
    )
    signals.ring_doorbell()
    return fetch(change)


def put_back(change: AppointmentChange, lease: Lease, error: RemoteError, now: datetime) -> AppointmentChange:
    """It certainly did nothing: again later, a few times."""
    if change.tries >= ATTEMPTS:
        return finish(change, lease, State.REFUSED, outcome="unreachable", message=str(error))
    wait = timedelta(seconds=max(LOOKS[change.tries], error.retry_after or 0))
    AppointmentChange.objects.finish(lease, state=State.RECEIVED, message=str(error), next_at=now + wait)
    return fetch(change)
