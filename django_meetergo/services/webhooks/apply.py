"""Apply stored webhook deliveries."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
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
    # By the id that was asked for: the document may spell its id in another way.
    documents: dict[str, AppointmentDocument] = {}
    for remote_id in sorted(set(held.values_list("remote_id", flat=True))):
        named = held.filter(remote_id=remote_id)
        try:
            documents[remote_id] = client.get_appointment(remote_id)
        except CALLS_SUSPENDED as error:
            # This says nothing about these deliveries: they wait without being counted.
            unread = held.exclude(remote_id__in=documents)
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
        list(documents.items()),
        lambda batch: applied.append(
            apply_documents(mirror, dict(batch), held, stopwatch.now(), read_by=connection)
        ),
        what="appointments of webhook deliveries",
    )
    for (remote_id, _document), failure in failed:
        postpone_deliveries(held.filter(remote_id=remote_id), DELIVERY, failure, stopwatch.now())
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
    read: Mapping[str, AppointmentDocument],
    held: Deliveries,
    now: datetime,
    *,
    read_by: str,
) -> int:
    """Store appointments, adopt them for the bookings that made them, and mark the deliveries as applied.

    ``read`` maps the ids that the deliveries name to what was read. Deliveries about meeting types that this
    connection does not mirror are applied by doing nothing.
    """
    deliveries = held.filter(remote_id__in=read)
    documents = select_offered(read_by, list(read.values()))
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
    released = {"message": describe_exception(error, MAX_MESSAGE), "lease_token": None, "lease_until": None}
    # One statement for all that have failed equally often: thousands may name one appointment.
    for counts in list(held.order_by().values("tries", "polls", "failing_since").distinct()):
        row = WebhookDelivery(**counts)
        planned = policy.plan(row, now, error, is_held_back=is_held_back) or {**policy.then, "next_at": None}
        held.filter(**counts).update(**planned, **released)


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
