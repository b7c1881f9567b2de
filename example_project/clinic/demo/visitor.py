"""A scripted visitor who books, moves and cancels on the clinic's pages, in a browser without scripts."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from urllib.parse import urljoin
from uuid import uuid4
from zoneinfo import ZoneInfo

import requests
from django.conf import settings
from django.urls import reverse

from clinic.demo.comparison import shorten
from clinic.demo.pages import Form, Page
from django_meetergo.conf import get_settings
from django_meetergo.models import Appointment, Booking, WebhookDelivery

SLUG = "intro-call"
DETAILS = {"first_name": "Jane", "last_name": "Doe", "privacy": "on"}

#: Seconds until a page must show the result and a webhook delivery must be applied, and between two checks.
PATIENCE = 60
CHECK_INTERVAL = 0.05
RELOAD_INTERVAL = 1

Step = tuple[str, Callable[[], str]]


class UnexpectedPage(Exception):
    """A page did not show what a visitor has to find on it."""


class Visitor:
    """One visit, step by step. A step returns what happened or raises ``UnexpectedPage``."""

    def __init__(self, site: str) -> None:
        self.site = site
        self.browser = requests.Session()
        self.browser.headers["Accept-Language"] = "en"
        self.address = site
        self.page = Page("")
        self.chosen = ""
        # An address of its own, since a kept database has those of former visits.
        self.email = f"jane.doe.{uuid4().hex[:8]}@example.com"
        self.appointment = Appointment()

    def steps(self) -> Iterator[Step]:
        """Yield the steps of a visit in order."""
        yield "Open the booking page", self.open_booking_page
        yield "Turn to the next month", self.turn_month
        yield "Choose a time", self.choose_time
        yield "Send the details", self.send_details
        yield "Wait for the webhook", lambda: self.wait_for("booking_created")
        yield "Open the manage link", self.open_manage_page
        yield "Choose another time", self.choose_other_time
        yield "Move the appointment", self.move
        yield "Wait for the webhook", lambda: self.wait_for("booking_rescheduled")
        yield "Cancel the appointment", self.cancel
        yield "Wait for the webhook", lambda: self.wait_for("booking_cancelled")

    # Booking

    def open_booking_page(self) -> str:
        self.open(reverse("meetergo:book", args=[SLUG]))
        return f"{self.page.heading}: the next free time is {format_time(self.list_times()[0])}"

    def turn_month(self) -> str:
        """Open the next month, where no time is over before it is booked."""
        shown = datetime.fromisoformat(self.list_times()[0]).replace(day=1)
        self.open(self.find_link(f"month={shown + timedelta(days=31):%Y-%m}"))
        times = self.list_times()
        return f"{len(times)} times on the first free day, {format_time(times[0])}"

    def choose_time(self) -> str:
        self.chosen = self.list_times()[0]
        self.send(self.find_form("start"), start=self.chosen)
        self.find_form("first_name", "email")
        return f"{format_time(self.chosen)}, and the form asks for name and e-mail"

    def send_details(self) -> str:
        # The site treats a form that is filled in faster than this as sent by a program.
        time.sleep(get_settings().MIN_FILL_SECONDS)
        self.send(self.find_form("first_name", "email"), **DETAILS, email=self.email)
        self.wait_for_heading("Your appointment is booked")
        booking = Booking.objects.select_related("attendee__appointment").get(email=self.email)
        if booking.attendee is None:
            raise UnexpectedPage("The booking has no attendee.")
        self.appointment = booking.attendee.appointment
        return f"{self.page.heading}: {self.describe()}"

    # Afterwards

    def open_manage_page(self) -> str:
        self.open(self.find_link("/manage/", end="/"))
        self.wait_for_heading("Your appointment")
        return f"{self.page.heading}: {self.describe()}"

    def choose_other_time(self) -> str:
        self.open(self.find_link("/reschedule/"))
        self.turn_month()
        self.chosen = next(each for each in self.list_times() if each != self.chosen)
        self.send(self.find_form("start"), start=self.chosen)
        return self.page.heading

    def move(self) -> str:
        self.send(self.find_form("csrfmiddlewaretoken", "start"))
        self.wait_for_heading("Your appointment has been moved")
        return f"Moved: {self.describe()}"

    def cancel(self) -> str:
        self.open(self.find_link("/cancel/"))
        self.send(self.find_form("csrfmiddlewaretoken", "reason"), reason="I feel well again")
        self.wait_for_heading("This appointment was cancelled", is_whole=False)
        return f"Cancelled: {self.describe()}"

    def wait_for(self, event: str) -> str:
        """Wait until the site has applied a webhook delivery."""
        rows = WebhookDelivery.objects.filter(event_type=event, remote_id=self.appointment.remote_id)
        applied = rows.filter(state=WebhookDelivery.State.APPLIED)
        until = time.monotonic() + PATIENCE
        while not applied.exists():
            if time.monotonic() > until:
                states = ", ".join(rows.values_list("state", flat=True)) or "not arrived"
                raise UnexpectedPage(f"{event} took more than {PATIENCE} seconds ({states}).")
            time.sleep(CHECK_INTERVAL)
        return f"{event} {shorten(self.appointment.remote_id)} has been applied"

    # What a browser does

    def open(self, path: str) -> None:
        self.read(self.browser.get(urljoin(self.address, path), timeout=30))

    def send(self, form: Form, **typed: str) -> None:
        """Fill in a form, send it with its hidden fields, and follow redirects."""
        address, values = urljoin(self.address, form.action), form.values | typed
        headers = {"Referer": self.address}
        if form.method == "post":
            response = self.browser.post(address, data=values, headers=headers, timeout=30)
            self.check_redirect(response)
        else:
            response = self.browser.get(address, params=values, headers=headers, timeout=30)
        self.read(response)

    def check_redirect(self, response: requests.Response) -> None:
        """Raise ``UnexpectedPage`` unless a POST was answered by a redirect."""
        if [each.status_code for each in response.history] != [303]:
            heading = Page(response.text).heading
            raise UnexpectedPage(f"{response.url} answered {response.status_code} instead of 303: {heading}")

    def read(self, response: requests.Response) -> None:
        self.address, self.page = response.url, Page(response.text)
        if response.status_code != requests.codes.ok:
            raise UnexpectedPage(f"{response.url} answered {response.status_code}: {self.page.heading}")

    # What there is on the page

    def list_times(self) -> list[str]:
        times = self.find_form("start").choices.get("start", [])
        if not times:
            raise UnexpectedPage(f"{self.address} offers no times.")
        return times

    def find_form(self, *names: str) -> Form:
        form = self.page.find_form(*names)
        if form is None:
            raise UnexpectedPage(f"{self.address} has no form with {' and '.join(names)}.")
        return form

    def find_link(self, part: str, *, end: str = "") -> str:
        link = self.page.find_link(part, end=end)
        if link is None:
            raise UnexpectedPage(f"{self.address} has no link with “{part}”.")
        return link

    def wait_for_heading(self, heading: str, *, is_whole: bool = True) -> None:
        """Reload the page until it has this heading, or one that begins so: a busy machine shows it later."""
        until = time.monotonic() + PATIENCE
        while not (self.page.heading == heading if is_whole else self.page.heading.startswith(heading)):
            if time.monotonic() > until:
                raise UnexpectedPage(f"{self.address} says “{self.page.heading}” instead of “{heading}”.")
            time.sleep(RELOAD_INTERVAL)
            self.open(self.address)

    def describe(self) -> str:
        """Return the appointment's id and time as the site's database has them now."""
        self.appointment.refresh_from_db()
        return f"{shorten(self.appointment.remote_id)}, {format_time(self.appointment.start)}"


def format_time(moment: str | datetime) -> str:
    """Return a time in the clinic's zone, such as “Tue 24 Nov, 09:30”."""
    moment = datetime.fromisoformat(moment) if isinstance(moment, str) else moment
    return f"{moment.astimezone(ZoneInfo(settings.TIME_ZONE)):%a %d %b, %H:%M}"
