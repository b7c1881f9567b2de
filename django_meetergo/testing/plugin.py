"""The pytest plugin. pytest loads it in every project, so it imports Django only when it is used."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from django_meetergo.testing.kit import SandboxKit

INSTALL = "pip install 'django-meetergo[testing]'"


@pytest.fixture
def meetergo_sandbox(request: pytest.FixtureRequest) -> Iterator[SandboxKit]:
    """Return a sandbox of the service in this process: without sockets, with a clock that can be moved."""
    settings = get_site_settings(request)
    from django_meetergo.testing.sandboxes import BASE_URL, serve_in_process

    use_sandbox(settings, BASE_URL)
    with serve_in_process() as kit:
        yield kit


@pytest.fixture
def live_meetergo_sandbox(request: pytest.FixtureRequest) -> Iterator[SandboxKit]:
    """Return a sandbox behind a real socket on 127.0.0.1."""
    settings = get_site_settings(request)
    from django_meetergo.testing.kit import SandboxKit
    from django_meetergo.testing.sandboxes import serve_on_socket

    with serve_on_socket() as (sandbox, url):
        use_sandbox(settings, url)
        kit = SandboxKit(sandbox, base_url=url)
        kit.clear_availability()
        yield kit


def get_site_settings(request: pytest.FixtureRequest) -> Any:
    """Return the fixture ``settings``. Fail the test with what is missing in a project without it."""
    if problem := find_missing(request.config):
        pytest.fail(f"{request.fixturename} needs {problem}", pytrace=False)
    return request.getfixturevalue("settings")


def find_missing(config: pytest.Config) -> str | None:
    """Return what a project lacks to use a sandbox, and how to add it; None if nothing is missing."""
    if not config.pluginmanager.hasplugin("django"):
        return f"pytest-django: {INSTALL}"
    from django.apps import apps
    from django.conf import settings

    if not settings.configured:
        return (
            'the site\'s settings: set DJANGO_SETTINGS_MODULE = "yoursite.settings" in the pytest section of '
            "pyproject.toml or pytest.ini"
        )
    if not apps.is_installed("django_meetergo"):
        return 'the app: add "django_meetergo" to INSTALLED_APPS'
    return None


def use_sandbox(settings: Any, base_url: str) -> None:
    """Point ``MEETERGO`` at a sandbox. Background work runs when the test calls ``run_due()``."""
    from django_meetergo.testing.sandboxes import build_settings

    settings.MEETERGO = build_settings(getattr(settings, "MEETERGO", {}), base_url)


@pytest.fixture(autouse=True)
def _meetergo_guards() -> Iterator[None]:
    """Refuse requests to the real service, and requests that are sent inside a transaction."""
    if not is_django_ready():
        yield
        return
    from django_meetergo.testing.guards import guard_requests

    with guard_requests():
        yield


def is_django_ready() -> bool:
    """Whether this run has a Django project with this app. The plugin is also loaded without one."""
    import sys

    if "django" not in sys.modules:
        return False
    from django.apps import apps
    from django.conf import settings

    return settings.configured and apps.ready and apps.is_installed("django_meetergo")
