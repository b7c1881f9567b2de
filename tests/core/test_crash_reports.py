"""Error pages and mails to ADMINS contain no token of our links and webhooks."""

from __future__ import annotations

import logging
from unittest import mock

import django
import pytest
from django.core import mail
from django.test import Client
from django.utils.log import AdminEmailHandler

from django_meetergo import links
from django_meetergo.models import Booking
from tests.pages.conftest import site, visitor  # noqa: F401 - fixtures

pytestmark = pytest.mark.django_db(transaction=True)

CRASH = {"side_effect": RuntimeError("a mistake")}


@pytest.fixture(autouse=True)
def _reporter(settings, monkeypatch):
    settings.DEFAULT_EXCEPTION_REPORTER = "django_meetergo.crash_reports.MaskingReporter"
    address = "ann@clinic.example"
    settings.ADMINS = [address] if django.VERSION >= (6, 0) else [("Ann", address)]
    # The handler that Django has made at its start knows the reporter of that time.
    monkeypatch.setattr(
        logging.getLogger("django.request"), "handlers", [AdminEmailHandler(include_html=True)]
    )
    monkeypatch.setattr(logging.getLogger("django.request"), "propagate", False)


@pytest.mark.parametrize("debug", [False, True])
def test_a_crash_of_a_page_shows_no_link(visitor, settings, debug):  # noqa: F811
    visitor.book()
    path = links.get_manage_path(Booking.objects.get().attendee)
    settings.DEBUG = debug
    with mock.patch("django_meetergo.views.manage.describe_appointment", **CRASH):
        page = Client(raise_request_exception=False).get(path).content.decode()
    check([page], path.strip("/").split("/")[-1])


@pytest.mark.parametrize("debug", [False, True])
def test_a_crash_of_the_webhook_shows_no_token(meetergo_sandbox, settings, debug):
    [token] = settings.MEETERGO["WEBHOOK_TOKENS"]
    settings.DEBUG = debug
    with mock.patch("django_meetergo.views.webhook.receive_delivery", **CRASH):
        client = Client(raise_request_exception=False)
        page = client.post(f"/book/webhooks/{token}/", {}, content_type="application/json").content.decode()
    check([page], token)


def check(pages: list[str], token: str) -> None:
    """Check the page of a development server, or the mail to the administrators."""
    texts = pages + [message.body + str(message.alternatives) for message in mail.outbox]
    assert any("a mistake" in text for text in texts)
    assert all(token not in text for text in texts)
