"""Sandboxes for test cases of any kind: settings, a sandbox in this process, and guards."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from django.apps import apps
from django.conf import settings
from django.test import override_settings

from django_meetergo.remote import transport
from django_meetergo.sandbox import server
from django_meetergo.sandbox.app import Sandbox
from django_meetergo.sandbox.seed import ADMIN_TOKEN
from django_meetergo.testing.guards import guard_requests
from django_meetergo.testing.kit import SandboxKit
from django_meetergo.testing.sandbox_adapter import SandboxAdapter

BASE_URL = "http://meetergo.sandbox"


class SandboxMixin:
    """Give every test of a Django test case a sandbox of its own as ``self.sandbox``.

    ::

        class BookingTests(SandboxMixin, TestCase):
            def test_a_visitor_books(self):
                start = self.sandbox.list_free_starts()[0]
    """

    sandbox: SandboxKit

    def setUp(self) -> None:
        """Start the sandbox; it ends with the test."""
        super().setUp()  # type: ignore[misc]
        self.sandbox = self.enterContext(run_sandbox())  # type: ignore[attr-defined]


@contextmanager
def run_sandbox() -> Iterator[SandboxKit]:
    """Point the site at a sandbox in this process until the block ends."""
    changed = build_settings(getattr(settings, "MEETERGO", {}), BASE_URL)
    with guard_requests(), override_settings(MEETERGO=changed), serve_in_process() as kit:
        yield kit


@contextmanager
def serve_in_process() -> Iterator[SandboxKit]:
    """Answer requests to ``BASE_URL`` from a sandbox, without sockets. The settings are the caller's.

    A pause before a retry takes no time: it moves the sandbox's clock.
    """
    if not apps.is_installed("django_meetergo"):
        raise RuntimeError('Add "django_meetergo" to INSTALLED_APPS: its tables are needed.')
    sandbox = Sandbox(rate_limit=False)
    adapter = SandboxAdapter(sandbox.wsgi)
    transport.ADAPTERS[BASE_URL] = adapter
    kit = SandboxKit(sandbox, base_url=BASE_URL, adapter=adapter)
    sleep, transport.sleep = transport.sleep, lambda seconds: kit.travel(seconds=seconds)
    try:
        kit.clear_availability()
        yield kit
    finally:
        transport.sleep = sleep
        del transport.ADAPTERS[BASE_URL]
        sandbox.close()


@contextmanager
def serve_on_socket() -> Iterator[tuple[Sandbox, str]]:
    """Serve a sandbox on a free port of 127.0.0.1; yield it and its address."""
    sandbox = Sandbox(rate_limit=False)
    running = server.start(sandbox)
    try:
        yield sandbox, running.url
    finally:
        running.stop()


def build_settings(given: Mapping[str, Any], base_url: str) -> dict[str, Any]:
    """Return ``MEETERGO`` for a sandbox. Background work runs when the test calls ``run_due()``."""
    return {
        **given,
        # Sites often read these from the environment, and tests have none.
        "SITE_URL": given.get("SITE_URL") or "https://site.example",
        "WEBHOOK_TOKENS": given.get("WEBHOOK_TOKENS") or ["a-token-that-only-this-test-knows"],
        # The sandbox knows neither the site's meeting types nor its other credentials.
        "MEETING_TYPES": [],
        "CONNECTIONS": {},
        # Tests send more requests in a minute than a site does.
        "REQUESTS_PER_MINUTE": 600,
        # Tests fill in forms faster, and book more often, than visitors do.
        "MIN_FILL_SECONDS": 0,
        "MAX_BOOKINGS_PER_HOUR": 0,
        "MAX_CHANGES_PER_HOUR": 0,
        "API_KEY": ADMIN_TOKEN,
        "USER_ID": "",
        "BASE_URL": base_url,
        "SANDBOX": True,
        "BACKGROUND": "cron",
    }
