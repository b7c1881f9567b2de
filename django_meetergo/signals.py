"""The public signals.

They are sent after commit and at least once each, with ``event_key`` (a stable text: the same transition
always carries the same key), ``connection`` (its name) and the records named below. What a receiver raises
never undoes the mirror. Only the receiver that failed is called again, with growing delays for up to three
days; the admin shows which one failed and why.
"""

from django.dispatch import Signal

#: ``appointment``, ``attendee`` (or None), ``booking`` (or None): an appointment was booked.
appointment_booked = Signal()
#: ``appointment``, ``previous_start`` (aware datetime): its time changed.
appointment_rescheduled = Signal()
#: ``appointment``, ``previous_hosts`` (list of hosts): its hosts changed to ``appointment.hosts``.
appointment_handed_over = Signal()
#: ``appointment``: it was cancelled.
appointment_cancelled = Signal()
#: ``appointment``, ``attendee``: one person left; the appointment takes place.
attendee_removed = Signal()
#: ``booking``: it waits for a confirmation.
booking_pending = Signal()
#: ``booking``: it ended without an appointment; ``booking.reason`` says why.
booking_closed = Signal()
#: ``booking``: it could not be reconciled automatically and is left to staff. Sent once for a booking.
booking_needs_staff = Signal()
