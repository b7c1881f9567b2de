"""Cancel, reschedule and hand over appointments: who may, the request, sending it and how it ended."""
