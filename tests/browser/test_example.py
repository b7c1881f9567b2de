"""The front end example of the documentation, served from another origin."""

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
from tests.browser.policy import CorsMiddleware

DOCUMENTATION = Path(__file__).parents[2] / "docs" / "howto" / "headless.rst"
MAX_LINES = 40


def read_example() -> str:
    """Return the HTML block of the documentation."""
    text = DOCUMENTATION.read_text()
    return textwrap.dedent(text.partition(".. code-block:: html\n\n")[2])


@pytest.fixture
def static_page(live_server: Any, settings: Any) -> Iterator[str]:
    """The URL of a static server with the example."""
    page = read_example().replace("https://clinic.example", live_server.url)
    body = f"<!doctype html><meta charset=utf-8><title>Book</title>{page}".encode()

    class StaticHandler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path == "/" else 404)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(body if self.path == "/" else b"")

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), StaticHandler)
    Thread(target=server.serve_forever, daemon=True).start()
    CorsMiddleware.origin = f"http://127.0.0.1:{server.server_port}"
    settings.ROOT_URLCONF = "tests.api.urls"
    settings.REST_FRAMEWORK = {"DEFAULT_THROTTLE_RATES": dict.fromkeys(RATES)}
    yield CorsMiddleware.origin
    CorsMiddleware.origin = ""
    server.shutdown()
    server.server_close()


@pytest.fixture
def page(browser: Any, service: Any, static_page: str) -> Iterator[Any]:
    """A browser that has opened the example and filled in the form."""
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
    assert len(read_example().strip().splitlines()) <= MAX_LINES


def test_the_example_books_from_another_origin(page: Any, service: Any) -> None:
    start = page.locator("select").input_value()
    page.get_by_role("button").click()
    expect(page.get_by_role("status")).to_have_text("Your appointment is booked.")
    booking = Booking.objects.get()
    assert (booking.start, booking.timezone) == (parse_datetime(start), "Europe/Berlin")
    assert len(service.appointments()) == 1


def test_a_taken_time_offers_others(page: Any, service: Any) -> None:
    start = page.locator("select").input_value()
    service.occupy_slot(parse_datetime(start))
    page.get_by_role("button").click()
    expect(page.get_by_role("status")).to_have_text("This time is no longer free.")
    expect(page.locator("option")).to_have_count(4)
    assert page.locator("select").input_value() != start
    page.get_by_role("button").click()
    expect(page.get_by_role("status")).to_have_text("Your appointment is booked.")


def test_a_lost_answer_is_waited_for(page: Any, service: Any) -> None:
    service.fail_next("POST /v4/booking", kind="drop_after")
    page.get_by_role("button").click()
    expect(page.get_by_role("status")).to_have_text("Checking …")
    service.run_due(after=10)
    expect(page.get_by_role("status")).to_have_text("Your appointment is booked.", timeout=15000)
    assert Booking.objects.count() == 1


def test_an_invalid_email_address_is_named(page: Any) -> None:
    page.locator("[name=email]").fill("jane@example")
    page.get_by_role("button").click()
    expect(page.get_by_role("status")).to_have_text(re.compile("e-?mail", re.IGNORECASE))
