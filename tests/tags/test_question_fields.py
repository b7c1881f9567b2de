"""Every field and every widget of ``django.forms``: shown, validated, stored typed, kept and shown again."""

from __future__ import annotations

import json
import re
from datetime import date, timedelta
from decimal import Decimal
from html.parser import HTMLParser
from typing import Any

import pytest
from django import forms
from django.contrib.auth.models import Group
from django.core.exceptions import ImproperlyConfigured
from django.http import QueryDict
from django.template.loader import render_to_string

from django_meetergo.models import Booking, MeetingType
from django_meetergo.presentation.form_token import make_token
from django_meetergo.presentation.forms import BookingForm, get_details
from tests.api.test_inputs import CHOICES, FIELDS, TwoParts
from tests.pages.test_forms import GIVEN

pytestmark = pytest.mark.django_db

FORM = "tests.tags.test_question_fields.OneQuestion"
NUMBERS = [("1", "One"), ("2", "Two")]

#: What a visitor enters and what is stored: for every field of ``django.forms``, with its own widget.
ANSWERS: dict[str, tuple[Any, Any]] = {
    "Field": ("a", "a"),
    "CharField": ("a", "a"),
    "CharField with limits": ("abcd", "abcd"),
    "CharField with a text area": ("a\r\nb", "a\nb"),
    "RegexField": ("AB123", "AB123"),
    "EmailField": ("a@example.com", "a@example.com"),
    "URLField": ("example.com", "https://example.com"),
    "SlugField": ("a-1", "a-1"),
    "UUIDField": ("0" * 32, "00000000-0000-0000-0000-000000000000"),
    "GenericIPAddressField": ("192.0.2.1", "192.0.2.1"),
    "JSONField": ('{"a": [1, null]}', {"a": [1, None]}),
    "IntegerField": ("7", 7),
    "IntegerField with limits": ("13", 13),
    "IntegerField localized": ("7", 7),
    "FloatField": ("0.75", 0.75),
    "DecimalField": ("12.50", "12.50"),
    "BooleanField": ("on", True),
    "BooleanField optional": (None, False),
    "NullBooleanField": ("false", False),
    "DateField": ("2026-02-03", "2026-02-03"),
    "DateField of another format": ("03.02.2026", "2026-02-03"),
    "DateField with three selects": ({"_year": "2026", "_month": "2", "_day": "3"}, "2026-02-03"),
    "TimeField": ("10:30", "10:30:00"),
    "DateTimeField": ("2026-02-03 10:30", "2026-02-03T10:30:00+01:00"),
    "SplitDateTimeField": ({"_0": "2026-02-03", "_1": "10:30"}, "2026-02-03T10:30:00+01:00"),
    "DurationField": ("1:30:00", "P0DT01H30M00S"),
    "ChoiceField": ("b", "b"),
    "TypedChoiceField": ("2", 2),
    "MultipleChoiceField": (["a", "c"], ["a", "c"]),
    "TypedMultipleChoiceField": (["1"], [1]),
    "ModelChoiceField": ("KEY", "KEY"),
    "ModelMultipleChoiceField": (["KEY"], ["KEY"]),
    "FilePathField": ("django_meetergo/urls.py", "django_meetergo/urls.py"),
    "ComboField": ("a@example.com", "a@example.com"),
    "MultiValueField": ({"_0": "3", "_1": "b"}, "3/b"),
}


class Both(TwoParts):
    """Two parts with labels of their own."""

    def __init__(self) -> None:
        super().__init__()
        self.fields[0].label, self.fields[1].label = "How many?", "Which?"


#: Widgets that no field uses by itself.
WIDGETS: dict[str, tuple[Any, Any, Any]] = {
    "NumberInput": (lambda: forms.IntegerField(widget=forms.NumberInput), "7", 7),
    "PasswordInput": (lambda: forms.CharField(widget=forms.PasswordInput(render_value=True)), "a", "a"),
    "SearchInput": (lambda: forms.CharField(widget=getattr(forms, "SearchInput", forms.TextInput)), "a", "a"),
    "HiddenInput": (lambda: forms.CharField(widget=forms.HiddenInput), "a", "a"),
    "MultipleHiddenInput": (
        lambda: forms.MultipleChoiceField(choices=CHOICES, widget=forms.MultipleHiddenInput), ["a"], ["a"],
    ),
    "SplitHiddenDateTimeWidget": (
        lambda: forms.SplitDateTimeField(widget=forms.SplitHiddenDateTimeWidget),
        {"_0": "2026-02-03", "_1": "10:30"}, "2026-02-03T10:30:00+01:00",
    ),
    "RadioSelect": (lambda: forms.ChoiceField(choices=CHOICES, widget=forms.RadioSelect), "b", "b"),
    "CheckboxSelectMultiple": (
        lambda: forms.MultipleChoiceField(choices=CHOICES, widget=forms.CheckboxSelectMultiple),
        ["a", "c"], ["a", "c"],
    ),
    "RadioSelect of instances": (
        lambda: forms.ModelChoiceField(Group.objects.all(), widget=forms.RadioSelect, to_field_name="name"),
        "Tuesdays", "Tuesdays",
    ),
    "SplitDateTimeWidget": (
        lambda: forms.SplitDateTimeField(widget=forms.SplitDateTimeWidget(date_attrs={"type": "date"})),
        {"_0": "2026-02-03", "_1": "10:30"}, "2026-02-03T10:30:00+01:00",
    ),
    "MultiWidget": (lambda: Both(), {"_0": "3", "_1": "b"}, "3/b"),
    "NullBooleanSelect": (lambda: forms.NullBooleanField(widget=forms.NullBooleanSelect), "true", True),
    "SelectMultiple": (lambda: forms.MultipleChoiceField(choices=CHOICES), ["b"], ["b"]),
    "ColorInput": (
        lambda: forms.CharField(widget=getattr(forms, "ColorInput", forms.TextInput)), "#abcdef", "#abcdef",
    ),
    "TelInput": (
        lambda: forms.CharField(widget=getattr(forms, "TelInput", forms.TextInput)), "+49 1", "+49 1",
    ),
}  # fmt: skip
CASES = {name: (FIELDS[name], *answer) for name, answer in ANSWERS.items()} | WIDGETS
#: Refused by the check ``meetergo.E015``.
FILE_WIDGETS = {"FileInput", "ClearableFileInput"}


class OneQuestion(forms.Form):
    """A form with one of the fields; the test sets which."""

    build_field: Any = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["question"] = type(self).build_field()


@pytest.fixture(params=CASES)
def case(request, settings, monkeypatch):
    """A field, what a visitor enters, and what is stored."""
    build_field, entered, stored = CASES[request.param]
    key = Group.objects.create(name="Tuesdays").pk
    entered, stored = (json.loads(json.dumps(one).replace('"KEY"', str(key))) for one in (entered, stored))
    monkeypatch.setattr(OneQuestion, "build_field", staticmethod(build_field))
    settings.MEETERGO = {**settings.MEETERGO, "FORMS": {"intro-call": FORM}}
    return entered, stored


def build(data=None, **options):
    meeting_type = MeetingType(slug="intro-call", name="Call", channel="zoom")
    form = BookingForm(data, meeting_type=meeting_type, **options)
    form.full_clean()
    return form


def fill_in(answer):
    data = QueryDict(mutable=True)
    parts = answer if isinstance(answer, dict) else {"": answer}
    for suffix, value in parts.items():
        if value is not None:
            data.setlist(f"q-question{suffix}", value if isinstance(value, list) else [value])
    data.update({**GIVEN, "token": make_token()})
    return data


class Controls(HTMLParser):
    """What a page sends when nothing is changed on it, its controls, and which of them have a label."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.data: dict[str, list[str]] = {}
        self.controls: list[dict[str, Any]] = []
        self.labelled: set[str] = set()
        self.open: Any = None
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        found = dict(attrs)
        if tag == "label" and found.get("for"):
            self.labelled.add(found["for"])
        if tag in {"input", "select", "textarea"}:
            self.controls.append(found)
        if tag == "input":
            is_choice = found.get("type") in {"radio", "checkbox"}
            if not is_choice or "checked" in found:
                self.add(found["name"], found.get("value", "on" if is_choice else ""))
        elif tag in {"select", "textarea"}:
            self.open = (tag, found["name"])
            if tag == "textarea":
                self.add(found["name"], "")
        elif tag == "option" and "selected" in found and self.open:
            self.add(self.open[1], found.get("value", ""))

    def handle_data(self, text: str) -> None:
        if self.open and self.open[0] == "textarea":
            self.data[self.open[1]][-1] += text

    def handle_endtag(self, tag: str) -> None:
        if tag in {"select", "textarea"}:
            self.open = None

    def add(self, name: str, value: str) -> None:
        self.data.setdefault(name, []).append(value)

    def as_query(self) -> QueryDict:
        data = QueryDict(mutable=True)
        for name, values in self.data.items():
            data.setlist(name, [value.removeprefix("\n") for value in values])
        data.update({**GIVEN, "token": make_token()})
        return data


def render(form) -> str:
    """Return the question as the page shows it."""
    field = next(field for field in form if field.html_name == "q-question")
    return render_to_string("meetergo/includes/field.html", {"field": field})


def test_the_lists_have_every_field_and_widget_of_django() -> None:
    assert set(ANSWERS) == set(FIELDS)
    widgets = {
        name for name, value in vars(forms).items()
        if isinstance(value, type) and issubclass(value, forms.Widget)
    } - {"Widget", "ChoiceWidget"} - FILE_WIDGETS  # fmt: skip
    used = {type(build().widget).__name__ for name, (build, *_rest) in CASES.items()}
    assert widgets <= used | set(WIDGETS)


def test_it_is_shown_with_a_label_for_every_input(case):
    found = Controls(render(build()))
    visible = [control for control in found.controls if control.get("type") != "hidden"]
    assert visible or build().questions.fields["question"].widget.is_hidden
    assert [control["name"] for control in visible if control.get("id") not in found.labelled] == []


def test_it_is_stored_typed_and_as_json(case):
    entered, stored = case
    form = build(fill_in(entered))
    assert form.is_valid(), form.errors
    assert form.answers == {"question": stored}
    assert json.loads(json.dumps(form.answers, allow_nan=False)) == form.answers


def test_an_empty_answer_is_refused_at_the_question_where_it_is_required(case):
    form = build(fill_in(None))
    field = form.questions.fields["question"]
    is_missing = field.required and not isinstance(field, forms.NullBooleanField)
    assert ("q-question" in form.errors) == is_missing
    assert ("mg-error" in render(form)) == (is_missing and not field.widget.is_hidden)


def test_what_was_entered_is_shown_again_after_an_error(case):
    entered, stored = case
    data = fill_in(entered)
    data["email"] = ""
    again = build(Controls(render(build(data))).as_query())
    assert again.answers == {"question": stored}


def test_what_was_entered_is_carried_in_hidden_inputs(case):
    entered, stored = case
    hidden = "".join(build(fill_in(entered)).list_hidden())
    form = build(Controls(hidden).as_query())
    assert form.is_valid(), form.errors
    assert form.answers == {"question": stored}


def test_what_was_typed_comes_back_from_the_cookie(case):
    entered, stored = case
    typed = json.loads(json.dumps(build(fill_in(entered)).list_typed(), default=str))
    form = build(Controls(render(build(initial=typed))).as_query())
    assert form.answers == {"question": stored}


def test_a_stored_answer_is_shown_when_a_visitor_starts_again(case):
    _entered, stored = case
    booking = Booking(custom_fields={"question": stored})
    form = build(Controls(render(build(initial=get_details(booking)))).as_query())
    assert form.answers == {"question": stored}


# Groups, the request, refusals


def test_the_names_of_groups_are_shown(settings, monkeypatch):
    settings.MEETERGO = {**settings.MEETERGO, "FORMS": {"intro-call": FORM}}
    for widget in (forms.RadioSelect, forms.Select):
        monkeypatch.setattr(
            OneQuestion,
            "build_field",
            lambda widget=widget: forms.ChoiceField(choices=CHOICES, widget=widget),
        )
        html = render(build())
        assert re.search(r">Group</legend>|optgroup label=.Group", html)
        assert html.index("Group") < html.index('value="b"')


@pytest.mark.parametrize("name", ["RequestForm", "ExtendedRequestForm"])
def test_a_form_that_takes_the_request_gets_it(visitor, settings, name):
    settings.MEETERGO = {**settings.MEETERGO, "FORMS": {"intro-call": f"tests.tags.questions.{name}"}}
    visitor.client.cookies["nickname"] = "Jo"
    start = visitor.list_starts("intro-call")[0]
    assert 'value="Jo"' in visitor.text("/book/intro-call/details/", start=start)


def test_a_missing_answer_is_named(settings, monkeypatch):
    """The summary of errors lists them without their fields."""
    settings.MEETERGO = {**settings.MEETERGO, "FORMS": {"intro-call": FORM}}
    for build_field, text in [
        (lambda: forms.CharField(label="Your dog’s name"), "Please fill in “Your dog’s name”."),
        (lambda: forms.BooleanField(), "Please tick “Question”."),
        (lambda: forms.CharField(error_messages={"required": "Which dog?"}), "Which dog?"),
    ]:
        monkeypatch.setattr(OneQuestion, "build_field", build_field)
        assert list(build(fill_in(None)).errors["q-question"]) == [text]


def test_a_file_field_that_the_form_adds_late_is_refused_aloud(settings):
    settings.MEETERGO = {**settings.MEETERGO, "FORMS": {"intro-call": "tests.tags.questions.LateFileForm"}}
    with pytest.raises(ImproperlyConfigured, match="scan"):
        build()


@pytest.mark.parametrize("text", ["NaN", '"\\u0000"', '"\\ud800"', "[Infinity]"])
def test_json_that_a_database_cannot_store_is_refused(settings, monkeypatch, text):
    settings.MEETERGO = {**settings.MEETERGO, "FORMS": {"intro-call": FORM}}
    monkeypatch.setattr(OneQuestion, "build_field", forms.JSONField)
    assert "q-question" in build(fill_in(text)).errors
    assert build(fill_in('"a \\\\u0000 that was written out"')).is_valid()


def test_a_value_that_clean_returns_is_stored_too(settings, monkeypatch):
    class Cleaned(OneQuestion):
        def clean(self):
            return {**super().clean(), "total": Decimal("1.50"), "day": date(2026, 1, 2), "for": timedelta(1)}

    monkeypatch.setattr("tests.tags.test_question_fields.OneQuestion", Cleaned)
    settings.MEETERGO = {**settings.MEETERGO, "FORMS": {"intro-call": FORM}}
    Cleaned.build_field = forms.CharField
    assert build(fill_in("a")).answers == {
        "question": "a",
        "total": "1.50",
        "day": "2026-01-02",
        "for": "P1DT00H00M00S",
    }
