"""What a visitor has to load."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from django.contrib.staticfiles import finders

KILOBYTE = 1024


def measure(name: str) -> int:
    return Path(finders.find(f"meetergo/{name}")).stat().st_size


def test_the_module_stays_small() -> None:
    assert measure("meetergo.js") <= 12_000


def test_the_page_of_a_whole_month_stays_small(visitor: Any) -> None:
    """Before compression, with all it loads: as on the first of a month, when every day is to come."""
    arrival = visitor.text("/book/intro-call/")
    (soonest,) = re.findall(r'<div class="mg-soonest".*?</div>', arrival, re.DOTALL)
    following = re.search(r"\?month=[\d-]+", arrival)[0]
    page = visitor.text(f"/book/intro-call/{following}") + soonest
    loaded = [measure(name) for name in re.findall(r'(?:href|src)="/static/meetergo/([^"]+)"', page)]

    assert len(loaded) == 2
    assert len(page.encode()) + sum(loaded) <= 30 * KILOBYTE


# What it costs the site


def test_a_warm_page_costs_one_statement_at_most_and_no_call(
    visitor: Any, site: Any, django_assert_max_num_queries: Any
) -> None:
    """It is kept to the end of a minute: one of two views that come at once is shown without a query."""
    visitor.get("/book/intro-call/")
    asked = len(site.sandbox.request_log.entries())
    with django_assert_max_num_queries(2):
        visitor.get("/book/intro-call/")
        visitor.get("/book/intro-call/")
    assert len(site.sandbox.request_log.entries()) == asked


def test_times_at_hand_cost_two_statements_and_no_call(
    visitor: Any, site: Any, django_assert_num_queries: Any
) -> None:
    """Another month or day: the meeting type and its hosts; everything else is in the cache."""
    (day,) = set(
        re.findall(r'class="mg-day-chosen" href="\?date=([\d-]+)', visitor.text("/book/intro-call/"))
    )
    asked = len(site.sandbox.request_log.entries())
    with django_assert_num_queries(2):
        visitor.get("/book/intro-call/", date=day)
    assert len(site.sandbox.request_log.entries()) == asked


def test_times_not_at_hand_cost_one_call_a_document(
    visitor: Any, site: Any, django_assert_num_queries: Any
) -> None:
    """A month lies in at most two documents."""
    with django_assert_num_queries(2):
        visitor.get("/book/intro-call/")
    assert 1 <= site.posts("GET /v4/booking-availability") <= 2
