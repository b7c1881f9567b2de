"""What several panels show."""

from __future__ import annotations

from datetime import datetime

from django_meetergo.sandbox.clock import parse_instant
from django_meetergo.sandbox.html import Html, tag
from django_meetergo.sandbox.records import User
from django_meetergo.sandbox.state import State


def build_panel(name: str, title: str, *content: object, count: int | None = None) -> Html:
    """Return a panel that the script replaces when its content changes."""
    counted = None if count is None else [" ", tag("span", count, class_="count")]
    heading = tag("h2", title, counted, tabindex="-1", id=f"{name}-title")
    return tag(
        "section",
        heading,
        *content,
        id=name,
        class_=f"panel {name}",
        aria_labelledby=f"{name}-title",
        data_live=True,
    )


def build_empty(text: str) -> Html:
    """Return what a panel without content says."""
    return tag("p", text, class_="empty")


def build_badge(text: str, kind: str) -> Html:
    """Return a short state; ``kind`` is good, wait, bad or none."""
    return tag("span", text, class_=f"badge {kind}")


def build_action(path: str, panel: str) -> str:
    """Return where a form of a panel is sent."""
    return f"/_sandbox/{path}?panel={panel}"


def get_owner(state: State) -> User:
    """Return the user whose time zone the dashboard uses."""
    return state.users[state.owner_id]


def print_day_time(state: State, moment: datetime) -> str:
    """Return a day and a time in the owner's zone."""
    return f"{moment.astimezone(get_owner(state).zone):%a %d %b, %H:%M}"


def print_clock_time(state: State, moment: datetime | str) -> str:
    """Return a time with seconds in the owner's zone; ``moment`` may be a text of the log."""
    parsed = parse_instant(moment) if isinstance(moment, str) else moment
    return "" if parsed is None else f"{parsed.astimezone(get_owner(state).zone):%H:%M:%S}"
