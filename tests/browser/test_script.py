"""What our module adds: keys, words for readers, focus, and what it does when it is not answered."""

from __future__ import annotations

import re
from datetime import date, datetime
from typing import Any

import pytest
from playwright.sync_api import Route, expect

from django_meetergo.models import Booking
from tests.browser.person import TIMES, read_time
from tests.browser.policy import POLICY

BOOK = "/book/intro-call/"
TODAY = "2026-12-01"


@pytest.fixture
def month(quick: Any) -> Any:
    """The month after the present one, where no day has passed yet."""
    quick.open(BOOK)
    quick.page.locator(".mg-on").click()
    expect(quick.status).to_have_text(re.compile(r"^\w+ \d{4}, \d+ days with free times$"))
    return quick


def at(person: Any, day: date) -> Any:
    return person.page.locator(f'[data-date="{day}"]')


def list_days(person: Any, kind: str = "") -> list[date]:
    """The days of the month on the page; ``a`` for the free ones, ``td`` for the others."""
    found = person.page.locator(f"{kind}[data-date]").evaluate_all("all => all.map(one => one.dataset.date)")
    return [date.fromisoformat(day) for day in found]


def press(person: Any, *keys: str) -> None:
    for key in keys:
        person.page.keyboard.press(key)


# The grid


def test_the_server_sends_a_table_and_the_script_makes_it_a_grid(quick: Any, make_person: Any) -> None:
    quick.open(BOOK)
    plain = make_person(script=False)
    plain.open(BOOK)

    expect(quick.page.get_by_role("grid")).to_be_visible()
    expect(quick.page.locator("[data-date][tabindex='0']")).to_have_count(1)
    assert "aria-selected" not in plain.page.content()
    assert 'role="grid"' not in plain.page.content()


def test_arrows_home_and_end_move_through_all_days_of_the_grid(month: Any) -> None:
    days = list_days(month)
    at(month, days[8]).focus()

    press(month, "ArrowRight")
    month.expect_focus(at(month, days[9]))
    press(month, "ArrowDown")
    month.expect_focus(at(month, days[16]))
    press(month, "ArrowUp", "ArrowLeft")
    month.expect_focus(at(month, days[8]))
    press(month, "Home")
    monday = next(day for day in reversed(days[:9]) if day.weekday() == 0)
    month.expect_focus(at(month, monday))
    press(month, "End")
    expect(month.page.locator(":focus")).to_have_attribute("data-date", re.compile(r"\d"))
    assert date.fromisoformat(month.page.locator(":focus").get_attribute("data-date")).weekday() == 6


def test_past_the_edge_the_next_month_opens(month: Any) -> None:
    last = list_days(month)[-1]
    at(month, last).focus()

    press(month, "ArrowRight")

    month.expect_focus(at(month, date.fromordinal(last.toordinal() + 1)))


def test_page_keys_turn_the_month_and_keep_the_day(month: Any) -> None:
    day = list_days(month)[14]
    at(month, day).focus()

    press(month, "PageDown")

    turned = month.page.locator(":focus")
    expect(turned).not_to_have_attribute("data-date", str(day))
    expect(turned).to_have_attribute("data-date", re.compile(r"-15$"))
    press(month, "PageUp")
    month.expect_focus(at(month, day))
    press(month, "Shift+PageDown")
    expect(month.page.locator(".mg-on")).to_have_count(0)


def test_from_right_to_left_the_arrows_swap(make_person: Any) -> None:
    person = make_person(language="ar")
    person.open(BOOK)
    person.page.locator(".mg-on").click()
    expect(person.page.locator(".mg-back")).to_be_visible()
    expect(person.page.locator("html")).to_have_attribute("dir", "rtl")
    days = list_days(person)
    at(person, days[8]).focus()

    press(person, "ArrowLeft")

    person.expect_focus(at(person, days[9]))


def test_enter_on_a_free_day_leads_to_its_times_and_on_another_says_so(month: Any) -> None:
    free, other = list_days(month, "a"), list_days(month, "td")
    busy = next(day for day in other if day < free[-1])
    at(month, busy).focus()
    press(month, "Enter")
    expect(month.status).to_have_text(re.compile(r"^No times on .*\. Next free day: .*\.$"))
    month.expect_focus(at(month, busy))

    at(month, free[2]).focus()
    press(month, "Space")

    title = month.page.locator(".mg-slots h2")
    expect(title).to_have_text(f"Choose a time on {free[2]:%A} {free[2].day} {free[2]:%B}")
    month.expect_focus(title)
    expect(month.status).to_have_text(re.compile(r"^\d+ times$"))


def test_back_returns_the_month_the_day_and_the_focus(month: Any) -> None:
    free = list_days(month, "a")
    at(month, free[3]).click()
    expect(at(month, free[3])).to_have_class(re.compile("mg-day-chosen"))

    month.page.go_back()

    month.expect_focus(at(month, free[3]))
    expect(at(month, free[0])).to_have_class(re.compile("mg-day-chosen"))
    month.page.go_back()
    month.expect_focus(month.page.locator(".mg-on"))


# Times


def test_a_chosen_time_is_told_to_the_site_and_shown_beside_continue(make_person: Any) -> None:
    person = make_person(width=360)
    person.open(BOOK)
    person.page.evaluate(
        "addEventListener('meetergo:slot-chosen', (event) => { window.told = event.detail.start; })"
    )
    label = person.page.locator(TIMES).nth(1)
    label.click()

    expect(person.page.locator(".mg-picked")).to_contain_text(read_time(label))
    assert person.page.evaluate("told") == label.locator("input").input_value()
    expect(person.page.locator(".mg-bar")).to_be_in_viewport()


def test_times_of_a_while_ago_are_asked_for_again_before_going_on(service: Any, make_person: Any) -> None:
    person = make_person()
    person.page.clock.install()
    person.open(BOOK)
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


def test_on_the_first_visit_times_are_shown_by_the_browsers_clock(make_person: Any) -> None:
    """Said once, remembered, and nothing to do for somebody whose clock is the site's."""
    person = make_person(zone="America/New_York")
    person.open(BOOK)

    expect(person.status).to_have_text("Times are now shown in New York time.")
    expect(person.page.locator(".mg-zone p")).to_contain_text("New York time (GMT−")
    person.page.reload()
    expect(person.page.locator(".mg-zone p")).to_contain_text("New York time")
    expect(person.status).to_be_empty()


DELAY = "await new Promise((go) => setTimeout(go, 1500));"
ANSWERS = {
    "a slow answer": f"const got = await real(url, options); {DELAY}"
    "options.signal.throwIfAborted(); return got;",
    "a slow request": DELAY,
    "no answer": "return new Response('', {status: 503});",
}


@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS.keys())
def test_the_zone_that_is_told_is_the_one_of_the_times(make_person: Any, answer: str) -> None:
    """Also for somebody who is quicker than the answer by their clock, or gets none."""
    person = make_person(zone="Asia/Tokyo")
    person.page.add_init_script(
        "const real = fetch; window.fetch = async (url, options = {}) => {"
        f"if (!options.headers) {{ {answer} }} return real(url, options); }};"
    )
    person.open(BOOK)
    expect(person.page.get_by_role("grid")).to_be_visible()
    with person.page.expect_response(lambda found: "date=" in found.url):
        person.page.locator("a[data-date]").nth(1).evaluate("day => day.click()")
    expect(person.page.locator(".mg-day-chosen")).to_be_visible()
    expect(person.page.locator(".mg-calendar")).not_to_have_attribute("aria-busy", "true")

    zone = person.page.locator(".mg-zone").get_attribute("data-zone")
    start = person.page.locator("[name=start]").first.get_attribute("value")
    assert (zone == "Asia/Tokyo") == start.endswith("+09:00")
    assert ("meetergo_tz" in person.page.evaluate("document.cookie")) == (zone == "Asia/Tokyo")


def test_another_zone_is_announced(quick: Any) -> None:
    quick.open(BOOK)
    quick.page.locator(".mg-zone a").click()
    quick.page.get_by_label("Time zone").select_option("Asia/Kolkata")
    quick.press("Use this time zone")

    expect(quick.status).to_have_text("Times are now shown in Kolkata time.")
    quick.expect_focus(quick.page.locator(".mg-zone a"))


@pytest.mark.urls("tests.browser.site")
def test_a_widget_changes_its_zone_within_the_sites_page(quick: Any) -> None:
    """The list comes from our own page; the visitor stays on the site's, and other widgets are left alone."""
    quick.open("/site/times/")
    first, second = quick.page.locator("meetergo-booking").all()
    second.get_by_role("link", name="Change time zone").click()
    second.get_by_label("Time zone").select_option("Asia/Kolkata")
    second.get_by_role("button", name="Use this time zone").click()

    expect(second.get_by_role("status")).to_have_text("Times are now shown in Kolkata time.")
    expect(second.locator(".mg-zone p")).to_contain_text("Kolkata time")
    expect(first.locator(".mg-zone p")).to_contain_text("Berlin time")
    expect(quick.page).to_have_url(re.compile("/site/times/$"))


@pytest.mark.urls("tests.browser.site")
def test_without_script_a_widget_leads_to_our_page_to_change_the_zone(make_person: Any) -> None:
    plain = make_person(script=False)
    plain.open("/site/times/")
    plain.page.get_by_role("link", name="Change time zone").first.click()
    plain.page.get_by_label("Time zone").select_option("Asia/Kolkata")
    plain.press("Use this time zone")

    expect(plain.page.locator(".mg-zone p")).to_contain_text("Kolkata time")
    expect(plain.page).to_have_url(re.compile("/book/intro-call/$"))


# A page that nobody sees


def hide(person: Any, hidden: bool) -> None:
    """The visitor turns to another tab, or comes back."""
    person.page.evaluate(
        """hidden => {
            Object.defineProperty(document, "hidden", { configurable: true, value: hidden });
            document.dispatchEvent(new Event("visibilitychange", { bubbles: true }));
        }""",
        hidden,
    )


def test_who_comes_back_after_a_while_sees_fresh_times_and_keeps_the_choice(
    service: Any, make_person: Any
) -> None:
    person = make_person()
    person.page.clock.install()
    person.open(BOOK)
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


def test_a_waiting_page_rests_while_nobody_sees_it(service: Any, quick: Any) -> None:
    quick.book("checkup")
    quick.expect_title("One more step: confirm your e-mail")
    quick.page.clock.install()
    quick.page.reload()
    looks: list[str] = []
    quick.page.on("request", lambda request: looks.append(request.method))
    hide(quick, True)
    quick.page.clock.fast_forward(60_000)
    assert looks == []

    service.confirm(Booking.objects.get())
    hide(quick, False)
    quick.page.clock.fast_forward(15_100)

    quick.expect_title("You are booked")


# Slow, failed, twice


def test_times_that_take_long_are_said_to(make_person: Any) -> None:
    person = make_person()
    person.page.clock.install()
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


def test_times_that_cannot_be_loaded_leave_a_plain_link(quick: Any) -> None:
    quick.open(BOOK)
    quick.page.route("**/intro-call/?**", lambda route: refuse_fragments(route))
    quick.page.locator(".mg-on").click()
    expect(quick.status).to_contain_text("We could not load the times.")

    quick.press("Try again", role="link")

    expect(quick.page.locator(".mg-back")).to_be_visible()


def refuse_fragments(route: Route) -> None:
    if "x-meetergo-fragment" in route.request.headers:
        route.fulfill(status=500, headers={"Content-Security-Policy": POLICY})
    else:
        route.continue_()


def test_a_second_press_sends_nothing(service: Any, quick: Any) -> None:
    """The button says that it is at work, keeps the focus, and after a while the page asks for patience."""
    quick.choose_time()
    quick.fill_in()
    held: list[Route] = []
    quick.page.route("**/details/", lambda route: held.append(route))
    seen = quick.page.evaluate(
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
    quick.expect_title("You are booked")
    assert service.posts() == 1


# Waiting


def test_a_waiting_page_finds_out_by_itself_and_leaves_the_focus(service: Any, quick: Any) -> None:
    """The new heading is announced and the site is told; nobody is moved about."""
    quick.book("checkup")
    quick.expect_title("One more step: confirm your e-mail")
    quick.page.clock.install()
    quick.page.reload()
    quick.page.evaluate(
        "addEventListener('meetergo:booked', (event) => { window.told = event.detail; });"
        "document.activeElement.blur()"
    )
    service.confirm(Booking.objects.get())
    quick.page.clock.fast_forward(15_100)
    quick.expect_title("You are booked")
    quick.page.clock.fast_forward(100)

    expect(quick.status).to_have_text("You are booked")
    assert quick.page.title().startswith("You are booked")
    assert quick.page.evaluate("document.activeElement === document.body")
    assert quick.page.evaluate("told") == {"booking": str(Booking.objects.get().public_id)}


def test_the_counter_of_a_reason_speaks_when_little_is_left(quick: Any) -> None:
    quick.book()
    quick.press("Change or cancel", role="link")
    quick.press("Cancel appointment", role="link")
    reason = quick.page.get_by_label("Reason (optional)")
    reason.fill("x" * 449)
    expect(quick.status).to_be_empty()
    reason.press_sequentially("yz")

    expect(quick.status).to_have_text("Characters left: 50")
    expect(quick.page.locator("textarea + .mg-hint")).to_have_text("Characters left: 49")
