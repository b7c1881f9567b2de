"""The block in a page of Wagtail: for editors, and for visitors in a browser."""

from __future__ import annotations

import re

import pytest
from django.core.exceptions import ValidationError
from django.test import Client
from playwright.sync_api import expect

from django_meetergo.contrib.wagtail.blocks import BookingBlock
from django_meetergo.models import Booking, MeetingType

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_visitor_books_from_the_calendar_of_a_page(scripted, service, publish):
    publish({"meeting_type": "intro-call", "heading": "Talk to us", "next_slots": 0})

    scripted.open("/")
    expect(scripted.page.get_by_role("heading", name="Talk to us", level=2)).to_be_visible()
    expect(scripted.page.get_by_role("heading", name="Book Intro call", level=3)).to_be_visible()
    assert scripted.list_violations() == []
    scripted.choose("/")
    scripted.fill_in()
    scripted.page.get_by_role("button", name=re.compile("^Book")).click()

    expect(scripted.page.get_by_role("heading", name="Your appointment is booked")).to_be_visible()
    assert Booking.objects.get().meeting_type.slug == "intro-call"


def test_next_free_times_lead_to_the_form(scripted, service, publish):
    publish({"meeting_type": "consultation", "heading": "", "next_slots": 2})

    scripted.open("/")
    links = scripted.page.locator("a[href*='/consultation/details/']")
    expect(links).to_have_count(2)
    links.first.click()

    expect(scripted.page.get_by_label("First name")).to_be_visible()


def test_a_meeting_type_that_no_longer_exists_breaks_no_page(meetergo_sandbox, publish, caplog):
    meetergo_sandbox.sync_directory()
    publish({"meeting_type": "gone", "heading": "Talk to us", "next_slots": 0})

    text = Client().get("/", headers={"host": "localhost"}).content.decode()
    assert "Talk to us" in text
    assert "no meeting type has the slug 'gone'" in caplog.text


def test_two_blocks_on_one_page_share_no_id(meetergo_sandbox, publish):
    meetergo_sandbox.sync_directory()
    publish(*[{"meeting_type": slug, "next_slots": 0} for slug in ("intro-call", "consultation")])

    ids = re.findall(r'\sid="([^"]+)"', Client().get("/", headers={"host": "localhost"}).content.decode())
    assert len(ids) == len(set(ids)) > 4


def test_editors_choose_from_the_meeting_types_that_can_be_booked(meetergo_sandbox, publish, admin_client):
    meetergo_sandbox.sync_directory()
    MeetingType.objects.filter(slug="checkup").update(enabled=False)
    page = publish({"meeting_type": "intro-call", "next_slots": 0})

    editor = admin_client.get(f"/cms/pages/{page.pk}/edit/").content.decode()
    assert "Intro call" in editor
    assert "checkup" not in editor
    block = BookingBlock()
    value = block.to_python({"meeting_type": "intro-call", "heading": "", "next_slots": 3})
    assert block.clean(value)["next_slots"] == 3
    for wrong in ({"meeting_type": "checkup"}, {"next_slots": 21}):
        with pytest.raises(ValidationError):
            block.clean(block.to_python({**block.get_prep_value(value), **wrong}))
