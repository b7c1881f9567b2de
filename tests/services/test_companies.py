"""Several connections: of one company, of several companies, limited to some types, or removed."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.core.management import CommandError, call_command
from django.urls import reverse

from django_meetergo import signals
from django_meetergo.exceptions import ChangeNotAllowed, InvalidRequest
from django_meetergo.links import get_manage_path
from django_meetergo.models import (
    Appointment,
    Attendee,
    Event,
    Host,
    MeetingType,
    SyncRun,
    WebhookDelivery,
)
from django_meetergo.sandbox.seed import ADMIN_TOKEN, ANNA, BEN, MEMBER_TOKEN, PLATFORM_KEY
from django_meetergo.services import (
    book_appointment,
    cancel_appointment,
    list_slots,
    reschedule_appointment,
    sync_appointments,
)
from django_meetergo.services.clients import build_client
from django_meetergo.services.companies import find_covering
from django_meetergo.testing.factories import AppointmentFactory, AttendeeFactory, MeetingTypeFactory
from tests.tags.conftest import Page

pytestmark = pytest.mark.django_db

MEMBER = {"API_KEY": MEMBER_TOKEN}
PLATFORM_ADMIN = {"API_KEY": PLATFORM_KEY, "USER_ID": ANNA}
PLATFORM_MEMBER = {"API_KEY": PLATFORM_KEY, "USER_ID": BEN}


@pytest.fixture
def connect(meetergo_sandbox, settings):
    """Add connections to the settings, or change keys of the default one."""

    def connect(default=None, **connections):
        settings.MEETERGO = {**settings.MEETERGO, "CONNECTIONS": connections, **(default or {})}
        return meetergo_sandbox

    return connect


@pytest.fixture
def other_service(connect):
    """A second sandbox, with the same ids and credentials, behind another address: connection ``other``."""
    from django_meetergo.remote import transport
    from django_meetergo.sandbox.app import Sandbox
    from django_meetergo.testing.sandbox_adapter import SandboxAdapter

    url, sandbox = "http://other.sandbox", Sandbox(rate_limit=False)
    transport.ADAPTERS[url] = SandboxAdapter(sandbox.wsgi)
    connect(other={"API_KEY": "rgo-" + "sandbox".ljust(32, "0"), "BASE_URL": url})
    yield sandbox
    del transport.ADAPTERS[url]
    sandbox.close()


def sync(*connections, kind="full"):
    for name in connections:
        call_command("meetergo_sync", "--connection", name, "--kind", kind, verbosity=0)


def mark_imported(kit, *connections):
    """From here on, everything that a sync finds is news."""
    for name in connections:
        SyncRun.objects.create(connection=name, kind="full", state="done", started_at=kit.now())


def count_twins():
    """Return how many objects of meetergo have more than one row."""
    return sum(
        model.objects.exclude(remote_id=None).count() - model.objects.values("remote_id").distinct().count()
        for model in (MeetingType, Host, Appointment, Attendee)
    )


@pytest.fixture
def booked_signals():
    received = []

    def receive(appointment, attendee, **_):
        received.append(attendee.pk)

    signals.appointment_booked.connect(receive)
    yield received
    signals.appointment_booked.disconnect(receive)


# One company


@pytest.mark.parametrize("order", [("default", "second"), ("second", "default")], ids="-".join)
@pytest.mark.parametrize(
    "second", [PLATFORM_ADMIN, PLATFORM_MEMBER, MEMBER], ids=["admin", "platform member", "member"]
)
def test_what_a_company_holds_is_mirrored_once(connect, booked_signals, second, order):
    """Whichever of its credentials saw it: one row, and one signal for each attendee."""
    kit = connect(second=second)
    mark_imported(kit, *order)
    sync(*order)
    kit.run_due()
    kit.occupy_slot(kit.list_free_starts()[0])
    sync(*order)
    sync(*reversed(order))
    kit.run_due()

    assert count_twins() == 0
    assert len({row.connection for row in MeetingType.objects.all()}) == 1
    assert sorted(booked_signals) == sorted(set(booked_signals))
    assert len(booked_signals) == Attendee.objects.filter(appointment__status="confirmed").count()


def test_credentials_that_see_different_things_fill_one_mirror(connect, booked_signals):
    """Two members, neither an admin: the union of what they see, each read with its own credential."""
    kit = connect({"API_KEY": MEMBER_TOKEN}, clara=PLATFORM_ADMIN)
    kit.sandbox.state.users[ANNA].is_admin = False
    mark_imported(kit, "default", "clara")
    sync("default", "clara")
    kit.run_due()

    assert count_twins() == 0
    readers = dict(MeetingType.objects.values_list("name", "read_by"))
    assert set(readers.values()) == {"default", "clara"}
    assert {build_client(row.reader, "view").get_current_user().id for row in MeetingType.objects.all()} == {
        ANNA,
        BEN,
    }
    assert len(booked_signals) == len(set(booked_signals)) > 0


def test_a_booking_is_found_by_the_other_credential(connect, booked_signals):
    """Booked with one, seen by the other's sync and webhook: one appointment, one signal."""
    kit = connect(second={**PLATFORM_ADMIN, "MEETING_TYPES": ["consultation"]})
    sync("default", "second")
    kit.run_due()
    booked_signals.clear()
    call_command("meetergo_webhooks", "ensure", verbosity=0)
    meeting_type = MeetingType.objects.get(name="Consultation")
    assert (meeting_type.connection, meeting_type.read_by) == ("default", "second")

    kit.fail_next(kind="drop_after")
    start = list_slots(meeting_type=meeting_type, start=kit.now(), end=kit.now() + timedelta(days=7)).times[0]
    booking = book_appointment(meeting_type=meeting_type, start=start.start, attendee=make_person())
    assert booking.state == "unknown"
    sync("default")
    kit.deliver(duplicate=2)
    kit.run_due(after=200)
    sync("second")
    kit.run_due()

    booking.refresh_from_db()
    assert booking.state == "confirmed"
    assert len(booked_signals) == 1
    assert count_twins() == 0


def make_person():
    from django_meetergo.services import AttendeeData

    return AttendeeData(email="ann@x.example", first_name="Ann", last_name="Lee", timezone="Europe/Berlin")


def test_an_admin_reads_for_the_others(connect):
    """The second credential only sends requests; it reads as soon as the first is refused."""
    kit = connect(second=PLATFORM_ADMIN)
    sync("default", "second")
    assert (find_covering("second"), find_covering("default")) == ("default", None)
    SyncRun.objects.all().delete()

    kit.run_due(after=4000, periodic=True)
    assert set(SyncRun.objects.exclude(kind="directory").values_list("connection", flat=True)) == {"default"}

    kit.sandbox.state.tokens.clear()
    kit.run_due(after=400, periodic=True)
    assert find_covering("second") is None


@pytest.fixture
def replace_company(meetergo_sandbox, monkeypatch):
    """Let an API key be one of another company, which has nothing of this one."""
    from django_meetergo.remote import transport
    from django_meetergo.sandbox import documents
    from django_meetergo.sandbox.app import Sandbox

    other = Sandbox(rate_limit=False)
    other.state.meeting_types.clear()
    for appointment_id in list(other.state.appointments):
        other.state.delete_appointment(appointment_id)
    adapter = transport.ADAPTERS[meetergo_sandbox.base_url]
    former = adapter.wsgi

    def replace(key):
        def answer(environ, start_response):
            if environ.get("HTTP_AUTHORIZATION") != f"Bearer {key}":
                return former(environ, start_response)
            with monkeypatch.context() as company:
                company.setattr(documents, "COMPANY_ID", "another-company")
                return other.wsgi(environ, start_response)

        monkeypatch.setattr(adapter, "wsgi", answer)

    yield replace
    other.close()


def test_a_credential_of_another_company_reads_for_nobody_of_the_former_one(connect, replace_company):
    """The admin's key is replaced by one of another company: the second credential reads its own again."""
    kit = connect(second=PLATFORM_MEMBER)
    sync("default", "second")
    coming = Appointment.objects.upcoming(kit.now()).filter(hosts__remote_id=BEN)
    of_second = sorted(coming.values_list("pk", flat=True))
    assert find_covering("second") == "default"
    assert of_second

    replace_company(ADMIN_TOKEN)
    kit.run_due(after=4000, periodic=True)
    assert find_covering("second") is None
    kit.run_due(after=400, periodic=True)

    found = Appointment.objects.filter(pk__in=of_second, missing_since=None)
    assert sorted(found.values_list("pk", "read_by")) == [(pk, "second") for pk in of_second]


# Limited connections


def test_a_connection_can_be_limited_to_some_types(connect):
    """Neither other types nor their appointments are mirrored, also not by a webhook."""
    kit = connect({"MEETING_TYPES": ["intro-call"]})
    kit.register_webhook()
    sync("default")
    kit.sandbox.state.users[ANNA].is_admin = True
    other = next(kind for kind in kit.sandbox.state.meeting_types.values() if kind.slug == "consultation")
    from django_meetergo.sandbox.scenarios import occupy_slot

    start = kit.list_free_starts()[0] + timedelta(hours=1)
    occupy_slot(kit.sandbox.state, other.user_id, start, meeting_type_id=other.id)
    kit.deliver()
    kit.reread_all()
    kit.run_due(after=10)
    sync("default")

    assert [row.slug for row in MeetingType.objects.all()] == ["intro-call"]
    assert set(Appointment.objects.values_list("meeting_type__slug", flat=True)) <= {"intro-call"}
    call_command("meetergo_sync", "--check", verbosity=0)


@pytest.mark.parametrize("order", [("default", "second"), ("second", "default")], ids="-".join)
def test_a_type_belongs_to_the_connection_that_names_it(connect, order):
    """In whatever order they are read; the others stay with the first connection."""
    connect(second={**PLATFORM_ADMIN, "MEETING_TYPES": ["consultation", "checkup"]})
    sync(*order, kind="near")
    sync(*order, kind="near")

    by_reader = {row.raw["slug"]: row.reader for row in MeetingType.objects.filter(missing_since=None)}
    assert {slug for slug, reader in by_reader.items() if reader == "second"} == {"consultation", "checkup"}
    assert len(by_reader) == 6


def test_a_removed_credential_is_replaced_by_another_of_the_company(connect):
    """Its types are read by the next one; appointments can be changed with it."""
    kit = connect(second={**PLATFORM_ADMIN, "MEETING_TYPES": ["consultation"]})
    sync("default", "second")
    connect()
    assert MeetingType.objects.bookable().count() == 6

    kit.sync_directory()

    assert set(MeetingType.objects.values_list("read_by", "missing_since")) == {("default", None)}


# Clients of other connections


def call_with(function, kit, client):
    rows = Appointment.objects.upcoming(kit.now()).filter(connection="default")
    appointment = rows.exclude(meeting_type__spots__gt=1).first()
    start = kit.list_free_starts()[0]
    arguments = {
        list_slots: {"meeting_type": "intro-call", "start": start, "end": start + timedelta(days=1)},
        book_appointment: {"meeting_type": "intro-call", "start": start, "attendee": make_person()},
        cancel_appointment: {"appointment": appointment},
        reschedule_appointment: {"appointment": appointment, "start": start},
        sync_appointments: {},
    }[function]
    return function(client=client, **arguments)


@pytest.mark.parametrize(
    "function",
    [list_slots, book_appointment, cancel_appointment, reschedule_appointment, sync_appointments],
    ids=lambda function: function.__name__,
)
def test_a_client_of_another_connection_is_refused(other_service, meetergo_sandbox, function):
    """Every public function: it would act at another company. The same key at another address is another."""
    sync("default", "other")
    before = len(other_service.request_log.entries(kind="request"))

    with pytest.raises(InvalidRequest) as refusal:
        call_with(function, meetergo_sandbox, build_client("other", "write"))

    assert refusal.value.field == "client"
    assert len(other_service.request_log.entries(kind="request")) == before
    assert call_with(function, meetergo_sandbox, build_client("default", "write"))


# Several services


@pytest.mark.parametrize("order", [("default", "other"), ("other", "default")], ids="-".join)
def test_the_same_slug_in_two_connections_has_one_name_in_any_order(other_service, order):
    """The first connection in the settings keeps meetergo's slugs, the other's are followed by its name."""
    sync(*order, kind="near")

    assert MeetingType.objects.get(slug="consultation").connection == "default"
    assert MeetingType.objects.get(slug="consultation-other").connection == "other"
    assert MeetingType.objects.count() == 12


def test_equal_slugs_of_one_connection_are_numbered_by_id(connect):
    """Whatever the order of the list."""
    kit = connect()
    kinds = kit.sandbox.state.meeting_types
    for kind in kinds.values():
        kind.slug = "talk"
    names = []
    for _ in range(2):
        MeetingType.objects.all().delete()
        kit.sync_directory()
        names.append(dict(MeetingType.objects.values_list("remote_id", "slug")))
        kit.sandbox.state.meeting_types = kinds = dict(reversed(kinds.items()))

    assert names[0] == names[1]
    assert set(names[0].values()) == {"talk", *(f"talk-{number}" for number in range(2, 7))}


def test_each_connection_calls_its_own_address(other_service, meetergo_sandbox):
    """A booking of the other service's type is made there; equal ids of two services are two rows."""
    sync("default", "other")
    meeting_type = MeetingType.objects.get(slug="intro-call-other")
    now = meetergo_sandbox.now()
    start = list_slots(meeting_type=meeting_type, start=now, end=now + timedelta(days=7)).times[0].start

    booking = book_appointment(meeting_type=meeting_type, start=start, attendee=make_person())

    assert booking.state == "confirmed"
    assert booking.reference in str([one.attendees for one in other_service.state.appointments.values()])
    assert meetergo_sandbox.count_requests() == 0
    pairs = MeetingType.objects.values_list("remote_id", flat=True)
    assert len(pairs) == 2 * len(set(pairs))


def test_a_circuit_of_one_address_does_not_close_the_other(other_service):
    first, second = build_client("default", "view"), build_client("other", "view")
    first.circuit.record_refusal()

    assert first.circuit.is_open
    assert not second.circuit.is_open


def test_the_list_of_webhooks_knows_the_own_ones_of_the_other_credential(connect, capsys):
    connect(second=MEMBER)
    call_command("meetergo_webhooks", "ensure")
    capsys.readouterr()

    call_command("meetergo_webhooks", "list", "--connection", "default")

    out = capsys.readouterr().out
    assert "this site, connection second" in out
    assert "another endpoint" not in out


# A removed connection


@pytest.fixture
def removed(meetergo_sandbox, db):
    """A meeting type and an appointment of a connection that the settings no longer have."""
    kit = meetergo_sandbox
    kit.sync_directory()
    kind = MeetingTypeFactory(connection="gone", read_by="gone", slug="gone-talk", name="Gone talk")
    appointment = AppointmentFactory(connection="gone", read_by="gone", meeting_type=kind)
    return AttendeeFactory(appointment=appointment)


def test_what_waits_for_the_only_credential_ends_or_goes_to_staff(meetergo_sandbox, book, settings):
    """The key was taken out of the settings: nothing stays received, pending or open for ever."""
    kit = meetergo_sandbox
    done = book()
    kit.run_due(after=3)
    done.refresh_from_db()
    pending = book("second-opinion")
    waiting = book(start=kit.list_free_starts()[5], send=False)
    change = cancel_appointment(appointment=done.attendee.appointment, send=False)
    kit.forge_delivery(webhookType="booking_created", id="anything")
    settings.MEETERGO = {**settings.MEETERGO, "API_KEY": ""}

    for _ in range(80):
        kit.run_due(after=3600, periodic=True)

    for row in (pending, waiting, change):
        row.refresh_from_db()
    assert (pending.state, pending.reason) == ("unknown", "needs_staff")
    assert (waiting.state, waiting.reason) == ("closed", "unreachable")
    assert (change.state, change.outcome) == ("refused", "unreachable")
    assert not WebhookDelivery.objects.filter(state="pending").exists()


def test_types_of_a_removed_connection_are_not_offered(removed, client):
    """The list leaves them out, their pages say so; a widget does not break the site's page."""
    index = client.get(reverse("meetergo:index")).content.decode()
    assert "Intro call" in index
    assert "Gone talk" not in index
    assert client.get(reverse("meetergo:book", args=["gone-talk"])).status_code == 410
    page = Page()
    assert "cannot be booked online" in page.render('{% meetergo_booking_widget "gone-talk" %}')
    assert "cannot be booked online" in page.render('{% meetergo_next_slots "gone-talk" %}')


def test_a_connection_without_a_key_is_like_a_removed_one(kit, settings, client, capsys):
    """The variable with its key is missing after a deployment: no page fails, and the doctor says why."""
    settings.MEETERGO = {**settings.MEETERGO, "CONNECTIONS": {"partner": {"API_KEY": ""}}}
    MeetingTypeFactory(connection="partner", read_by="partner", slug="keyless")

    assert client.get(reverse("meetergo:book", args=["keyless"])).status_code == 410
    assert "cannot be booked online" in Page().render('{% meetergo_booking_widget "keyless" %}')
    with pytest.raises(CommandError, match="partner"):
        call_command("meetergo_sync")
    with pytest.raises(CommandError):
        call_command("meetergo_doctor")
    assert "Connection 'partner' has no API_KEY" in capsys.readouterr().out


def test_appointments_of_a_removed_connection_are_shown_and_cannot_be_changed(removed, client):
    """The attendee's page answers; a cancel and a reschedule are refused in words, and nothing is stored."""
    path = get_manage_path(removed)
    assert client.get(path).status_code == 200
    later = removed.appointment.start + timedelta(days=1)
    with pytest.raises(ChangeNotAllowed, match="not_connected"):
        cancel_appointment(appointment=removed.appointment)
    with pytest.raises(ChangeNotAllowed, match="not_connected"):
        reschedule_appointment(appointment=removed.appointment, start=later)
    for action in ("cancel", "reschedule"):
        answer = client.post(f"{path}{action}/", {"reason": "", "start": "2030-01-01T09:00:00+00:00"})
        assert answer.status_code < 500
    assert not removed.appointment.changes.exists()
    assert not Event.objects.exists()
