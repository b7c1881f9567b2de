"""Webhook endpoints, and the little we believe of what they deliver."""

from __future__ import annotations

from dataclasses import dataclass

from django_meetergo.exceptions import UnreadableReply
from django_meetergo.remote.payloads.reading import (
    need_list,
    need_object,
    read_id,
    read_list,
    read_object,
    read_text,
)


class UnknownDelivery(ValueError):
    """A delivery in neither of the two known shapes."""


@dataclass(frozen=True, kw_only=True, slots=True)
class WebhookDocument:
    """An endpoint meetergo delivers to. Its address carries our token, so it is kept out of ``repr``."""

    id: str
    endpoint: str
    description: str
    event_types: tuple[str, ...]

    def __repr__(self) -> str:
        return f"WebhookDocument(id={self.id!r}, event_types={self.event_types!r})"


@dataclass(frozen=True, kw_only=True, slots=True)
class Delivery:
    """What knocked: the kind of event and the id to read again. Nothing else is believed."""

    event_type: str
    remote_id: str


def parse_webhook(document: object) -> WebhookDocument:
    entry = need_object(document, "a webhook")
    if not (webhook_id := read_id(entry.get("id"))):
        raise UnreadableReply("a webhook without an id")
    return WebhookDocument(
        id=webhook_id,
        endpoint=read_text(entry.get("endpoint")),
        description=read_text(entry.get("description")),
        event_types=tuple(text for item in read_list(entry.get("eventTypes")) if (text := read_text(item))),
    )


def parse_webhooks(document: object) -> tuple[WebhookDocument, ...]:
    return tuple(parse_webhook(entry) for entry in need_list(document, "webhooks", key="webhooks"))


def parse_delivery(body: object) -> Delivery:
    """Flat with ``webhookType``, or ``event`` beside ``data``; both have been delivered."""
    envelope = read_object(body)
    if event_type := read_text(envelope.get("webhookType")):
        return Delivery(event_type=event_type, remote_id=read_id(envelope.get("id")))
    if event_type := read_text(envelope.get("event")):
        return Delivery(event_type=event_type, remote_id=read_id(read_object(envelope.get("data")).get("id")))
    raise UnknownDelivery("a delivery that does not say what happened")
