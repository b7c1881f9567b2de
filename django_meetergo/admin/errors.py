"""Errors of services in words for staff."""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext_lazy as _

from django_meetergo import exceptions

#: Why a cancel or a reschedule is not allowed, by ``ChangeNotAllowed.reason``.
REFUSALS: dict[str, Any] = {
    "cancelled": _("The appointment is already cancelled."),
    "missing": _("The appointment no longer exists at meetergo."),
    "past": _("The appointment has already started."),
    "group": _("A group appointment cannot be rescheduled here. Reschedule it at meetergo."),
    "too_late": _("It is too late to change this appointment."),
    "change_in_progress": _("Another change of this appointment is in progress."),
    "not_connected": _("Its connection is no longer in the settings of this site."),
    "policy_failed": _("The rules of this site could not be applied. Please inform your administrator."),
}

#: How a change ended, by ``AppointmentChange.outcome``.
CHANGE_OUTCOMES: dict[str, Any] = {
    "slot_taken": _("the new time is no longer free"),
    "refused": _("meetergo refused it"),
    "unreachable": _("meetergo could not be reached"),
    "unverified": _("the result could not be read; compare the appointment with meetergo"),
    "needs_staff": _("the attendee was not found at meetergo; cancel the place there"),
    "not_surplus": _("it is the only appointment of its booking, so it was kept"),
}

#: The most specific class comes first.
ERRORS: tuple[tuple[type[Exception] | tuple[type[Exception], ...], Any], ...] = (
    (
        (exceptions.RateLimitReached, exceptions.RateLimited),
        _("Too many requests to meetergo at the moment. Try again in a minute."),
    ),
    (exceptions.Unreachable, _("meetergo cannot be reached at the moment. Try again in a few minutes.")),
    (exceptions.OutcomeUnknown, _("meetergo did not answer clearly. The result is being checked.")),
    (
        exceptions.CredentialRefused,
        _("meetergo does not accept this site's key. Please inform your administrator."),
    ),
    (
        exceptions.PermissionRefused,
        _("This site's key is not allowed to do this at meetergo. Please inform your administrator."),
    ),
    (exceptions.NotFound, _("It no longer exists at meetergo.")),
    ((exceptions.SlotUnavailable, exceptions.StartNotOffered), _("This time is no longer free.")),
    (exceptions.MeetingTypeUnavailable, _("This meeting type can no longer be booked.")),
)


#: What is wrong with a value that staff may give, by ``InvalidRequest.field``.
INVALID: dict[str, Any] = {
    "start": _("Choose a time that is still to come, and not the present one."),
    "email": _("This e-mail address has as many future appointments as one person may have."),
    "host": _("Choose another host."),
    "duration": _("This length is no longer offered."),
    "channel": _("This is no longer offered. Choose another one."),
    "location": _("This place is no longer offered. Choose another one."),
}


def describe_error(error: Exception) -> str:
    """Return what went wrong in the staff's language; the error's own text where there is no better one."""
    if isinstance(error, exceptions.ChangeNotAllowed) and error.reason in REFUSALS:
        return str(REFUSALS[error.reason])
    if isinstance(error, exceptions.InvalidRequest) and error.field in INVALID:
        return str(INVALID[error.field])
    return next((str(text) for kind, text in ERRORS if isinstance(error, kind)), str(error))


def describe_outcome(outcome: str) -> str:
    """Return the outcome of a change in words; an empty string when there is none."""
    return str(CHANGE_OUTCOMES.get(outcome) or REFUSALS.get(outcome) or outcome)


def describe_error_type(name: str) -> str:
    """Return what the class name of an error means in words; the name itself where it is unknown."""
    kind = getattr(exceptions, name, None)
    if not (isinstance(kind, type) and issubclass(kind, Exception)):
        return name
    return next((str(text) for known, text in ERRORS if issubclass(kind, known)), name)
