"""The Django admin of meetergo's records: lists and pages to read, and actions for staff."""

from django_meetergo.admin import (
    appointments,
    bookings,
    changes,
    connections,
    deliveries,
    directory,
    events,
    feeds,
)

__all__ = ["appointments", "bookings", "changes", "connections", "deliveries", "directory", "events", "feeds"]
