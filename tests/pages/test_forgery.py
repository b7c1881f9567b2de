"""A form that may be forged does nothing, and whoever filled it in loses nothing."""

from __future__ import annotations

import html
import re
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.test import Client

from django_meetergo import links
from django_meetergo.models import Attendee, Booking
from tests.pages.conftest import PERSON, Visitor

pytestmark = pytest.mark.django_db(transaction=True)

DETAILS = "/book/intro-call/details/"


@pytest.fixture
def strict(site: Any) -> Visitor:
    """A browser whose forms are checked."""
    return Visitor(Client(enforce_csrf_checks=True))


@pytest.fixture
def attendee(visitor: Visitor) -> Attendee:
    visitor.book()
    return Attendee.objects.get()


def read_form(page: str) -> dict[str, str]:
    """What the form that is shown would send, as far as it was typed or is hidden."""
    inputs = re.findall(r"<input[^>]*>", page)
    found = {name: value for tag in inputs for name, value in [read_input(tag)] if name}
    return {name: html.unescape(value) for name, value in found.items()}


def read_input(tag: str) -> tuple[str, str]:
    name, value = (re.search(rf'\s{what}="([^"]*)"', tag) for what in ("name", "value"))
    is_left_out = 'type="checkbox"' in tag and " checked" not in tag
    return ("" if is_left_out or not name else name[1]), (value[1] if value else "")


def test_who_signed_in_meanwhile_sends_the_form_again_and_books(strict: Any, site: Any) -> None:
    form = strict.fill_in("intro-call", last_name='D"oe')
    token = read_form(strict.text(DETAILS, start=form["start"]))["csrfmiddlewaretoken"]
    strict.client.force_login(get_user_model().objects.create_user("jane"))
    strict.client.cookies["csrftoken"] = "x" * 32
    refused = strict.post(DETAILS, **form, csrfmiddlewaretoken=token)
    page = refused.content.decode()
    assert refused.status_code == 403
    assert "There is a problem" in page
    assert "please send it again" in page
    assert site.posts() == 0
    again = read_form(page)
    assert (again["last_name"], again["email"], again["start"]) == ('D"oe', form["email"], form["start"])
    answer = strict.post(DETAILS, **again)
    assert answer.status_code == 303
    assert Booking.objects.get().state == Booking.State.CONFIRMED


def test_who_sends_no_cookie_is_told_so(strict: Any, site: Any) -> None:
    form = strict.fill_in("intro-call")
    strict.client.cookies.clear()
    refused = strict.post(DETAILS, **form)
    assert refused.status_code == 403
    assert "your browser sent no cookie with the form" in refused.content.decode()
    assert site.posts() == 0


def test_another_sites_page_is_refused_as_ever(strict: Any, site: Any) -> None:
    """No form for it to fill in: nobody typed this one."""
    page = strict.text(DETAILS, start=strict.list_starts("intro-call")[0])
    form = {**read_form(page), **PERSON}
    refused = strict.client.post(DETAILS, form, headers={"Origin": "https://evil.example"})
    assert refused.status_code == 403
    assert b"<form" not in refused.content
    assert site.posts() == 0
    assert strict.client.post(DETAILS, form, headers={"Origin": "http://testserver"}).status_code == 303


def test_a_reason_that_was_typed_is_still_there_and_nothing_is_cancelled(
    strict: Any, site: Any, attendee: Attendee
) -> None:
    path = f"{links.manage(attendee)}cancel/"
    refused = strict.post(path, reason="I am <ill>")
    assert refused.status_code == 403
    assert "I am &lt;ill&gt;" in refused.content.decode()
    attendee.appointment.refresh_from_db()
    assert not attendee.appointment.changes.exists()
    again = read_form(refused.content.decode())
    assert strict.post(path, **again, reason="I am <ill>").status_code == 303
    assert attendee.appointment.changes.exists()


def test_a_move_is_asked_about_once_more(strict: Any, site: Any, attendee: Attendee) -> None:
    path = f"{links.manage(attendee)}reschedule/"
    start = re.findall(r'name="start" value="([^"]+)"', strict.text(path))[-1]
    refused = strict.post(path, start=start)
    assert refused.status_code == 403
    assert "There is a problem" in refused.content.decode()
    assert not attendee.appointment.changes.exists()
    assert strict.post(path, **read_form(refused.content.decode())).status_code == 303
    assert attendee.appointment.changes.exists()


def test_a_look_that_is_not_surely_theirs_shows_the_page_and_asks_nobody(
    strict: Any, site: Any, visitor: Any
) -> None:
    pages = [visitor.book("checkup")["Location"]]
    visitor.book()
    pages.append(links.manage(Attendee.objects.get()))
    site.fail_next("POST /booking/confirm/cancel/{id}/{secret}", "drop_after")
    site.fail_next("GET /v4/appointment/{id}", "drop_before", times=2)
    visitor.post(f"{pages[1]}cancel/")
    for path in pages:
        asked = len(site.sandbox.journal.entries())
        answer = strict.post(path)
        assert (answer.status_code, answer["Location"]) == (303, path)
        assert len(site.sandbox.journal.entries()) == asked
        visitor.post(path)
        assert len(site.sandbox.journal.entries()) > asked


def test_the_zone_is_not_set_by_another_site(strict: Any) -> None:
    assert strict.post("/book/timezone/", tz="UTC").status_code == 403


def test_the_check_is_made_without_a_middleware_for_it(strict: Any, site: Any, settings: Any) -> None:
    settings.MIDDLEWARE = [name for name in settings.MIDDLEWARE if "csrf" not in name]
    form = strict.fill_in("intro-call")
    refused = strict.post(DETAILS, **form)
    assert refused.status_code == 403
    assert strict.post(DETAILS, **{**read_form(refused.content.decode()), **PERSON}).status_code == 303
