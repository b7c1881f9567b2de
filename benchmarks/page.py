"""P10, P12 and P13: the booking page on a first visit.

Warm: free times are cached and the page was rendered within this minute. The floor is a static page through
the same middleware. Cold: the cache is empty and meetergo responses at once. That floor reads the same
rows, parses the same responses and renders what the app renders, the times of one day and the number of the
others, by one plain template. ``--bytes``: the size of the page.
"""

from __future__ import annotations

import argparse
import gzip
import json
import sys
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from functools import cache
from typing import Any

from django.core.cache import caches
from django.db import connection
from django.http import HttpRequest, HttpResponse
from django.template import engines
from django.utils import timezone as clock

from benchmarks.database import empty_database
from benchmarks.figures import Goal, Most, measure_cpu, report
from benchmarks.service import make_get, recorded_service, responses
from django_meetergo.models import MeetingType

SLUG = "intro-call"
PAGE, STATIC, PLAIN = f"/book/{SLUG}/", "/static-page/", "/plain-page/"
WARM, COLD, WEIGHT = 3.5, 1.5, 5.0


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks page")
    parser.add_argument("--cold", action="store_true", help="with an empty cache")
    parser.add_argument("--bytes", action="store_true", help="the compressed size")
    parser.add_argument("--views", type=int, default=300, help="views a round")
    parser.add_argument("--rounds", type=int, default=15)
    chosen = parser.parse_args(arguments)
    with empty_database(), recorded_service():
        fetch = make_fetch()
        if chosen.bytes:
            return report([weigh(fetch)])
        sys.stdout.write(f"{connection.vendor}, {chosen.rounds} rounds\n")
        if chosen.cold:
            return report([compare_cold(fetch, chosen.rounds)])
        return report([compare_warm(fetch, chosen.views, chosen.rounds)])


Fetch = Callable[[str], bytes]


def make_fetch() -> Fetch:
    get = make_get()
    return lambda path: bytes(get(path).content)  # type: ignore[attr-defined]


def compare_warm(fetch: Fetch, views: int, rounds: int) -> Goal:
    static_body.append(fetch(PAGE))

    def read(path: str) -> float:
        return measure_cpu(lambda: [fetch(path) for _ in range(views)]) / views * 1e6

    return Goal("P10 page warm, processor time", "us", *measure_in_turn(read, STATIC, rounds), WARM)


def compare_cold(fetch: Fetch, rounds: int) -> Goal:
    def read(path: str) -> float:
        empty_cache()
        return measure_cpu(lambda: fetch(path)) * 1e3

    return Goal("P12 page cold, processor time", "ms", *measure_in_turn(read, PLAIN, rounds), COLD)


def measure_in_turn(read: Callable[[str], float], floor: str, rounds: int) -> tuple[list[float], list[float]]:
    """Return what the page and the floor cost, measured in turn once everything is loaded."""
    for path in (PAGE, floor):
        read(path)
    pairs = [(read(floor), read(PAGE)) for _ in range(rounds)]
    return [ours for _, ours in pairs], [least for least, _ in pairs]


def weigh(fetch: Fetch) -> Most:
    return Most("P13 page, compressed", "kB", [len(gzip.compress(fetch(PAGE))) / 1000], WEIGHT)


def empty_cache() -> None:
    caches["default"].clear()


# The floors

static_body: list[bytes] = []

MONTH = """<!doctype html><title>{{ kind.name }}</title><h1>{{ kind.name }}</h1><p>{{ hosts|join:", " }}</p>
<ul>{% for day, times in days %}
<li><a href="?date={{ day|date:"c" }}">{{ day.day }}</a> {{ times|length }}</li>
{% endfor %}</ul><form>{% for time in days.0.1 %}
<label><input type="radio" name="start" value="{{ time|date:"c" }}"> {{ time|date:"H:i" }}</label>
{% endfor %}<button>Continue</button></form>"""


def show_static(request: HttpRequest) -> HttpResponse:
    return HttpResponse(static_body[0])


def show_plain(request: HttpRequest) -> HttpResponse:
    """Render the days of the month and the times of the first, and nothing else."""
    kind = MeetingType.objects.defer("raw").get(slug=SLUG)
    zone, now = clock.get_default_timezone(), clock.now()
    free: dict[Any, list[datetime]] = {}
    for _, _, body in responses.values():
        for start in read_starts(json.loads(body)):
            moment = datetime.fromisoformat(start).astimezone(zone)
            if moment >= now:
                free.setdefault(moment.date(), []).append(moment)
    first = min(free)
    days = sorted((day, sorted(times)) for day, times in free.items() if day < first + timedelta(days=31))
    shown = {"kind": kind, "hosts": [host.name for host in kind.hosts.all()], "days": days}
    return HttpResponse(compile_month().render(shown, request))


def read_starts(document: dict[str, Any]) -> list[str]:
    return [slot["startTime"] for day in document["dates"] for slot in day["spots"]]


@cache
def compile_month() -> Any:
    return engines["django"].from_string(MONTH)
