"""What a site may listen to.

They are sent after commit, at least once each, with ``event_key`` (a stable text: the same
transition always carries the same key), ``connection`` and the records named below. A receiver that raises
is asked again later; what it raises never undoes the mirror.
"""

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
