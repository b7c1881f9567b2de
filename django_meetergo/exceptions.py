"""
What can go wrong, sorted by the caller's question: may I send this again?

MeetergoError
├── RemoteError                  a call to meetergo did not succeed
│   ├── Unreachable              never arrived: safe to send again
│   │   ├── BudgetSpent          held back by our own request budget
│   │   └── CircuitOpen          held back because meetergo has been failing
│   ├── RateLimited              not carried out (429): send again later
│   ├── OutcomeUnknown           may have been carried out: look before sending again
│   │   └── UnreadableReply      answered in a shape we do not know: after a write, look first
│   └── Refused                  answered with no
│       ├── CredentialRefused    401: no, unknown or expired credential
│       ├── PermissionRefused    403: role, scope or plan does not allow it
│       ├── NotFound             404: no such id
│       ├── SlotUnavailable      the time is taken
│       ├── InvalidDuration      the length is not offered
│       ├── MissingHost          neither host nor queue was named
│       ├── InvalidFields        fields were refused; ``fields`` says which
│       └── WebhookLimitReached  406: all six webhook endpoints are in use
└── NotAccepted                  refused on our side, before anything was sent or stored
    ├── InvalidRequest           an argument cannot be right; ``field`` names it
    ├── TooManyBookings          a stranger asks for more than one person needs
    ├── StartNotOffered          the start is not among the free times
    ├── MeetingTypeUnavailable   the meeting type is switched off or gone
    ├── BookingAlreadyOpen       this person has another open booking of this type; ``booking``
    ├── ClientKeyReused          the same key came with different content; ``booking``
    └── ChangeNotAllowed         policy or state forbids the cancel or move; ``reason``
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from django_meetergo.models import Booking


class MeetergoError(Exception):
    """The base of everything this app raises about scheduling."""


class RemoteError(MeetergoError):
    """A call to meetergo did not succeed.

    Carries what may be logged and nothing else: the method, the route template, the status (None when
    there was no answer), meetergo's own words (hostile text) and, for a 429, the seconds to wait.
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
    """The request certainly never reached meetergo: safe to send again."""


class RateLimitReached(Unreachable):
    """Held back by our own share of meetergo's request limit."""


class CircuitOpen(Unreachable):
    """Held back because meetergo has just failed several times, or refused the credential."""


class RateLimited(RemoteError):
    """meetergo answered 429: not carried out, ``retry_after`` seconds if it said how long to wait."""


class OutcomeUnknown(RemoteError):
    """A write may or may not have been carried out. Look before sending again."""


class UnreadableReply(OutcomeUnknown):
    """An answer in a shape we do not know. After a write this says nothing about what happened."""


class Refused(RemoteError):
    """meetergo said no; nothing was carried out."""


class CredentialRefused(Refused):
    """401: the credential is missing, unknown, switched off or expired."""


class PermissionRefused(Refused):
    """403: the credential's role, scope or plan does not allow this."""


class NotFound(Refused):
    """404: meetergo knows no such id."""


class SlotUnavailable(Refused):
    """The time has been taken, or was never offered."""


class InvalidDuration(Refused):
    """The length is not one the meeting type offers."""


class MissingHost(Refused):
    """Neither host ids nor a queue id were sent."""


class InvalidFields(Refused):
    """Fields were refused; ``fields`` maps their names to meetergo's words."""


class WebhookLimitReached(Refused):
    """406: the company already has six webhook endpoints."""


class NotAccepted(MeetergoError):
    """Refused on our side, before anything was sent or stored."""


class InvalidRequest(NotAccepted):
    """An argument cannot be right; ``field`` names it and the text says what would be."""

    def __init__(self, message: str, *, field: str) -> None:
        super().__init__(message)
        self.field = field


class TooManyBookings(NotAccepted):
    """More bookings from one address or for one person than a person needs; ask again tomorrow."""


class StartNotOffered(NotAccepted):
    """The start is not among the free times of this meeting type."""


class MeetingTypeUnavailable(NotAccepted):
    """The meeting type is switched off, or meetergo no longer lists it."""


class BookingAlreadyOpen(NotAccepted):
    """The same person has an open booking of this type. Show ``booking`` only to whoever made it."""

    def __init__(self, message: str, *, booking: Booking) -> None:
        super().__init__(message)
        self.booking = booking


class IdempotencyKeyReused(NotAccepted):
    """The same client key came before, with other content. Nothing was sent; ``booking`` is the first."""

    def __init__(self, message: str, *, booking: Booking) -> None:
        super().__init__(message)
        self.booking = booking


class ChangeNotAllowed(NotAccepted):
    """The appointment's state or the site's policy forbids this; ``reason`` is a stable word."""

    def __init__(self, message: str, *, reason: str) -> None:
        super().__init__(message)
        self.reason = reason
