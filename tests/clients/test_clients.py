"""Generated clients, TypeScript (strict) and Python, run the whole flow against a site and the sandbox."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from django_meetergo.contrib.rest_framework.schema import FILE
from django_meetergo.contrib.rest_framework.throttling import RATES
from django_meetergo.models import Appointment, AppointmentChange, Booking, MeetingType
from tests.database_file import database_file, django_db_modify_db_settings  # noqa: F401 - fixtures

pytestmark = pytest.mark.django_db(transaction=True)

FOLDER = Path(__file__).parent
BOOK = "POST /v4/booking"


def run(*command: str | Path, **options: Any) -> str:
    """Return what a command prints. Fails with its output if it fails."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False, **options)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="session")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the TypeScript client with its packages."""
    folder = tmp_path_factory.mktemp("clients") / "typescript"
    shutil.copytree(FOLDER / "typescript", folder)
    run("npm", "install", "--ignore-scripts", "--no-audit", "--no-fund", "--no-package-lock", cwd=folder)
    return folder


@pytest.fixture(scope="session")
def typescript(packages: Path) -> list[str]:
    """The command of the TypeScript client, generated and compiled."""
    tools = packages / "node_modules" / ".bin"
    run(tools / "openapi-typescript", FILE, "--output", "schema.d.ts", cwd=packages)
    run(tools / "tsc", "--project", ".", cwd=packages)
    return ["node", str(packages / "flow.js")]


@pytest.fixture(scope="session")
def python(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The command of the Python client, generated and type-checked."""
    folder = tmp_path_factory.mktemp("python")
    shutil.copy(FOLDER / "python_flow.py", folder)
    generate = ["openapi-python-client", "generate", "--meta", "none", "--fail-on-warning"]
    bin_folder = Path(sys.executable).parent
    path = {**os.environ, "PATH": f"{bin_folder}{os.pathsep}{os.environ['PATH']}"}
    run(*generate, "--path", FILE, "--output-path", "scheduling_client", cwd=folder, env=path)
    run(sys.executable, "-m", "mypy", "--strict", "--follow-imports=silent", "python_flow.py", cwd=folder)
    return [sys.executable, str(folder / "python_flow.py")]


@pytest.fixture
def site(live_server: Any, live_meetergo_sandbox: Any, settings: Any) -> Iterator[Any]:
    """The sandbox of a site that serves the API."""
    settings.ROOT_URLCONF = "tests.api.urls"
    settings.REST_FRAMEWORK = {"DEFAULT_THROTTLE_RATES": dict.fromkeys(RATES)}
    live_meetergo_sandbox.sync_directory()
    return live_meetergo_sandbox


@pytest.fixture(params=["typescript", "python"])
def client(request: pytest.FixtureRequest, live_server: Any, site: Any) -> Callable[..., Any]:
    """Return a function that runs one step of a generated client and returns what it prints."""
    command = request.getfixturevalue(request.param)

    def step(*arguments: str, lose: int = 0) -> Any:
        environment = {**os.environ, "LOSE": str(lose)}
        return json.loads(run(*command, f"{live_server.url}/api/meetergo", *arguments, env=environment))

    return step


def test_redocly_finds_nothing(packages: Path) -> None:
    """With its recommended rules: no error and no warning."""
    lint = [packages / "node_modules" / ".bin" / "redocly", "lint", "--extends", "recommended"]
    report = json.loads(run(*lint, "--format", "json", FILE, cwd=packages))
    assert report["totals"]["errors"] == report["totals"]["warnings"] == 0, report["problems"]


def test_a_free_time_is_booked_moved_and_cancelled(client: Callable[..., Any], site: Any) -> None:
    """Each answer is lost once: the same request is sent again, and everything happens once."""
    booked = client("book", "intro-call", client("times", "intro-call")[0], lose=1)
    assert (booked["status"], booked["state"]) == (201, "confirmed")
    assert len(site.appointments()) == Booking.objects.count() == 1
    moved = client("reschedule", booked["manage"], lose=1)
    assert (moved["state"], moved["change"]) == ("upcoming", "done")
    assert datetime.fromisoformat(moved["start"]) == Appointment.objects.get().start
    cancelled = client("cancel", booked["manage"], lose=1)
    assert cancelled["state"] == "cancelled"
    assert site.appointments() == []
    assert AppointmentChange.objects.count() == 2
    assert client("show", booked["token"])["state"] == "cancelled"


def test_the_first_alternative_to_a_taken_time_is_booked(client: Callable[..., Any], site: Any) -> None:
    start = client("times", "intro-call")[0]
    site.occupy_slot(datetime.fromisoformat(start))
    booked = client("book", "intro-call", start)
    assert (booked["taken"], booked["state"]) == (start, "confirmed")
    assert booked["start"] != start


def test_an_unclear_booking_is_followed_until_it_is_booked(client: Callable[..., Any], site: Any) -> None:
    start = client("times", "intro-call")[0]
    site.fail_next(BOOK, "drop_after")
    booked = client("book", "intro-call", start)
    assert (booked["status"], booked["state"]) == (202, "confirmed")
    assert len(site.appointments()) == 1


def test_a_booking_waits_for_the_confirmation_by_mail(client: Callable[..., Any], site: Any) -> None:
    pending = client("book", "checkup", client("times", "checkup")[0])
    assert (pending["status"], pending["state"], pending["manage"]) == (202, "pending", None)
    site.confirm(Booking.objects.get())
    assert client("show", pending["token"])["state"] == "confirmed"


def test_every_refusal_is_told_apart_by_its_type(client: Callable[..., Any]) -> None:
    start = client("times", "intro-call")[0]
    assert client("book", "intro-call", start, "jane")["errors"] == {"email": "invalid"}
    assert client("book", "intro-call", "2020-01-01T09:00:00+01:00")["errors"] == {"start": "past"}
    MeetingType.objects.filter(slug="intro-call").update(needs_own_page=True)
    assert client("book", "intro-call", start)["type"].endswith(":booked-elsewhere")
    MeetingType.objects.update(enabled=False)
    assert client("book", "intro-call", start)["type"].endswith(":meeting-type-unavailable")
