"""Mail scanners open every link: no GET may change anything."""

from __future__ import annotations

import html
import re
from collections import Counter, deque
from urllib.parse import urljoin, urlsplit

import pytest
from django.apps import apps
from django.core import mail
from django.test import Client

from django_meetergo import links
from django_meetergo.models import Booking
from django_meetergo.services import AttendeeData, book_appointment

pytestmark = pytest.mark.django_db(transaction=True)

MOST_QUERIES = 4


def book(kit, slug, person, fault=None):
    if fault:
        kit.fail_next(kind=fault)
    return book_appointment(
        meeting_type=kit.meeting_type(slug),
        start=kit.list_free_starts(slug)[0],
        attendee=AttendeeData(email=f"{person}@example.com", first_name=person, last_name="Doe"),
        client=kit.client(),
        now=kit.now(),
    )


@pytest.fixture
def full_site(meetergo_sandbox):
    """A booking in every state that has links of its own, and the mails about them."""
    kit = meetergo_sandbox
    book(kit, "intro-call", "confirmed")
    book(kit, "checkup", "pending")
    book(kit, "second-opinion", "waiting")
    kit.decline(book(kit, "second-opinion", "declined"))
    kit.clear_availability()
    book(kit, "consultation", "lost", fault="drop_before")
    kit.run_due(after=90)
    kit.run_due(after=90)
    kit.clear_availability()
    book(kit, "next-therapist", "unclear", fault="drop_after")
    return kit


def find_addresses(text):
    """Return every link of a page or mail that leads to this site."""
    found = re.findall(r'(?:href|action)="([^"]+)"', text) + re.findall(r"https://clinic\.example\S+", text)
    return {html.unescape(address) for address in found}


def crawl(addresses):
    """GET every page that can be reached, nearest first; return the URLs that were opened."""
    client, waiting, seen = Client(), deque(sorted(addresses)), set()
    queries = Counter()
    while waiting:
        parts = urlsplit(waiting.popleft())
        target = parts.path + (f"?{parts.query}" if parts.query else "")
        foreign = parts.netloc not in {"", "clinic.example"} or not parts.path.startswith("/book")
        # A few days and zones of each page are enough.
        if foreign or target in seen or queries[parts.path] >= MOST_QUERIES:
            continue
        seen.add(target)
        queries[parts.path] += 1
        answer = client.get(target)
        assert answer.status_code < 500, target
        if "html" in answer.get("Content-Type", ""):
            waiting += sorted(urljoin(target, found) for found in find_addresses(answer.content.decode()))
    return seen


def take_fingerprint():
    """Return all rows as text; ``repr`` shows decrypted secrets, whose ciphertext differs with each dump."""
    models = apps.get_app_config("meetergo").get_models()
    return {model.__name__: repr(list(model.objects.order_by("pk").values())) for model in models}


def test_opening_every_link_in_every_page_and_mail_changes_nothing(full_site):
    """Neither a row nor anything at meetergo changes."""
    assert mail.outbox
    own = [links.get_booking_path(booking) for booking in Booking.objects.all()]
    own += [links.get_manage_path(booking.attendee) for booking in Booking.objects.exclude(attendee=None)]
    mailed = set().union(*(find_addresses(message.body) for message in mail.outbox))
    request_log = full_site.sandbox.request_log
    before, last = take_fingerprint(), len(request_log.entries())

    seen = crawl({*own, *mailed, "/book/"})

    assert len(seen) > 50
    assert any("/cancel/" in address for address in seen)
    assert take_fingerprint() == before
    after = request_log.entries(since=last)
    assert {entry["method"] for entry in after if entry["kind"] == "request"} <= {"GET"}
    assert not [entry for entry in after if entry["kind"] == "applied"]
