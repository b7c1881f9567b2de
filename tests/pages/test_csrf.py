"""A form that may be forged does nothing, and whoever filled it in loses nothing."""

from __future__ import annotations

import html
import re
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.middleware.csrf import CsrfViewMiddleware, rotate_token
from django.test import Client, RequestFactory
from django.utils import timezone

from django_meetergo import links
from django_meetergo.models import Appointment, Attendee, Booking
from django_meetergo.views.details import details
from tests.pages.conftest import NEEDS_STAFF, Visitor

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
    form = {**read_form(page), **NEEDS_STAFF}
    refused = strict.client.post(DETAILS, form, headers={"Origin": "https://evil.example"})
    assert refused.status_code == 403
    assert b"<form" not in refused.content
    assert site.posts() == 0
    assert strict.client.post(DETAILS, form, headers={"Origin": "http://testserver"}).status_code == 303


def test_a_reason_that_was_typed_is_still_there_and_nothing_is_cancelled(
    strict: Any, site: Any, attendee: Attendee
) -> None:
    path = f"{links.get_manage_path(attendee)}cancel/"
    refused = strict.post(path, reason="I am <ill>")
    assert refused.status_code == 403
    assert "I am &lt;ill&gt;" in refused.content.decode()
    attendee.appointment.refresh_from_db()
    assert not attendee.appointment.changes.exists()
    again = read_form(refused.content.decode())
    assert strict.post(path, **again, reason="I am <ill>").status_code == 303
    assert attendee.appointment.changes.exists()


def test_a_move_is_asked_about_once_more(strict: Any, site: Any, attendee: Attendee) -> None:
    path = f"{links.get_manage_path(attendee)}reschedule/"
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
    pages.append(links.get_manage_path(Attendee.objects.get()))
    site.fail_next("POST /booking/confirm/cancel/{id}/{secret}", "drop_after")
    site.fail_next("GET /v4/appointment/{id}", "drop_before", times=2)
    visitor.post(f"{pages[1]}cancel/")
    for path in pages:
        asked = len(site.sandbox.request_log.entries())
        answer = strict.post(path)
        assert (answer.status_code, answer["Location"]) == (303, path)
        assert len(site.sandbox.request_log.entries()) == asked
        visitor.post(path)
        assert len(site.sandbox.request_log.entries()) > asked


def test_the_zone_is_not_set_by_another_site(strict: Any) -> None:
    assert strict.post("/book/timezone/", tz="UTC").status_code == 403


def test_the_check_is_made_without_a_middleware_for_it(strict: Any, site: Any, settings: Any) -> None:
    settings.MIDDLEWARE = [name for name in settings.MIDDLEWARE if "csrf" not in name]
    form = strict.fill_in("intro-call")
    refused = strict.post(DETAILS, **form)
    assert refused.status_code == 403
    assert strict.post(DETAILS, **{**read_form(refused.content.decode()), **NEEDS_STAFF}).status_code == 303


class Tenants(CsrfViewMiddleware):
    """A site's own check, which knows more origins than the settings."""

    def _origin_verified(self, request: Any) -> bool:
        return request.META["HTTP_ORIGIN"] == "https://tenant.example" or super()._origin_verified(request)


class Rotating:
    """Something after the check that gives a new token, as signing in does."""

    def __init__(self, get_response: Any) -> None:
        self.get_response = get_response

    def __call__(self, request: Any) -> Any:
        if "rotate" in request.GET:
            rotate_token(request)
        return self.get_response(request)


def use(settings: Any, check: str, *more: str) -> None:
    django = "django.middleware.csrf.CsrfViewMiddleware"
    settings.MIDDLEWARE = [*(check if name == django else name for name in settings.MIDDLEWARE), *more]


def test_a_check_of_the_sites_own_is_the_one_that_is_made(strict: Any, site: Any, settings: Any) -> None:
    use(settings, f"{__name__}.Tenants")
    form = strict.fill_in("intro-call")
    page = {**read_form(strict.text(DETAILS, start=form["start"])), **NEEDS_STAFF}
    for origin, status in (("https://evil.example", 403), ("https://tenant.example", 303)):
        assert strict.client.post(DETAILS, page, headers={"Origin": origin}).status_code == status


def test_a_token_that_was_renewed_on_the_way_stays_the_new_one(strict: Any, site: Any, settings: Any) -> None:
    use(settings, "django.middleware.csrf.CsrfViewMiddleware", f"{__name__}.Rotating")
    page = read_form(strict.text(DETAILS, start=strict.list_starts("intro-call")[0]))
    before = strict.client.cookies["csrftoken"].value
    strict.post(f"{DETAILS}?rotate=1", **{**page, **NEEDS_STAFF})
    assert strict.client.cookies["csrftoken"].value != before


def test_a_body_that_never_arrives_is_refused(site: Any) -> None:
    class Broken:
        def read(self, *size: int) -> bytes:
            raise OSError("gone")

    broken = RequestFactory().post(DETAILS, {"first_name": "Jane"})
    broken._stream = Broken()
    assert details(broken, "intro-call").status_code == 403


def test_an_old_form_is_sent_again_once_and_not_three_times(strict: Any, site: Any) -> None:
    form = {**strict.fill_in("intro-call"), "token": "an~old~one"}
    refused = strict.post(DETAILS, **form)
    assert refused.status_code == 403
    again = read_form(refused.content.decode())
    assert strict.post(DETAILS, **again).status_code == 303


def test_what_may_be_forged_is_kept_in_nobodys_browser(strict: Any, site: Any) -> None:
    refused = strict.post(DETAILS, **{**NEEDS_STAFF, "start": "", "first_name": "Mallory"})
    assert "meetergo_details" not in refused.cookies


def test_a_session_that_has_ended_is_not_called_a_missing_cookie(strict: Any, settings: Any) -> None:
    form = strict.fill_in("intro-call")
    settings.CSRF_USE_SESSIONS = True
    assert "please send it again" in strict.post(DETAILS, **form).content.decode()


def test_what_may_not_be_cancelled_is_not_asked_about(
    strict: Any, site: Any, settings: Any, attendee: Attendee
) -> None:
    Appointment.objects.update(
        start=timezone.now() - timedelta(days=2), end=timezone.now() - timedelta(days=1)
    )
    refused = strict.post(f"{links.get_manage_path(attendee)}cancel/", reason="late")
    assert refused.status_code == 409
    assert "Cancel appointment" not in refused.content.decode()
