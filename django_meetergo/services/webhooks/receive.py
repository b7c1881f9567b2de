"""Store webhook deliveries."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from django.db import IntegrityError
from django.db.models import F
from django.utils.crypto import constant_time_compare

from django_meetergo.conf import DEFAULT_CONNECTION, get_settings, list_connection_names
from django_meetergo.exceptions import InvalidRequest
from django_meetergo.models import WebhookDelivery
from django_meetergo.remote.payloads import parse_delivery
from django_meetergo.services.retry import FRESH
from django_meetergo.services.webhooks.events import REREAD_EVENTS
from django_meetergo.texts import Secret, is_nested_deeper
from django_meetergo.wakeup import wake_workers

State = WebhookDelivery.State
GIVEN_UP = (State.UNCONFIRMED, State.DEAD)
MAX_BODY = 256 * 1024
MAX_DEPTH = 20
#: Deliveries of one appointment that arrive within this time lead to one re-read.
DEBOUNCE = timedelta(seconds=2)


def find_connection(token: str) -> str | None:
    """Return the connection of a token; None, after the same time, for a token that is not known."""
    found = None
    for known, connection in list_tokens():
        if constant_time_compare(hash_text(known), hash_text(token)):
            found = connection
    return found


def list_tokens() -> Iterable[tuple[str, str]]:
    """Return every valid token with its connection. Other connections than the default follow a tilde."""
    for token in get_settings().WEBHOOK_TOKENS:
        for name in list_connection_names():
            yield Secret(token if name == DEFAULT_CONNECTION else f"{token}~{name}"), name


def hash_text(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def receive_delivery(*, connection: str, body: bytes, now: datetime) -> None:
    """Store a delivery with one or two statements and no call. Not to be called in a transaction.

    Raises InvalidRequest for a body that is too large, nested too deep or not JSON.
    """
    content = read_body(body)
    digest = hashlib.sha256(body).hexdigest()
    same = WebhookDelivery.objects.filter(connection=connection, digest=digest)
    if same.update(receive_count=F("receive_count") + 1):
        # A delivery that was given up has not been applied, so a repeat leads to another read.
        again = {**FRESH, "state": State.PENDING, "next_at": now + DEBOUNCE, "message": ""}
        if same.filter(state__in=GIVEN_UP).update(**again):
            wake_workers(skip_broker=True)
        return
    delivery = parse_delivery(content)
    is_due = delivery.event_type in REREAD_EVENTS and bool(delivery.remote_id)
    row = WebhookDelivery(
        connection=connection,
        digest=digest,
        event_type=delivery.event_type[:64],
        remote_id=delivery.remote_id[:128],
        state=State.PENDING if is_due else State.IGNORED,
        received_at=now,
        next_at=now + DEBOUNCE if is_due else None,
    )
    try:
        row.save(force_insert=True)
    except IntegrityError:
        # The same delivery arrived twice at once and the other process stored it first.
        same.update(receive_count=F("receive_count") + 1)
        return
    if is_due:
        wake_workers(skip_broker=True)


def read_body(body: bytes) -> Any:
    """Return the JSON of a body. Raises InvalidRequest."""
    if len(body) > MAX_BODY:
        raise InvalidRequest(f"The body is larger than {MAX_BODY} bytes.", field="body")
    try:
        content = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise InvalidRequest("The body is not JSON.", field="body") from error
    if is_nested_deeper(content, MAX_DEPTH):
        raise InvalidRequest(f"The body is nested deeper than {MAX_DEPTH} levels.", field="body")
    return content
