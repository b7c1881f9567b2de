"""Requests generated from the OpenAPI schema; every answer must match it.

``MEETERGO_API_CASES`` is the total number of requests (320 by default). With ``MEETERGO_API_RANDOM`` each run
uses other requests.
"""

from __future__ import annotations

import os
import random
import sys
from functools import cache
from math import ceil
from typing import Any

import pytest
import schemathesis
import yaml
from django.core.handlers.wsgi import WSGIHandler
from hypothesis import HealthCheck, Phase, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from schemathesis.config import SchemathesisConfig
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import negative_data_rejection

from django_meetergo import links
from django_meetergo.contrib.rest_framework.schema import FILE
from django_meetergo.models import Appointment, Attendee, Booking, MeetingType
from django_meetergo.testing.factories import AppointmentFactory, AttendeeFactory
from tests.api.conftest import DETAILS

pytestmark = pytest.mark.django_db(transaction=True)

CASES = int(os.environ.get("MEETERGO_API_CASES", "320"))
RANDOM = bool(os.environ.get("MEETERGO_API_RANDOM"))
SCHEMA = yaml.safe_load(FILE.read_text())
OPERATIONS = [(path, method) for path, methods in SCHEMA["paths"].items() for method in methods]
ROOT = {"Authorization": "Bearer root"}

#: The schema cannot express which times are free or how long a body may be, so a request that matches it may
#: still be refused.
CONFIG = {
    "checks": {
        "positive_data_acceptance": {
            "expected-statuses": ["2xx", "401", "403", "404", "409", "410", "413", "422"]
        },
        "negative_data_rejection": {
            "expected-statuses": ["400", "401", "403", "404", "405", "406", "409", "413", "415", "422", "429"]
        },
        "not_a_server_error": {"expected-statuses": ["2xx", "4xx"]},
    }
}


class Site:
    """A site with rows behind every address, and their ids and tokens."""

    def __init__(self, kit: Any) -> None:
        self.kit = kit
        self.starts = [start.isoformat() for start in kit.list_free_starts(days=60)]
        for number in range(12):
            # Types that can last half an hour, as the appointments do.
            slug = ("intro-call", "consultation")[number % 2]
            row = AppointmentFactory(meeting_type=MeetingType.objects.get(slug=slug))
            AttendeeFactory(appointment=row)
        self.tokens = [
            links.sign(public_id, salt=links.MANAGE_SALT)
            for public_id in Attendee.objects.values_list("public_id", flat=True)
        ]
        self.ids = [str(public_id) for public_id in Appointment.objects.values_list("public_id", flat=True)]
        self.booked: list[str] = []

    def choose_parameters(self, path: str, dice: random.Random) -> dict[str, str]:
        """Return path parameters of an existing row."""
        if path.startswith("/bookings/"):
            public_ids = list(Booking.objects.values_list("public_id", flat=True)[:20])
            return (
                {"token": links.sign(dice.choice(public_ids), salt=links.BOOKING_SALT)} if public_ids else {}
            )
        if path.startswith("/manage/"):
            return {"token": dice.choice(self.tokens)}
        if path.startswith("/appointments/"):
            return {"id": dice.choice(self.ids)}
        return {"slug": dice.choice(["intro-call", "consultation", "group-class"])}

    def complete(self, body: Any, dice: random.Random) -> None:
        """Change a generated body so that it can succeed: an existing type and one of its free times."""
        if isinstance(body, dict) and "start" in body:
            body["start"] = dice.choice(self.starts)
            if "meeting_type" in body:
                body |= {**DETAILS, "email": f"{dice.random()}@example.com", "meeting_type": "intro-call"}
                for name in {"duration", "channel", "location", "timezone", "answers", "other_emails"}:
                    body.pop(name, None)


@pytest.fixture
def populated_site(site, make_user, monkeypatch):
    make_user("root", is_superuser=True)
    # So many requests would exceed the app's own rate limit, which has its own tests.
    monkeypatch.setattr("django_meetergo.remote.rate_limit.RateLimiter.acquire", lambda *_, **__: None)
    return Site(site)


@cache
def read_operations():
    """Return the operations of the served schema. Cached, because reading it takes seconds."""
    config = SchemathesisConfig.from_dict(CONFIG)
    found = schemathesis.openapi.from_wsgi("/api/meetergo/openapi.yaml", WSGIHandler(), config=config)
    return {(one.ok().path, one.ok().method): one.ok() for one in found.get_all_operations()}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("path", "method"), OPERATIONS)
def test_every_answer_matches_the_schema(path, method, populated_site, capsys):
    """Every check of schemathesis passes: no server error, and no undocumented status, header or member."""
    operation = read_operations()[path, method]
    headers = ROOT if operation.definition.raw["security"] else {}
    has_inputs = operation.query or operation.body or operation.headers
    modes = list(GenerationMode) if has_inputs else [GenerationMode.POSITIVE]
    sent = dict.fromkeys(GenerationMode, 0)
    # Unknown query parameters are ignored, as is usual on the web.
    ignored = [negative_data_rejection] if method == "get" else []

    def send(mode: GenerationMode) -> None:
        @hypothesis_settings(
            max_examples=ceil(CASES / len(OPERATIONS) / len(modes)),
            deadline=None,
            database=None,
            derandomize=not RANDOM,  # the same requests in every run by default
            phases=[Phase.explicit, Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy(mode), number=st.integers(0, 2**32))
        def run(case: Any, number: int) -> None:
            dice = random.Random(number)
            sent[mode] += 1
            if mode == GenerationMode.POSITIVE and dice.random() < 0.7:
                case.path_parameters.update(
                    populated_site.choose_parameters(path, dice) if "{" in path else {}
                )
                if dice.random() < 0.6:
                    populated_site.complete(case.body, dice)
            case.call_and_validate(headers=headers, excluded_checks=ignored)

        run()

    for mode in modes:
        send(mode)
    with capsys.disabled():
        if CASES > 1000:
            sys.stdout.write(f"\n{sum(sent.values()):>6} cases  {method.upper():4} {path}")
