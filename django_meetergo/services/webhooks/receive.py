"""Store webhook deliveries."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from django.db import IntegrityError
from django.db.models import F, QuerySet
from django.utils.crypto import constant_time_compare

from django_meetergo.conf import DEFAULT_CONNECTION, get_settings, list_connection_names
from django_meetergo.exceptions import (
    InvalidRequest,
)
from django_meetergo.models import WebhookDelivery
from django_meetergo.remote.payloads import (
    Delivery,
    UnknownDelivery,
    parse_delivery,
)
from django_meetergo.wakeup import wake_workers

State = WebhookDelivery.State
Deliveries = QuerySet[WebhookDelivery]
GIVEN_UP = (State.UNCONFIRMED, State.DEAD)
MAX_BODY = 256 * 1024
MAX_DEPTH = 20
#: Which events say that an appointment should be looked at. Others are kept as ignored.
BOOKING_EVENTS = ("booking_created", "booking_cancelled", "booking_rescheduled")
#: Deliveries of one appointment that arrive within this time lead to one look.
DEBOUNCE = timedelta(seconds=2)


def find_connection(token: str) -> str | None:
    """The connection an address belongs to; None, after the same time, for a token that is not ours."""
    found = None
    for known, connection in list_tokens():
        if constant_time_compare(hash_text(known), hash_text(token)):
            found = connection
    return found


def list_tokens() -> Iterable[tuple[str, str]]:
    """Every token that opens the letterbox, and for whom; connections but the first are named behind it."""
    for token in get_settings().WEBHOOK_TOKENS:
        yield token, DEFAULT_CONNECTION
        for name in list_connection_names():
            if name != DEFAULT_CONNECTION:
                yield f"{token}~{name}", name


def hash_text(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def receive_delivery(*, connection: str, body: bytes, now: datetime) -> None:
    """Note that meetergo knocked. One or two statements, no call, and nothing decided. Not in a transaction.

    Raises InvalidRequest for a body that is too large, too deep or not JSON.
    """
    content = read_body(body)
    digest = hashlib.sha256(body).hexdigest()
    same = WebhookDelivery.objects.filter(connection=connection, digest=digest)
    if same.update(receive_count=F("receive_count") + 1):
        # What was given up has not been worked on: whoever knocks again gets another look.
        again = {"state": State.PENDING, "tries": 0, "next_at": now + DEBOUNCE, "message": ""}
        if same.filter(state__in=GIVEN_UP).update(**again):
            wake_workers(skip_broker=True)
        return
    check_circuit = parse_known_delivery(content)
    due = check_circuit.event_type in BOOKING_EVENTS and bool(check_circuit.remote_id)
    row = WebhookDelivery(
        connection=connection,
        digest=digest,
        event_type=check_circuit.event_type[:64],
        remote_id=check_circuit.remote_id[:128],
        state=State.PENDING if due else State.IGNORED,
        received_at=now,
        next_at=now + DEBOUNCE if due else None,
    )
    try:
        row.save(force_insert=True)
    except IntegrityError:
        # The same knock came twice at once, and the other one was faster.
        same.update(receive_count=F("receive_count") + 1)
        return
    if due:
        wake_workers(skip_broker=True)


def parse_known_delivery(content: Any) -> Delivery:
    """Which event, about what; an envelope we do not know is kept without either."""
    try:
        return parse_delivery(content)
    except UnknownDelivery:
        return Delivery(event_type="", remote_id="")


def read_body(body: bytes) -> Any:
    if len(body) > MAX_BODY:
        raise InvalidRequest(f"The body is larger than {MAX_BODY} bytes.", field="body")
    try:
        content = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise InvalidRequest("The body is not JSON.", field="body") from error
    if measure_depth(content) > MAX_DEPTH:
        raise InvalidRequest(f"The body is nested deeper than {MAX_DEPTH} levels.", field="body")
    return content


def measure_depth(content: Any) -> int:
    depth, level = 0, [content]
    while level and depth <= MAX_DEPTH:
        depth += 1
        level = [
            child
            for node in level
            if isinstance(node, dict | list)
            for child in (node.values() if isinstance(node, dict) else node)
        ]
    return depth
