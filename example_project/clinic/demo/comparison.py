"""Comparison of the site's mirror with the sandbox."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import requests

from django_meetergo.models import Appointment


@dataclass(frozen=True)
class Entry:
    """What has to be equal on both sides of an appointment."""

    start: datetime
    is_cancelled: bool

    def __str__(self) -> str:
        return f"{self.start:%Y-%m-%d %H:%M}{' cancelled' if self.is_cancelled else ''}"


Entries = dict[str, Entry]


class Comparison:
    """Compares all appointments. Rows that a former sandbox left in a kept database are ignored."""

    def __init__(self, sandbox: str) -> None:
        self.sandbox = sandbox
        self.leftover = set(self.read_mirror()) - set(self.read_sandbox())

    def find_differences(self) -> list[str]:
        """Return one sentence for each appointment that differs."""
        remote, mirror = self.read_sandbox(), self.read_mirror()
        ids = sorted(set(remote) | set(mirror) - self.leftover)
        return [
            f"{shorten(each)}: the site has {mirror.get(each, 'nothing')}, "
            f"the sandbox {remote.get(each, 'nothing')}."
            for each in ids
            if mirror.get(each) != remote.get(each)
        ]

    def read_sandbox(self) -> Entries:
        """Return the sandbox's appointments by id."""
        response = requests.get(f"{self.sandbox}/_sandbox/state", timeout=10)
        response.raise_for_status()
        return {each["id"]: read_entry(each) for each in response.json()["appointments"]}

    def read_mirror(self) -> Entries:
        """Return the mirrored appointments by id."""
        rows = Appointment.objects.values_list("remote_id", "start", "status")
        return {
            remote_id: Entry(start.astimezone(UTC), status == Appointment.Status.CANCELLED)
            for remote_id, start, status in rows
        }


def read_entry(document: dict[str, Any]) -> Entry:
    start = datetime.fromisoformat(document["start"]).astimezone(UTC)
    return Entry(start, bool(document["isCancelled"]))


def shorten(remote_id: str) -> str:
    """Return the first characters of an id."""
    return remote_id[:8]
