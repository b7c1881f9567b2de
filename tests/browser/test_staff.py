"""The admin in a browser: every page in light and dark, on a desktop, a tablet and a phone."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import groupby
from typing import Any

import pytest
from django.apps import apps
from django.contrib import admin
from django.contrib.auth.models import Permission, User
from django.core.management import call_command
from django.utils import timezone
from playwright.sync_api import expect

from django_meetergo.models import Appointment, WebhookDelivery
from django_meetergo.sandbox.records import Attendee
from django_meetergo.sandbox.seed import ANNA, CONSULTATION, INTRO_CALL

#: The permissions of a receptionist.
ALLOWED = [
    "view_appointment", "change_appointment", "cancel_appointment", "reschedule_appointment",
    "handoff_appointment",
    "sync_appointment", "link_appointment", "view_booking", "add_booking", "view_webhookdelivery",
    "replay_webhookdelivery", "view_connection", "health_connection", "export_appointment",
    "view_calendarfeed", "add_calendarfeed",
]  # fmt: skip
PEOPLE = ["Ida Sommer", "Jonas Berg", "Mia Kowalski", "Noah Lindqvist", "Olga Petrova", "Paul Ferreira"]
SCREENS = [
    # Name, viewport, colour scheme.
    (f"{width}-{scheme}", {"width": width, "height": 800}, scheme)
    for width, scheme in ((1280, "light"), (1280, "dark"), (768, "light"), (360, "dark"))
]
MORNING = 8
#: No list, filter, table or form row may be wider than its box, and no button may lie above another.
FIND_FLAWS = """() => {
    const boxes = "#content :is(.results, #changelist-filter, .module, .form-row, .closelink)";
    const wide = [...document.querySelectorAll(boxes)]
        .filter((box) => box.checkVisibility() && box.clientWidth && box.scrollWidth > box.clientWidth + 1);
    const rects = [...document.querySelectorAll(":is(.mg-tools, .object-tools) :is(a, button)")]
        .map((button) => button.getBoundingClientRect());
    const covered = rects.some((a, index) => rects.slice(index + 1).some((b) =>
        a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom));
    return [
        ...(document.documentElement.scrollWidth > innerWidth ? ["scrolls sideways"] : []),
        ...wide.map((box) => `${box.id || box.className}: ${box.scrollWidth - box.clientWidth} px too wide`),
        ...(covered ? ["a button lies above another"] : []),
    ];
}"""


@pytest.fixture
def today(service: Any, settings: Any) -> list[Appointment]:
    """Make it 8 a.m. on the site; one appointment of today is over and five are ahead."""
    # None of them may begin while the test runs.
    now = (datetime.now(UTC) + timedelta(minutes=15)).replace(minute=0, second=0, microsecond=0)
    ahead = (MORNING - now.hour + 12) % 24 - 12
    settings.TIME_ZONE = f"Etc/GMT{-ahead:+d}"
    for number, name in enumerate(PEOPLE):
        add_appointment(service, name, now + timedelta(hours=number - 1 + (number > 0)), INTRO_CALL)
    for number in range(25):
        add_appointment(
            service, f"Visitor {number + 1}", now + timedelta(days=30, minutes=60 * number), CONSULTATION
        )
    call_command("meetergo_sync", "--kind", "full", verbosity=0)
    return list(Appointment.objects.filter(attendees__last_name__in=[name.split()[1] for name in PEOPLE]))


def add_appointment(service: Any, name: str, start: datetime, type_id: str) -> None:
    """Add an appointment that was booked at meetergo."""
    first, last = name.split()
    email = f"{first}.{last}@example.com".lower()
    state = service.sandbox.state
    person = Attendee(email, email, first, last, name, timezone="Europe/Lisbon", language="en")
    with state.lock:
        state.add_appointment(
            state.meeting_types[type_id], host_ids=[ANNA], start=start, minutes=30, attendees=[person]
        )


@pytest.fixture
def receptionist(make_person: Any, today: list[Appointment]) -> Any:
    """Return the browser of a signed-in receptionist."""
    user = User.objects.create_user("carla", password="at the desk", first_name="Carla", is_staff=True)
    user.user_permissions.set(
        Permission.objects.filter(content_type__app_label="meetergo", codename__in=ALLOWED)
    )
    person = make_person()
    sign_in(person)
    return person


def sign_in(person: Any) -> None:
    person.open("/admin/")
    person.page.locator("[name=username]").fill("carla")
    person.page.locator("[name=password]").fill("at the desk")
    person.page.locator("#login-form [type=submit]").click()


@pytest.fixture
def screenshots(receptionist: Any) -> Any:
    """Return a function that takes screenshots; the test fails if something does not fit."""
    faults: list[str] = []

    def take(name: str) -> None:
        for screen, size, scheme in SCREENS:
            receptionist.page.set_viewport_size(size)
            receptionist.page.emulate_media(color_scheme=scheme)
            faults.extend(f"{name}-{screen}: {flaw}" for flaw in receptionist.page.evaluate(FIND_FLAWS))
            receptionist.take_screenshot(f"staff-{name}-{screen}")
        receptionist.page.set_viewport_size(SCREENS[0][1])
        receptionist.page.emulate_media(color_scheme="light")

    yield take
    assert faults == []


def find_shared_day(service: Any) -> list[datetime]:
    """Return three times at which both Anna and Ben are free, on a whole day: the last one may be short."""
    anna, ben = (set(service.list_free_starts(slug)) for slug in ("intro-call", "consultation"))
    days = [list(starts) for _day, starts in groupby(sorted(anna & ben), key=timezone.localdate)]
    return [starts for starts in days if len(starts) > 8][-1][:12:4]


Screenshots = Callable[[str], None]


def open_list(receptionist: Any, model: str = "Appointments") -> None:
    receptionist.open("/admin/")
    receptionist.page.locator("#content-main th").get_by_role("link", name=model, exact=True).click()


def show_today(receptionist: Any) -> None:
    open_list(receptionist)
    receptionist.page.locator("#changelist-filter").get_by_role("link", name="Today", exact=True).click()
    expect(receptionist.page).to_have_url(re.compile("when=today"))


def row(receptionist: Any, text: str) -> Any:
    return receptionist.page.get_by_role("row").filter(has_text=text)


def select_rows(receptionist: Any, *texts: str) -> None:
    for text in texts:
        row(receptionist, text).get_by_role("checkbox").check()


def choose_action(receptionist: Any, action: str) -> None:
    receptionist.page.get_by_label("Action:").select_option(label=action)
    receptionist.page.get_by_role("button", name=re.compile("^(Go|Run)")).first.click()


def test_appointments_of_today_are_rescheduled_and_cancelled(
    service: Any, receptionist: Any, screenshots: Screenshots
) -> None:
    """The confirmation page says what will happen to each appointment; the next page shows the results."""
    show_today(receptionist)
    for name in PEOPLE:
        expect(row(receptionist, name)).to_have_count(1)
    expect(row(receptionist, "Visitor")).to_have_count(0)
    screenshots("today")

    row(receptionist, "Mia Kowalski").get_by_role("link").first.click()
    screenshots("detail")
    receptionist.press("Reschedule…", role="link")
    receptionist.expect_title("Reschedule 1 appointment?")
    screenshots("move")
    times = receptionist.page.get_by_label("Free times")
    times.select_option(times.locator("option").last.get_attribute("value"))
    receptionist.press("Yes, reschedule 1 appointment")
    expect(receptionist.page.locator("#content")).to_contain_text("Rescheduled to")

    show_today(receptionist)
    select_rows(receptionist, "Paul Ferreira")
    choose_action(receptionist, "Reschedule…")
    times.select_option(index=2)
    service.occupy_slot(datetime.fromisoformat(times.input_value()))
    receptionist.press("Yes, reschedule 1 appointment")
    receptionist.expect_title("Refused")
    expect(row(receptionist, "Paul Ferreira")).to_contain_text(
        "the new time is no longer free. The appointment keeps its old time."
    )
    screenshots("refused")
    show_today(receptionist)
    expect(row(receptionist, "Paul Ferreira")).to_have_count(1)

    expect(row(receptionist, "Mia Kowalski")).to_have_count(0)
    select_rows(receptionist, "Ida Sommer", "Jonas Berg", "Noah Lindqvist", "Olga Petrova")
    choose_action(receptionist, "Cancel…")
    receptionist.expect_title("Cancel 3 appointments?")
    expect(row(receptionist, "already started or over")).to_have_count(1)
    screenshots("cancel")
    receptionist.page.get_by_label("Reason").fill("Water damage in the practice.")
    receptionist.press("Yes, cancel 3 appointments")
    expect(receptionist.page.locator("#content")).to_contain_text("3 of 3")
    screenshots("cancelled")
    reasons = {one.cancellation_reason for one in Appointment.objects.filter(status="cancelled")}
    assert reasons >= {"Water damage in the practice."}


def test_the_progress_of_many_cancels_is_shown(
    service: Any, receptionist: Any, screenshots: Screenshots
) -> None:
    open_list(receptionist)
    receptionist.page.get_by_role("textbox", name="Search").fill("visitor")
    receptionist.press("Search")
    screenshots("search")
    receptionist.page.locator("#action-toggle").check()
    choose_action(receptionist, "Cancel…")
    receptionist.press("Yes, cancel 25 appointments")
    expect(receptionist.page.locator("#content")).to_contain_text("0 of 25")
    screenshots("progress")

    for _ in range(3):
        service.run_due()

    expect(receptionist.page.locator("#content")).to_contain_text("25 of 25")


def test_the_calendar_shows_the_day_and_leads_to_an_appointment(
    receptionist: Any, screenshots: Screenshots
) -> None:
    open_list(receptionist)
    receptionist.page.get_by_role("link", name="Calendar", exact=True).click()
    receptionist.expect_title("Calendar")
    screenshots("calendar-week")
    receptionist.page.get_by_role("link", name="Day", exact=True).click()
    for name in PEOPLE:
        expect(receptionist.page.locator(".mg-entry").filter(has_text=name)).to_have_count(1)
    screenshots("calendar-day")

    receptionist.page.locator(".mg-free a").first.click()
    expect(receptionist.page.locator("h1")).to_have_text(re.compile("What would|When|For whom"))
    receptionist.page.go_back()
    receptionist.page.locator(".mg-entry").filter(has_text="Mia Kowalski").click()
    expect(receptionist.page.locator("#content")).to_contain_text("mia.kowalski@example.com")

    receptionist.open("/admin/meetergo/appointment/calendar/?view=month")
    screenshots("calendar-month")


def test_a_sick_colleagues_day_is_handed_over(
    service: Any, receptionist: Any, screenshots: Screenshots
) -> None:
    """From the calendar in three pages; the one appointment for which Ben is busy stays and is named."""
    day = find_shared_day(service)
    for name, start in zip(("Uma Weber", "Vera Lang", "Willi Roth"), day, strict=True):
        add_appointment(service, name, start, INTRO_CALL)
    service.occupy_slot(day[1], "consultation")
    call_command("meetergo_sync", "--kind", "full", verbosity=0)

    date = timezone.localtime(day[0]).date()
    receptionist.open(f"/admin/meetergo/appointment/calendar/?view=day&date={date}")
    receptionist.page.get_by_role("link", name="Hand over the day of Anna").click()
    receptionist.expect_title("Hand over 3 appointments?")
    screenshots("hand-over")
    receptionist.page.get_by_label(re.compile("Ben .*free for 2 of 3")).check()
    receptionist.press("Yes, hand over 3 appointments")

    receptionist.expect_title("Partly done")
    expect(row(receptionist, "Vera Lang")).to_contain_text("is not free at this time")
    expect(row(receptionist, "Willi Roth")).to_contain_text("Handed over to Ben")
    screenshots("handed-over")


def test_a_caller_is_booked(service: Any, receptionist: Any, screenshots: Screenshots) -> None:
    open_list(receptionist, "Bookings")
    screenshots("bookings")
    receptionist.page.get_by_role("link", name=re.compile("Add booking|Book for")).first.click()
    receptionist.press("Intro call", role="link")
    screenshots("call-time")
    receptionist.page.locator("#content .module a.button").nth(4).click()
    screenshots("call-person")
    receptionist.press("Book")
    screenshots("call-wrong")
    receptionist.page.get_by_label("First name").fill("Cleo")
    receptionist.page.get_by_label("Last name").fill("Caller")
    receptionist.page.get_by_label("E-mail").first.fill("cleo@example.com")
    receptionist.page.get_by_label("No e-mails").check()
    receptionist.press("Book")

    expect(receptionist.page.locator(".messagelist .success")).to_contain_text("Booked:")
    screenshots("booking")
    assert len(service.appointments()) == len(PEOPLE) + 25 + 1


def test_a_dead_delivery_is_applied_again(
    service: Any, receptionist: Any, screenshots: Screenshots, today: list[Appointment]
) -> None:
    WebhookDelivery.objects.create(
        digest="d", event_type="booking_created", remote_id=today[0].remote_id, state="dead", tries=11,
        received_at=timezone.now(), message="Unreachable: no usable answer",
    )  # fmt: skip
    open_list(receptionist, "Connections")
    receptionist.press("System status", role="link")
    expect(row(receptionist, "Webhooks given up")).to_contain_text("1")
    screenshots("health")

    open_list(receptionist, "Webhook deliveries")
    screenshots("deliveries")
    select_rows(receptionist, "no usable answer")
    choose_action(receptionist, "Apply again")
    service.run_due()

    assert WebhookDelivery.objects.get().state == "applied"


def test_no_list_is_wider_than_its_box_in_the_language_with_the_longest_words(
    make_person: Any, today: list[Appointment]
) -> None:
    User.objects.create_superuser("carla", password="at the desk")
    person = make_person(language="de-DE")
    sign_in(person)
    models = apps.get_app_config("meetergo").get_models()
    names = [model._meta.model_name for model in models if admin.site.is_registered(model)]
    for name in names:
        person.open(f"/admin/meetergo/{name}/")
        too_wide = "box => box.scrollWidth - box.clientWidth"
        results = person.page.locator(".results")
        assert not results.count() or results.evaluate(too_wide) <= 1, name
