"""Format dates, times, hosts and channels in the active language."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, tzinfo
from functools import lru_cache
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from django.utils import dateformat, timezone, translation
from django.utils.translation import gettext, pgettext, pgettext_lazy

from django_meetergo.languages import get_text_language
from django_meetergo.timezones import find_zone, format_offset, is_offset, name_place

if TYPE_CHECKING:
    from django_meetergo.models import Host


#: How Americans write dates and times. Django has no formats with weekdays. Other languages
#: translate PATTERNS.
AMERICAN = {
    "time": "g:i A",
    "day": "l, F j",
    "short day": "F j",
    "full day": "l, F j, Y",
    "abbreviated day": "D, M j",
    "abbreviated full day": "D, M j, Y",
    "short month": "M",
}
PATTERNS = {
    "time": pgettext_lazy("time format", "H:i"),
    "day": pgettext_lazy("date format", "l j F"),
    "short day": pgettext_lazy("date format", "j F"),
    "full day": pgettext_lazy("date format", "l j F Y"),
    "abbreviated day": pgettext_lazy("date format", "D j M"),
    "abbreviated full day": pgettext_lazy("date format", "D j M Y"),
    "short month": pgettext_lazy("date format", "M"),
}


def format_time(moment: datetime) -> str:
    """Format the wall-clock time: “14:30” or “2:30 PM”, as the language prefers."""
    return format_pattern(moment.time(), "time")


def format_pattern(what: date | time, pattern: str) -> str:
    """Format in the active language, by a name in ``PATTERNS`` or by a pattern of Django's."""
    # Aware datetimes that are equal may fall on different days: cache by the date alone.
    plain = what.date() if isinstance(what, datetime) else what
    return format_cached(plain, pattern, get_text_language())


@lru_cache(maxsize=4096)
def format_cached(what: date | time, pattern: str, language: str) -> str:
    """Cached, since every page formats the same few values."""
    with translation.override(language):
        if pattern in PATTERNS:
            # Django's "en" is American English; other variants of English write 3 December and 14:30.
            is_american = language in {"en", "en-us"}
            pattern = AMERICAN[pattern] if is_american else str(PATTERNS[pattern])
        if isinstance(what, time):
            return dateformat.time_format(what, pattern)
        return dateformat.format(what, pattern)


def format_hour(hour: int) -> str:
    """“09:00”; the end of a day is “24:00”, or “12:00 AM”."""
    clock = format_time(datetime(2000, 1, 1, hour % 24))  # noqa: DTZ001 - only the hour is formatted
    return clock.replace("00:00", "24:00") if hour == 24 else clock


def format_day(day: date) -> str:
    """“Thursday 3 December”, or “Thursday, December 3”"""
    return format_pattern(day, "day")


def format_weekday(day: date) -> str:
    """“Thursday”"""
    return format_pattern(day, "l")


def name_weekday(number: int, pattern: str = "l") -> str:
    """“Monday” for 0; “Mon” with the pattern ``D``."""
    monday = date(2024, 1, 1)
    return format_pattern(monday + timedelta(days=number), pattern)


def format_short_day(day: date) -> str:
    """“3 December”"""
    return format_pattern(day, "short day")


def format_full_day(day: date) -> str:
    """“Thursday 3 December 2026”"""
    return format_pattern(day, "full day")


def format_abbreviated_day(day: date) -> str:
    """“Thu 3 Dec”"""
    return format_pattern(day, "abbreviated day")


def format_abbreviated_moment(moment: datetime, zone: tzinfo) -> str:
    """“Thu 3 Dec 2026, 09:30”, in the time zone. For tables."""
    local = moment.astimezone(zone)
    return f"{format_pattern(local.date(), 'abbreviated full day')}, {format_unambiguous_time(local)}"


def format_month(day: date) -> str:
    """“December 2026”"""
    return format_pattern(day, pgettext("date format", "F Y"))


def format_months(first: date, last: date) -> str:
    """“November – December 2026” for a span of days in two months, else “December 2026”"""
    if (first.year, first.month) == (last.year, last.month):
        return format_month(first)
    start = format_pattern(first, "F") if first.year == last.year else format_month(first)
    return f"{start} – {format_month(last)}"


def format_short_month(day: date) -> str:
    """“Dec”"""
    return format_pattern(day, "short month")


def format_unambiguous_time(local: datetime) -> str:
    """“02:30”, or “02:30 (GMT+2)” for a local time that occurs twice because clocks are set back."""
    time = format_time(local)
    if local.utcoffset() == local.replace(fold=1 - local.fold).utcoffset():
        return time
    return gettext("%(time)s (%(offset)s)") % {"time": time, "offset": format_offset(local)}


def format_span(start: datetime, end: datetime) -> str:
    """“14:00–14:30”; both with their offsets when the clocks change in between."""
    if start.utcoffset() == end.utcoffset():
        return f"{format_time(start)}–{format_time(end)}"
    return "–".join(f"{format_time(each)} ({format_offset(each)})" for each in (start, end))


def format_moment(moment: datetime, zone: tzinfo) -> str:
    """“Thursday 3 December, 09:30”, in the time zone."""
    local = moment.astimezone(zone)
    return join_day_and_time(format_day(local.date()), format_unambiguous_time(local))


def format_full_moment(moment: datetime, zone: tzinfo) -> str:
    """“Thursday 3 December 2026, 09:30”, in the time zone."""
    local = moment.astimezone(zone)
    return join_day_and_time(format_full_day(local.date()), format_unambiguous_time(local))


def join_day_and_time(day: str, time: str) -> str:
    return gettext("%(day)s, %(time)s") % {"day": day, "time": time}


def format_pair(label: object, text: object) -> str:
    """“Cancel: done” as the language writes it, and without a colon after a question mark."""
    if str(label).endswith("?"):
        return f"{label} {text}"
    return gettext("%(label)s: %(text)s") % {"label": label, "text": text}


@dataclass(frozen=True, kw_only=True)
class When:
    """A formatted span of time; ``there`` is the host's local time where it differs from the visitor's."""

    day: str
    span: str
    zone: str
    there: str = ""


def describe_when(
    start: datetime,
    end: datetime,
    zone: ZoneInfo,
    *,
    host_zone: ZoneInfo | None = None,
    host_name: str = "",
) -> When:
    local, local_end = start.astimezone(zone), end.astimezone(zone)
    return When(
        day=format_full_day(local.date()),
        span=format_span(local, local_end),
        zone=describe_zone(local, zone),
        there=describe_at_host(local, local_end, host_zone, host_name) if host_zone else "",
    )


def describe_zone(local: datetime, zone: tzinfo) -> str:
    """“Berlin time, GMT+1”, or “GMT−5” for a zone without a place."""
    offset = format_offset(local)
    if not isinstance(zone, ZoneInfo) or is_offset(zone):
        return offset
    return gettext("%(place)s time, %(offset)s") % {"place": name_place(zone), "offset": offset}


def describe_moment(moment: datetime, zone: tzinfo | None = None) -> str:
    """“Thursday 3 December 2026, 09:30 (Berlin time, GMT+1)”, in the zone or the current one, for mails."""
    zone = zone or timezone.get_current_timezone()
    local = moment.astimezone(zone)
    when = join_day_and_time(format_full_day(local.date()), format_time(local))
    return f"{when} ({describe_zone(local, zone)})"


def describe_at_host(local: datetime, local_end: datetime, host_zone: ZoneInfo, host_name: str) -> str:
    """Format the span in the host's time zone; empty when its offset is the same."""
    there, there_end = local.astimezone(host_zone), local_end.astimezone(host_zone)
    if there.utcoffset() == local.utcoffset():
        return ""
    values = {
        "day": format_day(there.date()),
        "span": format_span(there, there_end),
        "place": name_place(host_zone),
        "host": host_name,
    }
    if there.date() == local.date():
        if host_name:
            return gettext("%(span)s in %(place)s, where %(host)s is") % values
        return gettext("%(span)s in %(place)s") % values
    if host_name:
        return gettext("%(day)s, %(span)s in %(place)s, where %(host)s is") % values
    return gettext("%(day)s, %(span)s in %(place)s") % values


#: What mail programs turn into links.
LINK_PATTERN = re.compile(r"://|@|\bwww\.|[^\W_]{2,}\.[^\W\d_]{2,}", re.IGNORECASE)


def has_link(name: str) -> bool:
    """Return whether a mail program might turn a part of the name into a link.

    A name is printed in mails to an address that anybody may enter, so it must not carry a message's link.
    """
    return LINK_PATTERN.search(name) is not None


def name_hosts(hosts: Iterable[Host]) -> str:
    """Return the name of the only host; empty for several hosts or an unknown name."""
    names = [host.name for host in hosts]
    return names[0] if len(names) == 1 else ""


def find_host_zone(hosts: Iterable[Host]) -> ZoneInfo | None:
    """Return the time zone that all hosts share, if it is known."""
    names = {host.timezone for host in hosts}
    return find_zone(names.pop()) if len(names) == 1 else None


# Channels

CHANNELS = {
    "local": pgettext_lazy("channel", "On site"),
    "in_person": pgettext_lazy("channel", "On site"),
    "local-attendee": pgettext_lazy("channel", "At your place"),
    "phone": pgettext_lazy("channel", "Phone call"),
    "phone-incoming": pgettext_lazy("channel", "Phone call: you call us"),
    "whatsapp": pgettext_lazy("channel", "WhatsApp call"),
    "zoom": pgettext_lazy("channel", "Video call with Zoom"),
    "google": pgettext_lazy("channel", "Video call with Google Meet"),
    "google_meet": pgettext_lazy("channel", "Video call with Google Meet"),
    "teams": pgettext_lazy("channel", "Video call with Microsoft Teams"),
    "teamsForBusiness2": pgettext_lazy("channel", "Video call with Microsoft Teams"),
    "teams2ForExchange": pgettext_lazy("channel", "Video call with Microsoft Teams"),
    "webex": pgettext_lazy("channel", "Video call with Webex"),
    "connect": pgettext_lazy("channel", "Video call"),
    "custom": "",
    "resource": "",
}
ON_SITE = frozenset({"local", "in_person"})
NEEDS_PHONE = frozenset({"phone", "whatsapp"})


def name_channel(channel: str) -> str:
    """Return the name of a channel. An unknown one is a “Video call”."""
    if not channel:
        return ""
    return str(CHANNELS.get(channel, pgettext("channel", "Video call")))
