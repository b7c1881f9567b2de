"""Create one-time booking links."""

from __future__ import annotations

from django_meetergo.exceptions import MeetingTypeUnavailable
from django_meetergo.models import MeetingType
from django_meetergo.remote.client import MeetergoClient


def create_one_time_link(*, meeting_type: MeetingType, client: MeetergoClient) -> str:
    """Create a link to meetergo's page on which one person can book this type once; return its address.

    An unused link lapses after 30 days, also one whose answer was lost. Each call creates another one, so
    never call it while rendering a page. Raises MeetingTypeUnavailable and what the client raises.
    """
    if not meeting_type.is_bookable:
        raise MeetingTypeUnavailable(f"{meeting_type.name} cannot be booked at the moment.")
    return client.create_one_time_link(meeting_type.remote_id)
