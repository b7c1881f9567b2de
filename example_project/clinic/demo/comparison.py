"""The site's mirror beside the sandbox's own book: the same appointments, or what differs."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import requests

from django_meetergo.models import Appointment


@dataclass(frozen=True)
class Entry:
    """What both sides must say of an appointment."""

    start: datetime
    is_cancelled: bool

    def __str__(self) -> str:
        return f"{self.start:%Y-%m-%d %H:%M}{' cancelled' if self.is_cancelled else ''}"


Entries = dict[str, Entry]


class Comparison:
    """Compares the whole of both books. Rows of a former sandbox, in a kept database, are left out."""

    def __init__(self, sandbox: str) -> None:
        self.sandbox = sandbox
        self.leftover = set(self.read_mirror()) - set(self.read_sandbox())

    def find_differences(self) -> list[str]:
        """One sentence for each appointment that is not the same on both sides."""
        theirs, ours = self.read_sandbox(), self.read_mirror()
        ids = sorted(set(theirs) | set(ours) - self.leftover)
        return [
            f"{short(each)}: the site has {ours.get(each, 'nothing')}, "
            f"the sandbox {theirs.get(each, 'nothing')}."
            for each in ids
            if ours.get(each) != theirs.get(each)
        ]

    def read_sandbox(self) -> Entries:
        """What the sandbox holds."""
        answer = requests.get(f"{self.sandbox}/_sandbox/state", timeout=10)
        answer.raise_for_status()
        return {each["id"]: read_entry(each) for each in answer.json()["appointments"]}

    def read_mirror(self) -> Entries:
        """What the site has mirrored."""
        rows = Appointment.objects.values_list("remote_id", "start", "status")
        return {
            remote_id: Entry(start.astimezone(UTC), status == Appointment.Status.CANCELLED)
            for remote_id, start, status in rows
        }


def read_entry(document: dict[str, Any]) -> Entry:
    start = datetime.fromisoformat(document["start"]).astimezone(UTC)
    return Entry(start, bool(document["isCancelled"]))


def short(remote_id: str) -> str:
    """Enough of an id to tell it from others."""
    return remote_id[:8]
