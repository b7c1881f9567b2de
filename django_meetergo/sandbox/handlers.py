"""The service's routes. Each handler reads a call, asks the state, and answers."""

from __future__ import annotations

import hmac
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

from django_meetergo.sandbox import documents
from django_meetergo.sandbox.availability import get_availability
from django_meetergo.sandbox.clock import print_instant
from django_meetergo.sandbox.deliveries import is_loopback
from django_meetergo.sandbox.http import Answer, answer_json
from django_meetergo.sandbox.records import Appointment, MeetingType, Provisional, Refused, Webhook
from django_meetergo.sandbox.requests import MAX_GUESTS, is_address, read_booking_request, read_start
from django_meetergo.sandbox.routing import Call, Route, read_bound, read_limit, read_page, read_text

EVENT_TYPES = (
    "booking_created",
    "booking_rescheduled",
    "booking_cancelled",
    "form_submission",
    "new_employee",
    "credential_error",
    "review_submitted",
    "review_published",
    "signature_completed",
)

# People


def get_me(call: Call) -> Answer:
    return answer_json(documents.user_document(call.user))


def list_users(call: Call) -> Answer:
    call.require_admin()
    limit, offset = read_limit(call.request, 20)
    wanted = call.request.one("userType")
    users = [user for user in call.state.users.values() if wanted in (None, user.user_type)]
    page = [documents.user_document(user) for user in users[offset : offset + limit]]
    return answer_json({"users": page, "total": len(users), "limit": limit, "offset": offset})


# Meeting types


def list_meeting_types(call: Call) -> Answer:
    kinds = [kind for kind in call.state.meeting_types.values() if call.user.is_admin or _offers(call, kind)]
    if call.settings.wrapped_meeting_types:
        return answer_json({"meetingTypes": [documents.old_meeting_type_document(kind) for kind in kinds]})
    return answer_json([documents.meeting_type_document(kind) for kind in kinds])


def _offers(call: Call, kind: MeetingType) -> bool:
    queue = call.state.queues.get(kind.queue_id or "")
    return kind.user_id == call.user.id or (queue is not None and call.user.id in queue.user_ids)


def get_meeting_type(call: Call) -> Answer:
    return answer_json(documents.meeting_type_document(_meeting_type(call)))


def _meeting_type(call: Call) -> MeetingType:
    wanted = call.params["id"]
    kind = call.state.meeting_types.get(wanted)
    if kind is not None:
        return kind
    if call.settings.malformed_id_500 and not _is_uuid(wanted):
        raise Refused(500, "Internal server error")
    raise Refused(404, "Meeting type not found")


def _is_uuid(text: str) -> bool:
    try:
        UUID(text)
    except ValueError:
        return False
    return True


# Booking


def create_booking(call: Call) -> Answer:
    order = read_booking_request(call.request.json(), call.state)
    made = call.state.book(order)
    if isinstance(made, Provisional):
        spelled = made.type[0].upper() + made.type[1:] if call.settings.guide_spelling else made.type
        return answer_json({"bookingType": spelled, "provisionalBookingId": made.id}, 201)
    confirmed = {"appointmentId": made.id, "secret": made.secret}
    if order.attendee.email:
        confirmed["attendeeEmail"] = order.attendee.email
    return answer_json(confirmed, 201)


# Appointments


def list_appointments(call: Call) -> Answer:
    request, page, whose = call.request, read_page(call), call.whose()
    order, direction = _read_order_by(call)
    found, total = call.state.appointments_of(
        whose.id,
        start=read_bound(request.one("start"), "start", whose.zone),
        end=read_bound(request.one("end"), "end", whose.zone),
        matches=_read_filter(call),
        by_creation=order == "appointment.createdAt",
        descending=direction == "DESC",
        offset=page.offset,
        limit=page.limit,
    )
    return answer_json({"appointments": [call.show(one) for one in found], "total": total, **page.facts})


def _read_order_by(call: Call) -> tuple[str, str]:
    order = call.request.one("sortBy") or "appointment.start"
    direction = call.request.one("sortDirection") or "ASC"
    if order not in {"appointment.start", "appointment.createdAt"}:
        raise Refused(
            400, ["sortBy must be one of the following values: appointment.start, appointment.createdAt"]
        )
    if direction not in {"ASC", "DESC"}:
        raise Refused(400, ["sortDirection must be one of the following values: ASC, DESC"])
    return order, direction


def _read_filter(call: Call) -> Callable[[Appointment], bool] | None:
    """All conditions in one question; None when there are none, which keeps a plain page cheap."""
    request = call.request
    tests: list[Callable[[Appointment], bool]] = []
    if (kind_id := request.one("meetingTypeId")) is not None:
        tests.append(lambda one: one.meeting_type_id == kind_id)
    if (words := request.one("search")) is not None:
        tests.append(lambda one: _mentions(call, one, words.casefold()))
    if people := set(request.many("attendeeIds")):
        tests.append(lambda one: any(person.id in people for person in one.attendees))
    if (status := request.one("status")) is not None:
        tests.append(lambda one: _has_status(one, status))
    if call.list_lag > 0:
        newest = call.state.now() - timedelta(seconds=call.list_lag)
        tests.append(lambda one: one.created_at <= newest)
    if not tests:
        return None
    return lambda one: all(test(one) for test in tests)


def _mentions(call: Call, appointment: Appointment, words: str) -> bool:
    texts = [call.state.meeting_types[appointment.meeting_type_id].name]
    for person in appointment.attendees:
        texts += [person.email or "", person.fullname or ""]
    return any(words in text.casefold() for text in texts)


def _has_status(appointment: Appointment, status: str) -> bool:
    # The service's values are not published; other words than these do not filter.
    known = {
        "cancelled": appointment.is_cancelled,
        "confirmed": not appointment.is_cancelled,
        "rescheduled": appointment.rescheduled_at is not None,
    }
    return known.get(status.lower(), True)


def list_today(call: Call) -> Answer:
    now = call.state.now().astimezone(call.user.zone)
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    last = midnight + timedelta(days=1, microseconds=-1)
    matches = _read_filter(call)
    found, _ = call.state.appointments_of(call.user.id, start=midnight, end=last, matches=matches, limit=1000)
    return answer_json([call.show(one) for one in found])


def get_appointment(call: Call) -> Answer:
    return answer_json(call.show(call.appointment()))


def cancel_appointment(call: Call) -> Answer:
    appointment, body = call.appointment(), call.request.json()
    _cancel_as_host(call, appointment, body, reason=read_text(body, "reason", limit=500))
    return answer_json(call.show(appointment))


def _cancel_as_host(
    call: Call, appointment: Appointment, body: dict[str, Any], *, reason: str | None
) -> None:
    call.state.cancel(
        appointment,
        source="host",
        by=call.user.id,
        reason=reason,
        attendee_id=read_text(body, "attendeeId"),
        everyone=body.get("cancelAll") is True,
    )


def reschedule_appointment(call: Call) -> Answer:
    appointment, body = call.appointment(), call.request.json()
    ignore = body.get("ignoreAvailability") is True
    former = call.state.move(appointment, read_start(body), ignore_availability=ignore)
    return answer_json({"appointment": call.show(appointment), "previousStart": print_instant(former)})


def add_guest(call: Call) -> Answer:
    appointment, body = call.appointment(), call.request.json()
    attendee_id, email = read_text(body, "attendeeId"), body.get("email")
    if not attendee_id:
        raise Refused(400, ["attendeeId should not be empty"])
    if not is_address(email):
        raise Refused(400, ["email must be an email"])
    present = next((person.guests for person in appointment.attendees if person.id == attendee_id), [])
    if len(present) >= MAX_GUESTS:
        raise Refused(400, f"No more than {MAX_GUESTS} guests are allowed")
    return answer_json(call.show(call.state.add_guest(appointment, attendee_id, str(email))))


def set_note(call: Call) -> Answer:
    appointment = call.appointment()
    note = read_text(call.request.json(), "note")
    if note is None:
        raise Refused(400, ["note must be a string"])
    return answer_json(call.show(call.state.set_note(appointment, note)))


# The booking guide's routes


def cancel_as_host(call: Call) -> Answer:
    appointment, body = call.appointment(), call.request.json()
    _cancel_as_host(call, appointment, body, reason=read_text(body, "cancellationReason"))
    return answer_json({"appointmentId": appointment.id, "isCancelled": appointment.is_cancelled})


def cancel_with_secret(call: Call) -> Answer:
    appointment = _unlock(call, call.params["id"], call.params["secret"])
    body = call.request.json()
    attendee_id = read_text(body, "attendeeId")
    by = attendee_id or next((person.id for person in appointment.attendees), None)
    reason = read_text(body, "cancellationReason")
    call.state.cancel(appointment, source="attendee", by=by, reason=reason, attendee_id=attendee_id)
    return answer_json({"appointmentId": appointment.id, "isCancelled": appointment.is_cancelled})


def reschedule_as_host(call: Call) -> Answer:
    appointment = call.appointment()
    call.state.move(appointment, read_start(call.request.json()))
    return answer_json({"appointmentId": appointment.id, "secret": appointment.secret})


def reschedule_with_secret(call: Call) -> Answer:
    body = call.request.json()
    appointment_id, secret = read_text(body, "appointmentId"), read_text(body, "secret")
    missing = [f"{name} should not be empty" for name in ("appointmentId", "secret") if not body.get(name)]
    if missing:
        raise Refused(400, missing)
    start = read_start(body)
    appointment = _unlock(call, appointment_id or "", secret or "")
    call.state.move(appointment, start)
    return answer_json({"appointmentId": appointment.id, "secret": appointment.secret})


def _unlock(call: Call, appointment_id: str, secret: str) -> Appointment:
    # A wrong secret looks like a missing appointment, so that ids cannot be probed.
    found = call.state.appointments.get(appointment_id)
    if found is None or not hmac.compare_digest(found.secret.encode(), secret.encode()):
        raise Refused(404, "Appointment not found")
    return found


# Waiting bookings


def list_provisional(call: Call) -> Answer:
    request, page, whose = call.request, read_page(call), call.whose()
    everybody = request.flag("companyWide")
    if everybody:
        call.require_admin()
    call.state.lapse()
    newest = call.state.now() - timedelta(seconds=call.list_lag)
    found = [
        one
        for one in call.state.provisionals.values()
        if (everybody or whose.id in one.host_ids)
        and request.one("status") in (None, one.status)
        and request.one("meetingTypeId") in (None, one.meeting_type_id)
        and (call.list_lag <= 0 or one.created_at <= newest)
    ]
    shown = [_show_provisional(call, one) for one in found[page.offset : page.offset + page.limit]]
    return answer_json({"provisionalBookings": shown, "total": len(found)})


def _show_provisional(call: Call, one: Provisional) -> documents.Document:
    return documents.provisional_document(one, call.state.hosts_of(one.host_ids), marked=call.marked)


def decline_provisional(call: Call) -> Answer:
    found = call.state.provisionals.get(call.params["id"])
    if found is None or not (call.user.is_admin or call.user.id in found.host_ids):
        raise Refused(404, "Provisional booking not found")
    call.state.decline(found.id, read_text(call.request.json(), "reason"))
    return Answer(200)


# Queues, links, fields


def get_queue(call: Call) -> Answer:
    queue = call.state.queues.get(call.params["id"])
    if queue is None:
        raise Refused(404, "Queue not found")
    return answer_json(documents.queue_document(queue, call.state.hosts_of(queue.user_ids)))


def get_next_hosts(call: Call) -> Answer:
    queue = call.state.queues.get(call.params["id"])
    if queue is None:
        raise Refused(404, "Queue not found")
    hosts = call.state.hosts_of(queue.rotation())
    return answer_json({"nextHosts": [documents.host_document(host) for host in hosts]})


def list_workspace_queues(call: Call) -> Answer:
    wanted = call.params["workspaceId"]
    queues = [queue for queue in call.state.queues.values() if queue.workspace_id == wanted]
    if not queues:
        raise Refused(404, "Workspace not found")
    return answer_json([documents.queue_document(one, call.state.hosts_of(one.user_ids)) for one in queues])


def create_link(call: Call) -> Answer:
    kind, link_id = _meeting_type(call), str(uuid4())
    return answer_json({"id": link_id, "url": f"{documents.booking_url(kind)}?oneTimeLinkId={link_id}"}, 201)


def list_data_fields(call: Call) -> Answer:
    limit, offset = read_limit(call.request, 50)
    return answer_json(call.state.data_fields[offset : offset + limit])


# Webhook endpoints


def list_webhooks(call: Call) -> Answer:
    return answer_json([documents.webhook_document(one) for one in call.state.webhooks.values()])


def create_webhook(call: Call) -> Answer:
    body = call.request.json()
    _check_webhook(body, needed=("endpoint", "eventTypes"))
    webhook = call.state.add_webhook(
        body["endpoint"], list(body["eventTypes"]), read_text(body, "description")
    )
    return answer_json(documents.webhook_document(webhook), 201)


def update_webhook(call: Call) -> Answer:
    webhook, body = _webhook(call), call.request.json()
    _check_webhook(body, needed=())
    webhook.endpoint = body.get("endpoint", webhook.endpoint)
    webhook.event_types = list(body.get("eventTypes", webhook.event_types))
    if "description" in body:
        webhook.description = read_text(body, "description")
    call.state.request_log.write("applied", change="webhook_updated", webhookId=webhook.id)
    return answer_json(documents.webhook_document(webhook))


def delete_webhook(call: Call) -> Answer:
    webhook = _webhook(call)
    del call.state.webhooks[webhook.id]
    call.state.request_log.write("applied", change="webhook_deleted", webhookId=webhook.id)
    return Answer(204)


def _webhook(call: Call) -> Webhook:
    wanted = call.params["id"]
    found = call.state.webhooks.get(int(wanted)) if wanted.isascii() and wanted.isdigit() else None
    if found is None:
        raise Refused(404, "Webhook not found")
    return found


def _check_webhook(body: dict[str, Any], *, needed: tuple[str, ...]) -> None:
    problems = []
    if ("endpoint" in body or "endpoint" in needed) and not _is_endpoint(body.get("endpoint")):
        problems.append("endpoint must be an HTTPS URL")
    if "eventTypes" in body or "eventTypes" in needed:
        wanted = body.get("eventTypes")
        if not isinstance(wanted, list) or not wanted:
            problems.append("eventTypes should not be empty")
        elif any(name not in EVENT_TYPES for name in wanted):
            problems.append(f"each value in eventTypes must be one of: {', '.join(EVENT_TYPES)}")
    if problems:
        raise Refused(400, problems)


def _is_endpoint(value: object) -> bool:
    if not isinstance(value, str):
        return False
    try:
        return value.startswith("https://") or (value.startswith("http://") and is_loopback(value))
    except ValueError:
        return False


def _as_account(method: str, template: str, handler: Callable[[Call], Answer]) -> Route:
    return Route(method, template, handler, scope="account")


# The first match wins, so fixed words stand before parameters.
ROUTES = (
    Route("GET", "/v4/user/me", get_me, scope="account", needs_user=False),
    _as_account("GET", "/v4/user", list_users),
    Route("GET", "/v4/meeting-type", list_meeting_types),
    Route("GET", "/v4/meeting-type/{id}", get_meeting_type),
    Route("GET", "/v4/booking-availability", get_availability, needs_user=False),
    Route("POST", "/v4/booking", create_booking, needs_user=False),
    Route("GET", "/v4/appointment/paginated", list_appointments),
    Route("GET", "/v4/appointment/today", list_today),
    Route("GET", "/v4/appointment/{id}", get_appointment),
    Route("POST", "/v4/appointment/{id}/cancel", cancel_appointment),
    Route("POST", "/v4/appointment/{id}/reschedule", reschedule_appointment),
    Route("PATCH", "/v4/appointment/{id}/guest", add_guest),
    Route("PATCH", "/v4/appointment/{id}/notes", set_note),
    Route("GET", "/v4/provisional-booking/paginated", list_provisional),
    Route("POST", "/v4/provisional-booking/{id}/decline", decline_provisional),
    Route("GET", "/v4/queue/workspace/{workspaceId}", list_workspace_queues),
    Route("GET", "/v4/queue/{id}", get_queue),
    Route("GET", "/v4/queue/{id}/next", get_next_hosts),
    Route("POST", "/v4/one-time-booking-link/create/{id}", create_link),
    Route("GET", "/v4/data-field", list_data_fields),
    _as_account("GET", "/webhooks", list_webhooks),
    _as_account("POST", "/webhooks", create_webhook),
    _as_account("PATCH", "/webhooks/{id}", update_webhook),
    _as_account("DELETE", "/webhooks/{id}", delete_webhook),
    Route("POST", "/booking/cancel/{id}", cancel_as_host, needs_user=False),
    Route("POST", "/booking/reschedule/{id}", reschedule_as_host, needs_user=False),
    Route("POST", "/booking/confirm/cancel/{id}/{secret}", cancel_with_secret, is_open=True),
    Route("POST", "/booking/confirm/reschedule", reschedule_with_secret, is_open=True),
)
