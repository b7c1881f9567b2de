"""Switches of a sandbox: one for each point on which the sources about the service differ."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

#: The values of switches that are a choice; the first is the default.
CHOICES = {
    "availability_shape": ("v4", "slots", "flat"),
    # Availability with a queue and without hostIds: all of its hosts, or only the one who is next.
    "queue_availability": ("all_hosts", "next_host"),
    # Availability with hostIds and without a queue: times common to them, or of any of them.
    "hosts_availability": ("common", "any"),
    # Availability without calculationMethod: the documented default, or the method of the queue.
    "default_calculation": ("anyone", "queue"),
}


#: No switch needs more, and the calendar has no end of a hold that lasts longer.
MAX_NUMBER = 1e6


@dataclass
class Settings:
    """The switches of one sandbox. Durations are seconds unless the name says otherwise."""

    profile: str = "seed"
    strict: bool = False
    rate_limit: bool = True
    retry_after: bool = True
    availability_shape: str = "v4"
    queue_availability: str = "all_hosts"
    hosts_availability: str = "common"
    default_calculation: str = "anyone"
    untidy_availability: bool = False  # whole days at the edges of a window, times twice and unsorted
    team_type: bool = False  # a meeting type for which all of its hosts are needed
    wrapped_meeting_types: bool = False
    own_meeting_types: bool = False  # an admin, too, sees the types that they host, and no others
    legacy_envelope: bool = False
    guide_spelling: bool = False  # "DoubleOptIn" instead of "doubleOptIn"
    hold_pending: bool = True  # a provisional booking occupies its slot
    rotate_secret: bool = False
    hide_answers: bool = False  # attendees come back without notes and customFields
    list_lag: float = 0.0  # new rows appear in lists this much later
    malformed_id_500: bool = False
    provisional_hours: float = 24.0
    hide_reschedule_count: bool = False  # appointments come back without rescheduleCount
    clock_skew: float = 0.0  # seconds by which the service's clock is ahead; negative if it is behind
    company_double_opt_in: bool = False
    company_host_confirmation: bool = False


PROFILES: dict[str, dict[str, Any]] = {
    "seed": {},
    "strict": {"strict": True},
    "untidy": {"untidy_availability": True},
    "team": {"team_type": True},
    "legacy": {"availability_shape": "slots", "legacy_envelope": True, "wrapped_meeting_types": True},
}


def get_profile_switches(name: str) -> dict[str, Any]:
    """Return the switches of a profile, with those that only other profiles set at their defaults.

    Raises ``ValueError`` for an unknown profile.
    """
    if name not in PROFILES:
        raise ValueError(f"There is no profile {name!r}; choose from {', '.join(PROFILES)}.")
    defaults = vars(Settings())
    return {switch: defaults[switch] for other in PROFILES.values() for switch in other} | PROFILES[name]


def check_switches(switches: Mapping[str, Any]) -> None:
    """Raise ``ValueError`` for an unknown switch or a value of another kind."""
    known = vars(Settings())
    if unknown := sorted(set(switches) - set(known)):
        raise ValueError(f"There is no switch {', '.join(unknown)}; choose from {', '.join(known)}.")
    for switch, choices in CHOICES.items():
        if switches.get(switch, choices[0]) not in choices:
            raise ValueError(f"{switch} must be one of {', '.join(choices)}.")
    for switch, value in switches.items():
        check_kind(switch, value, known[switch], MAX_NUMBER)


def check_kind(name: str, value: object, default: object, limit: float) -> None:
    """Raise ``ValueError`` unless a value is of the default's kind and, as a number, within the limit."""
    if isinstance(default, bool):
        is_right, kind = isinstance(value, bool), "true or false"
    elif isinstance(default, str):
        is_right, kind = isinstance(value, str), "a text"
    else:
        types = int if isinstance(default, int) else int | float
        is_right = isinstance(value, types) and not isinstance(value, bool) and abs(value) <= limit
        kind = f"a{' whole' if types is int else ''} number up to {limit:.0f}"
    if not is_right:
        raise ValueError(f"{name} must be {kind}.")
