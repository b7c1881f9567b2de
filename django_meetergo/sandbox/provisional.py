"""Provisional bookings: holding a slot, and ending without an appointment."""

from __future__ import annotations

from datetime import timedelta

from django_meetergo.sandbox.clock import print_instant
from django_meetergo.sandbox.errors import Refused
from django_meetergo.sandbox.records import BookingRequest, MeetingType, Provisional
from django_meetergo.sandbox.state import State
from django_meetergo.sandbox.working_hours import BusyPeriod, to_epoch


def list_confirmation_stages(state: State, kind: MeetingType) -> list[str]:
    """Return who has to confirm a booking of this type, in order: the host first, then the attendee."""
    company = {
        "requireHostConfirmation": state.settings.company_host_confirmation,
        "doubleOptIn": state.settings.company_double_opt_in,
    }
    own = {"requireHostConfirmation": kind.host_confirmation, "doubleOptIn": kind.double_opt_in}
    return [
        stage
        for stage, choice in own.items()
        if choice == "enabled" or (choice == "useCompanySettings" and company[stage])
    ]


def create_provisional(
    state: State, request: BookingRequest, host_ids: list[str], stages: list[str]
) -> Provisional:
    """Store a provisional booking that waits for the first of ``stages``, and hold its slot."""
    provisional = Provisional(
        id=state.new_id(),
        type=stages[0],
        needs_opt_in_next=len(stages) > 1,
        request=request,
        host_ids=host_ids,
        created_at=state.now(),
    )
    state.provisionals[provisional.id] = state.pending[provisional.id] = provisional
    if state.settings.hold_pending:
        state.calendar.add(_build_hold(provisional), host_ids)
    record_provisional(state, "provisional_created", provisional)
    return provisional


def _build_hold(provisional: Provisional) -> BusyPeriod:
    request, kind = provisional.request, provisional.request.meeting_type
    return BusyPeriod(
        key=provisional.id,
        start=to_epoch(request.start),
        end=to_epoch(request.end),
        before=kind.buffer_before * 60,
        after=kind.buffer_after * 60,
        meeting_type_id=kind.id,
    )


def get_pending(state: State, provisional_id: str) -> Provisional:
    """Return a provisional booking without an outcome. Raises ``Refused`` if there is none."""
    expire_overdue(state)
    provisional = state.provisionals.get(provisional_id)
    if provisional is None:
        raise Refused(404, "Provisional booking not found")
    if provisional.status != "pending":
        raise Refused(400, "Provisional booking is no longer pending")
    return provisional


def decline(state: State, provisional_id: str, reason: str | None = None) -> Provisional:
    """Decline a provisional booking as its host."""
    with state.lock:
        provisional = get_pending(state, provisional_id)
        provisional.reason = reason
        return close_provisional(state, provisional, "declined_by_host")


def expire(state: State, provisional_id: str) -> Provisional:
    """Let a provisional booking expire now."""
    with state.lock:
        return close_provisional(state, get_pending(state, provisional_id), "expired")


def expire_overdue(state: State) -> None:
    """Expire every booking that has been pending for longer than ``provisional_hours``."""
    limit = state.now() - timedelta(hours=state.settings.provisional_hours)
    # The clock may have been set back, so the first that is young enough is not the last.
    for overdue in [one for one in state.pending.values() if one.created_at <= limit]:
        close_provisional(state, overdue, "expired")


def close_provisional(state: State, provisional: Provisional, status: str) -> Provisional:
    """End a provisional booking with a status and release its slot."""
    provisional.status = status
    state.pending.pop(provisional.id, None)
    provisional.deleted_at = state.now()
    state.calendar.remove(provisional.id)
    record_provisional(state, f"provisional_{status}", provisional)
    return provisional


def record_provisional(state: State, change: str, provisional: Provisional) -> None:
    """Log a change of a provisional booking, and mail it to whoever has to confirm or waits."""
    request = provisional.request
    mailed, recipients = change, [request.attendee.email]
    path = f"/confirm/{provisional.id}"
    if provisional.status == "pending":
        mailed = f"provisional_{provisional.type}"
        if provisional.type == "requireHostConfirmation":
            recipients = [host.email for host in state.get_hosts(provisional.host_ids)]
            path = f"/decide/{provisional.id}"
    state.mailbox.send(
        mailed,
        recipients,
        about=request.meeting_type.name,
        start=request.start,
        now=state.now(),
        path=path,
    )
    state.request_log.write(
        "applied",
        change=change,
        provisionalBookingId=provisional.id,
        appointmentId=provisional.appointment_id,
        meetingTypeId=request.meeting_type.id,
        start=print_instant(request.start),
        hostIds=list(provisional.host_ids),
        emails=[request.attendee.email],
        type=provisional.type,
    )
