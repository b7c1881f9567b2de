"""The site's own questions: shown, validated, sent as text and stored typed."""

import re
from datetime import date, datetime, timedelta

import pytest
from django.core.checks import run_checks
from django.http import HttpRequest, HttpResponse, QueryDict
from django.test import override_settings

from django_meetergo.models import Attendee, Booking, MeetingType
from django_meetergo.presentation.answers import build_answer
from django_meetergo.presentation.form_token import make_token
from django_meetergo.presentation.forms import BookingForm
from django_meetergo.services.sync.appointments import sync_appointments
from django_meetergo.views.details_cookie import read_details_cookie, set_details_cookie
from tests.pages.test_booking import read
from tests.pages.test_forms import GIVEN

pytestmark = pytest.mark.django_db(transaction=True)

FORM = "tests.tags.questions.IntroForm"
ANSWERS = {"q-reason": "shoulder", "q-since": "2026-10-01", "q-ways": ["friend", "doctor"]}


@pytest.fixture(autouse=True)
def use_form(settings):
    settings.MEETERGO = {**settings.MEETERGO, "FORMS": {"intro-call": FORM}}


def fill_in(**changes):
    data = QueryDict(mutable=True)
    for name, value in {**GIVEN, **ANSWERS, "token": make_token(), **changes}.items():
        data.setlist(name, value if isinstance(value, list) else [value])
    return BookingForm(data, meeting_type=MeetingType(slug="intro-call", name="Call", channel="zoom"))


def test_questions_follow_the_contact_fields_and_mark_optional_ones(visitor):
    page = visitor.text("/book/intro-call/details/", start=visitor.list_starts("intro-call")[0])
    order = [page.index(f'name="{name}"') for name in ("email", "q-reason", "q-words", "other_emails")]
    assert order == sorted(order)
    assert "Since when? (optional)" in page
    assert "What is it about? (optional)" not in page
    assert 'name="q-' not in visitor.text("/book/checkup/details/", start=visitor.list_starts("checkup")[0])


def test_errors_in_answers_are_shown_in_the_summary_and_at_the_field(visitor):
    answer = visitor.book(**{"q-since": "yesterday"})
    text = answer.content.decode()
    assert answer.status_code == 422
    assert '<a href="#mg-q-reason_0">Choose what it is about</a>' in text
    assert '<a href="#mg-q-since">Enter a valid date.</a>' in text
    assert text.count("Choose what it is about") == 2
    assert 'value="yesterday"' in text
    assert Booking.objects.count() == 0


def test_errors_of_the_whole_form_are_shown_in_the_summary(visitor):
    answer = visitor.book(**{"q-reason": "back"})
    assert answer.status_code == 422
    assert "Say since when your back hurts." in read(answer)


def test_answers_are_sent_as_text_and_stored_typed(visitor, site):
    """The stored values can be queried, and a re-read does not change them."""
    assert visitor.book(**ANSWERS, **{"q-budget": "12.50", "q-first_time": "on"}).status_code == 303
    typed = {
        "reason": "shoulder",
        "since": "2026-10-01",
        "budget": "12.50",
        "ways": ["friend", "doctor"],
        "first_time": True,
    }
    assert Attendee.objects.get().custom_fields == typed
    [sent] = site.appointments()
    assert "friend, doctor" in str(sent)
    sync_appointments(connection="default", kind="near", client=site.client("sync"), now=site.now())
    assert Attendee.objects.get(custom_fields__since__gte="2026-09-01").custom_fields == typed
    assert Attendee.objects.filter(custom_fields__ways__0="friend").exists()


def test_answers_without_a_question_are_ignored():
    form = fill_in(**{"q-hostIds": "x", "q-ignoreAvailability": "1"})
    assert form.is_valid()
    assert set(form.answers) == {"reason", "since", "ways", "first_time"}


def test_an_answer_has_at_most_2000_characters():
    form = fill_in(**{"q-words": "x" * 2001})
    assert not form.is_valid()
    assert list(form.errors["q-words"]) == ["Please use at most 2000 characters."]


def test_answers_are_kept_for_the_next_try(visitor, site):
    """A lost time costs nobody a word, several choices included."""
    data = visitor.fill_in("intro-call", **ANSWERS)
    site.occupy_slot(datetime.fromisoformat(data["start"]))
    lost = visitor.post("/book/intro-call/details/", **data)
    assert lost.status_code == 409
    hidden = re.findall(r'type="hidden" name="(q-\w+)" value="([^"]+)"', lost.content.decode())
    assert hidden == [
        ("q-reason", "shoulder"), ("q-since", "2026-10-01"), ("q-ways", "friend"), ("q-ways", "doctor"),
        ("q-first_time", "False"),
    ]  # fmt: skip
    again = visitor.text("/book/intro-call/details/", start=visitor.list_later_starts("intro-call")[1])
    assert re.search(r'value="shoulder"[^>]* checked', again)
    assert len(re.findall(r'name="q-ways"[^>]* checked', again)) == 2
    assert 'value="Jane"' in again


def test_widgets_with_several_inputs_are_shown_and_stored(visitor, settings):
    settings.MEETERGO = {**settings.MEETERGO, "FORMS": {"intro-call": "tests.tags.questions.WidgetsForm"}}
    start = visitor.list_starts("intro-call")[0]
    page = visitor.text("/book/intro-call/details/", start=start)
    assert "Favourite colour (optional)" in page
    assert "You can withdraw this later." in page
    assert re.search(r'<input type="hidden" name="q-source" value="newsletter"', page)
    assert "Source" not in page
    answers = {"q-when_0": "2026-01-02", "q-when_1": "10:30", "q-born_year": "2026", "q-born_month": "2"}
    answer = visitor.book(start=start, **answers, **{"q-born_day": "3", "q-source": "newsletter"})
    assert answer.status_code == 303
    stored = Booking.objects.get().custom_fields
    assert stored["born"] == "2026-02-03"
    assert stored["when"].startswith("2026-01-02T10:30")
    assert stored["source"] == "newsletter"


def test_a_long_answer_is_left_out_of_the_cookie_first():
    response, request = HttpResponse(), HttpRequest()
    set_details_cookie(request, response, fill_in(**{"q-words": "ä" * 1900}).list_typed())
    request.COOKIES = {name: cookie.value for name, cookie in response.cookies.items()}
    typed = read_details_cookie(request)
    assert typed["first_name"] == "Jane"
    assert "q-words" not in typed


def test_answers_are_converted_to_json_values():
    assert build_answer({"only": {"this": date(2026, 1, 2)}}) == {"only": {"this": "2026-01-02"}}
    assert build_answer(timedelta(hours=1)) == "P0DT01H00M00S"
    assert build_answer((1, 2.5, None, True)) == [1, 2.5, None, True]
    assert build_answer(MeetingType(pk=7)) == 7


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("tests.tags.questions.Nothing", "meetergo.E012"),
        ("nothing", "meetergo.E012"),
        ("tests.tags.questions.NO_FORM", "meetergo.E013"),
        ("tests.tags.questions.ManyForm", "meetergo.E014"),
        ("tests.tags.questions.FileForm", "meetergo.E015"),
        ("tests.tags.questions.LateFileForm", "meetergo.E015"),
        ("tests.tags.questions.PartFileForm", "meetergo.E015"),
    ],
)
def test_the_system_check_reports_an_unusable_form(settings, path, found):
    with override_settings(MEETERGO={**settings.MEETERGO, "FORMS": {"intro-call": path}}):
        assert found in {message.id for message in run_checks(tags=["meetergo"])}


def test_the_system_check_accepts_a_usable_form():
    assert not {"meetergo.E012", "meetergo.E013"} & {message.id for message in run_checks(tags=["meetergo"])}
