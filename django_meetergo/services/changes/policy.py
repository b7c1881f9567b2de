"""Decide who may change an appointment."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from django.utils.module_loading import import_string

from django_meetergo.conf import get_settings
from django_meetergo.exceptions import (
    ChangeNotAllowed,
)
from django_meetergo.models import Appointment, AppointmentChange, Attendee

Kind, State, Actor = AppointmentChange.Kind, AppointmentChange.State, AppointmentChange.Actor


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


def apply_policy(action: str, attendee: Attendee, now: datetime) -> Decision:
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


def ensure_allowed(
    action: str, appointment: Appointment, attendee: Attendee | None, *, by: str, now: datetime
) -> None:
    """State binds everybody; the site's policy binds attendees."""
    if by == Actor.ATTENDEE and attendee is not None:
        decision = apply_policy(action, attendee, now)
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
