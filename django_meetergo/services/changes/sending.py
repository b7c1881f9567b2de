"""Send a change and verify its outcome."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db import models, transaction

from django_meetergo.clock import Stopwatch
from django_meetergo.conf import get_settings
from django_meetergo.exceptions import (
    NotFound,
    OutcomeUnknown,
    Refused,
    RemoteError,
    SlotUnavailable,
)
from django_meetergo.models import AppointmentChange, Attendee, Lease
from django_meetergo.remote.client import MeetergoClient
from django_meetergo.services.availability.invalidation import invalidate
from django_meetergo.services.changes.policy import is_group
from django_meetergo.services.mirror.appointments import record_appointment, record_missing, record_secret
from django_meetergo.wakeup import wake_workers

Kind, State, Actor = AppointmentChange.Kind, AppointmentChange.State, AppointmentChange.Actor
MAX_ATTEMPTS = 3
DELAY_SECONDS = (2, 5, 20, 60)  # seconds between looks at an unclear change


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
            outcome_deadline=now + settings.outcome_deadline,
            next_at=now + settings.lease,
            tries=models.F("tries") + 1,
        )
    change = fetch_change(change)
    if lease is None:
        return change
    try:
        call_service(change, client)
    except OutcomeUnknown as error:
        return mark_change_unknown(change, lease, error, watch.now())
    except Refused as error:
        return verify_change(change, lease, client, watch, refusal=error)
    except RemoteError as error:
        return requeue_change(change, lease, error, watch.now())
    return verify_change(change, lease, client, watch)


def fetch_change(change: AppointmentChange) -> AppointmentChange:
    rows = AppointmentChange.objects.select_related("appointment__meeting_type", "attendee")
    return rows.get(pk=change.pk)


def call_service(change: AppointmentChange, client: MeetergoClient) -> None:
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
                attendee_id=get_attendee_id(change),
                cancel_all=change.cancel_all,
            )
        return
    assert change.target_start is not None  # noqa: S101 - moves are never stored without one
    if as_attendee:
        reply = client.reschedule_with_secret(remote_id, secret, change.target_start)
    else:
        reply = client.reschedule_appointment(remote_id, change.target_start)
    if reply.secret and reply.secret != secret:
        record_secret(appointment=appointment, secret=reply.secret)


def get_attendee_id(change: AppointmentChange) -> str:
    group = is_group(change.appointment) and not change.cancel_all
    return (change.attendee.remote_id or "") if group and change.attendee else ""


def reconcile_change(
    *, change: AppointmentChange, client: MeetergoClient, now: datetime
) -> AppointmentChange:
    """Look whether an unclear change took effect; send it again only when it certainly did not."""
    left = AppointmentChange.objects.filter(pk=change.pk, state=State.SENDING, lease_until__lt=now)
    left.update(state=State.UNKNOWN, lease_token=None, lease_until=None, next_at=now)
    lease = AppointmentChange.objects.filter(state=State.UNKNOWN).claim(
        change.pk, now=now, lease=get_settings().lease
    )
    change = fetch_change(change)
    if lease is None:
        return change
    watch = Stopwatch(now)
    try:
        reached = reread_appointment(change, client, watch)
    except RemoteError as error:
        return mark_change_unknown(change, lease, error, watch.now())
    if reached:
        return finish_change(change, lease, State.DONE)
    if now < (change.outcome_deadline or now):
        return mark_change_unknown(change, lease, None, watch.now())
    if change.tries >= MAX_ATTEMPTS:
        return finish_change(change, lease, State.REFUSED, outcome="unreachable")
    AppointmentChange.objects.finish(lease, state=State.RECEIVED, next_at=now)
    return fetch_change(change)


def reread_appointment(change: AppointmentChange, client: MeetergoClient, watch: Stopwatch) -> bool:
    """Read the appointment into the mirror; whether it now is as the change wanted it."""
    appointment = change.appointment
    try:
        document = client.get_appointment(appointment.remote_id)
    except NotFound:
        record_missing(appointment=appointment, now=watch.now())
        return change.kind == Kind.CANCEL
    record_appointment(connection=appointment.connection, document=document, now=watch.now())
    appointment.refresh_from_db()
    if change.kind == Kind.RESCHEDULE:
        return appointment.start == change.target_start and not appointment.is_cancelled
    if appointment.is_cancelled:
        return True
    if change.attendee and is_group(appointment) and not change.cancel_all:
        change.attendee.refresh_from_db()
        return change.attendee.status == Attendee.Status.REMOVED
    return False


def verify_change(
    change: AppointmentChange,
    lease: Lease,
    client: MeetergoClient,
    watch: Stopwatch,
    refusal: Refused | None = None,
) -> AppointmentChange:
    """After a definite answer: the read decides, and a refusal stands only if it did not happen anyway."""
    try:
        reached = reread_appointment(change, client, watch)
    except RemoteError as error:
        if refusal is None:
            return mark_change_unknown(change, lease, error, watch.now())
        reached = False
    if reached:
        return finish_change(change, lease, State.DONE)
    if refusal is None:
        return mark_change_unknown(change, lease, None, watch.now())
    if isinstance(refusal, SlotUnavailable) and change.target_start and change.appointment.meeting_type:
        invalidate(meeting_type=change.appointment.meeting_type, start=change.target_start)
    outcome = "slot_taken" if isinstance(refusal, SlotUnavailable) else "refused"
    return finish_change(change, lease, State.REFUSED, outcome=outcome, message=refusal.message)


def finish_change(
    change: AppointmentChange, lease: Lease, state: str, *, outcome: str = "", message: str = ""
) -> AppointmentChange:
    AppointmentChange.objects.finish(
        lease, state=state, outcome=outcome, message=message, open_change_key=None, next_at=None
    )
    if state == State.DONE:
        invalidate_slots(change)
    return fetch_change(change)


def invalidate_slots(change: AppointmentChange) -> None:
    """A change frees one time and may take another: ask anew for both."""
    meeting_type = change.appointment.meeting_type
    if meeting_type is not None:
        for start in filter(None, (change.previous_start, change.target_start)):
            invalidate(meeting_type=meeting_type, start=start)


def mark_change_unknown(
    change: AppointmentChange, lease: Lease, error: RemoteError | None, now: datetime
) -> AppointmentChange:
    looks = DELAY_SECONDS[min(change.tries, len(DELAY_SECONDS)) - 1]
    AppointmentChange.objects.finish(
        lease,
        state=State.UNKNOWN,
        message=str(error or ""),
        next_at=now + timedelta(seconds=looks),
    )
    wake_workers()
    return fetch_change(change)


def requeue_change(
    change: AppointmentChange, lease: Lease, error: RemoteError, now: datetime
) -> AppointmentChange:
    """It certainly did nothing: again later, a few times."""
    if change.tries >= MAX_ATTEMPTS:
        return finish_change(change, lease, State.REFUSED, outcome="unreachable", message=str(error))
    wait = timedelta(seconds=max(DELAY_SECONDS[change.tries], error.retry_after or 0))
    AppointmentChange.objects.finish(lease, state=State.RECEIVED, message=str(error), next_at=now + wait)
    return fetch_change(change)
