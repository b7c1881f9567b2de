"""A visitor without script who reads pages, fills in forms and remembers what was shown."""

from __future__ import annotations

import html
import random
import re
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any
from urllib.parse import urljoin

import requests

START = re.compile(r'name="start" value="([^"]+)"')
HIDDEN = re.compile(r'<input[^>]*type="hidden"[^>]*>')
RADIO = re.compile(r'<input[^>]*type="radio"[^>]*>')
ATTRIBUTE = re.compile(r'(name|value)="([^"]*)"')
SCREEN = re.compile(r'data-screen="([^"]+)"')


@dataclass
class Visit:
    """What one person wanted and what the site showed last."""

    name: str
    email: str
    slug: str
    pages: list[tuple[str, int]] = field(default_factory=list)
    start: str = ""
    screen: str = ""
    outcome_url: str = ""
    slowest: float = 0.0


class Visitor:
    """One browser. ``base`` is the site's address; ``dice`` decides what the person chooses."""

    def __init__(self, base: str, dice: random.Random, visit: Visit, *, timeout: float = 60) -> None:
        self.base, self.dice, self.visit, self.timeout = base, dice, visit, timeout
        self.session = requests.Session()

    def request(self, method: str, path: str, **options: Any) -> requests.Response | None:
        """Send one request; None when the site did not answer."""
        try:
            answer = self.session.request(method, urljoin(self.base, path), timeout=self.timeout, **options)
        except requests.RequestException:
            self.visit.pages.append((f"{method} {shorten(path)}", 0))
            return None
        self.visit.slowest = max(self.visit.slowest, answer.elapsed.total_seconds())
        self.visit.pages.append((f"{method} {shorten(path)}", answer.status_code))
        if found := SCREEN.search(answer.text):
            self.visit.screen = found.group(1)
            self.visit.outcome_url = answer.url
        return answer

    def book(self, start: str = "", *, days_ahead: int = 0) -> None:
        """Book ``start``, or one of the times shown around a day ``days_ahead`` from today."""
        if not start and not (start := self.choose_start(days_ahead)):
            return
        self.visit.start = start
        path = f"/book/{self.visit.slug}/details/"
        page = self.request("GET", path, params={"start": start})
        if page is None or page.status_code != 200:
            return
        self.send_form(path, page.text)

    def choose_start(self, days_ahead: int) -> str:
        day = date.today() + timedelta(days=days_ahead)  # noqa: DTZ011 - a rough day is enough
        # Half of them take the first day of the month that has times, where many meet.
        shown = {"month": f"{day:%Y-%m}"} if self.dice.random() < 0.5 else {"date": day.isoformat()}
        page = self.request("GET", f"/book/{self.visit.slug}/", params=shown)
        starts = START.findall(page.text) if page is not None else []
        return html.unescape(self.dice.choice(starts)) if starts else ""

    def send_form(self, path: str, page: str) -> None:
        """Send the booking form; a second time when the answer did not arrive, as people do."""
        first, last = self.visit.name.split(" ", 1)
        given = {
            **read_choices(page),
            **read_hidden(page),
            "first_name": first,
            "last_name": last,
            "email": self.visit.email,
        }
        answer = self.request("POST", path, data=given)
        if answer is None or answer.status_code >= 500:
            self.request("POST", path, data=given)

    def reload(self) -> None:
        """Open the page of one's own booking again, if there is one."""
        if self.visit.outcome_url:
            self.request("GET", self.visit.outcome_url)


def read_choices(page: str) -> dict[str, str]:
    """Return the first option of each group of radio buttons."""
    found: dict[str, str] = {}
    for tag in RADIO.findall(page):
        attributes = dict(ATTRIBUTE.findall(tag))
        found.setdefault(attributes.get("name", ""), html.unescape(attributes.get("value", "")))
    return found


def read_hidden(page: str) -> dict[str, str]:
    """Return the hidden inputs of the page that have a name and a value."""
    found = {}
    for tag in HIDDEN.findall(page):
        attributes = dict(ATTRIBUTE.findall(tag))
        if attributes.get("name"):
            found[attributes["name"]] = html.unescape(attributes.get("value", ""))
    return found


def shorten(path: str) -> str:
    """Return the path without host, tokens and query, so that equal pages count as equal."""
    path = re.sub(r"^https?://[^/]+", "", path)
    return re.sub(r"/[\w~-]{30,}/", "/<token>/", path.partition("?")[0])
