"""What synchronising promises."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace

import pytest
from django.db import DataError, IntegrityError, connection
from django.db.models import F
from django.test.utils import CaptureQueriesContext

from django_meetergo import signals
from django_meetergo.exceptions import PermissionRefused, UnreadableReply
from django_meetergo.models import Appointment, Event, Host, MeetingType, SyncRun
from django_meetergo.remote.payloads import ItemList
from django_meetergo.remote.payloads.reading import SkippedItem
from django_meetergo.services.mirror import appointments as mirror
from django_meetergo.services.sync import appointments, directory, runs
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


def test_a_queue_that_cannot_be_read_keeps_its_hosts_and_stops_nothing(meetergo_sandbox):
    """One queue that answers with an error for days would hide every new meeting type."""
    kit = meetergo_sandbox
    kit.sync_directory()
    kit.sandbox.faults.add("GET /v4/queue/*", "status_before", status=500, times=-1)
    MeetingType.objects.filter(slug="intro-call").update(name="Old name")

    kit.sync_directory()

    assert MeetingType.objects.get(slug="next-therapist").hosts.count() == 3
    assert MeetingType.objects.get(slug="intro-call").name != "Old name"
    [skipped] = SyncRun.objects.filter(kind="directory").latest("started_at").skipped
    assert skipped["kind"] == "queue"


def test_a_slug_never_hides_an_address_of_our_own(meetergo_sandbox):
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


def test_a_stopped_run_says_why_and_the_next_call_completes_it(meetergo_sandbox):
    """The same run goes on, also a near one."""
    meetergo_sandbox.fail_next(LIST, "status_before", status=500)

    stopped = sync(meetergo_sandbox)
    done = sync(meetergo_sandbox)

    assert (stopped.state, "500" in stopped.message) == ("open", True)
    assert (done.pk, done.state, done.message) == (stopped.pk, "done", "")


def test_a_run_that_is_stopped_for_a_day_fails_and_a_new_one_begins(meetergo_sandbox):
    """An obsolete window is not continued for ever."""
    kit = meetergo_sandbox
    kit.fail_next(LIST, "status_before", status=500, times=-1)
    stopped = sync(kit)
    for _ in range(26):
        kit.travel(hours=1)
        kit.clear_availability()
        sync(kit)

    stopped.refresh_from_db()
    assert stopped.state == "failed"
    kit.sandbox.faults.clear()
    kit.clear_availability()
    assert sync(kit).state == "done"


def test_a_run_that_an_unforeseen_error_stopped_goes_on_where_it_was(meetergo_sandbox, monkeypatch):
    """The error is raised; the place is kept, and no lease has to expire first."""
    kit = meetergo_sandbox
    kit.sync_directory()
    add_appointments(kit, 900)

    def raise_on_the_third_page(run):
        if run.page == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sync_appointments(
            connection="default", client=kit.client("sync"), now=kit.now(), kind="full",
            on_page=raise_on_the_third_page,
        )  # fmt: skip
    requests = kit.count_requests(LIST)
    done = sync(kit, "full")

    assert done.state == "done"
    assert SyncRun.objects.filter(kind="full").count() == 1
    assert kit.count_requests(LIST) - requests < requests + 9


def test_a_near_sync_completes_with_more_hosts_than_requests_a_minute(meetergo_sandbox, settings):
    """It stops where the request limit is used up and goes on there in the next minute."""
    kit = meetergo_sandbox
    kit.sync_directory()
    for number in range(70):
        Host.objects.create(connection="default", remote_id=f"0-{number:03}", name="Left")
    settings.MEETERGO = {**settings.MEETERGO, "REQUESTS_PER_MINUTE": 90}
    kit.reset_rate_limit()

    states = []
    for _ in range(4):
        states.append(sync(kit).state)
        kit.travel(minutes=1)
        kit.clear_availability()

    assert states[0] == "open"
    assert "done" in states
    assert SyncRun.objects.filter(kind="near").first().state == "done"


def test_a_host_who_left_is_marked_missing_and_stops_nobody(meetergo_sandbox):
    """A 404 for a host's list counts once another list was read; the run goes on and names the host."""
    kit = meetergo_sandbox
    kit.sync_directory()
    gone = Host.objects.create(connection="default", remote_id="0-gone", name="Left")
    kit.occupy_slot(kit.list_free_starts()[0])
    kit.fail_next(LIST, "status_before", status=404)

    run = sync(kit)

    gone.refresh_from_db()
    assert run.state == "done"
    assert gone.missing_since
    assert [(one["kind"], one["id"]) for one in run.skipped] == [("host", "0-gone")]
    assert Appointment.objects.filter(remote_id=kit.appointments()[0].id).exists()


def test_a_list_that_may_not_be_read_marks_nobody_missing(meetergo_sandbox):
    """A 403 says something about the credential only."""
    kit = meetergo_sandbox
    kit.sync_directory()
    kit.fail_next(LIST, "status_before", status=403, times=1)

    run = sync(kit)

    assert run.state == "done"
    assert len(run.skipped) == 1
    assert not Host.objects.exclude(missing_since=None).exists()


def test_a_service_that_answers_404_for_everything_marks_nobody_missing(meetergo_sandbox):
    """Without one successful read a 404 proves nothing."""
    kit = meetergo_sandbox
    kit.sync_directory()
    kit.fail_next(LIST, "status_before", status=404, times=-1)

    sync(kit)

    assert not Host.objects.exclude(missing_since=None).exists()


def test_a_host_whose_list_always_fails_is_skipped_after_some_tries(meetergo_sandbox):
    """The hosts behind it are read; the run names the one that was left out."""
    kit = meetergo_sandbox
    kit.sync_directory()
    kit.fail_next(LIST, "status_before", status=500, times=3)

    for _ in range(3):
        run = sync(kit)
        kit.clear_availability()

    assert run.state == "done"
    assert [one["kind"] for one in run.skipped] == ["host"]


def test_an_appointment_that_cannot_be_stored_is_skipped_and_named(meetergo_sandbox, monkeypatch):
    """The others of its page are stored, and the run ends."""
    kit = meetergo_sandbox
    kit.sync_directory()
    for start in kit.list_free_starts()[:3]:
        kit.occupy_slot(start)
    bad, *others = kit.appointments()
    bad.meeting_link = "https://example.com/" + "x" * 100_000
    bad.location = 5 * "\x00"
    monkeypatch.setattr(mirror, "write_appointments", refuse_one(mirror.write_appointments, bad.id))

    run = sync(kit)

    assert run.state == "done"
    assert [one["id"] for one in run.skipped] == [bad.id]
    stored = set(Appointment.objects.values_list("remote_id", flat=True))
    assert stored >= {one.id for one in others}


def refuse_one(write, remote_id):
    """A database that does not take one of the rows."""

    def write_others(connection, documents, **options):
        if remote_id in [document.id for document in documents]:
            raise DataError("value too long")
        return write(connection, documents, **options)

    return write_others


def test_a_run_that_another_worker_has_just_ended_is_not_missed(meetergo_sandbox, monkeypatch):
    """The other worker ends its run between the refused insert and our search for it."""
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
    """Any read of the appointment confirms its booking."""
    meetergo_sandbox.fail_next(kind="drop_after")
    booking = book()

    sync(meetergo_sandbox)

    booking.refresh_from_db()
    assert booking.state == "confirmed"
    assert Event.objects.filter(kind="appointment_booked", attendee__booking=booking).count() == 1


def test_an_admin_reads_the_lists_of_all_hosts(meetergo_sandbox):
    """A list shows one person's appointments; an admin's sync reads all of them."""
    kit = meetergo_sandbox
    kit.sync_directory()
    for slug in ("consultation", "checkup", "next-therapist"):
        kit.occupy_slot(kit.list_free_starts(slug)[0], slug)

    sync(kit)

    remote = {one.id for one in kit.appointments()}
    assert remote <= set(Appointment.objects.values_list("remote_id", flat=True))


def test_a_credential_without_admin_rights_syncs_its_own_list(meetergo_sandbox, settings):
    """Lists it may not read are not requested, and nothing is marked missing."""
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


def test_a_list_that_changes_between_two_pages_is_read_again(meetergo_sandbox, monkeypatch):
    """An appointment that is deleted moves the others up; the list is read from its start."""
    kit = meetergo_sandbox
    kit.sync_directory()
    add_appointments(kit, 350)
    read_page, read = appointments.read_page, []

    def read_and_lose(run, owner, page, client):
        answer = read_page(run, owner, page, client)
        if not read:
            lose(kit, answer[0].id)
        read.append(page)
        return answer

    monkeypatch.setattr(appointments, "read_page", read_and_lose)
    sync(kit, "full")

    remote = set(kit.sandbox.state.appointments)
    assert remote <= set(Appointment.objects.values_list("remote_id", flat=True))


def test_an_appointment_that_no_list_shows_is_missing_after_a_single_read_confirms_it(meetergo_sandbox, book):
    """The single read answers 404: the row is hidden, and never deleted."""
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


def test_an_appointment_that_was_lost_before_it_was_ever_read_is_missing(meetergo_sandbox, book):
    """It is known from the answer to its booking only."""
    kit = meetergo_sandbox
    booking = book()
    row = booking.attendee.appointment
    assert row.synced_at is None
    lose(kit, row.remote_id)

    sync(kit)

    row.refresh_from_db()
    assert row.missing_since


def test_a_list_that_lags_marks_nothing_missing(meetergo_sandbox, book):
    """The single read shows it: the row stays."""
    kit = meetergo_sandbox
    booking = book()
    kit.run_due()
    kit.travel(minutes=1)
    kit.fail_next(LIST, "list_lag", times=-1, seconds=100_000)

    sync(kit)

    row = Appointment.objects.get(remote_id=booking.attendee.appointment.remote_id)
    assert row.missing_since is None


def test_drift_names_the_kind_and_the_fields(meetergo_sandbox, book):
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
    """A mirror that is equal is reported as equal."""
    book()
    sync(meetergo_sandbox)

    drift = find_drift(
        connection="default", client=meetergo_sandbox.client("sync"), now=meetergo_sandbox.now()
    )

    assert drift.is_none


def test_history_can_be_imported_without_signals(meetergo_sandbox):
    """The timeline shows it; nothing is dispatched."""
    meetergo_sandbox.sync_directory()
    add_appointments(meetergo_sandbox, 20)

    sync_appointments(
        connection="default", client=meetergo_sandbox.client("sync"),
        now=meetergo_sandbox.now(), kind="full", silent=True,
    )  # fmt: skip

    assert Event.objects.exists()
    assert not Event.objects.filter(dispatched_at=None).exists()


def test_what_was_there_before_the_first_full_sync_is_no_news(meetergo_sandbox):
    """The background work begins by itself after an installation: nobody is mailed about last year."""
    meetergo_sandbox.sync_directory()
    add_appointments(meetergo_sandbox, 20)

    meetergo_sandbox.run_due(periodic=True)

    history = Event.objects.filter(kind=Event.Kind.APPOINTMENT_BOOKED)
    assert history.count() >= 20
    assert not Event.objects.exclude(next_at=None).exists()
    assert not Event.objects.filter(dispatched_at__gt=F("created_at")).exists()
    meetergo_sandbox.book_elsewhere(meetergo_sandbox.list_free_starts()[0])
    with capture(signals.appointment_booked) as announced:
        meetergo_sandbox.run_due(after=600, periodic=True)
        meetergo_sandbox.run_due(after=5)
    assert len(announced) == 1


def test_what_happens_to_a_known_appointment_is_news_before_the_first_full_sync_too(meetergo_sandbox, book):
    booked = book()
    meetergo_sandbox.run_due(after=5)
    assert not runs.is_imported("default")
    meetergo_sandbox.cancel_elsewhere(booked.attendee.appointment)

    with capture(signals.appointment_cancelled) as announced:
        meetergo_sandbox.run_due(after=5, periodic=True)
        meetergo_sandbox.run_due(after=5)

    assert [one["appointment"] for one in announced] == [booked.attendee.appointment]


@contextmanager
def capture(signal):
    """Collect what receivers of a signal are called with."""
    called = []

    def receive(**arguments):
        called.append(arguments)

    signal.connect(receive)
    try:
        yield called
    finally:
        signal.disconnect(receive)


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
    assert kit.count_requests(LIST) <= most


def test_what_this_site_booked_costs_an_unchanged_sync_a_statement_a_list(meetergo_sandbox, book, jane):
    """As most of a site's appointments are its own, they must cost no more than those of others."""
    kit = meetergo_sandbox
    starts = kit.list_free_starts()
    kit.occupy_slot(starts[0])

    def count_statements():
        sync(kit)
        with CaptureQueriesContext(connection) as captured:
            run = sync(kit)
        assert (run.seen, run.written) == (Appointment.objects.count(), 0)
        return len(captured)

    without = count_statements()
    for number, start in enumerate(starts[1:13]):
        book(start=start, attendee=replace(jane, email=f"{number}@example.com"))
    book("group-class")

    assert count_statements() <= without + 2


def add_appointments(kit, number):
    from django_meetergo.sandbox.scenarios import add_appointments

    add_appointments(kit.sandbox.state, number)


def lose(kit, remote_id):
    """The service forgets an appointment."""
    kit.sandbox.state.delete_appointment(remote_id)


def test_the_directory_is_synced_also_while_the_cache_is_away(meetergo_sandbox, monkeypatch):
    """Cached pages expire within a minute, so the sync does not depend on the cache."""

    def fall(*args, **kwargs):
        raise ConnectionError("no cache")

    monkeypatch.setattr("django.core.cache.backends.locmem.LocMemCache.set", fall)
    meetergo_sandbox.sync_directory()
    assert MeetingType.objects.exists()


def test_suspects_are_read_in_turn(kit, monkeypatch):
    monkeypatch.setattr(appointments, "MAX_SUSPECTS", 3)
    kit.sync_directory()
    for start in kit.list_free_starts()[:6]:
        kit.occupy_slot(start)
    sync(kit)
    last = Appointment.objects.order_by("pk").last()
    kit.fail_next(LIST, "list_lag", times=-1, seconds=10**9)  # no list shows them, and each can be read
    kit.delete_elsewhere(last)

    for _ in range(8):
        kit.travel(minutes=5)
        sync(kit)

    last.refresh_from_db()
    assert last.missing_since


def test_a_list_of_users_that_repeats_its_page_ends(kit):
    client, calls = kit.client("sync"), []
    found = client.list_users()
    page = ItemList([found[0]] * 100)

    def repeat(**options):
        calls.append(options)
        assert len(calls) < 50
        return page

    client.list_users = repeat
    directory.sync_directory(connection="default", client=client, now=kit.now())


def test_a_page_of_users_that_cannot_be_parsed_hides_no_later_page(kit):
    client = kit.client("sync")
    found = client.list_users()
    odd = [SkippedItem(kind="user", id=str(number), reason="odd") for number in range(directory.PAGE_SIZE)]
    colleague = replace(found[0], id="colleague", email="colleague@example.com")
    pages = [ItemList(*page) for page in (([], odd), ([colleague], []))]
    client.list_users = lambda *, limit, offset: pages[min(offset // limit, 1)]

    directory.sync_directory(connection="default", client=client, now=kit.now())

    assert Host.objects.filter(remote_id="colleague").exists()


def test_a_suspect_that_cannot_be_read_keeps_no_other_from_its_turn(kit, monkeypatch):
    kit.sync_directory()
    hosts = Host.objects.filter(missing_since=None).count()
    monkeypatch.setattr(appointments, "MAX_SUSPECTS", hosts)  # as with 50 hosts: one re-read for each list
    for start in kit.list_free_starts()[:2]:
        kit.occupy_slot(start)
    sync(kit)
    unreadable, gone = Appointment.objects.filter(
        remote_id__in=[one.id for one in kit.appointments()]
    ).order_by("pk")
    owner = unreadable.hosts.get().remote_id
    kit.fail_next(LIST, "list_lag", times=-1, seconds=10**9)  # no list shows them
    kit.delete_elsewhere(gone)
    client = type(kit.client("sync"))
    read, read_page = client.get_appointment, appointments.read_page

    def refuse(self, key):
        if key == unreadable.remote_id:
            raise PermissionRefused("not yours", status=403)
        return read(self, key)

    def refuse_list(run, host, page, client):
        if host != owner:
            raise PermissionRefused("not yours", status=403)
        return read_page(run, host, page, client)

    monkeypatch.setattr(client, "get_appointment", refuse)
    monkeypatch.setattr(appointments, "read_page", refuse_list)
    for _ in range(5):
        kit.travel(minutes=5)
        sync(kit)

    gone.refresh_from_db()
    assert gone.missing_since


def test_a_comparison_with_a_list_that_repeats_its_page_ends(kit, book):
    """It proves nothing about the rest."""
    client, calls = kit.client("sync"), []
    book()
    first = client.list_appointments(page_size=100)[0]
    page = ItemList([first] * 100, total=1000)

    def repeat(**options):
        calls.append(options)
        assert len(calls) < 50
        return page

    client.list_appointments = repeat
    with pytest.raises(UnreadableReply):
        find_drift(connection="default", client=client, now=kit.now())


def test_a_comparison_names_the_entries_that_cannot_be_read(kit):
    """They are not compared, so it must not look as if they were equal."""
    client = kit.client("sync")
    skipped = SkippedItem(kind="appointment", id="odd-1", reason="no start")
    client.list_appointments = lambda **_: ItemList([], [skipped], total=1)

    drift = find_drift(connection="default", client=client, now=kit.now())

    assert set(drift.not_compared) == {"odd-1"}
