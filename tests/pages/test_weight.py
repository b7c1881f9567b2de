"""What a visitor has to load."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.contrib.staticfiles import finders

KILOBYTE = 1024


def measure(name: str) -> int:
    return Path(finders.find(f"meetergo/{name}")).stat().st_size


def test_the_module_stays_small() -> None:
    assert measure("meetergo.js") <= 12 * KILOBYTE


def test_the_page_of_a_whole_month_stays_small(visitor: Any) -> None:
    """Before compression, with the stylesheet and the module."""
    page = visitor.get("/book/intro-call/").content
    whole = len(page) + measure("meetergo.css") + measure("meetergo.js")

    assert whole <= 52 * KILOBYTE
