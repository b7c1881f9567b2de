"""The pytest plugin. pytest loads it in every project, so it imports Django only when it is used."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from django_meetergo.testing.kit import SandboxKit

BASE_URL = "http://meetergo.sandbox"
REAL_HOSTS = ("https://api.meetergo.com", "https://cal.meetergo.com", "https://my.meetergo.com")


@pytest.fixture
def meetergo_sandbox(settings: Any) -> Iterator[SandboxKit]:
    """Return a sandbox of the service in this process: without sockets, with a clock that can be moved."""
    from django_meetergo.remote import transport
    from django_meetergo.sandbox.app import Sandbox
    from django_meetergo.testing.kit import SandboxKit
    from django_meetergo.testing.sandbox_adapter import SandboxAdapter

    sandbox = Sandbox(rate_limit=False)
    use_sandbox(settings, BASE_URL)
    transport.ADAPTERS[BASE_URL] = SandboxAdapter(sandbox.wsgi)
    kit = SandboxKit(sandbox, base_url=BASE_URL)
    sleep, transport.sleep = transport.sleep, lambda seconds: kit.travel(seconds=seconds)
    try:
        kit.clear_availability()
        yield kit
    finally:
        transport.sleep = sleep
        del transport.ADAPTERS[BASE_URL]
        sandbox.close()


@pytest.fixture
def live_meetergo_sandbox(settings: Any) -> Iterator[SandboxKit]:
    """Return a sandbox behind a real socket on 127.0.0.1."""
    from django_meetergo.sandbox import server
    from django_meetergo.sandbox.app import Sandbox
    from django_meetergo.testing.kit import SandboxKit

    sandbox = Sandbox(rate_limit=False)
    running = server.start(sandbox)
    use_sandbox(settings, running.url)
    try:
        kit = SandboxKit(sandbox, base_url=running.url, live=True)
        kit.clear_availability()
        yield kit
    finally:
        running.stop()
        sandbox.close()


def use_sandbox(settings: Any, base_url: str) -> None:
    """Point ``MEETERGO`` at a sandbox. Background work runs when the test calls ``run_due()``."""
    from django_meetergo.sandbox.seed import ADMIN_TOKEN

    settings.MEETERGO = {
        "SITE_URL": "https://site.example",
        "WEBHOOK_TOKENS": ["a-token-that-only-this-test-knows"],
        **getattr(settings, "MEETERGO", {}),
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


@pytest.fixture(autouse=True)
def _meetergo_guards(request: pytest.FixtureRequest) -> Iterator[None]:
    """Refuse requests to the real service, and requests that are sent inside a transaction."""
    if not is_django_ready():
        yield
        return
    from django_meetergo.remote import transport
    from django_meetergo.testing.guards import refuse_open_transactions
    from django_meetergo.testing.sandbox_adapter import ClosedAdapter

    closed = {host: ClosedAdapter() for host in REAL_HOSTS}
    transport.ADAPTERS.update(closed)
    transport.BEFORE_SEND.append(refuse_open_transactions)
    try:
        yield
    finally:
        transport.BEFORE_SEND.remove(refuse_open_transactions)
        for host in closed:
            transport.ADAPTERS.pop(host, None)


def is_django_ready() -> bool:
    """Whether this run has a Django project with this app. The plugin is also loaded without one."""
    import sys

    if "django" not in sys.modules:
        return False
    from django.apps import apps
    from django.conf import settings

    return settings.configured and apps.ready and apps.is_installed("django_meetergo")
