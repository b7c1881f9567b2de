"""Registered webhook endpoints."""

from __future__ import annotations

from django_meetergo.sandbox.errors import Refused
from django_meetergo.sandbox.records import Webhook
from django_meetergo.sandbox.state import State

MAX_WEBHOOKS = 6


def add_webhook(
    state: State, endpoint: str, event_types: list[str], description: str | None = None
) -> Webhook:
    """Register an endpoint. Raises ``Refused`` (406) if there are six already."""
    with state.lock:
        if len(state.webhooks) >= MAX_WEBHOOKS:
            raise Refused(406, "Maximum number of webhooks reached")
        webhook = Webhook(state.next_webhook_id, endpoint, event_types, description, state.now())
        state.next_webhook_id += 1
        state.webhooks[webhook.id] = webhook
        state.request_log.write("applied", change="webhook_created", webhookId=webhook.id)
        return webhook
