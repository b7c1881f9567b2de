"""The mirror: documents that no column can hold, relations that come late, moves that nobody counts."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta

import pytest

from django_meetergo.models import Appointment, Event, Host, MeetingType
from django_meetergo.remote.payloads import parse_appointment, parse_host, parse_meeting_type
from django_meetergo.services.mirror import appointments as mirror
from django_meetergo.services.mirror.appointments import record_appointment, record_appointments
from django_meetergo.services.mirror.directory import record_hosts, record_meeting_types
from django_meetergo.services.sync.appointments import sync_appointment, sync_appointments
from django_meetergo.testing.factories import AppointmentFactory
from tests.remote.scripted import recorded

pytestmark = pytest.mark.django_db


@pytest.fixture
def documents(meetergo_sandbox):
    """Three appointments as meetergo shows them."""
    kit = meetergo_sandbox
    kit.sync_directory()
    for start in kit.list_free_starts()[:3]:
        kit.occupy_slot(start)
    return [kit.client().get_appointment(one.id) for one in kit.appointments()]


def record(kit, documents):
    return record_appointments(connection="default", documents=documents, now=kit.now())


def test_an_attendee_without_an_id_is_left_out_and_reported(meetergo_sandbox, documents):
    """The appointment and its neighbours are stored without it."""
    odd, *others = documents
    nobody = replace(odd.attendees[0], id="")

    recorded = record(meetergo_sandbox, [replace(odd, attendees=(nobody, nobody)), *others])

    assert set(recorded.appointments) == {one.id for one in documents}
    [skipped] = recorded.skipped
    assert (skipped.remote_id, skipped.reason) == (odd.id, "attendee without an id")


def fill(document, *, keep=()):
    """Return the document with every text as long as no column is wide, but for the keys to keep."""
    if isinstance(document, dict):
        return {key: one if key in keep else fill(one, keep=keep) for key, one in document.items()}
    if isinstance(document, list):
        return [fill(one, keep=keep) for one in document]
    return "x" * 20_000 if isinstance(document, str) else document


@pytest.mark.parametrize(
    "raw",
    [
        {"meetingTypeId": "77"},
        {"meetingTypeId": None, "meetingType": {"id": "77"}},
        {"meetingType": {"id": "77"}},
    ],
)
def test_an_appointment_is_linked_to_a_type_that_becomes_known_later(meetergo_sandbox, raw):
    """Wherever its document names the type, which may be a text of digits."""
    row = AppointmentFactory(meeting_type=None, raw=raw)
    kind = parse_meeting_type(json.loads(recorded("meeting_type.json")) | {"id": "77"})
    record_meeting_types(connection="default", documents=[kind], hosts_of={}, now=meetergo_sandbox.now())
    row.refresh_from_db()
    assert row.meeting_type.remote_id == "77"


def test_what_a_parser_returns_fits_the_columns(meetergo_sandbox):
    """The parsers cut, so nothing cuts again. SQLite would store anything."""
    kit = meetergo_sandbox
    keep = {"id", "userId", "hostIds", "start", "end"}
    links = {"bookingUrl": "https://example.com/" + "x" * 480, "slug": "x" * 300}
    kind = parse_meeting_type(fill(json.loads(recorded("meeting_type.json")), keep=keep) | links)
    host = parse_host(fill(json.loads(recorded("user_me.json")), keep=keep))
    raw = fill(json.loads(recorded("appointment.json")) | {"location": "a room", "hosts": []}, keep=keep)
    link = {"meetingLink": "https://example.com/" + "x" * 980}
    document = parse_appointment(raw | {"hostingInfo": link, "cancel": {"actionSource": "x" * 20_000}})

    [type_row] = record_meeting_types(connection="default", documents=[kind], hosts_of={}, now=kit.now())
    hosts = record_hosts(connection="default", documents=[host], now=kit.now(), refresh=True)
    appointment = record_appointment(connection="default", document=document, now=kit.now())

    for row in (type_row, *hosts.values(), appointment, *appointment.attendees.all()):
        for column in row._meta.concrete_fields:
            value = getattr(row, column.attname)
            assert not (isinstance(value, str) and column.max_length) or len(value) <= column.max_length
    assert (len(type_row.booking_url), len(appointment.meeting_link)) == (500, 1000)
    assert (len(type_row.name), len(host.name), len(appointment.location)) == (200, 200, 500)


def test_an_appointment_that_cannot_be_stored_is_skipped_and_its_neighbours_are_not(
    meetergo_sandbox, documents
):
    """A value that no database takes."""
    first, second, third = documents
    impossible = replace(second, raw={"at": object()})

    recorded = record(meetergo_sandbox, [first, impossible, third])

    assert set(recorded.appointments) == {first.id, third.id}
    assert [one.remote_id for one in recorded.skipped] == [second.id]
    assert {row.remote_id for row in Appointment.objects.all()} == {first.id, third.id}


def test_an_appointment_that_another_process_stores_meanwhile_is_returned(
    meetergo_sandbox, documents, monkeypatch
):
    """Between the first read of the rows and the write, a second process stores the same document."""
    write = mirror.write_appointments

    def write_after_another(connection, chosen, **options):
        monkeypatch.setattr(mirror, "write_appointments", write)
        write(connection, chosen, **options)
        return write(connection, chosen, **options)

    monkeypatch.setattr(mirror, "write_appointments", write_after_another)

    row = record_appointment(connection="default", document=documents[0], now=meetergo_sandbox.now())

    assert row == Appointment.objects.get()


def test_an_appointment_of_an_unknown_type_is_linked_when_the_type_is_known(meetergo_sandbox, documents):
    """The document has not changed meanwhile, so the directory completes the relation."""
    kit = meetergo_sandbox
    MeetingType.objects.all().delete()
    record(kit, documents)
    assert Appointment.objects.filter(meeting_type=None).count() == 3

    kit.sync_directory()

    assert set(Appointment.objects.values_list("meeting_type__slug", flat=True)) == {"intro-call"}


@pytest.mark.parametrize("odd", [{"id": 1}, [1], 7.5, None], ids=repr)
def test_an_odd_reference_to_a_type_stops_no_directory(meetergo_sandbox, documents, odd):
    """The stored document is meetergo's, and may hold anything where an id belongs."""
    kit = meetergo_sandbox
    MeetingType.objects.all().delete()
    [named, other] = documents[:2]
    raw = {**other.raw, "meetingTypeId": odd, "meetingType": odd}
    record(kit, [named, replace(other, raw=raw, meeting_type_id="")])

    kit.sync_directory()

    linked = Appointment.objects.exclude(meeting_type=None)
    assert [row.remote_id for row in linked] == [named.id]


def test_a_host_that_is_named_by_its_id_only_is_linked_and_named_later(meetergo_sandbox, documents):
    """The relation is complete at once; the directory brings the name."""
    kit = meetergo_sandbox
    document = documents[0]
    [host_id] = document.host_ids
    kit.meeting_type().hosts.model.objects.filter(remote_id=host_id).delete()

    record(kit, [replace(document, hosts=())])
    host = Appointment.objects.get().hosts.get()
    assert (host.remote_id, host.name) == (host_id, "")

    kit.sync_directory()
    host.refresh_from_db()
    assert host.name


def test_every_move_is_an_event_though_meetergo_does_not_count_them(meetergo_sandbox, documents):
    """A→B→A→B→A without ``rescheduleCount`` are four moves."""
    kit = meetergo_sandbox
    there, back = documents[0].start, documents[1].start
    for start in (there, back, there, back, there):
        now = kit.travel(seconds=1)
        moved = replace(documents[0], start=start, reschedule_count=1, updated_at=now, raw={"at": str(now)})
        row = record_appointment(connection="default", document=moved, now=now)

    assert Event.objects.filter(kind="appointment_rescheduled").count() == 4
    assert row.reschedule_count == 5


def test_a_sync_gets_past_an_appointment_that_cannot_be_stored(meetergo_sandbox):
    """The page is stored without it, and the run names it with its reason."""
    kit = meetergo_sandbox
    kit.sync_directory()
    for start in kit.list_free_starts()[:3]:
        kit.occupy_slot(start)
    odd, *others = kit.appointments()
    odd.attendees[0].id = "x" * 129

    run = sync_appointments(connection="default", client=kit.client("sync"), now=kit.now())

    assert run.state == "done"
    assert Appointment.objects.filter(remote_id__in=[one.id for one in others]).count() == 2
    assert {"kind": "appointment", "id": odd.id} == {
        key: value for key, value in run.skipped[0].items() if key != "reason"
    }


@pytest.mark.parametrize("odd", ["no list", "no id", "no object"])
def test_an_attendee_whose_entry_cannot_be_read_has_not_left(kit, book, odd):
    book()
    kit.run_due(after=10)
    appointment = Appointment.objects.get()
    raw = kit.client().get_appointment(appointment.remote_id).raw
    changed = {
        "no list": None, "no id": [{**raw["attendees"][0], "id": None}], "no object": ["?"],
    }[odd]  # fmt: skip

    document = parse_appointment({**raw, "attendees": changed})
    record_appointment(connection="default", document=document, now=kit.now())

    assert appointment.attendees.get().status == "attending"
    assert not Event.objects.filter(kind="attendee_removed").exists()


def test_a_stamp_in_the_future_does_not_freeze_an_appointment(kit):
    kit.sync_directory()
    kit.occupy_slot(kit.list_free_starts()[3])
    [remote] = kit.appointments()
    raw = kit.client().get_appointment(remote.id).raw
    odd = parse_appointment({**raw, "updatedAt": "2999-01-01T00:00:00Z"})
    record_appointment(connection="default", document=odd, now=kit.now())

    kit.cancel_elsewhere(remote)
    record_appointment(connection="default", document=kit.client().get_appointment(remote.id), now=kit.now())

    assert Appointment.objects.get(remote_id=remote.id).is_cancelled


def test_every_handoff_is_an_event_though_the_documents_are_equal(kit, book):
    booking = book()
    kit.run_due(after=10)
    row = booking.attendee.appointment
    anna = row.hosts.get()
    ben = Host.objects.exclude(pk=anna.pk).first()
    raw = kit.client().get_appointment(row.remote_id).raw
    for host in (ben, anna, ben):
        hosts = {"hosts": [{"id": host.remote_id, "fullName": host.name}], "hostIds": [host.remote_id]}
        record_appointment(connection="default", document=parse_appointment({**raw, **hosts}), now=kit.now())

    assert Event.objects.filter(kind="appointment_handed_over").count() == 3


def test_the_revision_of_an_appointment_only_grows(kit, book):
    """Calendar apps ignore an entry whose sequence is lower: gone, found again, and with another end."""
    booking = book()
    kit.run_due()
    booking.refresh_from_db()
    appointment, [remote] = booking.attendee.appointment, kit.appointments()
    kit.fail_next("GET /v4/appointment/{id}", "status_before", status=404)
    revisions = [appointment.revision]
    for step in ("missing", "found", "longer", "equal"):
        if step == "longer":
            remote.end += timedelta(minutes=15)
            remote.touch(kit.sandbox.state.now())
        sync_appointment(appointment=appointment, client=kit.client(), now=kit.now())
        appointment.refresh_from_db()
        revisions.append(appointment.revision)
    assert revisions == [0, 1, 2, 3, 3]


def test_each_removal_of_an_attendee_is_an_event_and_a_revision(kit, book, jane):
    start = kit.list_free_starts("group-class")[-1]
    for name in ("a", "b"):
        book("group-class", start=start, attendee=replace(jane, email=f"{name}@example.com"))
    kit.run_due()
    [remote] = kit.appointments()
    leaving = remote.attendees[0]
    revisions = []
    for step in ("leaves", "returns", "leaves"):
        if step == "leaves":
            kit.cancel_elsewhere(remote, attendee_id=leaving.id)
        else:
            remote.attendees.append(leaving)
            remote.touch(kit.sandbox.state.now())
        kit.reread_all()
        kit.run_due(after=5)
        kit.run_due(after=5)
        revisions.append(Appointment.objects.get().revision)
    assert revisions == [1, 2, 3]
    assert Event.objects.filter(kind="attendee_removed").count() == 2
