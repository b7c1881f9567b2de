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
def _reset_broker_pause():
    tasks.reset_broker_pause()
    yield
    tasks.reset_broker_pause()


@pytest.fixture
def store_booking(live_meetergo_sandbox, transactional_db):
    """Store a booking without sending it."""
    kit = live_meetergo_sandbox
    starts = kit.list_free_starts()

    def store_booking(number=0):
        return book_appointment(
            meeting_type=kit.meeting_type(),
            start=starts[number * 2],
            attendee=AttendeeData(email=f"jane{number}@example.com", first_name="Jane"),
            client=kit.client(),
            now=datetime.now(UTC),
            send=False,
        )

    return store_booking


def state_of(booking):
    return Booking.objects.values_list("state", "reason").get(pk=booking.pk)


def test_a_worker_does_what_is_due(worker, celery_app, store_booking, live_meetergo_sandbox):
    """After one wake-up another process sends the booking and dispatches its event."""
    booking = store_booking()
    tasks.publish_wake_up()

    wait_for(lambda: state_of(booking) == ("confirmed", ""))
    tasks.publish_wake_up()
    wait_for(lambda: not Event.objects.filter(dispatched_at=None).exists())
    assert live_meetergo_sandbox.count_requests() == 1


def test_a_worker_killed_while_sending_loses_nothing(
    worker, celery_app, store_booking, live_meetergo_sandbox
):
    """The next run reconciles the booking whose request had left."""
    kit = live_meetergo_sandbox
    kit.fail_next(kind="hang_after", seconds=20)
    booking = store_booking()
    tasks.publish_wake_up()
    wait_for(lambda: len(kit.appointments()) == 1)
    assert state_of(booking)[0] == "sending"

    os.kill(worker.pid, signal.SIGKILL)
    worker.wait(10)

    def tick():
        scheduler.run_due(datetime.now(UTC), periodic=False)
        return state_of(booking) == ("confirmed", "")

    wait_for(tick)
    assert kit.count_requests() <= 1  # a hanging request is logged when it ends
    assert len(kit.appointments_of(booking)) == 1


@pytest.mark.parametrize("broker_port", ["closed", "silent"])
@pytest.mark.parametrize("scheme", ["redis", "amqp"])
def test_a_broker_that_does_not_answer_never_holds_up_a_page(store_booking, settings, scheme, broker_port):
    """The first call waits briefly, the next ones not at all; the periodic run does the work."""
    settings.MEETERGO = {**settings.MEETERGO, "BACKGROUND": "celery"}
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        if broker_port == "closed":
            listener.close()
        app = make_app(f"{scheme}://127.0.0.1:{port}", "nowhere")
        app.set_current()
        started = time.monotonic()
        booking = store_booking()
        first = time.monotonic() - started
        started = time.monotonic()
        background.handle_wake_up()
        second = time.monotonic() - started
        app.close()

    assert first < tasks.PUBLISH_SECONDS + 1.5  # the booking itself reads the availability
    assert second < 0.1
    call_command("meetergo_tick", verbosity=0)
    assert state_of(booking) == ("confirmed", "")


#: The faults of the second, third and fourth request.
FAULTS = (("occupy_slot", 1), ("drop_after", 2), ("status_before", 2))


def start(work, end):
    """Run ``work`` in a thread and return a function that ends it."""

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
    """Return, by name, what starts each kind of background work."""

    def run_inline():
        worker = background.BackgroundWorker()
        return start(worker.run, worker.stop)

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
def test_every_kind_of_background_work_ends_in_the_same_rows(
    mode, modes, broker, store_booking, live_meetergo_sandbox
):
    """Confirmed, slot taken, reconciled and refused, whatever process does the work."""
    kit = live_meetergo_sandbox
    for fault, after in FAULTS:
        kit.fail_next(kind=fault, status=400, after=after)
    bookings = [store_booking(number) for number in range(4)]
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
    assert kit.count_requests() == 4


def test_the_beat_schedule_names_existing_tasks():
    known = {tasks.run_due.name, tasks.poll_availability.name}

    assert {entry["task"] for entry in tasks.beat_schedule().values()} == known
