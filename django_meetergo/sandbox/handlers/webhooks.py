"""Registration of webhook endpoints."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from django_meetergo.sandbox import documents
from django_meetergo.sandbox.deliveries import is_loopback
from django_meetergo.sandbox.errors import Refused
from django_meetergo.sandbox.http import Response, json_response
from django_meetergo.sandbox.records import Webhook
from django_meetergo.sandbox.routing import Call, read_text
from django_meetergo.sandbox.webhooks import add_webhook

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


def list_webhooks(call: Call) -> Response:
    return json_response([documents.webhook_document(webhook) for webhook in call.state.webhooks.values()])


def create_webhook(call: Call) -> Response:
    body = call.request.json()
    _check_webhook(body, required=("endpoint", "eventTypes"))
    description = read_text(body, "description")
    webhook = add_webhook(call.state, body["endpoint"], list(body["eventTypes"]), description)
    return json_response(documents.webhook_document(webhook), 201)


def update_webhook(call: Call) -> Response:
    webhook, body = _get_webhook(call), call.request.json()
    _check_webhook(body, required=())
    webhook.endpoint = body.get("endpoint", webhook.endpoint)
    webhook.event_types = list(body.get("eventTypes", webhook.event_types))
    if "description" in body:
        webhook.description = read_text(body, "description")
    call.state.request_log.write("applied", change="webhook_updated", webhookId=webhook.id)
    return json_response(documents.webhook_document(webhook))


def delete_webhook(call: Call) -> Response:
    webhook = _get_webhook(call)
    del call.state.webhooks[webhook.id]
    call.state.request_log.write("applied", change="webhook_deleted", webhookId=webhook.id)
    return Response(204)


def _get_webhook(call: Call) -> Webhook:
    wanted = call.params["id"]
    found = next((one for one in call.state.webhooks.values() if str(one.id) == wanted), None)
    if found is None:
        raise Refused(404, "Webhook not found")
    return found


def _check_webhook(body: dict[str, Any], *, required: tuple[str, ...]) -> None:
    problems = []
    if ("endpoint" in body or "endpoint" in required) and not _is_endpoint(body.get("endpoint")):
        problems.append("endpoint must be an HTTPS URL")
    if "eventTypes" in body or "eventTypes" in required:
        wanted = body.get("eventTypes")
        if not isinstance(wanted, list) or not wanted:
            problems.append("eventTypes should not be empty")
        elif any(name not in EVENT_TYPES for name in wanted):
            problems.append(f"each value in eventTypes must be one of: {', '.join(EVENT_TYPES)}")
    if body.get("description") is not None and not isinstance(body["description"], str):
        problems.append("description must be a string")
    if problems:
        raise Refused(400, problems)


def _is_endpoint(value: object) -> bool:
    if not isinstance(value, str):
        return False
    try:
        address = urlsplit(value)
        _ = address.port  # raises ValueError for a malformed one
    except ValueError:
        return False
    if address.scheme == "http":
        return is_loopback(value)
    return address.scheme == "https" and bool(address.hostname)
