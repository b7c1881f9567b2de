"""Apply stored webhook deliveries."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import datetime
from uuid import UUID, uuid4

from django.db.models import QuerySet

from django_meetergo.clock import Stopwatch
from django_meetergo.conf import get_settings
from django_meetergo.exceptions import InvalidRequest, NotFound, RemoteError
from django_meetergo.models import WebhookDelivery
from django_meetergo.remote.client import MeetergoClient
from django_meetergo.remote.payloads import AppointmentDocument
from django_meetergo.services.availability.invalidation import TakenSpan, invalidate, remove_spans
from django_meetergo.services.booking.outcomes import adopt_documents
from django_meetergo.services.clients import CALLS_SUSPENDED
from django_meetergo.services.companies import find_mirror, select_offered
from django_meetergo.services.mirror.appointments import (
    RecordedAppointments,
    find_appointments,
    record_appointments,
)
from django_meetergo.services.one_by_one import handle_batch
from django_meetergo.services.retry import DELIVERY, DELIVERY_NOT_FOUND, LeaseRenewal, RetryPolicy
from django_meetergo.texts import describe_exception

logger = logging.getLogger(__name__)
State = WebhookDelivery.State
Deliveries = QuerySet[WebhookDelivery]
#: Appointments that are read in one round.
BATCH_SIZE = 100
MAX_MESSAGE = 500


def apply_deliveries(*, connection: str, client: MeetergoClient, now: datetime) -> int:
    """Re-read each appointment that due deliveries name once, and store it.

    Return how many deliveries were applied. What goes wrong with one appointment does not stop the others.
    """
    stopwatch = Stopwatch(now)
    held = WebhookDelivery.objects.filter(lease_token=claim_due_deliveries(connection, now))
    renewal = LeaseRenewal(held, stopwatch)
    mirror = find_mirror(connection)
    documents: list[AppointmentDocument] = []
    for remote_id in sorted(set(held.values_list("remote_id", flat=True))):
        named = held.filter(remote_id=remote_id)
        try:
            documents.append(client.get_appointment(remote_id))
        except CALLS_SUSPENDED as error:
            # This says nothing about these deliveries: they wait without being counted.
            unread = held.exclude(remote_id__in=[document.id for document in documents])
            postpone_deliveries(unread, DELIVERY, error, stopwatch.now(), is_held_back=True)
            break
        except NotFound as error:
            postpone_deliveries(named, DELIVERY_NOT_FOUND, error, stopwatch.now())
        except (RemoteError, InvalidRequest) as error:
            postpone_deliveries(named, DELIVERY, error, stopwatch.now())
        except Exception as error:
            logger.exception("Appointment %s could not be read; its deliveries are tried again.", remote_id)
            postpone_deliveries(named, DELIVERY, error, stopwatch.now())
        renewal.renew_if_due()
    applied: list[int] = []
    failed = handle_batch(
        documents,
        lambda batch: applied.append(
            apply_documents(mirror, batch, held, stopwatch.now(), read_by=connection)
        ),
        what="appointments of webhook deliveries",
    )
    for document, failure in failed:
        postpone_deliveries(held.filter(remote_id=document.id), DELIVERY, failure, stopwatch.now())
    return sum(applied)


def claim_due_deliveries(connection: str, now: datetime) -> UUID:
    """Claim the due deliveries of a batch of appointments. What arrives later leads to another read."""
    token = uuid4()
    due = WebhookDelivery.objects.due(now).filter(connection=connection, state=State.PENDING)
    oldest = due.order_by("next_at").values_list("remote_id", flat=True)[: BATCH_SIZE * 2]
    ids = list(dict.fromkeys(oldest))[:BATCH_SIZE]
    due.filter(remote_id__in=ids).update(lease_token=token, lease_until=now + get_settings().lease)
    return token


def apply_documents(
    connection: str,
    documents: Sequence[AppointmentDocument],
    held: Deliveries,
    now: datetime,
    *,
    read_by: str,
) -> int:
    """Store appointments, adopt them for the bookings that made them, and mark the deliveries as applied.

    Deliveries about meeting types that this connection does not mirror are applied by doing nothing.
    """
    deliveries = held.filter(remote_id__in=[document.id for document in documents])
    documents = select_offered(read_by, documents)
    ids = [document.id for document in documents]
    before = find_appointments(connection, ids)
    known = {remote_id: (row.start, row.digest) for remote_id, row in before.items()}
    recorded = record_appointments(
        connection=connection, documents=documents, now=now, known=before, read_by=read_by
    )
    recorded.require(ids)
    adopt_documents(connection=connection, documents=documents, now=now)
    update_availability(connection, documents, recorded, known)
    return deliveries.update(
        state=State.APPLIED, lease_token=None, lease_until=None, next_at=None, message=""
    )


def postpone_deliveries(
    held: Deliveries, policy: RetryPolicy, error: Exception, now: datetime, *, is_held_back: bool = False
) -> None:
    """Release deliveries to be tried again by a policy, each by its own count, or give them up."""
    rows = list(held)
    for row in rows:
        planned = policy.plan(row, now, error, is_held_back=is_held_back) or {**policy.then, "next_at": None}
        for name, value in planned.items():
            setattr(row, name, value)
        row.message = describe_exception(error, MAX_MESSAGE)
        row.lease_token = row.lease_until = None
    columns = ["state", "next_at", "tries", "polls", "failing_since", "message", "lease_token", "lease_until"]
    WebhookDelivery.objects.bulk_update(rows, columns)


def give_up_delivery(delivery: WebhookDelivery, now: datetime, error: Exception) -> None:
    """End a delivery that cannot even be read, for example because its connection was removed."""
    pending = WebhookDelivery.objects.filter(pk=delivery.pk, state=State.PENDING)
    pending.update(**DELIVERY.then, next_at=None, message=describe_exception(error, MAX_MESSAGE))


def update_availability(
    connection: str,
    documents: Sequence[AppointmentDocument],
    recorded: RecordedAppointments,
    known: dict[str, tuple[datetime, str]],
) -> None:
    """Remove the times that are now known to be taken from the cached slots, and invalidate the others."""
    taken = []
    for document in documents:
        row = recorded.appointments.get(document.id)
        if row is None or row.meeting_type is None:
            continue
        previous_start, digest = known.get(document.id, (row.start, ""))
        if row.digest == digest:
            continue
        if not document.is_cancelled:
            spans = {"start": document.start, "end": document.end}
            taken += [TakenSpan(host_id=host_id, **spans) for host_id in document.host_ids]
        for start in {row.start, previous_start}:
            invalidate(meeting_type=row.meeting_type, start=start)
    if taken:
        remove_spans(connection=connection, taken=taken)
