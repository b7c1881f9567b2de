"""The ``MEETERGO`` setting: its keys, their defaults, and the credential of each connection."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import date, timedelta
from typing import Any

from django.conf import settings as django_settings
from django.core.exceptions import ImproperlyConfigured

DEFAULT_CONNECTION = "default"
SETTING_NAME = "MEETERGO"


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The keys of ``MEETERGO``. Durations are seconds unless the name says otherwise."""

    # The service
    API_KEY: str = field(default="", repr=False)
    USER_ID: str = ""  # platform keys act for a user; personal tokens must not send it
    KEY_EXPIRES: date | None = None
    CONNECTIONS: Mapping[str, Mapping[str, Any]] = field(default_factory=dict, repr=False)
    BASE_URL: str = "https://api.meetergo.com"
    SANDBOX: bool = False
    # How meetergo and mails reach the site
    SITE_URL: str = ""
    WEBHOOK_TOKENS: Sequence[str] = field(default=(), repr=False)
    # Secrets at rest
    ENCRYPTION_KEYS: Sequence[str] = field(default=(), repr=False)
    # Background work and calls
    BACKGROUND: str = "inline"
    CACHE: str = "default"
    REQUESTS_PER_MINUTE: int = 90
    TIMEOUT: float = 12
    TIMEOUT_BACKGROUND: float = 30
    OUTCOME_DEADLINE: float = 120
    LEASE: float = 60
    SYNC_INTERVAL: float = 300
    FULL_SYNC_INTERVAL: float = 86400
    DIRECTORY_SYNC_INTERVAL: float = 3600
    DEFER_WHEN_DOWN: bool = False
    REBOOK: Mapping[str, Any] | None = None
    # Pages
    POLICY: str = "django_meetergo.services.changes.policy.default_policy"
    FORMS: Mapping[str, str] = field(default_factory=dict)
    BASE_TEMPLATE: str = "meetergo/base.html"
    CONTACT: str = ""
    PRIVACY_URL: str = ""
    SHOW_INDEX: bool = True
    MAX_FUTURE_APPOINTMENTS: int = 20
    MAX_BOOKINGS_PER_DAY: int = 20
    MIN_FILL_SECONDS: float = 2
    SEND_MAIL: bool = True
    ALERT_EMAILS: Sequence[str] = ()  # mailed when a booking needs staff or a connection stops working
    COLOR_SCHEME: str = "inherit"  # or "light", "dark", "auto" (follow the visitor's system)
    EMBED_HOSTS: Sequence[str] = ("cal.meetergo.com",)
    CLIENT_IP_HEADER: str | None = None
    RETENTION_DAYS: Mapping[str, int] = field(
        default_factory=lambda: {"deliveries": 30, "bookings": 90, "events": 365}
    )

    @property
    def outcome_deadline(self) -> timedelta:
        """How long meetergo may take to carry out a write whose answer was lost."""
        return timedelta(seconds=self.OUTCOME_DEADLINE)

    @property
    def lease(self) -> timedelta:
        """How long a worker may hold a claimed row."""
        return timedelta(seconds=self.LEASE)


KNOWN_KEYS = frozenset(item.name for item in fields(Settings))
CONNECTION_KEYS = frozenset({"API_KEY", "USER_ID", "KEY_EXPIRES"})


def get_raw_settings() -> Mapping[str, Any]:
    """Return ``MEETERGO`` as the site wrote it, unchecked."""
    return getattr(django_settings, SETTING_NAME, {})


def list_unknown_keys() -> list[str]:
    """Return the keys of ``MEETERGO`` that do not exist, sorted."""
    return sorted(set(get_raw_settings()) - KNOWN_KEYS)


#: The last value of the setting and its ``Settings``: a page asks for them several times.
_cached: tuple[Mapping[str, Any], Settings] | None = None


def get_settings() -> Settings:
    """Return the current settings. ``override_settings`` takes effect at once.

    Unknown keys raise ``ImproperlyConfigured``, so a typo cannot silently disable a setting.
    """
    global _cached
    given, last = get_raw_settings(), _cached
    if last is None or last[0] != given:
        if unknown := list_unknown_keys():
            raise ImproperlyConfigured(f"{SETTING_NAME} has no key {', '.join(unknown)}.")
        _cached = last = dict(given), Settings(**given)
    return last[1]


@dataclass(frozen=True, kw_only=True)
class ConnectionSettings:
    """The credential of one connection."""

    name: str
    api_key: str = field(repr=False)
    user_id: str = ""
    key_expires: date | None = None


def get_connection_settings(name: str = DEFAULT_CONNECTION) -> ConnectionSettings:
    """Return the credential of a connection; raise ``ImproperlyConfigured`` when there is none."""
    settings = get_settings()
    if name == DEFAULT_CONNECTION:
        given: Mapping[str, Any] = {
            "API_KEY": settings.API_KEY,
            "USER_ID": settings.USER_ID,
            "KEY_EXPIRES": settings.KEY_EXPIRES,
        }
    elif name in settings.CONNECTIONS:
        given = settings.CONNECTIONS[name]
    else:
        raise ImproperlyConfigured(f'{SETTING_NAME}["CONNECTIONS"] has no connection {name!r}.')
    if not given.get("API_KEY"):
        raise ImproperlyConfigured(
            f"Connection {name!r} has no API_KEY. Set {SETTING_NAME}['API_KEY'] to a meetergo token, "
            "or start the sandbox (manage.py meetergo_sandbox) and use the key it prints."
        )
    return ConnectionSettings(
        name=name,
        api_key=given["API_KEY"],
        user_id=given.get("USER_ID", ""),
        key_expires=given.get("KEY_EXPIRES"),
    )


def list_connection_names() -> list[str]:
    """Return the names of all connections with a credential, the default one first."""
    settings = get_settings()
    default = [DEFAULT_CONNECTION] if settings.API_KEY else []
    return default + [name for name in settings.CONNECTIONS if name != DEFAULT_CONNECTION]
