"""The admin: a mirror to read, acts that ask first, and the state of things."""

from django_meetergo.admin import appointments, bookings, changes, connections, deliveries, directory, events

__all__ = ["appointments", "bookings", "changes", "connections", "deliveries", "directory", "events"]
