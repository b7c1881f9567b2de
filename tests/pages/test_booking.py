"""Book on the pages: choose a time, enter the details, see the outcome."""

import re
from datetime import datetime, timedelta
from html import unescape
from types import SimpleNamespace

import pytest
from django.contrib.auth import get_user_model
from django.db import DatabaseError, OperationalError
from django.test import Client
from django.utils import timezone

from django_meetergo import links
from django_meetergo.cache import cache
from django_meetergo.models import Appointment, Booking, MeetingType
from django_meetergo.services.availability import demand
from django_meetergo.services.availability.store import WINDOW, list_windows
from django_meetergo.testing.factories import AppointmentFactory, AttendeeFactory, BookingFactory
from tests.pages.conftest import DETAILS as TYPED
from tests.pages.conftest import Visitor

pytestmark = pytest.mark.django_db(transaction=True)

DETAILS = "/book/intro-call/details/"
EDGES = [
    "9999-12-31T23:59:59+00:00",
    "9999-12-31T23:59:59-14:00",
    "0001-01-01T00:00:00+00:00",
    "0001-01-01T00:00:00+14:00",
]


def read(response):
    """Return the visible text of a page."""
    text = re.sub(r"<(script|style).*?</\1>|<[^>]+>", " ", response.content.decode(), flags=re.DOTALL)
    return re.sub(r"\s+", " ", text.replace("&#x27;", "'").replace("&quot;", '"'))


# Choosing a time


def test_a_time_is_chosen_and_booked(visitor, site):
    """Two steps and one outcome page, which is neither cached nor indexed."""
    assert "Choose a time on" in read(visitor.get("/book/intro-call/"))
    answer = visitor.book()
    assert answer.status_code == 303
    page = visitor.get(answer["Location"])
    assert "Your appointment is booked" in read(page)
    assert len(site.appointments()) == 1
    assert page["Cache-Control"] == "no-store"
    assert page["X-Robots-Tag"] == "noindex"
    assert page["Referrer-Policy"] == "same-origin"


def test_the_list_shows_bookable_types_and_can_be_switched_off(visitor, settings):
    MeetingType.objects.filter(slug="checkup").update(enabled=False)
    page = read(visitor.get("/book/"))
    assert "Intro call" in page
    assert "Check-up" not in page
    settings.MEETERGO = {**settings.MEETERGO, "SHOW_INDEX": False}
    assert visitor.get("/book/").status_code == 404


def test_a_month_costs_one_call_per_document_and_none_while_it_is_fresh(visitor, site):
    """At most two documents cover a month; the next visitor costs no call."""
    route = "GET /v4/booking-availability"
    visitor.get("/book/intro-call/")
    first = site.count_requests(route)
    assert 1 <= first <= 2
    visitor.get("/book/intro-call/")
    assert site.count_requests(route) == first


def test_the_zone_in_the_query_is_used_and_handed_on(visitor):
    page = visitor.text("/book/intro-call/", tz="Asia/Calcutta")
    assert "Kolkata time (GMT+5:30)" in page
    assert 'name="tz" value="Asia/Kolkata"' in page
    assert "+05:30" in visitor.list_starts("intro-call", tz="Asia/Calcutta")[0]


def test_the_zone_is_stored_and_redirects_only_within_the_site(visitor):
    answer = visitor.post(
        "/book/timezone/", tz="America/New_York", next="/book/intro-call/?tz=Asia/Tokyo&date=2026-12-01"
    )
    assert (answer.status_code, answer["Location"]) == (303, "/book/intro-call/?date=2026-12-01")
    assert "New York time" in visitor.text("/book/intro-call/")
    for url in ("https://evil.example/", "//evil.example/", "javascript:alert(1)", "/\\evil.example"):
        assert visitor.post("/book/timezone/", tz="UTC", next=url)["Location"] == "/book/"


def test_an_unknown_zone_is_not_stored(visitor):
    answer = visitor.post("/book/timezone/", tz="Mars/Olympus", next="/book/intro-call/")
    assert answer["Location"] == "/book/intro-call/"
    assert "meetergo_tz" not in answer.cookies


@pytest.mark.parametrize(
    ("query", "status", "text"),
    [
        ({}, 422, "Choose a time"),
        ({"start": "tomorrow"}, 400, "We could not read this time."),
        ({"start": "2020-01-01T09:00:00+00:00"}, 409, "This time has passed."),
        ({"start": "2099-01-01T09:00:00+00:00"}, 409, "is no longer free. Please choose another time."),
    ],
)
def test_an_invalid_choice_shows_the_times_and_the_error(visitor, query, status, text):
    answer = visitor.get(DETAILS, **query)
    assert answer.status_code == status
    assert text in read(answer)
    assert "There is a problem" in read(answer)
    assert "Choose a date" in read(answer)


def test_a_duration_that_is_not_offered_shows_the_durations_again(visitor):
    start = visitor.list_starts("consultation")[0]
    answer = visitor.get("/book/consultation/details/", start=start, duration="25")
    assert answer.status_code == 409
    assert "This length is no longer offered. Choose a length." in read(answer)


def test_the_chosen_duration_reaches_the_form(visitor):
    start = visitor.list_starts("consultation", duration="60")[0]
    page = visitor.text("/book/consultation/details/", start=start, duration="60")
    assert 'name="duration" value="60"' in page


def test_the_duration_is_chosen_in_the_form_of_the_times(visitor):
    """So a visitor without script who picks 60 minutes and then a time books 60 minutes."""
    page = visitor.text("/book/consultation/")
    radios = re.findall(r'<input type="radio" name="duration" form="([^"]+)"', page)
    assert len(radios) > 1
    assert set(radios) == set(re.findall(r'<form class="mg-times-form" id="([^"]+)"', page))
    assert not re.search(r'<input type="hidden" name="duration"', page)


def test_a_failed_availability_call_shows_an_error_and_a_retry_link(visitor, site):
    site.fail_next("GET /v4/booking-availability", times=9)
    answer = visitor.get("/book/intro-call/")
    assert answer.status_code == 200
    assert "We cannot show free times right now" in read(answer)
    assert "Try again" in read(answer)


def age_documents(site, **age):
    """Make the cached documents of the intro call older."""
    for window in list_windows(site.meeting_type(), 30, site.now(), site.now() + WINDOW):
        if stored := cache.get(window.key):
            cache.set(window.key, {**stored, "at": stored["at"] - timedelta(**age).total_seconds()}, 60)


def test_stale_times_are_marked_as_not_refreshed(visitor, site):
    visitor.get("/book/intro-call/")
    site.fail_next("GET /v4/booking-availability", times=9)
    age_documents(site, minutes=2)
    visitor.get("/book/intro-call/")  # served from the cache; the workers refresh it
    demand.recent_views.clear()
    visitor.get("/book/intro-call/")
    site.run_due(periodic=True)
    assert "We could not refresh these times just now." in read(visitor.get("/book/intro-call/"))


def test_a_disabled_type_answers_410_and_an_unknown_one_404(visitor):
    MeetingType.objects.filter(slug="intro-call").update(enabled=False)
    answer = visitor.get("/book/intro-call/")
    assert answer.status_code == 410
    assert "Intro call cannot be booked online at the moment." in read(answer)
    assert "Consultation" in read(answer)
    assert visitor.get("/book/no-such-thing/").status_code == 404


def test_a_type_for_meetergos_own_page_is_linked_as_an_external_page(visitor):
    MeetingType.objects.filter(slug="intro-call").update(
        needs_own_page=True, booking_url="https://cal.meetergo.com/anna/intro"
    )
    answer = visitor.get("/book/intro-call/")
    assert 'href="https://cal.meetergo.com/anna/intro"' in answer.content.decode()
    assert "This link leaves our site." in read(answer)


@pytest.mark.parametrize("chosen", [["intro-call"], ["*"]])
def test_the_site_can_send_visitors_of_a_type_to_meetergo(visitor, settings, chosen):
    """Its pages lead there and offer no times; a type that is not named is booked here."""
    settings.MEETERGO = {**settings.MEETERGO, "BOOK_AT_MEETERGO": chosen}
    answer = visitor.get("/book/intro-call/")
    assert 'href="https://cal.meetergo.com/praxis-am-lindenhof/intro-call"' in answer.content.decode()
    assert "This link leaves our site." in read(answer)
    assert MeetingType.objects.get(slug="intro-call").is_booked_at_meetergo
    other = read(visitor.get("/book/consultation/"))
    assert ("This link leaves our site." in other) == (chosen == ["*"])
    here = set(MeetingType.objects.bookable_here().values_list("slug", flat=True))
    assert "intro-call" not in here
    assert ("consultation" in here) == (chosen != ["*"])


def test_the_pages_extend_the_sites_base_template(visitor, settings, tmp_path):
    """A base template needs two blocks; the stylesheet is part of the content."""
    (tmp_path / "shop.html").write_text(
        "<title>{% block title %}{% endblock %}</title>SHOP {% block content %}{% endblock %}"
    )
    settings.TEMPLATES = [{**settings.TEMPLATES[0], "DIRS": [tmp_path]}]
    settings.MEETERGO = {**settings.MEETERGO, "BASE_TEMPLATE": "shop.html"}
    page = visitor.text("/book/intro-call/")
    assert "SHOP" in page
    assert page.count("meetergo/meetergo.css") == 1
    assert '<div class="meetergo" lang="en-gb" dir="ltr">' in page


def test_one_template_decides_how_every_page_loads_its_styles(visitor, settings, tmp_path):
    folder = tmp_path / "meetergo" / "includes"
    folder.mkdir(parents=True)
    text = "{% load meetergo %}{% meetergo_assets whole=whole layered=True %}"
    (folder / "assets.html").write_text(text)
    settings.TEMPLATES = [{**settings.TEMPLATES[0], "DIRS": [tmp_path]}]

    for page in (visitor.text("/book/intro-call/"), visitor.book(first_name="").content.decode()):
        assert "layered" in page
        assert "meetergo/meetergo.css" not in page


# The details


def test_form_errors_are_listed_and_nothing_typed_is_lost(visitor, site):
    answer = visitor.book(first_name="", email="jane", last_name='D"oe')
    assert answer.status_code == 422
    assert "There is a problem" in read(answer)
    page = answer.content.decode()
    assert 'href="#mg-first_name"' in page
    assert 'value="D&quot;oe"' in page
    assert 'aria-invalid="true"' in page
    assert site.count_requests() == 0


def test_the_same_form_sent_twice_books_once(visitor, site):
    form = visitor.fill_in("intro-call")
    first, second = visitor.post(DETAILS, **form), visitor.post(DETAILS, **form)
    assert first["Location"] == second["Location"]
    assert Booking.objects.count() == site.count_requests() == 1


def test_the_same_form_with_other_content_is_refused(visitor, site):
    form = visitor.fill_in("intro-call")
    first = visitor.post(DETAILS, **form)
    answer = visitor.post(DETAILS, **{**form, "first_name": "Joan"})
    assert answer.status_code == 409
    assert "already submitted" in read(answer)
    assert first["Location"] in answer.content.decode()
    assert site.count_requests() == 1


def test_an_open_booking_is_shown_to_its_signed_in_user_in_any_browser(visitor):
    owner = get_user_model().objects.create_user("jane", "jane@example.com")
    visitor.client.force_login(owner)
    first = visitor.book("checkup")
    Booking.objects.update(state="unknown", reason="")
    other = Visitor(Client())
    other.client.force_login(owner)
    again = other.book("checkup", start=visitor.list_later_starts("checkup")[8])
    assert again.status_code == 409
    assert first["Location"] in again.content.decode()


def test_an_account_without_an_email_address_books(visitor, monkeypatch):
    """A user model may name no column for it, as one does whose users have a phone number only."""
    monkeypatch.setattr(get_user_model(), "EMAIL_FIELD", None)
    owner = get_user_model().objects.create_user("jane", first_name="Janine")
    visitor.client.force_login(owner)

    assert "Janine" in visitor.text("/book/intro-call/details/", start=visitor.list_starts("intro-call")[0])
    assert visitor.book().status_code == 303
    assert Booking.objects.get().user == owner


def test_the_form_is_prefilled_for_a_signed_in_user(visitor):
    owner = get_user_model().objects.create_user("ada", "ada@example.com", first_name="Ada")
    visitor.client.force_login(owner)
    start = visitor.list_starts("intro-call")[0]
    assert 'value="ada@example.com"' in visitor.text(DETAILS, start=start)
    visitor.book(email="ada@example.com")
    assert Booking.objects.get().user == owner


def test_the_visitors_zone_and_language_are_stored(visitor):
    form = visitor.fill_in("intro-call")
    visitor.post(DETAILS + "?tz=Asia/Calcutta", **form)
    booking = Booking.objects.get()
    assert (booking.timezone, booking.language) == ("Asia/Kolkata", "en-gb")


def test_a_taken_time_offers_others_and_keeps_the_details(visitor, site):
    """The visitor who loses the race books another time with one click."""
    start = visitor.list_later_starts("intro-call")[2]
    form = visitor.fill_in("intro-call", start)
    site.occupy_slot(datetime.fromisoformat(start))
    answer = visitor.post(DETAILS, **form)
    assert answer.status_code == 409
    text, page = read(answer), answer.content.decode()
    assert "is no longer free" in text
    assert "Nothing is booked. Your details are kept." in text
    others = re.findall(r'name="start" value="([^"]+)"', page)
    assert len(others) == 4
    assert start not in others
    assert 'type="hidden" name="email" value="jane@example.com"' in page
    token = re.search(r'name="token" value="([^"]+)"', page)[1]
    again = visitor.post(DETAILS, **{**form, "start": others[0], "token": token})
    assert again.status_code == 303
    assert "Your appointment is booked" in read(visitor.get(again["Location"]))


def test_details_of_a_taken_time_prefill_the_next_form(visitor, site):
    start = visitor.list_later_starts("intro-call")[2]
    form = visitor.fill_in("intro-call", start, last_name="Unusual")
    site.occupy_slot(datetime.fromisoformat(start))
    answer = visitor.post(DETAILS, **form)
    assert "Unusual" not in answer.cookies["meetergo_details"].value
    page = visitor.text(DETAILS, start=visitor.list_starts("intro-call")[0])
    assert 'value="Unusual"' in page
    other = Client().get(DETAILS, {"start": visitor.list_starts("intro-call")[0]})
    assert "Unusual" not in other.content.decode()


def test_a_forged_details_cookie_is_ignored(visitor):
    visitor.client.cookies["meetergo_details"] = "gAAAAAforged"
    start = visitor.list_starts("intro-call")[0]
    assert visitor.get(DETAILS, start=start).status_code == 200


def test_a_type_disabled_meanwhile_answers_410(visitor):
    form = visitor.fill_in("intro-call")
    MeetingType.objects.filter(slug="intro-call").update(enabled=False)
    assert visitor.post(DETAILS, **form).status_code == 410


def test_an_unreachable_service_closes_the_booking_and_keeps_the_details(visitor, site):
    form = visitor.fill_in("intro-call")
    site.fail_next(kind="status_before", times=9, status=429)
    answer = visitor.post(DETAILS, **form)
    assert answer.status_code == 303
    assert Booking.objects.get().reason == "unreachable"
    page = visitor.get(answer["Location"])
    assert "We could not book this time" in read(page)
    assert "meetergo_details" in page.cookies
    assert site.appointments() == []


def test_a_lost_database_answers_503_with_a_page_and_is_logged(visitor, monkeypatch, caplog):
    def raise_lost(*args, **kwargs):
        raise OperationalError("gone")

    monkeypatch.setattr("django_meetergo.views.times.find_meeting_type", raise_lost)
    answer = visitor.get("/book/intro-call/")
    assert answer.status_code == 503
    assert "try again" in read(answer)
    assert "The database is away; the page book answers 503." in caplog.text


def test_a_missing_table_is_an_error_and_not_a_lost_database(visitor, monkeypatch):
    """A forgotten ``migrate`` must show in the log, and with DEBUG on the page."""
    monkeypatch.setattr(MeetingType._meta, "db_table", "no_such_table")
    with pytest.raises(DatabaseError, match="no_such_table"):
        visitor.get("/book/intro-call/")


# The outcome


def test_an_unconfirmed_booking_is_not_called_booked(visitor, site):
    answer = visitor.book("checkup")
    text = read(visitor.get(answer["Location"]))
    assert "One more step: confirm your e-mail" in text
    assert "Your time is not booked yet." in text
    site.confirm(Booking.objects.get())
    back = visitor.post(answer["Location"])
    assert (back.status_code, back["Location"]) == (303, answer["Location"])
    assert "Your appointment is booked" in read(visitor.get(answer["Location"]))


def test_the_page_names_the_host_who_must_accept(visitor, site):
    answer = visitor.book("second-opinion")
    assert "We have passed your request on to Ben Okafor" in read(visitor.get(answer["Location"]))
    site.decline(Booking.objects.get())
    visitor.post(answer["Location"])
    page = visitor.get(answer["Location"])
    assert "Ben Okafor cannot take this appointment" in read(page)
    assert "Choose another time" in read(page)


def test_a_lost_answer_is_checked_and_then_confirmed(visitor, site):
    """The page shows "checking", then "booked"; one appointment exists."""
    form = visitor.fill_in("intro-call")
    site.fail_next(kind="drop_after")
    answer = visitor.post(DETAILS, **form)
    text = read(visitor.get(answer["Location"]))
    assert "We are checking your booking" in text
    assert "Please do not book again yet" in text
    visitor.post(answer["Location"])
    assert "Your appointment is booked" in read(visitor.get(answer["Location"]))
    assert len(site.appointments()) == site.count_requests() == 1


def test_repeated_checks_cost_one_read(visitor, site):
    answer = visitor.book("checkup")
    visitor.post(answer["Location"])
    reads = site.count_requests("GET /v4/provisional-booking/paginated")
    visitor.post(answer["Location"])
    assert site.count_requests("GET /v4/provisional-booking/paginated") == reads > 0


@pytest.mark.parametrize(
    ("state", "reason", "heading"),
    [
        ("received", "", "We are booking your time"),
        ("sending", "", "We are booking your time"),
        ("received", "deferred", "Your request is waiting"),
        ("unknown", "", "We are checking your booking"),
        ("unknown", "needs_staff", "We could not confirm your booking"),
        ("pending", "attendee", "One more step: confirm your e-mail"),
        ("pending", "host", "We have passed your request on to Anna Weber"),
        ("pending", "both", "We have passed your request on to Anna Weber"),
        ("closed", "slot_taken", "is no longer free"),
        ("closed", "refused", "We could not book this time"),
        ("closed", "unreachable", "We could not book this time"),
        ("closed", "not_booked", "This time was not booked"),
        ("closed", "lapsed", "This request has expired"),
        ("closed", "declined", "Anna Weber cannot take this appointment"),
        ("closed", "replaced", "You chose another time"),
    ],
)
def test_every_state_has_its_heading_and_only_confirmed_says_booked(visitor, state, reason, heading):
    visitor.book()
    Booking.objects.update(state=state, reason=reason, attendee=None)
    booking = Booking.objects.get()
    answer = visitor.get(links.get_booking_path(booking))
    assert answer.status_code == 200
    text = read(answer)
    assert text.count(heading) >= 2, "the heading is in the title too"
    assert "Your appointment is booked" not in text
    booking.refresh_from_db()
    assert (booking.state, booking.reason) == (state, reason)


def test_booking_again_keeps_the_time_zone_of_the_booking(visitor):
    """The page may be opened on another device, from a mail."""
    visitor.post("/book/timezone/", tz="America/New_York", next="/book/")
    visitor.book()
    Booking.objects.update(state="closed", reason="not_booked", attendee=None)
    booking = Booking.objects.get()
    visitor.client.cookies.clear()

    page = visitor.text(links.get_booking_path(booking))

    ways = re.findall(r'(?:href|action)="(/book/intro-call/[^"]*)"', page)
    assert len(ways) >= 2
    assert [way for way in ways if "tz=America%2FNew_York" not in way] == []


def test_a_time_that_was_not_booked_offers_others(visitor):
    visitor.book()
    Booking.objects.update(state="closed", reason="not_booked", attendee=None)
    page = visitor.text(links.get_booking_path(Booking.objects.get()))
    assert len(re.findall(r'name="start" value="', page)) == 4
    assert 'name="email" value="jane@example.com"' in page


def test_a_cancelled_booking_is_not_called_booked(visitor):
    visitor.book()
    Appointment.objects.update(status="cancelled")
    text = read(visitor.get(links.get_booking_path(Booking.objects.get())))
    assert "This appointment was cancelled" in text
    assert "Your appointment is booked" not in text


def test_the_redirect_of_a_meeting_type_is_shown_as_an_https_link(visitor):
    visitor.book()
    path = links.get_booking_path(Booking.objects.get())
    MeetingType.objects.update(redirect_url="https://example.com/thanks")
    assert "Continue to example.com" in read(visitor.get(path))
    MeetingType.objects.update(redirect_url="javascript:alert(1)")
    assert "javascript:" not in visitor.text(path)


def test_names_and_descriptions_are_escaped(visitor):
    """Markup in names from meetergo is shown as text."""
    MeetingType.objects.filter(slug="intro-call").update(name="<b>x</b>", description="<script>1</script>")
    for page in (visitor.text("/book/"), visitor.text("/book/intro-call/")):
        assert "<b>x</b>" not in page
        assert "<script>" not in page


def test_a_forged_link_answers_404_without_a_query(visitor, django_assert_num_queries):
    with django_assert_num_queries(0):
        answer = visitor.get("/book/booking/0123~forged/")
    assert answer.status_code == 404
    assert "We cannot find this appointment. Please check that the whole link was copied." in read(answer)


def test_the_pages_load_nothing_inline_and_nothing_from_other_hosts(visitor):
    """The pages run under a strict Content Security Policy."""
    answer = visitor.book()
    pages = [
        visitor.text("/book/"),
        visitor.text("/book/intro-call/"),
        visitor.text(DETAILS, start=visitor.list_starts("intro-call")[0]),
        visitor.text(answer["Location"]),
    ]
    for page in pages:
        assert not re.search(r"<script(?![^>]* src=)|<style|\sstyle=|\son\w+=|<iframe|<img", page)
        # Links to other sites load nothing until they are followed.
        loaded = re.sub(r'<a [^>]*rel="external noreferrer"[^>]*>', "", page)
        assert not re.search(r'(src|href)="(https?:)?//', loaded)


def test_all_views_run_outside_atomic_requests(visitor, settings, site):
    """With ATOMIC_REQUESTS no transaction is open while meetergo is called."""
    from django.urls import get_resolver

    patterns = next(entry for entry in get_resolver().url_patterns if str(entry.pattern) == "book/")
    for pattern in patterns.url_patterns:
        assert getattr(pattern.callback, "_non_atomic_requests", set()), pattern.name


def test_dates_at_the_edge_of_the_calendar_are_handled(visitor):
    for query in (
        {"month": "9999-12", "date": "9999-12-31"},
        {"month": "0001-01", "date": "0001-01-01"},
        {"month": "x", "date": "x", "tz": "\0", "duration": "9" * 99},
        *({"start": start} for start in EDGES),
    ):
        assert visitor.get("/book/intro-call/", **query).status_code == 200
    for start in EDGES:
        assert visitor.get(DETAILS, start=start).status_code in {400, 409}


def test_only_the_first_page_may_be_indexed(visitor):
    """Pages of single days and months are excluded from search engines."""
    assert "X-Robots-Tag" not in visitor.get("/book/intro-call/")
    assert visitor.get("/book/intro-call/", month="2026-12")["X-Robots-Tag"] == "noindex, nofollow"


def list_zones(visitor, page):
    """Follow the link to all zones; return the list, and where choosing one leads to."""
    link = re.search(r'href="([^"]+zones=all[^"]*)"', page)[1].replace("&amp;", "&").partition("#")[0]
    listed = visitor.text(f"/book/intro-call/{link}")
    way_back = re.search(r'name="next" value="([^"]+)"', listed)[1].replace("&amp;", "&")
    return listed, visitor.post("/book/timezone/", tz="Asia/Kolkata", next=way_back)["Location"]


def test_all_zones_are_listed_on_request(visitor):
    """Choosing one leads back to the month and the day that were chosen."""
    first = visitor.text("/book/intro-call/")
    assert "<select" not in first
    day = re.search(r'class="mg-day-chosen" href="\?date=([\d-]+)', first)[1]

    listed, way_back = list_zones(visitor, visitor.text("/book/intro-call/", date=day))

    assert listed.count("<optgroup") > 5
    assert way_back == f"/book/intro-call/?month={day[:7]}&date={day}"


def test_a_zone_is_chosen_for_whatever_day_is_free_there_first(visitor):
    """Nobody has chosen the first day with times: in another zone, it may have none."""
    assert list_zones(visitor, visitor.text("/book/intro-call/"))[1] == "/book/intro-call/"


def test_the_stylesheet_carries_a_nonce_that_the_request_has():
    from django.template import Context, Template

    request = SimpleNamespace(csp_nonce="abc")
    html = Template("{% load meetergo %}{% meetergo_assets %}").render(Context({"request": request}))
    assert 'nonce="abc"' in html


def test_the_same_browser_may_choose_again_while_its_booking_waits(visitor):
    """The first choice gives way to the second, and its page leads there."""
    first = visitor.book("checkup")
    starts = visitor.list_later_starts("checkup")

    second = visitor.book("checkup", start=starts[-1], email="right@example.com")

    assert second.status_code == 303
    old, new = Booking.objects.order_by("pk")
    assert (old.reason, old.replaced_by) == ("replaced", new)
    page = read(visitor.get(first["Location"]))
    assert "You chose another time" in page


def test_the_same_browser_gets_the_link_to_its_unclear_booking(visitor, site):
    """Another browser with the same e-mail address books, and learns nothing of the first booking."""
    site.fail_next(kind="drop_after")
    first = visitor.book()
    starts = visitor.list_later_starts("intro-call")

    again = visitor.book(start=starts[-1])
    stranger = Visitor(Client()).book(start=starts[-1])

    assert (again.status_code, stranger.status_code) == (409, 303)
    assert first["Location"] in again.content.decode()
    assert stranger["Location"] != first["Location"]


# What somebody agrees to in advance


@pytest.mark.parametrize(("days", "text"), [(1, "at most 1 day earlier"), (3, "at most 3 days earlier")])
def test_the_offer_of_another_time_counts_its_days(visitor, settings, days, text):
    settings.MEETERGO = {**settings.MEETERGO, "REBOOK": {"days": days}}
    page = visitor.get(DETAILS, start=visitor.list_starts("intro-call")[0])
    assert text in read(page)


def test_another_time_is_only_booked_for_somebody_who_ticked_the_box(visitor, settings):
    """Off by default, offered only where the site does, stored in the words that were ticked."""
    assert "book the nearest free time" not in read(
        visitor.get(DETAILS, start=visitor.list_starts("intro-call")[0])
    )
    settings.MEETERGO = {**settings.MEETERGO, "REBOOK": {"days": 3, "hours": [8, 18], "weekdays": [0, 1, 2]}}
    form = visitor.fill_in("intro-call")
    page = visitor.get(DETAILS, start=form["start"])
    assert "at most 3 days earlier or later" in read(page)
    assert not page.context["form"]["rebook"].value()

    visitor.post(DETAILS, **form, rebook="on", rebook_weekdays=["1"], rebook_from="9", rebook_until="12")

    agreed = Booking.objects.get().rebook_consent
    assert (agreed["weekdays"], list(agreed["hours"]), agreed["days"]) == ([1], [9, 12], 3)
    assert "at most 3 days earlier or later" in agreed["words"]


def test_without_the_tick_nothing_is_agreed_to(visitor, settings):
    settings.MEETERGO = {**settings.MEETERGO, "REBOOK": {"days": 3}}
    visitor.book("intro-call", rebook_weekdays=["1"], rebook_from="9", rebook_until="12")
    assert Booking.objects.get().rebook_consent is None


def test_no_day_at_all_is_an_error_and_not_every_day(visitor, settings):
    settings.MEETERGO = {**settings.MEETERGO, "REBOOK": {}}
    answer = visitor.book("intro-call", rebook="on", rebook_from="9", rebook_until="12")
    assert answer.status_code == 422
    assert "Choose at least one day." in read(answer)


def test_hours_that_end_before_they_begin_are_an_error(visitor, settings):
    settings.MEETERGO = {**settings.MEETERGO, "REBOOK": {}}
    answer = visitor.book(
        "intro-call", rebook="on", rebook_weekdays=["1"], rebook_from="12", rebook_until="9"
    )
    assert answer.status_code == 422
    assert "Choose a later hour than the first one." in read(answer)


def test_a_service_that_is_down_can_be_left_a_request_where_the_site_allows_it(visitor, site, settings):
    """Nothing is queued without a press on a button of its own."""
    settings.MEETERGO = {**settings.MEETERGO, "DEFER_WHEN_DOWN": True}
    form = visitor.fill_in("intro-call")
    site.fail_next(kind="status_before", times=9, status=429)
    answer = visitor.post(DETAILS, **form)
    assert answer.status_code == 200
    assert "We cannot book right now" in read(answer)
    assert 'value="Jane"' in answer.content.decode()
    token = re.search(r'name="token" value="([^"]+)"', answer.content.decode())[1]

    answer = visitor.post(DETAILS, **{**form, "token": token}, defer="1")

    page = visitor.get(answer["Location"])
    assert "Your request is waiting" in read(page)
    assert Booking.objects.filter(defer_consent=True).count() == 1


def test_a_wrong_address_can_be_corrected_and_keeps_the_time(visitor, site):
    """The visitor's own request holds the time until the new one replaces it."""
    site.sandbox.settings.hold_pending = False
    start = visitor.list_later_starts("checkup")[0]
    first = visitor.book("checkup", start, email="jane@example.net")
    again = unescape(re.search(r'href="([^"]+)">Wrong address', visitor.text(first["Location"]))[1])

    form = visitor.get(again)
    assert form.status_code == 200
    hidden = dict(re.findall(r'name="(start|duration|token)" value="([^"]+)"', form.content.decode()))
    assert visitor.post("/book/checkup/details/", **{**TYPED, **hidden}).status_code == 303

    rows = Booking.objects.order_by("pk").values_list("email", "state", "reason")
    assert list(rows) == [
        ("jane@example.net", "closed", "replaced"),
        ("jane@example.com", "pending", "attendee"),
    ]


def test_the_details_of_a_closed_booking_fit_into_the_cookie(visitor):
    """A browser drops a cookie of more than 4 kB."""
    answers = {f"n{number}": "x" * 1500 for number in range(6)}
    row = MeetingType.objects.get(slug="intro-call")
    booking = BookingFactory(meeting_type=row, state="closed", reason="lapsed", custom_fields=answers)

    answer = visitor.get(links.get_booking_path(booking))

    assert len(answer.cookies["meetergo_details"].OutputString()) < 4096


def test_an_appointment_that_is_missing_at_meetergo_is_not_shown_as_booked(visitor):
    appointment = AppointmentFactory(missing_since=timezone.now())
    booking = BookingFactory(
        meeting_type=appointment.meeting_type, state="confirmed",
        attendee=AttendeeFactory(appointment=appointment),
    )  # fmt: skip

    page = visitor.text(links.get_booking_path(booking))

    assert "Your appointment is booked" not in page
    assert "This appointment is no longer available" in page


def test_the_page_of_a_past_appointment_does_not_say_that_it_is_to_come(visitor):
    visitor.book()
    start = timezone.now() - timedelta(days=2)
    Appointment.objects.update(start=start, end=start + timedelta(minutes=30))

    page = visitor.text(links.get_booking_path(Booking.objects.get()))

    assert page.count("This appointment was on ") >= 2, "the heading is in the title too"
    assert "Your appointment is booked" not in page
    assert "Book again" in page
    assert "Change or cancel" not in page


def test_typed_details_survive_a_type_that_is_switched_off_meanwhile(visitor):
    data = visitor.fill_in("intro-call", first_name="Wilhelmine")
    other = visitor.list_starts("checkup")[0]
    MeetingType.objects.filter(slug="intro-call").update(enabled=False)

    assert visitor.post("/book/intro-call/details/", **data).status_code == 410
    assert 'value="Wilhelmine"' in visitor.text("/book/checkup/details/", start=other)


def test_a_long_duration_is_sent_as_a_plain_number(visitor, site, settings):
    settings.USE_THOUSAND_SEPARATOR = True
    MeetingType.objects.filter(slug="intro-call").update(duration=1440)
    site.fail_next("GET /v4/booking-availability", times=9)
    start = (site.now() + timedelta(days=2)).isoformat()

    page = visitor.text("/book/intro-call/details/", start=start, duration="1440")

    assert 'name="duration" value="1440"' in page


def test_a_hidden_list_is_not_shown_by_a_type_that_is_off(visitor, settings):
    settings.MEETERGO = {**settings.MEETERGO, "SHOW_INDEX": False}
    MeetingType.objects.filter(slug="intro-call").update(enabled=False)

    answer = visitor.get("/book/intro-call/")

    assert answer.status_code == 410
    assert "/book/checkup/" not in answer.content.decode()


def test_enter_in_a_field_does_not_agree_to_wait(visitor, site, settings):
    """Enter presses the first button of the form."""
    settings.MEETERGO = {**settings.MEETERGO, "DEFER_WHEN_DOWN": True}
    data = visitor.fill_in("intro-call")
    site.fail_next(kind="status_before", times=9, status=429)

    page = visitor.post("/book/intro-call/details/", **data).content.decode()

    assert 'name="defer"' in page
    assert 'name="defer"' not in re.findall(r'<button[^>]*type="submit"[^>]*>', page)[0]


def test_a_form_for_a_type_that_is_off_does_not_make_the_browser_forget_its_request(visitor):
    start = visitor.list_starts("checkup")[0]
    visitor.book("checkup", start)
    assert Booking.objects.get().state == "pending"
    data = visitor.fill_in("intro-call")
    MeetingType.objects.filter(slug="intro-call").update(enabled=False)

    assert visitor.post("/book/intro-call/details/", **data).status_code == 410
    assert visitor.get("/book/checkup/details/", start=start).status_code == 200
