"""The background thread works under preloading, forking and asynchronous servers."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
import requests

from django_meetergo.sandbox import server
from django_meetergo.sandbox.app import Sandbox

WSGI, ASGI = "tests.hosts.served_wsgi:application", "tests.hosts.served_asgi:application"
SERVERS = {
    "gunicorn --preload": ["gunicorn", "--preload", "--workers", "2", "--bind", "127.0.0.1:{port}", WSGI],
    "gunicorn threads": ["gunicorn", "--threads", "4", "--bind", "127.0.0.1:{port}", WSGI],
    "uvicorn": ["uvicorn", "--port", "{port}", "--lifespan", "off", ASGI],
    "daphne": ["daphne", "--port", "{port}", ASGI],
    # On SIGTERM, uWSGI starts anew unless it is told to end.
    "uWSGI": [
        *("uwsgi", "--master", "--processes", "2", "--die-on-term"),
        *("--http11-socket", "127.0.0.1:{port}", "--module", WSGI),
    ],
}
SCRIPTS = Path(sys.executable).parent
#: Set up the site, and leave a booking as a process does that is killed before it sends it.
PREPARE = """
import django; django.setup()
from datetime import timedelta
from django.core.management import call_command
from django.utils import timezone
from django_meetergo.models import MeetingType
from django_meetergo.services import list_slots
from django_meetergo.services import AttendeeData, book_appointment
from django_meetergo.services.clients import build_client
call_command("migrate", verbosity=0)
call_command("meetergo_sync", verbosity=0)
now = timezone.now()
free = list_slots(meeting_type="intro-call", start=now, end=now + timedelta(days=14)).times
book_appointment(
    meeting_type=MeetingType.objects.get(slug="intro-call"), start=free[-1].start,
    attendee=AttendeeData(email="left@example.com", first_name="Left"),
    client=build_client("default", "write"), now=now, send=False,
)
"""


@pytest.fixture(scope="module")
def sandbox():
    sandbox = Sandbox(rate_limit=False)
    running = server.start(sandbox)
    yield running.url, sandbox
    running.stop()
    sandbox.close()


@pytest.fixture
def site_env(sandbox, tmp_path):
    """The environment of a site whose database has the meeting types and one booking that is not sent."""
    env = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "tests.hosts.served",
        "SITE_DATABASE": str(tmp_path / "site.sqlite3"),
        "SITE_SANDBOX": sandbox[0],
    }
    subprocess.run([sys.executable, "-c", PREPARE], env=env, check=True)
    return env


@contextmanager
def serve(command, env, log):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    arguments = [part.format(port=port) for part in command]
    with log.open("wb") as output:
        process = subprocess.Popen(
            [SCRIPTS / arguments[0], *arguments[1:]], env=env, stdout=output, stderr=subprocess.STDOUT
        )
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait(20)


@pytest.mark.parametrize("name", SERVERS)
def test_a_booking_is_sent_and_a_left_one_is_picked_up(name, sandbox, site_env, tmp_path):
    _, service = sandbox
    log = tmp_path / "server.log"
    before = set(service.state.appointments)

    with serve(SERVERS[name], site_env, log) as url, requests.Session() as visitor:
        page = wait_for(lambda: get_page(visitor, f"{url}/book/intro-call/"), log)
        start = re.search(r'name="start" value="([^"]+)"', page)[1]
        form = visitor.get(f"{url}/book/intro-call/details/", params={"start": start}, timeout=20).text
        hidden = dict(re.findall(r'name="(csrfmiddlewaretoken|start|duration|token)" value="([^"]+)"', form))
        person = {"first_name": "Jane", "last_name": "Doe", "email": "jane@example.com", "website": ""}
        answer = visitor.post(f"{url}/book/intro-call/details/", {**hidden, **person}, timeout=20)
        assert "/book/booking/" in answer.url, (answer.status_code, answer.text[:3000])

        # The booked one at once, the one that was left by the thread that the first request has started.
        wait_for(lambda: list_emails(service, before) == {"jane@example.com", "left@example.com"}, log)


def list_emails(service, before):
    found = [one for key, one in service.state.appointments.items() if key not in before]
    return {attendee.email for one in found for attendee in one.attendees}


def get_page(visitor, url):
    with suppress(requests.ConnectionError):
        answer = visitor.get(url, timeout=20)
        return answer.text if answer.ok else None


def wait_for(condition, log, seconds=30):
    ends = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < ends, log.read_text()
        time.sleep(0.05)
    return found
