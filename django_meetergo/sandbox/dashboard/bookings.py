"""The bookings, newest first, with what their attendee and their host can do."""

from __future__ import annotations

from django_meetergo.sandbox.dashboard.parts import (
    build_action,
    build_badge,
    build_empty,
    build_panel,
    print_day_time,
)
from django_meetergo.sandbox.html import Html, post_button, tag
from django_meetergo.sandbox.records import Appointment, Attendee, Provisional
from django_meetergo.sandbox.service import Service
from django_meetergo.sandbox.state import State

MAX_SHOWN = 30
ENDED = {
    "confirmed": ("confirmed", "good"),
    "expired": ("lapsed", "bad"),
    "declined_by_host": ("declined", "bad"),
}


def build_bookings(service: Service) -> Html:
    """Return the panel."""
    state = service.state
    # A confirmed provisional booking is shown as its appointment.
    provisionals = [one for one in state.provisionals.values() if one.status != "confirmed"]
    found: list[Appointment | Provisional] = [*state.appointments.values(), *provisionals]
    # ``sequence`` puts the newest of one millisecond first.
    found.sort(key=lambda one: (one.created_at, getattr(one, "sequence", 0)), reverse=True)
    rows = [_build_row(state, one) for one in found[:MAX_SHOWN]]
    more = tag("p", f"The newest {MAX_SHOWN} are shown.", class_="hint") if len(found) > MAX_SHOWN else None
    content = tag("ul", *rows, class_="rows") if rows else build_empty("Nothing is booked.")
    return build_panel("bookings", "Bookings", content, more, count=len(found))


def _build_row(state: State, one: Appointment | Provisional) -> Html:
    if isinstance(one, Provisional):
        kind, start, attendees = one.request.meeting_type, one.request.start, [one.request.attendee]
        badge, buttons = _build_provisional(one)
    else:
        kind, start, attendees = state.meeting_types[one.meeting_type_id], one.start, one.attendees
        badge, buttons = _build_appointment(state, one)
    hosts = ", ".join(host.full_name for host in state.get_hosts(one.host_ids))
    who = ", ".join(_name(attendee) for attendee in attendees) or "nobody"
    return tag(
        "li",
        tag(
            "div",
            tag("p", tag("strong", print_day_time(state, start)), " ", badge),
            tag("p", f"{kind.name} · {hosts}"),
            tag("p", who, class_="muted"),
            class_="facts",
        ),
        tag("div", *buttons, class_="buttons") if buttons else None,
        class_="row",
    )


def _name(attendee: Attendee) -> str:
    return attendee.fullname or attendee.email or attendee.phone or "somebody"


def _build_provisional(one: Provisional) -> tuple[Html, list[Html]]:
    if one.status != "pending":
        return build_badge(*ENDED[one.status]), []
    detail = f"the booking of {_name(one.request.attendee)}"
    waits_for_attendee = one.type == "doubleOptIn"
    actions = (
        [("confirm", "Confirm as attendee", "strong")]
        if waits_for_attendee
        else [("approve", "Approve as host", "strong"), ("decline", "Decline as host", "quiet")]
    )
    actions.append(("expire", "Let it lapse", "quiet"))
    badge = build_badge(f"waits for {'its attendee' if waits_for_attendee else 'its host'}", "wait")
    return badge, [
        post_button(
            build_action(f"provisional/{one.id}/{action}", "bookings"), label, class_=look, detail=detail
        )
        for action, label, look in actions
    ]


def _build_appointment(state: State, one: Appointment) -> tuple[Html, list[Html]]:
    if one.is_cancelled:
        return build_badge("cancelled", "bad"), []
    if one.end <= state.now():
        return build_badge("over", "none"), []
    badge = build_badge("moved" if one.reschedule_count else "booked", "good")
    path = f"appointments/{one.id}"
    detail = f"the appointment on {print_day_time(state, one.start)}"
    move = post_button(build_action(f"{path}/move", "bookings"), "Move to the next time", detail=detail)
    cancel = post_button(
        build_action(f"{path}/cancel", "bookings"), "Cancel", class_="quiet danger", detail=detail
    )
    if len(one.attendees) < 2:
        return badge, [move, cancel]
    leave = [
        post_button(
            build_action(f"{path}/cancel", "bookings"),
            f"Remove {_name(attendee)}",
            detail=detail,
            attendeeId=attendee.id,
        )
        for attendee in one.attendees
    ]
    each = tag(
        "details",
        tag("summary", "One attendee leaves"),
        tag("div", *leave, class_="buttons"),
        id=f"leave-{one.id}",
    )
    return badge, [move, cancel, each]
