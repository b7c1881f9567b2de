"""How the admin shows times and related rows."""

from __future__ import annotations

import re
from datetime import date, datetime, time
from typing import Any

from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe
from django.utils.timesince import timesince
from django.utils.translation import gettext, gettext_lazy

from django_meetergo.formatting import format_abbreviated_moment
from django_meetergo.presentation.page_urls import parse_link
from django_meetergo.timezones import find_zone

#: Shown instead of a link that leads to one of the pages.
WITHOUT_PAGES = gettext_lazy("This site does not include the pages of this app")


def midnight(day: date) -> datetime:
    """Return the first moment of a day in the current time zone."""
    return timezone.make_aware(datetime.combine(day, time.min))


def format_moment(moment: datetime | None) -> str:
    """Return weekday, date and time in the current time zone; a dash for None."""
    return format_abbreviated_moment(moment, timezone.get_current_timezone()) if moment else "–"


def format_moment_in_zone(moment: datetime, zone_name: str) -> str:
    """Return the moment in the attendee's time zone; an empty string when the zone is unknown."""
    zone = find_zone(zone_name)
    return f"{format_abbreviated_moment(moment, zone)} ({zone.key})" if zone else ""


def format_age(moment: datetime | None) -> str:
    """Return how long ago a moment was, such as "3 hours ago"."""
    if moment is None:
        return gettext("never")
    return gettext("%(time)s ago") % {"time": timesince(moment)}


def render_with_title(text: str, title: str) -> SafeString | str:
    """Return the text with a tooltip; the plain text when the tooltip is empty."""
    return format_html('<span title="{}">{}</span>', title, text) if title else text


def render_status(text: Any, kind: str) -> SafeString:
    """Return a state as a coloured badge; ``kind`` is good, wait, bad or off."""
    return format_html('<span class="mg-status mg-status-{}">{}</span>', kind, text)


def render_contact(email: str, phone: str) -> SafeString | str:
    """Return links that write to an address and call a number; a dash when both are empty."""
    parts = [("mailto:", email, email)] if email else []
    if phone:
        parts.append(("tel:", re.sub(r"[^\d+]", "", phone), phone))
    return format_html_join(mark_safe("<br>"), '<a href="{}{}">{}</a>', parts) or "–"


def render_outside_link(url: str) -> SafeString | str:
    """Return a link to another site, which is not told where the reader comes from; a dash for no link."""
    link = parse_link(url)
    return format_html('<a href="{}" rel="noreferrer">{}</a>', link.url, link.url) if link else "–"
