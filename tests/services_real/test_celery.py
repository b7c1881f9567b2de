"""What a site with Celery is promised."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from datetime import UTC, datetime

import pytest
from django.core.management import call_command
from django.db import connections

from django_meetergo import background, tasks
from django_meetergo.models import Booking, Event
from django_meetergo.services import scheduler
from django_meetergo.services.booking.book import AttendeeData, book_appointment
from tests.celery_app import make_app
from tests.services_real.conftest import wait_for


@pytest.fixture(autouse=True)
def _no_grudge():
    tasks.reset_broker_pause()
    yield
    tasks.reset_broker_pause()


@pytest.fixture
def wish(live_meetergo_sandbox, transactional_db):
    """Put a booking on paper that has not been sent."""
    kit = live_meetergo_sandbox
    starts = kit.list_free_starts()

    def wish(number=0):
        return book_appointment(
            meeting_type=kit.meeting_type(),
            start=starts[number * 2],
            attendee=AttendeeData(email=f"jane{number}@example.com", first_name="Jane"),
            client=kit.client(),
            now=datetime.now(UTC),
            send=False,
        )

    return wish


def state_of(booking):
    return Booking.objects.values_list("state", "reason").get(pk=booking.pk)


def test_a_worker_does_what_is_due(worker, celery_app, wish, live_meetergo_sandbox):
    """One ring, and the booking is made and its event told by another process."""
    booking = wish()
    tasks.publish_wake_up()

    wait_for(lambda: state_of(booking) == ("confirmed", ""))
    tasks.publish_wake_up()
    wait_for(lambda: not Event.objects.filter(dispatched_at=None).exists())
    assert live_meetergo_sandbox.posts() == 1


def test_a_worker_that_is_killed_in_the_middle_loses_nothing(worker, celery_app, wish, live_meetergo_sandbox):
    """The request was on its way; whoever looks next finds what became of it."""
    kit = live_meetergo_sandbox
    kit.fail_next(kind="hang_after", seconds=20)
    booking = wish()
    tasks.publish_wake_up()
    wait_for(lambda: len(kit.appointments()) == 1)
    assert state_of(booking)[0] == "sending"

    os.kill(worker.pid, signal.SIGKILL)
    worker.wait(10)

    def tick():
        scheduler.run_due(datetime.now(UTC), periodic=False)
        return state_of(booking) == ("confirmed", "")

    wait_for(tick)
    assert kit.posts() <= 1  # the request that hangs is noted when it ends
    assert len(kit.appointments_of(booking)) == 1


@pytest.mark.parametrize("broker_port", ["closed", "silent"])
@pytest.mark.parametrize("scheme", ["redis", "amqp"])
def test_a_broker_that_does_not_answer_never_holds_up_a_page(wish, settings, scheme, broker_port):
    """One short wait, then none for a while; the tick does the work."""
    settings.MEETERGO = {**settings.MEETERGO, "BACKGROUND": "celery"}
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        if broker_port == "closed":
            listener.close()
        app = make_app(f"{scheme}://127.0.0.1:{port}", "nowhere")
        app.set_current()
        started = time.monotonic()
        booking = wish()
        first = time.monotonic() - started
        started = time.monotonic()
        background.handle_wake_up()
        second = time.monotonic() - started
        app.close()

    assert first < tasks.PUBLISH_SECONDS + 1.5  # the booking itself reads free times
    assert second < 0.1
    call_command("meetergo_tick", verbosity=0)
    assert state_of(booking) == ("confirmed", "")


#: What meets the second, third and fourth request. One that waits behind another ending does not count it.
FAULTS = (("occupy_slot", 1), ("drop_after", 2), ("status_before", 2))


def start(work, end):
    """Run something in a thread; what is returned ends it."""

    def run():
        try:
            work()
        finally:
            connections.close_all()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return lambda: (end(), thread.join(20))


@pytest.fixture
def modes(request):
    """How the three ways of working do what is due, each until nothing is left to do."""

    def run_inline():
        ticker = background.BackgroundWorker()
        return start(ticker.run, ticker.stop)

    def run_cron():
        stopped = threading.Event()

        def loop():
            while not stopped.wait(0.3):
                call_command("meetergo_tick", verbosity=0)

        return start(loop, stopped.set)

    def run_celery():
        request.getfixturevalue("worker")
        app = request.getfixturevalue("celery_app")
        stopped = threading.Event()

        def beat():
            app.set_current()
            while not stopped.wait(0.3):
                tasks.publish_wake_up()

        return start(beat, stopped.set)

    return {"inline": run_inline, "cron": run_cron, "celery": run_celery}


@pytest.mark.parametrize("mode", ["inline", "cron", "celery"])
@pytest.mark.parametrize("broker", ["redis"], indirect=True)
def test_all_ways_of_working_end_in_the_same_state(mode, modes, broker, wish, live_meetergo_sandbox):
    """Booked, taken, found and refused: whoever does the work."""
    kit = live_meetergo_sandbox
    for fault, after in FAULTS:
        kit.fail_next(kind=fault, status=400, after=after)
    bookings = [wish(number) for number in range(4)]
    stop = modes[mode]()
    try:
        wait_for(lambda: not Booking.objects.open().exists(), seconds=40)
    finally:
        stop()

    assert [state_of(booking) for booking in bookings] == [
        ("confirmed", ""),
        ("closed", "slot_taken"),
        ("confirmed", ""),
        ("closed", "refused"),
    ]
    assert kit.posts() == 4


def test_beat_is_told_to_call_tasks_that_exist():
    """What the schedule names is what workers know."""
    known = {tasks.run_due.name, tasks.poll_availability.name}

    assert {entry["task"] for entry in tasks.beat_schedule().values()} == known
