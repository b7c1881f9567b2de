"""Checks that run in every test."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connections

from django_meetergo.remote import transport
from django_meetergo.testing.sandbox_adapter import ClosedAdapter
from django_meetergo.transactions import is_reading_for_site

REAL_HOSTS = ("https://api.meetergo.com", "https://cal.meetergo.com", "https://my.meetergo.com")


class OpenTransaction(AssertionError):
    """A request was about to be sent while a transaction was open."""


@contextmanager
def guard_requests() -> Iterator[None]:
    """Refuse requests to the real service, and requests that are sent inside a transaction."""
    kept = {host: transport.ADAPTERS.get(host) for host in REAL_HOSTS}
    transport.ADAPTERS.update({host: ClosedAdapter() for host in REAL_HOSTS})
    transport.BEFORE_SEND.append(refuse_open_transactions)
    try:
        yield
    finally:
        transport.BEFORE_SEND.remove(refuse_open_transactions)
        for host, adapter in kept.items():
            transport.ADAPTERS.pop(host, None)
            if adapter is not None:
                transport.ADAPTERS[host] = adapter


def refuse_open_transactions(method: str, route: str) -> None:
    """Raise if a request is sent inside a transaction, whose locks would be held during the call.

    The transaction that a test case opens itself is allowed, and that of a site's view around a widget.
    """
    if is_reading_for_site():
        return
    for connection in connections.all(initialized_only=True):
        if any(not getattr(block, "_from_testcase", False) for block in connection.atomic_blocks):
            raise OpenTransaction(f"{method} {route} was about to be sent inside a transaction.")
