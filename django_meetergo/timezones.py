"""Find, name and list time zones."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo, available_timezones

from django.utils.translation import gettext, gettext_lazy

COMMON_ZONES = (
    "Pacific/Honolulu", "America/Anchorage", "America/Los_Angeles", "America/Denver", "America/Phoenix",
    "America/Mexico_City", "America/Chicago", "America/Bogota", "America/Lima", "America/New_York",
    "America/Toronto", "America/Caracas", "America/Halifax", "America/Santiago", "America/St_Johns",
    "America/Argentina/Buenos_Aires", "America/Sao_Paulo", "Atlantic/Azores", "UTC", "Europe/Lisbon",
    "Europe/London", "Africa/Lagos", "Europe/Berlin", "Europe/Madrid", "Europe/Paris", "Europe/Vienna",
    "Europe/Zurich", "Africa/Cairo", "Africa/Johannesburg", "Europe/Athens", "Europe/Kyiv",
    "Europe/Istanbul", "Africa/Nairobi", "Asia/Riyadh", "Asia/Tehran", "Asia/Dubai", "Asia/Karachi",
    "Asia/Kolkata", "Asia/Dhaka", "Asia/Bangkok", "Asia/Shanghai", "Asia/Singapore", "Australia/Perth",
    "Asia/Seoul", "Asia/Tokyo", "Australia/Adelaide", "Australia/Sydney", "Pacific/Auckland",
)  # fmt: skip

#: Outdated names that browsers still send, and the current ones.
OLD_NAMES = {
    "America/Buenos_Aires": "America/Argentina/Buenos_Aires",
    "America/Godthab": "America/Nuuk",
    "America/Indianapolis": "America/Indiana/Indianapolis",
    "America/Louisville": "America/Kentucky/Louisville",
    "Asia/Calcutta": "Asia/Kolkata",
    "Asia/Dacca": "Asia/Dhaka",
    "Asia/Katmandu": "Asia/Kathmandu",
    "Asia/Macao": "Asia/Macau",
    "Asia/Rangoon": "Asia/Yangon",
    "Asia/Saigon": "Asia/Ho_Chi_Minh",
    "Asia/Thimbu": "Asia/Thimphu",
    "Asia/Ujung_Pandang": "Asia/Makassar",
    "Asia/Ulan_Bator": "Asia/Ulaanbaatar",
    "Atlantic/Faeroe": "Atlantic/Faroe",
    "Etc/GMT": "UTC",
    "Etc/UTC": "UTC",
    "Europe/Kiev": "Europe/Kyiv",
    "GB": "Europe/London",
    "GMT": "UTC",
    "Pacific/Truk": "Pacific/Chuuk",
    "US/Alaska": "America/Anchorage",
    "US/Central": "America/Chicago",
    "US/Eastern": "America/New_York",
    "US/Hawaii": "Pacific/Honolulu",
    "US/Mountain": "America/Denver",
    "US/Pacific": "America/Los_Angeles",
    "Zulu": "UTC",
}

REGIONS = {
    "Africa": gettext_lazy("Africa"),
    "America": gettext_lazy("America"),
    "Antarctica": gettext_lazy("Antarctica"),
    "Asia": gettext_lazy("Asia"),
    "Atlantic": gettext_lazy("Atlantic Ocean"),
    "Australia": gettext_lazy("Australia"),
    "Europe": gettext_lazy("Europe"),
    "Indian": gettext_lazy("Indian Ocean"),
    "Pacific": gettext_lazy("Pacific Ocean"),
}


@cache
def known_names() -> frozenset[str]:
    return frozenset(available_timezones() - {"Factory", "localtime"})


def find_zone(name: str | None) -> ZoneInfo | None:
    """Return the time zone of this name, or of the current name of an outdated one; else None."""
    name = OLD_NAMES.get(name or "", name or "")
    return ZoneInfo(name) if name in known_names() else None


def choose_zone(*names: str | None) -> ZoneInfo:
    """Return the first of the names that is a time zone, else UTC."""
    return next((zone for name in names if (zone := find_zone(name))), ZoneInfo("UTC"))


def name_place(zone: ZoneInfo) -> str:
    """Return the city: “New York” for ``America/New_York``; “GMT−5” for ``Etc/GMT+5``, which has none."""
    if zone.key.startswith("Etc/"):
        return format_offset(datetime(2000, 1, 1, tzinfo=zone))
    return zone.key.rpartition("/")[2].replace("_", " ")


def is_offset(zone: ZoneInfo) -> bool:
    """Return whether the zone is an offset without a place: UTC, or ``Etc/GMT+5`` with its inverted sign."""
    return zone.key in {"UTC", "GMT"} or zone.key.startswith("Etc/")


def format_offset(moment: datetime) -> str:
    """Return the UTC offset of an aware datetime: “GMT+1”, “GMT+5:30”, “GMT”."""
    minutes = round((moment.utcoffset() or timedelta()) / timedelta(minutes=1))
    if not minutes:
        return "GMT"
    hours, rest = divmod(abs(minutes), 60)
    sign = "+" if minutes > 0 else "−"
    return f"GMT{sign}{hours}:{rest:02}" if rest else f"GMT{sign}{hours}"


def name_zone(zone: ZoneInfo, moment: datetime) -> str:
    """“Berlin time (GMT+1)”, with the offset at this moment; “GMT−5” for a zone without a place."""
    if is_offset(zone):
        return format_offset(moment.astimezone(zone))
    values = {"place": name_place(zone), "offset": format_offset(moment.astimezone(zone))}
    return gettext("%(place)s time (%(offset)s)") % values


@dataclass(frozen=True, kw_only=True)
class ZoneOption:
    """One option of the list of time zones."""

    name: str
    label: str
    is_chosen: bool


def build_option(name: str, current: ZoneInfo, moment: datetime, *, is_full: bool = False) -> ZoneOption:
    zone = ZoneInfo(name)
    place = name.partition("/")[2].replace("_", " ").replace("/", ", ") if is_full else name_place(zone)
    offset = format_offset(moment.astimezone(zone))
    label = offset if place == offset else f"{place or name} ({offset})"
    return ZoneOption(name=name, label=label, is_chosen=zone.key == current.key)


def list_zones(current: ZoneInfo, moment: datetime) -> list[tuple[str, list[ZoneOption]]]:
    """Return groups of options: common zones and the current one from west to east, then all by region."""
    common = sorted({*COMMON_ZONES, current.key}, key=lambda name: sort_by_offset(name, moment))
    groups = [(gettext("Often used"), [build_option(name, current, moment) for name in common])]
    names = sorted(known_names() - set(OLD_NAMES) - {current.key})
    for region, label in REGIONS.items():
        found = [name for name in names if name.startswith(f"{region}/")]
        groups.append((str(label), [build_option(name, current, moment, is_full=True) for name in found]))
    return groups


def sort_by_offset(name: str, moment: datetime) -> tuple[timedelta, str]:
    zone = ZoneInfo(name)
    return moment.astimezone(zone).utcoffset() or timedelta(), name_place(zone)
