"""Register our webhook endpoint at the service."""

from __future__ import annotations

from django.urls import reverse

from django_meetergo import links
from django_meetergo.conf import DEFAULT_CONNECTION, get_settings
from django_meetergo.exceptions import (
    InvalidRequest,
)
from django_meetergo.models import Connection
from django_meetergo.remote.client import MeetergoClient
from django_meetergo.remote.payloads import (
    WebhookDocument,
)
from django_meetergo.services.webhooks.receive import BOOKING_EVENTS


def build_endpoint(connection: str) -> str:
    """The address meetergo should call for a connection. InvalidRequest when a setting is missing."""
    settings = get_settings()
    if not settings.SITE_URL:
        raise InvalidRequest('Set MEETERGO["SITE_URL"] to the address of this site.', field="SITE_URL")
    if not settings.WEBHOOK_TOKENS:
        raise InvalidRequest(
            'Set MEETERGO["WEBHOOK_TOKENS"] to a list with one long random text.', field="WEBHOOK_TOKENS"
        )
    token = settings.WEBHOOK_TOKENS[0]
    token = token if connection == DEFAULT_CONNECTION else f"{token}~{connection}"
    return links.build_absolute_url(reverse("meetergo:webhook", args=[token]))


def ensure_webhook(*, connection: str, client: MeetergoClient) -> WebhookDocument:
    """Have our address in meetergo's list, once, with the events we want. Others' entries are not touched.

    Raises WebhookLimitReached when all six places are taken, PermissionRefused when the credential may not.
    """
    endpoint = build_endpoint(connection)
    present = client.list_webhooks()
    own = next((hook for hook in present if hook.endpoint == endpoint), None)
    if own is None:
        own = client.create_webhook(
            endpoint, event_types=BOOKING_EVENTS, description=f"django-meetergo {connection}"
        )
        used = len(present) + 1
    else:
        used = len(present)
        if set(own.event_types) != set(BOOKING_EVENTS):
            client.update_webhook(own.id, event_types=BOOKING_EVENTS)
    Connection.objects.update_or_create(
        connection=connection, defaults={"webhook_remote_id": own.id, "webhooks_used": used}
    )
    return own


def remove_webhook(*, connection: str, client: MeetergoClient) -> bool:
    """Take our address out of meetergo's list; False when it was not in it."""
    endpoint = build_endpoint(connection)
    own = [hook for hook in client.list_webhooks() if hook.endpoint == endpoint]
    for hook in own:
        client.delete_webhook(hook.id)
    Connection.objects.filter(connection=connection).update(webhook_remote_id="")
    return bool(own)
