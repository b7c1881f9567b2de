"""The sandbox's own pages in a browser, beside a site that uses it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from tests.browser.person import RULES

BOOK = "POST /v4/booking"


@pytest.fixture(params=[True, False], ids=["script", "no-script"])
def developer(request: Any, browser: Any, service: Any) -> Iterator[Page]:
    """Somebody who has the dashboard open beside the site, once with script and once without."""
    context = browser.new_context(
        base_url=service.base_url, java_script_enabled=request.param, viewport={"width": 1280, "height": 900}
    )
    context.set_default_timeout(8000)
    page = context.new_page()
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.goto("/")
    yield page
    context.close()
    assert problems == []


def test_a_double_opt_in_is_confirmed_from_the_mailbox(service: Any, scripted: Any, developer: Page) -> None:
    """Then the site says that it is booked."""
    scripted.book("checkup")
    scripted.expect_title("One more step: confirm your e-mail")

    developer.reload()
    mailbox = developer.get_by_role("region", name="Mailbox")
    expect(mailbox).to_contain_text("Please confirm your appointment")
    mailbox.get_by_role("link", name="Confirm").first.click()
    developer.get_by_role("button", name="Confirm the appointment").click()
    expect(developer.get_by_role("heading", level=1)).to_have_text("Your appointment is booked")

    scripted.press("I have confirmed – check again")
    scripted.expect_title("Your appointment is booked")


def test_a_fault_set_by_a_click_shows_the_checking_screen(
    service: Any, scripted: Any, developer: Page
) -> None:
    """The chip of the fault goes once it has worked."""
    developer.get_by_role("button", name="Book, but never answer").click()
    chip = developer.get_by_role("button", name="Book, but never answer, once")
    expect(chip).to_be_visible()

    scripted.book()
    scripted.expect_title("We are checking your booking")
    developer.reload()
    expect(chip).to_have_count(0)
    service.run_due(after=10)
    scripted.expect_title("Your appointment is booked", seconds=15)  # the page asks every five


def test_a_booking_made_elsewhere_arrives_by_webhook(service: Any, live_server: Any, developer: Page) -> None:
    """On the page that the meeting type's ``bookingUrl`` names."""
    from django_meetergo.models import Attendee, MeetingType

    service.register_webhook()
    developer.goto(MeetingType.objects.get(slug="intro-call").booking_url)
    developer.locator("a.time").first.click()
    for label, value in (("First name", "Ada"), ("Last name", "King"), ("E-mail", "ada@example.com")):
        developer.get_by_label(label).fill(value)
    developer.get_by_role("button", name="Book").click()
    expect(developer.get_by_role("heading", level=1)).to_have_text("Your appointment is booked")

    assert service.deliver() == 1
    service.run_due(after=10)
    assert Attendee.objects.get(email="ada@example.com").appointment.start > service.now()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1280])
def test_the_pages_are_accessible(
    browser: Any, service: Any, make_person: Any, scheme: Any, width: int
) -> None:
    """No finding of axe, nothing wider than the screen, with everything unfolded."""
    make_person().book("checkup")
    service.fail_next(kind="slow")
    context = browser.new_context(
        base_url=service.base_url, color_scheme=scheme, viewport={"width": width, "height": 800}
    )
    page = context.new_page()
    mail = service.sandbox.state.mailbox.mails[-1].path
    for path in ("/", "/praxis-am-lindenhof/intro-call", mail):
        page.goto(path)
        page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true })")
        found = Axe().run(page, options={"runOnly": {"type": "tag", "values": RULES}})
        assert [(one["id"], one["nodes"][0]["html"][:200]) for one in found.response["violations"]] == []
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    context.close()


def test_the_panels_follow_the_site_until_they_are_paused(
    service: Any, scripted: Any, developer: Page, request: Any
) -> None:
    """Open parts stay open, and what is typed stays typed."""
    if "no-script" in request.node.name:
        expect(developer.get_by_role("button", name="Pause")).to_have_count(0)
        return
    developer.get_by_text("Any fault on any call").click()
    developer.get_by_label("How many times").fill("7")
    scripted.book()
    expect(developer.get_by_role("region", name="Mailbox")).to_contain_text("Your appointment is confirmed")
    expect(developer.get_by_label("How many times")).to_have_value("7")

    developer.get_by_role("button", name="Pause").click()
    service.travel(days=1)
    developer.wait_for_timeout(2500)
    expect(developer.get_by_role("region", name="Clock")).to_contain_text("real time")
    developer.get_by_role("button", name="Resume").click()
    expect(developer.get_by_role("region", name="Clock")).to_contain_text("ahead")
