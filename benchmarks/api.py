"""P27: a list of a hundred appointments through the REST API, and a page far down in it.

The floor is the least work that gives the same response: the same three SELECTs as tuples, assembled by
hand and written as JSON, without authentication. A deep page is compared with the first one.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from base64 import b64encode
from collections import defaultdict
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group, Permission
from django.core.serializers.json import DjangoJSONEncoder
from django.db import connection
from django.db.models import Exists, OuterRef
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone as clock

from benchmarks.database import empty_database
from benchmarks.figures import Goal, measure_cpu, report
from django_meetergo.models import Appointment, AppointmentChange, Attendee, Host, MeetingType

PAGE = 100
STATEMENTS = 5
LIST = "/api/meetergo/appointments"
START = datetime(2030, 1, 1, 9, tzinfo=UTC)
Through = Appointment.hosts.through


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks api")
    parser.add_argument("--n", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=15)
    chosen = parser.parse_args(arguments)
    with empty_database():
        sys.stdout.write(f"{connection.vendor}, {chosen.n} appointments, {chosen.rounds} rounds\n")
        fill(chosen.n)
        read = sign_in()
        return max(show_statements(read), show_time(read, chosen.rounds))


def fill(number: int) -> None:
    """Create appointments, each with a host and two attendees with two answers."""
    types = [
        MeetingType.objects.create(remote_id=f"type-{n}", slug=f"type-{n}", name="Consultation", duration=30)
        for n in range(10)
    ]
    hosts = [
        Host.objects.create(remote_id=f"host-{n}", name="Dr Jane Doe", email=f"host-{n}@example.com")
        for n in range(10)
    ]
    rows = Appointment.objects.bulk_create(
        Appointment(
            remote_id=f"appointment-{n}",
            meeting_type=types[n % 10],
            start=START + timedelta(minutes=30 * n),
            end=START + timedelta(minutes=30 * n + 30),
            location="Room 1",
            raw={"padding": "x" * 2000},
        )
        for n in range(number)
    )
    Through.objects.bulk_create(Through(appointment=row, host=hosts[n % 10]) for n, row in enumerate(rows))
    Attendee.objects.bulk_create(
        Attendee(
            appointment=row,
            remote_id=f"{row.remote_id}-{who}",
            first_name="Jo",
            last_name="Doe",
            email=f"{who}{row.pk}@example.com",
            custom_fields={"insurance": "public", "complaint": "back"},
            raw={"padding": "x" * 500},
        )
        for row in rows
        for who in "ab"
    )


def sign_in() -> Callable[[str], dict[str, Any]]:
    """Return a function that reads an address as a user whose group may see appointments."""
    user = get_user_model().objects.create_user("jane", password="jane")
    group = Group.objects.create(name="reception")
    group.permissions.add(Permission.objects.get(codename="view_appointment"))
    user.groups.add(group)
    client = Client(headers={"Authorization": f"Basic {b64encode(b'jane:jane').decode()}"})

    def read(url: str) -> dict[str, Any]:
        response = client.get(url)
        assert response.status_code == 200, response.content
        found: dict[str, Any] = json.loads(response.content)
        return found

    return read


def show_statements(read: Callable[[str], dict[str, Any]]) -> int:
    with CaptureQueriesContext(connection) as found:
        rows = read(f"{LIST}?page_size={PAGE}")["results"]
    assert len(rows) == PAGE
    verdict = "ok" if len(found) <= STATEMENTS else "MISSED"
    sys.stdout.write(f"P27 statements of a list of {PAGE}: {len(found)}, goal <= {STATEMENTS}  {verdict}\n")
    return int(len(found) > STATEMENTS)


def show_time(read: Callable[[str], dict[str, Any]], rounds: int) -> int:
    first = f"{LIST}?page_size={PAGE}"
    deep = find_last_page(read, first)
    mine, floor, far, near = [], [], [], []
    for _ in range(rounds):
        mine.append(measure_cpu(lambda: read(first)) * 1e3)
        floor.append(measure_cpu(lambda: json.loads(write_by_hand())) * 1e3)
        far.append(measure(lambda: read(deep)) * 1e3)
        near.append(measure(lambda: read(first)) * 1e3)
    return report(
        [
            Goal(f"P27 list of {PAGE}, CPU", "ms", mine, floor, 4),
            Goal("P27 the last page, time", "ms", far, near, 1.2),
        ]
    )


def find_last_page(read: Callable[[str], dict[str, Any]], url: str) -> str:
    """Return the address of the last page."""
    while following := read(url)["next"]:
        url = following
    return url


def measure(do: Callable[[], object]) -> float:
    """Return seconds of wall time, which includes the database."""
    started = time.perf_counter()
    do()
    return time.perf_counter() - started


# The floor

ROW = (
    "pk", "public_id", "meeting_type__slug", "start", "end", "status", "is_changing", "channel", "location",
    "meeting_link", "cancelled_at", "cancellation_reason", "previous_start", "reschedule_count",
    "missing_since", "synced_at", "note",
)  # fmt: skip
ATTENDEE = (
    "appointment_id", "public_id", "first_name", "last_name", "email", "phone", "company", "timezone",
    "language", "status", "custom_fields",
)  # fmt: skip
HOST = ("appointment_id", "host__name", "host__email", "host__timezone")


def write_by_hand() -> str:
    changing = AppointmentChange.objects.filter(appointment=OuterRef("pk"), state__in=AppointmentChange.OPEN)
    rows = list(
        Appointment.objects.annotate(is_changing=Exists(changing))
        .order_by("-start", "-pk")
        .values_list(*ROW)[: PAGE + 1]
    )[:PAGE]
    keys = [row[0] for row in rows]
    hosts, people = defaultdict(list), defaultdict(list)
    for key, *values in Through.objects.filter(appointment__in=keys).values_list(*HOST):
        hosts[key].append(dict(zip(HOST[1:], values, strict=True)))
    for key, *values in Attendee.objects.filter(appointment__in=keys).values_list(*ATTENDEE):
        people[key].append(dict(zip(ATTENDEE[1:], values, strict=True)))
    results = [
        {
            **dict(zip(ROW[1:], values, strict=True)),
            "url": f"http://testserver{LIST}{values[0]}/",
            "duration": (values[3] - values[2]).total_seconds() // 60,
            "hosts": hosts[key],
            "attendees": people[key],
        }
        for key, *values in rows
    ]
    return json.dumps({"next": clock.now(), "previous": None, "results": results}, cls=DjangoJSONEncoder)
