"""Send the mails of an event as its dispatch does."""

from __future__ import annotations

from django_meetergo.models import Event
from django_meetergo.services.notifications import list_mails


def send_mails(event: Event) -> None:
    """Send every mail that the event calls for, as at the moment it was recorded."""
    for receiver in list_mails(event, event.created_at):
        receiver.call()
