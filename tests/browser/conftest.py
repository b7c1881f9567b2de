"""A live site, a live sandbox, and browsers (Debian's Chromium)."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.test import override_settings

from tests.browser.person import Person
from tests.database_file import database_file, django_db_modify_db_settings  # noqa: F401 - fixtures

CHROMIUM = "/usr/bin/chromium"
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
SCREENS = Path(__file__).parent / "screens"

# Playwright runs an event loop in the test thread; the queries of the tests there are synchronous.
os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"


@pytest.fixture(scope="session")
def browser_type_launch_args(browser_type_launch_args: dict[str, Any]) -> dict[str, Any]:
    if not Path(CHROMIUM).exists():
        pytest.fail(f"{CHROMIUM} is missing: apt-get install chromium")
    return {**browser_type_launch_args, "executable_path": CHROMIUM, "args": FLAGS}


@pytest.fixture(scope="session", autouse=True)
def _site(database_file: None) -> Iterator[None]:  # noqa: F811
    """Install the Content Security Policy, and Arabic without texts."""
    added = ["tests.browser.policy.CorsMiddleware", "tests.browser.policy.PolicyMiddleware"]
    middleware = [*added, *django_settings.MIDDLEWARE]
    with override_settings(MIDDLEWARE=middleware, LOCALE_PATHS=[Path(__file__).parent / "locale"]):
        yield


@pytest.fixture
def service(live_server: Any, live_meetergo_sandbox: Any, settings: Any) -> Any:
    """The sandbox, after the site has read its meeting types."""
    settings.MEETERGO = {
        **settings.MEETERGO,
        "SITE_URL": live_server.url,
        "CONTACT": "01234 567890",
        "COLOR_SCHEME": "auto",
    }
    live_meetergo_sandbox.sync_directory()
    return live_meetergo_sandbox


@pytest.fixture
def make_person(browser: Any, live_server: Any, service: Any) -> Iterator[Any]:
    """Return a function that opens a separate browser. Console errors and foreign requests fail the test."""
    people: list[Person] = []

    def make(**options: Any) -> Person:
        people.append(Person(browser, live_server.url, SCREENS, **options))
        return people[-1]

    yield make
    for person in people:
        person.close()
    assert [problem for person in people for problem in person.problems] == []


@pytest.fixture(params=[True, False], ids=["script", "no-script"])
def person(request: pytest.FixtureRequest, make_person: Any) -> Person:
    """A visitor, once with script and once without."""
    return make_person(script=request.param)


@pytest.fixture
def scripted(make_person: Any) -> Person:
    """A visitor with script."""
    return make_person()
