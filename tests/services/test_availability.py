"""What is promised about the times that are shown."""

from __future__ import annotations

import threading
import time
from datetime import timedelta

import pytest

from django_meetergo import tasks
from django_meetergo.cache import cache
from django_meetergo.services.availability import demand, refresh
from django_meetergo.services.availability.demand import Candidate, choose_documents
from django_meetergo.services.availability.refresh import (
    WAIT_SECONDS,
    choose_windows,
    hold_refresh_lock,
    poll_availability,
    refresh_window,
)
from django_meetergo.services.availability.slots import list_slots
from django_meetergo.services.availability.store import find_window, store_document

pytestmark = pytest.mark.django_db

GET = "GET /v4/booking-availability"


@pytest.fixture
def kit(meetergo_sandbox):
    demand.recent_views.clear()
    meetergo_sandbox.sync_directory()
    return meetergo_sandbox


def look(kit, slug="intro-call", days=7, **options):
    now = kit.now()
    return list_slots(
        meeting_type=kit.meeting_type(slug), start=now, end=now + timedelta(days=days),
        client=kit.client("view"), now=now, **options,
    )  # fmt: skip


def test_a_fresh_copy_costs_no_call(kit):
    """Whoever looks within a minute sees the same answer."""
    first, second = look(kit), look(kit)

    assert first.times == second.times
    assert kit.posts(GET) == 1


def test_nobody_waits_while_there_is_a_copy(kit):
    """An older copy is shown at once; the background is asked to refresh it."""
    look(kit)
    kit.travel(minutes=3)

    shown = look(kit)

    assert kit.posts(GET) == 1
    assert shown.times
    assert not shown.stale


def test_what_people_look_at_is_kept_warm_and_nothing_else(kit):
    """One type is looked at, six could be: one is refreshed."""
    look(kit)
    demand.recent_views.clear()
    kit.travel(minutes=2)
    look(kit)

    kit.run_due(periodic=True)

    assert kit.posts(GET) == 2
    assert kit.now() - look(kit).as_of < timedelta(seconds=60)


def test_a_task_of_its_own_keeps_free_times_warm(kit):
    """``meetergo.poll_availability``: a long sync in another worker does not let them grow old."""
    kit.travel(minutes=-2)
    look(kit)
    demand.recent_views.clear()
    look(kit)
    kit.travel(minutes=2)

    assert tasks.poll_availability.name == "meetergo.poll_availability"
    tasks.poll_availability()

    assert kit.posts(GET) == 2


def test_two_workers_refresh_a_document_once(kit):
    """Whoever comes while another is asking leaves it to them, and finds it done afterwards."""
    look(kit)
    demand.recent_views.clear()
    now = kit.travel(minutes=2)
    look(kit)
    [window] = choose_windows("default", now, 9)

    with hold_refresh_lock(window) as is_ours:
        assert is_ours
        assert not refresh_window(window, client=kit.client("planned"), now=now)
    assert refresh_window(window, client=kit.client("planned"), now=now)
    assert not refresh_window(window, client=kit.client("planned"), now=now)

    assert kit.posts(GET) == 2


def test_nobody_looks_nothing_is_asked(kit):
    """An empty house costs no request."""
    kit.run_due(periodic=True)

    assert kit.posts(GET) == 0


def test_a_service_that_does_not_answer_leaves_the_copy_and_says_its_age(kit):
    """Old times are shown as old ones, for a quarter of an hour; then none."""
    look(kit)
    kit.fail_next(GET, "status_before", status=500, times=-1)
    demand.recent_views.clear()
    kit.travel(minutes=2)
    look(kit)
    kit.run_due(periodic=True)

    shown = look(kit)
    assert (bool(shown.times), shown.stale, shown.failed) == (True, True, False)
    kit.travel(minutes=14)
    gone = look(kit)
    assert (gone.times, gone.failed) == ((), True)


def test_without_any_copy_a_failure_is_said(kit):
    """Nothing is invented."""
    kit.fail_next(GET, "status_before", status=500, times=-1)

    assert look(kit).failed


def test_what_was_not_had_in_full_names_no_copies(kit):
    """So that nobody keeps what was made from it."""
    assert look(kit).sources
    kit.fail_next(GET, "status_before", status=500, times=-1)

    shown = look(kit, days=62)

    assert shown.times
    assert shown.failed
    assert shown.sources == ()


def test_a_booking_removes_its_slot_from_every_type_of_that_host(kit, book):
    """What one calendar decides is gone everywhere at once, before anybody asks again."""
    twin = kit.meeting_type("intro-call")
    twin.pk, twin.remote_id, twin.slug = None, "twin", "twin"
    twin.save()
    look(kit)
    start = kit.list_free_starts()[0]
    document = cache.get(find_window(kit.meeting_type(), 30, start).key)
    store_document(find_window(twin, 30, start), document)

    book(start=start)

    for slug in ("intro-call", "twin"):
        assert start not in [free.start for free in look(kit, slug).times]


def test_a_webhook_takes_a_proven_time_out_without_asking_for_availability(kit):
    """The re-read is proof enough; a cancel only marks."""
    start = kit.list_free_starts()[2]
    kit.occupy_slot(start)
    asked = kit.posts(GET)

    kit.reread_all()
    kit.run_due()

    assert start not in kit.list_free_starts()
    assert kit.posts(GET) == asked


def test_a_cancelled_time_comes_back_with_the_next_refresh(kit, book):
    """The copy is marked, and marked copies come first."""
    booking = book()
    kit.run_due()
    start = booking.start
    assert start not in kit.list_free_starts()
    kit.client().cancel_appointment(kit.appointments()[0].id)
    kit.reread_all()
    kit.run_due()
    demand.recent_views.clear()
    look(kit)

    kit.run_due(after=1, periodic=True)

    assert start in kit.list_free_starts()


@pytest.mark.django_db(transaction=True)
def test_many_who_want_one_cold_document_cost_one_call(kit):
    """One asks, the others wait for the answer, shortly."""
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

    threads = [threading.Thread(target=ask) for _ in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert kit.posts(GET) <= 2  # a window's edge may lie within the three days
    assert all(one.times for one in found)
    assert max(waited) < WAIT_SECONDS + 1


def test_planned_refreshes_leave_room_for_bookings(kit, settings):
    """With twenty permits left or fewer, nothing is refreshed on plan."""
    look(kit)
    demand.recent_views.clear()
    kit.travel(minutes=2)
    look(kit)
    settings.MEETERGO = {**settings.MEETERGO, "REQUESTS_PER_MINUTE": 90}
    kit.reset_rate_limit()
    client = kit.client("write")
    for _ in range(75):
        client.rate_limiter.acquire("write")

    done = poll_availability(connection="default", client=kit.client("planned"), now=kit.now())

    assert done == 0


def test_the_most_wanted_and_oldest_come_first():
    """And who is looked at a hundred times as much, after a fifth of the time; one view is not worth much."""
    one, two, three, four, five = ((1, 30, n) for n in range(5))
    candidates = [
        Candidate(document=one, interest=1, age=100),
        Candidate(document=two, interest=5, age=100),
        Candidate(document=three, interest=1, age=10, outdated=True),
        Candidate(document=four, interest=100, age=20),
        Candidate(document=five, interest=1, age=50),
    ]

    assert choose_documents(candidates, number=9) == [three, two, four, one]


def test_interest_halves_and_is_forgotten(kit):
    """A single view is no reason to refresh for ever."""
    demand.add_views({(1, 30, 7): 1}, 0.0)
    assert demand.read_interest()[1, 30, 7].at(900.0) == 0.5
    demand.add_views({(2, 30, 7): 1}, 3600.0 * 3)

    assert (1, 30, 7) not in demand.read_interest()


def test_the_background_is_asked_once_however_many_look(kit, settings, monkeypatch):
    """A stampede of views is one ring."""
    rung = []
    monkeypatch.setattr(refresh, "wake_workers", lambda: rung.append(True))
    look(kit)
    kit.travel(minutes=2)
    for _ in range(20):
        look(kit)

    assert len(rung) == 1
