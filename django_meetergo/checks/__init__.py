"""System checks: of the settings, and of the settings against what the database holds."""

from django_meetergo.checks import database, settings

__all__ = ["database", "settings"]
