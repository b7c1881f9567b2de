"""
The exceptions of this app, grouped by whether a call may be sent again.

MeetergoError
├── RemoteError                  a call to meetergo failed
│   ├── Unreachable              the request was never received: safe to send again
│   │   ├── RateLimitReached     not sent: this site has used its share of requests
│   │   └── CircuitOpen          not sent: the circuit breaker is open
│   ├── RateLimited              429, not carried out: send again later
│   ├── OutcomeUnknown           may have been carried out: read before sending again
│   │   └── UnreadableReply      the answer cannot be parsed
│   └── Refused                  not carried out: meetergo refused it
│       ├── CredentialRefused    401: the credential is missing, unknown or expired
│       ├── PermissionRefused    403: role, scope or plan do not allow it
│       ├── NotFound             404: no such id
│       ├── SlotUnavailable      the slot is taken
│       ├── InvalidDuration      the duration is not offered
│       ├── MissingHost          neither host nor queue was sent
│       ├── InvalidFields        fields were refused; ``fields`` names them
│       └── WebhookLimitReached  406: all webhook endpoints are in use
└── NotAccepted                  refused by this app before anything was sent or stored
    ├── InvalidRequest           an argument is invalid; ``field`` names it
    ├── TooManyBookings          a limit for visitors is reached
    ├── StartNotOffered          the start is not a free slot
    ├── MeetingTypeUnavailable   the meeting type is disabled or no longer listed
    ├── BookingAlreadyOpen       another booking of this type is open; ``booking``
    ├── IdempotencyKeyReused     the key belongs to another request; ``booking``
    └── ChangeNotAllowed         state or policy forbids the change; ``reason``
        └── TooManyChanges       a limit for attendees is reached
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from django_meetergo.models import Booking


class MeetergoError(Exception):
    """The base class of every exception of this app."""


class RemoteError(MeetergoError):
    """A call to meetergo failed.

    Every attribute may be logged: ``method``, ``route`` (the template, without ids), ``status`` (None
    without an answer), ``message`` (meetergo's text, untrusted), ``retry_after`` (seconds, for a 429) and
    ``fields`` (refused fields and meetergo's texts).
    """

    def __init__(
        self,
        message: str,
        *,
        method: str = "",
        route: str = "",
        status: int | None = None,
        retry_after: float | None = None,
        fields: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.method = method
        self.route = route
        self.status = status
        self.retry_after = retry_after
        self.fields = dict(fields or {})

    def __str__(self) -> str:
        where = f"{self.method} {self.route}".strip()
        answer = f" ({self.status})" if self.status is not None else ""
        return f"{where}{answer}: {self.message}" if where else self.message


class Unreachable(RemoteError):
    """meetergo never received the request: safe to send again."""


class RateLimitReached(Unreachable):
    """Not sent: this site has used its share of meetergo's request limit for now."""


class CircuitOpen(Unreachable):
    """Not sent: meetergo has just failed several times, or has refused the credential."""


class RateLimited(RemoteError):
    """429: not carried out. ``retry_after`` is the number of seconds to wait, if meetergo sent it."""


class OutcomeUnknown(RemoteError):
    """A write may or may not have been carried out. Read its result before sending it again."""


class UnreadableReply(OutcomeUnknown):
    """The answer cannot be parsed. After a write, its outcome is unknown."""


class Refused(RemoteError):
    """meetergo refused the request; nothing was carried out."""


class CredentialRefused(Refused):
    """401: the credential is missing, unknown, disabled or expired."""


class PermissionRefused(Refused):
    """403: the credential's role, scope or plan do not allow this."""


class NotFound(Refused):
    """404: meetergo has no object with this id."""


class SlotUnavailable(Refused):
    """The slot is taken, or was never offered."""


class InvalidDuration(Refused):
    """The meeting type does not offer this duration."""


class MissingHost(Refused):
    """Neither host ids nor a queue id were sent."""


class InvalidFields(Refused):
    """Fields were refused; ``fields`` maps their names to meetergo's texts."""


class WebhookLimitReached(Refused):
    """406: the company has no webhook endpoint left; meetergo allows six."""


class NotAccepted(MeetergoError):
    """Refused by this app before anything was sent or stored."""


class InvalidRequest(NotAccepted):
    """An argument is invalid; ``field`` names it and the message says what is valid."""

    def __init__(self, message: str, *, field: str) -> None:
        super().__init__(message)
        self.field = field


class TooManyBookings(NotAccepted):
    """A limit for visitors is reached; it ends after ``retry_after`` seconds."""

    def __init__(self, message: str, *, retry_after: int) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class StartNotOffered(NotAccepted):
    """The start is not a free slot of this meeting type."""


class MeetingTypeUnavailable(NotAccepted):
    """The meeting type is disabled, or meetergo no longer lists it."""


class BookingAlreadyOpen(NotAccepted):
    """Another booking of this type is still open. Show ``booking`` only to the person who made it."""

    def __init__(self, message: str, *, booking: Booking) -> None:
        super().__init__(message)
        self.booking = booking


class IdempotencyKeyReused(NotAccepted):
    """The idempotency key belongs to an earlier, different request: ``booking``. Nothing was sent."""

    def __init__(self, message: str, *, booking: Booking) -> None:
        super().__init__(message)
        self.booking = booking


class ChangeNotAllowed(NotAccepted):
    """The appointment's state or the site's policy forbids this change; ``reason`` is a stable code."""

    def __init__(self, message: str, *, reason: str) -> None:
        super().__init__(message)
        self.reason = reason


class TooManyChanges(ChangeNotAllowed):
    """The attendee has changed the appointment too often; the limit ends after ``retry_after`` seconds."""

    def __init__(self, message: str, *, retry_after: int) -> None:
        super().__init__(message, reason="too_many_changes")
        self.retry_after = retry_after
