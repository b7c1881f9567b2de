"""What a handler receives, and how handlers read queries and bodies."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time
from typing import Any
from zoneinfo import ZoneInfo

from django_meetergo.sandbox import documents
from django_meetergo.sandbox.clock import parse_instant
from django_meetergo.sandbox.errors import Refused
from django_meetergo.sandbox.http import Request, Response
from django_meetergo.sandbox.records import Appointment, User
from django_meetergo.sandbox.settings import Settings
from django_meetergo.sandbox.state import State

MAX_PAGE_SIZE = 100


@dataclass
class Call:
    """One authenticated request."""

    request: Request
    params: dict[str, str]  # of the path
    state: State
    acting_user: User | None
    shows_answers: bool = True  # attendees are shown with their answers
    list_lag: float = 0.0  # seconds

    @property
    def settings(self) -> Settings:
        return self.state.settings

    @property
    def user(self) -> User:
        """The acting user. Raises ``Refused`` on routes that need no credential."""
        if self.acting_user is None:
            raise Refused(401, "Missing authorization header")
        return self.acting_user

    def require_admin(self) -> None:
        """Raise ``Refused`` unless the acting user is an admin."""
        if not self.user.is_admin:
            raise Refused(403, "Forbidden resource")

    def get_appointment(self) -> Appointment:
        """Return the appointment the path names. Raises ``Refused`` if the acting user may not see it."""
        found = self.state.appointments.get(self.params["id"])
        if found is None or not (self.user.is_admin or self.user.id in found.host_ids):
            raise Refused(404, "Appointment not found")
        return found

    def build_document(self, appointment: Appointment) -> documents.Document:
        """Return an appointment as this request may see it."""
        kind = self.state.meeting_types[appointment.meeting_type_id]
        hosts = self.state.get_hosts(appointment.host_ids)
        return documents.appointment_document(
            appointment,
            kind,
            hosts,
            with_answers=self.shows_answers,
            with_reschedule_count=not self.settings.hide_reschedule_count,
        )

    def get_list_owner(self) -> User:
        """Return the user whose rows are listed: the acting user or, for admins, the one in ``userId``."""
        wanted = self.request.get("userId")
        if wanted is None or wanted == self.user.id:
            return self.user
        self.require_admin()
        return self.state.users.get(wanted) or User(wanted, "", "", "", "", "", self.user.timezone)


Handler = Callable[[Call], Response]


@dataclass(frozen=True)
class Route:
    """A line of the routing table. ``scope`` is the area that a limited token must have."""

    method: str
    template: str
    handler: Handler
    scope: str = "scheduling"
    needs_user: bool = True  # a platform key must name the acting user
    is_open: bool = False  # no credential is needed
    parts: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "parts", tuple(self.template.strip("/").split("/")))

    @property
    def name(self) -> str:
        return f"{self.method} {self.template}"

    def match(self, method: str, parts: tuple[str, ...]) -> dict[str, str] | None:
        """Return the path's parameters if the route matches, else None."""
        if method != self.method or len(parts) != len(self.parts):
            return None
        params = {}
        for own, given in zip(self.parts, parts, strict=True):
            if own.startswith("{") and given:
                params[own[1:-1]] = given
            elif own != given:
                return None
        return params


@dataclass(frozen=True)
class Page:
    """The part of a list that is asked for."""

    offset: int
    limit: int
    facts: dict[str, int]  # what the response repeats


def read_page(call: Call) -> Page:
    """Read paging in both dialects: ``page`` from 0 with ``pageSize``, or from 1 with ``limit`` alone."""
    request = call.request
    problems: list[str] = []
    page = _read_number(request.get("page"), "page", 0, 100_000, problems)
    size = _read_number(request.get("pageSize"), "pageSize", 1, MAX_PAGE_SIZE, problems)
    limit = _read_number(request.get("limit"), "limit", 1, MAX_PAGE_SIZE, problems)
    if call.settings.strict:
        if page is None:
            problems.append("page must be an integer number")
        if size is None:
            problems.append("pageSize must be an integer number")
    if problems:
        raise Refused(400, list(dict.fromkeys(problems)))
    if size is None and limit is not None:
        return Page((max(page or 1, 1) - 1) * limit, limit, {"page": max(page or 1, 1), "pageSize": limit})
    size = size or 20
    return Page((page or 0) * size, size, {"page": page or 0, "pageSize": size})


def read_limit(request: Request, default: int) -> tuple[int, int]:
    """Read ``limit`` and ``offset`` of the lists that page that way."""
    problems: list[str] = []
    limit = _read_number(request.get("limit"), "limit", 1, MAX_PAGE_SIZE, problems)
    offset = _read_number(request.get("offset"), "offset", 0, 100_000, problems)
    if problems:
        raise Refused(400, problems)
    return limit or default, offset or 0


def _read_number(text: str | None, name: str, low: int, high: int, problems: list[str]) -> int | None:
    if text is None:
        return None
    try:
        number = int(text)
    except ValueError:
        problems.append(f"{name} must be an integer number")
        return None
    if number < low:
        problems.append(f"{name} must not be less than {low}")
    elif number > high:
        problems.append(f"{name} must not be greater than {high}")
    return number


def read_choice(request: Request, name: str, choices: tuple[str, ...]) -> str | None:
    """Return an optional query parameter. Raises ``Refused`` if it is none of the choices."""
    value = request.get(name)
    if value is not None and value not in choices:
        raise Refused(400, [f"{name} must be one of the following values: {', '.join(choices)}"])
    return value


def read_bound(text: str | None, name: str, zone: ZoneInfo) -> datetime | None:
    """Read a date (its midnight in ``zone``) or an instant of the query; None if it is missing."""
    if text is None:
        return None
    try:
        return datetime.combine(date.fromisoformat(text), time(), zone).astimezone(UTC)
    except (ValueError, OverflowError):
        moment = parse_instant(text)
    if moment is None:
        raise Refused(400, [f"{name} must be ISO 8601"])
    return moment


def read_text(body: dict[str, Any], name: str, *, limit: int | None = None) -> str | None:
    """Return an optional text of a body. Raises ``Refused`` for another type or too long a text."""
    value = body.get(name)
    if value is None:
        return None
    if not isinstance(value, str):
        raise Refused(400, [f"{name} must be a string"])
    if limit is not None and len(value) > limit:
        raise Refused(400, [f"{name} must be shorter than or equal to {limit} characters"])
    return value
