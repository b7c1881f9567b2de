"""The background worker and its wake-ups."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest
from django.core import mail
from django.core.management import call_command

from django_meetergo import background, clock, framework_tasks, tasks
from django_meetergo.models import Booking
from django_meetergo.services import AttendeeData, book_appointment, scheduler
from django_meetergo.testing.factories import BookingFactory
from django_meetergo.wakeup import wake_workers, work_due


@pytest.fixture
def unsent(meetergo_sandbox, transactional_db):
    """A booking that is stored and has not been sent."""
    kit = meetergo_sandbox
    return book_appointment(
        meeting_type=kit.meeting_type(),
        start=kit.list_free_starts()[0],
        attendee=AttendeeData(email="jane@example.com", first_name="Jane"),
        client=kit.client(),
        now=kit.now(),
        send=False,
    )


def test_one_run_does_what_is_due_and_returns_the_seconds_until_the_next_row(unsent, meetergo_sandbox):
    seconds = background.BackgroundWorker().run_once()

    assert Booking.objects.get(pk=unsent.pk).state == "confirmed"
    assert 0 < seconds <= background.MAX_SLEEP_SECONDS


def test_a_task_begins_nothing_that_its_time_limit_would_cut_off(monkeypatch, meetergo_sandbox, db):
    """meetergo is slow, and more waits than one task can do. The next one goes on with the rest."""
    monotonic, handled, begun = [0.0], [], []
    rows = [BookingFactory(state="received", next_at=datetime.now(UTC)) for _ in range(5)]
    monkeypatch.setattr(clock, "time", SimpleNamespace(monotonic=lambda: monotonic[0]))

    def take_long(booking, now):
        monotonic[0] += 100
        handled.append(booking)
        Booking.objects.filter(pk=booking.pk).update(next_at=None)
        return True

    monkeypatch.setattr(scheduler.booking_sending, "close_if_expired", take_long)
    monkeypatch.setattr(scheduler, "run_one", lambda *args: begun.append(args))
    tasks.run_due()

    limit = tasks.TASK_OPTIONS["soft_time_limit"]
    assert 0 < len(handled) < len(rows)
    assert monotonic[0] <= limit + 60
    assert begun == []
    while len(handled) < len(rows):
        tasks.run_due()


def test_an_error_does_not_end_the_worker(monkeypatch, meetergo_sandbox, transactional_db):
    monkeypatch.setattr("django_meetergo.services.scheduler.run_due", lambda now: 1 / 0)

    assert background.BackgroundWorker().run_once() == background.MAX_SLEEP_SECONDS


def test_a_wake_up_starts_the_thread_with_the_inline_setting_only(settings, monkeypatch):
    woken = []
    monkeypatch.setattr(background.worker, "wake", lambda: woken.append(True))

    for mode, expected in (("cron", 0), ("inline", 1)):
        settings.MEETERGO = {**settings.MEETERGO, "BACKGROUND": mode}
        background.handle_wake_up()
        assert len(woken) == expected


@pytest.mark.parametrize(("mode", "module"), [("celery", tasks), ("tasks", framework_tasks)])
def test_the_webhook_endpoint_never_calls_a_broker(settings, monkeypatch, mode, module):
    """meetergo waits for the answer; the schedule finds the row."""
    published = []
    monkeypatch.setattr(module, "publish_wake_up", lambda: published.append(True))
    settings.MEETERGO = {**settings.MEETERGO, "BACKGROUND": mode}

    background.handle_wake_up(skip_broker=True)
    assert published == []
    background.handle_wake_up()
    assert published == [True]


@pytest.mark.django_db
def test_a_wake_up_inside_a_transaction_is_sent_after_its_commit(django_capture_on_commit_callbacks):
    received = []

    def receive(**kwargs):
        received.append(kwargs["skip_broker"])

    work_due.connect(receive)
    with django_capture_on_commit_callbacks(execute=True):
        wake_workers(skip_broker=True)
        assert received == []
    work_due.disconnect(receive)
    assert received == [True]


@pytest.fixture
def worker(monkeypatch):
    """A worker whose runs are only listed, with the thread of each."""
    worker = background.BackgroundWorker()
    worker.runs = []
    monkeypatch.setattr(worker, "run_once", lambda: worker.runs.append(threading.current_thread()) or 30)
    yield worker
    worker.stop()


def test_a_second_wake_up_uses_the_same_thread(worker):
    worker.start()
    wait_for(lambda: len(worker.runs) == 1)
    worker.wake()
    wait_for(lambda: len(worker.runs) == 2)

    assert worker.runs[0] is worker.runs[1]


def test_a_dead_thread_is_replaced(worker, monkeypatch):
    """As in a forked process, or after an error that nothing catches."""
    monkeypatch.setattr(worker, "run", lambda: worker.run_once())
    worker.start()
    wait_for(lambda: worker.runs and not worker.runs[0].is_alive())

    worker.wake()
    wait_for(lambda: len(worker.runs) == 2)


def test_only_a_process_that_serves_requests_has_the_thread(worker, settings, monkeypatch):
    """A management command would otherwise have a second writer in its own process."""
    monkeypatch.setattr(background, "worker", worker)
    settings.MEETERGO = {**settings.MEETERGO, "BACKGROUND": "inline"}

    background.handle_wake_up()
    assert worker.runs == []

    monkeypatch.delattr(mail, "outbox")  # as in a process that runs no tests
    background.start_with_first_request()
    wait_for(lambda: len(worker.runs) == 1)
    background.handle_wake_up()
    wait_for(lambda: len(worker.runs) == 2)


@pytest.mark.parametrize("mode", ["inline", "celery", "tasks"])
def test_the_first_request_of_a_test_run_starts_no_background_work(
    worker, settings, monkeypatch, client, mode
):
    """It would use the test's database beside the test, and the site's own credential."""
    started = []
    monkeypatch.setattr(worker, "start", lambda: started.append("inline"))
    monkeypatch.setattr(background, "worker", worker)
    monkeypatch.setattr(tasks, "publish_wake_up", lambda: started.append("celery"))
    monkeypatch.setattr(framework_tasks, "publish_wake_up", lambda: started.append("tasks"))
    settings.MEETERGO = {**settings.MEETERGO, "BACKGROUND": mode}
    background.connect_wake_ups()

    client.get("/no-such-page/")

    assert started == []


def wait_for(condition):
    deadline = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_one_tick_does_everything_that_is_due(unsent, meetergo_sandbox, capsys):
    """The first directory sync included: cron alone is enough to run a site."""
    call_command("meetergo_tick")

    assert Booking.objects.get(pk=unsent.pk).state == "confirmed"
    assert "send bookings: 1" in capsys.readouterr().out
