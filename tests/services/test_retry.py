"""What the retry engine promises: bounded reads and writes in an outage, and a final state for every row."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path

import pytest
from django.utils import timezone

import django_meetergo
from django_meetergo.exceptions import CircuitOpen, RateLimited
from django_meetergo.models import AppointmentChange, Booking, Event, SyncRun, WebhookDelivery
from django_meetergo.services import polling, retry
from django_meetergo.services.alerts import record_alerts
from django_meetergo.services.changes.requests import cancel_appointment, reschedule_appointment
from django_meetergo.services.retry import RetryPolicy
from django_meetergo.services.sync.appointments import sync_appointments
from django_meetergo.testing.factories import BookingFactory

pytestmark = pytest.mark.django_db

READ = "GET /v4/appointment/{id}"
CANCEL = "POST /v4/appointment/{id}/cancel"
RESCHEDULE = "POST /v4/appointment/{id}/reschedule"
LIST = "GET /v4/appointment/paginated"
TEN_MINUTES, DAY = 600, 86400


def run_for(kit, seconds, *, step=30):
    """Run the workers every ``step`` seconds, with a closed circuit and a whole request limit."""
    for _ in range(seconds // step):
        kit.clear_availability()
        kit.run_due(after=step)


@pytest.fixture
def booked(meetergo_sandbox, book):
    start = meetergo_sandbox.list_free_starts()[-1]
    booking = book(start=start)
    meetergo_sandbox.run_due()
    booking.attendee.refresh_from_db()
    return booking.attendee


# Policies


def test_no_service_computes_a_next_time_itself():
    """Delays stand in ``retry.py``; the services only write what it returns."""
    services = Path(django_meetergo.__file__).parent / "services"
    allowed = {services / "retry.py", services / "scheduler.py"}
    found = [
        str(path.relative_to(services))
        for path in services.rglob("*.py")
        if path not in allowed and re.search(r"next_at\W.*timedelta\(", path.read_text("utf-8"))
    ]

    assert found == []


def test_a_delay_is_drawn_up_to_its_step_and_the_last_one_repeats():
    """Jitter never makes a wait longer than its step, and never skips it."""
    policy, now = RetryPolicy(delays=(10, 100)), timezone.now()

    for count, step in ((1, 10), (2, 100), (9, 100)):
        waits = [(policy.find_next(count, now) - now).total_seconds() for _ in range(200)]
        assert step / 10 <= min(waits) < max(waits) <= step


@pytest.mark.parametrize(
    "policy", [value for value in vars(retry).values() if isinstance(value, RetryPolicy)]
)
def test_no_policy_obeys_a_retry_after_of_days(policy):
    """A single answer must not park a row."""
    now = timezone.now()
    error = RateLimited("wait", retry_after=400 * DAY)

    next_at = policy.find_next(1, now, error=error)

    assert next_at is None or next_at - now <= timedelta(hours=2)


def test_a_fixed_schedule_does_not_depend_on_how_often_it_was_asked():
    """A person who checks often does not postpone the next poll."""
    now = timezone.now()
    for count in (0, 3, 50):
        assert retry.BOOKING_PENDING.find_next(count, now, since=now) == now + timedelta(minutes=1)
    later = now + timedelta(minutes=20)
    assert retry.BOOKING_PENDING.find_next(0, later, since=now) == now + timedelta(minutes=75)


def test_a_call_that_was_held_back_is_not_counted():
    """Nothing was tried; but the row is not kept for ever either."""
    now = timezone.now()
    delivery = WebhookDelivery(tries=3, failing_since=now - timedelta(days=1))
    held_back = CircuitOpen("meetergo fails")

    planned = retry.DELIVERY.plan(delivery, now, held_back)

    assert "tries" not in planned
    assert planned["next_at"] == now + timedelta(seconds=10)
    assert retry.DELIVERY.plan(delivery, now + timedelta(days=3), held_back) is None


# Rows


@pytest.mark.parametrize(("route", "request_change"), [(CANCEL, "cancel"), (RESCHEDULE, "reschedule")])
def test_a_change_with_a_lost_answer_costs_few_reads(meetergo_sandbox, booked, route, request_change):
    """In ten minutes without readable answers: about a dozen reads, one write, and no end yet."""
    kit = meetergo_sandbox
    kit.fail_next(route, "drop_after")
    change = make_change(kit, booked, request_change)
    kit.fail_next(READ, "status_before", status=500, times=-1)
    reads = kit.count_requests(READ)

    run_for(kit, TEN_MINUTES)

    change.refresh_from_db()
    assert change.state == "unknown"
    assert kit.count_requests(READ) - reads <= 20
    assert kit.count_requests(route) == 1
    kit.sandbox.faults.clear()
    run_for(kit, 3600 + 600, step=600)  # the pause between two reads is an hour at most
    change.refresh_from_db()
    assert change.state == "done"


def test_a_change_that_can_never_be_verified_ends_after_three_days(meetergo_sandbox, booked):
    """Its outcome says so, and the appointment can be changed again."""
    kit = meetergo_sandbox
    kit.fail_next(CANCEL, "drop_after")
    change = make_change(kit, booked, "cancel")
    kit.fail_next(READ, "status_before", status=500, times=-1)

    run_for(kit, 4 * DAY, step=4 * 3600)

    change.refresh_from_db()
    assert (change.state, change.outcome, change.open_change_key) == ("refused", "unverified", None)
    assert kit.count_requests(READ) < 70


def test_a_change_survives_ten_minutes_without_the_service_and_not_a_day(meetergo_sandbox, booked):
    """It is carried out when the service is back; after an hour it is refused in words."""
    kit = meetergo_sandbox
    kit.fail_next("*", "status_before", status=429, times=-1)
    change = make_change(kit, booked, "cancel")
    run_for(kit, TEN_MINUTES)
    assert kit.count_requests(CANCEL) <= 20
    kit.sandbox.faults.clear()
    run_for(kit, 300, step=100)
    change.refresh_from_db()
    assert change.state == "done"


def test_one_429_with_a_retry_after_of_days_delays_a_cancel_by_minutes(meetergo_sandbox, booked):
    """The attendee's cancel goes out, whatever one answer said."""
    kit = meetergo_sandbox
    kit.fail_next(CANCEL, "status_before", status=429, retry_after=str(400 * DAY))
    change = make_change(kit, booked, "cancel")
    assert change.state == "received"

    kit.clear_availability()
    kit.run_due(after=retry.MAX_RETRY_AFTER)

    change.refresh_from_db()
    assert change.state == "done"


def test_a_change_of_a_day_long_outage_is_refused(meetergo_sandbox, booked):
    """Nothing waits for ever."""
    kit = meetergo_sandbox
    kit.fail_next(CANCEL, "status_before", status=429, times=-1)
    change = make_change(kit, booked, "cancel")

    run_for(kit, DAY // 4, step=900)

    change.refresh_from_db()
    assert (change.state, change.outcome) == ("refused", "unreachable")
    assert kit.count_requests(CANCEL) <= 30


def test_deliveries_are_tried_for_three_days(meetergo_sandbox):
    """Few reads an id; applied when the service is back before that, else dead."""
    kit = meetergo_sandbox
    kit.sync_directory()
    for start in kit.list_free_starts()[:2]:
        kit.occupy_slot(start)
    kit.reread_all()
    kit.fail_next(READ, "status_before", status=500, times=-1)
    run_for(kit, TEN_MINUTES)
    assert kit.count_requests(READ) <= 20
    run_for(kit, 70 * 3600, step=2 * 3600)
    assert set(WebhookDelivery.objects.values_list("state", flat=True)) == {"pending"}

    run_for(kit, 8 * 3600, step=2 * 3600)

    assert set(WebhookDelivery.objects.values_list("state", flat=True)) == {"dead"}
    assert kit.count_requests(READ) <= 2 * 75


def test_a_booking_whose_appointment_cannot_be_read_is_not_reread_for_ever(meetergo_sandbox, book):
    """The answer said it is booked; the re-read for its details is given up and left to the sync."""
    kit = meetergo_sandbox
    booking = book()
    kit.fail_next(READ, "garbage", times=-1)

    run_for(kit, DAY // 4, step=900)

    booking.refresh_from_db()
    assert (booking.state, booking.next_at) == ("confirmed", None)
    assert kit.count_requests(READ) <= 6


@pytest.mark.parametrize(("seconds", "most"), [(TEN_MINUTES, 12), (DAY, 150)])
def test_a_sync_in_an_outage_costs_few_requests(meetergo_sandbox, seconds, most):
    """A stopped run is resumed by its policy, not with every round of the workers."""
    kit = meetergo_sandbox
    kit.sync_directory()
    kit.fail_next(LIST, "status_before", status=500, times=-1)
    sync_appointments(connection="default", client=kit.client("sync"), now=kit.now())
    for _ in range(min(seconds // 100, 48)):
        kit.clear_availability()
        kit.run_due(after=max(100, seconds / 48), periodic=True)

    # One attempt is two requests: a read is repeated once on the spot.
    near = SyncRun.objects.filter(kind="near")
    assert not near.filter(state="done").exists()
    assert near.count() <= 2
    assert kit.count_requests(LIST) <= 6 * most


# Connections that are no longer in the settings


def test_rows_of_a_removed_connection_end_and_stop_nobody(meetergo_sandbox, book, booked):
    """Bookings close or go to staff, changes are refused, deliveries die; other connections go on."""
    kit, now = meetergo_sandbox, meetergo_sandbox.now()
    waiting = BookingFactory(connection="gone", next_at=now, created_at=now)
    unclear = BookingFactory(
        connection="gone", state="unknown", next_at=now, created_at=now, outcome_deadline=now
    )
    change = AppointmentChange.objects.create(
        kind="cancel", appointment=move_away(booked),
        requested_by="host", previous_start=now, created_at=now, next_at=now,
    )  # fmt: skip
    delivery = WebhookDelivery.objects.create(
        connection="gone",
        digest="1",
        remote_id="x",
        event_type="booking_created",
        received_at=now,
        next_at=now,
    )

    run_for(kit, TEN_MINUTES, step=100)
    genuine = book()
    assert genuine.state == "confirmed"
    run_for(kit, 4 * DAY, step=4 * 3600)

    for row in (waiting, unclear, change, delivery):
        row.refresh_from_db()
    assert (waiting.state, waiting.reason) == ("closed", "unreachable")
    assert (unclear.state, unclear.reason) == ("unknown", "needs_staff")
    assert (change.state, change.outcome) == ("refused", "unreachable")
    assert delivery.state == "dead"
    assert not Booking.objects.filter(connection="gone").exclude(next_at=None).exists()


def move_away(attendee):
    attendee.appointment.connection = attendee.appointment.read_by = "gone"
    attendee.appointment.save()
    return attendee.appointment


def make_change(kit, booked, kind):
    booked.appointment.refresh_from_db()
    common = {"appointment": booked.appointment, "client": kit.client(), "now": kit.now()}
    if kind == "cancel":
        return cancel_appointment(**common)
    return reschedule_appointment(start=kit.list_free_starts()[-3], **common)


@pytest.mark.parametrize("state", ["unknown", "pending"])
def test_a_visitor_who_checks_again_waits_no_longer_than_a_visitor_does(
    kit, book, settings, monkeypatch, state
):
    """The same reads take up to TIMEOUT_BACKGROUND where nobody waits."""
    settings.MEETERGO = {**settings.MEETERGO, "TIMEOUT": 7.0, "TIMEOUT_BACKGROUND": 30.0}
    booking = book()
    Booking.objects.filter(pk=booking.pk).update(state=state)
    booking.refresh_from_db()
    seconds = []
    for name in ("reconcile_booking", "check_pending"):
        monkeypatch.setattr(polling, name, lambda client, **_: seconds.append(client.transport.timeout))

    polling.refresh_booking_status(booking=booking, now=kit.now())

    assert seconds == [7.0]


def test_a_sync_that_fails_beside_one_that_succeeds_is_no_outage(kit):
    """The doctor says which is late; the mail would say that nothing can be read."""
    now = kit.now()
    SyncRun.objects.create(
        connection="default", kind="directory", state="open", started_at=now, open_run_key="d",
        failing_since=now - timedelta(hours=2),
    )  # fmt: skip
    done = {"connection": "default", "kind": "near", "state": "done", "started_at": now}
    last = SyncRun.objects.create(**done, finished_at=now - timedelta(minutes=5))

    record_alerts(connection="default", now=now)
    assert not Event.objects.filter(kind="service_away").exists()

    SyncRun.objects.filter(pk=last.pk).update(finished_at=now - timedelta(minutes=31))
    record_alerts(connection="default", now=now)
    assert Event.objects.filter(kind="service_away").count() == 1
