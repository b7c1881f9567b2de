"""The example project, started from the command line in a process of its own."""

from __future__ import annotations

import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import requests

MANAGE = Path(__file__).parents[2] / "example_project" / "manage.py"
COMMAND = [sys.executable, str(MANAGE)]
#: Variables that would point the demo to another database, service or settings.
FOREIGN = ("DJANGO_SETTINGS_MODULE", "REDIS_URL", "BACKGROUND", "CELERY_BROKER_URL", "DEBUG")
AGREED = ("✓", "yes")
TREATMENTS = ("treatments/intro-call/", "treatments/group-class/")


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """The environment of this process, with an empty database."""
    ours = {name: value for name, value in os.environ.items() if name not in FOREIGN}
    return {**ours, "DATABASE_URL": f"sqlite:///{tmp_path}/demo.sqlite3", "PYTHONIOENCODING": "utf-8"}


@pytest.fixture
def occupied_port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def manage(*arguments: str, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *arguments],
        env=environment,
        capture_output=True,
        encoding="utf-8",
        timeout=90,
        check=False,
    )


def test_site_and_sandbox_agree_after_every_step_of_a_visit(environment):
    """``demo --once`` books, moves and cancels on the site and compares mirror and sandbox each time."""
    ended = manage("demo", "--once", "--port", "0", "--sandbox-port", "0", environment=environment)

    rows = [line for line in ended.stdout.splitlines() if line.endswith(AGREED)]
    steps = [row[:24].strip() for row in rows]
    assert (ended.returncode, ended.stderr) == (0, "")
    assert steps == [
        "Open the booking page",
        "Turn to the next month",
        "Choose a time",
        "Send the details",
        "Wait for the webhook",
        "Open the manage link",
        "Choose another time",
        "Move the appointment",
        "Wait for the webhook",
        "Cancel the appointment",
        "Wait for the webhook",
    ]
    assert "Your appointment is booked" in ended.stdout


@pytest.mark.parametrize("option", ["--port", "--sandbox-port"])
def test_an_occupied_port_is_reported_in_one_sentence(environment, occupied_port, option):
    """The sentence names the port and what helps."""
    ports = {"--port": "0", "--sandbox-port": "0", option: str(occupied_port)}
    ended = manage("demo", *[word for pair in ports.items() for word in pair], environment=environment)

    assert ended.returncode == 1
    assert ended.stderr.strip() == (
        f"CommandError: Port {occupied_port} is in use by another program: stop that program or choose "
        f"another one with {option}, for example {option} {occupied_port + 1}."
    )
    assert ended.stdout == ""


def test_the_demo_serves_until_sigterm(environment):
    """SIGTERM stops the site and the sandbox, and leaves no process behind."""
    with start_demo(environment) as demo:
        addresses = read_addresses(demo)
        home = requests.get(addresses["Site"], timeout=10)
        admin = requests.get(addresses["Admin"], timeout=10)
        treatments = [requests.get(f"{addresses['Site']}{path}", timeout=10) for path in TREATMENTS]
        contact = requests.get(f"{addresses['Site']}contact/", timeout=10)
        embed = requests.get(f"{addresses['Site']}contact/?calendar=meetergo", timeout=10)
        demo.send_signal(signal.SIGTERM)
        assert demo.wait(20) == 0

    assert home.status_code == admin.status_code == 200
    assert "frame-ancestors 'none'" in home.headers["Content-Security-Policy"]
    assert "Content-Security-Policy" not in admin.headers
    assert [page.status_code for page in treatments] == [200, 200]
    assert all("meetergo-booking" in page.text for page in treatments)
    assert "meetergo.com" not in contact.headers["Content-Security-Policy"]
    assert "cdn.meetergo.com" not in contact.text
    assert "frame-src https://cal.meetergo.com" in embed.headers["Content-Security-Policy"]
    assert "https://cdn.meetergo.com/v4/integration.js" in embed.text
    for address in addresses.values():
        with pytest.raises(requests.ConnectionError):
            requests.get(address, timeout=2)


@contextmanager
def start_demo(environment: dict[str, str]) -> Iterator[subprocess.Popen[str]]:
    """Run a demo on free ports until the block ends."""
    command = [*COMMAND, "demo", "--port", "0", "--sandbox-port", "0"]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, encoding="utf-8") as demo:
        try:
            yield demo
        finally:
            demo.terminate()


def read_addresses(demo: subprocess.Popen[str]) -> dict[str, str]:
    """Return the addresses in the banner by name, once it is complete."""
    found = {}
    for line in demo.stdout or ():
        if line_with_address := re.match(r"  (\w[\w ]*?) +(http://\S+)", line):
            found[line_with_address[1]] = line_with_address[2]
        if "Press Ctrl+C to stop" in line:
            return found
    raise AssertionError("The demo ended before it was ready.")


@pytest.mark.parametrize("check", [["check", "--fail-level", "WARNING"], ["makemigrations", "--check"]])
def test_the_example_project_is_in_order(environment, check):
    """Its settings pass all checks, and no migration is missing."""
    ended = manage(*check, environment=environment)

    assert ended.returncode == 0, ended.stdout + ended.stderr


def test_the_clinic_has_a_day_around_the_present_hour(environment):
    """Past, present and coming appointments, a cancelled one, who came, and two requests in between."""
    now = datetime.now(UTC)
    with start_demo(environment) as demo:
        read_addresses(demo)
        appointments = read_rows(environment, "SELECT start, status, attendance FROM meetergo_appointment")
        bookings = read_rows(environment, "SELECT state, reason FROM meetergo_booking")

    near = [
        (start - now, status, attendance)
        for text, status, attendance in appointments
        if abs((start := datetime.fromisoformat(f"{text}+00:00")) - now) < timedelta(hours=4)
    ]
    assert len([wait for wait, status, _ in near if wait.total_seconds() < 0]) >= 4
    assert len([wait for wait, status, _ in near if wait.total_seconds() > 0 and status == "confirmed"]) >= 3
    assert len([status for _, status, _ in near if status == "cancelled"]) == 1
    assert sorted(attendance for _, _, attendance in near if attendance) == ["came", "no_show"]
    assert sorted(bookings) == [("pending", "host"), ("unknown", "")]


def read_rows(environment: dict[str, str], statement: str) -> list[tuple[str, ...]]:
    with closing(sqlite3.connect(environment["DATABASE_URL"].removeprefix("sqlite:///"))) as database:
        return database.execute(statement).fetchall()
