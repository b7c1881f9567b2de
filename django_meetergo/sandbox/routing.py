"""What a handler is given, and the small questions most handlers ask of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time
from typing import Any
from zoneinfo import ZoneInfo

from django_meetergo.sandbox import documents
from django_meetergo.sandbox.bookings import Bookings
from django_meetergo.sandbox.clock import parse_instant
from django_meetergo.sandbox.http import Answer, Request
from django_meetergo.sandbox.records import Appointment, Refused, Settings, User

MAX_PAGE_SIZE = 100


@dataclass
class Call:
    """One request that has passed the door: who asks, for what, with which oddities switched on."""

    request: Request
    params: dict[str, str]
    state: Bookings
    actor: User | None
    marked: bool = True  # whether answers of attendees are shown
    list_lag: float = 0.0

    @property
    def settings(self) -> Settings:
        return self.state.settings

    @property
    def user(self) -> User:
        """The acting user; only routes without a credential have none."""
        if self.actor is None:
            raise Refused(401, "Missing authorization header")
        return self.actor

    def require_admin(self) -> None:
        """Refuse anyone who is not an admin."""
        if not self.user.is_admin:
            raise Refused(403, "Forbidden resource")

    def appointment(self) -> Appointment:
        """The appointment named in the path, if the acting user may see it."""
        found = self.state.appointments.get(self.params["id"])
        if found is None or not (self.user.is_admin or self.user.id in found.host_ids):
            raise Refused(404, "Appointment not found")
        return found

    def show(self, appointment: Appointment) -> documents.Document:
        """An appointment as this call may see it."""
        kind = self.state.meeting_types[appointment.meeting_type_id]
        hosts = self.state.hosts_of(appointment.host_ids)
        return documents.appointment_document(appointment, kind, hosts, marked=self.marked)

    def whose(self) -> User:
        """The user a list is about: the acting one, or for admins the one named by ``userId``."""
        wanted = self.request.one("userId")
        if wanted is None or wanted == self.user.id:
            return self.user
        self.require_admin()
        return self.state.users.get(wanted) or User(wanted, "", "", "", "", "", self.user.timezone)


Handler = Callable[[Call], Answer]


@dataclass(frozen=True)
class Route:
    """One line of the routing table. ``scope`` is the area a limited token must cover."""

    method: str
    template: str
    handler: Handler
    scope: str = "scheduling"
    needs_user: bool = True  # a platform key must name the acting user
    is_open: bool = False  # no credential at all
    parts: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "parts", tuple(self.template.strip("/").split("/")))

    @property
    def name(self) -> str:
        return f"{self.method} {self.template}"

    def match(self, method: str, parts: tuple[str, ...]) -> dict[str, str] | None:
        """The path's parameters when this route is meant, else None."""
        if method != self.method or len(parts) != len(self.parts):
            return None
        params = {}
        for mine, theirs in zip(self.parts, parts, strict=True):
            if mine.startswith("{") and theirs:
                params[mine[1:-1]] = theirs
            elif mine != theirs:
                return None
        return params


@dataclass(frozen=True)
class Page:
    """Which stretch of a list is wanted."""

    offset: int
    limit: int
    facts: dict[str, int]  # what the answer repeats


def read_page(call: Call) -> Page:
    """Paging in both dialects: ``page`` from 0 with ``pageSize``, or from 1 with ``limit`` alone."""
    request = call.request
    problems: list[str] = []
    page = _read_number(request.one("page"), "page", 0, 100_000, problems)
    size = _read_number(request.one("pageSize"), "pageSize", 1, MAX_PAGE_SIZE, problems)
    limit = _read_number(request.one("limit"), "limit", 1, MAX_PAGE_SIZE, problems)
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
    """``limit`` and ``offset`` of the lists that page that way."""
    problems: list[str] = []
    limit = _read_number(request.one("limit"), "limit", 1, MAX_PAGE_SIZE, problems)
    offset = _read_number(request.one("offset"), "offset", 0, 100_000, problems)
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


def read_bound(text: str | None, name: str, zone: ZoneInfo) -> datetime | None:
    """A date (its midnight in ``zone``) or an instant from the query; None when it is missing."""
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
    """An optional text of a body, or a refusal."""
    value = body.get(name)
    if value is None:
        return None
    if not isinstance(value, str):
        raise Refused(400, [f"{name} must be a string"])
    if limit is not None and len(value) > limit:
        raise Refused(400, [f"{name} must be shorter than or equal to {limit} characters"])
    return value
