"""The records of a sandbox. Times are aware datetimes in UTC."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

CHANNELS = (
    "local",
    "local-attendee",
    "google",
    "zoom",
    "phone",
    "phone-incoming",
    "whatsapp",
    "connect",
    "webex",
    "skypeForConsumer",
    "skypeForBusiness",
    "teamsForBusiness",
    "teamsForBusiness2",
    "teamsForExchange",
    "teams2ForExchange",
    "custom",
    "resource",
    "whereby",
    "kmeet",
    "zava",
    "jitsi",
    "nextcloudTalk",
    "openTalk",
    "alfaview",
)

# The booking guide's names for some channels of today's API.
CHANNEL_ALIASES = {"google_meet": "google", "teams": "teamsForBusiness2", "in_person": "local"}

CHANNELS_WITHOUT_LINK = {
    "local",
    "local-attendee",
    "phone",
    "phone-incoming",
    "whatsapp",
    "custom",
    "resource",
}

# Working hours: weekday (Monday is 0) to pairs of minutes after local midnight.
Hours = dict[int, tuple[tuple[int, int], ...]]


@dataclass
class User:
    """A user of the company; hosts have working hours."""

    id: str
    email: str
    given_name: str
    family_name: str
    title: str
    slug: str
    timezone: str
    language: str = "de"
    is_admin: bool = False
    user_type: str = "standard"
    picture: str | None = None
    hours: Hours = field(default_factory=dict)
    calendars: tuple[str, ...] = ("google",)

    @property
    def full_name(self) -> str:
        return f"{self.given_name} {self.family_name}"

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.timezone)


@dataclass
class MeetingType:
    """A meeting type. Durations, buffers, notice and horizon are minutes."""

    id: str
    slug: str
    name: str
    description: str
    duration: int
    channel: str
    user_id: str | None = None
    queue_id: str | None = None
    workspace_id: str | None = None
    allowed_durations: tuple[int, ...] = ()
    allow_select_channel: bool = False
    allowed_channels: tuple[str, ...] = ()
    buffer_before: int = 0
    buffer_after: int = 0
    spots: int = 1
    interval: int = 30
    notice: int = 60
    horizon: int | None = 129_600  # None is unlimited
    locations: tuple[str, ...] = ()
    double_opt_in: str = "useCompanySettings"
    host_confirmation: str = "useCompanySettings"
    allow_phone_only: bool = False
    enabled: bool = True
    color: str = "#0A64BC"
    metadata: dict[str, Any] = field(default_factory=dict)

    @property
    def is_group(self) -> bool:
        return self.spots > 1

    def allows(self, minutes: float) -> bool:
        """Return whether a meeting of this type may last this long."""
        return minutes == self.duration or minutes in self.allowed_durations


@dataclass
class Queue:
    """The hosts of a meeting type: one of them in turn, or all of them together."""

    id: str
    meeting_type_id: str
    workspace_id: str
    user_ids: list[str]
    method: str = "anyone"  # or "everyone"
    type: str = "simpleRoundRobin"
    last_user_id: str | None = None

    def rotation(self) -> list[str]:
        """Return the hosts in the order in which they are next."""
        if self.last_user_id not in self.user_ids:
            return list(self.user_ids)
        turn = self.user_ids.index(self.last_user_id) + 1
        return self.user_ids[turn:] + self.user_ids[:turn]


@dataclass
class Attendee:
    """An attendee of an appointment with the answers to the booking form."""

    id: str
    email: str | None
    firstname: str | None = None
    lastname: str | None = None
    fullname: str | None = None
    phone: str | None = None
    company: str | None = None
    timezone: str | None = None
    language: str | None = None
    answers: dict[str, Any] = field(default_factory=dict)
    guests: list[str] = field(default_factory=list)


@dataclass
class Appointment:
    """A confirmed appointment, also after it was cancelled."""

    id: str
    secret: str
    meeting_type_id: str
    start: datetime
    end: datetime
    host_ids: list[str]
    attendees: list[Attendee]
    channel: str
    created_at: datetime
    updated_at: datetime
    location: str | None = None
    link_number: int | None = None
    note: str | None = None
    is_cancelled: bool = False
    cancel_source: str | None = None
    cancel_at: datetime | None = None
    cancel_by: str | None = None
    cancel_reason: str | None = None
    rescheduled_at: datetime | None = None
    reschedule_count: int = 0
    sequence: int = 0

    @property
    def length(self) -> timedelta:
        return self.end - self.start

    def touch(self, now: datetime) -> datetime:
        """Advance ``updated_at`` by at least a millisecond and return it."""
        moment = now.replace(microsecond=now.microsecond // 1000 * 1000)
        self.updated_at = max(moment, self.updated_at + timedelta(milliseconds=1))
        return self.updated_at


@dataclass
class BookingRequest:
    """A validated booking request."""

    meeting_type: MeetingType
    start: datetime
    duration: int  # minutes
    host_ids: list[str]  # in the order in which they are tried
    attendee: Attendee
    channel: str
    location: str | None = None
    queue: Queue | None = None
    needs_all_hosts: bool = False
    ignore_availability: bool = False
    body: dict[str, Any] = field(default_factory=dict)

    @property
    def end(self) -> datetime:
        return self.start + timedelta(minutes=self.duration)

    @property
    def is_mailed(self) -> bool:
        """Whether the attendee is told of the appointment by mail."""
        return self.body.get("skipNotifications") is not True


@dataclass
class Provisional:
    """A booking that waits for its attendee or its host."""

    id: str
    type: str  # doubleOptIn or requireHostConfirmation
    needs_opt_in_next: bool  # the attendee has to confirm once the host has approved
    request: BookingRequest
    host_ids: list[str]
    created_at: datetime
    status: str = "pending"  # then confirmed, expired or declined_by_host
    deleted_at: datetime | None = None
    appointment_id: str | None = None
    reason: str | None = None


@dataclass
class OneTimeLink:
    """A link to a meeting type's hosted page that books once."""

    id: str
    meeting_type_id: str
    token: str
    created_at: datetime
    is_used: bool = False


@dataclass
class Webhook:
    """A registered webhook endpoint."""

    id: int
    endpoint: str
    event_types: list[str]
    description: str | None
    created_at: datetime


@dataclass
class Token:
    """A credential. A personal token acts as its owner, a platform key as the user each request names."""

    value: str
    user_id: str
    scopes: frozenset[str]
    is_platform: bool = False
    expired: bool = False
