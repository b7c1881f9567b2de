"""The front ends of the documentation, with and without React, served from another origin."""

from __future__ import annotations

import os
import re
import subprocess
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
PACKAGES = Path(__file__).parent / "frameworks" / "node_modules"
START_REACT = """
import { createRoot } from "react-dom/client";
import { Booking } from "./booking.jsx";
createRoot(document.getElementById("root")).render(<Booking slug="intro-call" />);
"""


def read_example(first_line: str) -> str:
    """Return the block of the documentation that follows this line."""
    block = DOCUMENTATION.read_text().partition(f"{first_line}\n\n")[2]
    return textwrap.dedent(re.match(r"(   .*\n|\n)+", block)[0])  # type: ignore[index]


def build_react_page(site: str, folder: Path) -> str:
    """Return a page with the React component, bundled."""
    (folder / "booking.jsx").write_text(
        read_example(":caption: booking.jsx").replace("https://clinic.example", site)
    )
    (folder / "page.jsx").write_text(START_REACT)
    bundle = folder / "page.js"
    done = subprocess.run(
        [PACKAGES / ".bin" / "esbuild", "page.jsx", "--bundle", "--jsx=automatic", f"--outfile={bundle}"],
        cwd=folder,
        env={**os.environ, "NODE_PATH": str(PACKAGES)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{done.stderr}\nRun npm install --ignore-scripts in {PACKAGES.parent}"
    script = bundle.read_text().replace("</script", "<\\/script")
    return f"<div id=root></div><script>{script}</script>"


@pytest.fixture(params=["html", "jsx"])
def static_page(
    request: pytest.FixtureRequest, live_server: Any, settings: Any, tmp_path: Path
) -> Iterator[str]:
    """The URL of a static server with the example."""
    if request.param == "jsx":
        page = build_react_page(live_server.url, tmp_path)
    else:
        page = read_example(".. code-block:: html").replace("https://clinic.example", live_server.url)
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
    # The first request of a process imports the API.
    expect(page.locator("option")).not_to_have_count(0, timeout=20_000)
    for name, value in (("first_name", "Jane"), ("last_name", "Doe"), ("email", "jane@example.com")):
        page.locator(f"[name={name}]").fill(value)
    yield page
    context.close()


def test_the_example_is_short() -> None:
    assert len(read_example(".. code-block:: html").strip().splitlines()) <= MAX_LINES


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


@pytest.mark.parametrize("static_page", ["jsx"], indirect=True)
def test_a_request_without_an_answer_is_sent_again(page: Any, service: Any) -> None:
    """The visitor need not press the button again."""
    lost: list[Any] = []

    def lose_first(route: Any) -> None:
        if route.request.method == "POST" and not lost:
            lost.append(route.fetch())
            route.abort()
        else:
            route.continue_()

    page.route("**/bookings", lose_first)
    page.get_by_role("button").click()
    expect(page.get_by_role("status")).to_have_text("Your appointment is booked.", timeout=15000)
    assert Booking.objects.count() == len(service.appointments()) == 1


def test_an_invalid_email_address_is_named(page: Any) -> None:
    page.locator("[name=email]").fill("jane@example")
    page.get_by_role("button").click()
    expect(page.get_by_role("status")).to_have_text(re.compile("e-?mail", re.IGNORECASE))
