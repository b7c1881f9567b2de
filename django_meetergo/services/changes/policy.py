"""Decide who may change an appointment."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from django.utils.functional import Promise
from django.utils.module_loading import import_string
from django.utils.translation import gettext as _

from django_meetergo.conf import get_settings
from django_meetergo.exceptions import ChangeNotAllowed
from django_meetergo.models import Appointment, AppointmentChange, Attendee

logger = logging.getLogger(__name__)
Kind, State, Actor = AppointmentChange.Kind, AppointmentChange.State, AppointmentChange.Actor


@dataclass(frozen=True)
class Decision:
    """A policy's answer.

    ``until`` is the last moment at which it holds. When it is no, ``reason`` is a stable word for programs
    and ``message`` a sentence for people.
    """

    allowed: bool
    until: datetime | None = None
    reason: str = ""
    message: str = ""

    def __post_init__(self) -> None:
        """Refuse values of another type here, in the policy that made them, and not on a page."""
        is_moment = isinstance(self.until, datetime) and self.until.tzinfo is not None
        if self.until is not None and not is_moment:
            raise TypeError("until must be an aware datetime or None")
        # A text may be translated: gettext_lazy().
        if not (isinstance(self.reason, str | Promise) and isinstance(self.message, str | Promise)):
            raise TypeError("reason and message must be texts")


def default_policy(action: str, attendee: Attendee, now: datetime) -> Decision:
    """Allow attendees to cancel and reschedule until the appointment begins."""
    start = attendee.appointment.start
    return Decision(allowed=now < start, until=start, reason="" if now < start else "too_late")


def apply_policy(action: str, attendee: Attendee, now: datetime) -> Decision:
    """Return whether an attendee may ``cancel`` or ``reschedule``.

    The state of the appointment is checked first, then the site's ``POLICY``.
    """
    appointment = attendee.appointment
    if reason := find_obstacle(appointment, now):
        return Decision(allowed=False, reason=reason)
    if attendee.status == Attendee.Status.REMOVED:
        return Decision(allowed=False, reason="cancelled")
    if action == Kind.RESCHEDULE and is_group(appointment):
        return Decision(allowed=False, reason="group")
    return call_policy(action, attendee, now)


@dataclass(frozen=True, kw_only=True)
class AllowedChanges:
    """What an attendee may do now, until when, and what the policy says about what they may not do.

    ``until`` is the earlier deadline of what is allowed. ``is_late``: it was allowed, and no longer is.
    """

    may_reschedule: bool
    may_cancel: bool
    until: datetime | None
    is_late: bool
    messages: tuple[str, ...]


def find_allowed_changes(
    attendee: Attendee, last_change: AppointmentChange | None, now: datetime
) -> AllowedChanges:
    """Return what the attendee may request. A cancel waits behind an open reschedule, nothing else does."""
    reschedule, cancel = (apply_policy(kind, attendee, now) for kind in (Kind.RESCHEDULE, Kind.CANCEL))
    meeting_type = attendee.appointment.meeting_type
    is_bookable = meeting_type is not None and meeting_type.is_bookable
    open_kind = last_change.kind if last_change is not None and last_change.is_open else ""
    may_reschedule = reschedule.allowed and is_bookable and not open_kind
    may_cancel = cancel.allowed and open_kind != Kind.CANCEL
    decisions = ((reschedule, may_reschedule), (cancel, may_cancel))
    return AllowedChanges(
        may_reschedule=may_reschedule,
        may_cancel=may_cancel,
        until=min((one.until for one, is_allowed in decisions if is_allowed and one.until), default=None),
        is_late="too_late" in {reschedule.reason, cancel.reason} or attendee.appointment.start <= now,
        messages=tuple(dict.fromkeys(filter(None, (reschedule.message, cancel.message)))),
    )


def call_policy(action: str, attendee: Attendee, now: datetime) -> Decision:
    """Return the decision of the site's policy. A policy that fails forbids, and the log says why."""
    path = get_settings().POLICY
    try:
        policy: Callable[..., Decision] = import_string(path)
        decision = policy(action, attendee, now)
        if not isinstance(decision, Decision):
            raise TypeError(f"it returned {decision!r} instead of a Decision")
    except (Exception, SystemExit):  # a SystemExit would end the server's worker
        logger.exception("POLICY %s failed for %s; the change is not allowed.", path, action)
        contact = get_settings().CONTACT or _("Please ask your host.")
        message = _("This cannot be changed here at the moment. %(contact)s") % {"contact": contact}
        return Decision(allowed=False, reason="policy_failed", message=message)
    return decision


def is_group(appointment: Appointment) -> bool:
    return appointment.meeting_type is not None and appointment.meeting_type.is_group


def find_obstacle(appointment: Appointment, now: datetime) -> str:
    """Return why nobody can change the appointment; nothing when it can be changed.

    ``missing``, ``cancelled``, ``past``, or ``not_connected``: the settings have no connection for it.
    """
    if appointment.missing_since is not None:
        return "missing"
    if appointment.is_cancelled:
        return "cancelled"
    if appointment.start <= now:
        return "past"
    return "" if appointment.is_connected else "not_connected"


def ensure_allowed(
    action: str, appointment: Appointment, attendee: Attendee | None, *, by: str, now: datetime
) -> None:
    """Raise ChangeNotAllowed when the state of the appointment or, for attendees, the policy forbids it."""
    if by == Actor.ATTENDEE and attendee is not None:
        decision = apply_policy(action, attendee, now)
        if not decision.allowed:
            raise build_refusal(decision.reason, decision.message)
    if reason := find_obstacle(appointment, now):
        raise build_refusal(reason)


def build_refusal(reason: str, message: str = "") -> ChangeNotAllowed:
    return ChangeNotAllowed(message or f"The appointment cannot be changed: {reason}.", reason=reason)
