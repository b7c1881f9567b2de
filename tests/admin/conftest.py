"""Somebody of the staff at work: a client that is signed in, and what its pages say."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.urls import reverse


class Staff:
    """A browser in the admin, without script."""

    def __init__(self, user: User) -> None:
        self.user = user
        self.client = Client()
        self.client.force_login(user)

    def get(self, view: str, *args: Any, **query: Any) -> Any:
        return self.client.get(reverse(f"admin:meetergo_{view}", args=args), query)

    def post(self, view: str, *args: Any, **data: Any) -> Any:
        return self.client.post(reverse(f"admin:meetergo_{view}", args=args), data, follow=True)

    def choose(self, model: str, action: str, rows: Any) -> Any:
        """Tick rows of a list and choose an action: the page that asks."""
        data = {"action": f"meetergo_{action}", "_selected_action": [row.pk for row in rows]}
        return self.client.post(reverse(f"admin:meetergo_{model}_changelist"), data, follow=True)

    def act(self, model: str, action: str, rows: Any, **typed: Any) -> Any:
        """Say yes on the page that asks."""
        page = self.choose(model, action, rows).content.decode()
        ids = re.search(r'name="ids" value="([^"]*)"', page)
        assert ids, "the page asks nothing"
        return self.post(f"{model}_{action}", ids=ids[1], confirmed="yes", **typed)


def allow(user: User, *codenames: str) -> User:
    found = Permission.objects.filter(content_type__app_label="meetergo", codename__in=codenames)
    assert found.count() == len(codenames)
    user.user_permissions.add(*found)
    return User.objects.get(pk=user.pk)


@pytest.fixture
def boss(db: Any) -> Staff:
    return Staff(User.objects.create_superuser("boss", password="boss"))


@pytest.fixture
def clerk(db: Any) -> Any:
    """Staff with the permissions that are named."""

    def clerk(*codenames: str) -> Staff:
        user = User.objects.create_user(f"clerk-{len(codenames)}-{User.objects.count()}", is_staff=True)
        return Staff(allow(user, *codenames))

    return clerk


@pytest.fixture
def clinic(meetergo_sandbox: Any, db: Any) -> Any:
    """A site whose appointments have been read."""
    from django.core.management import call_command

    call_command("meetergo_sync", "--kind", "full", verbosity=0)
    return meetergo_sandbox


@pytest.fixture
def book(clinic: Any) -> Any:
    """Book a free time for somebody; by its number, as booking takes it away."""
    from django_meetergo.services.booking.book import AttendeeData, book_appointment

    def book(number: int = 0, slug: str = "intro-call", email: str = "") -> Any:
        return book_appointment(
            meeting_type=clinic.meeting_type(slug),
            start=clinic.list_free_starts(slug)[number],
            attendee=AttendeeData(
                email=email or f"person{number}.{slug}@example.com",
                first_name="Jane",
                last_name=f"Doe{number}",
                timezone="America/New_York",
            ),
            client=clinic.client(),
            now=clinic.now(),
        )

    return book
