"""What dispatching events promises to the receivers of a site."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from smtplib import SMTPRecipientsRefused
from uuid import uuid4

import pytest
from django.core import mail
from django.core.mail.backends.locmem import EmailBackend

from django_meetergo import signals
from django_meetergo.models import Booking, Event
from django_meetergo.remote.payloads import BookingConfirmed
from django_meetergo.services import events
from django_meetergo.services.booking.outcomes import adopt, give_up_search
from django_meetergo.services.booking.reconciliation import close_left_to_staff

pytestmark = pytest.mark.django_db


@contextmanager
def connected(*receivers, signal=signals.appointment_booked):
    for receiver in receivers:
        signal.connect(receiver)
    try:
        yield
    finally:
        for receiver in receivers:
            signal.disconnect(receiver)


class Receiver:
    """A receiver that counts its calls and fails while it has an error."""

    def __init__(self, error=None):
        self.calls, self.error = 0, error
        self.__qualname__ = self.__name__ = f"receiver_{id(self)}"

    def __call__(self, **kwargs):
        self.calls += 1
        if self.error:
            raise self.error


def run_for_days(kit, days):
    for _ in range(days * 6):
        kit.run_due(after=4 * 3600)


class SpeechlessError(Exception):
    """An error whose text cannot be built."""

    def __str__(self):
        raise AttributeError


@pytest.mark.parametrize(
    "error",
    [ValueError("broken"), SystemExit(1), ValueError("a\x00b"), SpeechlessError()],
    ids=["error", "exit", "NUL", "no text"],
)
def test_only_the_receiver_that_failed_is_called_again(meetergo_sandbox, book, error):
    """The others have their event already; whatever is raised, the worker goes on."""
    broken, healthy = Receiver(error), Receiver()
    with connected(broken, healthy):
        book()
        meetergo_sandbox.run_due()
        assert (broken.calls, healthy.calls) == (1, 1)
        broken.error = None
        meetergo_sandbox.run_due(after=5)

    assert (broken.calls, healthy.calls) == (2, 1)
    event = Event.objects.get(kind="appointment_booked")
    assert event.dispatched_at
    assert event.receivers == {}


def test_a_mail_is_decided_when_it_is_sent(meetergo_sandbox, book, jane):
    """A worker calls slow receivers of an event; another one finds the booking of a later event meanwhile."""
    kit = meetergo_sandbox
    starts = kit.list_free_starts()
    kit.fail_next(kind="drop_before")
    lost = book(start=starts[-1])
    kit.run_due(after=3)
    book(start=starts[-3], attendee=replace(jane, email="other@example.com"))
    Booking.objects.filter(pk=lost.pk).update(reason="needs_staff", next_at=None)
    close_left_to_staff(booking=lost, now=kit.now())

    def take_long(**kwargs):
        adopt(booking=lost, document=BookingConfirmed(appointment_id="late-1"), now=kit.now())

    with connected(take_long, signal=signals.appointment_booked):
        kit.run_due(after=60)
    kit.run_due(after=1)
    assert "not booked" not in " ".join(message.subject for message in mail.outbox)


def test_a_receiver_that_always_fails_is_given_up_and_named(meetergo_sandbox, book):
    """After three days it is dead: its path and its error are stored, and it is not called any more."""
    broken, healthy = Receiver(ValueError("no such table")), Receiver()
    with connected(broken, healthy):
        book()
        run_for_days(meetergo_sandbox, 4)
        calls = broken.calls
        run_for_days(meetergo_sandbox, 1)

    assert (broken.calls, healthy.calls) == (calls, 1)
    assert calls < 40
    event = Event.objects.get(kind="appointment_booked")
    [dead] = [result for result in event.receivers.values() if result["state"] == "dead"]
    assert (dead["tries"], dead["error"]) == (calls, "ValueError: no such table")
    assert (event.dispatched_at, event.next_at) == (None, None)


def test_an_event_that_was_given_up_can_be_tried_again(meetergo_sandbox, book):
    """Only the dead receiver is called, and the event is dispatched then."""
    broken, healthy = Receiver(ValueError("broken")), Receiver()
    with connected(broken, healthy):
        book()
        run_for_days(meetergo_sandbox, 4)
        broken.error = None
        event = Event.objects.get(kind="appointment_booked")
        assert events.retry_event(event=event, now=meetergo_sandbox.now())
        meetergo_sandbox.run_due()

    event.refresh_from_db()
    assert event.dispatched_at
    assert healthy.calls == 1


def test_an_async_receiver_is_called_too(meetergo_sandbox, book):
    """As by ``Signal.send``."""
    called = []

    async def receive(**kwargs):
        called.append(kwargs["event_key"])

    with connected(receive):
        book()
        meetergo_sandbox.run_due()

    assert len(called) == 1


def test_a_mail_server_that_is_away_repeats_no_receiver(meetergo_sandbox, book, monkeypatch):
    """The mail is one receiver among the others."""

    def refuse(backend, messages):
        raise ConnectionRefusedError("no mail server")

    receiver = Receiver()
    with connected(receiver, signal=signals.booking_closed):
        booking = book(send=False)
        Booking.objects.filter(pk=booking.pk).update(defer_consent=True)
        meetergo_sandbox.fail_next(kind="status_before", status=429, times=-1)
        with monkeypatch.context() as outage:
            outage.setattr(EmailBackend, "send_messages", refuse)
            for _ in range(4):
                meetergo_sandbox.clear_availability()
                meetergo_sandbox.run_due(after=400)
        meetergo_sandbox.run_due(after=3600)

    assert receiver.calls == 1
    assert len(mail.outbox) == 1


def test_a_receiver_that_a_deployment_has_removed_keeps_no_event_waiting(meetergo_sandbox, book):
    """It failed, and the site's next version no longer has it, or has it under another name."""
    broken, healthy = Receiver(ValueError("broken")), Receiver()
    with connected(healthy):
        with connected(broken):
            book()
            meetergo_sandbox.run_due()
        meetergo_sandbox.run_due(after=5)

    event = Event.objects.get(kind="appointment_booked")
    assert event.dispatched_at
    assert (broken.calls, healthy.calls) == (1, 1)


@pytest.mark.parametrize("error", [None, ValueError("broken")], ids=["succeeds", "fails"])
def test_a_receiver_that_takes_longer_than_the_lease_is_not_called_for_ever(meetergo_sandbox, book, error):
    """Each call outlives the lease of its worker, and the next worker has begun by then."""
    kit = meetergo_sandbox

    def lose_the_lease(**kwargs):
        Event.objects.filter(dispatched_at=None).update(lease_token=uuid4(), lease_until=kit.now())

    slow = Receiver(error)
    signals.appointment_booked.connect(lose_the_lease)
    try:
        with connected(slow):
            book()
            for _ in range(4 * 24):
                kit.run_due(after=3600)
    finally:
        signals.appointment_booked.disconnect(lose_the_lease)

    event = Event.objects.get(kind="appointment_booked")
    assert event.next_at is None
    assert bool(event.dispatched_at) is (error is None)
    assert slow.calls == 1 if error is None else slow.calls < 100


def test_a_mail_that_one_attendee_cannot_get_is_not_sent_again_to_the_others(
    meetergo_sandbox, book, jane, settings, monkeypatch
):
    """The mail server refuses one address for days: each of the others gets one mail."""
    kit = meetergo_sandbox
    settings.MEETERGO = {**settings.MEETERGO, "SEND_MAIL": ["cancelled"]}
    start = kit.list_free_starts("group-class")[-1]
    for name in ("first", "refused", "third"):
        book("group-class", start=start, attendee=replace(jane, email=f"{name}@example.com"))
    kit.run_due(after=5)
    send = EmailBackend.send_messages

    def refuse_one(backend, messages):
        if messages[0].to == ["refused@example.com"]:
            raise SMTPRecipientsRefused({"refused@example.com": (550, b"no such user")})
        return send(backend, messages)

    monkeypatch.setattr(EmailBackend, "send_messages", refuse_one)
    [appointment] = kit.appointments()
    kit.cancel_elsewhere(appointment)
    kit.reread_all()
    run_for_days(kit, 4)

    told = sorted(address for message in mail.outbox for address in message.to)
    assert told == ["first@example.com", "third@example.com"]
    event = Event.objects.get(kind="appointment_cancelled")
    assert [result["state"] for result in event.receivers.values()].count("dead") == 1


def test_a_late_mail_does_not_announce_what_is_cancelled(meetergo_sandbox, book, settings, monkeypatch):
    """While no mail could be sent, the visitor booked, moved and cancelled."""
    kit = meetergo_sandbox
    settings.MEETERGO = {**settings.MEETERGO, "SEND_MAIL": ["confirmed", "rescheduled", "cancelled"]}

    def refuse(backend, messages):
        raise ConnectionRefusedError("no mail server")

    with monkeypatch.context() as outage:
        outage.setattr(EmailBackend, "send_messages", refuse)
        booking = book()
        kit.run_due(after=5)
        appointment = booking.attendee.appointment
        kit.move_elsewhere(appointment, kit.list_free_starts()[-1])
        kit.reread_all()
        kit.run_due(after=5)
        kit.cancel_elsewhere(appointment)
        kit.reread_all()
        kit.run_due(after=5)
    run_for_days(kit, 1)

    assert [message.subject.partition(":")[0] for message in mail.outbox] == [
        "Your appointment has been cancelled"
    ]
    assert not Event.objects.filter(dispatched_at=None).exists()


def test_a_mail_is_not_sent_when_the_appointment_is_over(meetergo_sandbox, book, settings, monkeypatch):
    """The mail server was away until then."""
    kit = meetergo_sandbox
    settings.MEETERGO = {**settings.MEETERGO, "SEND_MAIL": ["confirmed"]}

    def refuse(backend, messages):
        raise ConnectionRefusedError("no mail server")

    booking = book()
    kit.travel(seconds=(booking.start - kit.now()).total_seconds() - 3600)
    Event.objects.update(created_at=kit.now())
    with monkeypatch.context() as outage:
        outage.setattr(EmailBackend, "send_messages", refuse)
        kit.run_due(after=5)
    run_for_days(kit, 1)

    assert mail.outbox == []
    assert not Event.objects.filter(dispatched_at=None).exists()


# Alerts


@pytest.fixture
def alerts(settings):
    settings.MEETERGO = {**settings.MEETERGO, "ALERT_EMAILS": ["desk@site.example"]}
    return mail.outbox


def test_staff_are_mailed_once_for_a_booking_that_is_left_to_them(meetergo_sandbox, book, alerts):
    """The signal is sent once as well."""
    meetergo_sandbox.fail_next(kind="drop_before")
    booking = book()
    receiver = Receiver()
    with connected(receiver, signal=signals.booking_needs_staff):
        for _ in range(2):
            give_up_search(booking, meetergo_sandbox.now())
            meetergo_sandbox.run_due()

    assert receiver.calls == 1
    [message] = alerts
    assert message.to == ["desk@site.example"]
    assert booking.reference in message.subject + message.body
    assert booking.email not in message.body


def test_a_refused_key_is_mailed_once(meetergo_sandbox, alerts):
    """Not with every round of the workers."""
    meetergo_sandbox.expire_key()
    for _ in range(4):
        meetergo_sandbox.run_due(after=600, periodic=True)

    assert len(alerts) == 1
    assert "API key" in alerts[0].subject


def fail_for(kit, *, rounds, seconds):
    """Keep the service away for so many rounds of the workers; then it answers again."""
    kit.fail_next("*", "status_before", status=503, times=-1)
    for _ in range(rounds):
        kit.clear_availability()
        kit.run_due(after=seconds, periodic=True)
    kit.sandbox.faults.clear()
    for _ in range(3):
        kit.clear_availability()
        kit.run_due(after=1000, periodic=True)


def test_an_outage_is_mailed_once_when_it_has_lasted_long(meetergo_sandbox, alerts):
    """A short one is not worth a mail; the next long one is."""
    kit = meetergo_sandbox

    fail_for(kit, rounds=2, seconds=600)
    assert alerts == []
    fail_for(kit, rounds=9, seconds=600)
    assert len(alerts) == 1
    fail_for(kit, rounds=9, seconds=600)
    assert len(alerts) == 2


def test_an_outage_of_days_is_mailed_once(meetergo_sandbox, alerts):
    """Its sync runs fail after a day each, and others take their place."""
    kit = meetergo_sandbox
    kit.run_due(periodic=True)

    fail_for(kit, rounds=40, seconds=7200)
    assert len(alerts) == 1
    fail_for(kit, rounds=2, seconds=7200)
    assert len(alerts) == 2


def test_a_receiver_may_delete_what_the_event_is_about(meetergo_sandbox, book, caplog):
    def delete(booking, **kwargs):
        booking.delete()

    with connected(delete, signal=signals.booking_pending):
        book("checkup")
        meetergo_sandbox.run_due()
    assert not Booking.objects.exists()
    assert "later" not in caplog.text
