"""What was rendered for one visitor is shown to the next: while it is true, and nothing of the first one."""

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

from django_meetergo.models import MeetingType
from django_meetergo.presentation.page_cache import get_first_visit, render_page_part
from django_meetergo.services.availability import demand, store
from django_meetergo.services.availability.invalidation import remove_slot
from django_meetergo.services.availability.refresh import fetch_window
from django_meetergo.services.availability.store import (
    Window,
    add_stamp,
    document_cache,
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


def is_kept(visitor: Visitor, path: str = PAGE, **query: str) -> bool:
    """Whether this page comes without asking the database."""
    with CaptureQueriesContext(connection) as found:
        assert visitor.get(path, **query).status_code == 200
    return not len(found)


def test_the_second_one_to_arrive_sees_what_the_first_one_saw(visitor: Any, half_past: Any) -> None:
    first = visitor.text(PAGE)
    assert is_kept(visitor)
    assert visitor.text(PAGE) == first
    assert is_kept(visitor, utm_source="newsletter")


def test_a_time_that_is_gone_is_gone_at_once(visitor: Any, site: Any, half_past: Any) -> None:
    start = visitor.list_starts("intro-call")[0]
    meeting_type = site.meeting_type()
    remove_slot(
        meeting_type=meeting_type, start=datetime.fromisoformat(start), duration=meeting_type.duration
    )
    assert not is_kept(visitor)
    assert start not in visitor.list_starts("intro-call")


def test_a_refresh_is_seen_at_once(visitor: Any, site: Any, half_past: Any) -> None:
    start = datetime.fromisoformat(visitor.list_starts("intro-call")[0])
    site.occupy_slot(start)
    fetch_window(find_window(site, start), client=site.client("view"), now=half_past.now, refresh_cache=True)
    assert start not in map(datetime.fromisoformat, visitor.list_starts("intro-call"))


def find_window(site: Any, start: datetime) -> Window:
    meeting_type = site.meeting_type()
    return store.find_window(meeting_type, meeting_type.duration, start)


def test_what_the_directory_says_now_is_shown_at_once(visitor: Any, site: Any, half_past: Any) -> None:
    visitor.get(PAGE)
    for meeting_type in site.sandbox.state.meeting_types.values():
        meeting_type.enabled = False
    site.sync_directory()
    assert visitor.get(PAGE).status_code == 410


def test_nothing_outlives_its_minute(visitor: Any, site: Any, half_past: Any) -> None:
    """What nobody tells us of, a name that a site wrote itself for one, shows within a minute."""
    visitor.get(PAGE)
    MeetingType.objects.update(name="Another name")
    assert "Another name" not in visitor.text(PAGE)
    half_past.move(seconds=31)
    assert "Another name" in visitor.text(PAGE)


def test_a_view_of_a_kept_page_is_a_view(visitor: Any, half_past: Any) -> None:
    """Free times that nobody rendered anew are looked at all the same: that decides what is refreshed."""
    visitor.get(PAGE)
    demand.recent_views.forget()
    document_cache().delete(demand.CACHE_KEY)
    assert is_kept(visitor)
    assert demand.read_interest(document_cache())


def test_a_kept_page_asks_for_a_refresh_as_any_other(visitor: Any, site: Any, half_past: Any) -> None:
    start = datetime.fromisoformat(visitor.list_starts("intro-call")[0])
    window = find_window(site, start)
    flag_document(window, marked=True)
    visitor.get(PAGE)
    document_cache().delete(f"{window.key}:asked")
    rings: list[Any] = []
    work_due.connect(lambda **ring: rings.append(ring), weak=False, dispatch_uid="counts")
    try:
        assert is_kept(visitor)
    finally:
        work_due.disconnect(dispatch_uid="counts")
    assert len(rings) == 1


def test_each_visitor_gets_a_form_token_of_their_own(site: Any, settings: Any, tmp_path: Any) -> None:
    """A site's own template may hold a form."""
    override(settings, tmp_path, "<form method=post>{% csrf_token %}</form>{{ meeting_type.name }}")
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


def test_nothing_of_the_one_who_came_first_reaches_the_next(
    visitor: Any, settings: Any, tmp_path: Any
) -> None:
    """Not even through a template that tries: the kept part is rendered without the request."""
    override(settings, tmp_path, "[{{ user }}{{ request.user }}{{ request.path }}]{{ meeting_type.name }}")
    jane = get_user_model().objects.create_user("jane", password="jane")
    visitor.client.force_login(jane)
    assert "[]Intro call" in visitor.text(PAGE)
    assert "jane" not in Client().get(PAGE).content.decode()


def override(settings: Any, tmp_path: Any, text: str) -> None:
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
def test_who_arrives_otherwise_sees_another_page(
    visitor: Any, half_past: Any, settings: Any, other: dict[str, str]
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
def test_who_asks_for_something_is_answered_anew(visitor: Any, half_past: Any, query: dict[str, str]) -> None:
    visitor.get(PAGE)
    assert not is_kept(visitor, **query)


def test_an_answer_that_did_not_come_is_not_kept(visitor: Any, site: Any, half_past: Any) -> None:
    site.fail_next("GET /v4/booking-availability", times=20)
    assert "We cannot show free times right now" in visitor.text(PAGE)
    site.sandbox.faults.clear()
    site.reset_rate_limit()
    assert visitor.list_starts("intro-call")


def test_nothing_is_kept_while_a_site_is_developed(visitor: Any, half_past: Any, settings: Any) -> None:
    settings.DEBUG = True
    visitor.get(PAGE)
    assert not is_kept(visitor)
    assert get_first_visit(RequestFactory().get("/"), find_zone("UTC"), half_past.now) is None


def test_nobody_can_fill_the_cache_with_pages(visitor: Any, half_past: Any) -> None:
    """Any port is allowed, and there are six hundred zones: pages for each would push out everything else."""
    visitor.get(PAGE)
    with CaptureQueriesContext(connection) as found:
        Client().get(PAGE, HTTP_HOST="testserver:8001")
    assert len(found) == 0
    rare = {"HTTP_COOKIE": "meetergo_tz=Pacific/Kiritimati"}
    Client().get(PAGE, **rare)
    with CaptureQueriesContext(connection) as found:
        Client().get(PAGE, **rare)
    assert len(found) == 2


def test_what_an_address_carries_stays_with_whoever_sent_it(
    visitor: Any, settings: Any, tmp_path: Any, half_past: Any
) -> None:
    """A newsletter may put somebody's address into its links."""
    override(settings, tmp_path, "{{ zone_next }}|{{ here.to }}|{{ meeting_type.name }}")
    assert "|Intro call" in visitor.text(PAGE, email="jane@example.com")
    assert is_kept(visitor)
    assert "jane" not in visitor.text(PAGE)


def test_each_rendering_has_a_mark_that_nobody_knows(visitor: Any, half_past: Any) -> None:
    """Who knew it could have a visitor's form token put into a link."""
    found = [render_page_part("includes/contact", {"contact": "x"}) for _ in range(2)]
    assert len({part.mark for part in found}) == 2


def test_copies_that_look_alike_are_told_apart(visitor: Any, site: Any, half_past: Any) -> None:
    """Two that were written at one moment may list as many times, but others."""
    start = datetime.fromisoformat(visitor.list_starts("intro-call")[0])
    window = find_window(site, start)
    stored = get_document(window, half_past.now)
    times = unpack(stored)
    others = [(times[0][0] + 60, None), *times[1:]]
    store_document(window, add_stamp({**stored, "times": pack(others)}))
    assert start.isoformat() not in visitor.list_starts("intro-call")
    assert not is_kept(visitor, month="2099-01")
