"""Somebody in front of a browser, and what goes wrong there without being seen."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Locator, expect

DETAILS = {"First name": "Jane", "Last name": "Doe", "E-mail address": "jane@example.com"}
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
#: What Chromium writes about every page whose status is not 2xx, however well it is meant.
STATUS_NOTE = "Failed to load resource: the server responded with a status of "
#: The times of a day; the same look serves the lengths of an appointment.
TIMES = ".mg-slots label"


def read_time(label: Locator) -> str:
    """The time that is seen; readers hear until when as well."""
    return label.locator("bdi").evaluate("face => face.firstChild.data")


class Person:
    """One browser of its own: its cookies, its size, its zone."""

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
        self.url, self.screens = url, screens
        self.troubles: list[str] = []
        #: Where else the page may load from: the official embed is the one that does.
        self.friends: tuple[str, ...] = ()
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
        self.page.on("console", lambda message: self.hear(message.text))
        self.page.on("pageerror", lambda error: self.hear(str(error)))
        self.context.on("request", self.watch)

    def hear(self, text: str) -> None:
        if not text.startswith(STATUS_NOTE):
            self.troubles.append(text)

    def watch(self, request: Any) -> None:
        if not request.url.startswith((self.url, "data:", *self.friends)):
            self.troubles.append(f"asked {urlsplit(request.url).hostname}")

    def leave(self) -> None:
        self.context.close()

    # What people do

    def open(self, path: str) -> None:
        self.page.goto(path)

    def press(self, name: str, role: str = "button") -> None:
        self.page.get_by_role(role, name=name, exact=True).click()

    def choose_time(self, slug: str = "intro-call", nth: int = 0) -> str:
        """From the page of a meeting type to the form; the label of the time."""
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

    # The same whatever the language

    def choose(self, path: str) -> None:
        """From free times to the form."""
        self.open(path)
        self.page.locator(TIMES).first.click()
        self.page.locator(".mg-bar button").click()
        expect(self.page.locator(".mg-form")).to_be_visible()
        self.arrive()

    def fill_in_by_name(self) -> None:
        names = ("first_name", "last_name", "email")
        for name, value in zip(names, DETAILS.values(), strict=True):
            self.page.locator(f"[name={name}]").fill(value)

    def send(self, path: str) -> None:
        """Book the first time there is."""
        self.choose(path)
        self.fill_in_by_name()
        self.page.locator(".mg-form .mg-button").click()
        expect(self.page.locator("article[data-screen]")).to_be_visible()

    # What people notice

    @property
    def heading(self) -> Locator:
        return self.page.locator("h1")

    @property
    def status(self) -> Locator:
        return self.page.get_by_role("status")

    def expect_title(self, text: str) -> None:
        expect(self.heading).to_have_text(text)
        self.arrive()

    def arrive(self) -> None:
        """Wait until a page that asks for the focus has it: the browser complains about who is quicker."""
        asking = self.page.locator("[autofocus]")
        if asking.count():
            expect(asking.first).to_be_focused()

    def expect_focus(self, locator: Locator) -> None:
        expect(locator).to_be_focused()

    def settle(self) -> None:
        """Wait until nothing fades or moves: a colour half way to another one is nobody's fault."""
        self.page.evaluate("Promise.allSettled(document.getAnimations().map((moving) => moving.finished))")

    def shoot(self, name: str) -> None:
        self.settle()
        self.screens.mkdir(exist_ok=True)
        self.page.screenshot(path=self.screens / f"{name}.png", full_page=True)

    def list_faults(self) -> list[str]:
        """What axe finds, by WCAG 2.0 to 2.2 A and AA and its own best practices."""
        self.settle()
        # Without ``resultTypes`` what passed is described as well, which takes most of the time.
        options = {"runOnly": {"type": "tag", "values": RULES}, "resultTypes": ["violations"]}
        found = Axe().run(self.page, options=options)
        faults = found.response["violations"]
        return [f"{fault['id']}: {node['target']}" for fault in faults for node in fault["nodes"]]
