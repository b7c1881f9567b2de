"""The root routes of the booking guide, which exist beside those under ``/v4``."""

from __future__ import annotations

import hmac

from django_meetergo.sandbox import changes
from django_meetergo.sandbox.booking_requests import read_start
from django_meetergo.sandbox.errors import Refused
from django_meetergo.sandbox.handlers.appointments import cancel_for_host
from django_meetergo.sandbox.http import Response, json_response
from django_meetergo.sandbox.records import Appointment
from django_meetergo.sandbox.routing import Call, read_text


def cancel_as_host(call: Call) -> Response:
    appointment, body = call.get_appointment(), call.request.json()
    cancel_for_host(call, appointment, body, reason=read_text(body, "cancellationReason"))
    return json_response({"appointmentId": appointment.id, "isCancelled": appointment.is_cancelled})


def cancel_with_secret(call: Call) -> Response:
    appointment = _get_with_secret(call, call.params["id"], call.params["secret"])
    body = call.request.json()
    attendee_id = read_text(body, "attendeeId")
    by = attendee_id or next((attendee.id for attendee in appointment.attendees), None)
    reason = read_text(body, "cancellationReason")
    changes.cancel(call.state, appointment, source="attendee", by=by, reason=reason, attendee_id=attendee_id)
    return json_response({"appointmentId": appointment.id, "isCancelled": appointment.is_cancelled})


def reschedule_as_host(call: Call) -> Response:
    appointment = call.get_appointment()
    changes.move(call.state, appointment, read_start(call.request.json()))
    return json_response({"appointmentId": appointment.id, "secret": appointment.secret})


def reschedule_with_secret(call: Call) -> Response:
    body = call.request.json()
    appointment_id, secret = read_text(body, "appointmentId"), read_text(body, "secret")
    missing = [f"{name} should not be empty" for name in ("appointmentId", "secret") if not body.get(name)]
    if missing:
        raise Refused(400, missing)
    start = read_start(body)
    appointment = _get_with_secret(call, appointment_id or "", secret or "")
    changes.move(call.state, appointment, start)
    return json_response({"appointmentId": appointment.id, "secret": appointment.secret})


def _get_with_secret(call: Call, appointment_id: str, secret: str) -> Appointment:
    # A wrong secret looks like a missing appointment, so that ids cannot be probed.
    found = call.state.appointments.get(appointment_id)
    if found is None or not hmac.compare_digest(found.secret.encode(), secret.encode()):
        raise Refused(404, "Appointment not found")
    return found
