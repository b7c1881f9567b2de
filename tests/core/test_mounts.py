"""Addresses are the same in requests, commands and threads, however the site is mounted."""

from __future__ import annotations

import threading

import pytest
from django.db import transaction
from django.test import Client
from django.urls import clear_script_prefix, reverse, set_script_prefix
from django.utils import translation

from django_meetergo import links, urls
from django_meetergo.services.mirror.directory import RESERVED_SLUGS
from django_meetergo.services.webhooks.registration import build_endpoint
from django_meetergo.testing.guards import OpenTransaction, refuse_open_transactions
from django_meetergo.transactions import reading_for_site


@pytest.fixture
def mount(settings):
    """Return a function that mounts the site; ``prefix`` is what this thread knows about it."""

    def mount(site_url, *, forced=None, prefix="/"):
        settings.MEETERGO = {**settings.MEETERGO, "SITE_URL": site_url}
        settings.FORCE_SCRIPT_NAME = forced
        set_script_prefix(prefix)

    yield mount
    clear_script_prefix()


@pytest.mark.parametrize("prefix", ["/", "/clinic/"])
@pytest.mark.parametrize(
    ("site_url", "forced"),
    [
        ("https://a.example/clinic", None),
        ("https://a.example/clinic/", None),
        ("https://a.example", "/clinic"),
        ("https://a.example", "/clinic/"),
        ("https://a.example/clinic", "/clinic"),
    ],
)
def test_a_link_has_the_prefix_once(mount, site_url, forced, prefix):
    """With the prefix of a request, and without it, as in a thread or a command."""
    mount(site_url, forced=forced, prefix=prefix)

    assert links.build_absolute_url(reverse("meetergo:index")) == "https://a.example/clinic/book/"


def test_a_prefix_of_a_slash_is_none(mount):
    """A second slash at the start would make the path a host."""
    mount("https://a.example", forced="/")

    assert links.build_absolute_url(reverse("meetergo:index")) == "https://a.example/book/"


def test_a_background_thread_knows_the_forced_prefix(mount):
    mount("https://a.example", forced="/clinic", prefix="/clinic/")
    found = []
    thread = threading.Thread(
        target=lambda: found.append(links.build_absolute_url(reverse("meetergo:index")))
    )
    thread.start()
    thread.join()

    assert found == ["https://a.example/clinic/book/"]


def test_the_webhook_has_one_address_in_every_language(settings):
    settings.ROOT_URLCONF = "tests.hosts.urls_languages"
    settings.LANGUAGE_CODE = "en"
    with translation.override("de"):
        assert "/en/book/webhooks/" in build_endpoint("default")


@pytest.mark.parametrize(
    ("language", "chosen"), [("de-at", "de"), ("fr", "en"), ("", "en"), ("x" * 600, "en")]
)
def test_links_and_mails_use_a_language_that_the_site_has(settings, language, chosen):
    settings.LANGUAGES, settings.LANGUAGE_CODE = [("de", "Deutsch"), ("en", "English")], "en"

    assert links.choose_language(language) == chosen


@pytest.mark.parametrize(
    ("site_url", "given", "is_reported"),
    [
        ("https://a.example", {"environ": {"SCRIPT_NAME": "/clinic"}}, True),
        ("https://a.example", {"scope": {"root_path": "/clinic"}}, True),
        ("https://a.example/clinic", {"environ": {"SCRIPT_NAME": "/clinic"}}, False),
        ("https://a.example", {"environ": {"SCRIPT_NAME": ""}}, False),
        ("", {"environ": {"SCRIPT_NAME": "/clinic"}}, False),
    ],
)
def test_a_prefix_that_links_in_mails_lack_is_reported(mount, caplog, site_url, given, is_reported):
    mount(site_url)
    links.report_unknown_prefix(**given)

    assert ("mounts this site at /clinic" in caplog.text) is is_reported


@pytest.mark.django_db(transaction=True)
def test_the_guard_refuses_our_transactions_and_allows_that_of_a_page_of_the_site():
    with transaction.atomic():
        with pytest.raises(OpenTransaction):
            refuse_open_transactions("GET", "/v4/booking-availability")
        with reading_for_site():
            refuse_open_transactions("GET", "/v4/booking-availability")


@pytest.mark.django_db
def test_the_kit_delivers_webhooks_to_a_mounted_site(mount, meetergo_sandbox):
    mount("https://a.example/clinic")
    meetergo_sandbox.register_webhook()

    assert meetergo_sandbox._deliver("https://a.example/clinic/book/webhooks/none/", b"{}") == 404
    [hook] = meetergo_sandbox.client("sync").list_webhooks()
    body = b'{"webhookType": "booking_created", "id": "x"}'
    assert meetergo_sandbox._deliver(hook.endpoint, body) == 200
    assert Client().get("/clinic/book/").status_code == 404


@pytest.mark.django_db
def test_a_site_that_requires_a_login_asks_for_none_where_the_address_is_the_permission(settings):
    settings.MIDDLEWARE = [
        *settings.MIDDLEWARE,
        "django.contrib.auth.middleware.LoginRequiredMiddleware",
    ]
    settings.LOGIN_URL = "/admin/login/"
    assert Client().get("/book/").status_code == 302
    assert Client().get("/book/manage/x/").status_code == 404
    assert Client().post("/book/webhooks/x/", b"{}", content_type="application/json").status_code == 404


def test_no_meeting_type_takes_the_address_of_another_page():
    """A type of this name gets a slug with a number."""
    first_parts = {str(each.pattern).partition("/")[0] for each in urls.urlpatterns}

    assert first_parts - {"", "<slug:slug>"} == RESERVED_SLUGS
