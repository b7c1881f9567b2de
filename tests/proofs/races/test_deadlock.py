"""A forced deadlock: whatever locks an appointment and its booking is repeated when it is the victim."""

from __future__ import annotations

import threading
import time

import pytest
from django.db import connection, connections, transaction

from django_meetergo.models import Appointment, Booking, Event
from django_meetergo.services import AttendeeData, book_appointment, scheduler
from django_meetergo.services.booking.outcomes import adopt
from django_meetergo.services.sync.appointments import sync_appointment
from django_meetergo.transactions import can_be_repeated

WAITING = {
    "postgresql": "SELECT COUNT(*) FROM pg_stat_activity "
    "WHERE wait_event_type = 'Lock' AND datname = current_database()",
    "mysql": "SELECT COUNT(*) FROM information_schema.innodb_trx WHERE trx_state = 'LOCK WAIT'",
}


@pytest.fixture
def lost(live_meetergo_sandbox):
    """A booking whose appointment is mirrored and not adopted yet: its answer was lost."""
    kit = live_meetergo_sandbox
    booking = book_appointment(
        meeting_type=kit.meeting_type(),
        start=kit.list_free_starts()[0],
        attendee=AttendeeData(email="jane@example.com", first_name="Jane"),
        client=kit.client(),
        now=kit.now(),
    )
    kit.run_due(after=5)
    Booking.objects.filter(pk=booking.pk).update(state="unknown", attendee=None)
    Appointment.objects.update(digest="older")
    return Booking.objects.get(pk=booking.pk)


class Opponent(threading.Thread):
    """Locks the booking, waits until somebody waits for it, and then needs the appointment."""

    def __init__(self, booking, appointment):
        super().__init__()
        self.booking, self.appointment = booking, appointment
        self.holds, self.met_somebody = threading.Event(), False

    def run(self):
        try:
            with transaction.atomic():
                if connection.vendor == "postgresql":
                    # The other one notices the deadlock, and is the victim.
                    connection.cursor().execute("SET LOCAL deadlock_timeout = '20s'")
                Booking.objects.filter(pk=self.booking.pk).update(message="")
                if connection.vendor == "mysql":
                    self.change_much()
                self.holds.set()
                self.met_somebody = self.wait_for_somebody()
                Appointment.objects.filter(pk=self.appointment.pk).update(note="locked the other way round")
        finally:
            connections.close_all()

    def change_much(self):
        """Write many rows: MariaDB ends the transaction that has changed less, and that is the other one."""
        now = self.booking.created_at
        Event.objects.bulk_create(
            Event(kind="booking_received", key=f"{number}", created_at=now, dispatched_at=now)
            for number in range(500)
        )

    def wait_for_somebody(self):
        ends = time.monotonic() + 10
        while time.monotonic() < ends:
            with connection.cursor() as cursor:
                cursor.execute(WAITING[connection.vendor])
                if cursor.fetchone()[0]:
                    return True
            time.sleep(0.15)
        return False


@pytest.mark.parametrize("work", ["adopt", "update from meetergo", "webhook"])
def test_the_victim_of_a_deadlock_is_repeated(live_meetergo_sandbox, lost, work, monkeypatch):
    """Nothing is raised, and both transactions have taken effect."""
    kit, appointment = live_meetergo_sandbox, Appointment.objects.get()
    deadlocks = []

    def note_error(error):
        deadlocks.append(str(error))
        return can_be_repeated(error)

    monkeypatch.setattr("django_meetergo.transactions.can_be_repeated", note_error)
    if work == "webhook":
        kit.reread_all()
    document = kit.client("sync").get_appointment(appointment.remote_id)
    opponent = Opponent(lost, appointment)
    opponent.start()
    opponent.holds.wait(10)

    if work == "adopt":
        adopt(booking=lost, document=document, now=kit.now())
    elif work == "webhook":
        scheduler.run_due(kit.now(), periodic=False)
    else:
        sync_appointment(appointment=appointment, client=kit.client("sync"), now=kit.now())
    opponent.join(30)

    lost.refresh_from_db()
    assert opponent.met_somebody
    assert any("deadlock" in text.lower() for text in deadlocks)
    assert lost.state == "confirmed"
    assert Appointment.objects.get().note == "locked the other way round"
