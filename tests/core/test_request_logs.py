"""Django's own request logs contain no token of our links and webhooks."""

from __future__ import annotations

import logging

import pytest
from django.template import Context, Engine
from django.test import Client

from django_meetergo import links, request_logs
from django_meetergo.models import Booking
from tests.pages.conftest import site, visitor  # noqa: F401 - fixtures

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _keep_logs(caplog):
    caplog.set_level(logging.INFO, "django")


def test_a_refused_delivery_does_not_log_the_token(meetergo_sandbox, settings, caplog):
    [token] = settings.MEETERGO["WEBHOOK_TOKENS"]
    for body in (b"no JSON", b"x" * 300_000):
        assert (
            Client().post(f"/book/webhooks/{token}/", body, content_type="application/json").status_code
            >= 400
        )
    assert "/book/webhooks/[token]/" in caplog.text
    assert token not in caplog.text


def test_a_refused_change_does_not_log_the_link(visitor, caplog):  # noqa: F811
    visitor.book()
    path = links.get_manage_path(Booking.objects.get().attendee)
    strict = Client(enforce_csrf_checks=True)
    assert strict.post(f"{path}cancel/").status_code >= 400
    assert strict.put(path).status_code == 405
    token = path.strip("/").split("/")[-1]
    assert "[token]" in caplog.text
    assert token not in caplog.text


def test_the_log_of_runserver_shows_no_signed_link(visitor, caplog):  # noqa: F811
    visitor.book()
    path = links.get_manage_path(Booking.objects.get().attendee)
    logging.getLogger("django.server").info('"GET %s HTTP/1.1" 200 5', path)
    assert '"GET /book/manage/[token]/ HTTP/1.1" 200 5' in caplog.text


def test_the_log_of_runserver_shows_no_webhook_token(settings, caplog):
    [token] = settings.MEETERGO["WEBHOOK_TOKENS"]
    logging.getLogger("django.server").info('"POST %s HTTP/1.1" 200 0', f"/book/webhooks/{token}/")
    assert '"POST /book/webhooks/[token]/ HTTP/1.1" 200 0' in caplog.text


@pytest.mark.parametrize("tokens", [None, 5, "text"])
def test_wrong_settings_break_no_log(settings, caplog, tokens):
    """Every 404 of the site is logged."""
    settings.MEETERGO = {**settings.MEETERGO, "WEBHOOK_TOKENS": tokens}
    logging.getLogger("django.server").info("GET %s", "/nowhere/")
    assert "GET /nowhere/" in caplog.text


def test_other_paths_are_logged_as_they_are(client, caplog):
    client.get("/webhooks/not-ours/")
    assert "/webhooks/not-ours/" in caplog.text


def test_installing_the_filters_twice_adds_one():
    request_logs.install_filters()
    request_logs.install_filters()
    found = [
        item
        for item in logging.getLogger("django.request").filters
        if isinstance(item, request_logs.MaskTokens)
    ]
    assert len(found) == 1


def test_a_template_without_a_variable_logs_its_name_and_not_the_page(visitor, caplog):  # noqa: F811
    """Django's DEBUG message contains the whole context: the link, and who the page is about."""
    caplog.set_level(logging.DEBUG, "django.template")
    visitor.book()
    path = Booking.objects.get().get_outcome_url()
    caplog.clear()
    assert Client().get(path).status_code == 200
    messages = [record for record in caplog.records if record.name == "django.template"]
    assert messages
    assert path.strip("/").split("/")[-1] not in caplog.text
    assert Booking.objects.get().email not in caplog.text


def test_other_templates_log_their_context(caplog):
    caplog.set_level(logging.DEBUG, "django.template")
    Engine().from_string("{{ of.the.site }}").render(Context({"of": {}}))
    assert "Failed lookup for key [the]" in caplog.text
