"""The letterbox, and our entry in meetergo's list of addresses.

A delivery is a hint, never a fact: it is unsigned, may be forged, doubled, late or lost. All we keep of it
is which appointment to look at; what the look shows is written, whatever the delivery said.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from django.db import IntegrityError
from django.db.models import F, QuerySet
from django.urls import reverse
from django.utils.crypto import constant_time_compare

from django_meetergo import links, signals
from django_meetergo.conf import DEFAULT, connection_names, get_settings
from django_meetergo.exceptions import (
    InvalidRequest,
    NotFound,
    RemoteError,
)
from django_meetergo.models import Account, WebhookDelivery
from django_meetergo.remote.client import MeetergoClient
from django_meetergo.remote.payloads import (
    AppointmentDocument,
    Delivery,
    UnknownDelivery,
    WebhookDocument,
    parse_delivery,
)
from django_meetergo.services import availability, mirror, settling

logger = logging.getLogger(__name__)

State = WebhookDelivery.State
Deliveries = QuerySet[WebhookDelivery]

GIVEN_UP = (State.UNCONFIRMED, State.DEAD)

BATCH = 100  # appointments in one round
PAUSE = timedelta(seconds=10)

MAX_BODY = 256 * 1024
MAX_DEPTH = 20

#: Which events say that an appointment should be looked at. Others are kept as ignored.
BOOKING_EVENTS = ("booking_created", "booking_cancelled", "booking_rescheduled")

#: Deliveries of one appointment that arrive within this time lead to one look.
GATHER = timedelta(seconds=2)
#: Seconds until an appointment that meetergo does not (yet) know is looked up again.
NOT_FOUND_AFTER = (5, 30, 120, 600)
#: Seconds until a look that failed is repeated; after as many failures as there are, the row is dead.
FAILED_AFTER = (5, 15, 30, 60, 120, 300, 600, 1200, 1800, 3600)


# Receiving


def find_connection(token: str) -> str | None:
    """The connection an address belongs to; None, after the same time, for a token that is not ours."""
    found = None
    for known, connection in list_tokens():
        if constant_time_compare(digest_text(known), digest_text(token)):
            found = connection
    return found


def list_tokens() -> Iterable[tuple[str, str]]:
    """Every token that opens the letterbox, and for whom; connections but the first are named behind it."""
    for token in get_settings().WEBHOOK_TOKENS:
        yield token, DEFAULT
        for name in connection_names():
            if name != DEFAULT:
                yield f"{token}~{name}", name


def digest_text(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def receive_delivery(*, connection: str, body: bytes, now: datetime) -> None:
    """Note that meetergo knocked. One or two statements, no call, and nothing decided. Not in a transaction.

    Raises InvalidRequest for a body that is too large, too deep or not JSON.
    """
    content = read_body(body)
    digest = hashlib.sha256(body).hexdigest()
    same = WebhookDelivery.objects.filter(connection=connection, digest=digest)
    if same.update(hits=F("hits") + 1):
        # What was given up has not been worked on: whoever knocks again gets another look.
        again = {"state": State.PENDING, "tries": 0, "next_at": now + GATHER, "message": ""}
        if same.filter(state__in=GIVEN_UP).update(**again):
            signals.ring_doorbell(by_letterbox=True)
        return
    knock = read_knock(content)
    due = knock.event_type in BOOKING_EVENTS and bool(knock.remote_id)
    row = WebhookDelivery(
        connection=connection,
        digest=digest,
        event_type=knock.event_type[:64],
        remote_id=knock.remote_id[:128],
        state=State.PENDING if due else State.IGNORED,
        received_at=now,
        next_at=now + GATHER if due else None,
    )
    try:
        row.save(force_insert=True)
    except IntegrityError:
        # The same knock came twice at once, and the other one was faster.
        same.update(hits=F("hits") + 1)
        return
    if due:
        signals.ring_doorbell(by_letterbox=True)


def read_knock(content: Any) -> Delivery:
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


# Applying


def apply_deliveries(*, connection: str, client: MeetergoClient, now: datetime) -> int:
    """Look once at each appointment that due deliveries name, and write what was seen; how many were settled.

    What goes wrong with one appointment holds up no other.
    """
    token = claim_due(connection, now)
    held = WebhookDelivery.objects.filter(lease_token=token)
    documents = []
    for remote_id in sorted(set(held.values_list("remote_id", flat=True))):
        try:
            documents.append(client.get_appointment(remote_id))
        except availability.HELD_BACK:
            # Says nothing of these deliveries: they wait without being counted.
            unread = held.exclude(remote_id__in=[document.id for document in documents])
            unread.update(lease_token=None, lease_until=None, next_at=now + PAUSE)
            break
        except NotFound as error:
            put_off(held.filter(remote_id=remote_id), NOT_FOUND_AFTER, State.UNCONFIRMED, error, now)
        except RemoteError as error:
            put_off(held.filter(remote_id=remote_id), FAILED_AFTER, State.DEAD, error, now)
    if not documents:
        return 0
    try:
        return take_in(connection, documents, held, now)
    except Exception:
        logger.exception("A batch of deliveries could not be applied; they are taken one by one.")
        return sum(take_in_alone(connection, document, held, now) for document in documents)


def claim_due(connection: str, now: datetime) -> UUID:
    """Take the due deliveries of a batch of appointments; what arrives from now on needs another look."""
    token = uuid4()
    due = WebhookDelivery.objects.due(now).filter(connection=connection, state=State.PENDING)
    oldest = due.order_by("next_at").values_list("remote_id", flat=True)[: BATCH * 2]
    ids = list(dict.fromkeys(oldest))[:BATCH]
    due.filter(remote_id__in=ids).update(lease_token=token, lease_until=now + get_settings().lease)
    return token


def take_in(
    connection: str, documents: Sequence[AppointmentDocument], held: Deliveries, now: datetime
) -> int:
    """Write what was seen, give it to the bookings that made it, and mark the deliveries as applied."""
    ids = [document.id for document in documents]
    before = mirror.find_appointments(connection, ids)
    known = {remote_id: (row.start, row.digest) for remote_id, row in before.items()}
    recorded = mirror.record_appointments(connection=connection, documents=documents, now=now, known=before)
    settling.adopt_documents(connection=connection, documents=documents, now=now)
    correct_times(connection, documents, recorded, known)
    return held.filter(remote_id__in=ids).update(
        state=State.APPLIED, lease_token=None, lease_until=None, next_at=None, message=""
    )


def take_in_alone(connection: str, document: AppointmentDocument, held: Deliveries, now: datetime) -> int:
    """One appointment; if it is the poisoned one, its deliveries back off by themselves."""
    try:
        return take_in(connection, [document], held, now)
    except Exception as error:
        logger.exception("The deliveries of one appointment could not be applied.")
        put_off(held.filter(remote_id=document.id), FAILED_AFTER, State.DEAD, error, now)
        return 0


def put_off(held: Deliveries, plan: tuple[int, ...], verdict: str, error: Exception, now: datetime) -> None:
    """Back off, each row by its own count, until the plan is used up."""
    rows = list(held)
    for row in rows:
        over = row.tries >= len(plan)
        row.state = verdict if over else State.PENDING
        row.next_at = None if over else now + timedelta(seconds=plan[row.tries])
        row.tries, row.message = row.tries + 1, f"{type(error).__name__}: {error}"[:500]
        row.lease_token = row.lease_until = None
    WebhookDelivery.objects.bulk_update(
        rows, ["state", "next_at", "tries", "message", "lease_token", "lease_until"]
    )


def correct_times(
    connection: str,
    documents: Sequence[AppointmentDocument],
    recorded: mirror.Recorded,
    known: dict[str, tuple[datetime, str]],
) -> None:
    """Take the times that were just proven to be taken out of the free ones, and mark the others changed."""
    taken = []
    for document in documents:
        row = recorded.appointments[document.id]
        previous_start, digest = known.get(document.id, (row.start, ""))
        if row.meeting_type is None or row.digest == digest:
            continue
        if not document.is_cancelled:
            spans = {"start": document.start, "end": document.end}
            taken += [availability.Taken(host_id=host_id, **spans) for host_id in document.host_ids]
        for start in {row.start, previous_start}:
            availability.forget(meeting_type=row.meeting_type, start=start)
    if taken:
        availability.take_out_all(connection=connection, taken=taken)


# Our entry in meetergo's list


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
    token = token if connection == DEFAULT else f"{token}~{connection}"
    return links.absolute(reverse("meetergo:webhook", args=[token]))


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
    Account.objects.update_or_create(
        connection=connection, defaults={"webhook_remote_id": own.id, "webhooks_used": used}
    )
    return own


def remove_webhook(*, connection: str, client: MeetergoClient) -> bool:
    """Take our address out of meetergo's list; False when it was not in it."""
    endpoint = build_endpoint(connection)
    own = [hook for hook in client.list_webhooks() if hook.endpoint == endpoint]
    for hook in own:
        client.delete_webhook(hook.id)
    Account.objects.filter(connection=connection).update(webhook_remote_id="")
    return bool(own)
