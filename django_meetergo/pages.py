"""What views and tags show alike: the month, the times, the zones and the words for them.

Nothing in here telephones, queries or reads a clock: the moment, the zone and the free times are handed in.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode, urlsplit
from zoneinfo import ZoneInfo, available_timezones

from django.utils import dateformat, formats
from django.utils.dates import WEEKDAYS, WEEKDAYS_ABBR
from django.utils.translation import get_language, gettext, gettext_lazy, pgettext, pgettext_lazy

if TYPE_CHECKING:
    from django_meetergo.models import Host
    from django_meetergo.services.availability import FreeTime, FreeTimes

#: How far ahead the calendar can be turned.
WINDOW = timedelta(days=183)
#: How many months after an empty one are asked for the next free day. Each may cost a call.
MONTHS_AHEAD = 3
SOONEST = 3
#: From this many times on, a day is divided into its parts.
MANY = 7


# Zones

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


# Words for times


def format_time(moment: datetime) -> str:
    """The wall time, by the clock of the language."""
    # Django calls its American English both "en" and "en-us"; other Englishes write 14:30.
    clock = "g:i A" if get_language() in {"en", "en-us"} else pgettext("time format", "H:i")
    return dateformat.format(moment, clock)


def format_hour(hour: int) -> str:
    """“09:00”; the last hour of a day ends at “24:00”, or “12:00 AM”."""
    clock = format_time(datetime(2000, 1, 1, hour % 24))  # noqa: DTZ001 - a clock's face has no zone
    return clock.replace("00:00", "24:00") if hour == 24 else clock


def format_day(day: date) -> str:
    """“Thursday 3 December”"""
    return dateformat.format(day, pgettext("date format", "l j F"))


def format_weekday(day: date) -> str:
    """“Thursday”"""
    return dateformat.format(day, "l")


def format_short_day(day: date) -> str:
    """“3 December”"""
    return dateformat.format(day, pgettext("date format", "j F"))


def format_full_day(day: date) -> str:
    """“Thursday 3 December 2026”"""
    return dateformat.format(day, pgettext("date format", "l j F Y"))


def format_month(day: date) -> str:
    """“December 2026”"""
    return dateformat.format(day, pgettext("date format", "F Y"))


def format_span(start: datetime, end: datetime) -> str:
    """“14:00–14:30”"""
    return f"{format_time(start)}–{format_time(end)}"


def format_moment(moment: datetime, zone: ZoneInfo) -> str:
    """“Thursday 3 December, 09:30”, in the zone."""
    local = moment.astimezone(zone)
    words = {"day": format_day(local.date()), "time": format_time(local)}
    return gettext("%(day)s, %(time)s") % words


@dataclass(frozen=True, kw_only=True)
class When:
    """A span of time in words: the visitor's line, and the host's where the clocks there differ."""

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
        zone=gettext("%(place)s time, %(offset)s")
        % {"place": name_place(zone), "offset": format_offset(local)},
        there=describe_there(local, local_end, host_zone, host_name) if host_zone else "",
    )


def describe_there(local: datetime, local_end: datetime, host_zone: ZoneInfo, host_name: str) -> str:
    """The same span by the host's clock; empty when that shows the same."""
    there, there_end = local.astimezone(host_zone), local_end.astimezone(host_zone)
    if there.utcoffset() == local.utcoffset():
        return ""
    words = {
        "day": format_day(there.date()),
        "span": format_span(there, there_end),
        "place": name_place(host_zone),
        "host": host_name,
    }
    if there.date() == local.date():
        if host_name:
            return gettext("%(span)s in %(place)s, where %(host)s is") % words
        return gettext("%(span)s in %(place)s") % words
    if host_name:
        return gettext("%(day)s, %(span)s in %(place)s, where %(host)s is") % words
    return gettext("%(day)s, %(span)s in %(place)s") % words


def name_hosts(hosts: Iterable[Host]) -> str:
    """The name of the one host there is; with several, or an unknown name, nothing is said."""
    names = [host.name for host in hosts]
    return names[0] if len(names) == 1 else ""


def find_host_zone(hosts: Iterable[Host]) -> ZoneInfo | None:
    """The zone all hosts share, if it is known."""
    names = {host.timezone for host in hosts}
    return find_zone(names.pop()) if len(names) == 1 else None


# Words for channels and links

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
    """How people meet. Kinds of video call we have no words for are called just that."""
    if not channel:
        return ""
    return str(CHANNELS.get(channel, pgettext("channel", "Video call")))


@dataclass(frozen=True, kw_only=True)
class OutsideLink:
    """An address that leaves the site, and where it goes."""

    url: str
    host: str


def read_link(url: str, *, schemes: Sequence[str] = ("https",)) -> OutsideLink | None:
    """An address that came from elsewhere, if it is one to be followed."""
    try:
        parts = urlsplit(url)
        host = parts.hostname
    except ValueError:
        return None
    return OutsideLink(url=url, host=host) if parts.scheme in schemes and host else None


# Other calendars


@dataclass(frozen=True, kw_only=True)
class CalendarLinks:
    """Addresses that open an appointment in somebody's own calendar on the web."""

    google: str
    outlook: str


def build_calendar_links(*, title: str, start: datetime, end: datetime, place: str) -> CalendarLinks:
    """Nothing personal goes along: no link of ours, nobody's name or address."""
    utc = ZoneInfo("UTC")
    times = [moment.astimezone(utc) for moment in (start, end)]
    google = {
        "action": "TEMPLATE",
        "text": title,
        "dates": "/".join(f"{moment:%Y%m%dT%H%M%SZ}" for moment in times),
        "location": place,
    }
    outlook = {
        "path": "/calendar/action/compose",
        "rru": "addevent",
        "subject": title,
        "startdt": f"{times[0]:%Y-%m-%dT%H:%M:%SZ}",
        "enddt": f"{times[1]:%Y-%m-%dT%H:%M:%SZ}",
        "location": place,
    }
    return CalendarLinks(
        google=f"https://calendar.google.com/calendar/render?{urlencode(google)}",
        outlook=f"https://outlook.live.com/calendar/0/deeplink/compose?{urlencode(outlook)}",
    )


# The month


@dataclass(frozen=True)
class Address:
    """The page's own address, from which the links of the calendar are made; short without a path."""

    path: str
    query: Mapping[str, str] = field(default_factory=dict)

    def to(self, **changes: str) -> str:
        """The address with some parameters changed; empty ones are left out."""
        query = {name: value for name, value in {**self.query, **changes}.items() if value}
        return f"{self.path}?{urlencode(query)}" if query or not self.path else self.path


@dataclass(frozen=True, kw_only=True)
class Day:
    """A cell of the month. Without ``href`` nothing can be chosen there."""

    date: date
    label: str
    count: int = 0
    href: str = ""
    is_today: bool = False
    is_chosen: bool = False


@dataclass(frozen=True, kw_only=True)
class MonthLink:
    label: str
    href: str


@dataclass(frozen=True, kw_only=True)
class Month:
    """A month as weeks of seven cells; days of other months are None."""

    first: date
    label: str
    weekdays: tuple[tuple[str, str], ...]
    weeks: tuple[tuple[Day | None, ...], ...]
    previous: MonthLink | None
    following: MonthLink | None
    earliest: date
    latest: date


def first_of_month(day: date) -> date:
    return day.replace(day=1)


def next_month(day: date) -> date:
    return first_of_month(first_of_month(day) + timedelta(days=31))


def previous_month(day: date) -> date:
    return first_of_month(first_of_month(day) - timedelta(days=1))


def parse_day(text: str | None) -> date | None:
    """“2026-12-03”, or None for anything else."""
    try:
        return datetime.strptime(text or "", "%Y-%m-%d").date()  # noqa: DTZ007 - a day has no zone
    except ValueError:
        return None


def parse_month(text: str | None) -> date | None:
    """“2026-12” as its first day, or None for anything else."""
    return parse_day(f"{text}-01") if text else None


def midnight(day: date, zone: ZoneInfo) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=zone)


def build_weekdays(first: int) -> tuple[tuple[str, str], ...]:
    """Two letters and the name of each day; ``first`` counts as Django's formats do, 0 for Sunday."""
    names = [str(WEEKDAYS[(first - 1 + offset) % 7]) for offset in range(7)]
    short = [name[:2] for name in names]
    if len(set(short)) < 7:
        # Arabic, for one, begins all its days alike.
        short = [str(WEEKDAYS_ABBR[(first - 1 + offset) % 7]) for offset in range(7)]
    return tuple(zip(short, names, strict=True))


def build_month(
    first: date,
    *,
    counts: Mapping[date, int],
    today: date,
    last: date,
    chosen: date | None,
    address: Address,
    first_weekday: int | None = None,
) -> Month:
    """The grid of a month. ``last`` is the last month that may be shown, by its first day."""
    week_start = formats.get_format("FIRST_DAY_OF_WEEK") if first_weekday is None else first_weekday
    blanks = (first.isoweekday() - week_start) % 7
    days = (next_month(first) - first).days
    cells: list[Day | None] = [None] * blanks
    for offset in range(days):
        day = first + timedelta(days=offset)
        cells.append(build_day(day, counts.get(day, 0), today=today, chosen=chosen, address=address))
    cells += [None] * (-len(cells) % 7)
    before, after = previous_month(first), next_month(first)
    return Month(
        first=first,
        label=format_month(first),
        weekdays=build_weekdays(week_start),
        weeks=tuple(tuple(cells[start : start + 7]) for start in range(0, len(cells), 7)),
        previous=link_month(before, address) if before >= first_of_month(today) else None,
        following=link_month(after, address) if after <= last else None,
        earliest=first_of_month(today),
        latest=last,
    )


def build_day(day: date, count: int, *, today: date, chosen: date | None, address: Address) -> Day:
    return Day(
        date=day,
        label=format_full_day(day),
        count=count,
        href=address.to(date=day.isoformat()) if count else "",
        is_today=day == today,
        is_chosen=bool(count) and day == chosen,
    )


def link_month(first: date, address: Address) -> MonthLink:
    return MonthLink(label=format_month(first), href=address.to(month=f"{first:%Y-%m}", date=""))


# A widget in somebody else's page


def place_widget(number: int, level: int) -> dict[str, Any]:
    """What keeps a widget's ids apart from all others, and its headings below the one it is given."""
    return {
        "widget": f"{number}.{level}",
        "prefix": f"w{number}-",
        "heading_level": level,
        "level": min(level + 1, 6),
        "sublevel": min(level + 2, 6),
    }


def read_widget(text: str) -> dict[str, Any]:
    """The widget that our script names when it asks for a part of the page; nothing for our own pages."""
    found = re.fullmatch(r"(\d{1,3})\.([1-6])", text, re.ASCII)
    return place_widget(int(found[1]), int(found[2])) if found else {}


# The times


@dataclass(frozen=True, kw_only=True)
class Slot:
    """One time of a day. ``value`` names the instant, whatever the clocks do."""

    value: str
    label: str
    spoken: str
    seats_left: int | None = None
    is_chosen: bool = False


@dataclass(frozen=True, kw_only=True)
class Part:
    """A part of a day and its times; the label is empty when the day is not divided."""

    label: str
    slots: tuple[Slot, ...]


@dataclass(frozen=True, kw_only=True)
class SoonTime:
    label: str
    href: str


def group_by_day(times: Iterable[FreeTime], zone: ZoneInfo) -> dict[date, list[FreeTime]]:
    """The times under the days on which they fall in the zone."""
    days: dict[date, list[FreeTime]] = {}
    for free in times:
        days.setdefault(free.start.astimezone(zone).date(), []).append(free)
    return days


def find_doubles(times: Iterable[FreeTime], zone: ZoneInfo) -> set[datetime]:
    """Wall times that come twice, because the clocks are set back in between."""
    walls = Counter(free.start.astimezone(zone).replace(tzinfo=None, fold=0) for free in times)
    return {wall for wall, times_shown in walls.items() if times_shown > 1}


def label_time(start: datetime, zone: ZoneInfo, doubles: Iterable[datetime] = ()) -> str:
    """“02:30”, or “02:30 (GMT+2)” where there are two of them."""
    local = start.astimezone(zone)
    label = format_time(local)
    if local.replace(tzinfo=None, fold=0) in doubles:
        return gettext("%(time)s (%(offset)s)") % {"time": label, "offset": format_offset(local)}
    return label


def build_slots(
    times: Sequence[FreeTime], zone: ZoneInfo, *, duration: int, chosen: str = "", with_day: bool = False
) -> tuple[Slot, ...]:
    doubles = find_doubles(times, zone)
    return tuple(
        build_slot(free, zone, doubles, duration=duration, chosen=chosen, with_day=with_day) for free in times
    )


def build_slot(
    free: FreeTime, zone: ZoneInfo, doubles: set[datetime], *, duration: int, chosen: str, with_day: bool
) -> Slot:
    local = free.start.astimezone(zone)
    label = label_time(free.start, zone, doubles)
    end = format_time((free.start + timedelta(minutes=duration)).astimezone(zone))
    value = local.isoformat()
    return Slot(
        value=value,
        label=gettext("%(day)s, %(time)s") % {"day": format_day(local.date()), "time": label}
        if with_day
        else label,
        spoken=gettext("to %(end)s") % {"end": end},
        seats_left=free.seats_left,
        is_chosen=value == chosen,
    )


def build_parts(slots: Sequence[Slot], times: Sequence[FreeTime], zone: ZoneInfo) -> tuple[Part, ...]:
    """Morning, afternoon and evening, those that have times; a short day is left in one piece."""
    if len(slots) < MANY:
        return (Part(label="", slots=tuple(slots)),) if slots else ()
    parts: dict[str, list[Slot]] = {}
    for slot, free in zip(slots, times, strict=True):
        parts.setdefault(name_part(free.start.astimezone(zone).hour), []).append(slot)
    return tuple(Part(label=label, slots=tuple(found)) for label, found in parts.items())


def name_part(hour: int) -> str:
    if hour < 12:
        return gettext("Morning")
    return gettext("Afternoon") if hour < 17 else gettext("Evening")


def parse_start(text: str) -> datetime | None:
    """An ISO instant with its offset, or None for anything else."""
    try:
        # A plus sign in an address that somebody typed arrives as a space.
        moment = datetime.fromisoformat(text.strip().replace(" ", "+"))
        return moment if moment.tzinfo and moment.astimezone(ZoneInfo("UTC")) else None
    except (ValueError, OverflowError):
        return None


def list_soonest(
    times: Sequence[FreeTime], zone: ZoneInfo, address: Address, count: int = SOONEST
) -> tuple[SoonTime, ...]:
    """The first few times, each a way straight to the next step."""
    return tuple(
        SoonTime(
            label=format_moment(free.start, zone),
            href=address.to(start=free.start.astimezone(zone).isoformat()),
        )
        for free in times[:count]
    )


# Choosing a time: the first step as a whole


@dataclass(frozen=True, kw_only=True)
class TimeChoice:
    """Everything the first step shows about free times.

    ``moved_from`` is the empty month the visitor would have arrived at; ``next_free`` leads on from an empty
    month, or day, that was asked for; ``is_empty``: there is no free time in all the months we looked at.
    """

    month: Month
    day: date | None
    parts: tuple[Part, ...]
    count: int
    soonest: tuple[SoonTime, ...]
    free_days: int
    zone_label: str
    zone_place: str
    as_of: datetime | None = None
    stale: bool = False
    failed: bool = False
    is_empty: bool = False
    moved_from: str = ""
    asked_day: date | None = None
    next_free: SoonTime | None = None


def tell_seen(choice: TimeChoice) -> dict[str, str]:
    """What an address says to come back to the same month and day."""
    return {"month": f"{choice.day:%Y-%m}", "date": choice.day.isoformat()} if choice.day else {}


Look = Callable[[datetime, datetime], "FreeTimes"]


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What the address asks to see."""

    month: date | None = None
    day: date | None = None
    start: str = ""


def choose_time(
    *,
    look: Look,
    now: datetime,
    zone: ZoneInfo,
    duration: int,
    asked: Asked,
    address: Address,
    onward: Address,
) -> TimeChoice:
    """Find the month and the day to show, and their times.

    ``look`` lists the free times between two moments. ``address`` is this page's, ``onward`` the next step's.
    """
    today = now.astimezone(zone).date()
    last = first_of_month(today + WINDOW)
    view = find_view(look, today=today, last=last, zone=zone, asked=asked)
    days = group_by_day(view.shown.times, zone)
    day = choose_day(days, asked.day)
    times = days.get(day, []) if day else []
    slots = build_slots(times, zone, duration=duration, chosen=asked.start)
    counts = {date_: len(found) for date_, found in days.items()}
    return TimeChoice(
        month=build_month(view.first, counts=counts, today=today, last=last, chosen=day, address=address),
        day=day,
        parts=build_parts(slots, times, zone),
        count=len(times),
        soonest=list_soonest(view.shown.times, zone, onward) if view.is_start else (),
        free_days=len(days),
        zone_label=name_zone(zone, times[0].start if times else max(now, midnight(view.first, zone))),
        zone_place=name_place(zone),
        as_of=view.shown.as_of,
        stale=view.shown.stale or (view.shown.failed and bool(view.shown.times)),
        failed=view.shown.failed and not view.shown.times,
        is_empty=view.is_start and not (view.shown.failed or view.shown.times or view.ahead),
        moved_from=view.moved_from,
        asked_day=asked.day if asked.day not in days else None,
        next_free=find_next_free(days, view.ahead, asked.day, address),
    )


@dataclass(frozen=True, kw_only=True)
class View:
    """The month to show and its times; ``ahead`` is the first free day after an empty month."""

    first: date
    shown: FreeTimes
    ahead: date | None
    is_start: bool
    moved_from: str = ""


def find_view(look: Look, *, today: date, last: date, zone: ZoneInfo, asked: Asked) -> View:
    """The month that was asked for, or the present one; on arrival an empty month gives way."""
    first = clamp_month(asked.month or asked.day or today, today, last)
    found, later = look_for_times(look, first, last, zone)
    is_start = first == first_of_month(today)
    ahead = later.times[0].start.astimezone(zone).date() if later else None
    if later is None or ahead is None or asked.month or asked.day:
        return View(first=first, shown=found, ahead=ahead, is_start=is_start)
    moved_from = dateformat.format(first, "F")
    return View(first=first_of_month(ahead), shown=later, ahead=ahead, is_start=True, moved_from=moved_from)


def clamp_month(day: date, today: date, last: date) -> date:
    return min(max(first_of_month(day), first_of_month(today)), last)


def look_for_times(look: Look, first: date, last: date, zone: ZoneInfo) -> tuple[FreeTimes, FreeTimes | None]:
    """The times of a month and, only when it has none, those of the next month that has some."""
    found = look(midnight(first, zone), midnight(next_month(first), zone))
    if found.times or found.failed:
        return found, None
    month = first
    for _ in range(MONTHS_AHEAD):
        month = next_month(month)
        if month > last:
            break
        later = look(midnight(month, zone), midnight(next_month(month), zone))
        if later.times:
            return found, later
    return found, None


def choose_day(days: Mapping[date, Sequence[FreeTime]], asked: date | None) -> date | None:
    """The day that was asked for if it has times, the first free one if none was asked for."""
    if asked is not None:
        return asked if asked in days else None
    return min(days, default=None)


def find_next_free(
    days: Mapping[date, Sequence[FreeTime]],
    ahead: date | None,
    asked: date | None,
    address: Address,
) -> SoonTime | None:
    """The first free day after an empty one, or after an empty month."""
    if asked is not None and asked in days:
        return None
    later = min((day for day in days if asked and day > asked), default=None)
    later = later or ahead
    if later is None:
        return None
    label = format_full_day(later)
    return SoonTime(label=label, href=address.to(month=f"{later:%Y-%m}", date=later.isoformat()))
