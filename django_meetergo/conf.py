"""The ``MEETERGO`` setting: its keys, their types and defaults, and the credential of each connection."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from functools import cache
from types import NoneType, UnionType
from typing import Any, Literal, TypedDict, get_args, get_origin, get_type_hints

from django.conf import settings as django_settings
from django.core.exceptions import ImproperlyConfigured
from django.utils.functional import Promise

DEFAULT_CONNECTION = "default"
SETTING_NAME = "MEETERGO"
#: What the API keys of the two kinds begin with.
PERSONAL, PLATFORM = "rgo-", "ak_live:"
#: What visitors read may depend on their language: ``gettext_lazy()``, ``reverse_lazy()``.
Text = str | Promise


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The keys of ``MEETERGO``. Durations are seconds unless the name says otherwise.

    A value must have the type of its annotation: see ``list_problems``.
    """

    # The service
    API_KEY: str = field(default="", repr=False)
    USER_ID: str = ""  # platform keys act for a user; personal tokens must not send it
    KEY_EXPIRES: date | None = None
    CONNECTIONS: Mapping[str, Mapping[str, Any]] = field(default_factory=dict, repr=False)
    BASE_URL: str = "https://api.meetergo.com"
    MEETING_TYPES: Sequence[str] = ()  # meetergo's slugs; empty: all that the credential sees
    SANDBOX: bool = False
    # How meetergo and mails reach the site
    SITE_URL: str = ""
    WEBHOOK_TOKENS: Sequence[str] = field(default=(), repr=False)
    # Secrets at rest
    ENCRYPTION_KEYS: Sequence[str] = field(default=(), repr=False)
    # Background work and calls
    BACKGROUND: Literal["inline", "celery", "tasks", "cron"] = "inline"
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
    TRANSLATIONS: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    BASE_TEMPLATE: str = "meetergo/base.html"
    CONTACT: Text = ""
    PRIVACY_URL: Text = ""
    SHOW_INDEX: bool = True
    MAX_FUTURE_APPOINTMENTS: int = 20
    MAX_BOOKINGS_PER_HOUR: int = 10
    MAX_CHANGES_PER_HOUR: int = 5
    MIN_FILL_SECONDS: float = 2
    CALENDAR_ALARM_MINUTES: int = 60  # before the appointment, in calendar files; 0: no alarm
    SEND_MAIL: Sequence[str] = ("not_booked", "lapsed", "declined", "rebooked", "found_late")
    SITE_NAME: Text = ""  # in mails; without it the host of SITE_URL
    ALERT_EMAILS: Sequence[str] = ()  # mailed when a booking needs staff or a connection stops working
    COLOR_SCHEME: Literal["inherit", "light", "dark", "auto"] = "inherit"  # auto: the visitor's system
    BOOK_AT_MEETERGO: Sequence[str] = ()  # slugs, or "*"
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


class ConnectionKeys(TypedDict, total=False):
    """The keys of an entry in ``CONNECTIONS``."""

    API_KEY: str
    USER_ID: str
    KEY_EXPIRES: date | None
    BASE_URL: str
    MEETING_TYPES: Sequence[str]


class TranslationKeys(TypedDict, total=False):
    """The keys of an entry in ``TRANSLATIONS``: texts that are shown instead of meetergo's."""

    name: Text
    description: Text


class RebookKeys(TypedDict, total=False):
    """The keys of ``REBOOK``: how far from the chosen time an attendee may be booked."""

    days: int
    weekdays: Sequence[int]
    hours: Sequence[int]
    attempts: int
    minutes: int


class RetentionKeys(TypedDict, total=False):
    """The keys of ``RETENTION_DAYS``."""

    deliveries: int
    bookings: int
    events: int


#: The mails to attendees that SEND_MAIL may name.
MAILS = frozenset({*Settings.SEND_MAIL, "confirmed", "rescheduled", "cancelled"})
#: Numbers that must be greater than 0; all others must be 0 or greater.
POSITIVE = frozenset({
    "REQUESTS_PER_MINUTE", "TIMEOUT", "TIMEOUT_BACKGROUND", "OUTCOME_DEADLINE", "LEASE", "SYNC_INTERVAL",
    "FULL_SYNC_INTERVAL", "DIRECTORY_SYNC_INTERVAL",
})  # fmt: skip
#: The largest numbers: of ``MEETERGO``, where most are seconds, and of the dictionaries in it, where they are
#: days, minutes or a count. A time that is further away than this cannot be computed.
MAX_NUMBER, MAX_NESTED_NUMBER = 1_000_000_000, 100_000
LARGEST = {
    "REQUESTS_PER_MINUTE": 10_000,  # each is an entry of the cache
    "MIN_FILL_SECONDS": 3600,  # a form is valid for a day only
}


def get_raw_settings() -> Any:
    """Return ``MEETERGO`` as the site wrote it, unchecked."""
    return getattr(django_settings, SETTING_NAME, {})


# Types


@cache
def get_types(keys: type) -> dict[str, Any]:
    return get_type_hints(keys)


def has_type(value: Any, hint: Any) -> bool:
    """Return whether a value has the type of an annotation. A text is no sequence, a bool is no number."""
    origin, args = get_origin(hint), get_args(hint)
    if hint is Any:
        return True
    if origin is UnionType:
        return any(has_type(value, each) for each in args)
    if origin is Literal:
        return isinstance(value, str) and value in args
    if origin is Mapping:
        return isinstance(value, Mapping) and all(
            has_type(key, args[0]) and has_type(item, args[1]) for key, item in value.items()
        )
    if origin is Sequence:
        is_list = isinstance(value, list | tuple)
        return is_list and all(has_type(item, args[0]) for item in value)
    if hint is float or hint is int:
        return isinstance(value, int if hint is int else int | float) and not isinstance(value, bool)
    if hint is date:
        return isinstance(value, date) and not isinstance(value, datetime)
    return isinstance(value, hint)


def find_misfit(value: Any, hint: Any, place: str) -> tuple[str, str]:
    """Return (place, problem) of a value of a wrong type; of the item if a list or a dictionary has one."""
    options = get_args(hint) if get_origin(hint) is UnionType else (hint,)
    for option in options:
        origin, args = get_origin(option), get_args(option)
        if origin is Mapping and isinstance(value, Mapping):
            for key, item in value.items():
                if not has_type(key, args[0]):
                    return place, f"must have texts as its keys, and one is {describe_value(key)}"
                if not has_type(item, args[1]):
                    return find_misfit(item, args[1], f'{place}["{key}"]')
        if origin is Sequence and isinstance(value, list | tuple):
            for number, item in enumerate(value):
                if not has_type(item, args[0]):
                    return find_misfit(item, args[0], f"{place}[{number}]")
    # The values of a choice are no secrets.
    found = repr(value) if get_origin(hint) is Literal else describe_value(value)
    return place, f"must be {describe_type(hint)}, not {found}"


def describe_type(hint: Any) -> str:
    """Return the name of a type for an error message: “a list of texts”, “a number or None”."""
    origin, args = get_origin(hint), get_args(hint)
    if origin is UnionType:
        return " or ".join(describe_type(each) for each in args if each is not Promise)
    if origin is Literal:
        return " or ".join(f'"{each}"' for each in args)
    if origin is Sequence:
        return f"a list of {'texts' if args[0] is str else 'whole numbers'}"
    if origin is Mapping:
        kinds = {str: " of texts", int: " of whole numbers"}
        return (
            f"a dictionary{kinds.get(args[1], ' of dictionaries' if get_origin(args[1]) is Mapping else '')}"
        )
    names = {str: "a text", int: "a whole number", float: "a number", bool: "True or False", NoneType: "None"}
    return names.get(hint, "a datetime.date")


def list_problems(given: Any) -> Iterator[tuple[str, str]]:
    """Yield (key, problem) for every key of ``MEETERGO`` that is unknown or has a wrong value.

    The value itself is not in the text: it may be a secret.
    """
    if not isinstance(given, Mapping):
        yield "", "must be a dictionary"
        return
    problems = list(list_key_problems(given, Settings))
    yield from problems
    if problems:
        return
    for name, entry in given.get("CONNECTIONS", {}).items():
        yield from list_key_problems(entry, ConnectionKeys, f'["CONNECTIONS"]["{name}"]')
    for slug, texts in given.get("TRANSLATIONS", {}).items():
        yield from list_key_problems(texts, TranslationKeys, f'["TRANSLATIONS"]["{slug}"]')
    yield from list_key_problems(given.get("RETENTION_DAYS", {}), RetentionKeys, '["RETENTION_DAYS"]')
    yield from list_rebook_problems(given.get("REBOOK") or {})
    if unknown := set(given.get("SEND_MAIL", ())) - MAILS:
        yield '["SEND_MAIL"]', f"has unknown mails: {join(unknown)}; they are {join(MAILS)}"
    yield from list_duration_problems(Settings(**given))


def list_key_problems(given: Mapping[str, Any], keys: type, where: str = "") -> Iterator[tuple[str, str]]:
    """Yield (place, problem) for the keys of one dictionary; ``where`` is its place in ``MEETERGO``."""
    types = get_types(keys)
    for name in sorted(map(str, set(given) - set(types))):
        yield where, f"has no key {name}; its keys are {join(types)}"
    for name, hint in types.items():
        if name not in given:
            continue
        place = f'{where}["{name}"]'
        value = given[name]
        if not has_type(value, hint):
            yield find_misfit(value, hint, place)
        elif hint in {int, float} and not value <= find_largest(name, where):  # also true of not-a-number
            yield place, f"must be at most {find_largest(name, where)}"
        elif hint in {int, float} and value < 0:
            yield place, "must not be negative"
        elif name in POSITIVE and not value:
            yield place, "must be greater than 0"


def find_largest(name: str, where: str) -> int:
    """Return the largest number that a key may have; ``where`` is the place of its dictionary."""
    return LARGEST.get(name, MAX_NESTED_NUMBER if where else MAX_NUMBER)


def list_rebook_problems(given: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    problems = list(list_key_problems(given, RebookKeys, '["REBOOK"]'))
    yield from problems
    if problems:
        return
    if not set(given.get("weekdays", ())) <= set(range(7)):
        yield '["REBOOK"]["weekdays"]', "must be numbers from 0 (Monday) to 6 (Sunday)"
    hours = given.get("hours", (0, 24))
    if len(hours) != 2 or not 0 <= hours[0] < hours[1] <= 24:
        yield '["REBOOK"]["hours"]', "must be the first and the last hour, for example (8, 18)"


def list_duration_problems(settings: Settings) -> Iterator[tuple[str, str]]:
    """A call must have ended before its row is claimed again, and before its outcome is looked up."""
    longest = max(settings.TIMEOUT, settings.TIMEOUT_BACKGROUND)
    for name in ("LEASE", "OUTCOME_DEADLINE"):
        if getattr(settings, name) < longest:
            yield f'["{name}"]', f"must be at least TIMEOUT and TIMEOUT_BACKGROUND: {longest:g} seconds"


def describe_value(value: Any) -> str:
    """Return the type of a value for an error message."""
    if isinstance(value, Promise):
        return "a lazy text"
    return "None" if value is None else f"a {type(value).__name__}"


def join(names: Any) -> str:
    return ", ".join(sorted(names))


#: The last value of the setting and its ``Settings``: a page asks for them several times.
_cached: tuple[Mapping[str, Any], Settings] | None = None


def get_settings() -> Settings:
    """Return the current settings. ``override_settings`` takes effect at once.

    Unknown keys and values of a wrong type raise ``ImproperlyConfigured``, so a typo cannot silently
    disable a setting.
    """
    global _cached
    given, last = get_raw_settings(), _cached
    if last is None or last[0] != given:
        if problems := [f"{SETTING_NAME}{place} {problem}." for place, problem in list_problems(given)]:
            raise ImproperlyConfigured(" ".join(problems))
        _cached = last = dict(given), Settings(**given)
    return last[1]


def is_sandbox_url(url: str) -> bool:
    """Return whether a URL is a page of the sandbox this site uses, which has no https."""
    settings = get_settings()
    return settings.SANDBOX and url.startswith(f"{settings.BASE_URL.rstrip('/')}/")


@dataclass(frozen=True, kw_only=True)
class ConnectionSettings:
    """The credential of one connection, where it is used, and for which meeting types."""

    name: str
    api_key: str = field(repr=False)
    base_url: str
    user_id: str = ""
    key_expires: date | None = None
    meeting_types: frozenset[str] = frozenset()

    def offers(self, slug: str) -> bool:
        """Return whether this connection reads the meeting type that has this slug at meetergo."""
        return not self.meeting_types or slug in self.meeting_types


def get_connection_settings(name: str = DEFAULT_CONNECTION) -> ConnectionSettings:
    """Return the credential of a connection; raise ``ImproperlyConfigured`` when there is none."""
    settings = get_settings()
    if name == DEFAULT_CONNECTION:
        given: Mapping[str, Any] = {key: getattr(settings, key) for key in get_types(ConnectionKeys)}
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
        base_url=given.get("BASE_URL") or settings.BASE_URL,
        user_id=given.get("USER_ID", ""),
        key_expires=given.get("KEY_EXPIRES"),
        meeting_types=frozenset(given.get("MEETING_TYPES", ())),
    )


def list_connection_names() -> list[str]:
    """Return the names of all connections with a credential, the default one first."""
    settings = get_settings()
    default = [DEFAULT_CONNECTION] if settings.API_KEY else []
    others = settings.CONNECTIONS.items()
    return default + [name for name, given in others if name != DEFAULT_CONNECTION and given.get("API_KEY")]


def list_configured_connections() -> list[str]:
    """Return the names of all connections in the settings, also of those without a credential."""
    return list(dict.fromkeys([*list_connection_names(), *get_settings().CONNECTIONS]))
