"""Webhook endpoints, and what is read of the deliveries to them."""

from __future__ import annotations

from dataclasses import dataclass

from django_meetergo.exceptions import UnreadableReply
from django_meetergo.remote.payloads.reading import (
    ItemList,
    parse_list,
    read_id,
    read_line,
    read_lines,
    read_link,
    read_object,
    require_object,
)

MAX_ENDPOINT_LENGTH = 2000


@dataclass(frozen=True, kw_only=True, slots=True)
class WebhookDocument:
    """A webhook endpoint. Its address contains our token, so ``repr`` leaves it out."""

    id: str
    endpoint: str
    event_types: tuple[str, ...]

    def __repr__(self) -> str:
        return f"WebhookDocument(id={self.id!r}, event_types={self.event_types!r})"


@dataclass(frozen=True, kw_only=True, slots=True)
class Delivery:
    """A webhook delivery: the type of event and the id to re-read. Nothing else of the body is used.

    Both are empty for a body that has neither of the two known shapes.
    """

    event_type: str
    remote_id: str


def parse_webhook(document: object) -> WebhookDocument:
    """Parse a webhook endpoint. Raise ``UnreadableReply`` without an id."""
    entry = require_object(document, "a webhook")
    if not (webhook_id := read_id(entry.get("id"))):
        raise UnreadableReply("a webhook without a usable id")
    return WebhookDocument(
        id=webhook_id,
        endpoint=read_link(entry.get("endpoint"), MAX_ENDPOINT_LENGTH),
        event_types=read_lines(entry.get("eventTypes")),
    )


def parse_webhooks(document: object) -> ItemList[WebhookDocument]:
    """Parse a list of webhook endpoints and skip the entries that cannot be read."""
    return parse_list(document, parse_webhook, "webhook", key="webhooks", is_unique=True)


def parse_delivery(body: object) -> Delivery:
    """Parse a body: flat with ``webhookType``, or ``event`` beside ``data``. meetergo has sent both."""
    envelope = read_object(body)
    if event_type := read_line(envelope.get("webhookType")):
        return Delivery(event_type=event_type, remote_id=read_id(envelope.get("id")))
    if event_type := read_line(envelope.get("event")):
        return Delivery(event_type=event_type, remote_id=read_id(read_object(envelope.get("data")).get("id")))
    return Delivery(event_type="", remote_id="")
