"""The diary: the next two working days of each host, with a button on each free time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from django_meetergo.sandbox.dashboard.parts import build_action, build_empty, build_panel, get_owner
from django_meetergo.sandbox.html import Html, hidden_text, post_form, tag
from django_meetergo.sandbox.records import User
from django_meetergo.sandbox.service import Service
from django_meetergo.sandbox.state import State
from django_meetergo.sandbox.working_hours import BusyPeriod, list_open_windows, to_epoch

STEP = 1800  # seconds
DAYS_SHOWN = 2
DAYS_SEARCHED = 14


@dataclass(frozen=True)
class Cell:
    """A part of a host's day: a free time, or a period that is taken."""

    start: int
    end: int
    busy: BusyPeriod | None = None


def build_diary(service: Service) -> Html:
    """Return the panel."""
    state = service.state
    hosts = [user for user in state.users.values() if user.hours]
    days = list(_list_days(state, hosts))
    hint = tag(
        "p",
        "Press a free time to take it away, as if somebody else had booked it at meetergo.",
        class_="hint",
    )
    legend = tag(
        "p",
        *(tag("span", label, class_=f"key {label}") for label in ("free", "held", "booked")),
        class_="legend",
        aria_hidden="true",
    )
    content = [_build_day(state, day, hosts) for day in days] or build_empty("Nobody works in these weeks.")
    return build_panel("diary", "Diary", hint, legend, content)


def _list_days(state: State, hosts: list[User]) -> Iterator[date]:
    """Yield the next days on which somebody still works."""
    today = state.now().astimezone(get_owner(state).zone).date()
    found = 0
    for number in range(DAYS_SEARCHED):
        day = today + timedelta(days=number)
        if found < DAYS_SHOWN and any(list(_list_cells(state, host, day)) for host in hosts):
            found += 1
            yield day


def _build_day(state: State, day: date, hosts: list[User]) -> Html:
    today = state.now().astimezone(get_owner(state).zone).date()
    name = {0: "Today, ", 1: "Tomorrow, "}.get((day - today).days, "")
    return tag(
        "div",
        tag("h3", f"{name}{day:%a %d %b}"),
        *(_build_host(state, host, day) for host in hosts),
        class_="day",
    )


def _build_host(state: State, host: User, day: date) -> Html:
    cells = list(_list_cells(state, host, day))
    items = [tag("li", _build_cell(state, host, day, cell)) for cell in cells]
    times = tag("ul", *items, class_="times") if items else build_empty("Does not work, or is done.")
    action = build_action("slots/occupy", "diary")
    return post_form(
        action, tag("h4", host.full_name), times, class_="host", hostId=host.id, duration=STEP // 60
    )


def _build_cell(state: State, host: User, day: date, cell: Cell) -> Html:
    start = datetime.fromtimestamp(cell.start, host.zone)
    if cell.busy is None:
        detail = hidden_text(f" is free for {host.full_name} on {day:%a %d %b}: take it away")
        value = datetime.fromtimestamp(cell.start, UTC).isoformat()
        return tag("button", f"{start:%H:%M}", detail, name="start", value=value, class_="time free")
    end = datetime.fromtimestamp(cell.end, host.zone)
    kind, who = _describe_busy(state, cell.busy)
    return tag(
        "span",
        tag("span", f"{start:%H:%M}–{end:%H:%M}"),
        hidden_text(f" {kind} for "),
        tag("small", who),
        class_=f"time {kind}",
    )


def _describe_busy(state: State, busy: BusyPeriod) -> tuple[str, str]:
    if busy.appointment_id is None:
        attendee = state.provisionals[busy.key].request.attendee
        return "held", attendee.fullname or attendee.email or "somebody"
    appointment = state.appointments[busy.appointment_id]
    kind = state.meeting_types[appointment.meeting_type_id]
    if kind.is_group:
        return "booked", f"{len(appointment.attendees)} of {kind.spots} places"
    attendee = appointment.attendees[0]
    return "booked", attendee.fullname or attendee.email or "somebody"


def _list_cells(state: State, host: User, day: date) -> Iterator[Cell]:
    """Yield what is left of a host's day, in order."""
    begin = to_epoch(datetime.combine(day, time(), host.zone))
    end = to_epoch(datetime.combine(day + timedelta(days=1), time(), host.zone))
    now = to_epoch(state.now())
    shown: set[str] = set()
    for opens, closes in list_open_windows(host, begin, end - 1):
        for start in range(opens, closes, STEP):
            found = _list_busy(state, host, start)
            if not found and start > now:
                yield Cell(start, start + STEP)
            for busy in found:
                if busy.key not in shown and busy.end > now:
                    shown.add(busy.key)
                    yield Cell(busy.start, busy.end, busy)


def _list_busy(state: State, host: User, start: int) -> list[BusyPeriod]:
    """Return what takes a part of a step of the diary, in order."""
    found = state.calendar.list_between(host.id, start, start + STEP)
    return sorted(
        (busy for busy in found if busy.start < start + STEP and busy.end > start),
        key=lambda busy: busy.start,
    )
