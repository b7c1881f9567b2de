"""The admin: a mirror to read, acts that ask first, and the state of things."""

from django_meetergo.admin import accounts, appointments, bookings, changes, deliveries, directory, events

__all__ = ["accounts", "appointments", "bookings", "changes", "deliveries", "directory", "events"]
