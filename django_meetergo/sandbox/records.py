"""The things a sandbox remembers, as plain records. Times are aware datetimes in UTC."""

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

# The booking guide names some channels differently from the API of today.
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

# Opening hours: weekday (Monday is 0) to pairs of minutes after local midnight.
Hours = dict[int, tuple[tuple[int, int], ...]]


@dataclass
class Settings:
    """The switches of a sandbox; the sources disagree about each of these things."""

    profile: str = "seed"
    strict: bool = False
    rate_limit: bool = True
    retry_after: bool = True
    availability_shape: str = "v4"  # or "slots", or "flat"
    wrapped_meeting_types: bool = False
    legacy_envelope: bool = False
    guide_spelling: bool = False  # "DoubleOptIn" instead of "doubleOptIn"
    hold_pending: bool = True
    rotate_secret: bool = False
    hide_answers: bool = False
    list_lag: float = 0.0
    malformed_id_500: bool = False
    provisional_hours: float = 24.0
    company_double_opt_in: bool = False
    company_host_confirmation: bool = False


@dataclass
class User:
    """A person of the company; hosts have opening hours."""

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

    @property
    def full_name(self) -> str:
        return f"{self.given_name} {self.family_name}"

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.timezone)


@dataclass
class MeetingType:
    """What can be booked, with whom, for how long and when."""

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
    notice: int = 60  # minutes before a start until which it can be booked
    horizon: int | None = 129_600  # minutes into the future; None is endless
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
        """Whether a meeting of this type may last so long."""
        return minutes == self.duration or minutes in self.allowed_durations


@dataclass
class Queue:
    """Several hosts who share a meeting type: any one of them, or everyone together."""

    id: str
    meeting_type_id: str
    workspace_id: str
    user_ids: list[str]
    method: str = "anyone"  # or "everyone"
    type: str = "simpleRoundRobin"
    last_user_id: str | None = None

    def rotation(self) -> list[str]:
        """The hosts in the order in which they are due."""
        if self.last_user_id not in self.user_ids:
            return list(self.user_ids)
        turn = self.user_ids.index(self.last_user_id) + 1
        return self.user_ids[turn:] + self.user_ids[:turn]


@dataclass
class Attendee:
    """A person who comes to an appointment, and what they told us."""

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
    """A meeting that stands, or stood until it was cancelled."""

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
        """Advance ``updated_at``, by a millisecond at least; answer the new value."""
        moment = now.replace(microsecond=now.microsecond // 1000 * 1000)
        self.updated_at = max(moment, self.updated_at + timedelta(milliseconds=1))
        return self.updated_at


@dataclass
class Provisional:
    """A booking that waits for its attendee or its host."""

    id: str
    type: str  # doubleOptIn or requireHostConfirmation
    then_opt_in: bool
    dto: dict[str, Any]
    meeting_type_id: str
    host_ids: list[str]
    start: datetime
    end: datetime
    created_at: datetime
    status: str = "pending"  # then confirmed, expired or declined_by_host
    deleted_at: datetime | None = None
    appointment_id: str | None = None
    reason: str | None = None


@dataclass
class Webhook:
    """An address that wants to hear of changes."""

    id: int
    endpoint: str
    event_types: list[str]
    description: str | None
    created_at: datetime


@dataclass
class Token:
    """A credential. Personal ones act as their owner; platform keys as whom the request names."""

    value: str
    user_id: str
    scopes: frozenset[str]
    is_platform: bool = False
    expired: bool = False


class Refused(Exception):
    """The service says no; carries the answer's status and body."""

    def __init__(self, status: int, message: str | list[str], **extra: Any) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.extra = extra


def slot_lost() -> Refused:
    """The refusal for a time that somebody else has, or that was never on offer."""
    return Refused(400, "The selected time slot is no longer available", errorCode="slot-occupied")
