"""Register this site's webhook endpoint at meetergo."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import unquote, urlsplit

from django.conf import settings as django_settings
from django.urls import reverse
from django.utils import translation

from django_meetergo import links
from django_meetergo.conf import DEFAULT_CONNECTION, get_settings
from django_meetergo.exceptions import InvalidRequest
from django_meetergo.models import Connection
from django_meetergo.remote.client import MeetergoClient
from django_meetergo.remote.payloads import WebhookDocument
from django_meetergo.services.webhooks.events import REREAD_EVENTS
from django_meetergo.services.webhooks.receive import list_tokens

#: The webhook endpoints that a company may have.
WEBHOOK_PLACES = 6


def build_endpoint(connection: str) -> str:
    """Return the address meetergo should call for a connection.

    A path in ``SITE_URL`` is the prefix under which the web server mounts the site. Raises InvalidRequest
    when a setting or the URLs are missing.
    """
    settings = get_settings()
    if not settings.SITE_URL:
        raise InvalidRequest('Set MEETERGO["SITE_URL"] to the address of this site.', field="SITE_URL")
    if not settings.WEBHOOK_TOKENS:
        raise InvalidRequest(
            'Set MEETERGO["WEBHOOK_TOKENS"] to a list with one long random text.', field="WEBHOOK_TOKENS"
        )
    if not links.has_pages():
        raise InvalidRequest(
            'Add path("book/", include("django_meetergo.urls")) to ROOT_URLCONF: it has the endpoint.',
            field="ROOT_URLCONF",
        )
    token = settings.WEBHOOK_TOKENS[0]
    token = token if connection == DEFAULT_CONNECTION else f"{token}~{connection}"
    # With i18n_patterns the address must not depend on the language of whoever asks for it.
    with translation.override(django_settings.LANGUAGE_CODE):
        return links.build_absolute_url(reverse("meetergo:webhook", args=[token]))


def find_own_connection(hook: WebhookDocument, listed_by: str) -> str | None:
    """Return the connection an entry was made for; None for an entry of another site.

    An entry is ours when its path ends with one of our tokens, also one that is being rotated out, whatever
    its host was then; or when it has the form of our path, and the connection that lists it, ``listed_by``,
    remembers its id. The id alone is not enough: another service, such as the sandbox, has the same ids.
    """
    *_, parent, last = ("", *urlsplit(hook.endpoint).path.rstrip("/").split("/"))
    if known := dict(list_tokens()).get(unquote(last)):
        return known
    is_remembered = Connection.objects.filter(connection=listed_by, webhook_remote_id=hook.id).exists()
    return listed_by if parent == "webhooks" and is_remembered else None


def ensure_webhook(*, connection: str, client: MeetergoClient) -> WebhookDocument:
    """Have this site's current address in meetergo's list exactly once, with the events it needs.

    An older entry of this site is changed, further ones are removed; entries of others are not touched.
    Return the entry. Raises WebhookLimitReached when all places are taken by others, PermissionRefused
    when the credential may not.
    """
    endpoint = build_endpoint(connection)
    present = client.list_webhooks()
    own = list_own_webhooks(connection, present)
    own.sort(key=lambda hook: hook.endpoint != endpoint)
    if own:
        entry, outdated = own[0], own[1:]
        if entry.endpoint != endpoint or set(entry.event_types) != set(REREAD_EVENTS):
            client.update_webhook(entry.id, endpoint=endpoint, event_types=REREAD_EVENTS)
    else:
        description = f"django-meetergo {connection}"
        entry, outdated = client.create_webhook(endpoint, REREAD_EVENTS, description=description), []
    for hook in outdated:
        client.delete_webhook(hook.id)
    used = len(present) - len(outdated) + (0 if own else 1)
    Connection.objects.update_or_create(
        connection=connection, defaults={"webhook_remote_id": entry.id, "webhooks_used": used}
    )
    return entry


def remove_webhook(*, connection: str, client: MeetergoClient) -> bool:
    """Remove this site's entries of a connection, also older ones. Return False when there was none."""
    own = list_own_webhooks(connection, client.list_webhooks())
    for hook in own:
        client.delete_webhook(hook.id)
    Connection.objects.filter(connection=connection).update(webhook_remote_id="")
    return bool(own)


def list_own_webhooks(connection: str, hooks: Sequence[WebhookDocument]) -> list[WebhookDocument]:
    """Return the entries that were made for a connection of this site."""
    return [hook for hook in hooks if find_own_connection(hook, connection) == connection]
