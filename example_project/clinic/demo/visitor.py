"""Somebody who books, moves and cancels on the clinic's pages, with a browser that runs no script."""

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

from clinic.demo.comparison import short
from clinic.demo.pages import Form, Page
from django_meetergo.conf import get_settings
from django_meetergo.models import Appointment, Booking, WebhookDelivery

SLUG = "intro-call"
DETAILS = {"first_name": "Jane", "last_name": "Doe", "privacy": "on"}

#: Seconds until what the service sends must have taken effect, and between two looks.
PATIENCE = 15
LOOK_EVERY = 0.05

Step = tuple[str, Callable[[], str]]


class Disappointment(Exception):
    """A page did not show what a visitor may expect."""


class Visitor:
    """One visit, step by step. A step says what happened, or raises Disappointment."""

    def __init__(self, site: str) -> None:
        self.site = site
        self.browser = requests.Session()
        self.browser.headers["Accept-Language"] = "en"
        self.address = site
        self.page = Page("")
        self.chosen = ""
        # Each visitor has an address of their own: a kept database knows those of former visits.
        self.email = f"jane.doe.{uuid4().hex[:8]}@example.com"
        self.appointment = Appointment()

    def steps(self) -> Iterator[Step]:
        """What a visitor does, in order."""
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
        return f"{self.page.heading}: the next free time is {say_time(self.list_times()[0])}"

    def turn_month(self) -> str:
        """Further ahead, where no time passes while it is being booked."""
        shown = datetime.fromisoformat(self.list_times()[0]).replace(day=1)
        self.open(self.find_link(f"month={shown + timedelta(days=31):%Y-%m}"))
        times = self.list_times()
        return f"{len(times)} times on the first free day, {say_time(times[0])}"

    def choose_time(self) -> str:
        self.chosen = self.list_times()[0]
        self.send(self.find_form("start"), start=self.chosen)
        self.find_form("first_name", "email")
        return f"{say_time(self.chosen)}, and the form asks who comes"

    def send_details(self) -> str:
        # A person needs that long for the form; who is quicker is taken for a program.
        time.sleep(get_settings().MIN_FILL_SECONDS)
        self.send(self.find_form("first_name", "email"), **DETAILS, email=self.email)
        self.expect("You are booked")
        booking = Booking.objects.select_related("attendee__appointment").get(email=self.email)
        if booking.attendee is None:
            raise Disappointment("The booking has no attendee.")
        self.appointment = booking.attendee.appointment
        return f"{self.page.heading}: {self.describe()}"

    # Afterwards

    def open_manage_page(self) -> str:
        self.open(self.find_link("/manage/", end="/"))
        self.expect("Your appointment")
        return f"{self.page.heading}: {self.describe()}"

    def choose_other_time(self) -> str:
        self.open(self.find_link("/reschedule/"))
        self.turn_month()
        self.chosen = next(each for each in self.list_times() if each != self.chosen)
        self.send(self.find_form("start"), start=self.chosen)
        return self.page.heading

    def move(self) -> str:
        self.send(self.find_form("csrfmiddlewaretoken", "start"))
        self.expect("Your appointment")
        return f"Moved: {self.describe()}"

    def cancel(self) -> str:
        self.open(self.find_link("/cancel/"))
        self.send(self.find_form("csrfmiddlewaretoken", "reason"), reason="I feel well again")
        if not self.page.heading.startswith("This appointment was cancelled"):
            raise Disappointment(f"After cancelling, {self.address} says “{self.page.heading}”.")
        return f"Cancelled: {self.describe()}"

    def wait_for(self, event: str) -> str:
        """Look until the delivery has been applied, as the letterbox's row says."""
        rows = WebhookDelivery.objects.filter(event_type=event, remote_id=self.appointment.remote_id)
        applied = rows.filter(state=WebhookDelivery.State.APPLIED)
        until = time.monotonic() + PATIENCE
        while not applied.exists():
            if time.monotonic() > until:
                states = ", ".join(rows.values_list("state", flat=True)) or "not arrived"
                raise Disappointment(f"{event} took more than {PATIENCE} seconds ({states}).")
            time.sleep(LOOK_EVERY)
        return f"{event} {short(self.appointment.remote_id)} has been applied"

    # What a browser does

    def open(self, path: str) -> None:
        self.read(self.browser.get(urljoin(self.address, path), timeout=30))

    def send(self, form: Form, **typed: str) -> None:
        """Fill the form in and send it, everything hidden in it included; follow where it leads."""
        address, values = urljoin(self.address, form.action), form.values | typed
        headers = {"Referer": self.address}
        if form.method == "post":
            answer = self.browser.post(address, data=values, headers=headers, timeout=30)
            self.check_redirect(answer)
        else:
            answer = self.browser.get(address, params=values, headers=headers, timeout=30)
        self.read(answer)

    def check_redirect(self, answer: requests.Response) -> None:
        """A page that answers a POST itself would send it again on reload."""
        if [each.status_code for each in answer.history] != [303]:
            heading = Page(answer.text).heading
            raise Disappointment(f"{answer.url} answered {answer.status_code} instead of 303: {heading}")

    def read(self, answer: requests.Response) -> None:
        self.address, self.page = answer.url, Page(answer.text)
        if answer.status_code != requests.codes.ok:
            raise Disappointment(f"{answer.url} answered {answer.status_code}: {self.page.heading}")

    # What there is on the page

    def list_times(self) -> list[str]:
        times = self.find_form("start").choices.get("start", [])
        if not times:
            raise Disappointment(f"{self.address} offers no times.")
        return times

    def find_form(self, *names: str) -> Form:
        form = self.page.find_form(*names)
        if form is None:
            raise Disappointment(f"{self.address} has no form with {' and '.join(names)}.")
        return form

    def find_link(self, part: str, *, end: str = "") -> str:
        link = self.page.find_link(part, end=end)
        if link is None:
            raise Disappointment(f"{self.address} has no link with “{part}”.")
        return link

    def expect(self, heading: str) -> None:
        if self.page.heading != heading:
            raise Disappointment(f"{self.address} says “{self.page.heading}” instead of “{heading}”.")

    def describe(self) -> str:
        """The appointment as the site's database has it now."""
        self.appointment.refresh_from_db()
        return f"{short(self.appointment.remote_id)}, {say_time(self.appointment.start)}"


def say_time(moment: str | datetime) -> str:
    """“Tue 24 Nov, 09:30”, by the clinic's clock."""
    moment = datetime.fromisoformat(moment) if isinstance(moment, str) else moment
    return f"{moment.astimezone(ZoneInfo(settings.TIME_ZONE)):%a %d %b, %H:%M}"
