"""Defects planted on purpose: a check that does not find its defect proves nothing."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import pytest
from django.db import transaction

from django_meetergo.conf import get_settings
from django_meetergo.exceptions import OutcomeUnknown
from django_meetergo.models import Appointment, Booking, WebhookDelivery
from django_meetergo.models.leases import LeasedQuerySet
from django_meetergo.services.booking import book, reconciliation, sending
from django_meetergo.services.booking.sending import send_attempt
from django_meetergo.services.mirror.appointments import AppointmentDraft, record_missing
from django_meetergo.services.sync.appointments import AppointmentSync
from django_meetergo.services.webhooks import apply, receive


def retry_on_timeout(patch: pytest.MonkeyPatch) -> None:
    """Send once more when the answer was lost."""
    attempt = send_attempt

    def send_attempt_twice(booking: Any, lease: Any, client: Any, watch: Any) -> Any:
        create_booking = client.create_booking

        def create_twice(payload: Any) -> Any:
            try:
                return create_booking(payload)
            except OutcomeUnknown:
                return create_booking(payload)

        patch.setattr(client, "create_booking", create_twice)
        return attempt(booking, lease, client, watch)

    patch.setattr(sending, "send_attempt", send_attempt_twice)


def send_before_commit(patch: pytest.MonkeyPatch) -> None:
    """Store the attempt after the request instead of before it."""

    def begin_attempt(booking: Booking, now: Any, known_attendee_ids: Any = None) -> Any:
        lease = Booking.objects.filter(state="received").claim(booking.pk, now=now)
        if lease is not None:
            Booking.objects.filter(pk=booking.pk).update(
                outcome_deadline=now + get_settings().outcome_deadline
            )
        return lease

    patch.setattr(book, "can_be_sent_at_once", lambda booking: False)
    patch.setattr(sending, "begin_attempt", begin_attempt)


def choose_again_while_unknown(patch: pytest.MonkeyPatch) -> None:
    """Treat one read that finds nothing as proof of absence."""
    patch.setattr(reconciliation, "is_proven_absent", lambda booking, now: True)


def dedupe_on_seen(patch: pytest.MonkeyPatch) -> None:
    """Mark a delivery as applied once it was tried, even when that failed."""

    def postpone(held: Any, *given: Any, **options: Any) -> None:
        held.update(state=WebhookDelivery.State.APPLIED, lease_token=None, lease_until=None, next_at=None)

    patch.setattr(apply, "postpone_deliveries", postpone)


def trust_the_webhook_body(patch: pytest.MonkeyPatch) -> None:
    """Store what a delivery says about a cancellation without a re-read."""
    receive_delivery = receive.receive_delivery

    def store_body(*, connection: str, body: bytes, now: Any) -> None:
        receive_delivery(connection=connection, body=body, now=now)
        body_document = json.loads(body)
        if body_document.get("isCancelled"):
            known = Appointment.objects.filter(remote_id=body_document["id"])
            known.update(status=Appointment.Status.CANCELLED)

    patch.setattr(receive, "receive_delivery", store_body)


def absence_deletes(patch: pytest.MonkeyPatch) -> None:
    """Mark what a list does not show as missing without a re-read."""

    def record_unseen(sync: AppointmentSync, unseen: Iterable[Appointment]) -> None:
        for appointment in unseen:
            record_missing(appointment=appointment, now=sync.stopwatch.now())

    patch.setattr(AppointmentSync, "verify_unseen", record_unseen)


def no_open_key(patch: pytest.MonkeyPatch) -> None:
    """Let a person have several open bookings of one type."""
    patch.setattr(Booking, "hash_open_booking_key", lambda booking, booked_by: uuid4().hex)


def no_fencing(patch: pytest.MonkeyPatch) -> None:
    """Write results without checking the lease."""

    def lock_held(rows: Any, lease: Any) -> Any:
        return rows.filter(pk=lease.pk).first()

    def finish(rows: Any, lease: Any, **changes: Any) -> bool:
        held = rows.filter(pk=lease.pk)
        return bool(held.update(lease_token=None, lease_until=None, **changes))

    patch.setattr(LeasedQuerySet, "lock_held", lock_held)
    patch.setattr(LeasedQuerySet, "finish", finish)


def no_events(patch: pytest.MonkeyPatch) -> None:
    """Mirror cancellations without an event."""
    build_events = AppointmentDraft.build_events

    def build_without_cancelled(draft: Any, people: Any, *, silent: bool) -> Any:
        return [
            event for event in build_events(draft, people, silent=silent) if "cancelled" not in event.kind
        ]

    patch.setattr(AppointmentDraft, "build_events", build_without_cancelled)


def call_inside_a_transaction(patch: pytest.MonkeyPatch) -> None:
    """Search for a lost booking while its row is locked."""
    search_lists = reconciliation.search_lists

    def search_locked(*given: Any) -> Any:
        with transaction.atomic():
            return search_lists(*given)

    patch.setattr(reconciliation, "search_lists", search_locked)


@dataclass(frozen=True, kw_only=True)
class Control:
    """A defect, the invariants of which one must be violated, and the rules that lead there soonest."""

    sabotage: Callable[[pytest.MonkeyPatch], None]
    caught_by: tuple[str, ...]
    rules: tuple[str, ...]


CONTROLS = (
    Control(sabotage=retry_on_timeout, caught_by=("I5",), rules=("book_in_bad_times", "tick")),
    Control(sabotage=send_before_commit, caught_by=("I5",), rules=("book", "tick")),
    Control(sabotage=choose_again_while_unknown, caught_by=("I4",), rules=("book_in_bad_times", "tick")),
    Control(
        sabotage=dedupe_on_seen,
        caught_by=("I8",),
        rules=("rival", "at_meetergo_itself", "reads_will_fail", "deliver", "tick"),
    ),
    Control(sabotage=trust_the_webhook_body, caught_by=("I9", "I10"), rules=("book", "tick", "forge")),
    Control(sabotage=absence_deletes, caught_by=("I9",), rules=("book", "rival", "sync", "tick")),
    Control(sabotage=no_open_key, caught_by=("I7",), rules=("book", "book_in_bad_times")),
    Control(
        sabotage=no_fencing, caught_by=("I12", "I2"), rules=("book_in_bad_times", "cancel", "move", "tick")
    ),
    Control(sabotage=no_events, caught_by=("I10",), rules=("book", "cancel", "at_meetergo_itself", "tick")),
    Control(sabotage=call_inside_a_transaction, caught_by=("I11",), rules=("book_in_bad_times", "tick")),
)
