"""The webhook events that this app subscribes to."""

from __future__ import annotations

#: Each leads to a re-read of the appointment that it names. Deliveries of other events are stored as ignored.
REREAD_EVENTS = ("booking_created", "booking_cancelled", "booking_rescheduled")
