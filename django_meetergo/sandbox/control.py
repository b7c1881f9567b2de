"""The routes under ``/_sandbox/``, with which tests and people steer a sandbox. No credential is needed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from django_meetergo.sandbox import documents
from django_meetergo.sandbox.bookings import Bookings
from django_meetergo.sandbox.clock import parse_instant
from django_meetergo.sandbox.deliveries import Deliveries
from django_meetergo.sandbox.faults import Fault
from django_meetergo.sandbox.http import Answer, Request, answer_error, answer_json
from django_meetergo.sandbox.records import Appointment, Attendee, MeetingType, Provisional, Refused

if TYPE_CHECKING:
    from django_meetergo.sandbox.app import Sandbox

FAULT_OPTIONS = frozenset(item.name for item in fields(Fault) if item.init) - {
    "route",
    "kind",
    "_dice",
    "struck",
}


def respond(sandbox: Sandbox, request: Request) -> Answer:
    """Answer a control request. Pages of other sites are turned away: this face has no other lock."""
    if not request.is_from_here():
        return answer_error(403, "The sandbox answers only to its own address on this computer")
    parts = request.path.removeprefix("/_sandbox/").strip("/").split("/")
    try:
        if len(parts) == 3 and parts[0] == "provisional" and request.method == "POST":
            return _settle_provisional(sandbox, request, parts[1], parts[2])
        handler = HANDLERS.get((request.method, "/".join(parts)))
        if handler is None:
            return answer_error(404, f"Cannot {request.method} {request.path}")
        return handler(sandbox, request)
    except Refused as refusal:
        return answer_error(refusal.status, refusal.message, **refusal.extra)
    except (ValueError, TypeError) as error:
        return answer_error(400, str(error))


def _reset(sandbox: Sandbox, request: Request) -> Answer:
    sandbox.reset(**request.json())
    return answer_json(vars(sandbox.settings))


def _configure(sandbox: Sandbox, request: Request) -> Answer:
    sandbox.configure(**request.json())
    return answer_json(vars(sandbox.settings))


def _add_fault(sandbox: Sandbox, request: Request) -> Answer:
    body = request.json()
    route, kind = str(body.pop("route", "*")), str(body.pop("kind", ""))
    if unknown := sorted(set(body) - FAULT_OPTIONS):
        raise ValueError(f"A fault has no {', '.join(unknown)}; it has {', '.join(sorted(FAULT_OPTIONS))}.")
    sandbox.faults.add(route, kind, **body)
    return answer_json({"armed": len(sandbox.faults.armed())}, 201)


def _clear_faults(sandbox: Sandbox, _: Request) -> Answer:
    sandbox.faults.clear()
    return Answer(204)


def _show_request_log(sandbox: Sandbox, request: Request) -> Answer:
    since = int(request.one("since") or 0)
    return answer_json(sandbox.request_log.entries(since=since, kind=request.one("kind")))


def _set_clock(sandbox: Sandbox, request: Request) -> Answer:
    sandbox.clock.offset_seconds = float(request.json().get("offset_seconds", 0))
    return answer_json(
        {"offset_seconds": sandbox.clock.offset_seconds, "now": sandbox.clock.now().isoformat()}
    )


def _settle_provisional(sandbox: Sandbox, request: Request, provisional_id: str, action: str) -> Answer:
    actions: dict[str, Callable[[str], Appointment | Provisional]] = {
        "confirm": sandbox.state.confirm,
        "approve": sandbox.state.approve,
        "expire": sandbox.state.expire,
        "decline": sandbox.state.decline,
    }
    if action not in actions:
        return answer_error(404, f"A waiting booking can be told to {', '.join(actions)}")
    made = actions[action](provisional_id)
    if "text/html" in (request.header("Accept") or ""):
        return Answer(303, headers={"Location": "/"})
    if isinstance(made, Appointment):
        return answer_json({"appointmentId": made.id, "secret": made.secret, "status": "confirmed"})
    return answer_json({"provisionalBookingId": made.id, "status": made.status, "type": made.type})


def _occupy_slot(sandbox: Sandbox, request: Request) -> Answer:
    body = request.json()
    start = parse_instant(body.get("start"))
    if start is None or body.get("hostId") not in sandbox.state.users:
        raise Refused(400, "Give the hostId of a host and a start in ISO 8601 with an offset")
    kind_id = body.get("meetingTypeId")
    taken = occupy_slot(sandbox.state, body["hostId"], start, body.get("duration"), meeting_type_id=kind_id)
    return answer_json({"appointmentId": taken.id, "secret": taken.secret}, 201)


def _add_appointments(sandbox: Sandbox, request: Request) -> Answer:
    body = request.json()
    add_appointments(
        sandbox.state, int(body.get("appointments", 1000)), days_back=int(body.get("days_back", 400))
    )
    return answer_json({"appointments": len(sandbox.state.appointments)}, 201)


def _show_state(sandbox: Sandbox, _: Request) -> Answer:
    return answer_json(build_state_document(sandbox.state))


def build_state_document(state: Bookings) -> dict[str, Any]:
    """Everything that stands, secrets included: what a test compares with."""
    with state.lock:
        state.lapse()
        return {
            "appointments": [_show_appointment(state, one) for one in state.appointments.values()],
            "provisional": [_show_waiting(state, one) for one in state.provisionals.values()],
            "webhooks": [documents.webhook_document(one) for one in state.webhooks.values()],
        }


def _show_appointment(state: Bookings, one: Appointment) -> documents.Document:
    kind = state.meeting_types[one.meeting_type_id]
    return documents.appointment_document(one, kind, state.hosts_of(one.host_ids))


def _show_waiting(state: Bookings, one: Provisional) -> documents.Document:
    document = documents.provisional_document(one, state.hosts_of(one.host_ids))
    return {
        **document,
        "status": one.status,
        "appointmentId": one.appointment_id,
        "hostIds": list(one.host_ids),
    }


def _steer_deliveries(sandbox: Sandbox, request: Request) -> Answer:
    body = request.json()
    action = str(body.get("action", ""))
    if action not in DELIVERY_ACTIONS:
        raise ValueError(f"action must be one of {', '.join(sorted(DELIVERY_ACTIONS))}")
    DELIVERY_ACTIONS[action](sandbox.deliveries, body)
    return answer_json({"waiting": sandbox.deliveries.waiting()})


def _hold(deliveries: Deliveries, _: dict[str, Any]) -> None:
    deliveries.hold()


def _release(deliveries: Deliveries, _: dict[str, Any]) -> None:
    deliveries.release()


def _shuffle(deliveries: Deliveries, body: dict[str, Any]) -> None:
    deliveries.shuffle(body.get("seed"))


def _duplicate(deliveries: Deliveries, body: dict[str, Any]) -> None:
    deliveries.settings.duplicate = int(body.get("count", 2))


def _delay(deliveries: Deliveries, body: dict[str, Any]) -> None:
    deliveries.settings.delay = float(body.get("seconds", 1))


def _drop(deliveries: Deliveries, body: dict[str, Any]) -> None:
    """With ``count``, the next so many (-1: all); without, whatever is waiting."""
    if "count" in body:
        deliveries.settings.drop = int(body["count"])
    else:
        deliveries.drop_pending()


def _legacy(deliveries: Deliveries, body: dict[str, Any]) -> None:
    deliveries.settings.legacy = bool(body.get("on", True))


def _retries(deliveries: Deliveries, body: dict[str, Any]) -> None:
    deliveries.settings.retries = int(body.get("count", 3))
    deliveries.settings.retry_seconds = float(body.get("seconds", 0.5))


def _replay(deliveries: Deliveries, _: dict[str, Any]) -> None:
    deliveries.replay()


def _pump(deliveries: Deliveries, _: dict[str, Any]) -> None:
    deliveries.pump()


def _settle(deliveries: Deliveries, body: dict[str, Any]) -> None:
    deliveries.wait_idle(float(body.get("seconds", 5)))


def _send(deliveries: Deliveries, body: dict[str, Any]) -> None:
    """A forged delivery: any document, to any endpoint on this computer."""
    document = body.get("body")
    if not isinstance(document, dict) or not isinstance(body.get("endpoint"), str):
        raise TypeError("send needs an endpoint and a body")
    event = str(document.get("webhookType", "unknown"))
    deliveries.enqueue(webhook_id=None, endpoint=body["endpoint"], event=event, document=document)


DELIVERY_ACTIONS: dict[str, Callable[[Deliveries, dict[str, Any]], None]] = {
    "hold": _hold,
    "release": _release,
    "shuffle": _shuffle,
    "duplicate": _duplicate,
    "delay": _delay,
    "drop": _drop,
    "legacy": _legacy,
    "retries": _retries,
    "replay": _replay,
    "pump": _pump,
    "settle": _settle,
    "send": _send,
}

HANDLERS: dict[tuple[str, str], Callable[[Sandbox, Request], Answer]] = {
    ("POST", "reset"): _reset,
    ("POST", "settings"): _configure,
    ("POST", "faults"): _add_fault,
    ("DELETE", "faults"): _clear_faults,
    ("GET", "log"): _show_request_log,
    ("POST", "clock"): _set_clock,
    ("POST", "slots/occupy"): _occupy_slot,
    ("POST", "deliveries"): _steer_deliveries,
    ("POST", "appointments"): _add_appointments,
    ("GET", "state"): _show_state,
}


# What other people do


def make_other_attendee() -> Attendee:
    """Somebody else."""
    key = str(uuid4())
    email = f"rival-{key[:8]}@example.net"
    return Attendee(key, email, "Robin", "Rival", "Robin Rival", timezone="Europe/Berlin", language="de")


def occupy_slot(
    state: Bookings,
    host_id: str,
    start: datetime,
    duration: int | None = None,
    *,
    meeting_type_id: str | None = None,
    attendees: int = 1,
) -> Appointment:
    """Somebody else books a host's time, whatever the timetable says."""
    with state.lock:
        kind = state.meeting_types[meeting_type_id] if meeting_type_id else _type_of_host(state, host_id)
        return state.add_appointment(
            kind,
            host_ids=[host_id],
            start=start,
            minutes=int(duration or kind.duration),
            attendees=[make_other_attendee() for _ in range(attendees)],
        )


def _type_of_host(state: Bookings, host_id: str) -> MeetingType:
    kinds = list(state.meeting_types.values())
    return next((kind for kind in kinds if kind.user_id == host_id and not kind.is_group), kinds[0])


def occupy_requested_slot(state: Bookings, request: Request, params: dict[str, str]) -> None:
    """Let somebody else have the slot a booking or a move is about to ask for."""
    body = request.json()
    start = parse_instant(body.get("start"))
    if start is None:
        return
    moved = state.appointments.get(str(params.get("id") or body.get("appointmentId") or ""))
    if moved is not None:
        for host_id in moved.host_ids:
            occupy_slot(state, host_id, start, int(moved.length.total_seconds() // 60))
        return
    kind = state.meeting_types.get(str(body.get("meetingTypeId")))
    if kind is None:
        return
    queue = state.queues.get(kind.queue_id or "")
    host_ids = body.get("hostIds") or ([kind.user_id] if queue is None else queue.user_ids)
    minutes = int(body.get("duration") or kind.duration)
    for host_id in host_ids:
        if host_id in state.users and not state.is_taken(host_id, start, minutes):
            _occupy_seats(state, kind, host_id, start, minutes)


def _occupy_seats(state: Bookings, kind: MeetingType, host_id: str, start: datetime, minutes: int) -> None:
    seats = kind.spots if kind.is_group else 1
    occupy_slot(state, host_id, start, minutes, meeting_type_id=kind.id, attendees=seats)


def add_appointments(state: Bookings, count: int, *, days_back: int = 400) -> None:
    """Add many appointments, half an hour each, from ``days_back`` days ago on. Nobody is told of them."""
    with state.lock:
        hosts = [user.id for user in state.users.values() if user.hours]
        first = state.now().replace(minute=0, second=0, microsecond=0) - timedelta(days=days_back)
        kinds = {host_id: _type_of_host(state, host_id) for host_id in hosts}
        for number in range(count):
            host_id = hosts[number % len(hosts)]
            start = first + timedelta(minutes=30 * (number // len(hosts)))
            state.enter(state.make(kinds[host_id], [host_id], start, 30, [make_other_attendee()]))
