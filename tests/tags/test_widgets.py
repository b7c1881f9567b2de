"""The booking widget, the next free times and a user's appointments in pages of the site."""

import re
from urllib.parse import quote_plus

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import AnonymousUser, Group
from django.db import connection
from django.http import HttpRequest, HttpResponse
from django.template import Context, Template
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import include, path

from django_meetergo import links
from django_meetergo.models import Attendee, Booking, MeetingType
from django_meetergo.presentation.tag_arguments import TagUsageError
from tests.pages.conftest import Visitor
from tests.tags.conftest import Page

pytestmark = pytest.mark.django_db(transaction=True)

urlpatterns = [
    path("book/", include("django_meetergo.urls")),
    path("home/", lambda request: HttpResponse(Page(request).render(WIDGET))),
]

WIDGET = '{% meetergo_booking_widget "intro-call" %}'
NEXT = '{% meetergo_next_slots "intro-call" 3 %}'


def list_ids(text):
    return re.findall(r'\sid="([^"]+)"', text)


def list_references(text):
    """Return the ids that other elements of the page refer to."""
    named = re.findall(r'\s(?:for|aria-labelledby|aria-describedby)="([^"]+)"', text)
    return {name for names in named for name in names.split()} | set(re.findall(r'href="#([^"]+)"', text))


def test_two_widgets_on_one_page_do_not_share_an_id(site_page, site):
    text = site_page.render(WIDGET + '{% meetergo_booking_widget "consultation" %}' + WIDGET)
    ids = list_ids(text)
    assert len(ids) == len(set(ids)) == 15
    assert list_references(text) <= set(ids)


def test_heading_levels_follow_the_given_one(site_page, site):
    """The widget has no main element and skips no level."""
    text = site_page.render('{% meetergo_booking_widget "intro-call" heading_level=3 %}')
    assert re.findall(r"<h(\d)", text) == ["3", "4", "5", "4", "4"]
    assert "<main" not in text
    assert re.findall(r"<h(\d)", site_page.render(WIDGET))[0] == "2"


def test_the_widget_links_to_the_booking_pages(site_page, site):
    text = site_page.render(WIDGET)
    assert "Book Intro call" in text
    assert 'action="/book/intro-call/details/"' in text
    days = re.findall(r'class="mg-day[^"]*" [^>]*href="(/book/intro-call/\?[^"#]+)#', text)
    assert days
    assert all("date=" in day and "subject" not in day for day in days)


def test_fragments_have_the_ids_and_headings_of_the_widget(site_page, visitor):
    """The script names the widget in a header."""
    text = site_page.render('{% meetergo_booking_widget "intro-call" heading_level=3 %}')
    widget = re.search(r'data-widget="([^"]+)"', text)[1]
    headers = {"X-Meetergo-Fragment": "calendar", "X-Meetergo-Widget": widget}
    answer = visitor.client.get("/book/intro-call/", headers=headers)
    fragment = answer.content.decode()
    assert 'id="w1-mg-times"' in fragment
    assert re.findall(r"<h(\d)", fragment) == ["4", "5", "4"]
    assert "X-Meetergo-Widget" in answer["Vary"]
    forged = visitor.client.get("/book/intro-call/", headers={**headers, "X-Meetergo-Widget": '1"><script'})
    assert 'id="mg-times"' in forged.content.decode()


def test_the_chosen_zone_is_used_in_every_widget(site_page, visitor):
    answer = visitor.post("/book/timezone/", tz="America/New_York", next="/treatments/intro/")
    assert answer["Location"] == "/treatments/intro/"
    assert answer.cookies["meetergo_tz"]["path"] == "/"
    site_page.request.COOKIES["meetergo_tz"] = "America/New_York"
    assert "New York time" in site_page.render(WIDGET)


@pytest.mark.parametrize("tag", [WIDGET, NEXT])
def test_a_cached_tag_costs_no_query_and_no_call(site_page, site, movable_clock, tag):
    shown = site_page.render(tag)
    calls = site.count_requests("GET /v4/booking-availability")
    another = Page()
    with CaptureQueriesContext(connection) as queries:
        assert another.render(tag) == shown
    assert len(queries) == 0
    assert site.count_requests("GET /v4/booking-availability") == calls


def test_pages_with_a_widget_vary_on_the_zone_cookie(site, settings):
    """So the site's cache middleware keeps the zones apart."""
    settings.ROOT_URLCONF = "tests.tags.test_widgets"
    settings.MIDDLEWARE = [
        "django.middleware.cache.UpdateCacheMiddleware",
        *settings.MIDDLEWARE,
        "django.middleware.cache.FetchFromCacheMiddleware",
    ]
    for path_ in ("/home/", "/book/intro-call/"):
        assert 'data-zone="Europe/Berlin"' in Client().get(path_).content.decode()
        other_zone = Client(headers={"Cookie": "meetergo_tz=Asia/Tokyo"})
        assert 'data-zone="Asia/Tokyo"' in other_zone.get(path_).content.decode()


@pytest.mark.parametrize("tag", [WIDGET, NEXT])
def test_tags_render_with_an_incomplete_request(site, settings, tag):
    """Mails and background jobs may pass an empty request."""
    settings.ALLOWED_HOSTS = ["clinic.example"]
    plain = HttpRequest()
    plain.user = AnonymousUser()
    for page in (Page(plain), Page()):
        assert re.search(r">[^<]*\d\d:\d\d<", page.render(tag))


def test_a_widget_with_cached_times_costs_three_queries_and_no_call(site_page, visitor, site, movable_clock):
    """If the widget itself is not cached."""
    visitor.get("/book/intro-call/")
    calls = site.count_requests("GET /v4/booking-availability")
    for tag, most in ((WIDGET, 3), (NEXT, 2)):
        with CaptureQueriesContext(connection) as queries:
            site_page.render(tag)
        assert len(queries) == most
    assert site.count_requests("GET /v4/booking-availability") == calls


def test_a_widget_with_a_subject_is_not_cached(site_page, site, movable_clock):
    """The token of one object never appears in the widget of another."""
    groups = [Group.objects.create(name=name) for name in "ab"]
    tag = '{% meetergo_booking_widget "intro-call" subject=subject %}'
    texts = [Page().render(tag, subject=group) for group in groups]
    plain = Page().render(WIDGET)
    tokens = [re.search(r'name="subject" value="([^"]+)"', text)[1] for text in texts]
    assert tokens[0] != tokens[1]
    assert "subject" not in plain


def test_cached_widgets_of_one_type_keep_their_own_ids(site_page, site, movable_clock):
    both = WIDGET + '{% meetergo_booking_widget "intro-call" heading_level=4 %}'
    shown = site_page.render(both)
    assert Page().render(both) == shown
    assert len(set(list_ids(shown))) == len(list_ids(shown))


def test_a_failed_call_is_shown_in_the_widget(site_page, site):
    site.fail_next("GET /v4/booking-availability", times=20)
    assert "We cannot show free times right now" in site_page.render(WIDGET)
    assert "We cannot show free times right now" in site_page.render('{% meetergo_next_slots "checkup" %}')


def test_an_unavailable_type_is_shown_as_such(site_page, site):
    MeetingType.objects.filter(slug="intro-call").update(enabled=False)
    for tag in (WIDGET, '{% meetergo_next_slots "intro-call" %}'):
        assert "Intro call cannot be booked online at the moment." in site_page.render(tag)
    MeetingType.objects.update(enabled=True, needs_own_page=True)
    text = site_page.render(WIDGET)
    assert "This link leaves our site." in text
    assert 'href="https://cal.meetergo.com/' in text
    text = site_page.render(NEXT)
    assert "only the booking page of meetergo offers" in text
    assert re.findall('href="([^"]+)"', text) == [MeetingType.objects.get(slug="intro-call").booking_url]


@pytest.mark.parametrize("tag", ["meetergo_booking_widget", "meetergo_next_slots"])
def test_an_unknown_slug_raises_only_with_debug(site_page, site, settings, caplog, tag):
    text = f'before {{% {tag} "nothing" %}} after'
    assert site_page.render(text) == "before  after"
    assert "no meeting type has the slug 'nothing'" in caplog.text
    settings.DEBUG = True
    with pytest.raises(TagUsageError, match="no meeting type has the slug 'nothing'"):
        site_page.render(text)


def test_the_widget_renders_without_a_request(site):
    text = Template("{% load meetergo %}" + WIDGET + WIDGET).render(Context())
    ids = list_ids(text)
    assert len(ids) == len(set(ids))
    assert "csrfmiddlewaretoken" not in text


def test_next_slots_link_to_the_form(site_page, visitor):
    text = site_page.render('{% meetergo_next_slots "intro-call" 2 %}')
    found = re.findall(r'href="(/book/intro-call/details/\?start=[^"]+)"', text)
    assert len(found) == 2
    assert visitor.get(found[0]).status_code == 200
    assert 'href="/book/intro-call/"' in text


# The subject of a booking


@pytest.fixture
def group(db):
    return Group.objects.create(name="Back class, spring")


def find_details_link(site_page, group):
    text = site_page.render('{% meetergo_next_slots "intro-call" 1 subject=group %}', group=group)
    return re.search(r'href="(/book/intro-call/details/[^"]+)"', text)[1].replace("&amp;", "&")


def follow(visitor, link, **changes):
    text = visitor.text(link)
    action = re.search(r'method="post" action="(/book/intro-call/details/[^"]*)"', text)[1]
    start = re.search(r'name="start" value="([^"]+)"', text)[1]
    return visitor.post(action.replace("&amp;", "&"), **visitor.fill_in("intro-call", start, **changes))


def test_the_attendee_has_the_subject_and_the_signed_in_user(site_page, visitor, group):
    jane = get_user_model().objects.create_user("jane", email="jane@example.com")
    visitor.client.force_login(jane)
    assert follow(visitor, find_details_link(site_page, group)).status_code == 303
    attendee = Attendee.objects.get()
    assert (attendee.subject, attendee.user) == (group, jane)
    assert get_user_model().objects.count() == 1


def test_the_subject_is_handed_on_through_all_steps(site_page, visitor, group):
    """Another day, another duration, and a form error keep it."""
    token = links.sign_subject(group)
    text = site_page.render('{% meetergo_booking_widget "consultation" subject=group %}', group=group)
    assert text.count(f'name="subject" value="{token}"') == 2
    times = visitor.text("/book/consultation/", subject=token)
    assert times.count(f'name="subject" value="{token}"') == 2
    wrong = follow(visitor, find_details_link(site_page, group), email="")
    assert wrong.status_code == 422
    assert quote_plus(token) in wrong.content.decode()
    assert Booking.objects.count() == 0


@pytest.mark.parametrize("forged", ["auth.group:{key}", "auth.user:{key}~{signature}", "~", "x" * 500])
def test_a_forged_subject_token_is_ignored(site_page, visitor, group, caplog, forged):
    token = links.sign_subject(group)
    given = forged.format(key=group.pk, signature=token.rpartition("~")[2])
    link = find_details_link(site_page, group).replace(quote_plus(token), quote_plus(given))
    assert quote_plus(token) not in link
    assert follow(visitor, link).status_code == 303
    assert Attendee.objects.get().subject is None
    assert "the token's signature is wrong" in caplog.text


def test_a_deleted_subject_is_ignored(site_page, visitor, group):
    link = find_details_link(site_page, group)
    group.delete()
    assert follow(visitor, link).status_code == 303
    assert Attendee.objects.get().subject is None


# A user's appointments


def test_users_see_only_their_own_upcoming_appointments(site_page, visitor, site):
    jane = get_user_model().objects.create_user("jane")
    visitor.client.force_login(jane)
    visitor.book()
    Visitor(Client()).book(email="other@example.com")
    attendee = Attendee.objects.get(user=jane)
    with CaptureQueriesContext(connection) as queries:
        text = site_page.render("{% meetergo_upcoming user %}", user=jane)
    assert len(queries) <= 2
    assert text.count("Change or cancel your appointment") == 1
    assert links.get_manage_path(attendee) in text
    assert site_page.render("{% meetergo_upcoming user %}", user=site_page.request.user) == ""
    stranger = get_user_model().objects.create_user("stranger")
    assert "You have no upcoming appointments." in site_page.render(
        "{% meetergo_upcoming user %}", user=stranger
    )


def test_the_manage_link_opens_the_appointment(site_page, visitor):
    visitor.book()
    attendee = Attendee.objects.get()
    path = site_page.render("{% meetergo_manage_link attendee %}", attendee=attendee)
    assert visitor.get(path).status_code == 200
    whole = site_page.render("{% meetergo_manage_link attendee absolute=True %}", attendee=attendee)
    assert whole == f"https://clinic.example{path}"


# Assets


class LazyNonce:
    """A nonce like that of Django's middleware: false until it is read."""

    def __bool__(self):
        return False

    def __str__(self):
        return "abc"


@pytest.mark.parametrize("name", ["csp_nonce", "_csp_nonce"])
def test_assets_carry_the_nonce_of_the_request(site_page, name):
    assert "nonce" not in site_page.render("{% meetergo_assets %}")
    setattr(site_page.request, name, LazyNonce())
    text = site_page.render("{% meetergo_assets %}")
    assert text.count(' nonce="abc"') == 4
    assert '<script type="module" src="/static/meetergo/meetergo.js"' in text


def test_whole_false_leaves_out_the_stylesheet_of_the_pages(site_page):
    assert site_page.render("{% meetergo_assets %}").count("stylesheet") == 2
    assert site_page.render("{% meetergo_assets whole=False %}").count("stylesheet") == 1
