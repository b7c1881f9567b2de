"""A client like a front end, users with permissions, and a site with meeting types."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth import get_user_model
from rest_framework.authentication import BaseAuthentication, SessionAuthentication
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.test import APIClient

from django_meetergo.contrib.rest_framework.base import MeetergoView
from django_meetergo.contrib.rest_framework.throttling import RATES
from django_meetergo.testing.factories import AppointmentFactory, AttendeeFactory

ROOT = "/api/meetergo"
DETAILS = {"first_name": "Jane", "last_name": "Doe", "email": "jane@example.com"}


class NameAuthentication(BaseAuthentication):
    """Accept a user's name as a bearer token, as an authentication class of the site would."""

    def authenticate(self, request):
        scheme, _, name = request.headers.get("Authorization", "").partition(" ")
        if scheme != "Bearer":
            return None
        user = get_user_model().objects.filter(username=name).first()
        if user is None:
            raise AuthenticationFailed
        return user, name

    def authenticate_header(self, request):
        return "Bearer"


@pytest.fixture(autouse=True)
def _api(settings, monkeypatch):
    """Mount the API with token and session authentication and without rates."""
    settings.ROOT_URLCONF = "tests.api.urls"
    settings.REST_FRAMEWORK = {"DEFAULT_THROTTLE_RATES": dict.fromkeys(RATES)}
    monkeypatch.setattr(MeetergoView, "authentication_classes", [NameAuthentication, SessionAuthentication])


class FrontEnd:
    """A client of the API; with a name, authenticated as that user."""

    def __init__(self, name: str = "") -> None:
        self.client = APIClient(enforce_csrf_checks=True)
        if name:
            self.client.credentials(HTTP_AUTHORIZATION=f"Bearer {name}")

    def get(self, path: str, **query: Any) -> Any:
        return self.client.get(path if path.startswith("http") else ROOT + path, query)

    def post(self, path: str, data: Any = None, **headers: str) -> Any:
        path = path if path.startswith("http") else ROOT + path
        return self.client.post(path, data or {}, format="json", headers=headers)

    def list_starts(self, slug: str = "intro-call", **query: Any) -> list[str]:
        answer = self.get(f"/meeting-types/{slug}/availability/", **query)
        assert answer.status_code == 200, answer.content
        return [slot["start"] for slot in answer.json()["times"]]

    def book(self, slug: str = "intro-call", *, key: str = "", **changes: Any) -> Any:
        """Book the first free time, or the one in ``start``."""
        data = {"meeting_type": slug, **DETAILS, **changes}
        if "start" not in data:
            data["start"] = self.list_starts(slug)[0]
        return self.post("/bookings/", data, **({"Idempotency-Key": key} if key else {}))


@pytest.fixture
def site(meetergo_sandbox: Any, db: Any) -> Any:
    """A site with the sandbox's meeting types."""
    meetergo_sandbox.sync_directory()
    return meetergo_sandbox


@pytest.fixture
def front_end(site: Any) -> FrontEnd:
    return FrontEnd()


@pytest.fixture
def make_user(django_user_model: Any) -> Any:
    """Return a function that makes a user with permissions and returns a client authenticated as them."""
    from django.contrib.auth.models import Permission

    def make(name: str, *codenames: str, **options: Any) -> FrontEnd:
        user = django_user_model.objects.create_user(name, **options)
        user.user_permissions.add(*Permission.objects.filter(codename__in=codenames))
        return FrontEnd(name)

    return make


@pytest.fixture
def appointment(db: Any) -> Any:
    """A mirrored appointment with one attendee."""
    row = AppointmentFactory()
    AttendeeFactory(appointment=row)
    return row


def get_problem_type(answer: Any) -> str:
    """Return the last part of the problem's type."""
    assert answer["Content-Type"] == "application/problem+json", answer.content
    document = answer.json()
    assert document["status"] == answer.status_code
    return str(document["type"]).rpartition(":")[2]
