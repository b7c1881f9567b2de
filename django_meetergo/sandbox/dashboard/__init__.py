"""The page at ``/``: what the sandbox holds, and controls to cause every kind of trouble.

Everything is a form, so it works without script; with script the panels update themselves.
"""

from __future__ import annotations

from django_meetergo.sandbox.dashboard.bookings import build_bookings
from django_meetergo.sandbox.dashboard.controls import build_calls, build_clock, build_connect, build_reset
from django_meetergo.sandbox.dashboard.deliveries import build_deliveries
from django_meetergo.sandbox.dashboard.diary import build_diary
from django_meetergo.sandbox.dashboard.mailbox import build_mailbox
from django_meetergo.sandbox.dashboard.trouble import build_active, build_trouble
from django_meetergo.sandbox.html import COMPANY, Html, build_document, tag
from django_meetergo.sandbox.http import Request, Response, error_response, html_response
from django_meetergo.sandbox.provisional import expire_overdue
from django_meetergo.sandbox.service import Service

PANELS = {
    "connect": "Connect",
    "diary": "Diary",
    "bookings": "Bookings",
    "mailbox": "Mailbox",
    "deliveries": "Deliveries",
    "calls": "Calls",
    "trouble": "Trouble",
    "clock": "Clock",
    "reset": "Reset",
}


def respond(service: Service, request: Request) -> Response:
    """Answer a request for the page."""
    if request.method not in {"GET", "HEAD"}:
        return error_response(404, f"Cannot {request.method} /")
    with service.state.lock:
        expire_overdue(service.state)
        return html_response(_build_page(service, request))


def _build_page(service: Service, request: Request) -> str:
    main = tag(
        "main",
        build_connect(service, request),
        tag(
            "div",
            build_diary(service),
            build_bookings(service),
            build_mailbox(service),
            build_deliveries(service),
            build_calls(service),
            class_="column",
        ),
        tag("div", build_trouble(service), build_clock(service), build_reset(service), class_="column"),
        class_="dashboard",
        data_dashboard=True,
    )
    return build_document("Sandbox", [_build_header(service), main])


def _build_header(service: Service) -> Html:
    links = [tag("a", label, href=f"#{name}") for name, label in PANELS.items()]
    return tag(
        "header",
        tag(
            "div",
            tag("span", "Sandbox", class_="mark"),
            tag("span", "nothing here leaves this computer", class_="promise"),
            tag("button", "Pause", class_="quiet pause", type="button", hidden=True, data_pause=True),
            class_="bar",
        ),
        tag("h1", COMPANY),
        tag("nav", links, aria_label="Panels"),
        build_active(service),
        tag("p", role="status", class_="status", data_status=True),
    )
