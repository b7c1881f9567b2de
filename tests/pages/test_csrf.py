"""A form that fails the CSRF check changes nothing, and nothing typed is lost."""

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
from tests.pages.conftest import DETAILS as VISITOR_DETAILS
from tests.pages.conftest import Visitor

pytestmark = pytest.mark.django_db(transaction=True)

DETAILS = "/book/intro-call/details/"


@pytest.fixture
def strict(site: Any) -> Visitor:
    """A visitor whose requests pass through the CSRF check."""
    return Visitor(Client(enforce_csrf_checks=True))


@pytest.fixture
def attendee(visitor: Visitor) -> Attendee:
    visitor.book()
    return Attendee.objects.get()


def read_form(page: str) -> dict[str, str]:
    """Return the values of the inputs on the page: typed and hidden."""
    inputs = re.findall(r"<input[^>]*>", page)
    found = {name: value for tag in inputs for name, value in [read_input(tag)] if name}
    return {name: html.unescape(value) for name, value in found.items()}


def read_input(tag: str) -> tuple[str, str]:
    name, value = (re.search(rf'\s{what}="([^"]*)"', tag) for what in ("name", "value"))
    is_left_out = 'type="checkbox"' in tag and " checked" not in tag
    return ("" if is_left_out or not name else name[1]), (value[1] if value else "")


def test_a_visitor_who_signed_in_meanwhile_sends_the_form_again(strict: Any, site: Any) -> None:
    form = strict.fill_in("intro-call", last_name='D"oe')
    token = read_form(strict.text(DETAILS, start=form["start"]))["csrfmiddlewaretoken"]
    strict.client.force_login(get_user_model().objects.create_user("jane"))
    strict.client.cookies["csrftoken"] = "x" * 32
    refused = strict.post(DETAILS, **form, csrfmiddlewaretoken=token)
    page = refused.content.decode()
    assert refused.status_code == 403
    assert "There is a problem" in page
    assert "please send the form again" in page
    assert site.count_requests() == 0
    again = read_form(page)
    assert (again["last_name"], again["email"], again["start"]) == ('D"oe', form["email"], form["start"])
    answer = strict.post(DETAILS, **again)
    assert answer.status_code == 303
    assert Booking.objects.get().state == Booking.State.CONFIRMED


def test_a_missing_cookie_is_named(strict: Any, site: Any) -> None:
    form = strict.fill_in("intro-call")
    strict.client.cookies.clear()
    refused = strict.post(DETAILS, **form)
    assert refused.status_code == 403
    assert "your browser sent no cookie with the form" in refused.content.decode()
    assert site.count_requests() == 0


def test_a_form_of_another_site_gets_djangos_refusal(strict: Any, site: Any) -> None:
    """No form is shown, since the visitor typed nothing."""
    page = strict.text(DETAILS, start=strict.list_starts("intro-call")[0])
    form = {**read_form(page), **VISITOR_DETAILS}
    refused = strict.client.post(DETAILS, form, headers={"Origin": "https://evil.example"})
    assert refused.status_code == 403
    assert b"<form" not in refused.content
    assert site.count_requests() == 0
    assert strict.client.post(DETAILS, form, headers={"Origin": "http://testserver"}).status_code == 303


def test_a_refused_cancel_keeps_the_reason_and_cancels_nothing(
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


def test_a_refused_move_asks_for_confirmation_again(strict: Any, site: Any, attendee: Attendee) -> None:
    path = f"{links.get_manage_path(attendee)}reschedule/"
    start = re.findall(r'name="start" value="([^"]+)"', strict.text(path))[-1]
    refused = strict.post(path, start=start)
    assert refused.status_code == 403
    assert "There is a problem" in refused.content.decode()
    assert not attendee.appointment.changes.exists()
    assert strict.post(path, **read_form(refused.content.decode())).status_code == 303
    assert attendee.appointment.changes.exists()


def test_a_refused_check_again_reads_nothing_from_meetergo(strict: Any, site: Any, visitor: Any) -> None:
    pages = [visitor.book("checkup")["Location"]]
    visitor.book()
    pages.append(links.get_manage_path(Attendee.objects.get()))
    site.fail_next("POST /booking/confirm/cancel/{id}/{secret}", "drop_after")
    site.fail_next("GET /v4/appointment/{id}", "drop_before", times=2)
    visitor.post(f"{pages[1]}cancel/")
    for path in pages:
        calls = len(site.sandbox.request_log.entries())
        answer = strict.post(path)
        assert (answer.status_code, answer["Location"]) == (303, path)
        assert len(site.sandbox.request_log.entries()) == calls
        visitor.post(path)
        assert len(site.sandbox.request_log.entries()) > calls


def test_the_time_zone_form_is_checked_too(strict: Any) -> None:
    assert strict.post("/book/timezone/", tz="UTC").status_code == 403


def test_the_forms_are_checked_without_csrf_middleware(strict: Any, site: Any, settings: Any) -> None:
    settings.MIDDLEWARE = [name for name in settings.MIDDLEWARE if "csrf" not in name]
    form = strict.fill_in("intro-call")
    refused = strict.post(DETAILS, **form)
    assert refused.status_code == 403
    assert (
        strict.post(DETAILS, **{**read_form(refused.content.decode()), **VISITOR_DETAILS}).status_code == 303
    )


class TenantCsrfMiddleware(CsrfViewMiddleware):
    """A site's own CSRF middleware, which trusts an additional origin."""

    def _origin_verified(self, request: Any) -> bool:
        return request.META["HTTP_ORIGIN"] == "https://tenant.example" or super()._origin_verified(request)


class RotateTokenMiddleware:
    """Issue a new token after the check, as signing in does."""

    def __init__(self, get_response: Any) -> None:
        self.get_response = get_response

    def __call__(self, request: Any) -> Any:
        if "rotate" in request.GET:
            rotate_token(request)
        return self.get_response(request)


def use_middleware(settings: Any, check: str, *more: str) -> None:
    django = "django.middleware.csrf.CsrfViewMiddleware"
    settings.MIDDLEWARE = [*(check if name == django else name for name in settings.MIDDLEWARE), *more]


def test_the_sites_own_csrf_middleware_decides(strict: Any, site: Any, settings: Any) -> None:
    use_middleware(settings, f"{__name__}.TenantCsrfMiddleware")
    form = strict.fill_in("intro-call")
    page = {**read_form(strict.text(DETAILS, start=form["start"])), **VISITOR_DETAILS}
    for origin, status in (("https://evil.example", 403), ("https://tenant.example", 303)):
        assert strict.client.post(DETAILS, page, headers={"Origin": origin}).status_code == status


def test_a_token_rotated_during_the_request_is_kept(strict: Any, site: Any, settings: Any) -> None:
    use_middleware(settings, "django.middleware.csrf.CsrfViewMiddleware", f"{__name__}.RotateTokenMiddleware")
    page = read_form(strict.text(DETAILS, start=strict.list_starts("intro-call")[0]))
    before = strict.client.cookies["csrftoken"].value
    strict.post(f"{DETAILS}?rotate=1", **{**page, **VISITOR_DETAILS})
    assert strict.client.cookies["csrftoken"].value != before


def test_an_unreadable_body_is_refused(site: Any) -> None:
    class BrokenStream:
        def read(self, *size: int) -> bytes:
            raise OSError("gone")

    broken = RequestFactory().post(DETAILS, {"first_name": "Jane"})
    broken._stream = BrokenStream()
    assert details(broken, "intro-call").status_code == 403


def test_an_expired_form_needs_one_more_submission_only(strict: Any, site: Any) -> None:
    form = {**strict.fill_in("intro-call"), "token": "an~old~one"}
    refused = strict.post(DETAILS, **form)
    assert refused.status_code == 403
    again = read_form(refused.content.decode())
    assert strict.post(DETAILS, **again).status_code == 303


def test_a_refused_form_sets_no_details_cookie(strict: Any, site: Any) -> None:
    refused = strict.post(DETAILS, **{**VISITOR_DETAILS, "start": "", "first_name": "Mallory"})
    assert "meetergo_details" not in refused.cookies


def test_an_ended_session_is_not_reported_as_a_missing_cookie(strict: Any, settings: Any) -> None:
    form = strict.fill_in("intro-call")
    settings.CSRF_USE_SESSIONS = True
    assert "please send the form again" in strict.post(DETAILS, **form).content.decode()


def test_a_refused_cancel_of_a_past_appointment_shows_no_form(
    strict: Any, site: Any, settings: Any, attendee: Attendee
) -> None:
    Appointment.objects.update(
        start=timezone.now() - timedelta(days=2), end=timezone.now() - timedelta(days=1)
    )
    refused = strict.post(f"{links.get_manage_path(attendee)}cancel/", reason="late")
    assert refused.status_code == 409
    assert "Cancel appointment" not in refused.content.decode()
