"""A site behind a real socket, a sandbox behind another, and Debian's Chromium in front of both."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.test import override_settings

from tests.browser.person import Person

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

# Playwright keeps a loop running in the test's thread; our queries there are plain ones all the same.
os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"


@pytest.fixture(scope="session")
def browser_type_launch_args(browser_type_launch_args: dict[str, Any]) -> dict[str, Any]:
    if not Path(CHROMIUM).exists():
        pytest.fail(f"{CHROMIUM} is missing: apt-get install chromium")
    return {**browser_type_launch_args, "executable_path": CHROMIUM, "args": FLAGS}


@pytest.fixture(scope="session")
def django_db_modify_db_settings(tmp_path_factory: pytest.TempPathFactory) -> None:
    """A file, so that every thread of the server has a connection of its own."""
    from django.db import connections

    if connections["default"].vendor != "sqlite":
        return
    given = connections["default"].settings_dict
    given["TEST"]["NAME"] = str(tmp_path_factory.mktemp("site") / "site.sqlite3")
    given["OPTIONS"] = {"transaction_mode": "IMMEDIATE", "timeout": 20}


@pytest.fixture(scope="session", autouse=True)
def _policy(django_db_setup: None) -> Iterator[None]:
    """The site's policy. The database comes first: the server would share a connection to one in memory."""
    ours = ["tests.browser.policy.OtherOrigin", "tests.browser.policy.PolicyMiddleware"]
    middleware = [*ours, *django_settings.MIDDLEWARE]
    with override_settings(MIDDLEWARE=middleware):
        yield


@pytest.fixture
def service(live_server: Any, live_meetergo_sandbox: Any, settings: Any) -> Any:
    """The sandbox, with a site in front of it that has read its meeting types."""
    settings.MEETERGO = {**settings.MEETERGO, "SITE_URL": live_server.url, "CONTACT": "01234 567890"}
    live_meetergo_sandbox.sync_directory()
    return live_meetergo_sandbox


@pytest.fixture
def make_person(browser: Any, live_server: Any, service: Any) -> Iterator[Any]:
    """Browsers of people who do not know each other. Whatever went wrong unseen is told at the end."""
    people: list[Person] = []

    def make(**options: Any) -> Person:
        people.append(Person(browser, live_server.url, SCREENS, **options))
        return people[-1]

    yield make
    for person in people:
        person.leave()
    assert [trouble for person in people for trouble in person.troubles] == []


@pytest.fixture(params=[True, False], ids=["script", "no-script"])
def person(request: pytest.FixtureRequest, make_person: Any) -> Person:
    """Somebody who books, once with script and once without."""
    return make_person(script=request.param)


@pytest.fixture
def quick(make_person: Any) -> Person:
    """Somebody with script."""
    return make_person()
