"""P30 and P31: what the POST of a booking form costs, from the middleware to the redirect.

The service answers at once and its own work is left out. Each booking is one of a browser of its own, with
its CSRF token, cookies and limits as on a site. The floor is a form of the same fields whose view stores one
row. ``--types``: also with so many meeting types more, which must cost nothing.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from types import CodeType
from typing import Any
from uuid import uuid4

from django import forms
from django.core.cache import caches
from django.db import connection
from django.http import HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.test.utils import CaptureQueriesContext
from django.utils import timezone as clock

import django_meetergo
from benchmarks.database import empty_database
from benchmarks.figures import Goal, Most, measure_cpu, report
from benchmarks.service import Respond, make_get, make_post, recorded_service
from django_meetergo.models import Appointment, Booking, Event, MeetingType
from django_meetergo.presentation.form_token import make_token
from django_meetergo.testing.kit import SandboxKit

SLUG = "intro-call"
PAGE, FORM, PLAIN = f"/book/{SLUG}/", f"/book/{SLUG}/details/", "/plain-form/"
PACKAGE = Path(django_meetergo.__file__).parent
#: Neither belongs to a site: the stand-in for the network, and the service.
OUTSIDE = (str(PACKAGE / "testing"), str(PACKAGE / "sandbox"))
MS, STATEMENTS, TRANSACTIONS = 12, 20, 2
#: With a thousand meeting types, as a ratio to the same booking with a few.
GROWTH = 1.1
ADDED = "added-"
numbers = count(1)


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks booking")
    parser.add_argument("--bookings", type=int, default=40, help="in each round; a minute allows sixty")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--types", type=int, default=1000, help="further meeting types, for P31")
    parser.add_argument("--profile", action="store_true", help="show where the time goes, instead")
    chosen = parser.parse_args(arguments)
    with empty_database(), recorded_service(MAX_BOOKINGS_PER_HOUR=20) as kit:
        desk = Desk(kit)
        desk.open()
        if chosen.profile:
            return show_profile(desk, chosen.bookings)
        sys.stdout.write(f"{connection.vendor}, {chosen.rounds} rounds of {chosen.bookings} bookings\n")
        return report(measure(desk, chosen.bookings, chosen.rounds, chosen.types))


class Desk:
    """Book free times one after the other."""

    def __init__(self, kit: SandboxKit) -> None:
        self.kit = kit
        self.get: Respond = make_get()
        self.post: Respond = make_post()

    def open(self) -> None:
        """Forget limits, permits and bookings, and read the free times as a first visitor does."""
        caches["default"].clear()
        for model in (Event, Booking, Appointment):
            model.objects.all().delete()
        self.get(PAGE)
        self.starts = iter(self.kit.list_free_starts(SLUG, days=30))

    def fill_in(self) -> tuple[dict[str, str], dict[str, str]]:
        """Return the data and the cookies of a new visitor's form."""
        number = next(numbers)
        data = {
            "start": next(self.starts).isoformat(),
            "token": make_token(),
            "first_name": "Jane",
            "last_name": "Doe",
            "email": f"jane{number}@example.com",
            "phone": "",
            "receive_reminders": "on",
            "website": "",
        }
        return data, {"meetergo_browser": f"{number:032x}"}

    def book(self, path: str = FORM) -> HttpResponseBase:
        response = self.post(path, *self.fill_in())
        assert response.status_code == 303 or path == PLAIN, response.content  # type: ignore[attr-defined]
        return response


def measure(desk: Desk, bookings: int, rounds: int, types: int) -> list[Goal | Most]:
    def time(path: str) -> float:
        desk.open()
        return measure_cpu(lambda: [desk.book(path) for _ in range(bookings)]) / bookings * 1e3

    def time_with(types: int) -> float:
        """Measure with so many meeting types more."""
        add_types(types)
        found = time(FORM)
        MeetingType.objects.filter(remote_id__startswith=ADDED).delete()
        return found

    time(FORM), time(PLAIN)
    floor, ours, grown = zip(
        *((time(PLAIN), time(FORM), time_with(types)) for _ in range(rounds)), strict=True
    )
    desk.open()
    statements, transactions = zip(*(count_statements(desk) for _ in range(rounds)), strict=True)
    found = walk(desk)
    sys.stdout.write(
        f"floor {statistics.median(floor):.1f} ms; the POST goes through {len(found.functions)} functions in "
        f"{len(found.modules)} modules of the app, {found.own_calls} of its {found.calls} Python calls\n"
    )
    return [
        Most("P30 booking POST, processor time", "ms", list(ours), MS),
        Most("P30 statements", "", [float(number) for number in statements], STATEMENTS),
        Most("P30 transactions", "", [float(number) for number in transactions], TRANSACTIONS),
        Goal(f"P31 with {types} types more", "ms", list(grown), list(ours), GROWTH),
    ]


def count_statements(desk: Desk) -> tuple[int, int]:
    """Return the statements of one booking, and the transactions around them."""
    with CaptureQueriesContext(connection) as captured:
        desk.book()
    texts = [query["sql"] for query in captured.captured_queries]
    begun = sum(text == "BEGIN" for text in texts)
    return sum(text not in {"BEGIN", "COMMIT", "ROLLBACK"} for text in texts), begun


def add_types(number: int) -> None:
    """Add meeting types of another host."""
    like = MeetingType.objects.get(slug=SLUG)
    MeetingType.objects.bulk_create(
        MeetingType(
            remote_id=f"{ADDED}{one}", slug=f"type-{one}", name=f"Type {one}", duration=like.duration,
            raw=like.raw, host_ids=["another-host"], spots=like.spots,
        )
        for one in range(number)
    )  # fmt: skip


# The walk


class Walk:
    """The Python calls of a block, and the functions of the app among them."""

    def __init__(self) -> None:
        self.calls = self.own_calls = 0
        self.codes: dict[CodeType, int] = {}

    def watch(self, frame: Any, event: str, argument: object) -> None:
        if event == "call":
            code = frame.f_code
            self.codes[code] = self.codes.get(code, 0) + 1

    def count(self) -> None:
        for code, times in self.codes.items():
            if not code.co_filename.startswith(OUTSIDE):
                self.calls += times
                self.own_calls += times if self.is_own(code) else 0

    @staticmethod
    def is_own(code: CodeType) -> bool:
        return code.co_filename.startswith(f"{PACKAGE}/") and not code.co_filename.startswith(OUTSIDE)

    @property
    def functions(self) -> list[str]:
        """The functions of the app, without comprehensions and lambdas."""
        own = [code for code in self.codes if self.is_own(code) and not code.co_name.startswith("<")]
        return sorted(f"{code.co_filename}:{code.co_qualname}" for code in own)

    @property
    def modules(self) -> set[str]:
        return {name.partition(":")[0] for name in self.functions}


def walk(desk: Desk) -> Walk:
    data, cookies = desk.fill_in()
    found = Walk()
    with watching(found):
        desk.post(FORM, data, cookies)
    found.count()
    return found


@contextmanager
def watching(found: Walk) -> Iterator[None]:
    sys.setprofile(found.watch)
    try:
        yield
    finally:
        sys.setprofile(None)


def show_profile(desk: Desk, bookings: int) -> int:
    import cProfile
    import pstats

    desk.book()
    forms_to_send = [desk.fill_in() for _ in range(bookings)]
    profile = cProfile.Profile(builtins=False)
    profile.enable()
    for data, cookies in forms_to_send:
        desk.post(FORM, data, cookies)
    profile.disable()
    pstats.Stats(profile).sort_stats("cumulative").print_stats(90)
    return 0


# The floor


class PlainForm(forms.Form):
    start = forms.DateTimeField()
    first_name = forms.CharField(max_length=150)
    last_name = forms.CharField(max_length=150)
    email = forms.EmailField()
    phone = forms.CharField(max_length=64, required=False)
    receive_reminders = forms.BooleanField(required=False)


def book_plainly(request: HttpRequest) -> HttpResponse:
    """Check a form and store what it holds."""
    form = PlainForm(request.POST)
    if not form.is_valid():
        raise AssertionError(form.errors)
    Booking.objects.create(
        meeting_type_id=meeting_type_id(), duration=30, created_at=clock.now(), content_digest=uuid4().hex,
        **form.cleaned_data,
    )  # fmt: skip
    return HttpResponseRedirect("/done/")


_meeting_type: list[int] = []


def meeting_type_id() -> int:
    if not _meeting_type:
        _meeting_type.append(MeetingType.objects.get(slug=SLUG).pk)
    return _meeting_type[0]
