"""The page cache: rendered times are reused while they are current, and contain nothing of a visitor."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.contrib.auth import get_user_model
from django.db import connection
from django.test import Client, RequestFactory
from django.test.utils import CaptureQueriesContext

from django_meetergo.cache import cache
from django_meetergo.models import MeetingType
from django_meetergo.presentation.page_cache import build_cache_entry, render_page_part
from django_meetergo.services.availability import demand, store
from django_meetergo.services.availability.invalidation import remove_slot
from django_meetergo.services.availability.refresh import fetch_window
from django_meetergo.services.availability.store import (
    Window,
    add_stamp,
    flag_document,
    get_document,
    pack,
    store_document,
    unpack,
)
from django_meetergo.timezones import find_zone
from django_meetergo.wakeup import work_due
from tests.pages.conftest import Visitor

pytestmark = pytest.mark.django_db(transaction=True)

PAGE = "/book/intro-call/"


def is_cached(visitor: Visitor, path: str = PAGE, **query: str) -> bool:
    """Return whether the page is served without a query."""
    with CaptureQueriesContext(connection) as found:
        assert visitor.get(path, **query).status_code == 200
    return not len(found)


def test_the_second_visitor_gets_the_cached_page(visitor: Any, movable_clock: Any) -> None:
    first = visitor.text(PAGE)
    assert is_cached(visitor)
    assert visitor.text(PAGE) == first
    assert is_cached(visitor, utm_source="newsletter")


def test_a_removed_slot_disappears_at_once(visitor: Any, site: Any, movable_clock: Any) -> None:
    start = visitor.list_starts("intro-call")[0]
    meeting_type = site.meeting_type()
    remove_slot(
        meeting_type=meeting_type, start=datetime.fromisoformat(start), duration=meeting_type.duration
    )
    assert not is_cached(visitor)
    assert start not in visitor.list_starts("intro-call")


def test_a_refreshed_document_shows_at_once(visitor: Any, site: Any, movable_clock: Any) -> None:
    start = datetime.fromisoformat(visitor.list_starts("intro-call")[0])
    site.occupy_slot(start)
    fetch_window(
        find_window(site, start), client=site.client("view"), now=movable_clock.now, refresh_cache=True
    )
    assert start not in map(datetime.fromisoformat, visitor.list_starts("intro-call"))


def find_window(site: Any, start: datetime) -> Window:
    meeting_type = site.meeting_type()
    return store.find_window(meeting_type, meeting_type.duration, start)


def test_a_change_of_the_directory_shows_at_once(visitor: Any, site: Any, movable_clock: Any) -> None:
    visitor.get(PAGE)
    for meeting_type in site.sandbox.state.meeting_types.values():
        meeting_type.enabled = False
    site.sync_directory()
    assert visitor.get(PAGE).status_code == 410


def test_an_entry_expires_with_its_minute(visitor: Any, site: Any, movable_clock: Any) -> None:
    """A change that invalidates nothing, such as a name set by the site, shows within a minute."""
    visitor.get(PAGE)
    MeetingType.objects.update(name="Another name")
    assert "Another name" not in visitor.text(PAGE)
    movable_clock.move(seconds=31)
    assert "Another name" in visitor.text(PAGE)


def test_a_cached_page_counts_as_a_view(visitor: Any, movable_clock: Any) -> None:
    """Views decide which documents are refreshed in the background."""
    visitor.get(PAGE)
    demand.recent_views.clear()
    cache.delete(demand.CACHE_KEY)
    assert is_cached(visitor)
    assert demand.read_interest()


def test_a_cached_page_requests_a_refresh_of_stale_documents(
    visitor: Any, site: Any, movable_clock: Any
) -> None:
    start = datetime.fromisoformat(visitor.list_starts("intro-call")[0])
    window = find_window(site, start)
    flag_document(window, outdated=True)
    visitor.get(PAGE)
    cache.delete(f"{window.key}:asked")
    wake_ups: list[Any] = []
    work_due.connect(lambda **arguments: wake_ups.append(arguments), weak=False, dispatch_uid="counts")
    try:
        assert is_cached(visitor)
    finally:
        work_due.disconnect(dispatch_uid="counts")
    assert len(wake_ups) == 1


def test_each_visitor_gets_their_own_csrf_token(site: Any, settings: Any, tmp_path: Any) -> None:
    """A template of the site may contain a form."""
    override_template(settings, tmp_path, "<form method=post>{% csrf_token %}</form>{{ meeting_type.name }}")
    clients = [Client(enforce_csrf_checks=True) for _ in range(2)]
    tokens = [read_token(client) for client in clients]
    assert tokens[0] != tokens[1]
    for client, token in zip(clients, tokens, strict=True):
        post = {"tz": "Asia/Tokyo", "next": PAGE, "csrfmiddlewaretoken": token}
        assert client.post("/book/timezone/", post).status_code == 303
        post["csrfmiddlewaretoken"] = token[::-1]
        assert client.post("/book/timezone/", post).status_code == 403


def read_token(client: Client) -> str:
    page = client.get(PAGE).content.decode()
    return re.search(r'name="csrfmiddlewaretoken" value="(\w{64})"', page)[1]


def test_a_cached_page_contains_nothing_of_the_request(visitor: Any, settings: Any, tmp_path: Any) -> None:
    """Templates of cached parts have no request and no user."""
    override_template(
        settings, tmp_path, "[{{ user }}{{ request.user }}{{ request.path }}]{{ meeting_type.name }}"
    )
    jane = get_user_model().objects.create_user("jane", password="jane")
    visitor.client.force_login(jane)
    assert "[]Intro call" in visitor.text(PAGE)
    assert "jane" not in Client().get(PAGE).content.decode()


def override_template(settings: Any, tmp_path: Any, text: str) -> None:
    (tmp_path / "meetergo" / "includes").mkdir(parents=True)
    (tmp_path / "meetergo" / "includes" / "choose.html").write_text(text)
    settings.TEMPLATES = [{**settings.TEMPLATES[0], "DIRS": [tmp_path]}]


@pytest.mark.parametrize(
    "other",
    [
        {"HTTP_HOST": "other.example"},
        {"HTTP_ACCEPT_LANGUAGE": "de"},
        {"HTTP_COOKIE": "meetergo_tz=Asia/Kolkata"},
        {"HTTP_COOKIE": f"meetergo_tz={django_settings.TIME_ZONE}"},
        {"SCRIPT_NAME": "/shop"},
        {"HTTP_X_MEETERGO_WIDGET": "1.2"},
    ],
)
def test_host_language_zone_and_prefix_have_their_own_entry(
    visitor: Any, movable_clock: Any, settings: Any, other: dict[str, str]
) -> None:
    settings.LANGUAGES = [("en", "English"), ("de", "German")]
    visitor.get(PAGE)
    Client().get(PAGE, HTTP_COOKIE="meetergo_tz=Asia/Tokyo")
    with CaptureQueriesContext(connection) as found:
        assert Client().get(PAGE, **other).status_code == 200
    assert len(found)


@pytest.mark.parametrize(
    "query",
    [
        {"month": "2030-01"},
        {"date": "2030-01-01"},
        {"duration": "30"},
        {"tz": "Asia/Tokyo"},
        {"zones": "all"},
        {"subject": "x"},
        {"start": "2030-01-01T09:00:00+00:00"},
    ],
)
def test_a_page_with_a_query_is_not_cached(visitor: Any, movable_clock: Any, query: dict[str, str]) -> None:
    visitor.get(PAGE)
    assert not is_cached(visitor, **query)


def test_a_failed_call_is_not_cached(visitor: Any, site: Any, movable_clock: Any) -> None:
    site.fail_next("GET /v4/booking-availability", times=20)
    assert "We cannot show free times right now" in visitor.text(PAGE)
    site.sandbox.faults.clear()
    site.reset_rate_limit()
    assert visitor.list_starts("intro-call")


def test_nothing_is_cached_with_debug(visitor: Any, movable_clock: Any, settings: Any) -> None:
    settings.DEBUG = True
    visitor.get(PAGE)
    assert not is_cached(visitor)
    assert build_cache_entry(RequestFactory().get("/"), find_zone("UTC"), movable_clock.now) is None


def test_ports_and_uncommon_zones_add_no_entries(visitor: Any, movable_clock: Any) -> None:
    """Otherwise a client could fill the cache with variants of one page."""
    visitor.get(PAGE)
    with CaptureQueriesContext(connection) as found:
        Client().get(PAGE, HTTP_HOST="testserver:8001")
    assert len(found) == 0
    rare = {"HTTP_COOKIE": "meetergo_tz=Pacific/Kiritimati"}
    Client().get(PAGE, **rare)
    with CaptureQueriesContext(connection) as found:
        Client().get(PAGE, **rare)
    assert len(found) == 3


def test_other_query_parameters_do_not_reach_the_cache(
    visitor: Any, settings: Any, tmp_path: Any, movable_clock: Any
) -> None:
    """A newsletter may add an e-mail address to its links."""
    override_template(settings, tmp_path, "{{ zone_next }}|{{ here.to }}|{{ meeting_type.name }}")
    assert "|Intro call" in visitor.text(PAGE, email="jane@example.com")
    assert is_cached(visitor)
    assert "jane" not in visitor.text(PAGE)


def test_each_part_has_a_random_csrf_placeholder(visitor: Any, movable_clock: Any) -> None:
    """A known placeholder in a link would be replaced by a visitor's token."""
    found = [render_page_part("includes/contact", {"contact": "x"}) for _ in range(2)]
    assert len({part.csrf_placeholder for part in found}) == 2


def test_documents_written_at_one_moment_are_distinguished(
    visitor: Any, site: Any, movable_clock: Any
) -> None:
    """Two documents of the same age and size may contain other times."""
    start = datetime.fromisoformat(visitor.list_starts("intro-call")[0])
    window = find_window(site, start)
    stored = get_document(window, movable_clock.now)
    times = unpack(stored)
    others = [(times[0][0] + 60, None), *times[1:]]
    store_document(window, add_stamp({**stored, "times": pack(others)}))
    assert start.isoformat() not in visitor.list_starts("intro-call")
    assert not is_cached(visitor, month="2099-01")
