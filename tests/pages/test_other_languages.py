"""A language that has no catalogue: texts, dates, Django's messages and ``lang`` are in one language."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path

import pytest
from django.core import mail
from django.urls import reverse
from django.utils import translation

from django_meetergo.formatting import format_full_day
from django_meetergo.models import Event
from django_meetergo.testing.factories import BookingFactory
from tests.mails import send_mails
from tests.tags.conftest import Page

pytestmark = pytest.mark.django_db

#: Words of Spanish dates and of Django's Spanish messages.
SPANISH = re.compile(
    r"\b(lunes|martes|jueves|viernes|diciembre|noviembre|enero|Este campo|obligatorio)\b", re.IGNORECASE
)


@pytest.fixture(params=["en-gb", "de"])
def site_language(settings, request):
    """The site's own language, which Django falls back to."""
    settings.LANGUAGE_CODE = request.param
    return request.param


@pytest.fixture(autouse=True)
def fresh_catalogues(settings):
    """Forget the catalogues that Django has loaded: they depend on the settings."""

    def forget():
        translation.trans_real._translations.clear()
        translation.trans_real._default = None

    forget()
    yield
    forget()


def open_in_spanish(client, path, **data):
    method = client.post if data else client.get
    return method(path, data or None, headers={"accept-language": "es"})


def test_a_page_is_in_one_language(meetergo_sandbox, client, site_language):
    """The weekdays, the month, the texts and ``<html lang>`` of the choice of a time."""
    meetergo_sandbox.sync_directory()

    answer = open_in_spanish(client, reverse("meetergo:book", args=["intro-call"]))

    html, expected = answer.content.decode(), site_language[:2]
    assert re.search(r'<html lang="([a-z]+)', html)[1] == expected
    assert answer["Content-Language"].startswith(expected)
    assert not SPANISH.search(html)
    assert ("Zeitzone" in html) is (expected == "de")


def test_messages_of_django_are_in_it_too(meetergo_sandbox, client, site_language):
    """A required field that is empty."""
    start = meetergo_sandbox.list_free_starts()[0]
    path = f"{reverse('meetergo:details', args=['intro-call'])}?start={start:%Y-%m-%dT%H:%M:%SZ}"

    html = open_in_spanish(client, path, first_name="").content.decode()

    assert not SPANISH.search(html)


def test_a_widget_says_in_which_language_it_is(meetergo_sandbox, site_language):
    """The page around it is the site's, in Spanish."""
    meetergo_sandbox.sync_directory()
    with translation.override("es"):
        html = Page().render(
            '{% meetergo_booking_widget "intro-call" %}{% meetergo_next_slots "intro-call" %}'
        )

    assert set(re.findall(r'<div class="meetergo[^>]* lang="([a-z]+)', html)) == {site_language[:2]}
    assert not SPANISH.search(html)


def test_a_mail_is_in_one_language(site_language, settings):
    """To an attendee whose language is Spanish."""
    booking = BookingFactory(state="closed", reason="not_booked", language="es", defer_consent=True)
    event = Event.objects.create(
        kind="booking_closed",
        key="booking:1:booking_closed:1:not_booked",
        booking=booking,
        created_at=booking.created_at,
    )

    send_mails(event)

    (sent,) = mail.outbox
    assert not SPANISH.search(sent.subject + sent.body)


def test_a_catalogue_of_the_site_counts(settings, tmp_path):
    """A site that has translated this app's texts gets its own language."""
    with translation.override("es"):
        assert "December" in format_full_day(datetime(2026, 12, 4, tzinfo=UTC))
    translation.trans_real._translations.clear()
    write_catalogue(tmp_path)
    settings.LOCALE_PATHS = [tmp_path]

    with translation.override("es"):
        assert "diciembre" in format_full_day(datetime(2026, 12, 3, tzinfo=UTC))


def write_catalogue(folder: Path) -> None:
    """Write a compiled Spanish catalogue that holds the code of its language only."""
    import struct

    target = folder / "es" / "LC_MESSAGES"
    target.mkdir(parents=True)
    entries = [
        (b"", b"Content-Type: text/plain; charset=UTF-8\n"),
        (b"code of the language of this catalogue\x04en", b"es"),
    ]
    start = 28 + 16 * len(entries)
    keys = b"\0".join(key for key, _ in entries) + b"\0"
    values = b"\0".join(value for _, value in entries) + b"\0"
    table, at = b"", start
    for texts in ([key for key, _ in entries], [value for _, value in entries]):
        for text in texts:
            table += struct.pack("<II", len(text), at)
            at += len(text) + 1
    head = struct.pack("<7I", 0x950412DE, 0, len(entries), 28, 28 + 8 * len(entries), 0, start)
    (target / "django.mo").write_bytes(head + table + keys + values)


def test_links_keep_the_language_of_their_urls(meetergo_sandbox, client, settings):
    """Where URLs begin with the language, no link leads to the site in another language."""
    settings.ROOT_URLCONF = "tests.pages.prefixed_urls"
    meetergo_sandbox.sync_directory()

    html = client.get("/es/book/intro-call/").content.decode()

    assert 'href="/es/book/' in html
    assert "/en" not in "".join(re.findall(r'(?:href|action)="([^"]*)"', html))
    assert not SPANISH.search(html)
