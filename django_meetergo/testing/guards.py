"""What must never happen, watched in every test."""

from __future__ import annotations

from django.db import connections


class OpenTransaction(AssertionError):
    """A request was about to leave while a transaction was open."""


def refuse_open_transactions(method: str, route: str) -> None:
    """A call may take many seconds, and rows stay locked for as long. The test's own does not count."""
    for connection in connections.all(initialized_only=True):
        if any(not getattr(block, "_from_testcase", False) for block in connection.atomic_blocks):
            raise OpenTransaction(f"{method} {route} was about to be sent inside a transaction.")
