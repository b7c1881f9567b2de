"""Questions as configured at meetergo: chosen by staff, asked by pages and the REST API, stored typed."""

from __future__ import annotations

import re

import pytest

from django_meetergo.models import Attendee, Booking, DataField, MeetingType
from tests.admin.conftest import get_text, superuser  # noqa: F401 - fixture
from tests.api.conftest import FrontEnd
from tests.pages.conftest import movable_clock, site, visitor  # noqa: F401 - fixtures
from tests.pages.test_booking import read
from tests.services.test_data_fields import add_field

pytestmark = pytest.mark.django_db(transaction=True)

CHOICES = [{"label": "Red", "value": "r"}, {"label": "Blue", "value": "b"}]
#: Wire type and options, the HTML that asks, what a visitor enters, what JSON holds, and what is sent.
TYPES = {
    "text-single": (None, '<input type="text" name="q-x" maxlength="2000"', "a", "a", "a"),
    "text-multi": (None, '<textarea name="q-x"', "a\r\nb", "a\nb", "a\nb"),
    "email": (None, '<input type="email" name="q-x"', "a@example.com", "a@example.com", "a@example.com"),
    "phone": (None, '<input type="tel" name="q-x"', "+49 30 1", "+49 30 1", "+49 30 1"),
    "number": (None, '<input type="number" name="q-x" step="any"', "12.50", "12.50", "12.50"),
    "slide": (None, '<input type="number" name="q-x"', "7", "7", "7"),
    "rating": (None, '<input type="number" name="q-x"', "5", "5", "5"),
    "scale": (None, '<input type="number" name="q-x"', "5", "5", "5"),
    "select": (CHOICES, '<option value="" selected>Please choose</option>', "b", "b", "b"),
    "radio": (CHOICES, '<input type="radio" name="q-x" value="b"', "b", "b", "b"),
    "yes-no": (None, '<input type="radio" name="q-x" value="yes"', "yes", "yes", "yes"),
    "checkbox-single": (None, '<input type="checkbox" name="q-x"', "on", True, "true"),
    "checkbox-multi": (CHOICES, '<input type="checkbox" name="q-x" value="b"', ["b"], ["b"], "b"),
    "url": (None, '<input type="url" name="q-x"', "a.example", "https://a.example", "https://a.example"),
    "date": (None, '<input type="date" name="q-x"', "2026-02-03", "2026-02-03", "2026-02-03"),
    "date-of-birth": (None, '<input type="date" name="q-x"', "1976-02-03", "1976-02-03", "1976-02-03"),
    "time": (None, '<input type="time" name="q-x"', "10:30", "10:30:00", "10:30:00"),
    "currency": (None, '<input type="text" name="q-x"', "5 EUR", "5 EUR", "5 EUR"),
}  # fmt: skip


@pytest.fixture
def ask(site):  # noqa: F811
    """Add a question at meetergo and choose it for the introductory call."""

    def ask(slug="intro-call", **values):
        document = add_field(site, **{"name": "x", "label": "The question", **values})
        site.sync_directory()
        row = DataField.objects.get(remote_id=document["id"])
        MeetingType.objects.get(slug=slug).data_fields.add(row)
        return row

    return ask


def open_form(visitor, slug="intro-call"):  # noqa: F811
    return visitor.text(f"/book/{slug}/details/", start=visitor.list_starts(slug)[0])


def choose(staff, meeting_type, *rows):
    """Choose the questions of a meeting type in the admin."""
    data = {"calculation_method": "anyone", "data_fields": [row.pk for row in rows]}
    return staff.post("meetingtype_change", meeting_type.pk, **data)


def test_the_types_are_those_of_the_contract():
    from tests.sandbox.contract import load_contract

    known = load_contract().document["components"]["schemas"]["DataField"]["properties"]["fieldType"]["enum"]
    assert set(known) - set(TYPES) == {"file", "signature", "location", "contact"}


@pytest.mark.parametrize("field_type", TYPES)
def test_a_question_of_each_type_is_asked_stored_typed_and_sent_as_text(visitor, site, ask, field_type):  # noqa: F811
    options, html, entered, stored, sent = TYPES[field_type]
    ask(fieldType=field_type, options=options, required=True)

    assert html in open_form(visitor)
    assert visitor.book(**{"q-x": ""}).status_code == 422
    assert Booking.objects.count() == 0
    assert visitor.book(**{"q-x": entered}).status_code == 303

    assert Attendee.objects.get().custom_fields == {"x": stored}
    [appointment] = site.appointments()
    assert appointment.attendees[0].answers["x"] == sent


@pytest.mark.parametrize("field_type", TYPES)
def test_the_rest_api_describes_and_accepts_it(site, ask, settings, field_type):  # noqa: F811
    settings.ROOT_URLCONF = "tests.api.urls"
    options, _html, _entered, stored, _sent = TYPES[field_type]
    ask(fieldType=field_type, options=options, required=True)
    front_end = FrontEnd()

    inputs = front_end.get("/meeting-types/intro-call/").json()["inputs"]
    refused = front_end.book(answers={})
    accepted = front_end.book(answers={"x": stored})

    [described] = [one for one in inputs if one["name"] == "answers.x"]
    assert (described["label"], described["required"]) == ("The question", True)
    assert "answers.x" in refused.json()["errors"]
    assert accepted.status_code == 201, accepted.json()
    assert Booking.objects.get().custom_fields == {"x": stored}


def test_a_question_is_asked_only_where_staff_have_chosen_it(visitor, ask):  # noqa: F811
    ask(slug="checkup", required=True)
    assert 'name="q-x"' in open_form(visitor, "checkup")
    assert 'name="q-' not in open_form(visitor)


def test_a_question_that_meetergo_no_longer_has_is_not_asked(visitor, site, ask):  # noqa: F811
    ask()
    site.sandbox.state.data_fields.clear()
    site.sync_directory()
    assert 'name="q-' not in open_form(visitor)


@pytest.mark.parametrize("field_type", ["file", "signature"])
def test_a_file_is_never_asked_for_and_a_required_one_leads_to_meetergo(visitor, site, ask, field_type):  # noqa: F811
    row = ask(fieldType=field_type)
    assert 'name="q-' not in open_form(visitor)

    site.sandbox.state.data_fields[-1]["required"] = True
    site.sync_directory()

    assert row.remote_id
    page = visitor.text("/book/intro-call/")
    assert MeetingType.objects.get(slug="intro-call").booking_url in page
    assert 'name="start"' not in page


def test_the_sites_form_comes_first_field_by_field(visitor, ask, settings):  # noqa: F811
    """A question of the same name is the site's; the others follow its questions."""
    settings.MEETERGO = {**settings.MEETERGO, "FORMS": {"intro-call": "tests.tags.questions.IntroForm"}}
    ask(name="reason", label="Asked at meetergo", required=True)
    ask(name="insurer", label="Who pays?", required=True)

    page = open_form(visitor)

    assert "What is it about?" in page
    assert "Asked at meetergo" not in page
    assert page.index('name="q-words"') < page.index('name="q-insurer"') < page.index('name="other_emails"')
    assert "Please fill in “Who pays?”." in read(visitor.book(**{"q-reason": "shoulder"}))
    visitor.book(**{"q-reason": "shoulder", "q-insurer": "I do"})
    assert Attendee.objects.get().custom_fields == {
        "reason": "shoulder",
        "insurer": "I do",
        "first_time": False,
    }


def test_a_name_that_no_html_id_can_hold_is_replaced_by_the_id(visitor, ask):  # noqa: F811
    row = ask(name="Who pays, and how?", label="Who pays?")
    assert f'id="mg-q-{row.remote_id}"' in open_form(visitor)
    visitor.book(**{f"q-{row.remote_id}": "I do"})
    assert Attendee.objects.get().custom_fields == {row.remote_id: "I do"}


def test_staff_choose_the_questions_of_a_meeting_type(visitor, site, superuser):  # noqa: F811
    """Those of other companies and those that meetergo no longer has are not offered."""
    for values in ({"connection": "other"}, {"missing_since": site.now()}):
        DataField.objects.create(remote_id="elsewhere", label="Not offered", **values)
    meeting_type = MeetingType.objects.get(slug="intro-call")
    insurance = DataField.objects.get(name="insurance")
    page = superuser.get("meetingtype_change", meeting_type.pk).content.decode()
    offered = re.findall(r'name="data_fields" value="(\d+)"', page)
    assert offered == [str(row.pk) for row in DataField.objects.filter(name__in=["insurance", "complaint"])]

    superuser.post(
        "meetingtype_change", meeting_type.pk, calculation_method="anyone", data_fields=[insurance.pk]
    )

    assert 'name="q-insurance"' in open_form(visitor)
    listed = get_text(superuser.get("datafield_changelist"))
    assert "Insurance one choice from a list" in listed
    assert meeting_type.name in listed


def test_staff_cannot_choose_more_questions_than_meetergo_takes_answers(site, superuser, settings):  # noqa: F811
    """The site's own questions count, a name that comes twice counts once, and a file has no answer."""
    settings.MEETERGO = {**settings.MEETERGO, "FORMS": {"intro-call": "tests.tags.questions.IntroForm"}}
    meeting_type = MeetingType.objects.get(slug="intro-call")
    names = [*(f"q{number}" for number in range(44)), "q1", "reason"]
    rows = [DataField.objects.create(remote_id=f"f{n}", name=name) for n, name in enumerate(names)]
    rows.append(DataField.objects.create(remote_id="scan", name="scan", kind=DataField.Kind.UPLOAD))

    refused = get_text(choose(superuser, meeting_type, *rows))
    assert "would ask 50, and meetergo accepts 49 answers" in refused
    assert not meeting_type.data_fields.exists()

    choose(superuser, meeting_type, *rows[1:])
    assert meeting_type.data_fields.count() == len(rows) - 1


def test_choosing_a_required_file_takes_effect_at_once(visitor, site, superuser):  # noqa: F811
    add_field(site, name="scan", label="Your scan", fieldType="file", required=True)
    site.sync_directory()
    meeting_type = MeetingType.objects.get(slug="intro-call")
    visitor.list_starts("intro-call")  # the page is cached now
    scan = DataField.objects.get(name="scan")

    choose(superuser, meeting_type, scan)
    assert visitor.list_starts("intro-call") == []

    choose(superuser, meeting_type)
    assert visitor.list_starts("intro-call")


def test_the_admin_shows_answers_with_their_questions(visitor, ask, superuser):  # noqa: F811
    """Also after the question is no longer asked."""
    row = ask(label="Which colour?", fieldType="radio", options=CHOICES)
    visitor.book(**{"q-x": "b"})
    attendee = Attendee.objects.get()
    assert "Which colour? Blue" in get_text(superuser.get("attendee_change", attendee.pk))

    row.meeting_types.clear()
    assert "Which colour? Blue" in get_text(superuser.get("attendee_change", attendee.pk))
    assert "Which colour? Blue" in get_text(superuser.get("booking_change", Booking.objects.get().pk))
