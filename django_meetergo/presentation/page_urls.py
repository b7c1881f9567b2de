"""Where links lead: the page's own address, a widget's place in a page, other sites."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import urlencode, urlsplit
from zoneinfo import ZoneInfo


@dataclass(frozen=True)
class PageUrl:
    """The page's own address, from which the links of the calendar are made; short without a path."""

    path: str
    query: Mapping[str, str] = field(default_factory=dict)

    def to(self, **changes: str) -> str:
        """The address with some parameters changed; empty ones are left out."""
        query = {name: value for name, value in {**self.query, **changes}.items() if value}
        return f"{self.path}?{urlencode(query)}" if query or not self.path else self.path


# A widget in somebody else's page


def sign_widget(number: int, level: int) -> dict[str, Any]:
    """What keeps a widget's ids apart from all others, and its headings below the one it is given."""
    return {
        "widget": f"{number}.{level}",
        "prefix": f"w{number}-",
        "heading_level": level,
        "level": min(level + 1, 6),
        "sublevel": min(level + 2, 6),
    }


def read_widget(text: str) -> dict[str, Any]:
    """The widget that our script names when it asks for a part of the page; nothing for our own pages."""
    found = re.fullmatch(r"(\d{1,3})\.([1-6])", text, re.ASCII)
    return sign_widget(int(found[1]), int(found[2])) if found else {}


# Other sites


@dataclass(frozen=True, kw_only=True)
class SiteLink:
    """An address that leaves the site, and where it goes."""

    url: str
    host: str


def parse_link(url: str, *, schemes: Sequence[str] = ("https",)) -> SiteLink | None:
    """An address that came from elsewhere, if it is one to be followed."""
    try:
        parts = urlsplit(url)
        host = parts.hostname
    except ValueError:
        return None
    return SiteLink(url=url, host=host) if parts.scheme in schemes and host else None


@dataclass(frozen=True, kw_only=True)
class CalendarLinks:
    """Addresses that open an appointment in somebody's own calendar on the web."""

    google: str
    outlook: str


def build_calendar_links(*, title: str, start: datetime, end: datetime, place: str) -> CalendarLinks:
    """Nothing personal goes along: no link of ours, nobody's name or address."""
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
