"""Apply stored webhook deliveries."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID, uuid4

from django.db.models import QuerySet

from django_meetergo.conf import get_settings
from django_meetergo.exceptions import (
    NotFound,
    RemoteError,
)
from django_meetergo.models import WebhookDelivery
from django_meetergo.remote.client import MeetergoClient
from django_meetergo.remote.payloads import (
    AppointmentDocument,
)
from django_meetergo.services.availability.invalidation import TakenSpan, invalidate, remove_spans
from django_meetergo.services.booking.outcomes import adopt_documents
from django_meetergo.services.clients import CALLS_SUSPENDED
from django_meetergo.services.mirror.appointments import (
    RecordedAppointments,
    find_appointments,
    record_appointments,
)

logger = logging.getLogger(__name__)
State = WebhookDelivery.State
Deliveries = QuerySet[WebhookDelivery]
BATCH_SIZE = 100  # appointments in one round
SUSPENDED_DELAY = timedelta(seconds=10)
#: Seconds until an appointment that meetergo does not (yet) know is looked up again.
NOT_FOUND_DELAYS = (5, 30, 120, 600)
#: Seconds until a look that failed is repeated; after as many failures as there are, the row is dead.
FAILURE_DELAYS = (5, 15, 30, 60, 120, 300, 600, 1200, 1800, 3600)


def apply_deliveries(*, connection: str, client: MeetergoClient, now: datetime) -> int:
    """Look once at each appointment that due deliveries name, and write what was seen; how many were settled.

    What goes wrong with one appointment holds up no other.
    """
    token = claim_due_deliveries(connection, now)
    held = WebhookDelivery.objects.filter(lease_token=token)
    documents = []
    for remote_id in sorted(set(held.values_list("remote_id", flat=True))):
        try:
            documents.append(client.get_appointment(remote_id))
        except CALLS_SUSPENDED:
            # Says nothing of these deliveries: they wait without being counted.
            unread = held.exclude(remote_id__in=[document.id for document in documents])
            unread.update(lease_token=None, lease_until=None, next_at=now + SUSPENDED_DELAY)
            break
        except NotFound as error:
            postpone_deliveries(
                held.filter(remote_id=remote_id), NOT_FOUND_DELAYS, State.UNCONFIRMED, error, now
            )
        except RemoteError as error:
            postpone_deliveries(held.filter(remote_id=remote_id), FAILURE_DELAYS, State.DEAD, error, now)
    if not documents:
        return 0
    try:
        return apply_documents(connection, documents, held, now)
    except Exception:
        logger.exception("A batch of deliveries could not be applied; they are taken one by one.")
        return sum(apply_one(connection, document, held, now) for document in documents)


def claim_due_deliveries(connection: str, now: datetime) -> UUID:
    """Take the due deliveries of a batch of appointments; what arrives from now on needs another look."""
    token = uuid4()
    due = WebhookDelivery.objects.due(now).filter(connection=connection, state=State.PENDING)
    oldest = due.order_by("next_at").values_list("remote_id", flat=True)[: BATCH_SIZE * 2]
    ids = list(dict.fromkeys(oldest))[:BATCH_SIZE]
    due.filter(remote_id__in=ids).update(lease_token=token, lease_until=now + get_settings().lease)
    return token


def apply_documents(
    connection: str, documents: Sequence[AppointmentDocument], held: Deliveries, now: datetime
) -> int:
    """Write what was seen, give it to the bookings that made it, and mark the deliveries as applied."""
    ids = [document.id for document in documents]
    before = find_appointments(connection, ids)
    known = {remote_id: (row.start, row.digest) for remote_id, row in before.items()}
    recorded = record_appointments(connection=connection, documents=documents, now=now, known=before)
    adopt_documents(connection=connection, documents=documents, now=now)
    update_availability(connection, documents, recorded, known)
    return held.filter(remote_id__in=ids).update(
        state=State.APPLIED, lease_token=None, lease_until=None, next_at=None, message=""
    )


def apply_one(connection: str, document: AppointmentDocument, held: Deliveries, now: datetime) -> int:
    """One appointment; if it is the poisoned one, its deliveries back off by themselves."""
    try:
        return apply_documents(connection, [document], held, now)
    except Exception as error:
        logger.exception("The deliveries of one appointment could not be applied.")
        postpone_deliveries(held.filter(remote_id=document.id), FAILURE_DELAYS, State.DEAD, error, now)
        return 0


def postpone_deliveries(
    held: Deliveries, plan: tuple[int, ...], verdict: str, error: Exception, now: datetime
) -> None:
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


def update_availability(
    connection: str,
    documents: Sequence[AppointmentDocument],
    recorded: RecordedAppointments,
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
            taken += [TakenSpan(host_id=host_id, **spans) for host_id in document.host_ids]
        for start in {row.start, previous_start}:
            invalidate(meeting_type=row.meeting_type, start=start)
    if taken:
        remove_spans(connection=connection, taken=taken)
