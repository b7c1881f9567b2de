"""A day at the front desk in the admin theme django-unfold."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from django.urls import reverse
from playwright.sync_api import expect

from django_meetergo.models import Appointment
from tests.browser.person import Person
from tests.browser.staff_day import SCREENS, FrontDesk, spend_a_day
from tests.browser.test_staff import select_rows

LIST = "/admin/meetergo/appointment/"


class UnfoldDesk(FrontDesk):
    def __init__(self, person: Person) -> None:
        super().__init__(person)
        self.expect_title = self.expect_heading

    def expect_heading(self, text: str) -> None:
        """The theme has a heading of its own above the content."""
        expect(self.page.locator("#content h1")).to_have_text(text)

    def open_list(self) -> None:
        self.open(LIST)

    def show_today(self) -> None:
        self.open_list()
        self.page.get_by_text("Filters").first.click()
        self.page.locator("#changelist-filter").get_by_role("link", name="Today", exact=True).click()
        expect(self.page).to_have_url(re.compile("when=today"))

    def choose_action(self, action: str, *names: str) -> None:
        select_rows(self.person, *names)
        self.page.locator("select[name=action]").select_option(label=action)
        self.page.locator("button[name=index]").click()

    def expect_success(self, text: str) -> None:
        expect(self.page.get_by_text(text)).to_be_visible()


@pytest.fixture(params=SCREENS[::2] + SCREENS[3:4], ids=lambda screen: f"{screen[0]}-{screen[1]}")
def desk(request: pytest.FixtureRequest, receptionist: Any) -> UnfoldDesk:
    receptionist.use_screen(*request.param)
    return UnfoldDesk(receptionist)


def test_a_day_at_the_front_desk(service: Any, desk: UnfoldDesk, tmp_path: Path) -> None:
    spend_a_day(service, desk, tmp_path)


def test_an_appointment_fits_the_window(desk: UnfoldDesk) -> None:
    appointment = Appointment.objects.latest("start")
    desk.open(reverse("admin:meetergo_appointment_change", args=[appointment.pk]))
    desk.expect_no_sideways_scroll()
