"""The manual's page for a front end of one's own, as it is printed there and served from elsewhere."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from django.utils.dateparse import parse_datetime
from playwright.sync_api import expect

from django_meetergo.contrib.rest_framework.throttling import RATES
from django_meetergo.models import Booking
from tests.browser.policy import OtherOrigin

MANUAL = Path(__file__).parents[2] / "docs" / "rest-api.rst"
LINES = 40


def read_example() -> str:
    """The block of the manual, as somebody would copy it."""
    text = MANUAL.read_text()
    return textwrap.dedent(text.partition(".. code-block:: html\n\n")[2])


@pytest.fixture
def static_page(live_server: Any, settings: Any) -> Iterator[str]:
    """The address of the example on a server that knows nothing else."""
    page = read_example().replace("https://clinic.example", live_server.url)
    body = f"<!doctype html><meta charset=utf-8><title>Book</title>{page}".encode()

    class Static(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path == "/" else 404)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(body if self.path == "/" else b"")

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Static)
    Thread(target=server.serve_forever, daemon=True).start()
    OtherOrigin.origin = f"http://127.0.0.1:{server.server_port}"
    settings.ROOT_URLCONF = "tests.api.urls"
    settings.REST_FRAMEWORK = {"DEFAULT_THROTTLE_RATES": dict.fromkeys(RATES)}
    yield OtherOrigin.origin
    OtherOrigin.origin = ""
    server.shutdown()
    server.server_close()


@pytest.fixture
def page(browser: Any, service: Any, static_page: str) -> Iterator[Any]:
    """Somebody who has opened it and filled it in."""
    context = browser.new_context(timezone_id="Europe/Berlin", locale="en-GB")
    context.set_default_timeout(8000)
    page = context.new_page()
    page.goto(f"{static_page}/")
    expect(page.locator("option")).not_to_have_count(0)
    for name, value in (("first_name", "Jane"), ("last_name", "Doe"), ("email", "jane@example.com")):
        page.locator(f"[name={name}]").fill(value)
    yield page
    context.close()


def test_the_example_is_short() -> None:
    assert len(read_example().strip().splitlines()) <= LINES


def test_it_books_from_a_page_that_is_served_elsewhere(page: Any, service: Any) -> None:
    start = page.locator("select").input_value()
    page.get_by_role("button").click()
    expect(page.get_by_role("status")).to_have_text("You are booked.")
    booking = Booking.objects.get()
    assert (booking.start, booking.timezone) == (parse_datetime(start), "Europe/Berlin")
    assert len(service.appointments()) == 1


def test_a_lost_time_is_said_and_others_are_offered(page: Any, service: Any) -> None:
    start = page.locator("select").input_value()
    service.occupy_slot(parse_datetime(start))
    page.get_by_role("button").click()
    expect(page.get_by_role("status")).to_have_text("This time is no longer free.")
    expect(page.locator("option")).to_have_count(4)
    assert page.locator("select").input_value() != start
    page.get_by_role("button").click()
    expect(page.get_by_role("status")).to_have_text("You are booked.")


def test_an_answer_that_was_lost_is_waited_for(page: Any, service: Any) -> None:
    service.fail_next("POST /v4/booking", kind="drop_after")
    page.get_by_role("button").click()
    expect(page.get_by_role("status")).to_have_text("Checking …")
    service.run_due(after=10)
    expect(page.get_by_role("status")).to_have_text("You are booked.", timeout=15000)
    assert Booking.objects.count() == 1


def test_what_is_wrong_is_said_in_words(page: Any) -> None:
    page.locator("[name=email]").fill("jane@example")
    page.get_by_role("button").click()
    expect(page.get_by_role("status")).to_have_text(re.compile("e-?mail", re.IGNORECASE))
