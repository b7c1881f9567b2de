"""What a template passes to the tags never breaks a page of the site."""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace

import pytest
from django.contrib.auth.models import AnonymousUser, Group, User
from django.template import TemplateSyntaxError

from django_meetergo.models import MeetingType
from django_meetergo.presentation.tag_arguments import TagUsageError
from django_meetergo.testing.factories import AttendeeFactory

pytestmark = pytest.mark.django_db(transaction=True)

#: Tags with a variable that does not exist, and whether they show something all the same.
UNDEFINED = [
    ('{% meetergo_booking_widget "intro-call" subject=patient %}', True),
    ('{% meetergo_next_slots "intro-call" 3 subject=patient.record %}', True),
    ('{% meetergo_next_slots "intro-call" count %}', True),
    ('{% meetergo_booking_widget "intro-call" heading_level=level %}', True),
    ("{% meetergo_booking_widget treatment.slug %}", False),
    ("{% meetergo_next_slots treatment %}", False),
    ("{% meetergo_upcoming visitor %}", False),
    ("{% meetergo_manage_link attendee %}", False),
    ("{% meetergo_inline treatment.booking_url %}", False),
    ('{% meetergo_button "https://cal.meetergo.com/anna" "Book" prefill=customer %}', True),
]


@pytest.mark.parametrize("debug", [False, True])
@pytest.mark.parametrize(("tag", "is_shown"), UNDEFINED)
def test_an_undefined_variable_breaks_no_page_and_is_logged(
    site_page, site, settings, caplog, tag, is_shown, debug
):
    settings.DEBUG = debug
    text = site_page.render(f"before {tag} after")

    assert (text != "before  after") is is_shown
    assert "is undefined" in caplog.text
    assert tag.split()[1] in caplog.text


@pytest.mark.parametrize("invalid", ["INVALID", "INVALID %s"])
def test_the_text_that_the_site_shows_for_undefined_variables_is_no_object(
    site_page, site, settings, caplog, invalid
):
    options = {**settings.TEMPLATES[0]["OPTIONS"], "string_if_invalid": invalid}
    settings.TEMPLATES = [{**settings.TEMPLATES[0], "OPTIONS": options}]

    text = site_page.render(
        '{% meetergo_booking_widget "intro-call" subject=patient %}{% meetergo_upcoming visitor %}'
    )
    assert "Book Intro call" in text
    assert caplog.text.count("is undefined") == 2


@pytest.mark.parametrize(
    ("tag", "is_shown"),
    [
        ('{% meetergo_booking_widget "intro-call" subject=request.user %}', True),
        ('{% meetergo_next_slots "intro-call" subject=nobody %}', True),
        ("{% meetergo_upcoming request.user %}", False),
        ("{% meetergo_upcoming nobody %}", False),
        ("{% meetergo_booking_widget nobody %}", False),
    ],
)
def test_a_visitor_who_is_not_signed_in_is_no_error(site_page, site, settings, caplog, tag, is_shown):
    settings.DEBUG = True
    assert isinstance(site_page.request.user, AnonymousUser)

    assert bool(site_page.render(tag, nobody=None)) is is_shown
    assert caplog.text == ""


WRONG = [
    ('{% meetergo_booking_widget "intro-call" subject=group %}', "subject must be a stored object"),
    ('{% meetergo_booking_widget "intro-call" subject=number %}', "subject must be a stored object"),
    ('{% meetergo_booking_widget "intro-call" heading_level=7 %}', "a whole number from 1 to 6, not 7"),
    ('{% meetergo_next_slots "intro-call" "three" %}', "a whole number from 1 to 50, not 'three'"),
    ("{% meetergo_next_slots number %}", "give a meeting type or its slug, not a int"),
    ("{% meetergo_upcoming group %}", "give a user, not a Group"),
    ("{% meetergo_manage_link group %}", "give an attendee, not a Group"),
    (
        '{% meetergo_button "https://cal.meetergo.com/anna" "Book" prefill=group %}',
        "prefill must be a dictionary",
    ),
]


@pytest.mark.parametrize(("tag", "sentence"), WRONG)
def test_a_wrong_template_is_an_error_for_the_developer_only(
    site_page, site, settings, caplog, tag, sentence
):
    shown = {"group": Group(name="unsaved"), "number": 7}
    site_page.render(tag, **shown)
    assert sentence in caplog.text

    settings.DEBUG = True
    with pytest.raises(TagUsageError, match=sentence) as raised:
        site_page.render(tag, **shown)
    assert isinstance(raised.value, TemplateSyntaxError)


def test_a_missing_argument_names_itself_when_the_template_is_compiled(site_page):
    with pytest.raises(TemplateSyntaxError, match="meeting_type"):
        site_page.render("{% meetergo_booking_widget %}")


def test_a_meeting_type_may_be_given_by_itself(site_page, site):
    meeting_type = MeetingType.objects.get(slug="intro-call")

    assert "Book Intro call" in site_page.render("{% meetergo_booking_widget type %}", type=meeting_type)


def test_urls_that_are_not_included_are_reported(site_page, site, settings, caplog):
    settings.ROOT_URLCONF = "tests.api.bare_urls"

    assert site_page.render('{% meetergo_booking_widget "intro-call" %}') == ""
    assert 'include("django_meetergo.urls")' in caplog.text


@pytest.mark.parametrize("name", ["meetergo_day", "meetergo_full_day", "meetergo_time", "meetergo_channel"])
def test_filters_show_nothing_for_what_is_undefined(site_page, name):
    assert site_page.render(f"[{{{{ missing|{name} }}}}][{{{{ empty|{name} }}}}]", empty=None) == "[][]"


def test_filters_show_dates(site_page):
    moment = datetime(2026, 12, 3, 9, 30, tzinfo=UTC)

    assert site_page.render("{{ moment|meetergo_day }} {{ moment|meetergo_time }}", moment=moment) == (
        "Thursday 3 December 09:30"
    )


def test_a_user_that_is_no_row_of_the_user_model_breaks_no_page(site_page, caplog):
    """That of a stateless token, for example. Its number may be that of somebody else's account."""
    owner = User.objects.create_user("jane")
    AttendeeFactory(user=owner)
    shown = [
        site_page.render("{% meetergo_upcoming user %}", user=user).strip()
        for user in (SimpleNamespace(pk=owner.pk, is_authenticated=True), owner)
    ]

    assert shown[0] == ""
    assert "Meeting type" in shown[1]
    assert caplog.text == ""
