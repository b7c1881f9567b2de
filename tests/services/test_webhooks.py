"""What the letterbox promises: a hint is looked into, and only the look is believed."""

from __future__ import annotations

import json

import pytest

from django_meetergo.exceptions import InvalidRequest, WebhookLimitReached
from django_meetergo.models import Appointment, WebhookDelivery
from django_meetergo.services.mirror import appointments
from django_meetergo.services.mirror.appointments import write_appointments
from django_meetergo.services.webhooks.receive import find_connection, receive_delivery
from django_meetergo.services.webhooks.registration import ensure_webhook

pytestmark = pytest.mark.django_db


def check_circuit(kit, **body):
    receive_delivery(connection="default", body=json.dumps(body).encode(), now=kit.now())


def test_an_appointment_made_elsewhere_arrives_by_webhook(meetergo_sandbox):
    """The delivery is a hint; the read that follows writes the row."""
    start = meetergo_sandbox.list_free_starts()[3]
    meetergo_sandbox.occupy_slot(start)
    [remote] = meetergo_sandbox.appointments()

    check_circuit(meetergo_sandbox, webhookType="booking_created", id=remote.id)
    meetergo_sandbox.run_due(after=3)

    row = Appointment.objects.get(remote_id=remote.id)
    assert (row.start, row.status) == (start, "confirmed")
    assert WebhookDelivery.objects.get().state == "applied"


@pytest.mark.parametrize("envelope", ["flat", "old"])
def test_both_envelopes_are_read(meetergo_sandbox, envelope):
    """The event name and the id are found in either shape."""
    body = (
        {"webhookType": "booking_created", "id": "abc"}
        if envelope == "flat"
        else {"event": "booking_created", "data": {"id": "abc"}}
    )
    check_circuit(meetergo_sandbox, **body)

    assert WebhookDelivery.objects.get().remote_id == "abc"


def test_a_forged_delivery_changes_nothing(meetergo_sandbox, book):
    """A cancel that the service does not confirm is not one."""
    booking = book()
    remote_id = booking.attendee.appointment.remote_id
    check_circuit(meetergo_sandbox, webhookType="booking_cancelled", id=remote_id, isCancelled=True)
    meetergo_sandbox.run_due(after=3)

    assert not Appointment.objects.get(remote_id=remote_id).is_cancelled


def test_an_unknown_appointment_is_looked_up_again_and_then_left(meetergo_sandbox):
    """A delivery for nothing ends unconfirmed and creates nothing."""
    check_circuit(meetergo_sandbox, webhookType="booking_created", id="no-such-appointment")

    for seconds in (3, 6, 31, 121, 601):
        meetergo_sandbox.run_due(after=seconds)

    assert WebhookDelivery.objects.get().state == "unconfirmed"
    assert Appointment.objects.count() == 0


def test_a_burst_about_one_appointment_is_one_look(meetergo_sandbox, book):
    """Duplicates and different events of one id are gathered."""
    remote_id = book().attendee.appointment.remote_id
    for name in ("booking_created", "booking_rescheduled", "booking_created"):
        check_circuit(meetergo_sandbox, webhookType=name, id=remote_id)
    meetergo_sandbox.run_due()
    before = meetergo_sandbox.posts("GET /v4/appointment/{id}")

    meetergo_sandbox.run_due(after=3)

    assert meetergo_sandbox.posts("GET /v4/appointment/{id}") == before + 1
    assert sorted(WebhookDelivery.objects.values_list("receive_count", flat=True)) == [1, 2]


def test_a_cancel_at_the_service_reaches_the_mirror(meetergo_sandbox, book):
    """What somebody does at meetergo itself is told by its webhook."""
    meetergo_sandbox.register_webhook()
    booking = book()
    meetergo_sandbox.run_due()
    remote = meetergo_sandbox.appointments()[0]
    meetergo_sandbox.client().cancel_appointment(remote.id, reason="Ill")

    assert meetergo_sandbox.deliver(duplicate=2, shuffle=True) >= 2
    meetergo_sandbox.run_due(after=3)

    assert Appointment.objects.get(pk=booking.attendee.appointment_id).is_cancelled


def test_other_events_are_kept_as_ignored(meetergo_sandbox):
    """What we know nothing about is noted and left alone."""
    check_circuit(meetergo_sandbox, webhookType="new_employee", id="x")
    check_circuit(meetergo_sandbox, something="else")

    assert set(WebhookDelivery.objects.values_list("state", flat=True)) == {"ignored"}


@pytest.mark.parametrize(
    "body",
    [b"", b"not json", b'{"a": ' * 30 + b"1" + b"}" * 30, b"[" * 100_000, b'"' + b"x" * 300_000 + b'"'],
    ids=["empty", "text", "deep", "very-deep", "large"],
)
def test_a_body_that_cannot_be_a_delivery_is_refused(meetergo_sandbox, body):
    """Nothing is stored for it."""
    with pytest.raises(InvalidRequest):
        receive_delivery(connection="default", body=body, now=meetergo_sandbox.now())

    assert WebhookDelivery.objects.count() == 0


def test_our_address_is_entered_once(meetergo_sandbox):
    """A second run adopts the first entry."""
    first = ensure_webhook(connection="default", client=meetergo_sandbox.client())
    second = ensure_webhook(connection="default", client=meetergo_sandbox.client())

    assert first.id == second.id
    assert len(meetergo_sandbox.client().list_webhooks()) == 1


def test_a_full_list_is_told_and_left_alone(meetergo_sandbox):
    """Six strangers' entries stay; ours is refused clearly."""
    for number in range(6):
        meetergo_sandbox.client().create_webhook(f"https://other{number}.example/hook", ["booking_created"])

    with pytest.raises(WebhookLimitReached):
        ensure_webhook(connection="default", client=meetergo_sandbox.client())

    assert len(meetergo_sandbox.client().list_webhooks()) == 6


def test_a_token_opens_the_letterbox_of_its_connection(settings):
    """Each connection has an address of its own; unknown tokens have none."""
    token = settings.MEETERGO["WEBHOOK_TOKENS"][0]
    settings.MEETERGO = {**settings.MEETERGO, "CONNECTIONS": {"clinic-b": {"API_KEY": "rgo-x"}}}

    assert find_connection(token) == "default"
    assert find_connection(f"{token}~clinic-b") == "clinic-b"
    assert find_connection(f"{token}~clinic-c") is None
    assert find_connection("guess") is None


def test_deliveries_that_wait_for_our_request_limit_are_not_counted_as_failed(meetergo_sandbox, settings):
    """What the limit holds back comes later, however long it takes."""
    kit = meetergo_sandbox
    kit.sync_directory()
    for start in kit.list_free_starts()[:4]:
        kit.occupy_slot(start)
    settings.MEETERGO = {**settings.MEETERGO, "REQUESTS_PER_MINUTE": 3}
    kit.clear_availability()
    kit.reread_all()

    kit.run_due()

    assert Appointment.objects.count() == 2
    waiting = WebhookDelivery.objects.filter(state="pending")
    assert list(waiting.values_list("tries", "lease_token")) == [(0, None)] * 2
    kit.clear_availability()
    kit.run_due(after=11)
    assert Appointment.objects.count() == 4


def test_a_poisoned_appointment_holds_up_no_other(meetergo_sandbox, monkeypatch):
    """What cannot be written backs off by itself; the others are applied."""

    kit = meetergo_sandbox
    kit.sync_directory()
    for start in kit.list_free_starts()[:3]:
        kit.occupy_slot(start)
    poisoned, *others = kit.appointments()
    write = write_appointments

    def write_unless_poisoned(connection, documents, **options):
        assert poisoned.id not in [document.id for document in documents]
        return write(connection, documents, **options)

    monkeypatch.setattr(appointments, "write_appointments", write_unless_poisoned)
    kit.reread_all()
    kit.run_due()

    assert set(Appointment.objects.values_list("remote_id", flat=True)) == {one.id for one in others}
    assert WebhookDelivery.objects.get(remote_id=poisoned.id).state == "pending"
    for _ in range(12):
        kit.run_due(after=3601)
    assert WebhookDelivery.objects.get(remote_id=poisoned.id).state == "dead"


def test_a_delivery_that_was_given_up_is_worked_on_when_it_comes_again(meetergo_sandbox, book):
    """Duplicates are known by what was done for them, not by having been seen."""
    kit = meetergo_sandbox
    booking = book()
    kit.run_due()
    remote_id = booking.attendee.appointment.remote_id
    kit.client().cancel_appointment(remote_id)
    kit.fail_next("GET /v4/appointment/{id}", "status_before", status=404, times=-1)
    check_circuit(kit, webhookType="booking_cancelled", id=remote_id)
    for seconds in (3, 6, 31, 121, 601):
        kit.run_due(after=seconds)
    assert WebhookDelivery.objects.get().state == "unconfirmed"
    kit.sandbox.faults.clear()

    check_circuit(kit, webhookType="booking_cancelled", id=remote_id)
    kit.run_due(after=3)

    assert Appointment.objects.get(remote_id=remote_id).is_cancelled
    assert WebhookDelivery.objects.get().receive_count == 2
