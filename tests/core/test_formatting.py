"""Dates and times as people write them, in each language and on the days of clock changes."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from django.utils.translation import override

from django_meetergo import formatting
from django_meetergo.presentation.page_urls import PageUrl
from django_meetergo.presentation.slots import list_next_slots
from django_meetergo.services.availability.store import Slot
from django_meetergo.timezones import build_option, name_zone

BERLIN = ZoneInfo("Europe/Berlin")
DAY = date(2026, 12, 3)
MOMENT = datetime(2026, 12, 3, 13, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("language", "day", "full_moment", "abbreviated", "table"),
    [
        ("en", "Thursday, December 3", "Thursday, December 3, 2026, 2:30 PM", "Thu, Dec 3",
         "Thu, Dec 3, 2026, 2:30 PM"),
        ("en-gb", "Thursday 3 December", "Thursday 3 December 2026, 14:30", "Thu 3 Dec",
         "Thu 3 Dec 2026, 14:30"),
        ("de", "Donnerstag, 3. Dezember", "Donnerstag, 3. Dezember 2026, 14:30 Uhr", "Do, 3. Dez.",
         "Do, 3. Dez. 2026, 14:30"),
        ("fr", "jeudi 3 décembre", "jeudi 3 décembre 2026, 14:30", "jeu. 3 déc.", "jeu. 3 déc. 2026, 14:30"),
    ],
)  # fmt: skip
def test_dates_and_times_are_written_as_the_language_writes_them(
    language, day, full_moment, abbreviated, table
):
    with override(language):
        assert formatting.format_day(DAY) == day
        assert formatting.format_full_moment(MOMENT, BERLIN) == full_moment
        assert formatting.format_abbreviated_day(DAY) == abbreviated
        assert formatting.format_abbreviated_moment(MOMENT, BERLIN) == table


def test_the_short_month_of_french_is_in_lower_case():
    with override("fr"):
        assert formatting.format_short_month(DAY) == "déc."


@pytest.mark.parametrize(
    ("zone", "start", "span"),
    [
        # 02:30 comes twice in Berlin, 02:00 to 03:00 never, and Lord Howe moves its clocks by half an hour.
        ("Europe/Berlin", datetime(2026, 10, 25, 0, 30, tzinfo=UTC), "02:30 (GMT+2)–02:00 (GMT+1)"),
        ("Europe/Berlin", datetime(2027, 3, 28, 0, 45, tzinfo=UTC), "01:45 (GMT+1)–03:15 (GMT+2)"),
        ("Australia/Lord_Howe", datetime(2027, 4, 3, 14, 45, tzinfo=UTC), "01:45 (GMT+11)–01:45 (GMT+10:30)"),
    ],
)
def test_a_span_over_a_clock_change_has_both_offsets(zone, start, span):
    with override("en-gb"):
        when = formatting.describe_when(start, start + timedelta(minutes=30), ZoneInfo(zone))
    assert when.span == span


def test_a_fixed_offset_is_named_by_its_offset():
    """``Etc/GMT+5`` is five hours behind."""
    zone = ZoneInfo("Etc/GMT+5")
    with override("en-gb"):
        assert name_zone(zone, MOMENT) == "GMT−5"
        assert formatting.describe_when(MOMENT, MOMENT, zone).zone == "GMT−5"
        assert " in GMT−5" in formatting.describe_when(MOMENT, MOMENT, ZoneInfo("UTC"), host_zone=zone).there
        assert build_option("Etc/GMT+5", zone, MOMENT).label == "GMT−5"


@pytest.mark.parametrize("name", ["UTC", "GMT", "Etc/UTC"])
def test_utc_is_no_place(name):
    with override("de"):
        assert name_zone(ZoneInfo(name), MOMENT) == "GMT"


def test_a_pair_has_the_colon_of_the_language_and_none_after_a_question_mark():
    with override("fr"):
        assert formatting.format_pair("Annuler", "malade") == "Annuler\N{NO-BREAK SPACE}: malade"
    assert formatting.format_pair("How many?", 2) == "How many? 2"


def test_next_slots_tell_the_repeated_hour_apart():
    """When the clocks go back, 02:30 occurs twice."""
    times = [Slot(start=datetime(2026, 10, 25, hour, 30, tzinfo=UTC)) for hour in (0, 1)]

    found = list_next_slots(times, ZoneInfo("Europe/Berlin"), PageUrl("/x/"))

    assert len({slot.label for slot in found}) == 2
