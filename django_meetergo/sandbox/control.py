"""The control routes under ``/_sandbox/``: switches, faults, clock, log and deliveries.

They need no credential: ``app`` passes on only requests that name this computer as their host.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import fields, replace
from typing import Any, TypeVar
from urllib.parse import quote

from django_meetergo.sandbox import bookings, changes, documents, provisional, static_files
from django_meetergo.sandbox.changes import find_next_start
from django_meetergo.sandbox.clock import parse_instant, print_instant
from django_meetergo.sandbox.deliveries import Deliveries
from django_meetergo.sandbox.errors import Refused
from django_meetergo.sandbox.faults import Fault
from django_meetergo.sandbox.html import build_hosted_page, tag
from django_meetergo.sandbox.http import Request, Response, error_response, html_response, json_response
from django_meetergo.sandbox.records import Appointment, Provisional
from django_meetergo.sandbox.scenarios import add_appointments, occupy_slot
from django_meetergo.sandbox.service import Service
from django_meetergo.sandbox.settings import MAX_NUMBER, check_kind
from django_meetergo.sandbox.state import State

Number = TypeVar("Number", int, float)
MAX_MINUTES = 100_000
FAULT_OPTIONS = frozenset(item.name for item in fields(Fault) if item.init) - {"route", "kind"}


def respond(service: Service, request: Request) -> Response:
    """Answer a control request. A form of the dashboard is answered by a redirect back to its panel."""
    name = request.path.removeprefix("/_sandbox/")
    if name.startswith("static/") and request.method in {"GET", "HEAD"}:
        return static_files.respond(name.removeprefix("static/"))
    if not request.is_form:
        return _respond(service, request)
    response = _respond(service, replace(request, body=_encode_form(request)))
    if response.status < 300:
        panel = quote(request.get("panel") or "", safe="")
        return Response(303, headers={"Location": f"/#{panel}".removesuffix("#")})
    message = json.loads(response.body)["message"]
    shown = tag("p", message if isinstance(message, str) else "; ".join(message), data_message=True)
    page = build_hosted_page("That did not work", shown)
    return html_response(page, response.status)


def _encode_form(request: Request) -> bytes:
    """Return the fields of a form as a JSON object with numbers and booleans; empty fields are left out."""
    fields: dict[str, Any] = dict(request.form())
    for name, value in fields.items():
        if value in {"true", "false"}:
            fields[name] = value == "true"
        with suppress(ValueError):
            fields[name] = float(value) if "." in value else int(value)
    return json.dumps(fields).encode()


def _respond(service: Service, request: Request) -> Response:
    parts = request.path.removeprefix("/_sandbox/").strip("/").split("/")
    try:
        if len(parts) == 3 and parts[0] in ACTIONS and request.method == "POST":
            return ACTIONS[parts[0]](service, request, parts[1], parts[2])
        handler = HANDLERS.get((request.method, "/".join(parts)))
        if handler is None:
            return error_response(404, f"Cannot {request.method} {request.path}")
        return handler(service, request)
    except Refused as refusal:
        return error_response(refusal.status, refusal.message, **refusal.extra)
    except (ValueError, TypeError, OverflowError) as error:
        return error_response(400, str(error))


def _read_number(body: dict[str, Any], name: str, default: Number, limit: float) -> Number:
    """Return a number of a body, of the default's kind. Raises ``ValueError`` for anything else."""
    value: Number = body.get(name, default)
    check_kind(name, value, default, limit)
    return value


def _reset(service: Service, request: Request) -> Response:
    service.reset(**request.json())
    return json_response(vars(service.settings))


def _configure(service: Service, request: Request) -> Response:
    service.configure(**request.json())
    return json_response(vars(service.settings))


def _add_fault(service: Service, request: Request) -> Response:
    body = request.json()
    route, kind = str(body.pop("route", "*")), str(body.pop("kind", ""))
    if unknown := sorted(set(body) - FAULT_OPTIONS):
        options = ", ".join(sorted(FAULT_OPTIONS))
        raise ValueError(f"A fault has no option {', '.join(unknown)}; choose from {options}.")
    service.faults.add(route, kind, **body)
    return json_response({"armed": len(service.faults.list_armed())}, 201)


def _clear_faults(service: Service, _: Request) -> Response:
    service.faults.clear()
    return Response(204)


def _show_log(service: Service, request: Request) -> Response:
    since = int(request.get("since") or 0)
    return json_response(service.request_log.entries(since=since, kind=request.get("kind")))


def _list_mails(service: Service, _: Request) -> Response:
    return json_response(
        [
            {**vars(mail), "start": print_instant(mail.start), "sent_at": print_instant(mail.sent_at)}
            for mail in service.state.mailbox.mails
        ]
    )


def _set_clock(service: Service, request: Request) -> Response:
    body = request.json()
    offset = float(body.get("offset_seconds", 0))
    if "advance_seconds" in body:
        offset = service.clock.offset_seconds + float(body["advance_seconds"])
    service.clock.offset_seconds = offset
    return json_response(
        {"offset_seconds": service.clock.offset_seconds, "now": service.clock.now().isoformat()}
    )


PROVISIONAL_ACTIONS: dict[str, Callable[[State, str], Appointment | Provisional]] = {
    "confirm": bookings.confirm,
    "approve": bookings.approve,
    "expire": provisional.expire,
    "decline": provisional.decline,
}


def _end_provisional(service: Service, request: Request, provisional_id: str, action: str) -> Response:
    if action not in PROVISIONAL_ACTIONS:
        return error_response(404, f"The actions are {', '.join(PROVISIONAL_ACTIONS)}")
    made = PROVISIONAL_ACTIONS[action](service.state, provisional_id)
    if isinstance(made, Appointment):
        return json_response({"appointmentId": made.id, "secret": made.secret, "status": "confirmed"})
    return json_response({"provisionalBookingId": made.id, "status": made.status, "type": made.type})


def _change_appointment(service: Service, request: Request, appointment_id: str, action: str) -> Response:
    state, body = service.state, request.json()
    if (found := state.appointments.get(appointment_id)) is None:
        return error_response(404, "Appointment not found")
    if action == "cancel":
        attendee_id = body.get("attendeeId")
        changes.cancel(
            state, found, source="host", by=None, attendee_id=attendee_id, everyone=attendee_id is None
        )
    elif action == "move":
        start = parse_instant(body["start"]) if "start" in body else find_next_start(state, found)
        if start is None:
            raise Refused(400, "No other time is free, or start is not ISO 8601 with an offset")
        changes.move(state, found, start)
    else:
        return error_response(404, "The actions are cancel, move")
    return json_response({"appointmentId": found.id, "start": print_instant(found.start)})


def _change_fault(service: Service, _: Request, number: str, action: str) -> Response:
    if action != "disarm":
        return error_response(404, "The action is disarm")
    service.faults.disarm(int(number))
    return Response(204)


def _change_delivery(service: Service, request: Request, delivery_id: str, action: str) -> Response:
    if action == "send":
        copies = _read_number(request.json(), "count", 1, 100)
        service.deliveries.resend(int(delivery_id), copies=copies)
    elif action == "drop":
        service.deliveries.drop_one(int(delivery_id))
    else:
        return error_response(404, "The actions are drop, send")
    return json_response({"pending": service.deliveries.count_pending()})


def _occupy_slot(service: Service, request: Request) -> Response:
    body = request.json()
    start = parse_instant(body.get("start"))
    if start is None or body.get("hostId") not in service.state.users:
        raise Refused(400, "Give the hostId of a host and a start in ISO 8601 with an offset")
    if body.get("meetingTypeId") and body["meetingTypeId"] not in service.state.meeting_types:
        raise Refused(404, "Meeting type not found")
    if not 0 <= int(body.get("duration") or 0) <= MAX_MINUTES:
        raise Refused(400, f"duration is minutes, at most {MAX_MINUTES}")
    made = occupy_slot(
        service.state,
        body["hostId"],
        start,
        body.get("duration"),
        meeting_type_id=body.get("meetingTypeId"),
        name=str(body.get("name") or "Robin Other"),
    )
    return json_response({"appointmentId": made.id, "secret": made.secret}, 201)


def _add_appointments(service: Service, request: Request) -> Response:
    body = request.json()
    count = _read_number(body, "count", 1000, 1_000_000)
    days_back = _read_number(body, "days_back", 400, 36_500)
    add_appointments(service.state, count, days_back=days_back)
    return json_response({"appointments": len(service.state.appointments)}, 201)


def _show_state(service: Service, _: Request) -> Response:
    return json_response(build_state_document(service.state))


def build_state_document(state: State) -> dict[str, Any]:
    """Return every appointment, provisional booking and webhook, with secrets, for comparison in tests."""
    with state.lock:
        provisional.expire_overdue(state)
        return {
            "appointments": [_build_appointment(state, one) for one in state.appointments.values()],
            "provisional": [_build_provisional(state, one) for one in state.provisionals.values()],
            "webhooks": [documents.webhook_document(one) for one in state.webhooks.values()],
        }


def _build_appointment(state: State, one: Appointment) -> documents.Document:
    kind = state.meeting_types[one.meeting_type_id]
    return documents.appointment_document(one, kind, state.get_hosts(one.host_ids))


def _build_provisional(state: State, one: Provisional) -> documents.Document:
    return {
        **documents.provisional_document(one, state.get_hosts(one.host_ids)),
        "status": one.status,
        "appointmentId": one.appointment_id,
        "hostIds": list(one.host_ids),
    }


def _control_deliveries(service: Service, request: Request) -> Response:
    body = request.json()
    action = str(body.get("action", ""))
    if action not in DELIVERY_ACTIONS:
        raise ValueError(f"action must be one of {', '.join(sorted(DELIVERY_ACTIONS))}")
    DELIVERY_ACTIONS[action](service.deliveries, body)
    return json_response({"pending": service.deliveries.count_pending()})


def _duplicate(deliveries: Deliveries, body: dict[str, Any]) -> None:
    deliveries.settings.duplicate = _read_number(body, "count", 2, 100)


def _delay(deliveries: Deliveries, body: dict[str, Any]) -> None:
    deliveries.settings.delay = _read_number(body, "seconds", 1.0, MAX_NUMBER)


def _drop(deliveries: Deliveries, body: dict[str, Any]) -> None:
    """With ``count``, drop that many of the next deliveries (-1: all); without, those that are pending."""
    if "count" in body:
        deliveries.settings.drop = _read_number(body, "count", 0, MAX_NUMBER)
    else:
        deliveries.drop_pending()


def _use_legacy_envelope(deliveries: Deliveries, body: dict[str, Any]) -> None:
    deliveries.settings.legacy = bool(body.get("on", True))


def _set_retries(deliveries: Deliveries, body: dict[str, Any]) -> None:
    retries, seconds = _read_number(body, "count", 3, 20), _read_number(body, "seconds", 0.5, MAX_NUMBER)
    deliveries.settings.retries, deliveries.settings.retry_seconds = retries, seconds


def _send_forged(deliveries: Deliveries, body: dict[str, Any]) -> None:
    document = body.get("body")
    if not isinstance(document, dict) or not isinstance(body.get("endpoint"), str):
        raise TypeError("send needs an endpoint and a body")
    event = str(document.get("webhookType", "unknown"))
    deliveries.enqueue(webhook_id=None, endpoint=body["endpoint"], event=event, document=document)


DELIVERY_ACTIONS: dict[str, Callable[[Deliveries, dict[str, Any]], object]] = {
    "hold": lambda deliveries, _: deliveries.hold(),
    "release": lambda deliveries, _: deliveries.release(),
    "shuffle": lambda deliveries, body: deliveries.shuffle(body.get("seed") or 0),
    "duplicate": _duplicate,
    "delay": _delay,
    "drop": _drop,
    "legacy": _use_legacy_envelope,
    "retries": _set_retries,
    "replay": lambda deliveries, body: deliveries.replay(shuffled=bool(body.get("shuffled"))),
    "send_pending": lambda deliveries, _: deliveries.send_pending(),
    "wait_idle": lambda deliveries, body: deliveries.wait_idle(float(body.get("seconds", 5))),
    "send": _send_forged,
}

#: What can be done with one of the things that are named by ``/<kind>/<id>/<action>``.
ACTIONS: dict[str, Callable[[Service, Request, str, str], Response]] = {
    "provisional": _end_provisional,
    "appointments": _change_appointment,
    "faults": _change_fault,
    "deliveries": _change_delivery,
}

HANDLERS: dict[tuple[str, str], Callable[[Service, Request], Response]] = {
    ("POST", "reset"): _reset,
    ("POST", "settings"): _configure,
    ("POST", "faults"): _add_fault,
    ("DELETE", "faults"): _clear_faults,
    ("POST", "faults/clear"): _clear_faults,
    ("GET", "mails"): _list_mails,
    ("GET", "log"): _show_log,
    ("POST", "clock"): _set_clock,
    ("POST", "slots/occupy"): _occupy_slot,
    ("POST", "deliveries"): _control_deliveries,
    ("POST", "appointments"): _add_appointments,
    ("GET", "state"): _show_state,
}
