"""Connecting a site, the clock, the calls and the reset."""

from __future__ import annotations

from django_meetergo.sandbox.calls import Call, print_body
from django_meetergo.sandbox.dashboard.parts import (
    build_action,
    build_badge,
    build_empty,
    build_panel,
    get_owner,
    print_clock_time,
)
from django_meetergo.sandbox.documents import COMPANY_SLUG
from django_meetergo.sandbox.html import Html, post_button, post_form, select, tag
from django_meetergo.sandbox.http import Request
from django_meetergo.sandbox.seed import ADMIN_TOKEN
from django_meetergo.sandbox.service import Service
from django_meetergo.sandbox.settings import PROFILES
from django_meetergo.sandbox.state import State

STEPS = {"+ 1 minute": 60, "+ 1 hour": 3_600, "+ 1 day": 86_400}


def build_connect(service: Service, request: Request) -> Html:
    """Return the panel with the settings of a site and the state of its last call."""
    address = f"http://{request.header('Host')}"
    settings = (
        "MEETERGO = {\n"
        f'    "BASE_URL": "{address}",\n'
        f'    "API_KEY": "{ADMIN_TOKEN}",\n'
        '    "SANDBOX": True,\n'
        "}"
    )
    copy = tag(
        "button", "Copy the settings", type="button", class_="strong", hidden=True, data_copy="settings"
    )
    pages = [
        tag("li", tag("a", kind.name, href=f"/{COMPANY_SLUG}/{kind.slug}"))
        for kind in service.state.meeting_types.values()
    ]
    return build_panel(
        "connect",
        "Connect your site",
        tag(
            "div",
            tag("pre", settings, id="settings", tabindex="0", aria_label="Settings"),
            tag("div", copy, class_="buttons"),
            class_="settings",
        ),
        tag(
            "div",
            _build_last_call(service),
            tag("h3", "Book here instead of on your site"),
            tag("ul", *pages, class_="links"),
        ),
    )


def _build_last_call(service: Service) -> Html:
    calls = service.calls.list_newest_first()
    if not calls:
        return tag("p", build_badge("no call yet", "wait"), " Put the settings in, then run ",
                   tag("code", "manage.py meetergo_doctor"), ".")  # fmt: skip
    last = calls[0]
    endpoints = len(service.state.webhooks)
    at = print_clock_time(service.state, last.at)
    return tag(
        "p",
        _build_result(last),
        f" Last call at {at}: {last.method} {last.path}. Webhook endpoints: {endpoints}.",
    )


def _build_result(call: Call) -> Html:
    is_good = call.result.startswith(("2", "3"))
    return build_badge(call.result, "good" if is_good else "bad")


def build_clock(service: Service) -> Html:
    """Return the panel that moves the sandbox's clock."""
    state = service.state
    now = service.clock.now().astimezone(get_owner(state).zone)
    offset = service.clock.offset_seconds
    buttons = [
        post_button(build_action("clock", "clock"), label, advance_seconds=seconds)
        for label, seconds in STEPS.items()
    ]
    if offset:
        buttons.append(post_button(build_action("clock", "clock"), "Back to real time", offset_seconds=0))
    badge = build_badge("ahead", "wait") if offset else build_badge("real time", "good")
    return build_panel(
        "clock",
        "Clock",
        tag("p", tag("strong", f"{now:%a %d %b, %H:%M}", class_="big"), " ", badge),
        tag("div", *buttons, class_="buttons"),
        tag("p", "The sandbox's clock only: your site keeps its own.", class_="hint"),
    )


def build_reset(service: Service) -> Html:
    """Return the panel that starts again, after a second press."""
    form = post_form(
        build_action("reset", "reset"),
        select("profile", "Profile", dict(zip(PROFILES, PROFILES, strict=True)), service.settings.profile),
        tag("button", "Remove everything and start again", class_="quiet danger"),
        class_="stacked",
    )
    text = "Bookings, webhook endpoints, faults, mails and calls are removed."
    details = tag("details", tag("summary", "Start again …"), tag("p", text), form, id="reset-ask")
    return build_panel("reset", "Reset", details)


def build_calls(service: Service) -> Html:
    """Return the panel with the last calls, which can be unfolded."""
    calls = service.calls.list_newest_first()
    rows = [_build_call(service.state, call) for call in calls]
    content = tag("div", *rows, class_="calls") if rows else build_empty("Nobody has called yet.")
    return build_panel("calls", "Calls", content, count=len(calls))


def _build_call(state: State, call: Call) -> Html:
    fault = [" ", build_badge(call.fault, "wait")] if call.fault else None
    summary = tag(
        "summary",
        tag("span", print_clock_time(state, call.at), class_="muted"),
        " ",
        tag("strong", call.method),
        " ",
        tag("span", call.path, class_="path"),
        " ",
        _build_result(call),
        fault,
    )
    parts = (("Query", call.query), ("Sent", call.sent), ("Answered", call.answered))
    shown = [_build_body(name, text) for name, text in parts if text]
    return tag("details", summary, shown or build_empty("Without a body."), id=f"call-{call.number}")


def _build_body(name: str, text: str) -> list[Html]:
    return [tag("h3", name), tag("pre", print_body(text), tabindex="0")]
