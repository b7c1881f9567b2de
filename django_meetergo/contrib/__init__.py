"""Doors for other frameworks. Each imports what it is for, and nothing here is imported unasked."""
