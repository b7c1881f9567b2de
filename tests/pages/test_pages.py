"""Months, free times and time zones, without requests."""

import functools
import re
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from django import forms
from django.db import OperationalError
from django.template.loader import render_to_string
from django.test import Client
from django.urls import reverse
from django.utils import translation

from django_meetergo import links
from django_meetergo.formatting import describe_when, format_day, format_time
from django_meetergo.models import CalendarFeed
from django_meetergo.presentation.field_layout import group_choices
from django_meetergo.presentation.month import build_month, build_weekdays
from django_meetergo.presentation.page_urls import PageUrl, parse_link
from django_meetergo.presentation.slots import build_parts, build_slots, group_by_day, parse_start
from django_meetergo.presentation.time_choice import TimeQuery, choose_time
from django_meetergo.services.availability.store import Slot, SlotList
from django_meetergo.testing.factories import AttendeeFactory
from django_meetergo.timezones import choose_zone, list_zones, name_zone

BERLIN, KOLKATA, NEW_YORK = ZoneInfo("Europe/Berlin"), ZoneInfo("Asia/Kolkata"), ZoneInfo("America/New_York")
NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


def build_times(*starts):
    return [Slot(start=datetime.fromisoformat(start)) for start in starts]


def read_from(times, **result):
    def read_slots(start, end):
        inside = tuple(free for free in times if start <= free.start < end)
        return SlotList(times=inside, as_of=NOW, **result)

    return read_slots


def choose(times, *, zone=BERLIN, query=None, **result):
    return choose_with(read_from(times, **result), zone=zone, query=query)


def choose_with(read_slots, *, zone=BERLIN, query=None):
    return choose_time(
        read_slots=read_slots,
        now=NOW,
        zone=zone,
        duration=30,
        query=query or TimeQuery(),
        here=PageUrl("/book/call/"),
        next_step=PageUrl("/book/call/details/"),
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
def test_the_first_valid_zone_is_used(names, chosen):
    """The query wins over the cookie, the cookie over the site; old names work, invalid ones are skipped."""
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
def test_a_zone_is_named_by_its_city_and_offset(zone, label):
    assert name_zone(ZoneInfo(zone), NOW) == label


def test_common_zones_and_the_present_one_come_first():
    """An uncommon present zone is selected in the short list, and nothing in the whole list."""
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


def test_times_are_grouped_by_day_in_the_visitors_zone():
    """The same instant is Thursday in New York and Friday in Kolkata."""
    times = build_times("2026-12-03T20:00:00+00:00")
    assert list(group_by_day(times, NEW_YORK)) == [date(2026, 12, 3)]
    assert list(group_by_day(times, KOLKATA)) == [date(2026, 12, 4)]


def test_a_local_time_that_occurs_twice_gets_its_offset():
    """When the clocks are set back, the two 02:30 differ in their labels."""
    times = build_times("2026-10-25T00:30:00+00:00", "2026-10-25T01:30:00+00:00", "2026-10-25T02:30:00+00:00")
    slots = build_slots(times, BERLIN, duration=30)
    assert [slot.label for slot in slots] == ["02:30 (GMT+2)", "02:30 (GMT+1)", "03:30"]
    assert len({slot.value for slot in slots}) == 3


def test_a_local_time_that_occurs_twice_gets_its_offset_even_if_one_of_them_is_taken():
    """The visitor cannot see which of the two is left."""
    times = build_times("2026-10-25T01:30:00+00:00", "2026-10-25T02:30:00+00:00")
    assert [slot.label for slot in build_slots(times, BERLIN, duration=30)] == ["02:30 (GMT+1)", "03:30"]


def test_seven_times_or_more_are_divided_into_parts_of_the_day():
    def divide(hours):
        times = build_times(*(f"2026-12-03T{hour:02}:00:00+01:00" for hour in hours))
        slots = build_slots(times, BERLIN, duration=30)
        return [(part.label, len(part.slots)) for part in build_parts(slots, times, BERLIN)]

    assert divide(range(9, 15)) == [("", 6)]
    assert divide([9, 10, 11, 12, 16, 17, 18]) == [("Morning", 3), ("Afternoon", 2), ("Evening", 2)]


@pytest.mark.parametrize("language", ["ar", "de", "el", "en", "fr", "he", "ja", "th", "tr", "zh-hans"])
def test_the_weekdays_have_short_headings_in_each_language(monkeypatch, language):
    """Three letters fit into a column on a phone; in Arabic and Chinese all names begin alike."""
    # As on a site with texts in this language.
    monkeypatch.setattr("django_meetergo.formatting.get_text_language", lambda: language)
    headings = [short for short, _name in build_weekdays(1)]
    assert len(set(headings)) == 7
    assert max(map(len, headings)) <= 3


def test_tick_boxes_outside_a_group_are_one_group():
    class Questions(forms.Form):
        pains = forms.MultipleChoiceField(
            choices=[("back", "Back"), ("knee", "Knee"), ("Arm", [("elbow", "Elbow"), ("hand", "Hand")])],
            widget=forms.CheckboxSelectMultiple,
        )

    groups = group_choices(Questions()["pains"])
    assert [(group.label, [choice.choice_label for choice in group.choices]) for group in groups] == [
        ("", ["Back", "Knee"]),
        ("Arm", ["Elbow", "Hand"]),
    ]


def test_the_error_of_grouped_choices_leads_to_the_first_of_them():
    """Django numbers the choices of a group by the group as well."""

    class Questions(forms.Form):
        place = forms.ChoiceField(choices=[("Here", [("a", "A"), ("b", "B")])], widget=forms.RadioSelect)

    form = Questions({}, auto_id="mg-%s")
    form.HIDDEN = ()
    summary = render_to_string("meetergo/includes/error_summary.html", {"form": form})

    [target] = re.findall(r'href="#([^"]+)"', summary)
    assert f'id="{target}"' in str(form["place"])


@pytest.mark.parametrize(("first_weekday", "expected"), [(1, "Monday"), (0, "Sunday"), (6, "Saturday")])
def test_the_week_begins_on_the_day_of_the_language(first_weekday, expected, monkeypatch):
    """The first of the month is in the column of its weekday."""
    monkeypatch.setattr("django_meetergo.presentation.month.get_week_start", lambda: first_weekday)
    month = build_month(
        date(2026, 12, 1),
        counts={},
        today=NOW.date(),
        last=date(2027, 5, 1),
        chosen=None,
        here=PageUrl("/"),
    )
    assert month.weekdays[0][1] == expected
    assert all(len(week) == 7 for week in month.weeks)
    column = next(index for index, day in enumerate(month.weeks[0]) if day)
    assert month.weekdays[column][1] == "Tuesday"
    assert sum(day is not None for week in month.weeks for day in week) == 31


def test_months_outside_the_booking_window_have_no_links():
    times = build_times("2026-11-25T09:00:00+00:00", "2027-05-20T09:00:00+00:00")
    assert choose(times).month.previous is None
    assert choose(times).month.following.label == "December 2026"
    far = choose(times, query=TimeQuery(month=date(2031, 1, 1)))
    assert far.month.label == "May 2027"
    assert far.month.following is None


def test_the_first_free_day_is_chosen_without_a_query():
    choice = choose(build_times("2026-11-25T09:00:00+00:00", "2026-11-26T09:00:00+00:00"))
    assert choice.day == date(2026, 11, 25)
    assert choice.count == 1
    assert [soon.label for soon in choice.soonest] == [
        "Wednesday 25 November, 10:00",
        "Thursday 26 November, 10:00",
    ]


def test_without_a_query_an_empty_month_is_skipped():
    """The page opens at the month of the first free time and names the skipped one."""
    choice = choose(build_times("2026-12-28T09:00:00+00:00"))
    assert (choice.month.label, choice.skipped_month) == ("December 2026", "November")
    assert choice.day == date(2026, 12, 28)


def test_at_the_end_of_a_month_the_coming_weeks_are_shown():
    """The present month begins with this week; its links keep the days of the next month in the grid."""
    choice = choose(build_times("2026-12-03T09:00:00+00:00"))
    days = [day for week in choice.month.weeks for day in week]
    assert (choice.month.label, choice.skipped_month) == ("November – December 2026", "")
    assert [days[0].date, days[-1].date] == [date(2026, 11, 16), date(2026, 12, 13)]
    assert [day.month for day in days if day.month] == ["Dec"]
    (free,) = [day for day in days if day.href]
    assert "month=2026-11" in free.href
    query = TimeQuery(month=date(2026, 11, 1), day=date(2026, 12, 3))
    assert choose(build_times("2026-12-03T09:00:00+00:00"), query=query).day == date(2026, 12, 3)


def test_a_move_opens_at_the_day_of_the_appointment():
    times = build_times("2026-12-21T09:00:00+00:00", "2026-12-23T09:00:00+00:00")
    query = TimeQuery(month=date(2026, 12, 1), near=date(2026, 12, 22))
    assert choose(times, query=query).day == date(2026, 12, 23)
    query = TimeQuery(month=date(2026, 12, 1), near=date(2026, 12, 24))
    assert choose(times, query=query).day == date(2026, 12, 21)


def test_a_requested_empty_month_links_to_the_next_free_day():
    choice = choose(build_times("2027-01-08T09:00:00+00:00"), query=TimeQuery(month=date(2026, 12, 1)))
    assert (choice.month.label, choice.day) == ("December 2026", None)
    assert choice.next_free.label == "Friday 8 January 2027"
    assert "2027-01-08" in choice.next_free.href


def test_an_empty_day_links_to_the_next_free_day():
    times = build_times("2026-11-25T09:00:00+00:00", "2026-11-27T09:00:00+00:00")
    choice = choose(times, query=TimeQuery(day=date(2026, 11, 26)))
    assert choice.day is None
    assert choice.requested_day == date(2026, 11, 26)
    assert choice.next_free.label == "Friday 27 November 2026"


def test_no_times_and_a_failed_call_are_different_states():
    assert choose([]).is_empty
    failed = choose([], failed=True)
    assert failed.failed
    assert not failed.is_empty


def test_a_choice_lists_all_its_source_documents():
    """Those of skipped months too; none if one of them could not be read."""
    source = ("key", (1, 30, 700), "stamp")
    later = (f"later {source[0]}", *source[1:])

    def read_slots(start, end, failed=False):
        times = [free for free in build_times("2027-01-25T09:00:00+00:00") if start <= free.start < end]
        found = SlotList(times=tuple(times), as_of=NOW, sources=(later,) if times else (source,))
        return SlotList(times=(), as_of=None, failed=True) if failed and start.month == 12 else found

    assert set(choose_with(read_slots).sources) == {source, later}
    assert choose_with(functools.partial(read_slots, failed=True)).sources == ()


def test_a_month_with_times_costs_one_read():
    """Later months are read only if the shown one has no times."""
    reads = []

    def read_slots(start, end):
        reads.append(start)
        return SlotList(times=tuple(build_times("2026-11-25T09:00:00+00:00")), as_of=NOW)

    choose_with(read_slots)
    assert len(reads) == 1


def test_a_date_is_formatted_in_its_zone():
    """One instant has different dates in different zones."""
    moment = datetime(2026, 12, 3, 23, 30, tzinfo=UTC)
    labels = [format_day(moment.astimezone(zone)) for zone in (BERLIN, NEW_YORK)]
    assert labels == ["Friday 4 December", "Thursday 3 December"]


def test_both_zones_are_shown_if_their_local_times_differ():
    start = datetime(2026, 12, 3, 8, 30, tzinfo=UTC)
    when = describe_when(
        start, start + timedelta(minutes=30), KOLKATA, host_zone=BERLIN, host_name="Anna Weber"
    )
    assert when.day == "Thursday 3 December 2026"
    assert (when.span, when.zone) == ("14:00–14:30", "Kolkata time, GMT+5:30")
    assert when.there == "09:30–10:00 in Berlin, where Anna Weber is"


def test_the_hosts_line_has_its_own_date_if_it_differs():
    start = datetime(2026, 12, 3, 20, 0, tzinfo=UTC)
    end = start + timedelta(minutes=30)
    auckland = ZoneInfo("Pacific/Auckland")
    when = describe_when(start, end, auckland, host_zone=BERLIN)
    assert when.there == "Thursday 3 December, 21:00–21:30 in Berlin"


def test_one_line_is_shown_if_the_local_times_agree():
    start = datetime(2026, 12, 3, 8, 30, tzinfo=UTC)
    when = describe_when(start, start, ZoneInfo("Europe/Paris"), host_zone=BERLIN)
    assert when.there == ""


def test_the_time_format_follows_the_language():
    with translation.override("en-us"):
        assert format_time(datetime(2026, 12, 3, 14, 30, tzinfo=UTC)) == "2:30 PM"
    with translation.override("en-gb"):
        assert format_time(datetime(2026, 12, 3, 14, 30, tzinfo=UTC)) == "14:30"


@pytest.mark.parametrize("text", ["", "now", "2026-12-03T09:00:00", "0001-01-01T00:00:00+14:00", "9" * 50])
def test_a_start_without_an_offset_is_invalid(text):
    assert parse_start(text) is None


def test_a_plus_sign_decoded_to_a_space_is_accepted():
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
def test_only_https_urls_become_links(url, host):
    link = parse_link(url)
    assert (link.host if link else None) == host


def lose_database(*args, **kwargs):
    raise OperationalError("gone")


def test_a_lost_database_answers_503_where_the_base_template_needs_it_too(site, settings, monkeypatch):
    base = "{% if user.is_authenticated %}{{ user }}{% endif %}{% block content %}{% endblock %}"
    first = {name: value for name, value in settings.TEMPLATES[0].items() if name != "APP_DIRS"}
    loaders = [
        ("django.template.loaders.locmem.Loader", {"site.html": base}),
        "django.template.loaders.app_directories.Loader",
    ]
    settings.TEMPLATES = [{**first, "OPTIONS": {**first["OPTIONS"], "loaders": loaders}}]
    settings.MEETERGO = {**settings.MEETERGO, "BASE_TEMPLATE": "site.html"}
    # Every view is imported by now: one that is imported later would keep the replacement.
    path = reverse("meetergo:book", args=["intro-call"])
    monkeypatch.setattr("django_meetergo.views.times.find_meeting_type", lose_database)
    monkeypatch.setattr("django.contrib.auth.middleware.auth.get_user", lose_database)
    monkeypatch.setattr("django_meetergo.views.decorators.is_database_away", lambda error: True)

    assert Client().get(path, {"month": "2026-12"}).status_code == 503


def test_the_503_of_a_secret_page_keeps_its_address(visitor, settings, monkeypatch):
    settings.SECURE_REFERRER_POLICY = "unsafe-url"
    address = links.get_manage_path(AttendeeFactory())
    monkeypatch.setattr("django_meetergo.links.find_by_token", lose_database)
    monkeypatch.setattr("django_meetergo.views.decorators.is_database_away", lambda error: True)

    answer = visitor.get(address)

    assert answer.status_code == 503
    assert (answer["Referrer-Policy"], answer["Cache-Control"]) == ("same-origin", "no-store")


def test_pages_behind_secret_links_ask_for_no_login(site, settings, django_user_model):
    """Nor do calendar apps that read a feed, and the way on from a lost link."""
    settings.MIDDLEWARE = [*settings.MIDDLEWARE, "django.contrib.auth.middleware.LoginRequiredMiddleware"]
    settings.LOGIN_URL = "/admin/login/"
    user = django_user_model.objects.create_superuser("carla")
    feed = CalendarFeed.objects.create(name="Phone", user=user)

    assert Client().get(links.get_feed_path(feed)).status_code == 200
    assert "/book/my-appointments/" in Client().get("/book/manage/x/").content.decode()
    assert Client().get("/book/my-appointments/").status_code == 200


def test_only_a_known_zone_in_the_cookie_ends_the_detection(visitor):
    """A browser may report an older name of a zone; that is known, too."""
    visitor.client.cookies["meetergo_tz"] = "Mars/Olympus"
    assert "data-detect" in visitor.text("/book/intro-call/")
    visitor.client.cookies["meetergo_tz"] = "Asia/Calcutta"
    assert "data-detect" not in visitor.text("/book/intro-call/")
