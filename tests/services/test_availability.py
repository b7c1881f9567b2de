"""Availability: documents, refreshes, invalidation, held slots and alternatives."""

from __future__ import annotations

import os
import time
from concurrent.futures import Future
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs
from zoneinfo import ZoneInfo

import pytest

from django_meetergo import tasks
from django_meetergo.cache import cache
from django_meetergo.models import Booking, Host, MeetingType
from django_meetergo.remote.client import MeetergoClient
from django_meetergo.remote.rate_limit import RateLimiter
from django_meetergo.remote.transport import ADAPTERS
from django_meetergo.services.availability import demand, holds, invalidation, refresh, store
from django_meetergo.services.availability.alternatives import list_alternatives
from django_meetergo.services.availability.demand import Candidate, choose_documents
from django_meetergo.services.availability.invalidation import remove_slot
from django_meetergo.services.availability.refresh import (
    WAIT_SECONDS,
    choose_windows,
    fetch_window,
    hold_refresh_lock,
    poll_availability,
    refresh_window,
)
from django_meetergo.services.availability.slots import is_offered, list_slots
from django_meetergo.services.availability.store import find_window, store_document
from django_meetergo.services.changes.requests import handoff_appointment
from tests.threads import run_at_once

pytestmark = pytest.mark.django_db

GET = "GET /v4/booking-availability"


@pytest.fixture
def kit(meetergo_sandbox):
    demand.recent_views.clear()
    meetergo_sandbox.sync_directory()
    return meetergo_sandbox


def list_free(kit, slug="intro-call", days=7, **options):
    now = kit.now()
    return list_slots(
        meeting_type=kit.meeting_type(slug), start=now, end=now + timedelta(days=days),
        client=kit.client("view"), now=now, **options,
    )  # fmt: skip


def test_a_fresh_document_costs_no_call(kit):
    """A document is used for a minute."""
    first, second = list_free(kit), list_free(kit)

    assert first.times == second.times
    assert kit.count_requests(GET) == 1


def test_an_older_document_is_shown_without_waiting(kit):
    """It is shown at once and refreshed in the background."""
    list_free(kit)
    kit.travel(minutes=3)

    shown = list_free(kit)

    assert kit.count_requests(GET) == 1
    assert shown.times
    assert not shown.stale


def test_only_viewed_documents_are_refreshed(kit):
    """One of several meeting types is viewed: its document is refreshed."""
    list_free(kit)
    demand.recent_views.clear()
    kit.travel(minutes=2)
    list_free(kit)

    kit.run_due(periodic=True)

    assert kit.count_requests(GET) == 2
    assert kit.now() - list_free(kit).as_of < timedelta(seconds=60)


def test_a_separate_task_refreshes_viewed_documents(kit):
    """``meetergo.poll_availability``: a long sync in another worker does not delay the refresh."""
    kit.travel(minutes=-2)
    list_free(kit)
    demand.recent_views.clear()
    list_free(kit)
    kit.travel(minutes=2)

    assert tasks.poll_availability.name == "meetergo.poll_availability"
    tasks.poll_availability()

    assert kit.count_requests(GET) == 2


def test_two_workers_refresh_a_document_once(kit):
    """A worker skips a document that another one is refreshing or has just refreshed."""
    list_free(kit)
    demand.recent_views.clear()
    now = kit.travel(minutes=2)
    list_free(kit)
    [window] = choose_windows("default", now, 9)

    with hold_refresh_lock(window) as is_ours:
        assert is_ours
        assert not refresh_window(window, client=kit.client("planned"), now=now)
    assert refresh_window(window, client=kit.client("planned"), now=now)
    assert not refresh_window(window, client=kit.client("planned"), now=now)

    assert kit.count_requests(GET) == 2


def test_without_views_nothing_is_fetched(kit):
    kit.run_due(periodic=True)

    assert kit.count_requests(GET) == 0


def test_an_outage_leaves_the_last_document_which_is_marked_as_stale(kit):
    """Stale times are shown for 15 minutes, then none."""
    list_free(kit)
    kit.fail_next(GET, "status_before", status=500, times=-1)
    demand.recent_views.clear()
    kit.travel(minutes=2)
    list_free(kit)
    kit.run_due(periodic=True)

    shown = list_free(kit)
    assert (bool(shown.times), shown.stale, shown.failed) == (True, True, False)
    kit.travel(minutes=14)
    gone = list_free(kit)
    assert (gone.times, gone.failed) == ((), True)


def test_a_failed_first_fetch_is_reported(kit):
    kit.fail_next(GET, "status_before", status=500, times=-1)

    assert list_free(kit).failed


def test_an_incomplete_list_names_no_sources(kit):
    """Pages that were rendered from it are not cached."""
    assert list_free(kit).sources
    kit.fail_next(GET, "status_before", status=500, times=-1)

    shown = list_free(kit, days=62)

    assert shown.times
    assert shown.failed
    assert shown.sources == ()


def test_a_booking_removes_its_slot_from_every_type_of_that_host(kit, book):
    """The types share one calendar, so no call is needed to know it."""
    twin = kit.meeting_type("intro-call")
    twin.pk, twin.remote_id, twin.slug = None, "twin", "twin"
    twin.save()
    list_free(kit)
    start = kit.list_free_starts()[0]
    document = cache.get(find_window(kit.meeting_type(), 30, start).key)
    store_document(find_window(twin, 30, start), document)

    book(start=start)

    for slug in ("intro-call", "twin"):
        assert start not in [free.start for free in list_free(kit, slug).times]


def test_a_webhook_removes_a_booked_slot_without_fetching_availability(kit):
    """The re-read of the appointment is enough. A cancel only flags the document."""
    start = kit.list_free_starts()[2]
    kit.occupy_slot(start)
    asked = kit.count_requests(GET)

    kit.reread_all()
    kit.run_due()

    assert start not in kit.list_free_starts()
    assert kit.count_requests(GET) == asked


def test_a_cancelled_time_comes_back_with_the_next_refresh(kit, book):
    """The document is flagged as outdated, and outdated documents are refreshed first."""
    booking = book(start=kit.list_free_starts(days=6)[-1])
    kit.run_due()
    start = booking.start
    assert start not in kit.list_free_starts()
    kit.client().cancel_appointment(kit.appointments()[0].id)
    kit.reread_all()
    kit.run_due()
    demand.recent_views.clear()
    list_free(kit)

    kit.run_due(after=1, periodic=True)

    assert start in kit.list_free_starts()


@pytest.mark.django_db(transaction=True)
def test_fifty_views_of_a_missing_document_cost_one_call(kit):
    """One fetches it; the others wait a short time for the result."""
    meeting_type, now = kit.meeting_type(), kit.now()
    client = kit.client("view")
    kit.fail_next(GET, "slow", seconds=0.2)
    found, waited = [], []

    def ask():
        started = time.monotonic()
        found.append(
            list_slots(
                meeting_type=meeting_type, start=now, end=now + timedelta(days=3), client=client, now=now
            )
        )
        waited.append(time.monotonic() - started)

    run_at_once(ask, 50)

    assert kit.count_requests(GET) <= 2  # a window's edge may lie within the three days
    assert all(one.times for one in found)
    assert max(waited) < WAIT_SECONDS + 1


def test_planned_refreshes_leave_permits_to_bookings(kit, settings):
    """With few free permits, no planned refresh is sent."""
    list_free(kit)
    demand.recent_views.clear()
    kit.travel(minutes=2)
    list_free(kit)
    settings.MEETERGO = {**settings.MEETERGO, "REQUESTS_PER_MINUTE": 90}
    kit.reset_rate_limit()
    client = kit.client("write")
    for _ in range(75):
        client.rate_limiter.acquire("write")

    done = poll_availability(connection="default", client=kit.client("planned"), now=kit.now())

    assert done == 0


def test_the_most_viewed_and_oldest_documents_come_first():
    """A document with a hundred times the views is refreshed after a fifth of the time."""
    one, two, three, four, five = ((1, 30, n) for n in range(5))
    candidates = [
        Candidate(document=one, interest=1, age=100),
        Candidate(document=two, interest=5, age=100),
        Candidate(document=three, interest=1, age=10, outdated=True),
        Candidate(document=four, interest=100, age=20),
        Candidate(document=five, interest=1, age=50),
    ]

    assert choose_documents(candidates, number=9) == [three, two, four, one]


def test_interest_halves_and_is_dropped(kit):
    """A single view does not cause refreshes without end."""
    demand.add_views({(1, 30, 7): 1}, 0.0)
    assert demand.read_interest()[1, 30, 7].at(900.0) == 0.5
    demand.add_views({(2, 30, 7): 1}, 3600.0 * 3)

    assert (1, 30, 7) not in demand.read_interest()


def test_many_views_wake_the_workers_once(kit, settings, monkeypatch):
    """Twenty views of an old document wake the workers once."""
    wake_ups = []
    monkeypatch.setattr(refresh, "wake_workers", lambda: wake_ups.append(True))
    list_free(kit)
    kit.travel(minutes=2)
    for _ in range(20):
        list_free(kit)

    assert len(wake_ups) == 1


# Who is asked, and what is offered


class Queries(list):
    """The query strings of the availability requests that the sandbox has received."""

    def __init__(self, kit):
        super().__init__()
        handler = kit.sandbox.wsgi

        def note(environ, start_response):
            if environ["PATH_INFO"] == "/v4/booking-availability":
                self.append(parse_qs(environ["QUERY_STRING"]))
            return handler(environ, start_response)

        ADAPTERS[kit.base_url].wsgi = note


QUEUE_TYPE = "next-therapist"


def test_a_queue_is_asked_with_its_members_its_id_and_its_method(kit):
    """Whichever the service reads, it returns the times of all members."""
    queries, meeting_type = Queries(kit), kit.meeting_type(QUEUE_TYPE)
    assert meeting_type.queue_id
    list_free(kit, QUEUE_TYPE)
    members = set(meeting_type.hosts.values_list("remote_id", flat=True))
    assert len(members) > 1
    for query in queries:
        assert set(query["hostIds"]) == members
        assert query["queueId"] == [meeting_type.queue_id]
        assert query["calculationMethod"] == ["anyone"]


def test_staff_can_say_that_all_hosts_of_a_queue_are_needed(kit):
    union = list_free(kit, QUEUE_TYPE).times
    MeetingType.objects.filter(slug=QUEUE_TYPE).update(calculation_method="everyone")
    queries = Queries(kit)
    common = list_free(kit, QUEUE_TYPE).times
    assert {query["calculationMethod"][0] for query in queries} == {"everyone"}
    assert set(common) < set(union)


def test_a_type_with_one_host_is_asked_without_a_queue_or_method(kit):
    queries = Queries(kit)
    list_free(kit)
    assert all("queueId" not in query and "calculationMethod" not in query for query in queries)


def test_a_round_robin_appointment_is_offered_the_times_of_its_own_host_only(kit, book):
    """A reschedule keeps the host: every time on its page can be had."""
    booking = book(QUEUE_TYPE)
    kit.run_due(after=3)
    appointment = Booking.objects.get(pk=booking.pk).attendee.appointment
    [host] = appointment.hosts.all()
    queries = Queries(kit)

    offered = list_free(kit, QUEUE_TYPE, moving=appointment.remote_id).times

    for query in queries:
        assert query["hostIds"] == [host.remote_id]
        assert "queueId" not in query
    assert offered
    for slot in offered[:: max(len(offered) // 5, 1)]:
        kit.client().reschedule_appointment(appointment.remote_id, slot.start)


@pytest.mark.parametrize("slug", ["intro-call", QUEUE_TYPE])
def test_an_appointment_that_is_handed_over_is_offered_the_times_of_its_new_host(kit, book, slug):
    """At once, and for a type without a queue, too: its own host is no longer the appointment's."""
    booking = book(slug)
    kit.run_due(after=3)
    appointment = Booking.objects.get(pk=booking.pk).attendee.appointment
    [former] = appointment.hosts.all()
    list_free(kit, slug, moving=appointment.remote_id)  # cached now
    queries = Queries(kit)
    for other in Host.objects.exclude(pk=former.pk):
        change = handoff_appointment(appointment=appointment, host=other, client=kit.client(), now=kit.now())
        if change.state == "done":
            break  # the others are not free

    list_free(kit, slug, moving=appointment.remote_id)

    [new] = appointment.hosts.all()
    assert new != former
    assert {tuple(query["hostIds"]) for query in queries} == {(new.remote_id,)}


def test_whole_days_at_the_edge_of_a_window_give_each_time_once(kit, monkeypatch):
    """A service that answers with whole days repeats the times of the day that two windows share."""
    real = MeetergoClient.get_booking_availability

    def answer_whole_days(self, meeting_type_id, start, end, **options):
        return real(self, meeting_type_id, start - timedelta(days=1), end + timedelta(days=1), **options)

    monkeypatch.setattr(MeetergoClient, "get_booking_availability", answer_whole_days)
    starts = [slot.start for slot in list_free(kit, days=70).times]
    assert starts == sorted(set(starts))
    assert starts


def test_a_slot_that_an_open_booking_holds_is_offered_to_nobody(kit, book):
    """The answer of the booking was lost. Until it is reconciled, the service may still list its slot."""
    start = kit.list_free_starts()[3]
    kit.fail_next(kind="drop_before")
    kit.fail_next("GET *", "status_before", status=500, times=4)
    booking = book(start=start)
    assert booking.state == Booking.State.UNKNOWN
    kit.sandbox.faults.clear()
    fetch_window(find_window(kit.meeting_type(), 30, start), client=kit.client("view"), now=kit.now())

    assert start not in kit.list_free_starts()
    near = list_alternatives(
        meeting_type=kit.meeting_type(), start=start - timedelta(minutes=30), duration=30,
        zone=ZoneInfo("Europe/Berlin"), client=kit.client(), now=kit.now(),
    )  # fmt: skip
    assert start not in [slot.start for slot in near]


def test_holds_cost_one_statement_and_only_where_one_host_decides(kit, django_assert_num_queries):
    meeting_type, queue_type, now = kit.meeting_type(), kit.meeting_type(QUEUE_TYPE), kit.now()
    span = {"start": now, "end": now + timedelta(days=7), "client": kit.client("view"), "now": now}
    list_slots(meeting_type=meeting_type, **span)
    list_slots(meeting_type=queue_type, **span)
    with django_assert_num_queries(1):
        list_slots(meeting_type=meeting_type, **span)
    with django_assert_num_queries(0):
        list_slots(meeting_type=queue_type, **span)


@pytest.mark.django_db(transaction=True)
def test_fifty_who_lose_one_slot_share_one_call_with_the_priority_of_a_view(kit, monkeypatch):
    """Losers cost no call each, and none of the permits that bookings have for themselves."""
    meeting_type, now = kit.meeting_type(), kit.now()
    start = kit.list_free_starts()[0]
    kit.occupy_slot(start)
    kit.travel(seconds=30)
    now = kit.now()
    used = []
    real = RateLimiter.acquire
    monkeypatch.setattr(
        RateLimiter, "acquire", lambda self, priority: used.append(priority) or real(self, priority)
    )
    kit.fail_next(GET, "slow", seconds=0.3)
    before, found = kit.count_requests(GET), []

    def lose():
        remove_slot(meeting_type=meeting_type, start=start, duration=30)
        client = kit.client("write")
        assert not is_offered(meeting_type=meeting_type, start=start, duration=30, client=client, now=now)
        found.append(
            list_alternatives(
                meeting_type=meeting_type, start=start, duration=30, zone=ZoneInfo("Europe/Berlin"),
                client=client, now=now,
            )
        )  # fmt: skip

    run_at_once(lose, 50)

    assert len(found) == 50
    assert all(found)
    assert kit.count_requests(GET) - before <= 3
    assert set(used) == {"view"}


def test_an_appointment_of_a_thousand_years_asks_for_few_documents(kit, monkeypatch):
    kit.sync_directory()
    start = kit.list_free_starts()[3]
    kit.occupy_slot(start)
    document = kit.client().get_appointment(kit.appointments()[0].id)
    asked, get_many = [], invalidation.cache.get_many
    monkeypatch.setattr(invalidation.cache, "get_many", lambda keys: asked.extend(keys) or get_many(keys))

    end = datetime(2999, 1, 1, tzinfo=UTC)
    span = invalidation.TakenSpan(host_id=document.host_ids[0], start=start, end=end)
    invalidation.remove_spans(connection="default", taken=[span])

    assert len(asked) < 1000


def test_a_hold_of_two_days_keeps_its_second_day(kit):
    kind, start = kit.meeting_type(), kit.now() + timedelta(days=10)
    Booking.objects.create(
        meeting_type=kind, start=start, duration=2880, created_at=kit.now(), slot_hold_key="x"
    )

    assert holds.remove_held_slots(kind, [store.Slot(start=start + timedelta(hours=30))], 2880) == []


def test_a_forked_process_does_not_wait_for_fetches_of_its_parent():
    refresh._fetches_in_progress["x"] = Future()
    reader, writer = os.pipe()
    if (pid := os.fork()) == 0:
        os.write(writer, str(len(refresh._fetches_in_progress)).encode())
        os._exit(0)
    os.waitpid(pid, 0)
    refresh._fetches_in_progress.clear()

    assert os.read(reader, 9) == b"0"


def test_a_time_to_move_to_that_was_taken_meanwhile_is_not_shown_again(kit, book):
    """Nobody refreshes these documents in the background: only one person looks at them."""
    appointment = book().attendee.appointment
    taken = list_free(kit, moving=appointment.remote_id).times[5].start
    kit.occupy_slot(taken)
    kit.travel(seconds=61)

    shown = {free.start for free in list_free(kit, moving=appointment.remote_id).times}

    assert taken not in shown


def test_times_to_move_to_are_shown_as_old_while_meetergo_does_not_answer(kit, book):
    appointment = book().attendee.appointment
    before = list_free(kit, moving=appointment.remote_id)
    kit.travel(seconds=61)
    kit.go_down()

    found = list_free(kit, moving=appointment.remote_id)

    assert found.stale
    assert set(found.times) <= set(before.times)
    assert found.times
