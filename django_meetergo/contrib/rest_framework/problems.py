"""What went wrong, in the words of RFC 9457: one stable ``type`` for each thing a client can do about it."""

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

from django_meetergo.exceptions import MeetingTypeUnavailable, RemoteError
from django_meetergo.transactions import DATABASE_ERRORS, is_database_away

logger = logging.getLogger(__name__)

CONTENT_TYPE = "application/problem+json"
TYPE = "urn:problem-type:django-meetergo:"

#: Seconds after which somebody who was turned away may try again, where nobody knows better.
RETRY_AFTER = 30


@dataclass(frozen=True)
class Kind:
    """One row of the manual's table."""

    name: str
    status: HTTPStatus
    title: str

    @property
    def uri(self) -> str:
        return TYPE + self.name


MALFORMED = Kind("malformed-request", HTTPStatus.BAD_REQUEST, gettext_noop("The request cannot be read."))
KEY_INVALID = Kind(
    "idempotency-key-invalid",
    HTTPStatus.BAD_REQUEST,
    gettext_noop("The Idempotency-Key must be 16 to 128 letters, digits, or any of . _ ~ -"),
)
NOT_AUTHENTICATED = Kind("not-authenticated", HTTPStatus.UNAUTHORIZED, gettext_noop("Please sign in."))
FORBIDDEN = Kind("forbidden", HTTPStatus.FORBIDDEN, gettext_noop("You may not do this."))
NOT_FOUND = Kind("not-found", HTTPStatus.NOT_FOUND, gettext_noop("There is nothing here."))
METHOD = Kind(
    "method-not-allowed", HTTPStatus.METHOD_NOT_ALLOWED, gettext_noop("This method is not supported here.")
)
NOT_ACCEPTABLE = Kind("not-acceptable", HTTPStatus.NOT_ACCEPTABLE, gettext_noop("Only JSON is served here."))
SLOT_TAKEN = Kind("slot-taken", HTTPStatus.CONFLICT, gettext_noop("This time is no longer free."))
ALREADY_OPEN = Kind(
    "booking-already-open",
    HTTPStatus.CONFLICT,
    gettext_noop("There is an open booking of this meeting type; wait for its result."),
)
KEY_REUSED = Kind(
    "idempotency-key-reused",
    HTTPStatus.CONFLICT,
    gettext_noop("This Idempotency-Key came with another booking before; take a new one."),
)
BOOKING_CLOSED = Kind("booking-closed", HTTPStatus.CONFLICT, gettext_noop("This booking has ended."))
BOOKED_ELSEWHERE = Kind(
    "booked-elsewhere", HTTPStatus.CONFLICT, gettext_noop("This can only be booked on another page.")
)
CHANGE_NOT_ALLOWED = Kind(
    "change-not-allowed", HTTPStatus.CONFLICT, gettext_noop("The appointment cannot be changed.")
)
CHANGE_REFUSED = Kind("change-refused", HTTPStatus.CONFLICT, gettext_noop("The change was refused."))
CHANGE_IN_PROGRESS = Kind(
    "change-in-progress",
    HTTPStatus.CONFLICT,
    gettext_noop("Another change of this appointment is on its way."),
)
GONE = Kind(
    "meeting-type-unavailable",
    HTTPStatus.GONE,
    gettext_noop("This meeting type cannot be booked at the moment."),
)
TOO_LARGE = Kind(
    "request-too-large", HTTPStatus.REQUEST_ENTITY_TOO_LARGE, gettext_noop("The request is too large.")
)
MEDIA_TYPE = Kind(
    "unsupported-media-type", HTTPStatus.UNSUPPORTED_MEDIA_TYPE, gettext_noop("Please send JSON.")
)
INVALID = Kind(
    "invalid-fields", HTTPStatus.UNPROCESSABLE_ENTITY, gettext_noop("Some fields cannot be accepted.")
)
THROTTLED = Kind(
    "throttled", HTTPStatus.TOO_MANY_REQUESTS, gettext_noop("Too many requests; try again later.")
)
UNAVAILABLE = Kind(
    "service-unavailable",
    HTTPStatus.SERVICE_UNAVAILABLE,
    gettext_noop("The scheduling service does not answer; try again later."),
)
DATABASE = Kind(
    "database-unavailable", HTTPStatus.SERVICE_UNAVAILABLE, gettext_noop("Please try again in a moment.")
)

KINDS = tuple(value for value in list(globals().values()) if isinstance(value, Kind))


class Problem(exceptions.APIException):
    """An answer other than the one that was hoped for. ``members`` go into the document as they are."""

    def __init__(
        self, kind: Kind, detail: str = "", *, headers: Mapping[str, str] | None = None, **members: Any
    ) -> None:
        super().__init__(detail or kind.title)
        self.kind = kind
        self.status_code = kind.status
        self.text = detail
        self.headers = dict(headers or {})
        self.members = members


def invalid(field: str, message: Any, code: str = "invalid") -> Problem:
    """One field is wrong."""
    return Problem(INVALID, errors={field: [{"code": code, "message": show_safely(message)}]})


def unavailable(seconds: float | None = None, **members: Any) -> Problem:
    return Problem(UNAVAILABLE, headers={"Retry-After": str(ceil(seconds or RETRY_AFTER))}, **members)


def translate(error: Exception) -> Problem | None:
    """The problem an exception stands for; None for one that nobody foresaw."""
    if isinstance(error, Problem):
        return error
    if isinstance(error, exceptions.ValidationError):
        return Problem(INVALID, errors=dict(list_errors(error.get_full_details())))
    if isinstance(error, DATABASE_ERRORS) and is_database_away(error):
        logger.error("The database is away; answering 503.", exc_info=error)
        return Problem(DATABASE)
    if isinstance(error, RemoteError):
        return unavailable(error.retry_after)
    if isinstance(error, exceptions.Throttled):
        return Problem(THROTTLED, headers={"Retry-After": str(ceil(error.wait or 1))})
    if isinstance(error, (exceptions.NotAuthenticated, exceptions.AuthenticationFailed)):
        return challenge(error)
    kind = next((kind for kinds, kind in PLAIN if isinstance(error, kinds)), None)
    return Problem(kind) if kind else None


#: Exceptions that say all there is to say by their name.
PLAIN: tuple[tuple[tuple[type[Exception], ...], Kind], ...] = (
    ((MeetingTypeUnavailable,), GONE),
    ((exceptions.ParseError,), MALFORMED),
    ((exceptions.PermissionDenied, PermissionDenied), FORBIDDEN),
    ((exceptions.NotFound, Http404), NOT_FOUND),
    ((exceptions.MethodNotAllowed,), METHOD),
    ((exceptions.NotAcceptable,), NOT_ACCEPTABLE),
    ((exceptions.UnsupportedMediaType,), MEDIA_TYPE),
)


def challenge(error: exceptions.APIException) -> Problem:
    """401 with the way to sign in; 403 where the site's authentication knows no such way."""
    if error.status_code == HTTPStatus.FORBIDDEN:
        return Problem(FORBIDDEN)
    return Problem(NOT_AUTHENTICATED, headers={"WWW-Authenticate": getattr(error, "auth_header", "")})


def list_errors(details: Any, path: str = "") -> Iterator[tuple[str, list[dict[str, str]]]]:
    """Every field that is wrong, nested ones with dots, and in which way."""
    if isinstance(details, Mapping) and "message" not in details:
        for name, inner in details.items():
            name = "" if name == "non_field_errors" else str(name)
            yield from list_errors(inner, ".".join(filter(None, (path, name))))
        return
    found = [details] if isinstance(details, Mapping) else details
    yield path, [{"code": str(one["code"]), "message": show_safely(one["message"])} for one in found if one]


def show_safely(text: Any) -> str:
    """Words that may repeat what was sent, without the half characters that no encoding knows."""
    return str(text).encode(errors="replace").decode()


def answer(error: Exception, context: Mapping[str, Any]) -> Response | None:
    """What our views make of an exception; Django deals with those nobody foresaw."""
    problem = translate(error)
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
