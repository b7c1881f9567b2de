"""Errors as RFC 9457 problem documents. Each has a stable ``type`` by which a client decides what to do."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from math import ceil
from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import Http404
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop
from rest_framework import exceptions
from rest_framework.response import Response
from rest_framework.settings import api_settings

from django_meetergo.exceptions import MeetingTypeUnavailable, RemoteError
from django_meetergo.transactions import DATABASE_ERRORS, is_database_away

logger = logging.getLogger(__name__)

CONTENT_TYPE = "application/problem+json"
TYPE = "urn:problem-type:django-meetergo:"

#: Seconds in ``Retry-After`` where the error does not say how long to wait.
DEFAULT_RETRY_SECONDS = 30


@dataclass(frozen=True)
class ProblemType:
    """A problem type, as the schema and the reference list it."""

    name: str
    status: HTTPStatus
    title: str

    @property
    def uri(self) -> str:
        return TYPE + self.name

    @property
    def schema_name(self) -> str:
        """The name of its component in the schema, such as ``SlotTakenProblem``."""
        return f"{self.name.title().replace('-', '')}Problem"


MALFORMED = ProblemType(
    "malformed-request", HTTPStatus.BAD_REQUEST, gettext_noop("The request cannot be read.")
)
KEY_INVALID = ProblemType(
    "idempotency-key-invalid",
    HTTPStatus.BAD_REQUEST,
    gettext_noop("The Idempotency-Key must be 16 to 128 letters, digits, or any of . _ ~ -"),
)
NOT_AUTHENTICATED = ProblemType("not-authenticated", HTTPStatus.UNAUTHORIZED, gettext_noop("Please sign in."))
FORBIDDEN = ProblemType("forbidden", HTTPStatus.FORBIDDEN, gettext_noop("You may not do this."))
NOT_FOUND = ProblemType("not-found", HTTPStatus.NOT_FOUND, gettext_noop("There is nothing here."))
METHOD = ProblemType(
    "method-not-allowed", HTTPStatus.METHOD_NOT_ALLOWED, gettext_noop("This method is not supported here.")
)
NOT_ACCEPTABLE = ProblemType(
    "not-acceptable", HTTPStatus.NOT_ACCEPTABLE, gettext_noop("Only JSON is served here.")
)
SLOT_TAKEN = ProblemType("slot-taken", HTTPStatus.CONFLICT, gettext_noop("This time is no longer free."))
ALREADY_OPEN = ProblemType(
    "booking-already-open",
    HTTPStatus.CONFLICT,
    gettext_noop("There is an open booking of this meeting type; wait for its result."),
)
KEY_REUSED = ProblemType(
    "idempotency-key-reused",
    HTTPStatus.CONFLICT,
    gettext_noop("This Idempotency-Key was used for another request; use a new one."),
)
BOOKING_CLOSED = ProblemType("booking-closed", HTTPStatus.CONFLICT, gettext_noop("This booking has ended."))
BOOKED_ELSEWHERE = ProblemType(
    "booked-elsewhere", HTTPStatus.CONFLICT, gettext_noop("This can only be booked on another page.")
)
CHANGE_NOT_ALLOWED = ProblemType(
    "change-not-allowed", HTTPStatus.CONFLICT, gettext_noop("The appointment cannot be changed.")
)
CHANGE_REFUSED = ProblemType("change-refused", HTTPStatus.CONFLICT, gettext_noop("The change was refused."))
CHANGE_IN_PROGRESS = ProblemType(
    "change-in-progress",
    HTTPStatus.CONFLICT,
    gettext_noop("Another change of this appointment is in progress."),
)
GONE = ProblemType(
    "meeting-type-unavailable",
    HTTPStatus.GONE,
    gettext_noop("This meeting type cannot be booked at the moment."),
)
TOO_LARGE = ProblemType(
    "request-too-large", HTTPStatus.REQUEST_ENTITY_TOO_LARGE, gettext_noop("The request is too large.")
)
MEDIA_TYPE = ProblemType(
    "unsupported-media-type", HTTPStatus.UNSUPPORTED_MEDIA_TYPE, gettext_noop("Please send JSON.")
)
INVALID = ProblemType(
    "invalid-fields", HTTPStatus.UNPROCESSABLE_ENTITY, gettext_noop("Some fields are invalid.")
)
TOO_MANY_BOOKINGS = ProblemType(
    "too-many-bookings",
    HTTPStatus.TOO_MANY_REQUESTS,
    gettext_noop("There have been too many bookings; nothing was booked."),
)
TOO_MANY_CHANGES = ProblemType(
    "too-many-changes",
    HTTPStatus.TOO_MANY_REQUESTS,
    gettext_noop("This appointment has been changed too often; try again later."),
)
THROTTLED = ProblemType(
    "throttled", HTTPStatus.TOO_MANY_REQUESTS, gettext_noop("Too many requests; try again later.")
)
UNAVAILABLE = ProblemType(
    "service-unavailable",
    HTTPStatus.SERVICE_UNAVAILABLE,
    gettext_noop("The scheduling service does not answer; try again later."),
)
DATABASE = ProblemType(
    "database-unavailable", HTTPStatus.SERVICE_UNAVAILABLE, gettext_noop("Please try again in a moment.")
)

PROBLEM_TYPES = tuple(value for value in list(globals().values()) if isinstance(value, ProblemType))


class Problem(exceptions.APIException):
    """An error with its problem type. ``members`` are added to the document unchanged."""

    def __init__(
        self, kind: ProblemType, detail: str = "", *, headers: Mapping[str, str] | None = None, **members: Any
    ) -> None:
        super().__init__(detail or kind.title)
        self.kind = kind
        self.status_code = kind.status
        self.text = detail
        self.headers = dict(headers or {})
        self.members = members


def build_invalid(field: str, message: Any, code: str = "invalid") -> Problem:
    """Return the problem of one invalid field."""
    return Problem(INVALID, errors={field: [build_error(message, code)]})


#: Codes of field errors. Other codes, such as those of a site's own validators, are shown as ``invalid``.
ERROR_CODES = (
    "invalid",
    "required",
    "blank",
    "null",
    "invalid_choice",
    "invalid_list",
    "max_length",
    "min_length",
    "max_value",
    "min_value",
    "max_digits",
    "max_decimal_places",
    "max_whole_digits",
    "step_size",
    "line_break",
    "too_many",
    "unknown",
    "past",
    "too_late",
    "unchanged",
    "not_offered",
    "limit_reached",
    "refused",
)


def build_error(message: Any, code: Any) -> dict[str, str]:
    """Return one error of a field.

    The text has no lone surrogates: a message may quote input, and UTF-8 cannot encode those.
    """
    shown = str(code) if code in ERROR_CODES else "invalid"
    return {"code": shown, "message": str(message).encode(errors="replace").decode()}


def build_unavailable(seconds: float | None = None, **members: Any) -> Problem:
    """Return 503 with ``Retry-After`` in whole seconds."""
    return Problem(
        UNAVAILABLE, headers={"Retry-After": str(ceil(seconds or DEFAULT_RETRY_SECONDS))}, **members
    )


def build_limited(kind: ProblemType, seconds: float) -> Problem:
    """Return 429 of a limit that ends after these seconds."""
    return Problem(kind, headers={"Retry-After": str(ceil(seconds))})


def build_problem(error: Exception) -> Problem | None:
    """Return the problem for an exception; None for an unexpected one."""
    if isinstance(error, Problem):
        return error
    if isinstance(error, exceptions.ValidationError):
        return Problem(INVALID, errors=dict(flatten_errors(error.get_full_details())))
    if isinstance(error, DATABASE_ERRORS) and is_database_away(error):
        logger.error("The database is away; answering 503.", exc_info=error)
        return Problem(DATABASE)
    if isinstance(error, RemoteError):
        return build_unavailable(error.retry_after)
    if isinstance(error, exceptions.Throttled):
        return build_limited(THROTTLED, error.wait or 1)
    if isinstance(error, (exceptions.NotAuthenticated, exceptions.AuthenticationFailed)):
        return build_unauthenticated(error)
    kind = next((kind for classes, kind in SIMPLE_PROBLEMS if isinstance(error, classes)), None)
    return Problem(kind) if kind else None


#: Problem types of exceptions whose class is all the information there is.
SIMPLE_PROBLEMS: tuple[tuple[tuple[type[Exception], ...], ProblemType], ...] = (
    ((MeetingTypeUnavailable,), GONE),
    ((exceptions.ParseError,), MALFORMED),
    ((exceptions.PermissionDenied, PermissionDenied), FORBIDDEN),
    ((exceptions.NotFound, Http404), NOT_FOUND),
    ((exceptions.MethodNotAllowed,), METHOD),
    ((exceptions.NotAcceptable,), NOT_ACCEPTABLE),
    ((exceptions.UnsupportedMediaType,), MEDIA_TYPE),
)


def build_unauthenticated(error: exceptions.APIException) -> Problem:
    """Return 401 with ``WWW-Authenticate``; 403 where the site's first authentication class sends none."""
    if error.status_code == HTTPStatus.FORBIDDEN:
        return Problem(FORBIDDEN)
    return Problem(NOT_AUTHENTICATED, headers={"WWW-Authenticate": getattr(error, "auth_header", "")})


def flatten_errors(details: Any, path: str = "") -> Iterator[tuple[str, list[dict[str, str]]]]:
    """Yield each invalid field, nested ones joined by dots, with its codes and messages."""
    if isinstance(details, Mapping) and "message" not in details:
        for name, inner in details.items():
            name = "" if name == api_settings.NON_FIELD_ERRORS_KEY else str(name)
            yield from flatten_errors(inner, ".".join(filter(None, (path, name))))
        return
    found = [details] if isinstance(details, Mapping) else details
    yield path, [build_error(one["message"], one["code"]) for one in found if one]


def handle_exception(error: Exception, context: Mapping[str, Any]) -> Response | None:
    """Return the answer to an exception; None leaves an unexpected one to Django."""
    problem = build_problem(error)
    if problem is None:
        return None
    kind = problem.kind
    document = {
        "type": kind.uri,
        "title": _(kind.title),
        "status": int(kind.status),
        **({"detail": problem.text} if problem.text else {}),
        **problem.members,
    }
    return Response(document, kind.status, headers=problem.headers, content_type=CONTENT_TYPE)
