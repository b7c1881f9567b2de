"""Send a change and find out how it ended."""

from __future__ import annotations

from datetime import datetime

from django.db import models

from django_meetergo.clock import Stopwatch
from django_meetergo.conf import get_settings
from django_meetergo.exceptions import NotFound, OutcomeUnknown, Refused, RemoteError, SlotUnavailable
from django_meetergo.models import AppointmentChange, Attendee, Booking, Event, Lease
from django_meetergo.remote.client import MeetergoClient
from django_meetergo.services.availability.invalidation import TakenSpan, invalidate, remove_spans
from django_meetergo.services.changes.policy import is_group
from django_meetergo.services.changes.queue import (
    find_blocking_change,
    is_for_one_attendee,
    release_queued_changes,
    wait_for_turn,
)
from django_meetergo.services.changes.surplus import confirm_surplus, is_cancel_of_surplus
from django_meetergo.services.events import record_booking_event, record_change_event
from django_meetergo.services.mirror.appointments import record_appointment, record_missing, record_secret
from django_meetergo.services.mirror.attendees import record_remote_ids
from django_meetergo.services.retry import CHANGE_POLL, CHANGE_SEND, RetryPolicy
from django_meetergo.transactions import write_transaction
from django_meetergo.wakeup import wake_workers

Kind, State, Actor = AppointmentChange.Kind, AppointmentChange.State, AppointmentChange.Actor


def send_change(*, change: AppointmentChange, client: MeetergoClient, now: datetime) -> AppointmentChange:
    """Send a change once, re-read the appointment, and return the change with the state it reached.

    A change that is queued behind another one is left for later.
    """
    stopwatch = Stopwatch(now)
    settings = get_settings()
    if find_blocking_change(change) is not None:
        wait_for_turn(change, now)
        return fetch_change(change)
    with write_transaction(durable=True):
        lease = AppointmentChange.objects.filter(state=State.RECEIVED).claim(
            change.pk,
            now=now,
            state=State.SENDING,
            outcome_deadline=now + settings.outcome_deadline,
            next_at=now + settings.lease,
            tries=models.F("tries") + 1,
        )
    change = fetch_change(change)
    if lease is None:
        return change
    if is_overtaken(change):
        return finish_change(change, lease, State.REFUSED, now=stopwatch.now(), outcome="refused")
    ended = prepare_change(change, lease, client, stopwatch)
    if ended is not None:
        return ended
    try:
        call_service(change, client)
    except OutcomeUnknown as error:
        return mark_change_unknown(change, lease, error, stopwatch.now())
    except Refused as error:
        if error.status == 401 and not uses_secret(change):
            return requeue_change(change, lease, error, stopwatch.now())
        return verify_change(change, lease, client, stopwatch, refusal=error)
    except RemoteError as error:
        return requeue_change(change, lease, error, stopwatch.now())
    return verify_change(change, lease, client, stopwatch)


def fetch_change(change: AppointmentChange) -> AppointmentChange:
    rows = AppointmentChange.objects.select_related("appointment__meeting_type", "attendee", "target_host")
    return rows.get(pk=change.pk)


def uses_secret(change: AppointmentChange) -> bool:
    """Whether the change goes out as the attendee, with the appointment's secret instead of our credential.

    The secret routes know no groups, and a secret that cannot be decrypted is empty.
    """
    appointment = change.appointment
    return change.requested_by == Actor.ATTENDEE and bool(appointment.secret) and not is_group(appointment)


def call_service(change: AppointmentChange, client: MeetergoClient) -> None:
    """Make the one call of a change, on the route of whoever requested it."""
    appointment = change.appointment
    remote_id = appointment.remote_id
    if change.kind == Kind.CANCEL:
        if uses_secret(change):
            client.cancel_with_secret(remote_id, appointment.secret, reason=change.reason)
        else:
            client.cancel_appointment(
                remote_id,
                reason=change.reason,
                attendee_id=get_attendee_id(change),
                cancel_all=change.cancel_all,
            )
        return
    if change.kind == Kind.HANDOFF:
        assert change.target_host is not None  # noqa: S101 - a handoff is never stored without one
        client.handoff_appointment(remote_id, user_id=change.target_host.remote_id)
        return
    assert change.target_start is not None  # noqa: S101 - a reschedule is never stored without one
    if uses_secret(change):
        reply = client.reschedule_with_secret(remote_id, appointment.secret, change.target_start)
    else:
        reply = client.reschedule_appointment(remote_id, change.target_start)
    if reply.secret and reply.secret != appointment.secret:
        record_secret(appointment=appointment, secret=reply.secret)


def get_attendee_id(change: AppointmentChange) -> str:
    """Return meetergo's id of the attendee whose place in a group is cancelled; else an empty text."""
    return (change.attendee.remote_id or "") if is_for_one_attendee(change) and change.attendee else ""


def reconcile_change(
    *, change: AppointmentChange, client: MeetergoClient, now: datetime
) -> AppointmentChange:
    """Re-read the appointment of a change whose answer was lost.

    The change is sent again only when the read shows, after the outcome deadline, that it was not carried
    out.
    """
    lapsed = AppointmentChange.objects.filter(pk=change.pk, state=State.SENDING, lease_until__lt=now)
    lapsed.update(
        state=State.UNKNOWN, lease_token=None, lease_until=None, next_at=now, polls=0, failing_since=None
    )
    lease = AppointmentChange.objects.filter(state=State.UNKNOWN).claim(change.pk, now=now)
    change = fetch_change(change)
    if lease is None:
        return change
    stopwatch = Stopwatch(now)
    try:
        is_carried_out = reread_appointment(change, client, stopwatch)
    except RemoteError as error:
        return poll_again(change, lease, error, stopwatch.now())
    if is_carried_out:
        return finish_change(change, lease, State.DONE, now=stopwatch.now())
    if now < (change.outcome_deadline or now):
        return poll_again(change, lease, None, stopwatch.now())
    if is_overtaken(change):
        # Sent again, it would undo what somebody has decided since.
        return give_up(change, lease, CHANGE_POLL, now)
    change.failing_since = None  # the failed reads say nothing about the sends
    retry = CHANGE_SEND.plan(change, now, is_counted=True)
    if retry is None:
        return give_up(change, lease, CHANGE_SEND, now)
    AppointmentChange.objects.finish(lease, **{**retry, "state": State.RECEIVED, "next_at": now})
    return fetch_change(change)


def reread_appointment(change: AppointmentChange, client: MeetergoClient, stopwatch: Stopwatch) -> bool:
    """Read the appointment into the mirror. Return whether the change has been carried out."""
    appointment = change.appointment
    try:
        document = client.get_appointment(appointment.remote_id)
    except NotFound:
        record_missing(appointment=appointment, now=stopwatch.now())
        return change.kind == Kind.CANCEL
    record_appointment(connection=appointment.connection, document=document, now=stopwatch.now())
    record_remote_ids(appointment=appointment, document=document)
    appointment.refresh_from_db()
    if change.kind == Kind.RESCHEDULE:
        return appointment.start == change.target_start and not appointment.is_cancelled
    if change.kind == Kind.HANDOFF:
        return change.target_host in appointment.hosts.all() and not appointment.is_cancelled
    if appointment.is_cancelled:
        return True
    if change.attendee and is_for_one_attendee(change):
        change.attendee.refresh_from_db()
        return change.attendee.status == Attendee.Status.REMOVED
    return False


def is_overtaken(change: AppointmentChange) -> bool:
    """Whether the appointment, as far as the mirror knows, is neither as it was nor as the change wants it.

    Somebody has rescheduled it, or handed it over, since the change was requested.
    """
    appointment = change.appointment
    if change.kind == Kind.RESCHEDULE:
        return appointment.start not in {change.previous_start, change.target_start}
    if change.kind == Kind.HANDOFF:
        handed_over = appointment.events.filter(kind=Event.Kind.APPOINTMENT_HANDED_OVER)
        return handed_over.filter(created_at__gte=change.created_at).exists()
    return False


def verify_change(
    change: AppointmentChange,
    lease: Lease,
    client: MeetergoClient,
    stopwatch: Stopwatch,
    refusal: Refused | None = None,
) -> AppointmentChange:
    """Re-read after a definite answer: a refusal counts only when the change has not been carried out."""
    try:
        is_carried_out = reread_appointment(change, client, stopwatch)
    except RemoteError as error:
        return mark_change_unknown(change, lease, error, stopwatch.now())
    if is_carried_out or (refusal is None and is_overtaken(change)):
        return finish_change(change, lease, State.DONE, now=stopwatch.now())
    if refusal is None:
        return mark_change_unknown(change, lease, None, stopwatch.now())
    if isinstance(refusal, SlotUnavailable) and change.target_start and change.appointment.meeting_type:
        moving = change.appointment
        invalidate(meeting_type=change.appointment.meeting_type, start=change.target_start, moving=moving)
    outcome = "slot_taken" if isinstance(refusal, SlotUnavailable) else "refused"
    return finish_change(
        change, lease, State.REFUSED, now=stopwatch.now(), outcome=outcome, message=refusal.message
    )


def finish_change(
    change: AppointmentChange,
    lease: Lease,
    state: str,
    *,
    now: datetime,
    outcome: str = "",
    message: str = "",
) -> AppointmentChange:
    """Write how a change ended and make the changes due that waited for it."""
    AppointmentChange.objects.finish(
        lease, state=state, outcome=outcome, message=message, open_change_key=None, next_at=None
    )
    if state == State.DONE:
        invalidate_slots(change)
    release_queued_changes(change, now)
    return fetch_change(change)


def prepare_change(
    change: AppointmentChange, lease: Lease, client: MeetergoClient, stopwatch: Stopwatch
) -> AppointmentChange | None:
    """Read what must be known before a change is sent. None when it can be sent.

    Otherwise the change as it was ended or postponed.
    """
    try:
        if is_for_one_attendee(change) and not get_attendee_id(change):
            return identify_attendee(change, lease, client, stopwatch)
        if is_cancel_of_surplus(change) and not confirm_surplus(change, client, stopwatch.now()):
            return finish_change(change, lease, State.REFUSED, now=stopwatch.now(), outcome="not_surplus")
    except NotFound:
        return None  # the answer to the change says the same
    except RemoteError as error:
        return requeue_change(change, lease, error, stopwatch.now())
    return None


def identify_attendee(
    change: AppointmentChange, lease: Lease, client: MeetergoClient, stopwatch: Stopwatch
) -> AppointmentChange | None:
    """Read the id of the attendee whose place is cancelled. Return the change if that ended it."""
    if reread_appointment(change, client, stopwatch):
        return finish_change(change, lease, State.DONE, now=stopwatch.now())
    return None if get_attendee_id(change) else leave_to_staff(change, lease, stopwatch.now())


def leave_to_staff(change: AppointmentChange, lease: Lease, now: datetime) -> AppointmentChange:
    """End a change of one place in a group that nothing shows to be the attendee's. Staff are notified."""
    booking = Booking.objects.filter(attendee=change.attendee).first()
    if booking is not None:
        Booking.objects.filter(pk=booking.pk).update(reason=Booking.Reason.NEEDS_STAFF, next_at=None)
        record_booking_event(booking, Event.Kind.BOOKING_NEEDS_STAFF, now=now, step=f"change{change.pk}")
    return finish_change(change, lease, State.REFUSED, now=now, outcome="needs_staff")


def give_up(
    change: AppointmentChange,
    lease: Lease,
    policy: RetryPolicy,
    now: datetime,
    error: Exception | None = None,
) -> AppointmentChange:
    """End a change whose tries are used up, as its policy says. Staff are notified."""
    message = str(error or change.message)
    with write_transaction():
        ended = finish_change(change, lease, now=now, message=message, **policy.then)
        if ended.outcome == policy.then["outcome"]:
            record_change_event(ended, Event.Kind.CHANGE_FAILED, now=now)
    return ended


def give_up_unclaimed(
    policy: RetryPolicy, change: AppointmentChange, now: datetime, error: Exception
) -> None:
    """End a change that cannot even be worked on, for example because its connection was removed."""
    lease = AppointmentChange.objects.filter(state=change.state).claim(change.pk, now=now)
    if lease is not None:
        give_up(change, lease, policy, now, error)


def invalidate_slots(change: AppointmentChange) -> None:
    """Mark the cached availability of the times that a change freed or took as outdated."""
    meeting_type = change.appointment.meeting_type
    if meeting_type is not None:
        starts = {change.previous_start, change.target_start, change.appointment.start}
        for start in filter(None, starts):
            invalidate(meeting_type=meeting_type, start=start)
    if change.target_host is not None:
        appointment, host_id = change.appointment, change.target_host.remote_id
        taken = TakenSpan(host_id=host_id, start=appointment.start, end=appointment.end)
        remove_spans(connection=appointment.connection, taken=[taken])


def mark_change_unknown(
    change: AppointmentChange, lease: Lease, error: RemoteError | None, now: datetime
) -> AppointmentChange:
    """Keep a change whose answer was lost for reconciliation."""
    change.polls, change.failing_since = 0, None
    return poll_again(change, lease, error, now)


def poll_again(
    change: AppointmentChange, lease: Lease, error: RemoteError | None, now: datetime
) -> AppointmentChange:
    """Re-read the appointment later; at its outcome deadline at the latest while reads succeed."""
    retry = CHANGE_POLL.plan(change, now, error)
    if retry is None:
        return give_up(change, lease, CHANGE_POLL, now, error)
    if error is None and change.outcome_deadline and now < change.outcome_deadline:
        retry["next_at"] = min(retry["next_at"], change.outcome_deadline)
    AppointmentChange.objects.finish(
        lease, **{"polls": change.polls, **retry}, state=State.UNKNOWN, message=str(error or "")
    )
    wake_workers()
    return fetch_change(change)


def requeue_change(
    change: AppointmentChange, lease: Lease, error: RemoteError, now: datetime
) -> AppointmentChange:
    """Send a change again later that certainly was not carried out."""
    retry = CHANGE_SEND.plan(change, now, error, is_counted=True)
    if retry is None:
        return give_up(change, lease, CHANGE_SEND, now, error)
    AppointmentChange.objects.finish(lease, **retry, state=State.RECEIVED, message=str(error))
    return fetch_change(change)
