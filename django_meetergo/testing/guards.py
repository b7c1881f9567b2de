"""Checks that run in every test."""

from __future__ import annotations

from django.db import connections


class OpenTransaction(AssertionError):
    """A request was about to be sent while a transaction was open."""


def refuse_open_transactions(method: str, route: str) -> None:
    """Raise if a request is sent inside a transaction, whose locks would be held during the call.

    The transaction that a test case opens itself is allowed.
    """
    for connection in connections.all(initialized_only=True):
        if any(not getattr(block, "_from_testcase", False) for block in connection.atomic_blocks):
            raise OpenTransaction(f"{method} {route} was about to be sent inside a transaction.")
