"""Switches that cause trouble, one for each fault; and the chips of those that are on."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from django_meetergo.sandbox.dashboard.parts import build_action, build_panel
from django_meetergo.sandbox.faults import KINDS, Fault
from django_meetergo.sandbox.html import Html, hidden_text, post_button, post_form, select, tag
from django_meetergo.sandbox.oddities import ODDITIES
from django_meetergo.sandbox.routes import ROUTES
from django_meetergo.sandbox.service import Service

BOOK = "POST /v4/booking"
LIST = "GET /v4/appointment/paginated"
FREE = "GET /v4/booking-availability"


@dataclass(frozen=True)
class Switch:
    """A fault with a label, a sentence on what happens, and its options."""

    kind: str
    label: str
    text: str
    route: str = BOOK
    options: dict[str, Any] = field(default_factory=dict)


COMMON = (
    Switch("occupy_slot", "The next booking loses the race", "Somebody else books the time first."),
    Switch("drop_after", "Book, but never answer", "The booking exists; the site cannot know."),
    Switch("drop_before", "Do not book, and never answer", "It looks the same to the site."),
    Switch("slow", "A slow answer", "Eight seconds.", options={"seconds": 8}),
    Switch("status_before", "429 Too many requests", "To the next booking.", options={"status": 429}),
    Switch(
        "status_after", "500, although it is booked", "An error that is not one.", options={"status": 500}
    ),
    Switch("expire_key", "The API key expires", "Every call, until you switch it off.", "*", {"times": -1}),
    Switch("garbage", "A garbled answer", "A page instead of JSON, although it is booked."),
)
MORE = {
    "The answer is lost": (
        Switch("reset_before", "Reset, not booked", "The connection is reset before anything happens."),
        Switch("reset_after", "Reset, but booked", "The connection is reset after the booking."),
        Switch("hang_before", "Hang, not booked", "No answer for 20 seconds.", options={"seconds": 20}),
        Switch("hang_after", "Hang, but booked", "No answer for 20 seconds.", options={"seconds": 20}),
        Switch("delayed_apply", "Booked later", "No answer; booked after a while.", options={"seconds": 10}),
        Switch("replay", "Sent twice", "The network repeats the request later.", options={"seconds": 5}),
    ),
    "The answer is broken": (
        Switch("empty", "An empty answer", "Booked, with status 201 and no body."),
        Switch("cut", "Half an answer", "Booked; the connection ends in the middle."),
        Switch("drip", "A dripping answer", "Booked; a few bytes each second.", options={"seconds": 20}),
        Switch("oversized", "An endless answer", "Three megabytes instead of a hundred bytes."),
        Switch("bad_status_line", "No HTTP at all", "Bytes that are not a response."),
    ),
    "The lists mislead": (
        Switch("list_lag", "Lists lag behind", "New appointments appear a minute later.", LIST,
               {"seconds": 60, "times": -1}),
        Switch("hide_answers", "Answers are hidden", "Attendees come back without the site's reference.", "*",
               {"times": -1}),
        Switch("odd_document", "An odd document", "One appointment of the next list is malformed.", LIST),
        Switch("skew_date", "A wrong clock", "The Date header is ten minutes ahead.", "*",
               {"seconds": 600, "times": -1}),
    ),
    "The service is down": (
        Switch("status_before", "503 on every call", "Until you switch it off.", "*",
               {"status": 503, "times": -1}),
        Switch("status_before", "No free times", "The availability answers 503.", FREE,
               {"status": 503, "times": -1}),
    ),
}  # fmt: skip
SWITCHES = (*COMMON, *(one for group in MORE.values() for one in group))


def build_active(service: Service) -> Html:
    """Return a chip for each fault that is armed; each can be switched off."""
    armed = service.faults.list_armed()
    chips = [
        post_button(
            build_action(f"faults/{fault.number}/disarm", "trouble"),
            [_describe(fault), tag("span", " ×", aria_hidden="true"), hidden_text(": switch off")],
            class_="chip",
        )
        for fault in armed
    ]
    if len(armed) > 1:
        chips.append(
            post_button(build_action("faults/clear", "trouble"), "Switch all off", class_="chip all")
        )
    label = tag("strong", "Active:") if armed else None
    return tag("div", label, *chips, id="active", class_="active", data_live=True)


def _describe(fault: Fault) -> str:
    known = (one for one in SWITCHES if one.kind == fault.kind and one.route == fault.route)
    same_status = [one for one in known if one.options.get("status", fault.status) == fault.status]
    name = same_status[0].label if same_status else f"{fault.kind} on {fault.route}"
    count = "every time" if fault.times < 0 else ("once" if fault.times == 1 else f"{fault.times} times")
    return f"{name}, {count}"


def build_trouble(service: Service) -> Html:
    """Return the panel."""
    hint = tag("p", "Each switch works once, unless it says otherwise.", class_="hint")
    groups = [
        tag("details", tag("summary", title), *map(_build_switch, group), id=f"trouble-{number}")
        for number, (title, group) in enumerate(MORE.items())
    ]
    own = tag("details", tag("summary", "Any fault on any call"), _build_form(), id="trouble-own")
    return build_panel("trouble", "Cause trouble", hint, *map(_build_switch, COMMON), groups, own)


def _build_switch(switch: Switch) -> Html:
    label = [tag("strong", switch.label), tag("small", switch.text)]
    return post_button(
        build_action("faults", "trouble"),
        label,
        class_="switch",
        kind=switch.kind,
        route=switch.route,
        **switch.options,
    )


def _build_form() -> Html:
    routes = {route.name: route.name for route in ROUTES} | {"*": "Every call"}
    return post_form(
        build_action("faults", "trouble"),
        select("kind", "What goes wrong", {kind: kind.replace("_", " ") for kind in sorted(KINDS)}),
        select("route", "On which call", routes, BOOK),
        _build_number("times", "How many times (-1: every time)", value=1, min=-1),
        _build_number("after", "After how many calls", value=0, min=0),
        _build_number("seconds", "Seconds, where it takes time", value=5, min=0),
        _build_number("status", "Error status", placeholder=503, min=200, max=599),
        select("oddity", "Of an odd document", {name: name.replace("_", " ") for name in ODDITIES}),
        tag("button", "Switch on", class_="strong"),
        class_="stacked",
    )


def _build_number(name: str, label: str, **attributes: object) -> Html:
    return tag("label", label, tag("input", name=name, type="number", **attributes))
