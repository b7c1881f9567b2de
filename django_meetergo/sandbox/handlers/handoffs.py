"""``/v4/handoff``: handing appointments over to colleagues.

Only the requests and the keys ``success``, ``conflicts`` and ``users[].blocked`` are documented; the rest of
the responses is assumed.
"""

from __future__ import annotations

from typing import Any

from django_meetergo.sandbox import documents
from django_meetergo.sandbox.booking_requests import find_type_problems
from django_meetergo.sandbox.errors import Refused
from django_meetergo.sandbox.handoffs import hand_over, is_free_for
from django_meetergo.sandbox.http import Response, json_response
from django_meetergo.sandbox.records import Appointment
from django_meetergo.sandbox.routing import Call, read_bound, read_text


def hand_over_appointment(call: Call) -> Response:
    """Hand one appointment over to a user, or to the next free host of a queue."""
    body = call.request.json()
    appointment = _get_appointment(call, read_text(body, "appointmentId"))
    targets = _read_targets(call, body)
    free = [host_id for host_id in targets if is_free_for(call.state, appointment, host_id)]
    hand_over(call.state, appointment, (free or targets)[0])
    return json_response(call.build_document(appointment))


def hand_over_many(call: Call) -> Response:
    """Hand over the appointments of some users in a window, each to the first target who is free.

    Appointments without a free target stay with their host and are listed in ``conflicts``.
    """
    call.require_admin()
    body = call.request.json()
    if problems := find_type_problems(body, booleans=("enableAvailabilityCheck", "ignoreAvailability")):
        raise Refused(400, problems)
    targets = _read_ids(body, "targetUserIds") or _read_ids(body, "targetUserId")
    _check_users(call, targets, "targetUserId")
    checks = body.get("enableAvailabilityCheck") is not False and body.get("ignoreAvailability") is not True
    conflicts = []
    for appointment in _select_appointments(call, body):
        free = [one for one in targets if not checks or is_free_for(call.state, appointment, one)]
        if free:
            hand_over(call.state, appointment, free[0], ignore_availability=not checks)
        else:
            conflicts.append({"appointmentId": appointment.id})
    return json_response({"success": not conflicts, "conflicts": conflicts})


def list_available_handoffs(call: Call) -> Response:
    """List the other hosts, and whether each is blocked at the appointment's time."""
    appointment = _get_appointment(call, call.request.get("appointmentId"))
    users = [
        {**documents.host_document(user), "blocked": not is_free_for(call.state, appointment, user.id)}
        for user in call.state.users.values()
        if user.hours and user.id not in appointment.host_ids
    ]
    return json_response({"users": users})


def _get_appointment(call: Call, appointment_id: str | None) -> Appointment:
    if not appointment_id:
        raise Refused(400, ["appointmentId should not be empty"])
    call.params["id"] = appointment_id
    return call.get_appointment()


def _read_targets(call: Call, body: dict[str, Any]) -> list[str]:
    user_id, queue_id = read_text(body, "userId"), read_text(body, "queueId")
    if user_id is not None:
        _check_users(call, [user_id], "userId")
        return [user_id]
    if queue_id is None:
        raise Refused(400, ["userId should not be empty"])
    queue = call.state.queues.get(queue_id)
    if queue is None:
        raise Refused(404, "Queue not found")
    return queue.rotation()


def _read_ids(body: dict[str, Any], name: str) -> list[str]:
    value = body.get(name)
    ids = [value] if isinstance(value, str) else (value or [])
    if not isinstance(ids, list) or not all(isinstance(one, str) for one in ids):
        raise Refused(400, [f"each value in {name} must be a string"])
    return ids


def _check_users(call: Call, user_ids: list[str], name: str) -> None:
    if not user_ids:
        raise Refused(400, [f"{name} should not be empty"])
    if not all(user_id in call.state.users for user_id in user_ids):
        raise Refused(404, "User not found")


def _select_appointments(call: Call, body: dict[str, Any]) -> list[Appointment]:
    wanted = set(_read_ids(body, "appointmentIds"))
    user_ids = _read_ids(body, "userId")
    _check_users(call, user_ids, "userId")
    zone = call.user.zone
    start = read_bound(read_text(body, "start"), "start", zone)
    end = read_bound(read_text(body, "end"), "end", zone)
    now = call.state.now()
    found: dict[str, Appointment] = {}
    for user_id in user_ids:
        appointments, _ = call.state.list_appointments(user_id, start=start, end=end, limit=1000)
        found |= {one.id: one for one in appointments if not one.is_cancelled and one.start > now}
    return [one for one in found.values() if not wanted or one.id in wanted]
