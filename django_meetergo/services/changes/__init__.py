"""Cancel and reschedule appointments: who may, the request, sending it and finding out how it ended."""
