"""The page at ``/``: what the sandbox holds, and controls to cause every kind of trouble."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from html import escape
from types import MappingProxyType

from django_meetergo.sandbox import documents
from django_meetergo.sandbox.faults import KINDS
from django_meetergo.sandbox.http import Request, Response, error_response, html_response
from django_meetergo.sandbox.oddities import ODDITIES
from django_meetergo.sandbox.provisional import expire_overdue
from django_meetergo.sandbox.records import Appointment, MeetingType, Provisional
from django_meetergo.sandbox.routes import ROUTES
from django_meetergo.sandbox.service import Service
from django_meetergo.sandbox.settings import PROFILES
from django_meetergo.sandbox.state import State

MAX_ROWS = 200
MAX_RECENT = 20

STYLE = """
* { box-sizing: border-box }
body { font: 16px/1.5 system-ui, sans-serif; margin: 0; color: #1d2733; background: #f5f7f9 }
header { background: #12395b; color: #fff; padding: .6rem 1.5rem }
main { max-width: 72rem; margin: 0 auto; padding: 1rem 1.5rem 3rem }
h1 { font-size: 1.5rem } h2 { font-size: 1.15rem; margin: 2rem 0 .5rem }
nav a { display: inline-block; margin-right: 1rem; padding: .25rem 0; color: #12395b }
.scroll { overflow-x: auto; background: #fff; border: 1px solid #dde3e9; border-radius: .4rem }
table { border-collapse: collapse; width: 100% }
th, td { text-align: left; padding: .5rem .75rem; border-bottom: 1px solid #dde3e9; vertical-align: top }
.cards { display: grid; gap: 1rem; align-items: start;
  grid-template-columns: repeat(auto-fit, minmax(min(20rem, 100%), 1fr)) }
.card { background: #fff; border: 1px solid #dde3e9; border-radius: .4rem; padding: .25rem 1rem 1rem }
.card h2 { margin-top: .5rem }
.row form { display: inline } label { display: block; margin: .4rem 0 }
select, input { font: inherit; width: 100%; padding: .3rem; border: 1px solid #8693a0; border-radius: .3rem }
button { font: inherit; padding: .35rem .8rem; margin: .2rem .3rem .2rem 0; cursor: pointer;
  border-radius: .3rem; border: 1px solid #12395b; background: #fff; color: #12395b }
button:hover { background: #e8eef4 } button.danger { border-color: #a4262c; color: #a4262c }
@media (max-width: 40rem) {
  main { padding: 1rem 1rem 3rem } tr, td { display: block } th { display: none }
  tr { padding: .5rem .75rem; border-bottom: 1px solid #dde3e9 }
  td { padding: .1rem 0; border: 0; overflow-wrap: anywhere }
}
.cancelled td { color: #66717d; text-decoration: line-through } small, .hint { color: #55616d }
"""

#: What the form offers, in the words of somebody who wants to see what happens then.
FAULTS = {
    "occupy_slot": "Somebody else books the slot first",
    "drop_after": "Carried out, but the response is lost",
    "drop_before": "Not carried out, and no response",
    "delayed_apply": "Carried out later, and no response",
    "replay": "Carried out twice, the second time later",
    "hang_before": "No response for some seconds",
    "slow": "A slow response",
    "status_before": "An error status, not carried out",
    "status_after": "An error status, although carried out",
    "garbage": "A response that is not JSON",
    "empty": "An empty response",
    "odd_document": "An odd document in a list",
    "hide_answers": "Attendees without answers",
    "expire_key": "The API key expires",
}


def respond(service: Service, request: Request) -> Response:
    """Answer a request for the page."""
    if request.method not in {"GET", "HEAD"}:
        return error_response(404, f"Cannot {request.method} /")
    with service.state.lock:
        expire_overdue(service.state)
        return html_response(_build_page(service))


def _build_page(service: Service) -> str:
    state = service.state
    waiting = list(state.pending.values())
    appointments = sorted(state.appointments.values(), key=lambda one: one.start)
    upcoming = [one for one in appointments if one.end >= state.now()]
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Sandbox</title><style>{STYLE}</style></head><body>
<header role="status">Sandbox – nothing here leaves this computer</header>
<main><h1>{escape(documents.COMPANY_NAME)}</h1>
<nav><a href="#waiting">Waiting</a><a href="#appointments">Appointments</a>
<a href="#trouble">Cause trouble</a><a href="#mails">Mails</a><a href="#calls">Calls</a></nav>
<h2 id="waiting">Waiting for confirmation ({len(waiting)})</h2>{_build_waiting_table(state, waiting)}
<h2 id="appointments">Upcoming appointments ({len(upcoming)})</h2>{_build_appointment_table(state, upcoming)}
<h2 id="trouble">Cause trouble</h2><div class="cards">{_build_fault_card(service)}{_build_clock_card(service)}
{_build_delivery_card(service)}{_build_reset_card(service)}</div>
<h2 id="mails">Mails ({len(state.mailbox.mails)})</h2>{_build_mail_table(state)}
<h2 id="calls">Calls</h2>{_build_call_table(service)}
</main></body></html>"""


def _build_table(headings: Iterable[str], rows: list[str], *, empty: str) -> str:
    if not rows:
        return f"<p>{escape(empty)}</p>"
    head = "".join(f"<th>{escape(heading)}</th>" for heading in headings)
    return f'<div class="scroll"><table><tr>{head}</tr>{"".join(rows)}</table></div>'


def _build_row(*cells: object) -> str:
    return f"<tr>{''.join(f'<td>{escape(str(cell))}</td>' for cell in cells)}</tr>"


def _build_button(path: str, label: str, fields: Mapping[str, object] = MappingProxyType({})) -> str:
    hidden = "".join(
        f'<input type="hidden" name="{name}" value="{escape(str(value))}">' for name, value in fields.items()
    )
    button = f"<button>{escape(label)}</button>"
    return f'<form method="post" action="/_sandbox/{escape(path)}">{hidden}{button}</form>'


def _build_select(name: str, label: str, choices: dict[str, str], chosen: str = "") -> str:
    options = "".join(
        f'<option value="{escape(value)}"{" selected" if value == chosen else ""}>{escape(text)}</option>'
        for value, text in choices.items()
    )
    return f'<label>{escape(label)}<select name="{name}">{options}</select></label>'


# What is booked


def _build_waiting_table(state: State, waiting: list[Provisional]) -> str:
    rows = [_build_waiting_row(state, one) for one in waiting]
    return _build_table(("When", "What", "Who", "Decide"), rows, empty="No booking is waiting.")


def _build_waiting_row(state: State, one: Provisional) -> str:
    attendee = one.request.attendee
    who = attendee.email or attendee.phone or ""
    path = f"provisional/{one.id}"
    if one.type == "doubleOptIn":
        buttons = _build_button(f"{path}/confirm", "Confirm as attendee")
    else:
        buttons = _build_button(f"{path}/approve", "Approve as host")
        buttons += _build_button(f"{path}/decline", "Decline as host")
    buttons += _build_button(f"{path}/expire", "Let it expire")
    when = _print_time(state, one.request.start, one.host_ids)
    return (
        f"<tr><td>{when}</td><td>{_describe(state, one)}</td><td>{escape(who)}</td>"
        f'<td class="row">{buttons}</td></tr>'
    )


def _build_appointment_table(state: State, appointments: list[Appointment]) -> str:
    rows = [_build_appointment_row(state, one) for one in appointments[:MAX_ROWS]]
    return _build_table(("When", "What", "Who", "How"), rows, empty="Nothing is booked.")


def _build_appointment_row(state: State, one: Appointment) -> str:
    css_class = ' class="cancelled"' if one.is_cancelled else ""
    who = "<br>".join(escape(attendee.fullname or attendee.email or "") for attendee in one.attendees)
    when = _print_time(state, one.start, one.host_ids)
    return (
        f"<tr{css_class}><td>{when}</td><td>{_describe(state, one)}</td><td>{who}</td>"
        f"<td>{escape(one.location or one.channel)}</td></tr>"
    )


def _describe(state: State, one: Appointment | Provisional) -> str:
    hosts = ", ".join(host.full_name for host in state.get_hosts(one.host_ids))
    return f"{escape(_get_meeting_type(state, one).name)}<br><small>{escape(hosts)}</small>"


def _get_meeting_type(state: State, one: Appointment | Provisional) -> MeetingType:
    if isinstance(one, Provisional):
        return one.request.meeting_type
    return state.meeting_types[one.meeting_type_id]


def _print_time(state: State, start: datetime, host_ids: list[str]) -> str:
    zone = state.users[host_ids[0]].zone
    return escape(start.astimezone(zone).strftime("%a %d %b %Y, %H:%M"))


# Controls


def _build_fault_card(service: Service) -> str:
    armed = service.faults.list_armed()
    lines = "".join(
        f"<li>{escape(fault.kind)} on {escape(fault.route)}, "
        f"{'every time' if fault.times < 0 else f'{fault.times} more'}</li>"
        for fault in armed
    )
    kinds = FAULTS | {kind: kind for kind in sorted(KINDS - set(FAULTS))}
    routes = {route.name: route.name for route in ROUTES} | {"*": "Every route"}
    return f"""<section class="card"><h2>Faults</h2>
<ul>{lines or "<li>None is armed.</li>"}</ul>{_build_button("faults/clear", "Disarm all") if armed else ""}
<form method="post" action="/_sandbox/faults">
{_build_select("kind", "What goes wrong", kinds)}
{_build_select("route", "On which call", routes, "POST /v4/booking")}
<label>How many times (-1: every time)<input name="times" type="number" value="1" min="-1"></label>
<label>Seconds, where it takes time<input name="seconds" type="number" value="5" min="0"></label>
<label>Error status<input name="status" type="number" placeholder="503" min="200" max="599"></label>
{_build_select("oddity", "Of an odd document", {name: name.replace("_", " ") for name in ODDITIES})}
<button>Arm</button></form></section>"""


def _build_clock_card(service: Service) -> str:
    zone = service.state.users[service.state.owner_id].zone
    now = service.state.now().astimezone(zone).strftime("%a %d %b %Y, %H:%M:%S")
    buttons = "".join(
        _build_button("clock", label, {"advance_seconds": seconds})
        for label, seconds in (("+ 1 minute", 60), ("+ 1 hour", 3600), ("+ 1 day", 86_400))
    )
    return f"""<section class="card row"><h2>Clock</h2><p>{escape(now)}</p>
{buttons}{_build_button("clock", "Back to now", {"offset_seconds": 0})}
<p class="hint">The sandbox's clock only: your site keeps its own.</p></section>"""


def _build_delivery_card(service: Service) -> str:
    deliveries = service.deliveries
    hold = ("release", "Release") if deliveries.settings.hold else ("hold", "Hold back")
    buttons = "".join(
        _build_button("deliveries", label, {"action": action, **fields})
        for action, label, fields in (
            (*hold, {}),
            ("shuffle", "Shuffle what is held", {}),
            ("duplicate", "Send everything twice", {"count": 2}),
            ("duplicate", "Send everything once", {"count": 1}),
            ("drop", "Drop the next one", {"count": 1}),
            ("replay", "Send all again", {}),
        )
    )
    return f"""<section class="card row"><h2>Webhook deliveries</h2>
<p>Endpoints: {len(service.state.webhooks)}. Deliveries pending: {deliveries.count_pending()}.</p>
{buttons}</section>"""


def _build_reset_card(service: Service) -> str:
    profiles = dict(zip(PROFILES, PROFILES, strict=True))
    select = _build_select("profile", "Profile", profiles, service.settings.profile)
    return f"""<section class="card"><h2>Reset</h2>
<form method="post" action="/_sandbox/reset">{select}<button class="danger">Start again</button></form>
<p class="hint">Bookings, webhook endpoints, faults, mails and calls are removed.</p></section>"""


# Mails and calls


def _build_mail_table(state: State) -> str:
    rows = [
        _build_row(
            f"{mail.sent_at:%H:%M:%S}", mail.to, mail.subject, f"{mail.about}, {mail.start:%d %b %H:%M} UTC"
        )
        for mail in reversed(state.mailbox.mails[-MAX_RECENT:])
    ]
    return _build_table(("Sent", "To", "Subject", "About"), rows, empty="No mail was sent.")


def _build_call_table(service: Service) -> str:
    rows = [
        _build_row(
            entry["at"][11:19],
            entry["method"],
            entry["path"],
            entry.get("status") or entry.get("ending"),
            entry.get("fault") or "",
        )
        for entry in reversed(service.request_log.entries(kind="request")[-MAX_RECENT:])
    ]
    return _build_table(("At (UTC)", "Method", "Path", "Result", "Fault"), rows, empty="Nobody has called.")
