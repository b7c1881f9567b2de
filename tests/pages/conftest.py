"""A visitor without script, a site with its meeting types, and a clock that can be moved."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from tests.free_times import find_whole_day

DETAILS = {
    "first_name": "Jane",
    "last_name": "Doe",
    "email": "jane@example.com",
    "phone": "",
    "receive_reminders": "on",
    "website": "",
}


class Visitor:
    """A test client with the steps of a booking."""

    def __init__(self, client: Client) -> None:
        self.client = client

    def get(self, path: str, **query: str) -> Any:
        return self.client.get(path, query)

    def post(self, path: str, **data: Any) -> Any:
        return self.client.post(path, data)

    def list_starts(self, slug: str, **query: str) -> list[str]:
        return re.findall(r'name="start" value="([^"]+)"', self.text(f"/book/{slug}/", **query))

    def list_later_starts(self, slug: str) -> list[str]:
        """Return the times of a whole working day: as many at every hour at which the tests run."""
        return self.list_starts(slug, date=f"{find_whole_day():%Y-%m-%d}")

    def text(self, path: str, **query: str) -> str:
        return self.get(path, **query).content.decode()

    def fill_in(self, slug: str, start: str = "", **changes: Any) -> dict[str, Any]:
        """Return what the form of a start sends once it is filled in."""
        start = start or self.list_starts(slug)[0]
        page = self.text(f"/book/{slug}/details/", start=start)
        hidden = dict(re.findall(r'type="hidden" name="(start|duration|token)" value="([^"]+)"', page))
        return {**DETAILS, **hidden, **changes}

    def book(self, slug: str = "intro-call", start: str = "", **changes: Any) -> Any:
        return self.post(f"/book/{slug}/details/", **self.fill_in(slug, start, **changes))


@pytest.fixture
def site(meetergo_sandbox: Any, db: Any) -> Any:
    """The sandbox, after its meeting types were read."""
    meetergo_sandbox.sync_directory()
    return meetergo_sandbox


@pytest.fixture
def visitor(site: Any) -> Visitor:
    return Visitor(Client(enforce_csrf_checks=False))


@pytest.fixture
def movable_clock(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A clock stopped in the middle of a minute; ``move()`` advances it."""

    class MovableClock:
        now = timezone.now().replace(second=30)

        def move(self, **units: float) -> None:
            self.now += timedelta(**units)

    clock = MovableClock()
    monkeypatch.setattr(timezone, "now", lambda: clock.now)
    return clock
