"""P25, P26: the staff's list of appointments, every filter of it, the search, and the calendar.

The floor is a plain admin of the same table: a hundred rows, one joined table, and the usual count. A
filter may cost no more than the whole list.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from django.contrib import admin
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import override_settings
from django.urls import path, reverse

from benchmarks.database import empty_database
from benchmarks.figures import Goal, Most, report
from django_meetergo.models import Appointment, AppointmentChange, Attendee, Host, MeetingType, fold_email

BATCH = 5000
HOSTS, TYPES = 20, 40
FIRST = ("Ida", "Jonas", "Mia", "Noah", "Olga", "Paul", "Rosa", "Sven", "Tea", "Uwe")
LIST, CALENDAR = "admin:meetergo_appointment_changelist", "admin:meetergo_appointment_calendar"
#: Ratios of wall time to the plain list, and milliseconds of database time of a search.
GOALS, SEARCH_MS = {"postgresql": 1.5, "sqlite": 2.0}, {"postgresql": 5.0}
#: A calendar of this many hosts and appointments a week takes at most so many milliseconds.
CALENDAR_HOSTS, CALENDAR_ROWS, CALENDAR_MS = 10, 400, 300


class PlainAdmin(admin.ModelAdmin):  # type: ignore[type-arg]  # cannot be subscripted at runtime
    """The admin one writes first."""

    list_display = ("start", "meeting_type", "status", "channel", "location", "remote_id", "synced_at")
    list_select_related = ("meeting_type",)
    list_filter = ("status",)
    ordering = ("-start",)


plain = admin.AdminSite(name="plain")
plain.register(Appointment, PlainAdmin)
urlpatterns = [path("admin/", admin.site.urls), path("plain/", plain.urls)]


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks admin")
    parser.add_argument("--n", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--search", action="store_true", help="the search instead of the list")
    parser.add_argument("--calendar", action="store_true", help="the calendar instead of the list")
    chosen = parser.parse_args(arguments)
    with empty_database():
        sys.stdout.write(f"{connection.vendor}, {chosen.n} appointments, {chosen.rounds} rounds\n")
        if chosen.calendar:
            fill(chosen.n, step=timedelta(days=7) / CALENDAR_ROWS, hosts=CALENDAR_HOSTS)
        else:
            fill(chosen.n, step=timedelta(days=730) / chosen.n, hosts=HOSTS)
        with override_settings(ROOT_URLCONF=__name__, ALLOWED_HOSTS=["*"]):
            client = Client()
            client.force_login(User.objects.create_superuser("boss"))
            show = show_search if chosen.search else show_calendar if chosen.calendar else show_list
            return report(show(client, chosen.rounds))


# Rows


def fill(number: int, *, step: timedelta, hosts: int) -> None:
    """Create appointments, one each ``step``, a tenth of them ahead, each with an attendee and a host."""
    now, dice = datetime.now(UTC).replace(microsecond=0), random.Random(1)
    people = Host.objects.bulk_create(Host(remote_id=f"h{n}", name=f"Host {n}") for n in range(hosts))
    types = MeetingType.objects.bulk_create(
        MeetingType(remote_id=f"t{n}", slug=f"t{n}", name=f"Type {n}", duration=30) for n in range(TYPES)
    )
    first_start = now - 0.9 * number * step
    for first in range(0, number, BATCH):
        rows = [
            make_appointment(n, first_start + n * step, now, types, dice)
            for n in range(first, min(first + BATCH, number))
        ]
        Appointment.objects.bulk_create(rows)
        Appointment.hosts.through.objects.bulk_create(
            Appointment.hosts.through(appointment=row, host=dice.choice(people)) for row in rows
        )
        Attendee.objects.bulk_create(make_attendee(row, dice) for row in rows)
        AppointmentChange.objects.bulk_create(
            AppointmentChange(
                appointment=row, kind="cancel", requested_by="host", previous_start=row.start, created_at=now,
                state=dice.choice(["done"] * 99 + ["unknown"]),
            )
            for row in rows[::10]
        )  # fmt: skip
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")


def make_appointment(
    number: int, start: datetime, now: datetime, types: list[MeetingType], dice: random.Random
) -> Appointment:
    odd = dice.random()
    return Appointment(
        remote_id=f"a{number}", meeting_type=dice.choice(types), start=start,
        end=start + timedelta(minutes=30), status="cancelled" if odd < 0.1 else "confirmed",
        channel="zoom", synced_at=now - timedelta(days=3 if 0.1 <= odd < 0.11 else 0),
        missing_since=now if 0.2 <= odd < 0.202 else None, raw={"id": f"a{number}", "text": "x" * 1000},
    )  # fmt: skip


def make_attendee(row: Appointment, dice: random.Random) -> Attendee:
    first, last = dice.choice(FIRST), "".join(dice.choices("abcdefghijklmnoprstuvw", k=7)).title()
    email = f"{first}.{last}.{row.pk}@example.com"
    return Attendee(
        appointment=row, remote_id=f"p{row.pk}", first_name=first, last_name=last, email=email,
        email_folded=fold_email(email),
    )  # fmt: skip


# Rounds


def measure_wall(client: Client, url: str) -> float:
    """Milliseconds of one page."""
    started = time.perf_counter()
    response = client.get(url)
    spent = time.perf_counter() - started
    if response.status_code != 200:
        raise SystemExit(f"{url} answered {response.status_code}")
    return spent * 1000


@contextmanager
def watch_database() -> Iterator[list[float]]:
    """Yield a list of the milliseconds of each statement on attendees."""
    spent: list[float] = []

    def watch(execute: Callable[..., Any], sql: str, *args: Any) -> Any:
        started = time.perf_counter()
        try:
            return execute(sql, *args)
        finally:
            if Attendee._meta.db_table in sql:
                spent.append((time.perf_counter() - started) * 1000)

    with connection.execute_wrapper(watch):
        yield spent


def list_filters(client: Client) -> Iterator[str]:
    """Yield the query string of every choice of every filter, with one host and one type for all of them."""
    changelist: Any = client.get(reverse(LIST)).context_data["cl"]  # type: ignore[attr-defined]
    seen: set[str] = set()
    for spec in changelist.filter_specs:
        for choice in list(spec.choices(changelist))[1:]:
            name = type(spec).__name__
            if name in {"HostFilter", "TypeFilter"} and name in seen:
                continue
            seen.add(name)
            yield choice["query_string"]


def show_list(client: Client, rounds: int) -> list[Goal | Most]:
    goal, ours, floor = GOALS.get(connection.vendor, 2.0), reverse(LIST), "/plain/meetergo/appointment/"
    pages = {"list": ours, "list, last page counted": f"{ours}?p=99"}
    pages |= {query: ours + query for query in list_filters(client)}
    pages["oldest first"] = f"{ours}?o=1"
    walls: dict[str, list[float]] = {name: [] for name in pages}
    plain_walls: dict[str, list[float]] = {name: [] for name in pages}
    for url in (floor, *pages.values()):
        client.get(url)
    for _ in range(rounds):
        for name, url in pages.items():
            plain_walls[name].append(measure_wall(client, floor))
            walls[name].append(measure_wall(client, url))
    number = "P25" if connection.vendor == "postgresql" else "P26"
    return [Goal(f"{number} {name}", "ms", spent, plain_walls[name], goal) for name, spent in walls.items()]


def show_search(client: Client, rounds: int) -> list[Goal | Most]:
    """Return the database time of searches."""
    some = Attendee.objects.order_by("pk")[Attendee.objects.count() // 2]
    terms = {
        "whole address": some.email,
        "beginning of an address": some.email[:9],
        "last name": some.last_name,
        "beginning of a last name": some.last_name[:4],
        "both names": f"{some.first_name} {some.last_name}",
        "remote id": some.appointment.remote_id,
        "nobody": "zzzz",
    }
    spent: dict[str, list[float]] = {name: [] for name in terms}
    client.get(reverse(LIST), {"q": some.email})
    for _ in range(rounds):
        for name, term in terms.items():
            with watch_database() as statements:
                response = client.get(reverse(LIST), {"q": term})
            found = response.context_data["cl"].result_count  # type: ignore[attr-defined]
            if not found and name != "nobody":
                raise SystemExit(f"{term} finds nobody")
            spent[name].append(sum(statements))
    most = SEARCH_MS.get(connection.vendor, float("inf"))
    return [Most(f"P26 search, {name}", "ms", times, most) for name, times in spent.items()]


def show_calendar(client: Client, rounds: int) -> list[Goal | Most]:
    walls: dict[str, list[float]] = {view: [] for view in ("day", "week")}
    urls = {view: f"{reverse(CALENDAR)}?view={view}" for view in walls}
    for url in urls.values():
        client.get(url)
    for _ in range(rounds):
        for view, url in urls.items():
            walls[view].append(measure_wall(client, url))
    return [Most(f"calendar, {view}", "ms", spent, CALENDAR_MS) for view, spent in walls.items()]
