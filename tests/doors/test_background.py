"""Who hears the doorbell."""

from __future__ import annotations

import time

import pytest
from django.core.management import call_command

from django_meetergo import background, tasks
from django_meetergo.models import Booking
from django_meetergo.services.booking.book import AttendeeData, book_appointment
from django_meetergo.wakeup import wake_workers, work_due


@pytest.fixture
def waiting(meetergo_sandbox, transactional_db):
    """A booking that is on paper and has not been sent."""
    kit = meetergo_sandbox
    return book_appointment(
        meeting_type=kit.meeting_type(),
        start=kit.list_free_starts()[0],
        attendee=AttendeeData(email="jane@example.com", first_name="Jane"),
        client=kit.client(),
        now=kit.now(),
        send=False,
    )


def test_one_round_of_the_ticker_does_what_is_due_and_knows_when_the_next_is(waiting, meetergo_sandbox):
    """It sleeps to the earliest due row, and never longer than its longest nap."""
    nap = background.BackgroundWorker().work()

    assert Booking.objects.get(pk=waiting.pk).state == "confirmed"
    assert 0 < nap <= background.MAX_SLEEP_SECONDS


def test_a_ticker_outlives_a_database_that_stumbles(monkeypatch, meetergo_sandbox, transactional_db):
    """The thread logs and goes on."""
    monkeypatch.setattr("django_meetergo.services.scheduler.run_due", lambda now: 1 / 0)

    assert background.BackgroundWorker().work() == background.MAX_SLEEP_SECONDS


def test_the_doorbell_wakes_the_inline_ticker_alone(settings, monkeypatch):
    """With cron nobody hears it; with inline the thread of this process does."""
    woken = []
    monkeypatch.setattr(background.worker, "wake", lambda: woken.append(True))

    for mode, expected in (("cron", 0), ("inline", 1)):
        settings.MEETERGO = {**settings.MEETERGO, "BACKGROUND": mode}
        background.handle_wake_up()
        assert len(woken) == expected


def test_the_letterbox_never_calls_a_broker(settings, monkeypatch):
    """The service waits for the answer; beat finds the row."""

    rung = []
    monkeypatch.setattr(tasks, "publish_wake_up", lambda: rung.append(True))
    settings.MEETERGO = {**settings.MEETERGO, "BACKGROUND": "celery"}

    background.handle_wake_up(skip_broker=True)
    assert rung == []
    background.handle_wake_up()
    assert rung == [True]


@pytest.mark.django_db
def test_a_ring_inside_a_transaction_waits_for_its_commit(django_capture_on_commit_callbacks):
    """What is not committed cannot be found."""
    heard = []

    def hear(**kwargs):
        heard.append(kwargs["skip_broker"])

    work_due.connect(hear)
    with django_capture_on_commit_callbacks(execute=True):
        wake_workers(skip_broker=True)
        assert heard == []
    work_due.disconnect(hear)
    assert heard == [True]


def test_a_thread_is_started_once_and_woken_again(waiting, meetergo_sandbox, monkeypatch):
    """Two calls, one thread; each call is a look."""
    rounds = []
    ticker = background.BackgroundWorker()
    monkeypatch.setattr(ticker, "work", lambda: rounds.append(True) or 30)

    try:
        ticker.wake()
        wait_for(lambda: len(rounds) == 1)
        ticker.wake()
        wait_for(lambda: len(rounds) == 2)
    finally:
        ticker.stop()


def wait_for(condition):
    ends = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < ends
        time.sleep(0.01)


def test_the_tick_command_is_a_whole_deployment(waiting, meetergo_sandbox, capsys):
    """One call does everything that is due, the first directory and syncs among it."""
    call_command("meetergo_tick")

    assert Booking.objects.get(pk=waiting.pk).state == "confirmed"
    assert "send bookings: 1" in capsys.readouterr().out
