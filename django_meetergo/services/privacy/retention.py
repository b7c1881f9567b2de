"""Delete or blank what is older than ``RETENTION_DAYS``."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.db.models import Max, QuerySet

from django_meetergo.conf import get_settings
from django_meetergo.models import Booking, Connection, Event, SyncRun, WebhookDelivery
from django_meetergo.services.privacy.erasure import BLANK_BOOKING, finish_erasures

BATCH_SIZE = 500


def prune(*, now: datetime) -> dict[str, int]:
    """Delete or blank what is older than ``RETENTION_DAYS``, in batches; return the rows of each kind.

    Bookings of erased people that have ended since are blanked as well.
    """
    days = get_settings().RETENTION_DAYS
    counts: dict[str, int] = {}
    if "deliveries" in days:
        before = now - timedelta(days=days["deliveries"])
        old = WebhookDelivery.objects.filter(received_at__lt=before)
        counts["deliveries"] = delete_rows(old.exclude(state=WebhookDelivery.State.PENDING))
        ended = SyncRun.objects.filter(finished_at__lt=before).exclude(state=SyncRun.State.OPEN)
        counts["sync runs"] = delete_rows(ended.exclude(pk__in=list_last_imports()))
    if "bookings" in days:
        before = now - timedelta(days=days["bookings"])
        closed = Booking.objects.filter(state=Booking.State.CLOSED, closed_at__lt=before)
        counts["bookings"] = blank_bookings(closed.exclude(email="", first_name="", last_name="", phone=""))
    if "events" in days:
        before = now - timedelta(days=days["events"])
        dispatched = Event.objects.filter(created_at__lt=before).exclude(dispatched_at=None)
        counts["events"] = delete_rows(dispatched)
    counts["erased people"] = finish_erasures(now=now)
    Connection.objects.update(last_prune={"at": now.isoformat(), "rows": counts})
    return counts


def list_last_imports() -> list[int]:
    """Return the keys of the last full sync of each connection: without it, news would count as history."""
    imports = SyncRun.objects.filter(kind=SyncRun.Kind.FULL, state=SyncRun.State.DONE).order_by()
    return list(imports.values("connection").annotate(last=Max("pk")).values_list("last", flat=True))


def delete_rows(rows: QuerySet[Any]) -> int:
    deleted = 0
    while keys := list(rows.order_by("pk").values_list("pk", flat=True)[:BATCH_SIZE]):
        deleted += rows.model._default_manager.filter(pk__in=keys).delete()[0]
    return deleted


def blank_bookings(rows: QuerySet[Booking]) -> int:
    """Blank what was entered for bookings without an appointment; their states and attempts remain."""
    blanked = 0
    while keys := list(rows.order_by("pk").values_list("pk", flat=True)[:BATCH_SIZE]):
        blanked += Booking.objects.filter(pk__in=keys).update(**BLANK_BOOKING)
    return blanked
