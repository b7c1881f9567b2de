"""Confirmed appointments under ``/v4/appointment``."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from django_meetergo.sandbox import changes
from django_meetergo.sandbox.booking_requests import MAX_GUESTS, find_type_problems, is_email, read_start
from django_meetergo.sandbox.clock import print_instant
from django_meetergo.sandbox.errors import Refused
from django_meetergo.sandbox.http import Response, json_response
from django_meetergo.sandbox.records import Appointment
from django_meetergo.sandbox.routing import Call, read_bound, read_choice, read_page, read_text


def list_appointments(call: Call) -> Response:
    request, page, owner = call.request, read_page(call), call.get_list_owner()
    order = read_choice(request, "sortBy", ("appointment.start", "appointment.createdAt"))
    direction = read_choice(request, "sortDirection", ("ASC", "DESC"))
    found, total = call.state.list_appointments(
        owner.id,
        start=read_bound(request.get("start"), "start", owner.zone),
        end=read_bound(request.get("end"), "end", owner.zone),
        matches=_build_filter(call),
        by_creation=order == "appointment.createdAt",
        descending=direction == "DESC",
        offset=page.offset,
        limit=page.limit,
    )
    documents = [call.build_document(appointment) for appointment in found]
    return json_response({"appointments": documents, "total": total, **page.facts})


def list_today(call: Call) -> Response:
    now = call.state.now().astimezone(call.user.zone)
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    last = midnight + timedelta(days=1, microseconds=-1)
    found, _ = call.state.list_appointments(
        call.user.id, start=midnight, end=last, matches=_build_filter(call), limit=1000
    )
    return json_response([call.build_document(appointment) for appointment in found])


def _build_filter(call: Call) -> Callable[[Appointment], bool] | None:
    """Return all filters as one function; None without filters, which keeps a plain page cheap."""
    request = call.request
    tests: list[Callable[[Appointment], bool]] = []
    if (kind_id := request.get("meetingTypeId")) is not None:
        tests.append(lambda one: one.meeting_type_id == kind_id)
    if (text := request.get("search")) is not None:
        tests.append(lambda one: _contains_text(call, one, text.casefold()))
    if wanted := set(request.get_list("attendeeIds")):
        tests.append(lambda one: any(attendee.id in wanted for attendee in one.attendees))
    if (status := request.get("status")) is not None:
        tests.append(lambda one: _has_status(one, status))
    if call.list_lag > 0:
        newest = call.state.now() - timedelta(seconds=call.list_lag)
        tests.append(lambda one: one.created_at <= newest)
    if not tests:
        return None
    return lambda one: all(test(one) for test in tests)


def _contains_text(call: Call, appointment: Appointment, text: str) -> bool:
    texts = [call.state.meeting_types[appointment.meeting_type_id].name]
    for attendee in appointment.attendees:
        texts += [attendee.email or "", attendee.fullname or ""]
    return any(text in one.casefold() for one in texts)


def _has_status(appointment: Appointment, status: str) -> bool:
    # The service's values are not published; any other value does not filter.
    known = {
        "cancelled": appointment.is_cancelled,
        "confirmed": not appointment.is_cancelled,
        "rescheduled": appointment.rescheduled_at is not None,
    }
    return known.get(status.lower(), True)


def get_appointment(call: Call) -> Response:
    return json_response(call.build_document(call.get_appointment()))


def cancel_appointment(call: Call) -> Response:
    appointment, body = call.get_appointment(), call.request.json()
    if problems := find_type_problems(body, booleans=("cancelAll", "cancelEntireSeries")):
        raise Refused(400, problems)
    cancel_for_host(call, appointment, body, reason=read_text(body, "reason", limit=500))
    return json_response(call.build_document(appointment))


def cancel_for_host(
    call: Call, appointment: Appointment, body: dict[str, Any], *, reason: str | None
) -> None:
    """Cancel an appointment, or remove the attendee the body names, as the acting user."""
    changes.cancel(
        call.state,
        appointment,
        source="host",
        by=call.user.id,
        reason=reason,
        attendee_id=read_text(body, "attendeeId"),
        everyone=body.get("cancelAll") is True,
    )


def reschedule_appointment(call: Call) -> Response:
    appointment, body = call.get_appointment(), call.request.json()
    if problems := find_type_problems(body, booleans=("ignoreAvailability",)):
        raise Refused(400, problems)
    previous_start = changes.move(
        call.state,
        appointment,
        read_start(body),
        ignore_availability=body.get("ignoreAvailability") is True,
    )
    return json_response(
        {"appointment": call.build_document(appointment), "previousStart": print_instant(previous_start)}
    )


def add_guest(call: Call) -> Response:
    appointment, body = call.get_appointment(), call.request.json()
    attendee_id, email = read_text(body, "attendeeId"), body.get("email")
    if not attendee_id:
        raise Refused(400, ["attendeeId should not be empty"])
    if not is_email(email):
        raise Refused(400, ["email must be an email"])
    if len(changes.find_attendee(appointment, attendee_id).guests) >= MAX_GUESTS:
        raise Refused(400, f"No more than {MAX_GUESTS} guests are allowed")
    changes.add_guest(call.state, appointment, attendee_id, str(email))
    return json_response(call.build_document(appointment))


def set_note(call: Call) -> Response:
    appointment = call.get_appointment()
    note = read_text(call.request.json(), "note")
    if note is None:
        raise Refused(400, ["note must be a string"])
    return json_response(call.build_document(changes.set_note(call.state, appointment, note)))
