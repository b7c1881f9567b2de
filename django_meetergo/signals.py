"""The public signals.

Each is sent after commit and at least once, with ``event_key`` (a text that is the same whenever the same
transition is sent), ``connection`` and the records named below. A receiver that raises is called again
later; its exception undoes nothing.
"""

from django.dispatch import Signal

#: ``appointment``, ``attendee`` (or None), ``booking`` (or None): an appointment was booked.
appointment_booked = Signal()
#: ``appointment``, ``previous_start`` (aware datetime): its time changed.
appointment_rescheduled = Signal()
#: ``appointment``: it was cancelled.
appointment_cancelled = Signal()
#: ``appointment``, ``attendee``: one person left; the appointment takes place.
attendee_removed = Signal()
#: ``booking``: it waits for a confirmation.
booking_pending = Signal()
#: ``booking``: it ended without an appointment; ``booking.reason`` says why.
booking_closed = Signal()
