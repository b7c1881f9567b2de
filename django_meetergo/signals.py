"""What a site may listen to.

The first six are sent after commit, at least once each, with ``event_key`` (a stable text: the same
transition always carries the same key), ``connection`` and the records named below. A receiver that raises
is asked again later; what it raises never undoes the mirror.
"""

from django.db import transaction
from django.dispatch import Signal

#: ``appointment``, ``attendee`` (or None), ``booking`` (or None): an appointment stands.
appointment_booked = Signal()
#: ``appointment``, ``previous_start`` (aware datetime): its time changed.
appointment_rescheduled = Signal()
#: ``appointment``: it was cancelled.
appointment_cancelled = Signal()
#: ``appointment``, ``attendee``: one person left, the appointment goes on.
attendee_removed = Signal()
#: ``booking``: it waits for a confirmation.
booking_pending = Signal()
#: ``booking``: it ended without an appointment; ``booking.reason`` says why.
booking_closed = Signal()

#: The doorbell: some row is due. Carries ``by_letterbox`` and nothing that matters.
work_ready = Signal()


def ring_doorbell(*, by_letterbox: bool = False) -> None:
    """Say, after commit, that a row is due. Nobody needs to hear it: sweepers find the row anyway.

    ``by_letterbox`` keeps a broker out of it, because meetergo is waiting for our answer.
    """

    # A plain closure: Django 5.2 cannot report a functools.partial that fails in here.
    def ring() -> None:
        work_ready.send_robust(sender=None, by_letterbox=by_letterbox)

    transaction.on_commit(ring, robust=True)
