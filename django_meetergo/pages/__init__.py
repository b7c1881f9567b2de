"""What views and tags show alike: the month, the times, the zones and the words for them.

Nothing in here reads a clock, and only `offer` queries or telephones: the moment, the zone and the free times
are handed in.
"""

from django_meetergo.pages.addresses import (
    Address,
    build_calendar_links,
    place_widget,
    read_link,
    read_widget,
)
from django_meetergo.pages.arrivals import NO_PART, Arrival, Part, arrive, render_part
from django_meetergo.pages.choice import WINDOW, Asked, Look, TimeChoice, choose_time, tell_seen
from django_meetergo.pages.month import build_month, first_of_month, midnight, parse_day, parse_month
from django_meetergo.pages.offer import ZONE_COOKIE, build_look, describe_type
from django_meetergo.pages.times import (
    Slot,
    build_parts,
    build_slots,
    group_by_day,
    label_time,
    list_soonest,
    parse_start,
)
from django_meetergo.pages.words import (
    NEEDS_PHONE,
    ON_SITE,
    When,
    describe_when,
    find_host_zone,
    format_day,
    format_full_day,
    format_hour,
    format_moment,
    format_short_day,
    format_time,
    format_weekday,
    name_channel,
    name_hosts,
)
from django_meetergo.pages.zones import choose_zone, find_zone, format_offset, list_zones, name_zone

__all__ = [
    "NEEDS_PHONE",
    "NO_PART",
    "ON_SITE",
    "WINDOW",
    "ZONE_COOKIE",
    "Address",
    "Arrival",
    "Asked",
    "Look",
    "Part",
    "Slot",
    "TimeChoice",
    "When",
    "arrive",
    "build_calendar_links",
    "build_look",
    "build_month",
    "build_parts",
    "build_slots",
    "choose_time",
    "choose_zone",
    "describe_type",
    "describe_when",
    "find_host_zone",
    "find_zone",
    "first_of_month",
    "format_day",
    "format_full_day",
    "format_hour",
    "format_moment",
    "format_offset",
    "format_short_day",
    "format_time",
    "format_weekday",
    "group_by_day",
    "label_time",
    "list_soonest",
    "list_zones",
    "midnight",
    "name_channel",
    "name_hosts",
    "name_zone",
    "parse_day",
    "parse_month",
    "parse_start",
    "place_widget",
    "read_link",
    "read_widget",
    "render_part",
    "tell_seen",
]
