"""What a sync promises."""

from __future__ import annotations

import pytest
from django.db import IntegrityError

from django_meetergo.models import Appointment, Event, Host, MeetingType, SyncRun
from django_meetergo.services.sync import appointments, directory
from django_meetergo.services.sync.appointments import sync_appointments
from django_meetergo.services.sync.drift import find_drift

pytestmark = pytest.mark.django_db

LIST = "GET /v4/appointment/paginated"


def sync(kit, kind="near"):
    return sync_appointments(connection="default", client=kit.client("sync"), now=kit.now(), kind=kind)


def test_the_directory_brings_types_and_hosts(meetergo_sandbox):
    """Meeting types know their hosts; a queue knows all of its own."""
    meetergo_sandbox.sync_directory()

    assert MeetingType.objects.get(slug="intro-call").hosts.count() == 1
    assert MeetingType.objects.get(slug="next-therapist").hosts.count() == Host.objects.count() == 3


def test_a_type_that_disappears_is_kept_and_hidden(meetergo_sandbox):
    """Nothing is deleted: appointments point to it."""
    meetergo_sandbox.sync_directory()
    MeetingType.objects.create(connection="default", remote_id="gone", slug="gone", name="Gone")

    directory.sync_directory(
        connection="default", client=meetergo_sandbox.client(), now=meetergo_sandbox.now()
    )

    assert MeetingType.objects.get(slug="gone").missing_since
    assert not MeetingType.objects.bookable().filter(slug="gone").exists()


def test_slugs_never_hide_our_own_addresses(meetergo_sandbox):
    """A meeting type called booking gets a number."""
    kind = next(iter(meetergo_sandbox.sandbox.state.meeting_types.values()))
    kind.slug = "booking"

    meetergo_sandbox.sync_directory()

    assert MeetingType.objects.get(remote_id=kind.id).slug == "booking-2"


def test_with_every_webhook_lost_a_near_sync_equals_the_service(meetergo_sandbox, book):
    """Appointments made, moved and cancelled elsewhere all arrive."""
    starts = meetergo_sandbox.list_free_starts()
    for start in starts[3:6]:
        meetergo_sandbox.occupy_slot(start)
    sync(meetergo_sandbox)
    moved, cancelled, _ = meetergo_sandbox.appointments()
    meetergo_sandbox.client().reschedule_appointment(moved.id, starts[9])
    meetergo_sandbox.client().cancel_appointment(cancelled.id)

    run = sync(meetergo_sandbox)

    assert run.state == "done"
    for remote in meetergo_sandbox.appointments(active=False):
        row = Appointment.objects.get(remote_id=remote.id)
        assert (row.start, row.is_cancelled) == (remote.start, remote.is_cancelled)


def test_an_unchanged_list_is_not_written(meetergo_sandbox, book):
    """The second run finds nothing to do."""
    book()
    sync(meetergo_sandbox)

    run = sync(meetergo_sandbox)

    assert run.seen > 0
    assert run.written == 0


def test_a_failed_run_says_why_and_the_next_one_starts_anew(meetergo_sandbox):
    """A sync that is refused leaves no open run behind."""
    meetergo_sandbox.fail_next(LIST, "status_before", status=403)

    assert sync(meetergo_sandbox).state == SyncRun.State.FAILED
    assert sync(meetergo_sandbox).state == SyncRun.State.DONE


def test_a_run_that_another_worker_has_just_ended_is_not_missed(meetergo_sandbox, monkeypatch):
    """Between the refused insert and the look for who was faster, the faster one ends."""
    create, refused = SyncRun.objects.create, iter([IntegrityError("open_run_key")])

    def create_second(**values):
        for error in refused:
            raise error
        return create(**values)

    monkeypatch.setattr(SyncRun.objects, "create", create_second)
    client, now = meetergo_sandbox.client("sync"), meetergo_sandbox.now()

    run = sync_appointments(connection="default", client=client, now=now)

    assert run.state == SyncRun.State.DONE


def test_a_lost_booking_is_found_by_sync_too(meetergo_sandbox, book):
    """Any read of the appointment is evidence."""
    meetergo_sandbox.fail_next(kind="drop_after")
    booking = book()

    sync(meetergo_sandbox)

    booking.refresh_from_db()
    assert booking.state == "confirmed"
    assert Event.objects.filter(kind="appointment_booked", attendee__booking=booking).count() == 1


def test_everybodys_lists_are_walked(meetergo_sandbox):
    """A list shows one person's appointments; an admin's sync reads all of them."""
    kit = meetergo_sandbox
    kit.sync_directory()
    for slug in ("consultation", "checkup", "next-therapist"):
        kit.occupy_slot(kit.list_free_starts(slug)[0], slug)

    sync(kit)

    remote = {one.id for one in kit.appointments()}
    assert remote <= set(Appointment.objects.values_list("remote_id", flat=True))


def test_a_credential_that_is_no_admin_syncs_its_own(meetergo_sandbox, settings):
    """What it may not see is not asked for, and nothing is taken for missing."""
    from django_meetergo.sandbox.seed import MEMBER_TOKEN

    settings.MEETERGO = {**settings.MEETERGO, "API_KEY": MEMBER_TOKEN}
    meetergo_sandbox.sync_directory()

    assert sync(meetergo_sandbox).state == "done"


def test_an_interrupted_full_run_goes_on_where_it_was(meetergo_sandbox):
    """Rows and checkpoint are one transaction; the second call reads only the rest."""
    kit = meetergo_sandbox
    kit.sync_directory()
    add_appointments(kit, 900)
    kit.fail_next(LIST, "status_before", status=500, after=2)

    stopped = sync(kit, "full")
    assert (stopped.state, stopped.seen) == ("open", 200)
    kit.clear_availability()
    done = sync(kit, "full")

    assert (done.pk, done.state) == (stopped.pk, "done")
    assert Appointment.objects.count() == len(kit.sandbox.state.appointments)


def test_rows_that_slip_through_between_two_pages_are_read_again(meetergo_sandbox, monkeypatch):
    """An appointment that vanishes moves the others up; the list is read from its start."""

    kit = meetergo_sandbox
    kit.sync_directory()
    add_appointments(kit, 350)
    read_page, read = appointments.read_page, []

    def read_and_lose(run, owner, page, client):
        answer = read_page(run, owner, page, client)
        if not read:
            lose(kit, answer.appointments[0].id)
        read.append(page)
        return answer

    monkeypatch.setattr(appointments, "read_page", read_and_lose)
    sync(kit, "full")

    remote = set(kit.sandbox.state.appointments)
    assert remote <= set(Appointment.objects.values_list("remote_id", flat=True))


def test_absence_is_a_suspicion_that_one_read_confirms(meetergo_sandbox, book):
    """A row no list shows is looked up; a 404 hides it, and it is never deleted."""
    kit = meetergo_sandbox
    booking = book()
    kit.run_due()
    remote_id = booking.attendee.appointment.remote_id
    kit.travel(minutes=1)
    lose(kit, remote_id)

    sync(kit)

    row = Appointment.objects.get(remote_id=remote_id)
    assert row.missing_since
    assert row not in Appointment.objects.active()


def test_a_list_that_lags_makes_nobody_missing(meetergo_sandbox, book):
    """The single read shows it: the row stays."""
    kit = meetergo_sandbox
    booking = book()
    kit.run_due()
    kit.travel(minutes=1)
    kit.fail_next(LIST, "list_lag", times=-1, seconds=100_000)

    sync(kit)

    row = Appointment.objects.get(remote_id=booking.attendee.appointment.remote_id)
    assert row.missing_since is None


def test_drift_is_told_by_kind_and_field(meetergo_sandbox, book):
    """Three ways to differ, no personal data, and nothing is written."""
    kit = meetergo_sandbox
    for start in kit.list_free_starts()[1:4]:
        kit.occupy_slot(start)
    sync(kit)
    moved, gone, extra = kit.appointments()
    Appointment.objects.filter(remote_id=moved.id).update(location="Elsewhere")
    Appointment.objects.filter(remote_id=extra.id).delete()
    lose(kit, gone.id)
    kit.travel(minutes=1)

    drift = find_drift(connection="default", client=kit.client("sync"), now=kit.now())

    assert drift.differs == {moved.id: ["location"]}
    assert (drift.only_remote, drift.only_local) == ([extra.id], [gone.id])
    assert Appointment.objects.get(remote_id=moved.id).location == "Elsewhere"


def test_no_drift_after_a_sync(meetergo_sandbox, book):
    """Equal is told as equal."""
    book()
    sync(meetergo_sandbox)

    drift = find_drift(
        connection="default", client=meetergo_sandbox.client("sync"), now=meetergo_sandbox.now()
    )

    assert drift.is_none


def test_history_can_be_imported_without_telling_anybody(meetergo_sandbox):
    """The timeline has it, the signals do not."""
    meetergo_sandbox.sync_directory()
    add_appointments(meetergo_sandbox, 20)

    sync_appointments(
        connection="default", client=meetergo_sandbox.client("sync"),
        now=meetergo_sandbox.now(), kind="full", silent=True,
    )  # fmt: skip

    assert Event.objects.exists()
    assert not Event.objects.filter(dispatched_at=None).exists()


@pytest.mark.parametrize(("rows", "most"), [(0, 3), (600, 9), (900, 12)])
def test_a_sync_costs_a_request_a_hundred_rows(meetergo_sandbox, rows, most):
    """One request a page and at most one more a list."""
    kit = meetergo_sandbox
    kit.sync_directory()
    for remote_id in list(kit.sandbox.state.appointments):
        lose(kit, remote_id)
    add_appointments(kit, rows)

    run = sync(kit, "full")

    assert run.seen == rows
    assert kit.posts(LIST) <= most


def add_appointments(kit, number):
    from django_meetergo.sandbox.scenarios import add_appointments

    add_appointments(kit.sandbox.state, number)


def lose(kit, remote_id):
    """The service forgets an appointment."""
    kit.sandbox.state.delete_appointment(remote_id)


def test_the_directory_is_read_also_while_the_cache_is_away(meetergo_sandbox, monkeypatch, caplog):
    """It tells the pages that they are old, which they find out within a minute anyway."""

    def fall(*args, **kwargs):
        raise ConnectionError("no cache")

    monkeypatch.setattr("django.core.cache.backends.locmem.LocMemCache.set", fall)
    meetergo_sandbox.sync_directory()
    assert MeetingType.objects.exists()
    assert "The cache failed" in caplog.text
