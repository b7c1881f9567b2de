"""The fragments of a page that the script requests."""

from __future__ import annotations

from typing import Any

import pytest


@pytest.mark.parametrize(
    ("part", "there", "not_there"),
    [
        ("calendar", 'class="mg-month"', "<h1"),
        ("slots", 'class="mg-slots"', 'class="mg-month"'),
        ("zone", 'class="mg-zone"', 'class="mg-month"'),
        ("all", 'class="mg-zone"', "<h1"),
    ],
)
def test_a_fragment_contains_only_its_part(visitor: Any, part: str, there: str, not_there: str) -> None:
    answer = visitor.client.get("/book/intro-call/", headers={"X-Meetergo-Fragment": part})
    text = answer.content.decode()

    assert there in text
    assert not_there not in text
    assert "<html" not in text


def test_responses_vary_on_the_fragment_header(visitor: Any) -> None:
    for headers in ({}, {"X-Meetergo-Fragment": "slots"}):
        answer = visitor.client.get("/book/intro-call/", headers=headers)
        assert "X-Meetergo-Fragment" in answer["Vary"]


def test_an_unknown_fragment_returns_the_whole_page(visitor: Any) -> None:
    answer = visitor.client.get("/book/intro-call/", headers={"X-Meetergo-Fragment": "../secrets"})

    assert "<h1" in answer.content.decode()


def test_the_reschedule_page_has_fragments_too(visitor: Any) -> None:
    from django_meetergo import links
    from django_meetergo.models import Attendee

    visitor.book()
    address = f"{links.get_manage_path(Attendee.objects.get())}reschedule/"
    answer = visitor.client.get(address, headers={"X-Meetergo-Fragment": "slots"})

    assert answer.content.decode().lstrip().startswith('<div class="mg-slots"')
    assert answer["Cache-Control"] == "no-store"


def test_times_that_could_not_be_read_are_not_said_to_be_gone(visitor, site):
    """Without them the script keeps the choice and offers to try again."""
    site.fail_next("GET /v4/booking-availability", times=9)

    answer = visitor.client.get("/book/intro-call/", headers={"X-Meetergo-Fragment": "slots"})

    assert "There are no times" not in answer.content.decode()
