"""The list of all time zones, whose hundreds of options are rendered once an hour."""

from __future__ import annotations

from datetime import datetime
from functools import lru_cache
from zoneinfo import ZoneInfo

from django.conf import settings
from django.template.loader import render_to_string
from django.utils.translation import get_language

from django_meetergo.timezones import list_zones

#: So many of current zone and language, of about 40 kB each, are kept by a process.
MAX_LISTS = 64


def render_zone_options(current: ZoneInfo, now: datetime) -> str:
    """Return the options of a ``select``; with ``DEBUG`` rendered anew, so that a changed template shows."""
    render = render_for_hour.__wrapped__ if settings.DEBUG else render_for_hour
    return render(current.key, get_language(), now.replace(minute=0, second=0, microsecond=0))


@lru_cache(MAX_LISTS)
def render_for_hour(current: str, language: str | None, hour: datetime) -> str:
    zones = list_zones(ZoneInfo(current), hour)
    return render_to_string("meetergo/includes/zone_options.html", {"zones": zones})
