"""A day at the desk, in the browser: every page in light and dark, on a desk and on a tablet."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.core.management import call_command
from django.utils import timezone
from playwright.sync_api import expect

from django_meetergo.models import Appointment, WebhookDelivery
from django_meetergo.sandbox.records import Attendee
from django_meetergo.sandbox.seed import ANNA, CONSULTATION, INTRO_CALL

#: What somebody at the desk of a practice is allowed.
ALLOWED = [
    "view_appointment", "change_appointment", "cancel_appointment", "reschedule_appointment",
    "sync_appointment", "link_appointment", "view_booking", "add_booking", "view_webhookdelivery",
    "replay_webhookdelivery", "view_connection", "health_connection",
]  # fmt: skip
PEOPLE = ["Ida Sommer", "Jonas Berg", "Mia Kowalski", "Noah Lindqvist", "Olga Petrova", "Paul Ferreira"]
WAYS = [
    (f"{width}-{scheme}", {"width": width, "height": 800}, scheme)
    for width in (1280, 768)
    for scheme in ("light", "dark")
]
MORNING = 8


@pytest.fixture
def today(service: Any, settings: Any) -> list[Appointment]:
    """It is morning at the desk, whatever the hour; five people come today and one was here already."""
    now = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    ahead = (MORNING - now.hour + 12) % 24 - 12
    settings.TIME_ZONE = f"Etc/GMT{-ahead:+d}"
    for number, name in enumerate(PEOPLE):
        put(service, name, now + timedelta(hours=number - 1 + (number > 0)), INTRO_CALL)
    for number in range(25):
        put(service, f"Visitor {number + 1}", now + timedelta(days=30, minutes=60 * number), CONSULTATION)
    call_command("meetergo_sync", "--kind", "full", verbosity=0)
    return list(Appointment.objects.filter(attendees__last_name__in=[name.split()[1] for name in PEOPLE]))


def put(service: Any, name: str, start: datetime, type_id: str) -> None:
    """Somebody booked on meetergo's own page."""
    first, last = name.split()
    email = f"{first}.{last}@example.com".lower()
    state = service.sandbox.state
    person = Attendee(email, email, first, last, name, timezone="Europe/Lisbon", language="en")
    with state.lock:
        state.add_appointment(
            state.meeting_types[type_id], host_ids=[ANNA], start=start, minutes=30, attendees=[person]
        )


@pytest.fixture
def desk(make_person: Any, today: list[Appointment]) -> Any:
    """Somebody of the staff, signed in."""
    user = User.objects.create_user("carla", password="at the desk", first_name="Carla", is_staff=True)
    user.user_permissions.set(
        Permission.objects.filter(content_type__app_label="meetergo", codename__in=ALLOWED)
    )
    person = make_person()
    person.open("/admin/")
    person.page.get_by_label("Username").fill("carla")
    person.page.get_by_label("Password").fill("at the desk")
    person.press("Log in")
    return person


@pytest.fixture
def look(desk: Any) -> Any:
    """Take the page's picture in four ways; nothing is wider than the window."""
    faults: list[str] = []

    def look(name: str) -> None:
        for way, size, scheme in WAYS:
            desk.page.set_viewport_size(size)
            desk.page.emulate_media(color_scheme=scheme)
            if desk.page.evaluate("document.documentElement.scrollWidth > innerWidth"):
                faults.append(f"{name}-{way}: scrolls sideways")
            desk.take_screenshot(f"staff-{name}-{way}")
        desk.page.set_viewport_size(WAYS[0][1])
        desk.page.emulate_media(color_scheme="light")

    yield look
    assert faults == []


Look = Callable[[str], None]


def open_list(desk: Any, model: str = "Appointments") -> None:
    desk.open("/admin/")
    desk.page.locator("#content-main th").get_by_role("link", name=model, exact=True).click()


def show_today(desk: Any) -> None:
    open_list(desk)
    desk.page.locator("#changelist-filter").get_by_role("link", name="Today").click()


def row(desk: Any, text: str) -> Any:
    return desk.page.get_by_role("row").filter(has_text=text)


def tick(desk: Any, *texts: str) -> None:
    for text in texts:
        row(desk, text).get_by_role("checkbox").check()


def choose(desk: Any, action: str) -> None:
    desk.page.get_by_label("Action:").select_option(label=action)
    desk.page.get_by_role("button", name=re.compile("^(Go|Run)")).first.click()


def test_today_is_found_and_some_are_moved_refused_and_cancelled(service: Any, desk: Any, look: Look) -> None:
    """The page that asks says what will happen to each; the next one says how it went."""
    show_today(desk)
    for name in PEOPLE:
        expect(row(desk, name)).to_have_count(1)
    expect(row(desk, "Visitor")).to_have_count(0)
    look("today")

    row(desk, "Mia Kowalski").get_by_role("link").first.click()
    look("detail")
    desk.press("Move…", role="link")
    desk.expect_title("Move 1 appointment?")
    look("move")
    times = desk.page.get_by_label("Free times")
    times.select_option(times.locator("option").last.get_attribute("value"))
    desk.press("Yes, move 1 appointment")
    expect(desk.page.locator("#content")).to_contain_text("Moved to")

    show_today(desk)
    tick(desk, "Paul Ferreira")
    choose(desk, "Move…")
    times.select_option(index=2)
    service.occupy_slot(datetime.fromisoformat(times.input_value()))
    desk.press("Yes, move 1 appointment")
    desk.expect_title("Refused")
    expect(row(desk, "Paul Ferreira")).to_contain_text("the new time is taken. The old time stands.")
    look("refused")
    show_today(desk)
    expect(row(desk, "Paul Ferreira")).to_have_count(1)

    expect(row(desk, "Mia Kowalski")).to_have_count(0)
    tick(desk, "Ida Sommer", "Jonas Berg", "Noah Lindqvist", "Olga Petrova")
    choose(desk, "Cancel…")
    desk.expect_title("Cancel 3 appointments?")
    expect(row(desk, "Past – left alone")).to_have_count(1)
    look("cancel")
    desk.page.get_by_label("Reason").fill("Water damage in the practice.")
    desk.press("Yes, cancel 3 appointments")
    expect(desk.page.locator("#content")).to_contain_text("3 of 3")
    look("cancelled")
    reasons = {one.cancellation_reason for one in Appointment.objects.filter(status="cancelled")}
    assert reasons >= {"Water damage in the practice."}


def test_more_than_twenty_are_watched_while_they_are_cancelled(service: Any, desk: Any, look: Look) -> None:
    open_list(desk)
    desk.page.get_by_role("textbox", name="Search").fill("visitor")
    desk.press("Search")
    look("search")
    desk.page.locator("#action-toggle").check()
    choose(desk, "Cancel…")
    desk.press("Yes, cancel 25 appointments")
    expect(desk.page.locator("#content")).to_contain_text("0 of 25")
    look("progress")

    for _ in range(3):
        service.run_due()
    desk.press("Refresh")

    expect(desk.page.locator("#content")).to_contain_text("25 of 25")


def test_a_caller_is_booked(service: Any, desk: Any, look: Look) -> None:
    open_list(desk, "Bookings")
    look("bookings")
    desk.page.get_by_role("link", name=re.compile("Add booking|Book for")).first.click()
    desk.press("Intro call", role="link")
    look("call-time")
    desk.page.locator("#content .module a.button").nth(4).click()
    look("call-person")
    desk.press("Book")
    look("call-wrong")
    desk.page.get_by_label("First name").fill("Cleo")
    desk.page.get_by_label("Last name").fill("Caller")
    desk.page.get_by_label("E-mail").first.fill("cleo@example.com")
    desk.page.get_by_label("No e-mails").check()
    desk.press("Book")

    expect(desk.page.locator(".messagelist .success")).to_contain_text("Booked:")
    look("booking")
    assert len(service.appointments()) == len(PEOPLE) + 25 + 1


def test_a_delivery_that_was_given_up_is_applied_again(
    service: Any, desk: Any, look: Look, today: list[Appointment]
) -> None:
    WebhookDelivery.objects.create(
        digest="d", event_type="booking_created", remote_id=today[0].remote_id, state="dead", tries=11,
        received_at=timezone.now(), message="Unreachable: no usable answer",
    )  # fmt: skip
    open_list(desk, "Accounts")
    desk.press("Health", role="link")
    expect(row(desk, "Webhooks given up")).to_contain_text("1")
    look("health")

    open_list(desk, "Webhook deliveries")
    look("deliveries")
    tick(desk, "given up")
    choose(desk, "Apply again")
    look("replay")
    desk.press("Yes, apply again")
    service.run_due()

    assert WebhookDelivery.objects.get().state == "applied"
