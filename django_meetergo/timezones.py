"""Time zones: which is meant, what people call it, and the list to choose from."""

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

#: Names that browsers and old settings still use, and what the place is called now.
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
    """The zone of that name, under its present name; None for anything else."""
    name = OLD_NAMES.get(name or "", name or "")
    return ZoneInfo(name) if name in known_names() else None


def choose_zone(*names: str | None) -> ZoneInfo:
    """The first of the names that is a zone; UTC when none is."""
    return next((zone for name in names if (zone := find_zone(name))), ZoneInfo("UTC"))


def name_place(zone: ZoneInfo) -> str:
    """What people call it: the city."""
    return zone.key.rpartition("/")[2].replace("_", " ")


def format_offset(moment: datetime) -> str:
    """“GMT+1”, “GMT+5:30”, “GMT”: the distance of an aware moment's wall clock."""
    minutes = round((moment.utcoffset() or timedelta()) / timedelta(minutes=1))
    if not minutes:
        return "GMT"
    hours, rest = divmod(abs(minutes), 60)
    sign = "+" if minutes > 0 else "−"
    return f"GMT{sign}{hours}:{rest:02}" if rest else f"GMT{sign}{hours}"


def name_zone(zone: ZoneInfo, moment: datetime) -> str:
    """“Berlin time (GMT+1)”, with the offset that holds at the moment."""
    words = {"place": name_place(zone), "offset": format_offset(moment.astimezone(zone))}
    return gettext("%(place)s time (%(offset)s)") % words


@dataclass(frozen=True, kw_only=True)
class ZoneOption:
    """One line of the list of zones."""

    name: str
    label: str
    is_chosen: bool


def build_option(name: str, present: ZoneInfo, moment: datetime, *, whole: bool = False) -> ZoneOption:
    zone = ZoneInfo(name)
    place = name.partition("/")[2].replace("_", " ").replace("/", ", ") if whole else name_place(zone)
    label = f"{place or name} ({format_offset(moment.astimezone(zone))})"
    return ZoneOption(name=name, label=label, is_chosen=zone.key == present.key)


def list_zones(present: ZoneInfo, moment: datetime) -> list[tuple[str, list[ZoneOption]]]:
    """The common zones and the present one from west to east, then every zone by region."""
    common = sorted({*COMMON_ZONES, present.key}, key=lambda name: sort_by_offset(name, moment))
    groups = [(gettext("Often used"), [build_option(name, present, moment) for name in common])]
    names = sorted(known_names() - set(OLD_NAMES) - {present.key})
    for region, label in REGIONS.items():
        found = [name for name in names if name.startswith(f"{region}/")]
        groups.append((str(label), [build_option(name, present, moment, whole=True) for name in found]))
    return groups


def sort_by_offset(name: str, moment: datetime) -> tuple[timedelta, str]:
    zone = ZoneInfo(name)
    return moment.astimezone(zone).utcoffset() or timedelta(), name_place(zone)
