"""A staff user's browser, and a site that has read its appointments."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.core.management import call_command
from django.test import Client
from django.urls import reverse

from django_meetergo.services import AttendeeData, book_appointment
from tests.free_times import list_starts_of_a_full_week


class StaffBrowser:
    """A signed-in test client for the admin."""

    def __init__(self, user: User) -> None:
        self.user = user
        self.client = Client()
        self.client.force_login(user)

    def get(self, view: str, /, *args: Any, **query: Any) -> Any:
        return self.client.get(reverse(f"admin:meetergo_{view}", args=args), query)

    def post(self, view: str, /, *args: Any, **data: Any) -> Any:
        return self.client.post(reverse(f"admin:meetergo_{view}", args=args), data, follow=True)

    def choose_action(self, model: str, action: str, rows: Any) -> Any:
        """Select rows of a list and an action; return the confirmation page, or the result without one."""
        data = {"action": f"meetergo_{action}", "_selected_action": [row.pk for row in rows]}
        # Appointments of the past are not in the list's default view.
        query = "?when=all" if model == "appointment" else ""
        return self.client.post(reverse(f"admin:meetergo_{model}_changelist") + query, data, follow=True)

    def run_action(self, model: str, action: str, rows: Any, **form_data: Any) -> Any:
        """Select rows and an action, and confirm if a page asks; return the result."""
        response = self.choose_action(model, action, rows)
        ids = re.search(r'name="ids" value="([^"]*)"', response.content.decode())
        if ids is None:
            return response
        return self.post(f"{model}_{action}", ids=ids[1], confirmed="yes", **form_data)


def get_text(response: Any) -> str:
    """Return the visible text of a page, with single spaces."""
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", response.content.decode()))


def grant(user: User, *codenames: str) -> User:
    found = Permission.objects.filter(content_type__app_label="meetergo", codename__in=codenames)
    assert found.count() == len(codenames)
    user.user_permissions.add(*found)
    return User.objects.get(pk=user.pk)


@pytest.fixture
def superuser(db: Any) -> StaffBrowser:
    return StaffBrowser(User.objects.create_superuser("boss", password="boss"))


@pytest.fixture
def make_staff(db: Any) -> Any:
    """Return a function that signs in staff with the named permissions."""

    def make_staff(*codenames: str) -> StaffBrowser:
        user = User.objects.create_user(f"staff-{User.objects.count()}", is_staff=True)
        return StaffBrowser(grant(user, *codenames))

    return make_staff


@pytest.fixture
def sandbox(meetergo_sandbox: Any, db: Any) -> Any:
    """The sandbox of a site that has read all appointments."""
    call_command("meetergo_sync", "--kind", "full", verbosity=0)
    return meetergo_sandbox


@pytest.fixture
def book(sandbox: Any) -> Any:
    """Return a function that books the n-th free time; booking a time removes it from the list."""

    def book(number: int = 0, slug: str = "intro-call", email: str = "") -> Any:
        return book_appointment(
            meeting_type=sandbox.meeting_type(slug),
            start=list_starts_of_a_full_week(sandbox, slug)[number],
            attendee=AttendeeData(
                email=email or f"person{number}.{slug}@example.com",
                first_name="Jane",
                last_name=f"Doe{number}",
                timezone="America/New_York",
            ),
            client=sandbox.client(),
            now=sandbox.now(),
        )

    return book


def read_hidden(page):
    """Return the hidden inputs of a page as a browser sends them."""
    found = re.findall(r'<input type="hidden" name="([^"]+)"(?: value="([^"]*)")?', page.content.decode())
    return {name: value for name, value in found if name != "csrfmiddlewaretoken"}
