"""Cancel and reschedule through the services, and turn refusals into problems."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any, NoReturn
from zoneinfo import ZoneInfo

from django.conf import settings as django_settings
from django.utils import timezone as clock
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from django_meetergo import timezones
from django_meetergo.contrib.rest_framework import problems
from django_meetergo.contrib.rest_framework.availability import HORIZON, list_alternative_slots
from django_meetergo.contrib.rest_framework.problems import (
    Problem,
    build_invalid,
    build_limited,
    build_unavailable,
)
from django_meetergo.contrib.rest_framework.serializers.problems import CHANGE_REASONS
from django_meetergo.exceptions import ChangeNotAllowed, InvalidRequest, TooManyChanges
from django_meetergo.models import Appointment, AppointmentChange, Attendee
from django_meetergo.presentation.forms import NOT_ACCEPTED
from django_meetergo.services.changes.requests import reschedule_appointment
from django_meetergo.services.clients import find_client

State = AppointmentChange.State

#: What a client shows for each reason, unless the site's policy has a sentence of its own.
REASON_TEXTS = {
    "missing": gettext_lazy("This appointment no longer exists."),
    "cancelled": gettext_lazy("This appointment has been cancelled."),
    "past": gettext_lazy("This appointment has already begun or is over."),
    "group": gettext_lazy("A place in a group cannot be rescheduled. Cancel it and book another time."),
    "too_late": gettext_lazy("It is too late to change this online."),
    "unavailable": gettext_lazy("No other times are offered at the moment."),
    "not_allowed": gettext_lazy("This appointment cannot be changed online."),
}
INVALID_TEXTS = {
    "attendee": ("required", gettext_lazy("Say which attendee leaves, or cancel for all of them.")),
}


def choose_zone(attendee: Attendee | None) -> ZoneInfo:
    """Return the attendee's time zone; the site's where there is none."""
    name = attendee.timezone if attendee else ""
    return timezones.choose_zone(name, django_settings.TIME_ZONE)


def request_change(
    service: Callable[..., AppointmentChange], appointment: Appointment, **options: Any
) -> AppointmentChange:
    """Return the change of a service, which is done or still open. Raises a problem when it is refused."""
    try:
        change = service(
            appointment=appointment,
            client=find_client(appointment.reader, "write"),
            now=clock.now(),
            **options,
        )
    except (ChangeNotAllowed, InvalidRequest) as error:
        raise_refused(error)
    if change.state == State.REFUSED:
        raise build_refused(change)
    return change


def request_reschedule(appointment: Appointment, start: datetime, **options: Any) -> AppointmentChange:
    """Reschedule to a start that was not requested before; see ``request_change``."""
    now = clock.now()
    if start <= now:
        raise build_invalid("start", _("This time has passed. Choose a later one."), "past")
    if start > now + HORIZON:
        raise build_invalid("start", _("This is too far in the future."), "too_late")
    if start == appointment.start:
        raise build_invalid("start", _("The appointment has this time already."), "unchanged")
    return request_change(reschedule_appointment, appointment, start=start, **options)


def raise_refused(error: ChangeNotAllowed | InvalidRequest) -> NoReturn:
    """Raise the problem of a change that the site refuses before anything is sent."""
    if isinstance(error, InvalidRequest):
        raise build_invalid_change(error) from None
    if isinstance(error, TooManyChanges):
        raise build_limited(problems.TOO_MANY_CHANGES, error.retry_after) from None
    if error.reason == "change_in_progress":
        raise Problem(problems.CHANGE_IN_PROGRESS) from None
    is_plain = str(error) == f"The appointment cannot be changed: {error.reason}."
    raise build_not_allowed(error.reason, "" if is_plain else str(error)) from None


def build_invalid_change(error: InvalidRequest) -> Problem:
    """Return the problem at its field, with a text in the client's language."""
    code, message = INVALID_TEXTS.get(error.field, ("invalid", NOT_ACCEPTED))
    return build_invalid(error.field, message, code)


def build_not_allowed(reason: str, message: str = "") -> Problem:
    """Return the conflict of a change that state or policy forbids.

    ``message`` is the sentence of the site's policy. A reason of a policy that this API does not know is
    shown as ``policy_reason``.
    """
    members: dict[str, Any] = {"reason": reason} if reason in CHANGE_REASONS else {"reason": "not_allowed"}
    if reason and members["reason"] != reason:
        members["policy_reason"] = reason
    detail = message or str(REASON_TEXTS[members["reason"]])
    return Problem(problems.CHANGE_NOT_ALLOWED, detail, **members)


def build_refused(change: AppointmentChange) -> Problem:
    """Return the problem of a change that meetergo refused, or could not be asked for."""
    if change.outcome == "slot_taken" and change.target_start:
        return build_slot_taken(change.appointment, change.target_start, change.attendee)
    return build_unavailable() if change.outcome == "unreachable" else Problem(problems.CHANGE_REFUSED)


def build_slot_taken(appointment: Appointment, start: datetime, attendee: Attendee | None) -> Problem:
    """Return the conflict of a new time that is taken; the appointment keeps its present time."""
    if appointment.meeting_type is None:
        return Problem(problems.SLOT_TAKEN, alternatives=[])
    alternatives = list_alternative_slots(
        appointment.meeting_type,
        start,
        appointment.minutes,
        choose_zone(attendee),
        clock.now(),
        moving=appointment.remote_id,
        current_start=appointment.start,
    )
    return Problem(problems.SLOT_TAKEN, alternatives=alternatives)
