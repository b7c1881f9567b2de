"""The page at ``/``: what is booked and what waits for confirmation, with a button for each decision."""

from __future__ import annotations

from datetime import datetime
from html import escape

from django_meetergo.sandbox import documents
from django_meetergo.sandbox.http import Request, Response, error_response, html_response
from django_meetergo.sandbox.provisional import expire_overdue
from django_meetergo.sandbox.records import Appointment, MeetingType, Provisional
from django_meetergo.sandbox.service import Service
from django_meetergo.sandbox.state import State

SHOWN = 200

STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; margin: 0; color: #1d2733; background: #f5f7f9 }
header { background: #12395b; color: #fff; padding: .6rem 1.5rem }
main { max-width: 64rem; margin: 0 auto; padding: 1rem 1.5rem 3rem }
h1 { font-size: 1.5rem } h2 { font-size: 1.15rem; margin-top: 2rem }
table { border-collapse: collapse; width: 100%; background: #fff }
th, td { text-align: left; padding: .5rem .75rem; border-bottom: 1px solid #dde3e9; vertical-align: top }
form { display: inline }
button { font: inherit; padding: .2rem .7rem; margin: 0 .3rem .3rem 0; cursor: pointer }
.cancelled td { color: #66717d; text-decoration: line-through } small { color: #55616d }
"""


def respond(service: Service, request: Request) -> Response:
    """Answer a request for the page."""
    if request.method not in {"GET", "HEAD"}:
        return error_response(404, f"Cannot {request.method} /")
    with service.state.lock:
        expire_overdue(service.state)
        return html_response(_page(service.state))


def _page(state: State) -> str:
    waiting = [one for one in state.provisionals.values() if one.status == "pending"]
    appointments = sorted(state.appointments.values(), key=lambda one: one.start)
    upcoming = [one for one in appointments if one.end >= state.now()]
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Sandbox</title><style>{STYLE}</style></head><body>
<header role="status">Sandbox – nothing here leaves this computer</header>
<main><h1>{escape(documents.COMPANY_NAME)}</h1>
<h2>Waiting for confirmation ({len(waiting)})</h2>{_waiting_table(state, waiting)}
<h2>Upcoming appointments ({len(upcoming)})</h2>{_appointment_table(state, upcoming[:SHOWN])}
</main></body></html>"""


def _waiting_table(state: State, waiting: list[Provisional]) -> str:
    if not waiting:
        return "<p>No booking is waiting.</p>"
    rows = "".join(_waiting_row(state, one) for one in waiting)
    return f"<table><tr><th>When</th><th>What</th><th>Who</th><th>Decide</th></tr>{rows}</table>"


def _waiting_row(state: State, one: Provisional) -> str:
    attendee = one.request.attendee
    who = attendee.email or attendee.phone or ""
    if one.type == "doubleOptIn":
        buttons = _button(one, "confirm", "Confirm as attendee")
    else:
        buttons = _button(one, "approve", "Approve as host") + _button(one, "decline", "Decline as host")
    buttons += _button(one, "expire", "Let it expire")
    when = _when(state, one.request.start, one.host_ids)
    return (
        f"<tr><td>{when}</td><td>{_what(state, one)}</td><td>{escape(str(who))}</td><td>{buttons}</td></tr>"
    )


def _button(one: Provisional, action: str, label: str) -> str:
    target = f"/_sandbox/provisional/{escape(one.id)}/{action}"
    return f'<form method="post" action="{target}"><button>{escape(label)}</button></form>'


def _appointment_table(state: State, appointments: list[Appointment]) -> str:
    if not appointments:
        return "<p>Nothing is booked.</p>"
    rows = "".join(_appointment_row(state, one) for one in appointments)
    return f"<table><tr><th>When</th><th>What</th><th>Who</th><th>How</th></tr>{rows}</table>"


def _appointment_row(state: State, one: Appointment) -> str:
    look = ' class="cancelled"' if one.is_cancelled else ""
    who = "<br>".join(escape(person.fullname or person.email or "") for person in one.attendees)
    how = escape(one.location or one.channel)
    when = _when(state, one.start, one.host_ids)
    return f"<tr{look}><td>{when}</td><td>{_what(state, one)}</td><td>{who}</td><td>{how}</td></tr>"


def _what(state: State, one: Appointment | Provisional) -> str:
    hosts = ", ".join(host.full_name for host in state.get_hosts(one.host_ids))
    return f"{escape(_get_meeting_type(state, one).name)}<br><small>{escape(hosts)}</small>"


def _when(state: State, start: datetime, host_ids: list[str]) -> str:
    zone = state.users[host_ids[0]].zone
    return escape(start.astimezone(zone).strftime("%a %d %b %Y, %H:%M"))


def _get_meeting_type(state: State, one: Appointment | Provisional) -> MeetingType:
    if isinstance(one, Provisional):
        return one.request.meeting_type
    return state.meeting_types[one.meeting_type_id]
