"""A visitor with a browser: its actions, its expectations, and the errors on its console."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Locator, expect

from tests.free_times import find_whole_day

DETAILS = {"First name": "Jane", "Last name": "Doe", "E-mail address": "jane@example.com"}
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
#: Chromium logs this for every page whose status is not 2xx.
STATUS_NOTE = "Failed to load resource: the server responded with a status of "
#: The times of a day. Durations use the same styles in another container.
TIMES = ".mg-slots label"


def read_time(label: Locator) -> str:
    """Return the visible time, without the text for screen readers."""
    return label.locator("bdi").evaluate("face => face.firstChild.data")


class Person:
    """A browser with its own cookies, size, time zone and language."""

    def __init__(
        self,
        browser: Any,
        url: str,
        screens: Path,
        *,
        script: bool = True,
        width: int = 1280,
        zone: str = "Europe/Berlin",
        language: str = "en-GB",
        **options: Any,
    ) -> None:
        self.url, self.screens, self.has_script = url, screens, script
        self.problems: list[str] = []
        #: Other hosts the page may load from; only the official embed does.
        self.allowed_hosts: tuple[str, ...] = ()
        self.context = browser.new_context(
            base_url=url,
            java_script_enabled=script,
            viewport={"width": width, "height": 800},
            timezone_id=zone,
            locale=language,
            **options,
        )
        self.context.set_default_timeout(8000)
        self.page = self.context.new_page()
        self.page.on("console", lambda message: self.record(message.text))
        self.page.on("pageerror", lambda error: self.record(str(error)))
        self.context.on("request", self.check_request)

    def record(self, text: str) -> None:
        if not text.startswith(STATUS_NOTE):
            self.problems.append(text)

    def check_request(self, request: Any) -> None:
        if not request.url.startswith((self.url, "data:", *self.allowed_hosts)):
            self.problems.append(f"request to {urlsplit(request.url).hostname}")

    def close(self) -> None:
        self.context.close()

    # Actions

    def use_screen(self, width: int, scheme: str) -> None:
        """Change the width of the window and the colour scheme."""
        self.page.set_viewport_size({"width": width, "height": 800})
        self.page.emulate_media(color_scheme=scheme)

    def open(self, path: str) -> None:
        self.page.goto(path)

    def open_whole_day(self, path: str) -> None:
        """Open the free times of a working day to come: late in the day the first one has few."""
        self.open(f"{urlsplit(path).path}?date={find_whole_day():%Y-%m-%d}")

    def press(self, name: str, role: str = "button") -> None:
        self.page.get_by_role(role, name=name, exact=True).click()

    def choose_time(self, slug: str = "intro-call", nth: int = 0) -> str:
        """Go from the page of a meeting type to the form; return the label of the time."""
        if urlsplit(self.page.url).path != f"/book/{slug}/":
            self.open(f"/book/{slug}/")
        label = self.page.locator(TIMES).nth(nth)
        text = read_time(label)
        label.click()
        self.press("Continue")
        self.expect_title("Your details")
        return text

    def fill_in(self, **changes: str) -> None:
        for name, value in {**DETAILS, **changes}.items():
            self.page.get_by_label(name).fill(value)

    def book(self, slug: str = "intro-call", nth: int = 0) -> str:
        time = self.choose_time(slug, nth)
        self.fill_in()
        self.press("Book this time")
        return time

    # Actions in any language

    def choose(self, path: str) -> None:
        """Go from free times to the form."""
        self.open(path)
        self.page.locator(TIMES).first.click()
        self.page.locator(".mg-bar button").click()
        expect(self.page.locator(".mg-form")).to_be_visible()
        self.wait_for_autofocus()

    def fill_in_by_name(self) -> None:
        names = ("first_name", "last_name", "email")
        for name, value in zip(names, DETAILS.values(), strict=True):
            self.page.locator(f"[name={name}]").fill(value)

    def send(self, path: str) -> None:
        """Book the first free time."""
        self.choose(path)
        self.fill_in_by_name()
        self.page.locator(".mg-form .mg-button").click()
        expect(self.page.locator("article[data-screen]")).to_be_visible()

    # Expectations

    @property
    def heading(self) -> Locator:
        return self.page.locator("h1")

    @property
    def status(self) -> Locator:
        return self.page.get_by_role("status")

    def expect_title(self, text: str, *, seconds: float = 5) -> None:
        expect(self.heading).to_have_text(text, timeout=seconds * 1000)
        self.wait_for_autofocus()

    def wait_for_autofocus(self) -> None:
        """Wait until the page's autofocus has happened; focusing earlier logs an error."""
        element = self.page.locator("[autofocus]")
        if element.count():
            expect(element.first).to_be_focused()

    def expect_focus(self, locator: Locator) -> None:
        expect(locator).to_be_focused()

    def wait_for_animations(self) -> None:
        """Wait until all animations have finished, so that colours are final."""
        self.page.evaluate(
            "Promise.allSettled(document.getAnimations().map((animation) => animation.finished))"
        )

    def take_screenshot(self, name: str) -> None:
        self.wait_for_animations()
        self.screens.mkdir(exist_ok=True)
        self.page.screenshot(path=self.screens / f"{name}.png", full_page=True)

    def list_violations(self, part: str = "html") -> list[str]:
        """Return what axe finds in a part of the page: WCAG 2.0 to 2.2 A and AA, and best practices."""
        self.wait_for_animations()
        # Without ``resultTypes`` axe also describes what passed, which takes most of the time.
        # In the admin axe fails to preload the style sheets, which a part of a page does not need.
        options = {
            "runOnly": {"type": "tag", "values": RULES},
            "resultTypes": ["violations"],
            "preload": part == "html",
        }
        found = Axe().run(self.page, context=part, options=options)
        violations = found.response["violations"]
        return [f"{rule['id']}: {node['target']}" for rule in violations for node in rule["nodes"]]
