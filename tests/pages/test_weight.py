"""What a page weighs, and what it costs in queries and calls."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from django.contrib.staticfiles import finders

KILOBYTE = 1024


def measure(name: str) -> int:
    return Path(finders.find(f"meetergo/{name}")).stat().st_size


def test_the_script_stays_small() -> None:
    assert measure("meetergo.js") <= 12_000
    assert measure("pages.js") <= 6_000


def test_the_page_of_a_whole_month_stays_small(visitor: Any) -> None:
    """Uncompressed, with its assets, for a month in which all days are still to come."""
    first_page = visitor.text("/book/intro-call/")
    (next_slots,) = re.findall(r'<div class="mg-next-slots".*?</div>', first_page, re.DOTALL)
    following = re.search(r"\?month=[\d-]+", first_page)[0]
    page = visitor.text(f"/book/intro-call/{following}") + next_slots
    loaded = [measure(name) for name in re.findall(r'(?:href|src)="/static/meetergo/([^"]+)"', page)]

    assert len(loaded) == 2
    assert len(page.encode()) + sum(loaded) <= 36 * KILOBYTE


# Queries and calls


def test_a_warm_page_costs_one_statement_at_most_and_no_call(
    visitor: Any, site: Any, django_assert_max_num_queries: Any
) -> None:
    """A page is cached until the end of the minute, so one of two views in a row costs no query."""
    visitor.get("/book/intro-call/")
    calls = len(site.sandbox.request_log.entries())
    with django_assert_max_num_queries(3):
        visitor.get("/book/intro-call/")
        visitor.get("/book/intro-call/")
    assert len(site.sandbox.request_log.entries()) == calls


def test_cached_times_cost_three_queries_and_no_call(
    visitor: Any, site: Any, django_assert_num_queries: Any
) -> None:
    """The queries read the meeting type, its hosts and the open bookings that hold a slot."""
    (day,) = set(
        re.findall(r'class="mg-day-chosen" href="\?date=([\d-]+)', visitor.text("/book/intro-call/"))
    )
    calls = len(site.sandbox.request_log.entries())
    with django_assert_num_queries(3):
        visitor.get("/book/intro-call/", date=day)
    assert len(site.sandbox.request_log.entries()) == calls


def test_times_that_are_not_cached_cost_one_call_per_document(
    visitor: Any, site: Any, django_assert_num_queries: Any
) -> None:
    """At most two documents cover a month."""
    with django_assert_num_queries(3):
        visitor.get("/book/intro-call/")
    assert 1 <= site.count_requests("GET /v4/booking-availability") <= 2
