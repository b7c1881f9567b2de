"""What webhook deliveries promise: each leads to a re-read, and only the re-read changes anything."""

from __future__ import annotations

import json
from urllib.parse import urlsplit

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext, override_script_prefix

from django_meetergo.exceptions import InvalidRequest, WebhookLimitReached
from django_meetergo.models import Appointment, Connection, WebhookDelivery
from django_meetergo.remote.payloads import WebhookDocument
from django_meetergo.services.mirror import appointments
from django_meetergo.services.mirror.appointments import write_appointments
from django_meetergo.services.webhooks import apply
from django_meetergo.services.webhooks.apply import apply_deliveries
from django_meetergo.services.webhooks.receive import find_connection, receive_delivery
from django_meetergo.services.webhooks.registration import (
    build_endpoint,
    ensure_webhook,
    find_own_connection,
    remove_webhook,
)
from tests.services.conftest import run_due_after

pytestmark = pytest.mark.django_db

READ = "GET /v4/appointment/{id}"


def deliver(kit, **body):
    receive_delivery(connection="default", body=json.dumps(body).encode(), now=kit.now())


def test_an_appointment_made_elsewhere_arrives_by_webhook(meetergo_sandbox):
    """The delivery leads to a read, and the read writes the row."""
    start = meetergo_sandbox.list_free_starts()[3]
    meetergo_sandbox.occupy_slot(start)
    [remote] = meetergo_sandbox.appointments()

    deliver(meetergo_sandbox, webhookType="booking_created", id=remote.id)
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
    deliver(meetergo_sandbox, **body)

    assert WebhookDelivery.objects.get().remote_id == "abc"


def test_a_forged_delivery_changes_nothing(meetergo_sandbox, book):
    """A cancel that the service does not confirm is not one."""
    booking = book()
    remote_id = booking.attendee.appointment.remote_id
    deliver(meetergo_sandbox, webhookType="booking_cancelled", id=remote_id, isCancelled=True)
    meetergo_sandbox.run_due(after=3)

    assert not Appointment.objects.get(remote_id=remote_id).is_cancelled


def test_a_delivery_of_an_unknown_appointment_ends_unconfirmed(meetergo_sandbox):
    """A delivery for nothing ends unconfirmed and creates nothing."""
    deliver(meetergo_sandbox, webhookType="booking_created", id="no-such-appointment")

    for seconds in (3, 6, 31, 121, 601):
        meetergo_sandbox.run_due(after=seconds)

    assert WebhookDelivery.objects.get().state == "unconfirmed"
    assert Appointment.objects.count() == 0


def test_a_burst_about_one_appointment_is_one_read(meetergo_sandbox, book):
    """Duplicates and different events of one id are gathered."""
    remote_id = book().attendee.appointment.remote_id
    for name in ("booking_created", "booking_rescheduled", "booking_created"):
        deliver(meetergo_sandbox, webhookType=name, id=remote_id)
    meetergo_sandbox.run_due()
    before = meetergo_sandbox.count_requests("GET /v4/appointment/{id}")

    meetergo_sandbox.run_due(after=3)

    assert meetergo_sandbox.count_requests("GET /v4/appointment/{id}") == before + 1
    assert sorted(WebhookDelivery.objects.values_list("receive_count", flat=True)) == [1, 2]


def test_a_cancel_at_the_service_reaches_the_mirror(meetergo_sandbox, book):
    """A cancel made at meetergo itself arrives by webhook."""
    meetergo_sandbox.register_webhook()
    booking = book()
    meetergo_sandbox.run_due()
    remote = meetergo_sandbox.appointments()[0]
    meetergo_sandbox.client().cancel_appointment(remote.id, reason="Ill")

    assert meetergo_sandbox.deliver(duplicate=2, shuffle=True) >= 2
    meetergo_sandbox.run_due(after=3)

    assert Appointment.objects.get(pk=booking.attendee.appointment_id).is_cancelled


def test_other_events_are_kept_as_ignored(meetergo_sandbox):
    """Unknown events are stored and do nothing."""
    deliver(meetergo_sandbox, webhookType="new_employee", id="x")
    deliver(meetergo_sandbox, something="else")

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


def test_our_endpoint_is_registered_once(meetergo_sandbox):
    """A second run finds the first entry."""
    first = ensure_webhook(connection="default", client=meetergo_sandbox.client())
    second = ensure_webhook(connection="default", client=meetergo_sandbox.client())

    assert first.id == second.id
    assert len(meetergo_sandbox.client().list_webhooks()) == 1


def test_a_full_list_is_reported_and_left_alone(meetergo_sandbox):
    """Six entries of others stay; ours is refused clearly."""
    for number in range(6):
        meetergo_sandbox.client().create_webhook(f"https://other{number}.example/hook", ["booking_created"])

    with pytest.raises(WebhookLimitReached):
        ensure_webhook(connection="default", client=meetergo_sandbox.client())

    assert len(meetergo_sandbox.client().list_webhooks()) == 6


def test_a_token_names_its_connection(settings):
    """Each connection has an address of its own; unknown tokens have none."""
    token = settings.MEETERGO["WEBHOOK_TOKENS"][0]
    settings.MEETERGO = {**settings.MEETERGO, "CONNECTIONS": {"clinic-b": {"API_KEY": "rgo-x"}}}

    assert find_connection(token) == "default"
    assert find_connection(f"{token}~clinic-b") == "clinic-b"
    assert find_connection(f"{token}~clinic-c") is None
    assert find_connection("guess") is None


def test_deliveries_that_wait_for_our_request_limit_are_not_counted_as_failed(meetergo_sandbox, settings):
    """They are applied as soon as the limit allows it."""
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


def test_an_appointment_that_cannot_be_stored_stops_no_other(meetergo_sandbox, monkeypatch):
    """Its deliveries are tried again for three days; the others are applied."""
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
    for _ in range(40):
        kit.run_due(after=2 * 3600)
    assert WebhookDelivery.objects.get(remote_id=poisoned.id).state == "dead"


def test_a_delivery_that_was_given_up_is_applied_when_it_arrives_again(meetergo_sandbox, book):
    """A duplicate is ignored only when the first one was applied."""
    kit = meetergo_sandbox
    booking = book()
    kit.run_due()
    remote_id = booking.attendee.appointment.remote_id
    kit.client().cancel_appointment(remote_id)
    kit.fail_next("GET /v4/appointment/{id}", "status_before", status=404, times=-1)
    deliver(kit, webhookType="booking_cancelled", id=remote_id)
    for seconds in (3, 6, 31, 121, 601):
        kit.run_due(after=seconds)
    assert WebhookDelivery.objects.get().state == "unconfirmed"
    kit.sandbox.faults.clear()

    deliver(kit, webhookType="booking_cancelled", id=remote_id)
    kit.run_due(after=3)

    assert Appointment.objects.get(remote_id=remote_id).is_cancelled
    assert WebhookDelivery.objects.get().receive_count == 2


def test_an_id_that_is_no_path_segment_stops_no_other_delivery(meetergo_sandbox):
    """The bad one backs off by itself, with its reason; the genuine one beside it is applied."""
    kit = meetergo_sandbox
    kit.sync_directory()
    kit.occupy_slot(kit.list_free_starts()[0])
    [remote] = kit.appointments()
    deliver(kit, webhookType="booking_created", id="..")
    assert WebhookDelivery.objects.get().state == "ignored"
    deliver(kit, webhookType="booking_created", id=remote.id)
    WebhookDelivery.objects.filter(state="ignored").update(  # as an earlier version stored it
        state="pending", remote_id="..", next_at=kit.now()
    )

    kit.run_due(after=3)

    assert WebhookDelivery.objects.get(remote_id=remote.id).state == "applied"
    bad = WebhookDelivery.objects.get(remote_id="..")
    assert (bad.state, bad.tries, bad.lease_token) == ("pending", 1, None)
    assert "InvalidRequest" in bad.message
    for _ in range(80):
        kit.run_due(after=3600)
    bad.refresh_from_db()
    assert bad.state == "dead"


def test_a_batch_that_takes_longer_than_its_lease_keeps_it(meetergo_sandbox, settings):
    """The lease is renewed between two reads, so no second worker reads the same appointments."""
    kit = meetergo_sandbox
    kit.sync_directory()
    for start in kit.list_free_starts()[:4]:
        kit.occupy_slot(start)
    kit.reread_all()
    short = {"LEASE": 0.9, "TIMEOUT": 0.9, "TIMEOUT_BACKGROUND": 0.9}
    settings.MEETERGO = {**settings.MEETERGO, **short}
    kit.fail_next(READ, "slow", seconds=0.3, times=-1)
    first = WebhookDelivery.objects.filter(state="pending")

    applied = apply.apply_deliveries(connection="default", client=kit.client("reread"), now=kit.now())

    assert applied == 4
    assert not first.exists()


# Registration


def list_endpoints(kit):
    return [hook.endpoint for hook in kit.client().list_webhooks()]


@pytest.mark.parametrize(
    "change",
    [
        {"WEBHOOK_TOKENS": ["another-token-that-only-this-test-knows"]},
        {"SITE_URL": "https://new.example"},
        {"SITE_URL": "https://new.example", "WEBHOOK_TOKENS": ["another-token-that-only-this-test-knows"]},
    ],
    ids=["token", "address", "both"],
)
def test_a_changed_address_replaces_our_entry(meetergo_sandbox, settings, change):
    """However often the token or the address changes, one place is used."""
    kit = meetergo_sandbox
    first = ensure_webhook(connection="default", client=kit.client())
    settings.MEETERGO = {**settings.MEETERGO, **change}

    second = ensure_webhook(connection="default", client=kit.client())

    assert second.id == first.id
    assert list_endpoints(kit) == [build_endpoint("default")]


def test_older_entries_of_ours_are_recognised_by_a_token_and_removed(meetergo_sandbox, settings):
    """Also those whose id was never stored; entries of others stay."""
    kit, token = meetergo_sandbox, settings.MEETERGO["WEBHOOK_TOKENS"][0]
    for host in ("old.example", "older.example"):
        kit.client().create_webhook(f"https://{host}/book/webhooks/{token}/", ["booking_created"])
    kit.client().create_webhook("https://other.example/hook", ["booking_created"])

    ensure_webhook(connection="default", client=kit.client())

    assert sorted(list_endpoints(kit)) == sorted([build_endpoint("default"), "https://other.example/hook"])


def test_an_entry_of_others_is_left_alone_though_it_has_the_id_of_ours(meetergo_sandbox, settings):
    """The same database was used with the sandbox before, whose ids are those of another service, too."""
    client = meetergo_sandbox.client()
    other = client.create_webhook("https://hooks.shop.example/catch/1", ("booking_created",))
    Connection.objects.create(connection="default", webhook_remote_id=other.id)

    ensure_webhook(connection="default", client=client)
    assert len(client.list_webhooks()) == 2
    Connection.objects.update(webhook_remote_id=other.id)
    remove_webhook(connection="default", client=client)

    assert client.list_webhooks()[0].endpoint == other.endpoint


def test_connections_that_remember_the_same_id_keep_their_own_entries(settings):
    """Two services may number their entries alike."""
    settings.MEETERGO = {**settings.MEETERGO, "CONNECTIONS": {"berlin": {"API_KEY": "rgo-x"}}}
    for name in ("default", "berlin"):
        Connection.objects.create(connection=name, webhook_remote_id="1")
    hook = WebhookDocument(id="1", endpoint="https://a.example/book/webhooks/old/", event_types=())
    assert [find_own_connection(hook, name) for name in ("default", "berlin")] == ["default", "berlin"]


def test_the_bare_token_is_refused_without_a_default_connection(settings):
    """Its deliveries could never be read."""
    settings.MEETERGO = {**settings.MEETERGO, "API_KEY": "", "CONNECTIONS": {"berlin": {"API_KEY": "rgo-x"}}}
    [token] = settings.MEETERGO["WEBHOOK_TOKENS"]
    assert (find_connection(token), find_connection(f"{token}~berlin")) == (None, "berlin")


def test_a_path_in_the_sites_address_is_the_prefix_of_the_endpoint(settings, meetergo_sandbox):
    """A command does not know the prefix under which the web server mounts the site."""
    path = urlsplit(build_endpoint("default")).path
    settings.MEETERGO = {**settings.MEETERGO, "SITE_URL": "https://site.example/shop/"}

    assert build_endpoint("default") == f"https://site.example/shop{path}"
    with override_script_prefix("/shop/"):
        assert build_endpoint("default") == f"https://site.example/shop{path}"


def test_a_delivery_is_applied_though_the_service_spells_its_id_otherwise(kit):
    kit.occupy_slot(kit.list_free_starts()[3])
    [remote] = kit.appointments()
    adapter = kit._get_adapter()
    sound = adapter.wsgi

    def ignore_case(environ, start_response):
        return sound({**environ, "PATH_INFO": environ["PATH_INFO"].lower()}, start_response)

    adapter.wsgi = ignore_case
    body = json.dumps({"webhookType": "booking_created", "id": remote.id.upper()}).encode()
    receive_delivery(connection="default", body=body, now=kit.now())
    run_due_after(kit, *[90] * 10)
    adapter.wsgi = sound

    assert WebhookDelivery.objects.get().state == "applied"
    assert kit.count_requests(READ) == 1


def test_thousands_of_deliveries_of_one_appointment_cost_few_statements(kit):
    now = kit.now()
    WebhookDelivery.objects.bulk_create(
        WebhookDelivery(
            digest=str(number), event_type="booking_created", remote_id="x", received_at=now, next_at=now
        )
        for number in range(4000)
    )

    with CaptureQueriesContext(connection) as captured:
        apply_deliveries(connection="default", client=kit.client("deliveries"), now=now)

    assert len(captured) < 20
    assert set(WebhookDelivery.objects.values_list("polls", "lease_token")) == {(1, None)}


def test_an_endpoint_that_is_listed_twice_is_not_deleted(kit):
    first = ensure_webhook(connection="default", client=kit.client("sync"))
    adapter = kit._get_adapter()
    sound = adapter.wsgi

    def repeat(environ, start_response):
        if (environ["REQUEST_METHOD"], environ["PATH_INFO"]) != ("GET", "/webhooks"):
            return sound(environ, start_response)
        started = []
        body = b"".join(sound(environ, lambda *start: started.append(start)))
        [(status, headers)] = started
        start_response(status, [one for one in headers if one[0].lower() != "content-length"])
        return [json.dumps(json.loads(body) * 2).encode()]

    adapter.wsgi = repeat
    ensure_webhook(connection="default", client=kit.client("sync"))
    adapter.wsgi = sound

    assert [hook.id for hook in kit.client("sync").list_webhooks()] == [first.id]
