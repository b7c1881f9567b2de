"""The month, the times and the zones, without a site around them."""

import functools
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from django.utils import translation

from django_meetergo.formatting import describe_when, format_day, format_time
from django_meetergo.presentation.month import build_month
from django_meetergo.presentation.page_urls import PageUrl, parse_link
from django_meetergo.presentation.slots import build_parts, build_slots, group_by_day, parse_start
from django_meetergo.presentation.time_choice import TimeQuery, choose_time
from django_meetergo.services.availability.store import Slot, SlotList
from django_meetergo.timezones import choose_zone, list_zones, name_zone

BERLIN, KOLKATA, NEW_YORK = ZoneInfo("Europe/Berlin"), ZoneInfo("Asia/Kolkata"), ZoneInfo("America/New_York")
NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


def offer(*starts):
    return [Slot(start=datetime.fromisoformat(start)) for start in starts]


def look_at(times, **said):
    def look(start, end):
        inside = tuple(free for free in times if start <= free.start < end)
        return SlotList(times=inside, as_of=NOW, **said)

    return look


def choose(times, *, zone=BERLIN, asked=None, **said):
    return choose_with(look_at(times, **said), zone=zone, asked=asked)


def choose_with(look, *, zone=BERLIN, asked=None):
    address = PageUrl("/book/call/")
    return choose_time(
        look=look,
        now=NOW,
        zone=zone,
        duration=30,
        asked=asked or TimeQuery(),
        address=address,
        onward=PageUrl("/book/call/details/"),
    )


@pytest.mark.parametrize(
    ("names", "chosen"),
    [
        (("Asia/Tokyo", "Europe/Paris", "Europe/Berlin"), "Asia/Tokyo"),
        ((None, "Europe/Paris", "Europe/Berlin"), "Europe/Paris"),
        (("Mars/Olympus", "../etc/passwd", "Europe/Berlin"), "Europe/Berlin"),
        (("Asia/Calcutta", None), "Asia/Kolkata"),
        (("", "x\0y", None), "UTC"),
    ],
)
def test_the_first_name_that_is_a_zone_counts(names, chosen):
    """The address outweighs the cookie, the cookie the site; old names work, nonsense is passed over."""
    assert choose_zone(*names).key == chosen


@pytest.mark.parametrize(
    ("zone", "label"),
    [
        ("Europe/Berlin", "Berlin time (GMT+1)"),
        ("Asia/Kolkata", "Kolkata time (GMT+5:30)"),
        ("America/New_York", "New York time (GMT−5)"),
        ("Europe/London", "London time (GMT)"),
    ],
)
def test_a_zone_is_called_by_its_city_and_its_distance(zone, label):
    assert name_zone(ZoneInfo(zone), NOW) == label


def test_about_forty_zones_and_the_present_one_come_first():
    """A rare zone that somebody is in stands in the short list, chosen; in the whole list nothing is."""
    (_, options), *regions = list_zones(ZoneInfo("Asia/Kathmandu"), NOW)
    assert 40 <= len(options) <= 50
    assert [option.name for option in options if option.is_chosen] == ["Asia/Kathmandu"]
    assert not any(option.is_chosen for _, found in regions for option in found)


def test_all_zones_are_grouped_by_region_under_their_present_names():
    regions = dict(list_zones(BERLIN, NOW))
    asia = {option.name for option in regions["Asia"]}
    assert "Asia/Kolkata" in asia
    assert "Asia/Calcutta" not in asia
    assert "Europe" in regions


def test_a_time_falls_on_the_day_of_the_visitors_zone():
    """The same instant is Thursday in New York and Friday in Kolkata."""
    times = offer("2026-12-03T20:00:00+00:00")
    assert list(group_by_day(times, NEW_YORK)) == [date(2026, 12, 3)]
    assert list(group_by_day(times, KOLKATA)) == [date(2026, 12, 4)]


def test_a_wall_time_that_comes_twice_gets_its_offset():
    """When the clocks are set back, both 02:30s can be told apart."""
    times = offer("2026-10-25T00:30:00+00:00", "2026-10-25T01:30:00+00:00", "2026-10-25T02:30:00+00:00")
    slots = build_slots(times, BERLIN, duration=30)
    assert [slot.label for slot in slots] == ["02:30 (GMT+2)", "02:30 (GMT+1)", "03:30"]
    assert len({slot.value for slot in slots}) == 3


def test_few_times_stay_together_and_many_are_divided_by_the_parts_of_the_day():
    def divide(hours):
        times = offer(*(f"2026-12-03T{hour:02}:00:00+01:00" for hour in hours))
        slots = build_slots(times, BERLIN, duration=30)
        return [(part.label, len(part.slots)) for part in build_parts(slots, times, BERLIN)]

    assert divide(range(9, 15)) == [("", 6)]
    assert divide([9, 10, 11, 12, 16, 17, 18]) == [("Morning", 3), ("Afternoon", 2), ("Evening", 2)]


@pytest.mark.parametrize(("first_weekday", "expected"), [(1, "Monday"), (0, "Sunday"), (6, "Saturday")])
def test_the_week_begins_as_the_language_says(first_weekday, expected):
    """Whatever day it begins with, the first of the month stands under its own name."""
    month = build_month(
        date(2026, 12, 1),
        counts={},
        today=NOW.date(),
        last=date(2027, 5, 1),
        chosen=None,
        address=PageUrl("/"),
        first_weekday=first_weekday,
    )
    assert month.weekdays[0][1] == expected
    assert all(len(week) == 7 for week in month.weeks)
    column = next(index for index, day in enumerate(month.weeks[0]) if day)
    assert month.weekdays[column][1] == "Tuesday"
    assert sum(day is not None for week in month.weeks for day in week) == 31


def test_the_calendar_cannot_be_turned_beyond_what_can_be_booked():
    times = offer("2026-11-25T09:00:00+00:00", "2027-05-20T09:00:00+00:00")
    assert choose(times).month.previous is None
    assert choose(times).month.following.label == "December 2026"
    far = choose(times, asked=TimeQuery(month=date(2031, 1, 1)))
    assert far.month.label == "May 2027"
    assert far.month.following is None


def test_the_first_free_day_is_chosen_on_arrival():
    choice = choose(offer("2026-11-25T09:00:00+00:00", "2026-11-26T09:00:00+00:00"))
    assert choice.day == date(2026, 11, 25)
    assert choice.count == 1
    assert [soon.label for soon in choice.soonest] == [
        "Wednesday 25 November, 10:00",
        "Thursday 26 November, 10:00",
    ]


def test_an_empty_month_gives_way_to_the_next_free_one():
    """On arrival the month of the earliest time is opened, and it is said why."""
    choice = choose(offer("2026-12-03T09:00:00+00:00"))
    assert (choice.month.label, choice.moved_from) == ("December 2026", "November")
    assert choice.day == date(2026, 12, 3)


def test_an_empty_month_that_was_asked_for_is_shown_with_a_way_on():
    choice = choose(offer("2027-01-08T09:00:00+00:00"), asked=TimeQuery(month=date(2026, 12, 1)))
    assert (choice.month.label, choice.day) == ("December 2026", None)
    assert choice.next_free.label == "Friday 8 January 2027"
    assert "2027-01-08" in choice.next_free.href


def test_a_day_without_times_names_the_next_one_that_has_some():
    times = offer("2026-11-25T09:00:00+00:00", "2026-11-27T09:00:00+00:00")
    choice = choose(times, asked=TimeQuery(day=date(2026, 11, 26)))
    assert choice.day is None
    assert choice.asked_day == date(2026, 11, 26)
    assert choice.next_free.label == "Friday 27 November 2026"


def test_no_time_at_all_and_no_answer_are_two_things():
    assert choose([]).is_empty
    failed = choose([], failed=True)
    assert failed.failed
    assert not failed.is_empty


def test_a_choice_names_all_the_copies_it_was_made_from():
    """Those of the empty months as well; none, where one of them could not be had."""
    source = ("key", (1, 30, 700), "stamp")
    later = (f"later {source[0]}", *source[1:])

    def look(start, end, failed=False):
        times = [free for free in offer("2027-01-25T09:00:00+00:00") if start <= free.start < end]
        found = SlotList(times=tuple(times), as_of=NOW, sources=(later,) if times else (source,))
        return SlotList(times=(), as_of=None, failed=True) if failed and start.month == 12 else found

    assert set(choose_with(look).sources) == {source, later}
    assert choose_with(functools.partial(look, failed=True)).sources == ()


def test_a_month_with_times_costs_one_look():
    """Later months are asked for only when the shown one has nothing."""
    looks = []

    def look(start, end):
        looks.append(start)
        return SlotList(times=tuple(offer("2026-11-25T09:00:00+00:00")), as_of=NOW)

    choose_with(look)
    assert len(looks) == 1


def test_one_moment_is_written_by_each_zones_day():
    """Moments are equal wherever the clocks stand; their days are not."""
    moment = datetime(2026, 12, 3, 23, 30, tzinfo=UTC)
    written = [format_day(moment.astimezone(zone)) for zone in (BERLIN, NEW_YORK)]
    assert written == ["Friday 4 December", "Thursday 3 December"]


def test_both_zones_are_told_when_their_clocks_differ():
    start = datetime(2026, 12, 3, 8, 30, tzinfo=UTC)
    when = describe_when(
        start, start + timedelta(minutes=30), KOLKATA, host_zone=BERLIN, host_name="Anna Weber"
    )
    assert when.day == "Thursday 3 December 2026"
    assert (when.span, when.zone) == ("14:00–14:30", "Kolkata time, GMT+5:30")
    assert when.there == "09:30–10:00 in Berlin, where Anna Weber is"


def test_the_hosts_line_carries_its_own_date_when_that_differs():
    start = datetime(2026, 12, 3, 20, 0, tzinfo=UTC)
    end = start + timedelta(minutes=30)
    auckland = ZoneInfo("Pacific/Auckland")
    when = describe_when(start, end, auckland, host_zone=BERLIN)
    assert when.there == "Thursday 3 December, 21:00–21:30 in Berlin"


def test_nothing_is_said_twice_when_the_clocks_agree():
    start = datetime(2026, 12, 3, 8, 30, tzinfo=UTC)
    when = describe_when(start, start, ZoneInfo("Europe/Paris"), host_zone=BERLIN)
    assert when.there == ""


def test_the_clock_is_the_languages():
    with translation.override("en-us"):
        assert format_time(datetime(2026, 12, 3, 14, 30, tzinfo=UTC)) == "2:30 PM"
    with translation.override("en-gb"):
        assert format_time(datetime(2026, 12, 3, 14, 30, tzinfo=UTC)) == "14:30"


@pytest.mark.parametrize("text", ["", "now", "2026-12-03T09:00:00", "0001-01-01T00:00:00+14:00", "9" * 50])
def test_a_start_without_an_offset_or_sense_is_no_start(text):
    assert parse_start(text) is None


def test_a_plus_that_became_a_space_is_understood():
    assert parse_start("2026-12-03T09:00:00 01:00") == datetime(2026, 12, 3, 8, tzinfo=UTC)


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("https://example.com/thanks", "example.com"),
        ("http://example.com/", None),
        ("javascript:alert(1)", None),
        ("https://", None),
        ("http://[", None),
    ],
)
def test_only_secure_addresses_are_followed(url, host):
    link = parse_link(url)
    assert (link.host if link else None) == host
