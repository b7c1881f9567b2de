"""The page that mails a person their links answers alike for every address."""

from __future__ import annotations

import pytest

from django_meetergo.models import Event
from django_meetergo.views import send_links
from django_meetergo.visitors import Limit
from django_meetergo.wakeup import work_due

pytestmark = pytest.mark.django_db(transaction=True)

PAGE = "/book/my-appointments/"


@pytest.fixture(autouse=True)
def use_site_url(settings):
    settings.MEETERGO = {**settings.MEETERGO, "SITE_URL": "https://clinic.example"}


def count_events():
    return Event.objects.filter(kind=Event.Kind.LINKS_REQUESTED).count()


def test_the_answer_is_the_same_for_every_address(visitor):
    visitor.book()
    known, unknown = (visitor.post(PAGE, email=email) for email in ("jane@example.com", "no@example.com"))
    assert known.status_code == unknown.status_code == 303
    assert known["Location"] == unknown["Location"]
    assert "Check your inbox" in visitor.text(known["Location"])
    assert count_events() == 1


def test_an_unknown_address_takes_as_long(visitor):
    """Waking the workers may take a second where the broker is away, which would tell who is known."""
    visitor.book()
    woken = []

    def count(**options):
        woken.append(options)

    work_due.connect(count)
    numbers = []
    for email in ("jane@example.com", "no@example.com"):
        woken.clear()
        visitor.post(PAGE, email=email)
        numbers.append(len(woken))
    work_due.disconnect(count)
    assert numbers == [1, 1]


def test_a_wrong_address_is_shown_again(visitor):
    answer = visitor.post(PAGE, email="jane")
    assert answer.status_code == 422
    assert 'value="jane"' in answer.content.decode()


def test_a_site_sends_a_limited_number(visitor, monkeypatch):
    monkeypatch.setattr(send_links, "SITE_LIMIT", Limit(name="links-test", times=1, seconds=600))
    assert visitor.post(PAGE, email="a@example.com").status_code == 303
    refused = visitor.post(PAGE, email="b@example.com")
    assert refused.status_code == 429
    assert int(refused["Retry-After"]) > 0


def test_a_site_whose_mails_cannot_contain_links_has_no_such_page(visitor, settings):
    settings.MEETERGO = {**settings.MEETERGO, "SITE_URL": ""}
    assert visitor.get(PAGE).status_code == 404


def test_a_wrong_link_leads_there(visitor):
    assert PAGE in visitor.get("/book/manage/nonsense/").content.decode()
