"""The script: grid keys, announcements, focus, time zones, polling, slow and failed requests."""

from __future__ import annotations

import re
from datetime import date, datetime
from typing import Any

import pytest
from playwright.sync_api import Route, expect

from django_meetergo.links import get_manage_path
from django_meetergo.models import Attendee, Booking
from django_meetergo.services.changes.requests import reschedule_appointment
from tests.browser.person import TIMES, read_time
from tests.browser.policy import POLICY

BOOK = "/book/intro-call/"
REFUSAL_HEADERS = {"Content-Security-Policy": POLICY}
#: Timeouts of requests follow the clock of the test.
TIMEOUT_BY_CLOCK = """Object.defineProperty(XMLHttpRequest.prototype, "timeout", {
    set(milliseconds) { setTimeout(() => this.abort(), milliseconds); },
});"""


@pytest.fixture
def month(scripted: Any) -> Any:
    """The next month, in which no day has passed yet."""
    scripted.open(BOOK)
    scripted.page.locator(".mg-on").click()
    expect(scripted.status).to_have_text(re.compile(r"^\w+ \d{4}, \d+ days with free times$"))
    return scripted


def find_day(person: Any, day: date) -> Any:
    return person.page.locator(f'[data-date="{day}"]')


def list_days(person: Any, kind: str = "") -> list[date]:
    """Return the days of the month on the page; ``a``: those with free times, ``td``: the others."""
    found = person.page.locator(f"{kind}[data-date]").evaluate_all(
        "days => days.map(day => day.dataset.date)"
    )
    return [date.fromisoformat(day) for day in found]


def press(person: Any, *keys: str) -> None:
    for key in keys:
        person.page.keyboard.press(key)


# The grid


def test_the_script_turns_the_table_into_a_grid(scripted: Any, make_person: Any) -> None:
    scripted.open(BOOK)
    plain = make_person(script=False)
    plain.open(BOOK)

    expect(scripted.page.get_by_role("grid")).to_be_visible()
    expect(scripted.page.locator("[data-date][tabindex='0']")).to_have_count(1)
    assert "aria-selected" not in plain.page.content()
    assert 'role="grid"' not in plain.page.content()


def test_arrows_home_and_end_move_through_all_days_of_the_grid(month: Any) -> None:
    days = list_days(month)
    find_day(month, days[8]).focus()

    press(month, "ArrowRight")
    month.expect_focus(find_day(month, days[9]))
    press(month, "ArrowDown")
    month.expect_focus(find_day(month, days[16]))
    press(month, "ArrowUp", "ArrowLeft")
    month.expect_focus(find_day(month, days[8]))
    press(month, "Home")
    monday = next(day for day in reversed(days[:9]) if day.weekday() == 0)
    month.expect_focus(find_day(month, monday))
    press(month, "End")
    expect(month.page.locator(":focus")).to_have_attribute("data-date", re.compile(r"\d"))
    assert date.fromisoformat(month.page.locator(":focus").get_attribute("data-date")).weekday() == 6


def test_an_arrow_past_the_edge_opens_the_next_month(month: Any) -> None:
    last = list_days(month)[-1]
    find_day(month, last).focus()

    press(month, "ArrowRight")

    month.expect_focus(find_day(month, date.fromordinal(last.toordinal() + 1)))


def test_page_keys_turn_the_month_and_keep_the_day(month: Any) -> None:
    day = list_days(month)[14]
    find_day(month, day).focus()

    press(month, "PageDown")

    turned = month.page.locator(":focus")
    expect(turned).not_to_have_attribute("data-date", str(day))
    expect(turned).to_have_attribute("data-date", re.compile(r"-15$"))
    press(month, "PageUp")
    month.expect_focus(find_day(month, day))
    press(month, "Shift+PageDown")
    expect(month.page.locator(".mg-on")).to_have_count(0)


def test_arrows_swap_from_right_to_left(make_person: Any) -> None:
    person = make_person(language="ar")
    person.open(BOOK)
    person.page.locator(".mg-on").click()
    expect(person.page.locator(".mg-back")).to_be_visible()
    expect(person.page.locator("html")).to_have_attribute("dir", "rtl")
    days = list_days(person)
    find_day(person, days[8]).focus()

    press(person, "ArrowLeft")

    person.expect_focus(find_day(person, days[9]))


def test_a_day_without_times_is_named_by_the_calendar_of_the_page(month: Any) -> None:
    """In Persian, browsers count other months and write other digits by default."""
    free, other = list_days(month, "a"), list_days(month, "td")
    busy = next(day for day in other if day < free[-1])
    month.page.evaluate("document.querySelectorAll('[lang]').forEach(element => { element.lang = 'fa' })")
    find_day(month, busy).focus()
    press(month, "Enter")
    expect(month.status).to_have_text(re.compile(rf"^No times on \D*{busy.day}\D"))


def test_enter_opens_the_times_of_a_free_day_and_announces_an_empty_one(month: Any) -> None:
    free, other = list_days(month, "a"), list_days(month, "td")
    busy = next(day for day in other if day < free[-1])
    find_day(month, busy).focus()
    press(month, "Enter")
    expect(month.status).to_have_text(re.compile(r"^No times on .*\. Next free day: .*\.$"))
    month.expect_focus(find_day(month, busy))

    find_day(month, free[2]).focus()
    press(month, "Space")

    title = month.page.locator(".mg-slots h2")
    expect(title).to_have_text(f"Choose a time on {free[2]:%A} {free[2].day} {free[2]:%B}")
    month.expect_focus(title)
    expect(month.status).to_have_text(re.compile(r"^\d+ times$"))


def test_back_restores_month_day_and_focus(month: Any) -> None:
    free = list_days(month, "a")
    find_day(month, free[3]).click()
    expect(find_day(month, free[3])).to_have_class(re.compile("mg-day-chosen"))

    month.page.go_back()

    month.expect_focus(find_day(month, free[3]))
    expect(find_day(month, free[0])).to_have_class(re.compile("mg-day-chosen"))
    month.page.go_back()
    month.expect_focus(month.page.locator(".mg-on"))


# Times


def test_a_chosen_time_is_dispatched_and_shown_beside_continue(make_person: Any) -> None:
    person = make_person(width=360)
    person.open_whole_day(BOOK)
    person.page.evaluate(
        "addEventListener('meetergo:slot-chosen', (event) => { window.received = event.detail.start; })"
    )
    label = person.page.locator(TIMES).nth(1)
    label.click()

    expect(person.page.locator(".mg-picked")).to_contain_text(read_time(label))
    assert person.page.evaluate("received") == label.locator("input").input_value()
    expect(person.page.locator(".mg-bar")).to_be_in_viewport()


def test_old_times_are_loaded_again_before_continuing(service: Any, make_person: Any) -> None:
    person = make_person()
    person.page.clock.install()
    person.open_whole_day(BOOK)
    label = person.page.locator(TIMES).nth(2)
    time, value = read_time(label), label.locator("input").input_value()
    label.click()
    service.occupy_slot(datetime.fromisoformat(value))
    service.clear_availability()
    person.page.clock.fast_forward(61_000)
    person.press("Continue")
    person.page.clock.fast_forward(100)

    expect(person.status).to_have_text(f"{time} is no longer free. Please choose another time.")
    person.expect_focus(person.page.locator(".mg-slots h2"))
    expect(person.page.locator(f'[value="{value}"]')).to_have_count(0)

    person.page.locator(TIMES).first.click()
    person.page.clock.fast_forward(61_000)
    person.press("Continue")
    person.expect_title("Your details")


# Zones


def test_the_first_visit_uses_the_browsers_zone(make_person: Any) -> None:
    """Announced once, and kept in a cookie."""
    person = make_person(zone="America/New_York")
    person.open(BOOK)

    expect(person.status).to_have_text(re.compile(r"^Times are now shown in New York time \(GMT−[45]\)\.$"))
    expect(person.page.locator(".mg-zone p")).to_contain_text("New York time (GMT−")
    person.page.reload()
    expect(person.page.locator(".mg-zone p")).to_contain_text("New York time")
    expect(person.status).to_be_empty()


@pytest.mark.parametrize("is_answered", [True, False])
def test_the_shown_zone_is_always_that_of_the_times(make_person: Any, is_answered: bool) -> None:
    """Also if a day is chosen before the times in the zone of the browser arrive, or if they never arrive."""
    person = make_person(zone="Asia/Tokyo")
    held: list[Route] = []

    def hold(route: Route) -> None:
        if route.request.headers.get("x-meetergo-fragment") == "all":
            held.append(route)
        else:
            route.continue_()

    person.page.route("**/intro-call/*", hold)
    person.open(BOOK)
    expect(person.page.get_by_role("grid")).to_be_visible()
    with person.page.expect_response(is_of_a_day):
        person.page.locator("a[data-date]").nth(1).evaluate("day => day.click()")
        (only,) = held
        only.continue_() if is_answered else only.fulfill(status=503, headers=REFUSAL_HEADERS)
    expect(person.page.locator(".mg-day-chosen")).to_be_visible()
    expect(person.page.locator(".mg-calendar")).not_to_have_attribute("aria-busy", "true")

    zone = person.page.locator(".mg-zone").get_attribute("data-zone")
    start = person.page.locator("[name=start]").first.get_attribute("value")
    assert (zone == "Asia/Tokyo") == start.endswith("+09:00") == is_answered
    assert ("meetergo_tz" in person.page.evaluate("document.cookie")) == is_answered


def is_of_a_day(response: Any) -> bool:
    return response.request.headers.get("x-meetergo-fragment") == "calendar"


def test_another_zone_is_announced(scripted: Any) -> None:
    scripted.open(BOOK)
    scripted.page.locator(".mg-zone a").click()
    scripted.page.get_by_label("Time zone").select_option("Asia/Kolkata")
    scripted.press("Use this time zone")

    expect(scripted.status).to_have_text("Times are now shown in Kolkata time (GMT+5:30).")
    scripted.expect_focus(scripted.page.locator(".mg-zone a"))


@pytest.mark.urls("tests.browser.site")
def test_a_widget_changes_its_zone_within_the_sites_page(scripted: Any) -> None:
    """The page of the site stays open, and other widgets do not change."""
    scripted.open("/site/times/")
    first, second = scripted.page.locator("meetergo-booking").all()
    second.get_by_role("link", name="Change time zone").click()
    second.get_by_label("Time zone").select_option("Asia/Kolkata")
    second.get_by_role("button", name="Use this time zone").click()

    expect(second.get_by_role("status")).to_have_text("Times are now shown in Kolkata time (GMT+5:30).")
    expect(second.locator(".mg-zone p")).to_contain_text("Kolkata time")
    expect(first.locator(".mg-zone p")).to_contain_text("Berlin time")
    expect(scripted.page).to_have_url(re.compile("/site/times/$"))


@pytest.mark.urls("tests.browser.site")
def test_without_script_the_zone_is_changed_on_the_booking_page(make_person: Any) -> None:
    plain = make_person(script=False)
    plain.open("/site/times/")
    plain.page.get_by_role("link", name="Change time zone").first.click()
    plain.page.get_by_label("Time zone").select_option("Asia/Kolkata")
    plain.press("Use this time zone")

    expect(plain.page.locator(".mg-zone p")).to_contain_text("Kolkata time")
    expect(plain.page).to_have_url(re.compile("/book/intro-call/$"))


# Hidden pages


def hide(person: Any, hidden: bool) -> None:
    """Hide or show the page, as switching tabs does."""
    person.page.evaluate(
        """hidden => {
            Object.defineProperty(document, "hidden", { configurable: true, value: hidden });
            document.dispatchEvent(new Event("visibilitychange", { bubbles: true }));
        }""",
        hidden,
    )


def test_a_page_shown_again_after_five_minutes_refreshes_and_keeps_the_choice(
    service: Any, make_person: Any
) -> None:
    person = make_person()
    person.page.clock.install()
    person.open_whole_day(BOOK)
    label, other = person.page.locator(TIMES).nth(2), person.page.locator(TIMES).nth(1)
    value, gone = label.locator("input").input_value(), other.locator("input").input_value()
    label.click()
    service.occupy_slot(datetime.fromisoformat(gone))
    service.clear_availability()

    hide(person, True)
    person.page.clock.fast_forward(299_000)
    hide(person, False)
    expect(person.page.locator(f'[value="{gone}"]')).to_have_count(1)

    hide(person, True)
    person.page.clock.fast_forward(301_000)
    hide(person, False)
    expect(person.page.locator(f'[value="{gone}"]')).to_have_count(0)
    expect(person.page.locator(f'[value="{value}"]')).to_be_checked()


def test_a_hidden_page_does_not_poll(service: Any, scripted: Any) -> None:
    scripted.book("checkup")
    scripted.expect_title("One more step: confirm your e-mail")
    scripted.page.clock.install()
    scripted.page.reload()
    requests: list[str] = []
    scripted.page.on("request", lambda request: requests.append(request.method))
    hide(scripted, True)
    scripted.page.clock.fast_forward(60_000)
    assert requests == []

    service.confirm(Booking.objects.get())
    hide(scripted, False)
    scripted.page.clock.fast_forward(15_100)

    scripted.expect_title("Your appointment is booked")


# Slow, failed, twice


def test_slow_times_are_announced(make_person: Any) -> None:
    person = make_person()
    person.page.clock.install()
    person.page.add_init_script(TIMEOUT_BY_CLOCK)
    person.open(BOOK)
    person.page.route("**/intro-call/?**", lambda route: None)
    person.page.locator(".mg-on").click()

    expect(person.page.locator(".mg-calendar")).to_have_attribute("aria-busy", "true")
    person.page.clock.run_for(1_200)
    expect(person.status).to_have_text("Loading times")
    person.page.clock.run_for(7_000)
    expect(person.status).to_have_text("This is taking longer than usual.")
    person.page.clock.run_for(12_500)
    expect(person.status).to_contain_text("We could not load the times.")
    expect(person.status.get_by_role("link", name="Try again")).to_be_visible()
    person.page.unroute_all(behavior="ignoreErrors")


def test_times_that_fail_to_load_leave_a_plain_link(scripted: Any) -> None:
    scripted.open(BOOK)
    scripted.page.route("**/intro-call/?**", lambda route: refuse_fragments(route))
    scripted.page.locator(".mg-on").click()
    expect(scripted.status).to_contain_text("We could not load the times.")

    scripted.press("Try again", role="link")

    expect(scripted.page.locator(".mg-back")).to_be_visible()


def refuse_fragments(route: Route) -> None:
    if "x-meetergo-fragment" in route.request.headers:
        route.fulfill(status=500, headers=REFUSAL_HEADERS)
    else:
        route.continue_()


def test_a_form_is_sent_once(service: Any, scripted: Any) -> None:
    """The button shows that it is busy and keeps the focus; the page asks to wait after four seconds."""
    scripted.choose_time()
    scripted.fill_in()
    held: list[Route] = []
    scripted.page.route("**/details/", lambda route: held.append(route))
    seen = scripted.page.evaluate(
        """async () => {
            const button = document.querySelector(".mg-form .mg-actions button");
            button.focus();
            for (let press = 0; press < 3; press++) button.click();
            await new Promise((done) => setTimeout(done, 4200));
            const status = document.querySelector("[role=status]").textContent;
            const focused = document.activeElement === button;
            return [button.textContent, button.ariaDisabled, focused, status];
        }"""
    )

    assert seen == ["Booking…", "true", True, "Still waiting for the answer. Please keep this page open."]
    (only,) = held
    only.continue_()
    scripted.expect_title("Your appointment is booked")
    assert service.count_requests() == 1


# Polling


def test_a_waiting_page_shows_the_result_and_keeps_the_focus(service: Any, scripted: Any) -> None:
    """The new heading is announced and the event is dispatched."""
    scripted.book("checkup")
    scripted.expect_title("One more step: confirm your e-mail")
    scripted.page.clock.install()
    scripted.page.reload()
    scripted.page.evaluate(
        "addEventListener('meetergo:booked', (event) => { window.received = event.detail; });"
        "document.activeElement.blur()"
    )
    service.confirm(Booking.objects.get())
    scripted.page.clock.fast_forward(15_100)
    scripted.expect_title("Your appointment is booked")
    scripted.page.clock.fast_forward(100)

    expect(scripted.status).to_have_text("Your appointment is booked")
    assert scripted.page.title().startswith("Your appointment is booked")
    assert scripted.page.evaluate("document.activeElement === document.body")
    assert scripted.page.evaluate("received") == {"booking": str(Booking.objects.get().public_id)}


def test_the_counter_is_announced_when_few_characters_are_left(scripted: Any) -> None:
    scripted.book()
    scripted.press("Change or cancel", role="link")
    scripted.press("Cancel appointment", role="link")
    reason = scripted.page.get_by_label("Reason (optional)")
    reason.fill("x" * 449)
    expect(scripted.status).to_be_empty()
    reason.press_sequentially("yz")

    expect(scripted.status).to_have_text("Characters left: 50")
    expect(scripted.page.locator("textarea + .mg-hint")).to_have_text("Characters left: 49")


def test_a_month_that_cannot_be_shown_takes_the_focus(service: Any, scripted: Any) -> None:
    """Its place holds a sentence and no calendar."""
    scripted.open(BOOK)
    service.clear_availability()
    service.fail_next("*", "status_before", times=20, status=503)

    scripted.page.locator(".mg-on").click()

    scripted.expect_focus(scripted.page.locator(".mg-empty .mg-title"))


def test_an_arrow_to_a_day_that_has_passed_keeps_the_choice(scripted: Any) -> None:
    """The first month begins with this week."""
    scripted.open(BOOK)
    scripted.page.locator(TIMES).first.click()
    find_day(scripted, list_days(scripted)[0]).focus()
    before = scripted.page.evaluate("history.length")

    press(scripted, "ArrowLeft", "ArrowUp")

    scripted.page.wait_for_timeout(300)
    assert scripted.page.evaluate("history.length") == before
    expect(scripted.page.locator(".mg-picked")).not_to_be_empty()


@pytest.mark.urls("tests.browser.site")
def test_a_page_may_write_its_language_in_any_way(make_person: Any) -> None:
    """As with an underscore, which is no language of a browser; the widget has a language of its own."""
    person = make_person()

    def rewrite(route: Route) -> None:
        response = route.fetch()
        route.fulfill(
            response=response, body=re.sub(r'<html lang="[^"]*"', '<html lang="en_US"', response.text())
        )

    person.context.route("**/site/times/", rewrite)
    person.open("/site/times/")

    expect(person.page.get_by_role("grid").first).to_be_visible()
    assert person.page.evaluate("document.documentElement.lang") == "en_US"


def test_a_change_that_fails_later_is_said_on_the_page_that_waits(service: Any, scripted: Any) -> None:
    """The page shows the result by itself; the old time alone would look as if nothing had happened."""
    scripted.book()
    scripted.expect_title("Your appointment is booked")
    attendee = Attendee.objects.get()
    later = service.list_free_starts()[-1]
    reschedule_appointment(
        appointment=attendee.appointment, attendee=attendee, start=later, by="attendee", send=False,
        client=None, now=service.now(),
    )  # fmt: skip
    scripted.page.clock.install()
    scripted.open(get_manage_path(attendee))
    scripted.expect_title("We are checking your change")

    service.occupy_slot(later)
    scripted.page.clock.fast_forward(5_100)

    scripted.expect_title("Your appointment")
    expect(scripted.page.locator(".mg-refusal")).to_contain_text("has just been taken by someone else")
    scripted.page.clock.fast_forward(100)
    expect(scripted.page.locator(".mg-status")).to_contain_text("Your old time is still booked")
