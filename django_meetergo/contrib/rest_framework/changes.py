"""Cancel and reschedule through the services, and turn refusals into problems."""

from __future__ import annotations

from datetime import datetime
from typing import Any, NoReturn
from zoneinfo import ZoneInfo

from django.conf import settings as django_settings
from django.utils import timezone as clock
from django.utils.translation import gettext as _

from django_meetergo import timezones
from django_meetergo.contrib.rest_framework import problems
from django_meetergo.contrib.rest_framework.availability import HORIZON, list_alternative_slots
from django_meetergo.contrib.rest_framework.problems import Problem, build_invalid, build_unavailable
from django_meetergo.contrib.rest_framework.serializers.base import count_minutes
from django_meetergo.exceptions import ChangeNotAllowed, InvalidRequest
from django_meetergo.models import Appointment, AppointmentChange, Attendee
from django_meetergo.services.changes.requests import cancel_appointment, reschedule_appointment
from django_meetergo.services.clients import build_client

Kind, State = AppointmentChange.Kind, AppointmentChange.State


def choose_zone(attendee: Attendee | None) -> ZoneInfo:
    """Return the attendee's time zone; the site's where there is none."""
    name = attendee.timezone if attendee else ""
    return timezones.choose_zone(name, django_settings.TIME_ZONE)


def request_cancel(appointment: Appointment, **options: Any) -> AppointmentChange:
    """Cancel and return the change, which is done or still open. Raises a problem when it is refused.

    ``options`` are those of the service ``cancel_appointment``.
    """
    try:
        change = cancel_appointment(
            appointment=appointment,
            client=build_client(appointment.connection, "write"),
            now=clock.now(),
            **options,
        )
    except (ChangeNotAllowed, InvalidRequest) as error:
        raise_refused(error)
    return ensure_not_refused(change)


def request_reschedule(appointment: Appointment, start: datetime, **options: Any) -> AppointmentChange:
    """Reschedule and return the change, which is done or still open. Raises a problem when it is refused.

    ``options`` are those of the service ``reschedule_appointment``.
    """
    now = clock.now()
    if start > now + HORIZON:
        raise build_invalid("start", _("This is too far in the future."))
    try:
        change = reschedule_appointment(
            appointment=appointment,
            start=start,
            client=build_client(appointment.connection, "write"),
            now=now,
            **options,
        )
    except (ChangeNotAllowed, InvalidRequest) as error:
        raise_refused(error)
    return ensure_not_refused(change)


def raise_refused(error: ChangeNotAllowed | InvalidRequest) -> NoReturn:
    """Raise the problem of a change that the site refuses before anything is sent."""
    if isinstance(error, InvalidRequest):
        raise build_invalid(error.field, error) from None
    if error.reason == "change_in_progress":
        raise Problem(problems.CHANGE_IN_PROGRESS) from None
    raise Problem(problems.CHANGE_NOT_ALLOWED, reason=error.reason or "not_allowed") from None


def ensure_not_refused(change: AppointmentChange) -> AppointmentChange:
    """Return the change. Raises a problem when meetergo refused it or could not be reached."""
    if change.state != State.REFUSED:
        return change
    if change.outcome == "slot_taken" and change.target_start:
        raise build_slot_taken(change.appointment, change.target_start, change.attendee)
    if change.outcome == "unreachable":
        raise build_unavailable()
    raise Problem(problems.CHANGE_REFUSED)


def build_slot_taken(appointment: Appointment, start: datetime, attendee: Attendee | None) -> Problem:
    """Return the conflict of a new time that is taken; the appointment keeps its present time."""
    if appointment.meeting_type is None:
        return Problem(problems.SLOT_TAKEN, alternatives=[])
    alternatives = list_alternative_slots(
        appointment.meeting_type,
        start,
        count_minutes(appointment),
        choose_zone(attendee),
        clock.now(),
        moving=appointment.remote_id,
        current_start=appointment.start,
    )
    return Problem(problems.SLOT_TAKEN, alternatives=alternatives)
