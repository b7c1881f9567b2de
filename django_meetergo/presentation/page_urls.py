"""Build and parse URLs: of the pages, of widgets, of other sites."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import urlencode, urlsplit
from zoneinfo import ZoneInfo

from django_meetergo.conf import is_sandbox_url


@dataclass(frozen=True)
class PageUrl:
    """A path and a query, from which links with other parameters are made; relative without a path."""

    path: str
    query: Mapping[str, str] = field(default_factory=dict)

    def to(self, **changes: object) -> str:
        """Return the URL with some parameters changed; empty ones are left out."""
        query = {name: value for name, value in {**self.query, **changes}.items() if value}
        return f"{self.path}?{urlencode(query)}" if query or not self.path else self.path


@dataclass(frozen=True, kw_only=True)
class Link:
    """A link to one of the pages, and its text."""

    label: str
    href: str


# Widgets in the pages of the site


def describe_widget(number: int, level: int) -> dict[str, Any]:
    """Return the prefix of a widget's ids and the levels of its headings, as its templates need them."""
    return {
        "widget": f"{number}.{level}",
        "prefix": f"w{number}-",
        "heading_level": level,
        "level": min(level + 1, 6),
        "sublevel": min(level + 2, 6),
    }


def parse_widget(text: str) -> dict[str, Any]:
    """Describe the widget that the script names in its request; {} for a page of the package."""
    found = re.fullmatch(r"(\d{1,3})\.([1-6])", text, re.ASCII)
    return describe_widget(int(found[1]), int(found[2])) if found else {}


# Other sites


@dataclass(frozen=True, kw_only=True)
class SiteLink:
    """An URL of another site, and its host."""

    url: str
    host: str


def parse_link(url: str, *, schemes: Sequence[str] = ("https",)) -> SiteLink | None:
    """Return a link for an URL from outside; None unless it is absolute and has one of the schemes."""
    try:
        parts = urlsplit(url)
        host = parts.hostname
    except ValueError:
        return None
    is_allowed = parts.scheme in schemes or is_sandbox_url(url)
    return SiteLink(url=url, host=host) if is_allowed and host else None


@dataclass(frozen=True, kw_only=True)
class CalendarLinks:
    """URLs that add an appointment to a calendar on the web."""

    google: str
    outlook: str


def build_calendar_links(*, title: str, start: datetime, end: datetime, place: str) -> CalendarLinks:
    """Build the URLs without personal data: no manage link, no name, no e-mail address."""
    utc = ZoneInfo("UTC")
    times = [moment.astimezone(utc) for moment in (start, end)]
    google = {
        "action": "TEMPLATE",
        "text": title,
        "dates": "/".join(f"{moment:%Y%m%dT%H%M%SZ}" for moment in times),
        "location": place,
    }
    outlook = {
        "path": "/calendar/action/compose",
        "rru": "addevent",
        "subject": title,
        "startdt": f"{times[0]:%Y-%m-%dT%H:%M:%SZ}",
        "enddt": f"{times[1]:%Y-%m-%dT%H:%M:%SZ}",
        "location": place,
    }
    return CalendarLinks(
        google=f"https://calendar.google.com/calendar/render?{urlencode(google)}",
        outlook=f"https://outlook.live.com/calendar/0/deeplink/compose?{urlencode(outlook)}",
    )
