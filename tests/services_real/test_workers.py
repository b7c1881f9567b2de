"""What a site with Celery or Django's task framework is promised."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime

import pytest
from django.core.management import call_command
from django.db import connections, transaction
from django_tasks_db.models import DBTaskResult

from django_meetergo import background, framework_tasks, tasks
from django_meetergo.models import Booking, Event
from django_meetergo.publishing import PUBLISH_SECONDS, publisher
from django_meetergo.services import AttendeeData, book_appointment, scheduler
from django_meetergo.wakeup import wake_workers
from tests.celery_app import make_app
from tests.services_real.conftest import wait_for


@pytest.fixture(autouse=True)
def _reset_broker_pause():
    publisher.reset()
    yield
    publisher.reset()


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


def test_a_worker_does_what_is_due(worker, store_booking, live_meetergo_sandbox):
    """After one wake-up another process sends the booking and dispatches its event."""
    booking = store_booking()
    worker.publish()

    wait_for(lambda: state_of(booking) == ("confirmed", ""))
    worker.publish()
    wait_for(lambda: not Event.objects.filter(dispatched_at=None).exists())
    assert live_meetergo_sandbox.count_requests() == 1


def test_a_worker_killed_while_sending_loses_nothing(worker, store_booking, live_meetergo_sandbox):
    """The next run reconciles the booking whose request had left."""
    kit = live_meetergo_sandbox
    kit.fail_next(kind="hang_after", seconds=20)
    booking = store_booking()
    worker.publish()
    wait_for(lambda: len(kit.appointments()) == 1)
    assert state_of(booking)[0] == "sending"

    os.kill(worker.process.pid, signal.SIGKILL)
    worker.process.wait(10)

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

    assert first < PUBLISH_SECONDS + 1.5  # the booking itself reads the availability
    assert second < 0.1
    call_command("meetergo_tick", verbosity=0)
    assert state_of(booking) == ("confirmed", "")


#: The faults of the second, third and fourth request.
FAULTS = (("occupy_slot", 1), ("drop_after", 2), ("status_before", 2))


@contextmanager
def run_until_left(work, end):
    """Run ``work`` in a thread until the block ends."""

    def run():
        try:
            work()
        finally:
            connections.close_all()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield
    finally:
        end()
        thread.join(20)


def repeat(work):
    """Call ``work`` again and again, as cron or beat does, until the block ends."""
    stopped = threading.Event()

    def loop():
        while not stopped.wait(0.3):
            work()

    return run_until_left(loop, stopped.set)


@pytest.fixture
def run_mode(start_worker):
    """Return a context manager that runs one kind of background work."""

    @contextmanager
    def run_mode(mode):
        if mode == "inline":
            thread = background.BackgroundWorker()
            with run_until_left(thread.run, thread.stop):
                yield
        elif mode == "cron":
            with repeat(lambda: call_command("meetergo_tick", verbosity=0)):
                yield
        else:
            with start_worker(mode) as worker, repeat(worker.publish):
                yield

    return run_mode


@pytest.mark.parametrize("mode", ["inline", "cron", "redis", "tasks"])
def test_every_kind_of_background_work_ends_in_the_same_rows(
    mode, run_mode, store_booking, live_meetergo_sandbox
):
    """Confirmed, slot taken, reconciled and refused, whatever process does the work."""
    kit = live_meetergo_sandbox
    for fault, after in FAULTS:
        kit.fail_next(kind=fault, status=400, after=after)
    bookings = [store_booking(number) for number in range(4)]
    with run_mode(mode):
        wait_for(lambda: not Booking.objects.open().exists(), seconds=40)

    assert [state_of(booking) for booking in bookings] == [
        ("confirmed", ""),
        ("closed", "slot_taken"),
        ("confirmed", ""),
        ("closed", "refused"),
    ]
    assert kit.count_requests() == 4


def test_a_wake_up_of_the_task_framework_is_enqueued_once_after_the_commit(store_booking, settings):
    settings.MEETERGO = {**settings.MEETERGO, "BACKGROUND": "tasks"}
    with transaction.atomic():
        wake_workers()
        wake_workers()
        assert not DBTaskResult.objects.exists()

    assert [row.task_path for row in DBTaskResult.objects.all()] == [
        "django_meetergo.framework_tasks.run_due"
    ]


def test_the_same_task_may_run_twice_at_once(store_booking, live_meetergo_sandbox):
    booking = store_booking()
    live_meetergo_sandbox.fail_next(kind="slow", seconds=0.5)
    with ThreadPoolExecutor(2) as pool:
        for done in [pool.submit(run_and_close) for _ in range(2)]:
            done.result()

    assert state_of(booking) == ("confirmed", "")
    assert live_meetergo_sandbox.count_requests() == 1


def run_and_close():
    try:
        framework_tasks.run_due.call()
    finally:
        connections.close_all()


def test_the_beat_schedule_names_existing_tasks():
    known = {tasks.run_due.name, tasks.poll_availability.name}

    assert {entry["task"] for entry in tasks.beat_schedule().values()} == known
