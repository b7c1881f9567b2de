"""What the booking form accepts, and its error messages."""

import json
from datetime import date
from decimal import Decimal

import pytest
from django import forms
from django.contrib.auth.models import Group
from django.core.serializers.json import DjangoJSONEncoder
from django.http import QueryDict
from django.utils.safestring import mark_safe

from django_meetergo.models import MeetingType
from django_meetergo.presentation.form_token import make_token
from django_meetergo.presentation.forms import BookingForm, CancelForm
from django_meetergo.presentation.questions import build_questions
from django_meetergo.services.booking.validation import list_guests

NO_LINK = "Write the name without a web or e-mail address, and with a space after each full stop."
GIVEN = {"first_name": "Jane", "last_name": "Doe", "email": "jane@example.com"}


def fill_in(meeting_type=None, **changes):
    data = QueryDict(mutable=True)
    data.update({**GIVEN, "token": make_token(), **changes})
    return BookingForm(data, meeting_type=meeting_type or MeetingType(name="Call", channel="zoom"))


def list_errors(form):
    return {name: list(errors) for name, errors in form.errors.items()}


def test_a_complete_form_is_valid():
    assert fill_in().is_valid()


@pytest.mark.parametrize(
    ("changes", "field", "text"),
    [
        ({"first_name": ""}, "first_name", "Enter your first name"),
        ({"last_name": " "}, "last_name", "Enter your last name"),
        ({"email": ""}, "email", "Enter your e-mail address"),
        ({"email": "jane"}, "email", "Enter an e-mail address like name@example.com"),
        ({"first_name": "Jane\r\nBcc: all@example.com"}, "first_name", "Write this on one line."),
        ({"email": "jane@example.com\nx"}, "email", "Write this on one line."),
        ({"email": "İ" * 200 + "@x.example"}, "email", "Enter an e-mail address like name@example.com"),
        ({"email": "ſam@example.com"}, "email", "Enter an e-mail address like name@example.com"),
        ({"first_name": "Your parcel is held, pay at https://x.example"}, "first_name", NO_LINK),
        ({"last_name": "see evil.example"}, "last_name", NO_LINK),
        ({"last_name": "write to me@evil.example"}, "last_name", NO_LINK),
        ({"website": "spam"}, "website", "This form was filled in by a program. Please fill it in yourself."),
        (
            {"token": "forged"},
            "token",
            (
                "This page was open for a long time. Your details are still here: "
                "press “Book this time” again."
            ),
        ),
    ],
)  # fmt: skip
def test_each_error_has_its_message(changes, field, text):
    assert list_errors(fill_in(**changes)) == {field: [text]}


def test_at_most_five_addresses_are_invited_one_per_line():
    form = fill_in(other_emails="a@example.com\r\nb@example.com, c@example.com")
    assert form.is_valid()
    assert form.cleaned_data["other_emails"] == ["a@example.com", "b@example.com", "c@example.com"]
    six = "\n".join(f"p{number}@example.com" for number in range(6))
    assert list_errors(fill_in(other_emails=six)) == {
        "other_emails": ["You can invite at most 5 other people."]
    }
    wrong = list_errors(fill_in(other_emails="a@example.com\nnobody"))
    assert wrong["other_emails"] == ["“nobody” is not an e-mail address. Write one like name@example.com."]


@pytest.mark.parametrize(
    "name", ["J. R. R.", "O'Neill", "Dr. von der Heide", "St. John", "Ægir", "Maria-José"]
)
def test_usual_names_are_accepted(name):
    assert fill_in(first_name=name).is_valid()


def test_guests_are_listed_once_and_without_the_attendee():
    """Whatever the spelling: nobody is invited twice, and the attendee is no guest."""
    guests = ["Anna@example.com", "JANE@example.com", "anna@EXAMPLE.com", "ben@example.com"]
    assert list_guests(guests, "jane@example.com") == ["Anna@example.com", "ben@example.com"]
    twins = "\n".join([f"p{number}@example.com" for number in range(5)] + ["P0@example.com"])
    assert fill_in(other_emails=twins).is_valid()


def test_a_phone_only_type_needs_an_email_address_or_a_phone_number():
    phone_only = MeetingType(name="Call", channel="phone", allows_phone_only=True)
    text = "Enter an e-mail address or a phone number."
    assert list_errors(fill_in(phone_only, email="")) == {"email": [text], "phone": [text]}
    assert fill_in(phone_only, email="", phone="+49 30 1").is_valid()
    assert fill_in(phone_only).is_valid()


def test_the_phone_channel_needs_a_number():
    by_phone = MeetingType(name="Call", channel="phone")
    assert list_errors(fill_in(by_phone)) == {"phone": ["Enter your phone number"]}
    choice = MeetingType(name="Talk", channel="connect", allowed_channels=["connect", "phone"])
    assert list_errors(fill_in(choice, channel="phone")) == {"phone": ["Enter your phone number"]}
    assert fill_in(choice, channel="connect").is_valid()


def test_a_place_is_required_only_for_visits():
    visit = MeetingType(
        name="Visit", channel="local", allowed_channels=["local", "connect"], locations=["Room 1", "Room 2"]
    )
    assert list_errors(fill_in(visit, channel="local")) == {"location": ["Choose a place"]}
    online = fill_in(visit, channel="connect", location="Room 1")
    assert online.is_valid()
    assert online.chosen_location == ""
    here = fill_in(visit, channel="local", location="Room 2")
    assert here.is_valid()
    assert here.chosen_location == "Room 2"


def test_the_only_place_is_chosen_without_a_field():
    form = fill_in(MeetingType(name="Visit", channel="local", locations=["Room 1"]))
    assert "location" not in form.fields
    assert form.is_valid()
    assert form.chosen_location == "Room 1"


def test_consent_is_required_where_the_site_has_a_privacy_notice(settings):
    assert "privacy" not in fill_in().fields
    settings.MEETERGO = {**settings.MEETERGO, "PRIVACY_URL": "https://clinic.example/privacy/"}
    assert list(list_errors(fill_in())) == ["privacy"]
    assert fill_in(privacy="on").is_valid()


def test_every_rendered_form_has_its_own_token():
    assert make_token() != make_token()


def test_hidden_inputs_carry_everything_typed():
    """Valid or not, but without the honeypot and the token."""
    hidden = "".join(fill_in(first_name='J"ane', email="wrong").list_hidden())
    assert 'name="first_name" value="J&quot;ane"' in hidden
    assert 'value="wrong"' in hidden
    assert "website" not in hidden
    assert "token" not in hidden


def test_a_reason_has_at_most_500_characters():
    """A line break is one, as in the browser, which counts those that are left and sends two for it."""
    assert CancelForm({"reason": "x" * 500}).is_valid()
    assert CancelForm({"reason": "x\r\n" * 250}).is_valid()
    form = CancelForm({"reason": "x" * 501})
    assert list_errors(form) == {"reason": ["Please use at most 500 characters."]}


class HardQuestions(forms.Form):
    steps = forms.IntegerField(required=False, step_size=5)
    groups = forms.ModelMultipleChoiceField(Group.objects.all(), required=False)
    settings = forms.JSONField(required=False)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("steps", "1" * 400),
        ("groups", "9" * 30),
        ("settings", "[" * 1900),
        ("settings", "[" * 900 + "]" * 900),
        ("settings", '"\\ud800"'),
    ],
)
def test_an_answer_that_a_field_cannot_compute_is_refused(visitor, settings, name, value):
    settings.MEETERGO = {**settings.MEETERGO, "FORMS": {"intro-call": f"{__name__}.HardQuestions"}}

    assert visitor.book(**{f"q-{name}": value}).status_code == 422


class SameNames(forms.Form):
    location = forms.CharField(label="Where does it hurt?")
    rebook_from = forms.CharField(label="Since when?")
    website = forms.CharField(label="Which page?")


def test_a_question_may_have_the_name_of_a_field_of_the_package(visitor, settings):
    """It is shown, and the error of a missing answer leads to it."""
    settings.MEETERGO = {**settings.MEETERGO, "FORMS": {"intro-call": f"{__name__}.SameNames"}}

    page = visitor.book().content.decode()

    for name in SameNames.base_fields:
        assert f"mg-field-q-{name}" in page
        assert f'<a href="#mg-q-{name}">' in page
    assert "mg-field-location" not in page


class Terms(forms.Form):
    terms = forms.BooleanField(label=mark_safe('I accept the <a href="/terms/">terms</a>'))
    why = forms.CharField(label=mark_safe('See <a href="/why/">why</a>'), required=False)


def test_a_label_with_a_link_is_not_shown_as_markup(visitor, settings):
    settings.MEETERGO = {**settings.MEETERGO, "FORMS": {"intro-call": f"{__name__}.Terms"}}

    page = visitor.book().content.decode()

    assert "&lt;a href" not in page
    assert "Please tick “I accept the terms”." in page


class DecimalDecoder(json.JSONDecoder):
    def __init__(self, **options):
        super().__init__(parse_float=Decimal, **options)


class Price(forms.Form):
    price = forms.JSONField(required=False, decoder=DecimalDecoder, encoder=DjangoJSONEncoder)


class Since(forms.Form):
    since = forms.JSONField(
        required=False, disabled=True, encoder=DjangoJSONEncoder, initial=lambda: {"day": date(2026, 1, 1)}
    )


@pytest.mark.parametrize("form", ["Price", "Since"])
def test_json_with_values_of_other_types_is_shown_again(visitor, settings, form):
    settings.MEETERGO = {**settings.MEETERGO, "FORMS": {"intro-call": f"{__name__}.{form}"}}

    assert visitor.book(email="wrong", **{"q-price": '{"a": 1.5}'}).status_code == 422


@pytest.mark.parametrize("value", ["[" * 1900, "[" * 900 + "]" * 900, '"\\ud800"'])
def test_hard_json_that_the_browser_kept_is_shown_again(visitor, settings, value):
    """After a start that has passed, and after a type that was off."""
    settings.MEETERGO = {**settings.MEETERGO, "FORMS": {"intro-call": f"{__name__}.HardQuestions"}}
    start = visitor.list_starts("intro-call")[1]
    data = visitor.fill_in("intro-call", **{"q-settings": value})
    late = {**data, "start": "2020-01-01T10:00:00+01:00"}

    assert visitor.post("/book/intro-call/details/", **late).status_code in {409, 410, 422}
    assert visitor.get("/book/intro-call/details/", start=start).status_code == 200
    MeetingType.objects.update(enabled=False)
    assert visitor.post("/book/intro-call/details/", **data).status_code == 410
    MeetingType.objects.update(enabled=True)
    assert visitor.get("/book/intro-call/details/", start=start).status_code == 200


SIZE = forms.IntegerField(label="Size")


class Shared(forms.Form):
    def __init__(self, *args, **options):
        super().__init__(*args, **options)
        self.fields["size"] = SIZE


@pytest.mark.django_db
def test_a_field_that_forms_share_stays_as_fast_and_as_shallow(settings):
    settings.MEETERGO = {**settings.MEETERGO, "FORMS": {"call": f"{__name__}.Shared"}}
    kind = MeetingType.objects.create(slug="call", name="Call", remote_id="c")
    for _ in range(1100):
        form = build_questions(kind, request=None, data={"q-size": "3"}, initial={}, auto_id=False)

    assert form.is_valid()


class Label(forms.Form):
    size = forms.CharField(label="Weight <kg> and a<b")


def test_a_plain_label_keeps_its_words(visitor, settings):
    settings.MEETERGO = {**settings.MEETERGO, "FORMS": {"intro-call": f"{__name__}.Label"}}

    assert "Please fill in “Weight &lt;kg&gt; and a&lt;b”." in visitor.book().content.decode()
